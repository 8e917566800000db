"""The k largest or smallest rows, without sorting the others: about one comparison a row.

Shuffled rows with distinct keys may be compared in the open (:mod:`.sort`), so selection runs as in the clear: a sample
is ranked, the row of the sample that most likely has the k wanted rows and few others below it becomes the pivot, all
rows are compared with it, and those below it are left; again while that pays, then what is left is sorted (Floyd,
Rivest, "Expected Time Bounds for Selection", CACM 1975, with one pivot instead of two, as the wanted rows are to be
sorted anyway). Everything that is opened, and how long it takes, follows from a uniform permutation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import ceil, log2, sqrt
from typing import NamedTuple

import numpy as np

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.bit_cost import comparisons, opened_cost, rank_cost, shuffle_cost
from mpc_engine.runtime.replicated.bits import Bits, Words, concat, constant, not_
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from mpc_engine.runtime.replicated.shuffle import Column, Index, Shuffle, permute_public
from mpc_engine.runtime.replicated.sort import Compare, Opened, pack_rows, rank_rows, spare_comparisons, unpack_results
from mpc_kernels.permute import gather_rows_var

__all__ = ["Top", "top_k", "top_k_cost"]


class Top(NamedTuple):
    """The k first rows, in order.

    Attributes
    ----------
    key : Bits
    payload : list
        Columns, in the order they were given.
    row : Bits
        Number of the row in the table, from 0.
    """

    key: Bits
    payload: list[Column]
    row: Bits


def top_k(
    party: Replicated,
    key: Bits,
    payload: Sequence[Column] = (),
    *,
    k: int,
    largest: bool = True,
) -> Top:
    """Return the k rows with the largest or the smallest keys, in order. Expected cost: :func:`top_k_cost`.

    Parameters
    ----------
    party : Replicated
    key : Bits
        n rows, unsigned; see :func:`~.sort.sort_rows` for several keys. Rows with equal keys come in their old order.
    payload : sequence of pairs uint64[n, 2] or Bits
    k : int
        Public, at least 1; n rows are returned if they are fewer.
    largest : bool
        Largest keys, the largest first, or smallest keys, the smallest first.

    Returns
    -------
    Top

    Notes
    -----
    Discloses nothing: all that is opened follows from a uniform permutation.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    rows = key.rows
    number = constant(party, np.arange(rows), _number_bits(rows))
    shuffle = Shuffle.draw(party, rows)
    moved = shuffle.apply(party, [concat([number, not_(party, key) if largest else key]), *payload])
    whole = moved[0]
    assert isinstance(whole, Bits)
    place = _first(Opened(party, whole.bits), pack_rows(whole), k, spare_comparisons(whole.bits, party.link))
    top = permute_public(moved, place)
    first = top[0]
    assert isinstance(first, Bits)
    found = first.planes(slice(number.bits, None))
    return Top(not_(party, found) if largest else found, top[1:], first.planes(slice(0, number.bits)))


def _number_bits(rows: int) -> int:
    return max(1, (rows - 1).bit_length())


def _first(compare: Compare, rows: Words, k: int, spare: int) -> Index:
    """The k first of shuffled, distinct rows, in order."""
    left = np.arange(len(rows), dtype=np.uint32)
    while (split := _sample(len(left), k, spare)) is not None:
        size, rank = split
        sample, others = left[:size], left[size:]
        order = rank_rows(compare, gather_rows_var(rows, sample), spare=spare)
        compare.fix(rows, np.full(len(others), sample[order[rank]], np.uint32))
        less = unpack_results(compare.less(others), len(others)).astype(np.bool_)
        below = np.concatenate([sample[np.sort(order[: rank + 1])], others[less]])
        if len(below) < k:
            break  # the pivot is one of the k first: rare, see _sample
        left = below
    order = rank_rows(compare, gather_rows_var(rows, left), spare=spare)
    first: Index = left[order[:k]]
    return first


@functools.lru_cache(maxsize=4096)
def _sample(rows: int, k: int, spare: int) -> tuple[int, int] | None:
    """Size of the sample and rank of the pivot in it that leave least to do, or None to sort all rows.

    How many of the k first rows are in the sample is nearly Poisson distributed with mean m = size k / rows; they are
    more than the rank, so that fewer than k rows lie below the pivot, with p < 1e-3: rank >= m + 4 sqrt(m) + 1.
    """
    best, found = _effort(rows, spare), None
    size = 4
    while (size := 2 * size) < rows:
        mean = size * k / rows
        rank = ceil(mean + 4 * sqrt(mean) + 1)
        effort = _effort(size, spare) + rows + spare + _effort(round(_left(rows, size, rank)), spare)
        if rank < size and effort < best:
            best, found = effort, (size, rank)
    return found


def _left(rows: int, size: int, rank: int) -> float:
    """Expected number of rows up to the pivot."""
    return (rows + 1) * (rank + 1) / (size + 1)


def _effort(rows: int, spare: int) -> float:
    """Comparisons of a sort, and its steps, each worth `spare` of them."""
    if rows < 2:
        return 0.0
    expected = comparisons(rows, spare)
    rounds = (
        1.0 if expected == rows * (rows - 1) / 2 else 1.5 * log2(rows)
    )  # small samples did better than `steps` says
    return expected + rounds * spare


def top_k_cost(rows: int, bits: int, columns: Sequence[int | None] = (), *, k: int, link: Link = NEAR) -> PartyCost:
    """Return what :func:`top_k` is expected to cost.

    Exact where all pairs are compared at once, which is up to some hundred rows. Above 20,000 rows, bytes are within
    50 % of it, but in fewer than one of 500 runs, which sort all rows that are left; rounds are within 50 %.

    Parameters
    ----------
    rows, bits : int
        Of the key.
    columns : sequence of int or None
        Payload, as in :func:`~.bit_cost.shuffle_cost`.
    k : int
    link : Link

    Examples
    --------
    >>> cost = top_k_cost(100_000, 32, k=10)
    >>> cost.rounds, round(cost.total / 100_000)
    (32, 56)
    """
    wide = bits + _number_bits(rows)
    cost = shuffle_cost(rows, [wide, *columns])
    spare = spare_comparisons(wide, link)
    left = rows
    while (split := _sample(left, k, spare)) is not None:
        size, rank = split
        cost += rank_cost(size, wide, link) + opened_cost(left - size, wide, link)
        left = round(_left(left, size, rank))
    return cost + rank_cost(left, wide, link)
