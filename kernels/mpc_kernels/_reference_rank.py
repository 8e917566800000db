"""The numpy meaning of the kernels of a sample sort; see `mpc_kernels.rank`."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]


def _results(less: Words, count: int) -> NDArray[np.int64]:
    octets = less.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=count, bitorder="little").astype(np.int64)


def sample_pairs_var(buckets: Index, left: Index, right: Index) -> None:
    """Pairs i < j of every sample."""
    at = 0
    for start, count in zip(buckets[0], buckets[2], strict=True):
        low, high = np.triu_indices(int(count), 1)
        left[at : at + len(low)], right[at : at + len(low)] = start + low, start + high
        at += len(low)


def place_samples_var(less: Words, buckets: Index, group: Index, table: Index) -> None:
    """Rank the samples; their groups and the pivots follow."""
    at = 0
    for start, _, count, levels, base, tree in buckets.T.astype(np.int64):
        low, high = np.triu_indices(count, 1)
        results = _results(less, at + len(low))[at:]
        at += len(low)
        ranks = np.bincount(high, results, count) + np.bincount(low, 1 - results, count)
        rank = ranks.astype(np.int64)
        if levels == 0:
            group[start : start + count] = base + rank
            continue
        step, last = (count + 1) >> levels, (1 << levels) - 1
        leaf = np.minimum(rank // step, last)
        pivot = (leaf < last) & ((rank + 1) % step == 0)
        group[start : start + count] = base + 2 * leaf + pivot
        table[tree + leaf[pivot]] = start + np.flatnonzero(pivot)


def rest_rows_var(buckets: Index, picked: Index, row: Index, found: Index) -> None:
    """Numbers of the rows after the samples, and their buckets' tables."""
    starts, sizes, samples, _, _, tree = buckets
    ranges = [np.arange(starts[b] + samples[b], starts[b] + sizes[b]) for b in picked]
    row[:] = np.concatenate(ranges) if ranges else []
    found[:] = np.repeat(tree[picked], (sizes - samples)[picked])


def step_down_var(less: Words, step: int, found: Index) -> None:
    """Add the step where the result is 1."""
    found += (_results(less, len(found)) * step).astype(np.uint32)


def look_up_var(table: Index, found: Index, plus: int, left: Index) -> None:
    """Gather table entries."""
    left[:] = table[found + np.uint32(plus)]


def place_rest_var(found: Index, buckets: Index, picked: Index, group: Index) -> None:
    """Groups of the rows after the samples."""
    _, sizes, samples, _, base, tree = buckets
    row, _ = (np.empty(len(found), np.uint32) for _ in range(2))
    rest_rows_var(buckets, picked, row, _)
    shift = base.astype(np.int64) - 2 * tree.astype(np.int64)
    group[row] = 2 * found.astype(np.int64) + np.repeat(shift[picked], (sizes - samples)[picked])


def regroup_var(
    group: Index,
    rows: Words,
    row: Index,
    slot: Index,
    place: Index,
    mark: Index,
    rows_out: Words,
    row_out: Index,
    slot_out: Index,
    sizes_out: Index,
) -> tuple[int, int]:
    """Sort stably by group; place the rows that are alone in theirs."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=len(mark))
    sizes = sizes[sizes > 0]
    alone = np.repeat(sizes == 1, sizes)
    place[slot[alone]] = row[order[alone]]
    rest = order[~alone]
    rows_out[: len(rest)], row_out[: len(rest)], slot_out[: len(rest)] = rows[rest], row[rest], slot[~alone]
    left = sizes[sizes > 1]
    sizes_out[: len(left)] = left
    return len(rest), len(left)
