"""The numpy meaning of the arithmetic kernels: the oracle of their tests and the fallback where nothing was compiled.

Exact in the ring Z/2^64. `threads` is accepted and not used.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]


class ArithKernels(Protocol):
    """What an implementation provides. Arguments have been checked; see `mpc_kernels.arith` for the contracts."""

    def replicated_dot_local(self, a: U64, b: U64, plus: U64, minus: U64, out: U64, threads: int) -> None:
        """One party's masked additive part of elementwise replicated dot products mod 2^64."""

    def pair_up(self, own: U64, next: U64, threads: int) -> U64:
        """Two shares side by side."""

    def prefix_sum(self, x: U64) -> U64:
        """Running sums of rows mod 2^64."""

    def segmented_prefix_sum(self, x: U64, start: NDArray[np.uint8]) -> U64:
        """Running sums of rows mod 2^64 that start again at flagged rows."""

    def bincount_var(self, x: U64, bin: U32, size: int) -> U64:
        """Sums of rows mod 2^64 by clear bin."""

    def truncate_split(self, a: U64, mask: U64, low_mask: U32, bits: int, threads: int) -> NDArray[np.uint8]:
        """Masked arithmetic shift and sign of the first addend."""

    def truncate_cross(self, own: U64, other: U64, sign: U32, mask: U32, bits: int, threads: int) -> tuple[U64, U32]:
        """Arithmetic shift of the second addend, and its sign times a share of the first's."""

    def truncate_join(self, high0: U64, low0: U32, high1: U64, low1: U32, bits: int, threads: int) -> U64:
        """Share pairs from shifted parts and carries."""


def replicated_dot_local(a: U64, b: U64, plus: U64, minus: U64, out: U64, threads: int = 1) -> None:
    """Sum over j of a0·b0 + a0·b1 + a1·b0, for share pairs `a[j,i,2]` and `b[j,i,2]`, plus and minus the masks."""
    a0, a1 = a[..., 0], a[..., 1]
    b0, b1 = b[..., 0], b[..., 1]
    out[:] = (a0 * (b0 + b1) + a1 * b0).sum(axis=0, dtype=np.uint64)
    if plus.size:
        out += plus
    if minus.size:
        out -= minus


def pair_up(own: U64, next: U64, threads: int = 1) -> U64:
    """Put two shares side by side: `[n,2]`."""
    return np.stack([own, next], axis=-1)


def prefix_sum(x: U64) -> U64:
    """Running sums of the rows of `x[n,width]`."""
    return np.cumsum(x, axis=0, dtype=np.uint64)


def segmented_prefix_sum(x: U64, start: NDArray[np.uint8]) -> U64:
    """Running sums of the rows of `x[n,width]` that start again where `start[n]` is not 0."""
    total = np.cumsum(x, axis=0, dtype=np.uint64)
    first = np.maximum.accumulate(np.where(start != 0, np.arange(len(start)), 0))  # of the row's segment
    out: U64 = total - total[first] + x[first]
    return out


def bincount_var(x: U64, bin: U32, size: int) -> U64:
    """Sums of the rows of `x[n,width]` by bin, `[size,width]`; a bin of `size` or more counts nowhere."""
    out = np.zeros((size, x.shape[1]), np.uint64)
    inside = bin < size
    np.add.at(out, bin[inside], x[inside])
    return out


def _asr(value: U64, bits: int) -> U64:
    return (value.view(np.int64) >> np.int64(bits)).view(np.uint64)


def _sign(value: U64) -> U32:
    return (value >> np.uint64(63)).astype(np.uint32)


def truncate_split(a: U64, mask: U64, low_mask: U32, bits: int, threads: int = 1) -> NDArray[np.uint8]:
    """Bytes of the arithmetic shift of `a` minus `mask`, then of its sign bit minus `low_mask` mod 2^32."""
    return np.concatenate([(_asr(a, bits) - mask).view(np.uint8), (_sign(a) - low_mask).view(np.uint8)])


def truncate_cross(own: U64, other: U64, sign: U32, mask: U32, bits: int, threads: int = 1) -> tuple[U64, U32]:
    """For b = own + other + 2^62 + 2^bits - 1: its shift less 2^(62-bits), and its sign times `sign` minus `mask`."""
    b = own + other + np.uint64((1 << 62) + (1 << bits) - 1)
    return _asr(b, bits) - np.uint64(1 << (62 - bits)), _sign(b) * sign - mask


def truncate_join(high0: U64, low0: U32, high1: U64, low1: U32, bits: int, threads: int = 1) -> U64:
    """Pairs `high + low * 2^(64-bits)`, `[n,2]`."""
    up = np.uint64(64 - bits)
    return np.stack([high0 + (low0.astype(np.uint64) << up), high1 + (low1.astype(np.uint64) << up)], axis=-1)
