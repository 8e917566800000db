"""Sorting by comparisons that may be opened: shuffle, compare, and rank in the clear.

Hamada, Kikuchi, Ikarashi, Chida, Takahashi, "Practically Efficient Multi-Party Sorting Protocols from Comparison Sort
Algorithms" (ICISC 2012): after a shuffle that nobody knows, the results of comparisons may be opened. Here every key is
followed by its row number, so all keys differ: the order of the shuffled keys is then a uniform permutation whatever
the keys are, and so is everything that is computed from it, message sizes and running time included. The row number
also makes the sort stable.

The comparisons are those of a sample sort, all buckets at once: a few rows of each bucket are compared with each other,
evenly spaced ones become pivots, the other rows are placed among them by binary search; buckets of a few rows are
finished by comparing all pairs. That takes about 1.1 n log2 n comparisons in fewer than 30 steps for a million rows. A
comparison costs 1.2 AND gates a bit (:mod:`.compare`), so about 25 bytes of all parties for 50 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.bits import Bits, Words, concat, constant, flips
from mpc_engine.runtime.replicated.compare import LAN, Link, first_difference, plan
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.shuffle import Column, Index, Shuffle, permute_public
from mpc_kernels.bits import pick_planes_var, plane_words, planes_to_rows
from mpc_kernels.permute import compose_var, gather_rows_var, group_order_var, invert_var

__all__ = [
    "Compare",
    "Opened",
    "Order",
    "Sorted",
    "rank_rows",
    "sort_order",
    "sort_rows",
    "spare_comparisons",
    "unpack_results",
]


class Compare(Protocol):
    """Compares packed rows and opens the results."""

    def fix(self, own: Words, after: Words, right: Index) -> None:
        """Take components [n, width] of packed rows, and the rows that stand on the right side from now on."""

    def less(self, left: Index) -> Words:
        """Return, opened, whether each left row is less than the right row beside it: bit i % 64 of word i // 64."""
        ...


FINISH = 8
"""Buckets of at most so many rows are finished by comparing all pairs."""

_CLASSES = np.array([0, FINISH + 1, 32, 256, 2048, 1 << 17])
_SAMPLE = np.array([0, 3, 7, 15, 31, 127])
_LEVELS = np.array([0, 2, 3, 3, 3, 5])


@dataclass(frozen=True)
class Order:
    """How to bring rows into sorted order: a secret shuffle, then a public permutation.

    Attributes
    ----------
    shuffle : Shuffle
    place : ndarray of uint32, shape [n]
        The shuffled row at each sorted place; uniform whatever the keys are.
    """

    shuffle: Shuffle
    place: Index

    def apply(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Bring other columns into the sorted order. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return permute_public(self.shuffle.apply(party, columns), self.place)

    def undo(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Bring columns in sorted order back to the original one. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return self.shuffle.undo(party, permute_public(columns, invert_var(self.place)))


class Sorted(NamedTuple):
    """Sorted rows, and how they moved."""

    key: Bits
    payload: list[Column]
    order: Order


def sort_rows(party: Replicated, key: Bits, payload: Sequence[Column] = (), *, link: Link = LAN) -> Sorted:
    """Sort rows by a secret key, ascending and stable. Expected cost: :func:`~.bit_cost.sort_cost`.

    Several keys are one: put their planes together (:func:`~.bits.concat`), the least significant key first. For
    descending order complement the key (:func:`~.bits.not_`).

    Parameters
    ----------
    party : Replicated
    key : Bits
    payload : sequence of pairs uint64[n, 2] or Bits
        Moved with the key, in the messages of the same shuffle.
    link : Link
        What rounds and bytes cost; the same at all parties.

    Returns
    -------
    Sorted

    Notes
    -----
    Discloses nothing: all that is opened is the order of a uniform permutation.
    """
    rows = key.rows
    shuffle = Shuffle.draw(party, rows)
    number = constant(party, np.arange(rows), max(1, (rows - 1).bit_length()))
    moved = shuffle.apply(party, [concat([number, key]), *payload])
    whole = moved[0]
    assert isinstance(whole, Bits)
    packed = planes_to_rows(whole.own, rows), planes_to_rows(whole.next, rows)
    place = rank_rows(Opened(party, whole.bits, link), *packed, spare=spare_comparisons(whole.bits, link))
    sorted_ = permute_public([whole, *moved[1:]], place)
    key_again = sorted_[0]
    assert isinstance(key_again, Bits)
    return Sorted(key_again.planes(slice(number.bits, None)), sorted_[1:], Order(shuffle, place))


def sort_order(party: Replicated, key: Bits, *, link: Link = LAN) -> Order:
    """Return the order that sorts a key, to be applied to columns later; see :func:`sort_rows`."""
    return sort_rows(party, key, link=link).order


class Opened:
    """Compares rows by their low `bits` bits; see :class:`Compare`.

    The planes of the right side are made once for several comparisons with it, and memory is used again.
    """

    def __init__(self, party: Replicated, bits: int, link: Link) -> None:
        self._party, self._bits, self._link = party, bits, link
        self._store = [np.empty(0, np.uint64)] * 4
        self._size = 0

    def fix(self, own: Words, after: Words, right: Index) -> None:
        """Take rows, and those that stand on the right side from now on."""
        self._size = len(right)
        self._rows = own, after
        words = plane_words(self._size)
        size = self._bits * words
        if self._store[0].size < size:
            self._store = [np.empty(size, np.uint64) for _ in range(4)]
        self._planes = [part[:size].reshape(self._bits, words) for part in self._store]
        self._how = plan(self._bits, words, self._link)
        for rows, second in zip(self._rows, self._planes[2:], strict=True):
            pick_planes_var(rows, right, order=self._how.order, out=second)

    def less(self, left: Index) -> Words:
        """Compare left rows with the right ones, and open the results. Cost: :func:`~.bit_cost.opened_cost`."""
        same0, same1, second0, second1 = self._planes
        flip0, flip1 = flips(self._party)
        order = self._how.order
        pick_planes_var(self._rows[0], left, order=order, other=second0, flip=flip0, out=same0)
        pick_planes_var(self._rows[1], left, order=order, other=second1, flip=flip1, out=same1)
        d0, d1, b0, b1 = (planes.reshape(-1) for planes in self._planes)
        part = first_difference(self._party, self._how, (d0, d1), (b0, b1), same0.shape[1])
        return _open_part(self._party, part)


def _open_part(party: Replicated, part: Words) -> Words:
    """Open a masked XOR sharing: one message to each of the other two."""
    others = (party.rank - 1) % 3, (party.rank + 1) % 3
    for other in others:
        party.send(other, part)
    opened = part.copy()
    for other in others:
        opened ^= np.frombuffer(party.recv(other, part.nbytes), np.uint64)
    return opened


def unpack_results(words: Words, count: int) -> NDArray[np.uint8]:
    """Return opened results, bit i % 64 of word i // 64, as 0 and 1."""
    return np.unpackbits(words.view(np.uint8), count=count, bitorder="little")


def spare_comparisons(bits: int, link: Link = LAN) -> int:
    """Return how many comparisons cost as much as the rounds of one step: so many are worth saving a step."""
    how = plan(bits, 1 << 11, link)
    return min(1 << 20, int(8 * how.rounds * link.round_trip / (how.ands * link.byte + 1e-30)))


def rank_rows(compare: Compare, own: Words, after: Words, *, spare: int = 0) -> Index:
    """Sort rows by an opened comparison; rows must be distinct and in uniformly random order.

    Parameters
    ----------
    compare : Compare
    own, after : ndarray of uint64, shape [n, width]
        Handed to `compare`, rearranged.
    spare : int
        Compare all pairs that are left in one step once they are so few.

    Returns
    -------
    ndarray of uint32, shape [n]
        The row at each sorted place.
    """
    rows = len(own)
    place = np.zeros(rows, np.uint32)
    slot = np.arange(rows, dtype=np.uint32)  # the place of each row that is left, in order
    bucket = _Buckets(slot, np.array([rows] if rows > 1 else [], np.int64), own, after, spare)
    while bucket.sizes.size:
        order, start = group_order_var(*bucket.split(compare))
        row = compose_var(bucket.row, order)
        sizes = np.diff(start.astype(np.int64))
        sizes = sizes[sizes > 0]
        done = np.repeat(sizes == 1, sizes)
        place[slot[done]] = row[done]
        if done.any():
            rest = ~done
            slot, order, row = slot[rest], order[rest], row[rest]
        moved, moved_next = (gather_rows_var(part, order) for part in (bucket.own, bucket.after))
        bucket = _Buckets(row, sizes[sizes > 1], moved, moved_next, spare)
    return place


class _Buckets:
    """Rows in buckets that are in order among each other; rows within a bucket are in random order.

    Attributes
    ----------
    row : ndarray of uint32
        Original number of each row.
    sizes : ndarray of int64
        Rows of each bucket, at least 2.
    own, after : ndarray of uint64
        Packed rows.
    """

    def __init__(self, row: Index, sizes: NDArray[np.int64], own: Words, after: Words, spare: int) -> None:
        self.row, self.sizes, self.own, self.after = row, sizes, own, after
        self.starts = np.cumsum(sizes) - sizes
        kind = np.searchsorted(_CLASSES, sizes, side="right") - 1
        if int((sizes * (sizes - 1)).sum()) <= 2 * max(FINISH // 2 * len(row), spare) and (sizes <= 2048).all():
            kind[...] = 0  # few rows are left: one step instead of several
        self.levels = _LEVELS[kind]
        self.sample = np.where(kind == 0, sizes, _SAMPLE[kind])

    def split(self, compare: Compare) -> tuple[Index, int]:
        """Compare once more; return each row's group, groups ascending as the keys are, and their number."""
        span = np.where(self.levels == 0, self.sizes, 2 << self.levels)
        base = np.cumsum(span) - span
        group = np.empty(len(self.row), np.uint32)
        ranks = self._rank_samples(compare)
        where = _ranges(self.starts, self.sample)
        at = np.repeat(np.arange(len(self.sizes)), self.sample)
        levels = self.levels[at]
        step = np.where(levels == 0, 1, (self.sample[at] + 1) >> levels)
        leaf = ranks // step
        pivot = ((ranks + 1) % step == 0) & (leaf < (1 << levels) - 1)
        group[where] = base[at] + np.where(levels > 0, 2 * leaf + pivot, ranks)
        if levels.any():
            self._descend(compare, group, base, where[pivot], at[pivot], leaf[pivot])
        return group, int(span.sum())

    def _rank_samples(self, compare: Compare) -> NDArray[np.int64]:
        """Rank the first rows of every bucket by comparing all pairs; bucket after bucket."""
        counts = np.unique(self.sample)
        pairs = {int(c): np.triu_indices(int(c), 1) for c in counts}
        heads = {c: self.starts[self.sample == c] for c in pairs}
        left, right = (
            np.concatenate([(heads[c][:, None] + pairs[c][side]).ravel() for c in pairs]).astype(np.uint32)
            for side in (0, 1)
        )
        compare.fix(self.own, self.after, right)
        less = unpack_results(compare.less(left), len(left))
        ranks = np.zeros(int(self.sample.sum()), np.int64)
        offset = np.cumsum(self.sample) - self.sample
        used = 0
        for c, (low, high) in pairs.items():
            size = len(heads[c]) * len(low)
            table = less[used : used + size].reshape(len(heads[c]), len(low))
            used += size
            ranks[(offset[self.sample == c][:, None] + np.arange(c)).ravel()] = _wins(table, low, high, c).ravel()
        return ranks

    def _descend(
        self,
        compare: Compare,
        group: Index,
        base: NDArray[np.int64],
        pivot: NDArray[np.int64],
        at: NDArray[np.int64],
        leaf: NDArray[np.int64],
    ) -> None:
        """Set the groups of all rows outside the samples: the bucket's base and twice the place among its pivots."""
        fan = 1 << self.levels
        tree = np.cumsum(fan) - fan
        table = np.zeros(int(fan.sum()), np.uint32)
        table[tree[at] + leaf] = pivot  # pivot number i of a bucket, ascending
        deepest_first = np.argsort(-self.levels, kind="stable")
        picked = deepest_first[: np.count_nonzero(self.levels)]
        rest = (self.sizes - self.sample)[picked]
        row = _ranges((self.starts + self.sample)[picked], rest)
        found = np.repeat(tree[picked].astype(np.uint32), rest)
        fixed = 0  # rows that take part: more and more from step to step
        for depth in range(int(self.levels.max()), 0, -1):
            count = int(rest[self.levels[picked] >= depth].sum())
            if count != fixed:
                compare.fix(self.own, self.after, row[:count])
                fixed = count
            half = np.uint32(1 << (depth - 1))
            place = found[:count]
            less = compare.less(compose_var(table, place + (half - np.uint32(1))))
            place += np.multiply(unpack_results(less, count), half, dtype=np.uint32)
        found <<= np.uint32(1)
        found += np.repeat((base - 2 * tree)[picked].astype(np.uint32), rest)
        group[row] = found


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Index:
    """Numbers starts[i], ..., starts[i] + counts[i] - 1 for all i."""
    before = np.cumsum(counts) - counts
    numbers = np.arange(int(counts.sum()), dtype=np.uint32)
    numbers += np.repeat((starts - before).astype(np.uint32), counts)  # mod 2^32
    return numbers


def _wins(less: NDArray[np.uint8], low: NDArray[np.intp], high: NDArray[np.intp], count: int) -> NDArray[np.int64]:
    """Ranks in each of many lists from the results of all pairs low < high."""
    if count > 64:
        wins = np.zeros((len(less), count, count), np.uint8)
        wins[:, low, high] = less
        wins[:, high, low] = 1 - less
        beaten: NDArray[np.int64] = wins.sum(axis=1, dtype=np.int64)
        return beaten
    turn = np.zeros((len(low), count), np.float32)
    turn[np.arange(len(low)), high] = 1
    turn[np.arange(len(low)), low] = -1
    ahead = np.bincount(low, minlength=count)
    ranks: NDArray[np.int64] = (less.astype(np.float32) @ turn).astype(np.int64) + ahead
    return ranks
