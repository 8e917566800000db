"""Group-by: sums, counts, minima and maxima of groups by a secret key, with one sort and no multiplication of values.

Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida, "Secure Statistical Analysis on Multiple Datasets: Join and Group-By"
(ACM CCS 2023) and ePrint 2024/141: sort by the key, rows that are not valid last; running sums are local; flag the last
row of each group, bring the flagged rows to the front in one compaction, and subtract neighbours, locally. Counts are
sums of ones. A column whose extremes are asked is appended to the sort key as its least significant part: the first and
the last row of a group have them. Further columns take a sort of their own, in which the groups lie at the same rows,
or a scan (:mod:`.minmax_scan`): :func:`sorted_extremes` picks by declared cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.arithmetic import Pairs, from_public, multiply
from mpc_engine.runtime.replicated.bit_cost import and_cost, compact_cost, equal_cost, inject_cost, sort_cost
from mpc_engine.runtime.replicated.bit_rows import clear_row, head_rows, next_row, previous_row
from mpc_engine.runtime.replicated.bits import Bits, and_, concat, not_
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.compare import equal
from mpc_engine.runtime.replicated.convert import inject
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, multiply_cost
from mpc_engine.runtime.replicated.minmax_scan import Op, extreme_scan, extreme_scan_cost
from mpc_engine.runtime.replicated.scan import prefix_sum
from mpc_engine.runtime.replicated.sort import sort_rows

__all__ = [
    "Extreme",
    "Groups",
    "blank_rest",
    "blank_rest_cost",
    "group_by",
    "group_by_cost",
    "sorted_extremes",
]


@dataclass(frozen=True)
class Extreme:
    """A column whose extremes are asked.

    Attributes
    ----------
    value : Bits
        Unsigned; for numbers in ``[low, low + 2**bits)``, ``a2b(party, add_public(party, x, -low), bits)``.
    ops : tuple of {"min", "max"}
    """

    value: Bits
    ops: tuple[Op, ...] = ("min", "max")

    def __post_init__(self) -> None:
        if not self.ops or not set(self.ops) <= {"min", "max"}:
            raise ValueError(f"ops must be 'min', 'max' or both, not {self.ops}")


@dataclass(frozen=True)
class Groups:
    """Groups in ascending order of the key, one a row.

    Rows past the last group hold leftovers of single rows: never open them (:func:`blank_rest`).

    Attributes
    ----------
    valid : Bits
        One plane: whether the row is a group.
    key : Bits
    count : ndarray of uint64, shape [n, 2]
        Pairs: rows of each group.
    sums : list of ndarray of uint64, shape [n, 2]
        Exact mod 2^64.
    extremes : list of tuple of Bits
        Of each :class:`Extreme`, in the order of its `ops`. Planes, which cost least; :func:`~.recompose.recompose`
        makes them numbers.
    """

    valid: Bits
    key: Bits
    count: Pairs
    sums: list[Pairs]
    extremes: list[tuple[Bits, ...]]


def group_by(
    party: Replicated,
    key: Bits,
    sums: Sequence[Pairs] = (),
    extremes: Sequence[Extreme] = (),
    *,
    valid: Bits | None = None,
    groups: int | None = None,
    by_sort: int | None = None,
) -> Groups:
    """Aggregate rows by a secret key. Expected cost: :func:`group_by_cost`.

    Parameters
    ----------
    party : Replicated
    key : Bits
        n rows; several keys are one, see :func:`~.sort.sort_rows`.
    sums : sequence of ndarray of uint64, shape [n, 2]
        Columns to add up.
    extremes : sequence of Extreme
    valid : Bits, optional
        One plane: which rows count. All by default.
    groups : int, optional
        Public bound on the number of groups, n by default: so many rows are returned, groups beyond it are lost.
    by_sort : int, optional
        How many of `extremes`, from the first, are found by sorting; :func:`sorted_extremes` by default.

    Returns
    -------
    Groups

    Notes
    -----
    Discloses nothing, neither the groups' sizes nor their number.
    """
    rows = key.rows
    if key.bits < 1 or any(column.rows != rows for column in (valid or key, *(e.value for e in extremes))):
        raise ValueError(f"need a key of at least one bit, and flags and extremes of its {rows} rows")
    split = by_sort
    if split is None:
        shapes = [(extreme.value.bits, len(extreme.ops)) for extreme in extremes]
        split = sorted_extremes(
            rows, key.bits, sums=len(sums), extremes=shapes, valid=valid is not None, link=party.link
        )
    table = _sort(party, key, sums, extremes, valid, split)
    same = equal(party, table.whole, next_row(table.whole))
    last = not_(party, clear_row(same, rows - 1) if rows else same)
    end = last if valid is None else and_(party, last, not_(party, table.whole.planes([key.bits])))
    carried = _by_position(table.columns[:split], extremes)
    carried += _by_scan(party, last, table.columns[split:], extremes[split:])
    running = [from_public(party, np.arange(1, rows + 1)), *map(prefix_sum, table.sums)]
    planes = [end, table.whole.planes(slice(0, key.bits)), *(column for column, _ in carried)]
    moved, _ = compact(party, end, [*running, *planes])
    kept = rows if groups is None else min(groups, rows)
    count, *totals = [_differences(column[:kept]) for column in moved if not isinstance(column, Bits)]
    flag, least, *found = [head_rows(column, kept) for column in moved if isinstance(column, Bits)]
    firsts = (first for _, first in carried)
    each = iter([x if first is None else previous_row(x, first) for x, first in zip(found, firsts, strict=True)])
    return Groups(flag, least, count, totals, [tuple(next(each) for _ in extreme.ops) for extreme in extremes])


class _Table(NamedTuple):
    """Sorted rows: the key with "not valid" on top, sums, and the extremes' columns."""

    whole: Bits
    sums: list[Pairs]
    columns: list[Bits]


def _sort(
    party: Replicated,
    key: Bits,
    sums: Sequence[Pairs],
    extremes: Sequence[Extreme],
    valid: Bits | None,
    split: int,
) -> _Table:
    """Sort by the key, and within groups by the first `split` columns, each in a sort of its own after the first."""
    top = [key] if valid is None else [key, not_(party, valid)]
    values = [extreme.value for extreme in extremes]
    lead, rest = values[: min(split, 1)], values[split:]
    done = sort_rows(party, concat([*lead, *top]), [*sums, *rest])
    width = sum(value.bits for value in lead)
    columns = [done.key.planes(slice(0, width))] if lead else []
    columns += [sort_rows(party, concat([value, *top])).key.planes(slice(0, value.bits)) for value in values[1:split]]
    columns += [column for column in done.payload if isinstance(column, Bits)]
    return _Table(done.key.planes(slice(width, None)), [x for x in done.payload if not isinstance(x, Bits)], columns)


_Carried = list[tuple[Bits, Bits | None]]
"""What goes along with a group's last row; if it belongs to the group after it, also what the first group has."""


def _by_position(columns: Sequence[Bits], extremes: Sequence[Extreme]) -> _Carried:
    """Extremes of columns that are sorted within groups: the maximum stands in the last row, the minimum after it."""
    pairs = [(column, op) for column, extreme in zip(columns, extremes, strict=False) for op in extreme.ops]
    return [(column, None) if op == "max" else (next_row(column), column) for column, op in pairs]


def _by_scan(party: Replicated, last: Bits, columns: Sequence[Bits], extremes: Sequence[Extreme]) -> _Carried:
    """Extremes by running minima and maxima within the groups, which the rows after last rows start."""
    values = [column for column, extreme in zip(columns, extremes, strict=True) for _ in extreme.ops]
    if not values:
        return []
    ops = [op for extreme in extremes for op in extreme.ops]
    return [(column, None) for column in extreme_scan(party, previous_row(last, last), values, ops)]


def _differences(running: Pairs) -> Pairs:
    out = running.copy()
    out[1:] -= running[:-1]
    return out


def group_by_cost(
    rows: int,
    bits: int,
    *,
    sums: int = 0,
    extremes: Sequence[tuple[int, int]] = (),
    valid: bool = False,
    by_sort: int | None = None,
    link: Link = NEAR,
) -> PartyCost:
    """Return what :func:`group_by` is expected to cost: exact but for the sorts (:func:`~.bit_cost.sort_cost`).

    Parameters
    ----------
    rows, bits : int
        Of the key.
    sums : int
        How many columns are added up.
    extremes : sequence of (int, int)
        Bits of each column whose extremes are asked, and how many they are.
    valid : bool
        Whether there is a flag of rows that count.
    by_sort, link
        As in :func:`group_by`.

    Examples
    --------
    >>> cost = group_by_cost(100_000, 32, sums=1, extremes=[(32, 2)])
    >>> cost.rounds, round(cost.total / 100_000)
    (187, 957)
    """
    split = by_sort
    if split is None:
        split = sorted_extremes(rows, bits, sums=sums, extremes=extremes, valid=valid, link=link)
    whole = bits + valid
    widths = [width for width, _ in extremes]
    cost = sort_cost(rows, whole + sum(widths[: min(split, 1)]), [*[None] * sums, *widths[split:]], link)
    for width in widths[1:split]:
        cost += sort_cost(rows, whole + width, link=link)
    cost += equal_cost(rows, whole)
    if valid:
        cost += and_cost(rows)
    each = [width for width, ops in extremes for _ in range(ops)]
    scanned = [width for width, ops in extremes[split:] for _ in range(ops)]
    if scanned:
        cost += extreme_scan_cost(rows, scanned, link)
    return cost + compact_cost(rows, [*[None] * (1 + sums), 1, bits, *each])


def sorted_extremes(
    rows: int, bits: int, *, sums: int, extremes: Sequence[tuple[int, int]], valid: bool, link: Link = NEAR
) -> int:
    """Return how many of the extremes' columns to sort by, rather than scan: none, one or all, what costs least time.

    Parameters are those of :func:`group_by_cost`.

    Examples
    --------
    >>> few_bytes, few_rounds = Link(0, 1e-9), Link(0.04, 0)
    >>> for link in (few_bytes, few_rounds):
    ...     print(sorted_extremes(10_000, 32, sums=1, extremes=[(32, 2)], valid=False, link=link))
    0
    1
    """

    def seconds(split: int) -> float:
        cost = group_by_cost(rows, bits, sums=sums, extremes=extremes, valid=valid, by_sort=split, link=link)
        return cost.rounds * link.round_trip + max(cost.bytes_sent) * link.byte

    return min({0, min(1, len(extremes)), len(extremes)}, key=seconds)


def blank_rest(party: Replicated, groups: Groups) -> Groups:
    """Return the groups with zeros in the rows past the last, so that all rows may be opened.

    Cost: :func:`blank_rest_cost`.
    """
    flag = groups.valid
    ones = inject(party, flag)[0]
    numbers = np.stack([groups.count, *groups.sums])
    count, *sums = multiply(party, np.ascontiguousarray(np.broadcast_to(ones, numbers.shape)), numbers)
    planes = concat([groups.key, *(column for columns in groups.extremes for column in columns)])
    clear = and_(party, flag.planes(np.zeros(planes.bits, np.intp)), planes)
    at = groups.key.bits
    extremes = []
    for columns in groups.extremes:
        stops = at + np.cumsum([column.bits for column in columns])
        cuts = zip([at, *stops[:-1]], stops, strict=True)
        extremes.append(tuple(clear.planes(slice(int(start), int(stop))) for start, stop in cuts))
        at = int(stops[-1])
    return Groups(flag, clear.planes(slice(0, groups.key.bits)), count, sums, extremes)


def blank_rest_cost(rows: int, bits: int, *, sums: int = 0, extremes: Sequence[tuple[int, int]] = ()) -> PartyCost:
    """Return what :func:`blank_rest` costs for groups in so many rows; see :func:`group_by_cost`."""
    planes = bits + sum(width * ops for width, ops in extremes)
    return inject_cost(rows) + multiply_cost(rows * (1 + sums)) + and_cost(rows, planes)
