"""Sorting by comparisons that may be opened: shuffle, compare, and rank in the clear.

Hamada, Kikuchi, Ikarashi, Chida, Takahashi, "Practically Efficient Multi-Party Sorting Protocols from Comparison Sort
Algorithms" (ICISC 2012): after a shuffle that nobody knows, the results of comparisons may be opened. Here every key is
followed by its row number, so all keys differ: the order of the shuffled keys is then a uniform permutation whatever
the keys are, and so is everything that is computed from it, message sizes and running time included. The row number
also makes the sort stable.

The comparisons are those of a sample sort, all buckets at once: a few rows of each bucket are compared with each other,
evenly spaced ones become pivots, the other rows are placed among them by binary search; buckets of a few rows are
finished by comparing all pairs. That takes about 1.1 n log2 n comparisons in fewer than 30 steps for a million rows. A
comparison costs 1 to 1.2 AND gates a bit (:mod:`.compare`), so about 23 bytes of all parties for 50 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.bits import Bits, Words, concat, constant, flips
from mpc_engine.runtime.replicated.compare import first_difference, plan
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.shuffle import Column, Index, Shuffle, permute_public
from mpc_kernels.bits import pick_pairs_var, plane_words, planes_to_rows, rows_to_planes
from mpc_kernels.permute import gather_rows_var, invert_var
from mpc_kernels.rank import Buckets, Left, step_down

__all__ = [
    "Compare",
    "Opened",
    "Order",
    "Sorted",
    "pack_rows",
    "rank_rows",
    "sort_order",
    "sort_rows",
    "spare_comparisons",
    "unpack_results",
    "unpack_rows",
]


class Compare(Protocol):
    """Compares packed rows and opens the results."""

    def fix(self, rows: Words, right: Index) -> None:
        """Take packed rows [n, width], and those that stand on the right side from now on."""

    def less(self, left: Index) -> Words:
        """Return, opened, whether each left row is less than the right row beside it: bit i % 64 of word i // 64."""
        ...


FINISH = 8
"""Buckets of at most so many rows are finished by comparing all pairs."""

_CLASSES = np.array([0, FINISH + 1, 32, 256, 2048, 1 << 17])
_SAMPLE = np.array([0, 3, 7, 15, 31, 127], np.uint32)
_LEVELS = np.array([0, 2, 3, 3, 3, 5], np.uint32)


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


def sort_rows(party: Replicated, key: Bits, payload: Sequence[Column] = ()) -> Sorted:
    """Sort rows by a secret key, ascending and stable. Expected cost: :func:`~.bit_cost.sort_cost`.

    Several keys are one: put their planes together (:func:`~.bits.concat`), the least significant key first. For
    descending order complement the key (:func:`~.bits.not_`).

    Parameters
    ----------
    party : Replicated
    key : Bits
    payload : sequence of pairs uint64[n, 2] or Bits
        Moved with the key, in the messages of the same shuffle.

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
    packed = pack_rows(whole)
    place = rank_rows(Opened(party, whole.bits), packed, spare=spare_comparisons(whole.bits, party.link))
    key_again = unpack_rows(gather_rows_var(packed, place), np.arange(number.bits, whole.bits, dtype=np.uint32))
    return Sorted(key_again, permute_public(moved[1:], place), Order(shuffle, place))


def sort_order(party: Replicated, key: Bits) -> Order:
    """Return the order that sorts a key, to be applied to columns later; see :func:`sort_rows`."""
    return sort_rows(party, key).order


class Opened:
    """Compares rows by their low `bits` bits; see :class:`Compare`.

    The planes of the right side are made once for several comparisons with it, and memory is used again.
    """

    def __init__(self, party: Replicated, bits: int) -> None:
        self._party, self._bits = party, bits
        self._store = [np.empty(0, np.uint64)] * 2

    def fix(self, rows: Words, right: Index) -> None:
        """Take rows (:func:`pack_rows`), and those that stand on the right side from now on."""
        words = plane_words(len(right))
        self._rows, self._how = rows, plan(self._bits, words, self._party.link, ties=False)
        size = self._how.planes * words
        if self._store[0].size < size:
            self._store = [np.empty(size, np.uint64) for _ in range(2)]
        own, after = (part[:size].reshape(self._how.planes, words) for part in self._store)
        self._planes = own, after
        second = slice(self._bits, 2 * self._bits)
        self._same, self._second = (own[: self._bits], after[: self._bits]), (own[second], after[second])
        pick_pairs_var(rows, right, order=self._how.order, out=self._second)

    def less(self, left: Index) -> Words:
        """Compare left rows with the right ones, and open the results. Cost: :func:`~.bit_cost.opened_cost`."""
        flip = flips(self._party)
        pick_pairs_var(self._rows, left, order=self._how.order, other=self._second, flip=flip, out=self._same)
        return _open_part(self._party, first_difference(self._party, self._how, self._planes))


def pack_rows(x: Bits) -> Words:
    """Return both components of each row side by side, as :class:`Opened` takes them: [n, 2 * width]."""
    return np.hstack([planes_to_rows(np.ascontiguousarray(planes), x.rows) for planes in (x.own, x.next)])


def unpack_rows(rows: Words, order: NDArray[np.uint32]) -> Bits:
    """Return planes of packed rows: plane j is bit order[j] of each component."""
    second = order + np.uint32(32 * rows.shape[1])
    own, after = (rows_to_planes(rows, len(order), order=which) for which in (order, second))
    return Bits(own, after, len(rows))


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


def spare_comparisons(bits: int, link: Link = NEAR) -> int:
    """Return how many comparisons cost as much as the rounds of one step: so many are worth saving a step."""
    how = plan(bits, 1 << 11, link, ties=False)
    return min(1 << 20, int(8 * how.rounds * link.round_trip / (how.ands * link.byte + 1e-30)))


def rank_rows(compare: Compare, rows: Words, *, spare: int = 0) -> Index:
    """Sort rows by an opened comparison; rows must be distinct and in uniformly random order.

    Parameters
    ----------
    compare : Compare
    rows : ndarray of uint64, shape [n, width]
        Handed to `compare`, rearranged.
    spare : int
        Compare all pairs that are left in one step once they are so few.

    Returns
    -------
    ndarray of uint32, shape [n]
        The row at each sorted place.
    """
    place = np.zeros(len(rows), np.uint32)
    number = np.arange(len(rows), dtype=np.uint32)
    left = Left(rows, number, number, np.array([len(rows)] if len(rows) > 1 else [], np.uint32))
    while left.sizes.size:
        buckets = _cut(left.sizes, spare)
        pairs = buckets.sample_pairs()
        compare.fix(left.rows, pairs[1])
        buckets.place_samples(compare.less(pairs[0]))
        if buckets.levels.any():
            _descend(compare, left.rows, buckets)
        left = buckets.regroup(left, place)
    place[left.slot] = left.row  # the one row of a table of one
    return place


def _cut(sizes: Index, spare: int) -> Buckets:
    """Choose samples and pivots."""
    kind = np.searchsorted(_CLASSES, sizes, side="right") - 1
    wide = sizes.astype(np.int64)
    if int((wide * (wide - 1)).sum()) <= 2 * max(FINISH // 2 * int(wide.sum()), spare) and (sizes <= 2048).all():
        kind[...] = 0  # few rows are left: one step instead of several
    return Buckets(sizes, np.where(kind == 0, sizes, _SAMPLE[kind]), _LEVELS[kind])


def _descend(compare: Compare, rows: Words, buckets: Buckets) -> None:
    """Place all rows outside the samples among the pivots of their bucket."""
    deepest_first = np.argsort(-buckets.levels.astype(np.int64), kind="stable").astype(np.uint32)
    picked = deepest_first[: np.count_nonzero(buckets.levels)]
    row, found = buckets.rest(picked)
    ends = np.cumsum(buckets.rests(picked))
    levels = buckets.levels[picked]
    fixed = 0  # rows that take part: more and more from step to step
    for depth in range(int(levels.max()), 0, -1):
        count = int(ends[np.count_nonzero(levels >= depth) - 1])
        if count != fixed:
            compare.fix(rows, row[:count])
            fixed = count
        half = 1 << (depth - 1)
        step_down(compare.less(buckets.look_up(found[:count], half - 1)), half, found[:count])
    buckets.place_rest(found, picked)
