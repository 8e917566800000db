"""Compares the arithmetic kernels with their numpy reference on random and edge elements; prints how many it used.

A program of its own, because the instruction set is chosen once a process: the tests start it with `MPC_KERNELS_ISA`
set, and it ends with a non-zero status at the first difference.
"""

import sys

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_kernels import _reference_arith as reference

EDGES = np.array([0, 1, 2**63, 2**64 - 1, 2**32 - 1, 2**32, 2**63 - 1, 2**62, 2**64 - 2**62], dtype=np.uint64)
SIZES = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 4999, 300_007]


def ring(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Draw uniform ring elements, an eighth of them replaced by the ring's edges."""
    out = rng.integers(0, 2**64, shape, dtype=np.uint64)
    mask = rng.random(shape) < 0.125
    out[mask] = rng.choice(EDGES, int(mask.sum()))
    return out


def words(rng: np.random.Generator, n: int) -> NDArray[np.uint32]:
    """Draw uniform 32-bit words."""
    return rng.integers(0, 2**32, n, dtype=np.uint32)


def dots(rng: np.random.Generator, n: int, threads: int) -> int:
    """Compare dot products of every number of terms, with and without masks."""
    for terms in (0, 1, 2, 3) if n < 10_000 else (1, 3):
        a, b, plus, minus = ring(rng, terms, n, 2), ring(rng, terms, n, 2), ring(rng, n), ring(rng, n)
        for first, second in ((plus, minus), (plus, None), (None, minus), (None, None)):
            want = np.empty(n, np.uint64)
            none = np.empty(0, np.uint64)
            reference.replicated_dot_local(
                a, b, none if first is None else first, none if second is None else second, want
            )
            got = mpc_kernels.replicated_dot_local(a, b, plus=first, minus=second, threads=threads)
            np.testing.assert_array_equal(got, want)
    return 4 * n


def sums(rng: np.random.Generator, n: int) -> int:
    """Compare running sums and sums by bin."""
    for width in (0, 1, 2, 3):
        x = ring(rng, n, width)
        start, bins = rng.random(n) < 0.1, rng.integers(0, 12, n, dtype=np.uint32)
        np.testing.assert_array_equal(mpc_kernels.prefix_sum(x), reference.prefix_sum(x))
        np.testing.assert_array_equal(
            mpc_kernels.segmented_prefix_sum(x, start), reference.segmented_prefix_sum(x, start.view(np.uint8))
        )
        np.testing.assert_array_equal(mpc_kernels.bincount_var(x, bins, size=10), reference.bincount_var(x, bins, 10))
    return 6 * n


def truncations(rng: np.random.Generator, n: int, threads: int) -> int:
    """Compare the three steps of a truncation for every number of bits."""
    for bits in range(1, 33) if n < 10_000 else (1, 18, 32):
        a, b, c, d = (ring(rng, n) for _ in range(4))
        p, q = words(rng, n), words(rng, n)
        np.testing.assert_array_equal(
            mpc_kernels.truncate_split(a, b, p, bits=bits, threads=threads), reference.truncate_split(a, b, p, bits)
        )
        for got, want in zip(
            mpc_kernels.truncate_cross(c, d, p, q, bits=bits, threads=threads),
            reference.truncate_cross(c, d, p, q, bits),
            strict=True,
        ):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(
            mpc_kernels.truncate_join(a, p, b, q, bits=bits, threads=threads), reference.truncate_join(a, p, b, q, bits)
        )
    return 6 * n


def main(seed: int) -> None:
    """Compare all sizes and thread counts."""
    rng = np.random.default_rng(seed)
    elements = 0
    for n in SIZES:
        for threads in (1, 3):
            elements += dots(rng, n, threads) + truncations(rng, n, threads)
        elements += sums(rng, n)
        own, after = ring(rng, n), ring(rng, n)
        np.testing.assert_array_equal(mpc_kernels.pair_up(own, after, threads=2), reference.pair_up(own, after))
    print(mpc_kernels.isa(), elements)


if __name__ == "__main__":
    main(int(sys.argv[1]))
