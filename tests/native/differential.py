"""Compares every kernel with its numpy reference on random and edge elements; prints how many elements it used.

A program of its own, because the instruction set is chosen once a process: the tests start it with
`MPC_KERNELS_ISA` set, and it ends with a non-zero status at the first difference.
"""

import sys

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_kernels import _reference

EDGES = np.array([0, 1, 2**63, 2**64 - 1, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 2**32], dtype=np.uint64)
SHAPES = [
    *((m, k, n) for m in (0, 1, 2, 3, 5) for k in (0, 1, 7, 8, 9) for n in (0, 1, 2, 3)),
    *((7, k, 5) for k in (255, 256, 257, 511, 512, 513, 1025)),
    *((4, 33, n) for n in (63, 64, 65, 129)),
    (64, 5_000, 16),
    (1, 60_001, 7),
    (301, 97, 100),
    (37, 12_345, 1),
]


def ring(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Draw uniform ring elements, an eighth of them replaced by the ring's edges."""
    out = rng.integers(0, 2**64, shape, dtype=np.uint64)
    mask = rng.random(shape) < 0.125
    out[mask] = rng.choice(EDGES, int(mask.sum()))
    return out


def main(seed: int) -> None:
    """Compare all shapes and thread counts."""
    rng = np.random.default_rng(seed)
    elements = 0
    for m, k, n in SHAPES:
        a, b = ring(rng, m, k, 2), ring(rng, k, n, 2)
        a0, b0 = np.ascontiguousarray(a[..., 0]), np.ascontiguousarray(b[..., 0])
        product, part = _reference.matmul64(a0, b0), _reference.replicated_matmul_local(a, b)
        for threads in (1, 2, 5):
            np.testing.assert_array_equal(mpc_kernels.matmul64(a0, b0, threads=threads), product)
            np.testing.assert_array_equal(mpc_kernels.replicated_matmul_local(a, b, threads=threads), part)
        elements += a.size + b.size
    print(mpc_kernels.isa(), elements)


if __name__ == "__main__":
    main(int(sys.argv[1]))
