"""Compares the kernels on bit planes and permutations with numpy; prints the instruction set and elements used.

A program of its own, like `differential.py`.
"""

import sys

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_kernels import _reference_bits as reference
from mpc_kernels import _reference_rank as ranked
from mpc_kernels._backend import BACKEND

U64, U32 = np.uint64, np.uint32
ROWS = [0, 1, 2, 63, 64, 65, 127, 511, 512, 513, 1_100, 5_000]


def both(name: str, arguments: tuple[object, ...], *outs: NDArray[np.generic]) -> int:
    """Run a kernel and its reference; return the elements compared."""
    mine, theirs = ([out.copy() for out in outs] for _ in range(2))
    given = getattr(BACKEND, name)(*arguments, *mine)
    assert given == getattr(ranked if hasattr(ranked, name) else reference, name)(*arguments, *theirs), name
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
    total += both("pick_planes_var", (packed, index, order, other, 2**64 - 1), out)
    pairs = np.hstack([packed, ring(rng, rows, width)])
    total += both("pick_pairs_var", (pairs, index, order, None, None, 0, 0), out, out)
    return total + both("pick_pairs_var", (pairs, index, order, other, ring(rng, *out.shape), 2**64 - 1, 7), out, out)


def gates(rng: np.random.Generator, words: int) -> int:
    """Local parts of gates."""
    six, mask = [ring(rng, words) for _ in range(6)], ring(rng, words)
    total = both("and_local", (*six[:4], mask), np.zeros(words, U64))
    total += both("majority_local", (*six, mask), np.zeros(words, U64))
    held, terms = [ring(rng, 6, words) for _ in range(2)], rng.integers(0, 6, (9, 3)).astype(U32)
    terms[::3, 1], terms[1::4, 1] = mpc_kernels.bits.NO_PLANE, mpc_kernels.bits.ONES
    for flip in ((0, 0), (2**64 - 1, 0), (0, 2**64 - 1)):
        arguments = (*held, terms, np.array([0, 1, 1, 5, 9], U32), *flip, ring(rng, 4, words))
        total += both("plane_gates_local", arguments, np.zeros((4, words), U64))
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


def ranks(rng: np.random.Generator, count: int) -> int:
    """Steps of a sample sort: any results of comparisons, consistent or not."""
    levels = rng.integers(0, 4, count).astype(U32)
    samples = np.where(levels == 0, rng.integers(0, 12, count), rng.integers(1, 4, count) * (1 << levels) - 1)
    sizes = np.where(levels == 0, samples, samples + rng.integers(0, 90, count))
    rows, groups = int(sizes.sum()), int((sizes + 1).sum()) + 16
    fan = 1 << levels
    starts, tree, base = (np.cumsum(x) - x for x in (sizes, fan, np.where(levels == 0, sizes, 2 * fan)))
    buckets = np.stack([starts, sizes, samples, levels, base, tree]).astype(U32)
    pairs = int((samples * (samples - 1)).sum()) // 2
    total = both("sample_pairs_var", (buckets,), np.zeros(pairs, U32), np.zeros(pairs, U32))
    group, table = np.zeros(rows, U32), np.zeros(int(fan.sum()), U32)
    total += both("place_samples_var", (ring(rng, (pairs + 63) // 64), buckets), group, table)
    picked = rng.permutation(count)[: count // 2].astype(U32)
    rest = int((sizes - samples)[picked].sum())
    total += both("rest_rows_var", (buckets, picked), np.zeros(rest, U32), np.zeros(rest, U32))
    found = rng.integers(0, 50, rest).astype(U32)
    total += both("step_down_var", (ring(rng, (rest + 63) // 64), 4), found)
    total += both("look_up_var", (rng.integers(0, 9, 60).astype(U32), found, 3), np.zeros(rest, U32))
    total += both("place_rest_var", (found, buckets, picked), group)
    return total + regroup(rng, rows, groups)


def regroup(rng: np.random.Generator, rows: int, groups: int) -> int:
    """Groups of rows made buckets."""
    total = 0
    for width in (2, 4, 6):
        group = np.sort(rng.integers(0, groups, rows).astype(U32))
        group = group.reshape(-1)[rng.permutation(rows)] if width == 4 else group
        slot = np.sort(rng.permutation(2 * rows)[:rows]).astype(U32)
        given = (group, ring(rng, rows, width), rng.permutation(rows).astype(U32), slot)
        outs = [np.zeros((rows, width), U64), *(np.zeros(size, U32) for size in (rows, rows, rows // 2))]
        results = []
        for side in (BACKEND, ranked):
            place, mark, mine = np.zeros(2 * rows, U32), np.zeros(groups, U32), [out.copy() for out in outs]
            left, count = side.regroup_var(*given, place, mark, *mine)
            results.append([place, *(out[:left] for out in mine[:3]), mine[3][:count]])
        for got, wanted in zip(*results, strict=True):
            np.testing.assert_array_equal(got, wanted, err_msg="regroup_var")
            total += got.size
    return total


def ring(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Draw uniform words."""
    return rng.integers(0, 2**64, shape, dtype=U64)


def main(seed: int) -> None:
    """Compare all shapes."""
    rng = np.random.default_rng(seed)
    total = sum(planes(rng, rows, width) for rows in ROWS for width in (1, 2, 3) for _ in range(4))
    total += sum(gates(rng, words) for words in (0, 1, 7, 8, 9, 511, 512, 513, 1_300))
    total += sum(permutations(rng, rows) for rows in ROWS for _ in range(4))
    total += sum(ranks(rng, count) for count in (0, 1, 2, 3, 10, 100) for _ in range(8))
    print(mpc_kernels.isa(), total)


if __name__ == "__main__":
    main(int(sys.argv[1]))
