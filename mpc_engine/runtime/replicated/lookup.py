"""Lookup: every row of one side fetches the row of the other side with its key; oblivious joins are made of it.

By sorting, after ePrint 2024/141 (Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida: "Secure Statistical Analysis on
Multiple Datasets: Join and Group-By", ACM CCS 2023): stack the left rows and the right rows, sort them stably by key,
so that a right row stands below the left rows with its key; write into each left row the difference between its payload
and that of the left row above it, into right rows 0; running sums then give every right row the payload of the nearest
left row above it. Undo the sort. The key is carried like the payload; a right row has found a left row if the keys are
equal. The paper stacks the left rows twice instead, with the second copy negative. Here the left rows' order among each
other, which the differences need, is found by counting: a running sum of ones, brought back to the left rows, ranks
them, and opened after a shuffle the ranks are a uniform permutation.

All of this is linear but the comparisons: the payload passes four shuffles as a sharing of two parties
(:class:`~.shuffle.Passage`), 64 bytes a left row and 48 a right row of each column, in five rounds.

By comparing, for few left rows: the equality of every left row with every right row, and one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

import mpc_kernels
from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, from_public, open_all
from mpc_engine.runtime.replicated.bit_cost import and_cost, equal_cost, inject_cost, shuffle_cost, sort_cost
from mpc_engine.runtime.replicated.bit_rows import stack_rows
from mpc_engine.runtime.replicated.bits import Bits, Words, concat, constant, reshare_bits, zero_bits
from mpc_engine.runtime.replicated.compare import equal
from mpc_engine.runtime.replicated.convert import inject
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, multiply_cost, open_cost
from mpc_engine.runtime.replicated.shuffle import BACKWARD, FORWARD, Column, Index, Passage, Shuffle
from mpc_engine.runtime.replicated.sort import Order, sort_order
from mpc_kernels.bits import and_local, plane_words, rows_to_planes
from mpc_kernels.permute import invert_var

__all__ = ["Found", "choose", "lookup", "lookup_cost"]

Method = Literal["compare", "sort"]


class Found(NamedTuple):
    """What the right rows found on the left, in the order of the right rows.

    Attributes
    ----------
    match : Bits
        One plane: whether there is a left row with the key.
    columns : list of pairs uint64[right rows, 2] or Bits
        Payload of the last left row with the key. Where there is none: of some other left row, or 0.
    """

    match: Bits
    columns: list[Column]


def lookup(
    party: Replicated,
    left: Bits,
    right: Bits,
    payload: Sequence[Column] = (),
    *,
    method: Method | None = None,
) -> Found:
    """Give every right row the payload of the last left row with its key. Expected cost: :func:`lookup_cost`.

    Parameters
    ----------
    party : Replicated
    left, right : Bits
        Keys, of as many bits; both sides may repeat them.
    payload : sequence of pairs uint64[left rows, 2] or Bits
        Columns of the left side.
    method : {"compare", "sort"}, optional
        :func:`choose` by default.

    Returns
    -------
    Found
        Exact mod 2^64.

    Notes
    -----
    Discloses nothing, not even how many rows match. A row that shall match nothing gets a bit on top of its key that no
    row of the other side has.
    """
    if left.bits != right.bits or left.bits < 1 or any(_length(column) != left.rows for column in payload):
        raise ValueError(
            f"need keys of as many bits, not {left.bits} and {right.bits}, and payload of {left.rows} rows"
        )
    if not left.rows or not right.rows:
        return Found(_zeros(right.rows, 1), [_nothing(column, right.rows) for column in payload])
    widths = [column.bits if isinstance(column, Bits) else None for column in payload]
    if (method or choose(left.rows, right.rows, left.bits, widths, party.link)) == "compare":
        return _by_comparing(party, left, right, payload)
    return _by_sorting(party, left, right, payload)


def _length(column: Column) -> int:
    return column.rows if isinstance(column, Bits) else len(column)


def _zeros(rows: int, bits: int) -> Bits:
    nothing = np.zeros((bits, plane_words(rows)), np.uint64)
    return Bits(nothing, nothing, rows)


def _nothing(column: Column, rows: int) -> Column:
    return _zeros(rows, column.bits) if isinstance(column, Bits) else np.zeros((rows, 2), np.uint64)


def _marked(party: Replicated, key: Bits) -> Bits:
    """The key with a bit on top that is 1."""
    return concat([key, constant(party, np.ones(key.rows, np.int64), 1)])


# ---- by sorting


@dataclass(frozen=True)
class _Way:
    """An order, to be passed there and back."""

    order: Order

    def there(self, passage: Passage) -> None:
        passage.through(FORWARD, self.order.shuffle.known)
        passage.pick(self.order.place)

    def back(self, passage: Passage) -> None:
        place, known = self._inverse
        passage.pick(place)
        passage.through(BACKWARD, known)

    @cached_property
    def _inverse(self) -> tuple[Index, dict[int, Index]]:
        known = {c: invert_var(p) for c, p in self.order.shuffle.known.items()}
        return invert_var(self.order.place), known


def _by_sorting(party: Replicated, left: Bits, right: Bits, payload: Sequence[Column]) -> Found:
    rows = left.rows + right.rows
    whole = _Way(sort_order(party, stack_rows([left, right])))
    inner = _Way(_left_order(party, whole, left.rows, rows))
    passage = Passage(party, [*payload, _marked(party, left)], left.rows)
    inner.there(passage)
    passage.change(_differences, left.rows, bits=lambda x: _differences(x, np.bitwise_xor))
    inner.back(passage)
    passage.change(lambda x: np.concatenate([x, np.zeros((right.rows, x.shape[1]), np.uint64)]), rows)
    whole.there(passage)
    _add_up(passage)
    whole.back(passage)
    passage.change(lambda x: np.ascontiguousarray(x[left.rows :]), right.rows)
    *columns, key = passage.arrive()
    assert isinstance(key, Bits)
    return Found(equal(party, key, _marked(party, right)), columns)


def _left_order(party: Replicated, whole: _Way, left: int, rows: int) -> Order:
    """The order of the left rows among each other: six rounds instead of a sort."""
    passage = Passage(party, [from_public(party, np.arange(rows) < left)], rows)
    whole.there(passage)
    _add_up(passage)
    whole.back(passage)
    passage.change(lambda x: np.ascontiguousarray(x[:left]), left)
    (count,) = passage.arrive()
    assert not isinstance(count, Bits)
    shuffle = Shuffle.draw(party, left)
    (rank,) = shuffle.apply(party, [add_public(party, count, -1)])
    assert not isinstance(rank, Bits)
    return Order(shuffle, invert_var(open_all(party, rank).astype(np.uint32)))


def _add_up(passage: Passage) -> None:
    passage.change(mpc_kernels.prefix_sum, passage.rows, bits=lambda x: np.bitwise_xor.accumulate(x, axis=0))


def _differences(x: Words, minus: np.ufunc = np.subtract) -> Words:
    out = x.copy()
    minus(x[1:], x[:-1], out=out[1:])
    return out


# ---- by comparing


def _by_comparing(party: Replicated, left: Bits, right: Bits, payload: Sequence[Column]) -> Found:
    hit = _matches(party, concat([left, _last(party, left)]), _marked(party, right))  # at most one left row hits
    own, after = (np.bitwise_xor.reduce(component, axis=0, keepdims=True) for component in (hit.own, hit.next))
    numbers = iter(_picked(party, hit, [column for column in payload if not isinstance(column, Bits)]))
    planes = iter(_picked_bits(party, hit, [column for column in payload if isinstance(column, Bits)]))
    columns: list[Column] = [next(planes) if isinstance(column, Bits) else next(numbers) for column in payload]
    return Found(Bits(own, after, right.rows), columns)


def _matches(party: Replicated, left: Bits, right: Bits) -> Bits:
    """A plane for every left row: which right rows have its key."""
    words = plane_words(right.rows)
    rows = 64 * left.rows * words
    tiled = Bits(np.tile(right.own, left.rows), np.tile(right.next, left.rows), rows)
    same = equal(party, Bits(_spread(left.own, left.rows, words), _spread(left.next, left.rows, words), rows), tiled)
    return Bits(same.own.reshape(left.rows, words), same.next.reshape(left.rows, words), right.rows)


def _spread(planes: Words, rows: int, words: int) -> Words:
    """Every bit as so many words of it."""
    octets = np.ascontiguousarray(planes).view(np.uint8)
    bits = np.unpackbits(octets, axis=1, count=rows, bitorder="little").astype(np.uint64)
    return np.repeat(np.uint64(0) - bits, words, axis=1)


def _last(party: Replicated, key: Bits) -> Bits:
    """One plane: whether no later row has the same key."""
    same = _matches(party, key, key)
    number = np.arange(key.rows)
    earlier = np.concatenate([rows_to_planes((number < row).astype(np.uint64)[:, None], 1) for row in number])
    return equal(party, Bits(same.own & earlier, same.next & earlier, key.rows), _zeros(key.rows, key.rows))


def _picked(party: Replicated, hit: Bits, columns: Sequence[Pairs]) -> list[Pairs]:
    if not columns:
        return []
    ones = np.ascontiguousarray(np.swapaxes(inject(party, hit), 0, 1))
    chosen = party.matmul(ones, np.ascontiguousarray(np.stack(columns, axis=1)))
    return [np.ascontiguousarray(chosen[:, at]) for at in range(len(columns))]


def _picked_bits(party: Replicated, hit: Bits, columns: Sequence[Bits]) -> list[Bits]:
    if not columns:
        return []
    table = concat(columns)
    words = hit.own.shape[1]
    parts = zero_bits(party, table.bits * words).reshape(table.bits, words)
    flat = [np.ascontiguousarray(planes).reshape(-1) for planes in (hit.own, hit.next)]
    for at in range(table.bits):
        bit = (_spread(planes[at : at + 1], table.rows, words)[0] for planes in (table.own, table.next))
        products = and_local(*flat, *bit, mask=np.zeros(hit.own.size, np.uint64), out=np.empty(hit.own.size, np.uint64))
        parts[at] ^= np.bitwise_xor.reduce(products.reshape(hit.own.shape), axis=0)
    chosen = reshare_bits(party, parts, hit.rows)
    stops = np.cumsum([column.bits for column in columns])
    return [
        chosen.planes(slice(int(stop) - column.bits, int(stop))) for column, stop in zip(columns, stops, strict=True)
    ]


# ---- costs


def lookup_cost(
    left: int,
    right: int,
    bits: int,
    columns: Sequence[int | None] = (),
    *,
    method: Method | None = None,
    link: Link = NEAR,
) -> PartyCost:
    """Return what :func:`lookup` is expected to cost: exact but for a sort (:func:`~.bit_cost.sort_cost`).

    Parameters
    ----------
    left, right : int
        Rows.
    bits : int
        Of the key.
    columns : sequence of int or None
        Bits of each bit column of the payload, None for an arithmetic one.
    method, link
        As in :func:`lookup`.

    Examples
    --------
    >>> cost = lookup_cost(25_000, 100_000, 32, [None])
    >>> cost.rounds, round(cost.total / 125_000)
    (169, 564)
    """
    if not left or not right:
        return PartyCost(0, (0, 0, 0))
    how = method or choose(left, right, bits, columns, link)
    return (_comparing_cost if how == "compare" else _sorting_cost)(left, right, bits, columns, link)


def _sorting_cost(left: int, right: int, bits: int, columns: Sequence[int | None], link: Link) -> PartyCost:
    # Two messages leave while what comes before them is opened.
    carried = [*columns, bits + 1]
    below, beside, above = (_words(rows, carried) for rows in (left + right, left, right))
    cost = sort_cost(left + right, bits, link=link) + _passage_cost([left + right], left)
    cost += shuffle_cost(left, [None]) + open_cost(left)
    cost += _passage_cost([beside, below], above) + equal_cost(right, bits + 1)
    return PartyCost(cost.rounds - 2, cost.bytes_sent)


def _words(rows: int, columns: Sequence[int | None]) -> int:
    return sum(rows if bits is None else bits * plane_words(rows) for bits in columns)


def _passage_cost(between: Sequence[int], end: int) -> PartyCost:
    """Cost of ways there and back with so many words in between, and so many at the end."""
    moved = 8 * sum(between)
    return PartyCost(2 * len(between) + 1, (2 * moved + 8 * end, moved + 8 * end, moved))


def _comparing_cost(left: int, right: int, bits: int, columns: Sequence[int | None], link: Link) -> PartyCost:
    cost = equal_cost(64 * left * plane_words(left), bits) + equal_cost(left, left)
    cost += equal_cost(64 * left * plane_words(right), bits + 1)
    numbers, planes = columns.count(None), sum(width for width in columns if width is not None)
    if numbers:
        cost += inject_cost(right, left) + multiply_cost(right * numbers)
    return cost + and_cost(right, planes) if planes else cost


_LOCAL: dict[Method, Link] = {"compare": Link(1e-4, 3.3e-9), "sort": Link(1e-4, 2.5e-9)}
"""Seconds of one party's own work for each round and each byte it sends, from the processor time of lookups of 5,000
and 60,000 rows among 2 to 32."""
_MOST_LEFT, _MOST_PAIRS = 64, 1 << 24
"""Limits of comparing all pairs: it holds a few words for each."""


def choose(left: int, right: int, bits: int, columns: Sequence[int | None] = (), link: Link = NEAR) -> Method:
    """Return which method takes less time by declared cost and local work.

    Examples
    --------
    >>> choose(5, 60_000, 32, [None]), choose(100, 60_000, 32, [None])
    ('compare', 'sort')
    """

    def seconds(method: Method) -> float:
        cost, local = lookup_cost(left, right, bits, columns, method=method, link=link), _LOCAL[method]
        return cost.rounds * (local.round_trip + link.round_trip) + max(cost.bytes_sent) * (local.byte + link.byte)

    methods: tuple[Method, ...] = ("sort", "compare")
    if left > _MOST_LEFT or left * right > _MOST_PAIRS:
        methods = ("sort",)
    return min(methods, key=seconds)
