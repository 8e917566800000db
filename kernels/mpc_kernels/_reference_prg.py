"""The numpy meaning of the pseudo-random streams: AES-128 (FIPS 197) in counter mode (NIST SP 800-38A).

An oracle for tests: its table look-ups depend on the key, so no protocol may use it (`has_aes` says so).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mpc_kernels._reference_arith import replicated_dot_local

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]


class PrgKernels(Protocol):
    """Arguments have been checked; see `mpc_kernels.prg` for the contracts."""

    def has_aes(self) -> bool:
        """Whether the streams can be computed here, and in constant time."""

    def prg_fill(self, seed: bytes, offset: int, out: U8) -> None:
        """Bytes of a pseudo-random stream."""

    def prg_zero(self, plus: bytes, plus_offset: int, minus: bytes, minus_offset: int, bits: bool, out: U64) -> None:
        """One party's part of a sharing of zero."""

    def replicated_dot_masked(
        self, a: U64, b: U64, plus: bytes, plus_offset: int, minus: bytes, minus_offset: int, out: U64, threads: int
    ) -> None:
        """Replicated dot products with masks made on the way."""


def _double(x: U8) -> U8:
    """Multiply by X in GF(2^8) mod X^8 + X^4 + X^3 + X + 1."""
    doubled: U8 = (x << np.uint8(1)) ^ ((x >> np.uint8(7)) * np.uint8(0x1B))
    return doubled


def _make_sbox() -> U8:
    """Inverses in GF(2^8), then the affine map of FIPS 197, section 5.1.1."""
    power = np.ones(255, np.uint8)  # of the generator X + 1
    for i in range(1, 255):
        power[i] = power[i - 1] ^ _double(power[i - 1 : i])[0]
    inverse = np.zeros(256, np.uint8)
    inverse[power] = power[-np.arange(255) % 255]
    turned = [(inverse << np.uint8(k)) | (inverse >> np.uint8(8 - k)) for k in range(1, 5)]
    box: U8 = inverse ^ turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ np.uint8(0x63)
    return box


_SBOX = _make_sbox()
_SHIFT_ROWS = np.array([0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11])


def _round_keys(key: bytes) -> U8:
    words = [np.frombuffer(key[4 * i : 4 * i + 4], np.uint8) for i in range(4)]
    constant = np.array([1, 0, 0, 0], np.uint8)
    for i in range(4, 44):
        word = words[i - 1]
        if i % 4 == 0:
            word = _SBOX[np.roll(word, -1)] ^ constant
            constant = _double(constant)
        words.append(words[i - 4] ^ word)
    return np.concatenate(words).reshape(11, 16)


def _mix_columns(state: U8) -> U8:
    column = state.reshape(-1, 4, 4)
    after = np.roll(column, -1, axis=2)
    whole = np.bitwise_xor.reduce(column, axis=2, keepdims=True)
    mixed: U8 = (column ^ whole ^ _double(column ^ after)).reshape(-1, 16)
    return mixed


def _encrypt(key: bytes, blocks: U8) -> U8:
    keys = _round_keys(key)
    state = blocks ^ keys[0]
    for k in keys[1:10]:
        state = _mix_columns(_SBOX[state][:, _SHIFT_ROWS]) ^ k
    last: U8 = _SBOX[state][:, _SHIFT_ROWS] ^ keys[10]
    return last


def has_aes() -> bool:
    """Tell that this is for tests only."""
    return False


def prg_fill(seed: bytes, offset: int, out: U8) -> None:
    """Bytes of the stream from `offset` on."""
    first = int.from_bytes(seed[16:], "big") + offset // 16
    count = -(-(offset % 16 + len(out)) // 16)
    counters = b"".join(((first + i) % 2**128).to_bytes(16, "big") for i in range(count))
    stream = _encrypt(seed[:16], np.frombuffer(counters, np.uint8).reshape(-1, 16)).reshape(-1)
    out[:] = stream[offset % 16 :][: len(out)]


def _words(seed: bytes, offset: int, size: int) -> U64:
    out = np.empty(8 * size, np.uint8)
    prg_fill(seed, offset, out)
    return out.view(np.uint64)


def prg_zero(plus: bytes, plus_offset: int, minus: bytes, minus_offset: int, bits: bool, out: U64) -> None:
    """Difference of two streams: XOR, or mod 2^64."""
    first, second = _words(plus, plus_offset, len(out)), _words(minus, minus_offset, len(out))
    out[:] = first ^ second if bits else first - second


def replicated_dot_masked(
    a: U64, b: U64, plus: bytes, plus_offset: int, minus: bytes, minus_offset: int, out: U64, threads: int = 1
) -> None:
    """`replicated_dot_local` with two streams as masks."""
    masks = _words(plus, plus_offset, len(out)), _words(minus, minus_offset, len(out))
    replicated_dot_local(a, b, *masks, out)
