"""Group-by over any key domain: one sort, then sums as differences of prefix sums at group ends.

Asharov et al., "Secure statistical analysis on multiple datasets", ePrint 2024/141: after the sort, n equalities, one
compaction and local additions give every sum; nothing is multiplied per aggregate.

Quantiles and distinct values need the rows of a group sorted by the column. One column can be the last key of the sort
by group; each further one takes a sort of its own, by (group, value), in which the groups lie at the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost.primitives import log2_ceil
from mpc_compiler.ops.keys import Code, SortKey, codes_of, width_of, words_of
from mpc_compiler.ops.measures import Extreme, Measures, Ranked, Totals
from mpc_compiler.ops.primitives import compact, decode_fixed, encode_fixed, prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.ranked import Layout, parts_of
from mpc_compiler.ops.segments import ends_of, following, scanned_back
from mpc_compiler.ops.table import Column, both, cleared, column_arrays, either, with_arrays

__all__ = ["sorted_totals"]

Get = Callable[[], Array]


def sorted_totals(
    flag: Array | None,
    codes: Sequence[Code],
    measures: Measures,
    *,
    order: Code | None = None,
    by_value: bool = False,
    ready: bool = False,
) -> Totals:
    """Totals of the keys that occur, in ascending order of the keys.

    Parameters
    ----------
    flag : Array or None
        bool [n], rows that count.
    codes : sequence of Code
        The keys, in their ranges where the row counts.
    measures : Measures
        Of n ≥ 1 rows.
    order : Code or None
        The rows' order, if it is not that of the arrays.
    by_value : bool
        Sort the rows of a group by one of the columns whose MIN and MAX are wanted: they then stand first and last, and
        need no scan. Pays where key bits are cheap.
    ready : bool
        Whether rows that count come first, sorted by the keys.

    Returns
    -------
    Totals
        min(n, product of sizes) rows, existing groups first; `offsets` holds the codes.
    """
    words = words_of(codes, flag)
    orders = measures.ranked or (_extreme_order(measures) if by_value and not ready else ())
    tail = orders[0] if orders and not ready and not measures.by_position else None
    rows = _Rows(flag, codes, words, measures, orders)
    if not ready:
        rows.sort([*(rows.value_codes(tail) if tail else []), *([order] if order and not tail else [])])
    rows.mark_groups()
    for ranked in orders:
        rows.values[ranked.column] = rows.column(ranked.column) if ranked is tail else rows.by_value(ranked)
    return _summarised(rows, orders)


def _extreme_order(measures: Measures) -> tuple[Ranked, ...]:
    """The column without NULLs of which most extremes are wanted."""
    wanted = [e for e in measures.extremes if measures.columns[e.column].valid is None]
    names = [e.column for e in wanted]
    if not wanted or measures.by_position:
        return ()
    first = max(wanted, key=lambda e: names.count(e.column))
    return (Ranked(first.column, SortKey(first.column, lo=first.lo, hi=first.hi), False, ()),)


class _Rows:
    """What is known of each row, before and after the sort by group."""

    def __init__(
        self,
        flag: Array | None,
        codes: Sequence[Code],
        words: Sequence[Code],
        measures: Measures,
        orders: Sequence[Ranked],
    ) -> None:
        self.flag, self.words, self.measures = flag, words, measures
        self.domain = prod(count for _, count in codes)
        # A word that holds one code says it: only codes that share a word move beside it.
        self._apart = len(codes) > 1
        self.codes = [code for code, _ in codes]
        self.summed = measures.summed()
        names = dict.fromkeys([*(e.column for e in measures.extremes), *(r.column for r in orders)])
        self.columns = {name: measures.columns[name] for name in names}
        self.picked = dict(measures.picked)
        self.values: dict[str, Column] = {}
        self._unsorted = (words, dict(self.columns), flag)
        # Where keys are wide, later sorts take numbers of groups instead.
        self._numbered = sum(width_of(count) for _, count in words) > log2_ceil(self.codes[0].shape[0]) + 2

    def column(self, name: str) -> Column:
        """A column whose extremes or order are wanted."""
        return self.columns[name]

    def value_codes(self, ranked: Ranked) -> list[Code]:
        """A column as the last key of a sort."""
        column = self.columns[ranked.column]
        return _of_rows(codes_of(column, ranked.key), self.flag)

    def sort(self, then_by: Sequence[Code]) -> None:
        """Sort everything by group."""
        by = [*self.words, *then_by]
        flags = [] if self.flag is None else [self.flag]
        codes = self.codes if self._apart else []
        groups = [flags, codes, self.summed, column_arrays(self.columns)]
        groups += [column_arrays({"": column}) for column in self.picked.values()]
        moved = _move(by, [array for arrays in groups for array in arrays])
        self.words = [(code, count) for code, (_, count) in zip(moved, self.words, strict=False)]
        rest = iter(moved[len(by) :])
        flags, codes, self.summed, columns, *picked = [[next(rest) for _ in arrays] for arrays in groups]
        self.flag = flags[0] if flags else None
        self.codes = codes if self._apart else [self.words[-1][0]]
        self.columns = with_arrays(self.columns, columns)
        found = zip(self.picked.items(), picked, strict=True)
        self.picked = {key: with_arrays({"": column}, arrays)[""] for (key, column), arrays in found}

    def mark_groups(self) -> None:
        """Find where groups end; rows are sorted."""
        self.layout = Layout(ends_of(self.words))

    def by_value(self, ranked: Ranked) -> Column:
        """The column in the order of (group, value), where groups lie at the same rows."""
        words, columns, flag = self._unsorted
        if self._numbered:
            number = prefix_sum(self.layout.start.astype(jnp.int64)) - 1
            words, columns, flag = [(number, number.shape[0])], self.columns, self.flag
        column = columns[ranked.column]
        by = [*words, *_of_rows(codes_of(column, ranked.key), flag)]
        return with_arrays({"": column}, _move(by, column_arrays({"": column}))[len(by) :])[""]


def _of_rows(codes: Sequence[Code], flag: Array | None) -> list[Code]:
    """Codes of the rows that count; others may hold any value, which would run into the next code of a word."""
    return list(codes) if flag is None else [(jnp.where(flag, code, 0), count) for code, count in codes]


def _move(by: Sequence[Code], arrays: Sequence[Array]) -> list[Array]:
    return list(sort_rows([code for code, _ in by], arrays, [width_of(count) for _, count in by]))


class _Ends:
    """Brings the last rows of groups to the front, and with them what was asked for."""

    def __init__(self, end: Array, flag: Array | None, groups: int) -> None:
        self._arrays = [end] if flag is None else [end, flag]
        self._groups, self._end = groups, end
        self._packed: list[Array] = []

    def last(self, x: Array) -> Get:
        """The value in the last row of each group."""
        place = len(self._arrays)
        self._arrays.append(x)
        return lambda: self._packed[place]

    def first(self, x: Array) -> Get:
        """The value in the first row of each group: the last row before it is told."""
        get = self.last(following(x))
        return lambda: jnp.concatenate([x[:1], get()[:-1]])

    def total(self, x: Array) -> Get:
        """The sum over each group."""
        return self.rise(prefix_sum(x))

    def rise(self, running: Array) -> Get:
        """How much running sums rise over each group."""
        get = self.last(running)
        return lambda: get() - jnp.pad(get()[:-1], (1, 0))

    def pack(self, *, flagged: bool) -> Array | None:
        """Do it; returns whether a row holds a group."""
        self._packed = [array[: self._groups] for array in compact(self._end, self._arrays)]
        return both(self._packed[0], self._packed[1] if flagged else None)


def _summarised(rows: _Rows, orders: Sequence[Ranked]) -> Totals:
    count, measures, layout = rows.codes[0].shape[0], rows.measures, rows.layout
    ends = _Ends(layout.end, rows.flag, min(count, rows.domain))
    # Not a prefix sum of ones where all rows count: the compiler would fold that constant for seconds.
    counted = jnp.arange(1, count + 1) if rows.flag is None else prefix_sum(1 - (~rows.flag).astype(jnp.int64))
    keys = [ends.last(code) for code in rows.codes]
    size, summed = ends.rise(counted), [ends.total(array) for array in rows.summed]
    extremes = [_extreme(e, rows, ends) for e in measures.extremes]
    found = [(ranked, rows.values[ranked.column]) for ranked in orders]
    parts = [parts_of(ranked, column, layout) for ranked, column in found]
    shares = [[ends.total(array) for array in part.summed] for part in parts]
    picked = {key: _picked(key[0], column, layout, ends) for key, column in rows.picked.items()}
    valid = ends.pack(flagged=rows.flag is not None)
    totals = measures.totals(size(), [get() for get in summed], [get() for get in extremes])
    totals.valid, totals.offsets, totals.packed = valid, [get() for get in keys], True
    for part, gets in zip(parts, shares, strict=True):
        part.finish([get() for get in gets], totals, count)
    for (fn, name), gets in picked.items():
        column = with_arrays({"": rows.picked[fn, name]}, [get() for get in gets])[""]
        if fn != "any" and column.valid is not None:
            some = totals.count(name) > 0
            rest = tuple(cleared(word, some) for word in column.rest)
            column = Column(cleared(column.value, some), some, rest)
        totals.picked[fn, name] = column
    return totals


def _extreme(extreme: Extreme, rows: _Rows, ends: _Ends) -> Get:
    """MIN or MAX of each group: at its ends where its rows are sorted by value, else by a scan."""
    layout = rows.layout
    column = rows.values.get(extreme.column)
    if column is None:
        column = rows.columns[extreme.column]
        value = column.value
        if column.valid is not None:
            value = jnp.where(column.valid, value, jnp.asarray(extreme.neutral, value.dtype))
        return ends.last(segment_scan(layout.start, value, extreme.op))
    if extreme.op == "min":
        return ends.first(column.value)
    if column.valid is None:
        return ends.last(column.value)
    # NULLs come last: the largest value stands in the row before them.
    more = jnp.where(layout.end, False, following(column.valid))
    fixed = column.value.dtype == jnp.float64
    whole = encode_fixed(column.value) if fixed else column.value
    get = ends.total(cleared(whole, both(column.valid, ~more)))
    return (lambda: decode_fixed(get())) if fixed else get


def _picked(fn: str, column: Column, layout: Layout, ends: _Ends) -> list[Get]:
    """The column's arrays in the first or last row that is not NULL (``any``: in the last row)."""
    arrays = column_arrays({"": column})
    if fn == "any" or (fn == "last" and column.valid is None):
        return [ends.last(array) for array in arrays]
    if column.valid is None:
        return [ends.first(array) for array in arrays]
    if fn == "last":
        known = either(column.valid, layout.start)
        assert known is not None
        return [ends.last(array if array is column.valid else segment_scan(known, array, "copy")) for array in arrays]
    known = either(column.valid, layout.end)
    assert known is not None
    return [ends.first(array if array is column.valid else scanned_back(known, array, "copy")) for array in arrays]
