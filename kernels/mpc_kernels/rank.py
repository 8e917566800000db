"""The public part of a sample sort by opened comparisons: what to compare next, and where results put the rows.

Rows lie bucket by bucket. The first rows of a bucket, its sample, are ranked by comparing all pairs. Evenly spaced ones
become pivots, and the other rows are placed among them by binary search; or the sample is the whole bucket. All data
here are public; of the secret rows only the addresses are. :mod:`mpc_engine.runtime.replicated.sort` has the algorithm.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc_kernels._backend import BACKEND

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]

LARGEST_SAMPLE = 4096


class Left(NamedTuple):
    """Rows that are not placed yet, bucket by bucket.

    Attributes
    ----------
    rows : ndarray of uint64, shape [n, width]
    row : ndarray of uint32, shape [n]
        Number of each row in the table that is sorted.
    slot : ndarray of uint32, shape [n]
        The places of the sorted table that these rows will take, ascending.
    sizes : ndarray of uint32, shape [buckets]
    """

    rows: Words
    row: Index
    slot: Index
    sizes: Index


class Buckets:
    """Buckets of one step.

    Parameters
    ----------
    sizes, samples, levels : ndarray of uint32, shape [buckets]
        Rows; rows of the sample, at most 4096; 0, or the binary logarithm of the number of pivots plus one, which is at
        most that of samples plus one.
    """

    def __init__(self, sizes: Index, samples: Index, levels: Index) -> None:
        span, fan = np.where(levels == 0, sizes, np.uint32(2) << levels), np.uint32(1) << levels
        starts, base, tree = (np.cumsum(counts, dtype=np.uint32) - counts for counts in (sizes, span, fan))
        self._table = np.stack([starts, sizes, samples, levels, base, tree]).astype(np.uint32)
        self.levels, self._rest = levels, sizes.astype(np.int64) - samples
        self._counts = samples.astype(np.int64)
        self.rows, self.groups = int(sizes.sum()), int(span.sum())
        self.pivots = np.zeros(int(fan.sum()), np.uint32)
        self.group = np.empty(self.rows, np.uint32)

    def sample_pairs(self) -> tuple[Index, Index]:
        """Return the pairs of rows whose comparison ranks all samples."""
        count = int((self._counts * (self._counts - 1)).sum()) // 2
        left, right = np.empty(count, np.uint32), np.empty(count, np.uint32)
        BACKEND.sample_pairs_var(self._table, left, right)
        return left, right

    def place_samples(self, less: Words) -> None:
        """Take the results, left < right: bit i % 64 of word i // 64."""
        BACKEND.place_samples_var(less, self._table, self.group, self.pivots)

    def rest(self, picked: Index) -> tuple[Index, Index]:
        """Return the rows outside the samples of some buckets, and where in the table of pivots their search starts."""
        count = int(self.rests(picked).sum())
        row, found = np.empty(count, np.uint32), np.empty(count, np.uint32)
        BACKEND.rest_rows_var(self._table, picked, row, found)
        return row, found

    def rests(self, picked: Index) -> NDArray[np.int64]:
        """Return how many rows are outside the samples, by bucket."""
        return self._rest[picked]

    def look_up(self, found: Index, plus: int) -> Index:
        """Return the pivots that so many rows behind `found` in the table."""
        left = np.empty(len(found), np.uint32)
        BACKEND.look_up_var(self.pivots, found, plus, left)
        return left

    def place_rest(self, found: Index, picked: Index) -> None:
        """Take what the search found for the rows of :meth:`rest`."""
        BACKEND.place_rest_var(found, self._table, picked, self.group)

    def regroup(self, left: Left, place: Index) -> Left:
        """Make groups the new buckets: place the rows that are alone in theirs, and return the others."""
        rows, row, slot, _ = left
        rows_out, row_out, slot_out = np.empty_like(rows), np.empty_like(row), np.empty_like(slot)
        sizes = np.empty(self.rows // 2, np.uint32)
        mark = np.empty(self.groups, np.uint32)
        size, count = BACKEND.regroup_var(self.group, rows, row, slot, place, mark, rows_out, row_out, slot_out, sizes)
        return Left(rows_out[:size], row_out[:size], slot_out[:size], sizes[:count])


def step_down(less: Words, step: int, found: Index) -> None:
    """Add `step` to the found places, in place, where the result of the comparison is 1."""
    BACKEND.step_down_var(less, step, found)
