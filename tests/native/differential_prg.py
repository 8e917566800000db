"""Compares the pseudo-random streams with their numpy reference; prints the instruction set and how many bytes.

A program of its own, because the instruction set is chosen once a process; see differential_arith.py.
"""

import sys

import numpy as np

import mpc_kernels
from mpc_kernels import Place
from mpc_kernels import _reference_prg as reference

SIZES = [0, 1, 2, 3, 7, 8, 63, 64, 65, 511, 512, 513, 1024, 1300]
OFFSETS = [0, 1, 4, 8, 15, 16, 17, 4096, 2**32 - 8, 2**40 + 4]
ENDS = [b"\0" * 16, b"\0" * 8 + b"\xff" * 8, b"\xff" * 15 + b"\xfd", b"\xff" * 14 + b"\xfe\x00"]
"""First counter blocks: some overflow their low half, or altogether, on the way."""


def compare(rng: np.random.Generator, plus: Place, minus: Place, n: int) -> int:
    """Compare all kernels from two places on."""
    octets, want_octets = np.empty(n, np.uint8), np.empty(n, np.uint8)
    reference.prg_fill(*plus, want_octets)
    np.testing.assert_array_equal(mpc_kernels.prg_fill(plus, octets), want_octets)
    got, want = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for bits in (False, True):
        reference.prg_zero(*plus, *minus, bits, want)
        np.testing.assert_array_equal(mpc_kernels.prg_zero(plus, minus, got, bits=bits), want)
    for terms in (0, 1, 3):
        a, b = (rng.integers(0, 2**64, (terms, n, 2), dtype=np.uint64) for _ in range(2))
        reference.replicated_dot_masked(a, b, *plus, *minus, want)
        np.testing.assert_array_equal(mpc_kernels.replicated_dot_masked(a, b, plus, minus, got), want)
    return 41 * n


def threads(rng: np.random.Generator) -> int:
    """Compare a product large enough for several threads with the same in one."""
    n = 300_007
    a, b = (rng.integers(0, 2**64, (1, n, 2), dtype=np.uint64) for _ in range(2))
    plus, minus = Place(rng.bytes(32), 12), Place(rng.bytes(32), 0)
    one, many = (
        mpc_kernels.replicated_dot_masked(a, b, plus, minus, np.empty(n, np.uint64), threads=count) for count in (1, 3)
    )
    np.testing.assert_array_equal(one, many)
    return 16 * n


def main(seed: int) -> None:
    """Compare all sizes at all offsets."""
    rng = np.random.default_rng(seed)
    octets = 0
    if mpc_kernels.has_aes():
        for n in SIZES:
            for offset in OFFSETS:
                seeds = [rng.bytes(16) + ENDS[int(rng.integers(len(ENDS)))] for _ in range(2)]
                octets += compare(rng, Place(seeds[0], offset), Place(seeds[1], offset ^ 8), n)
        octets += threads(rng)
    print(mpc_kernels.isa(), octets)


if __name__ == "__main__":
    main(int(sys.argv[1]))
