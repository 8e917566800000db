"""Compares the kernels on bit planes and permutations with numpy; prints the instruction set and elements used.

A program of its own, like `differential.py`.
"""

import sys

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_kernels import _reference_bits as reference
from mpc_kernels._backend import BACKEND

U64, U32 = np.uint64, np.uint32
ROWS = [0, 1, 2, 63, 64, 65, 127, 511, 512, 513, 1_100, 5_000]


def both(name: str, arguments: tuple[object, ...], *outs: NDArray[np.generic]) -> int:
    """Run a kernel and its reference; return the elements compared."""
    mine, theirs = ([out.copy() for out in outs] for _ in range(2))
    given = getattr(BACKEND, name)(*arguments, *mine)
    assert given == getattr(reference, name)(*arguments, *theirs), name
    for got, wanted in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    return sum(out.size for out in outs)


def planes(rng: np.random.Generator, rows: int, width: int) -> int:
    """Transposes, whole and picked."""
    packed = ring(rng, rows, width)
    bits = int(rng.integers(1, 64 * width + 1))
    order = rng.permutation(64 * width)[:bits].astype(U32)
    words = (rows + 63) // 64
    total = both("rows_to_planes", (packed, order), np.zeros((bits, words), U64))
    cut = np.zeros((bits, words), U64)
    reference.rows_to_planes(packed, order, cut)
    total += both("planes_to_rows", (cut,), np.zeros((rows, (bits + 63) // 64), U64))
    picked = int(rng.integers(0, 1_500)) if rows else 0
    index = rng.integers(0, max(rows, 1), picked).astype(U32)
    out = np.zeros((bits, (picked + 63) // 64), U64)
    other = ring(rng, *out.shape)
    total += both("pick_planes_var", (packed, index, order, None, 0), out)
    return total + both("pick_planes_var", (packed, index, order, other, 2**64 - 1), out)


def gates(rng: np.random.Generator, words: int) -> int:
    """Local parts of gates."""
    six, mask = [ring(rng, words) for _ in range(6)], ring(rng, words)
    total = both("and_local", (*six[:4], mask), np.zeros(words, U64))
    total += both("majority_local", (*six, mask), np.zeros(words, U64))
    total += both("dot_local", (*(ring(rng, 5 * words) for _ in range(4)), mask), np.zeros(words, U64))
    for counts in ([3], [3, 3, 2], [5, 4, 4, 1], [2, 0]):
        terms = [ring(rng, sum(counts) * words) for _ in range(4)]
        sized = ring(rng, counts[0] * words)
        for flip in ((0, 0), (2**64 - 1, 0), (0, 2**64 - 1)):
            arguments = (*terms, np.array(counts, U64), words, *flip, sized)
            total += both("first_difference_local", arguments, np.zeros(counts[0] * words, U64))
    return total


def permutations(rng: np.random.Generator, rows: int) -> int:
    """Gathers, scatters, random permutations, grouping."""
    index = rng.permutation(rows).astype(U32)
    total = 0
    for width in (1, 2, 3):
        packed = ring(rng, rows, width)
        total += both("gather_rows_var", (packed, index), np.zeros_like(packed))
        total += both("scatter_rows_var", (packed, index), np.zeros_like(packed))
    total += both("gather_index_var", (index, rng.permutation(rows).astype(U32)), np.zeros(rows, U32))
    total += both("invert_index_var", (index,), np.zeros(rows, U32))
    total += both("random_permutation_var", (ring(rng, rows + 8),), np.zeros(rows, U32))
    group = rng.integers(0, 7, rows).astype(U32)
    return total + both("group_order_var", (group,), np.zeros(rows, U32), np.zeros(8, U32))


def ring(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Draw uniform words."""
    return rng.integers(0, 2**64, shape, dtype=U64)


def main(seed: int) -> None:
    """Compare all shapes."""
    rng = np.random.default_rng(seed)
    total = sum(planes(rng, rows, width) for rows in ROWS for width in (1, 2, 3) for _ in range(4))
    total += sum(gates(rng, words) for words in (0, 1, 7, 8, 9, 511, 512, 513, 1_300))
    total += sum(permutations(rng, rows) for rows in ROWS for _ in range(4))
    print(mpc_kernels.isa(), total)


if __name__ == "__main__":
    main(int(sys.argv[1]))
