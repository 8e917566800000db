"""What aggregates are made of: sums, counts and extremes, each computed once however many aggregates use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import jax.numpy as jnp
from jax import Array

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops.keys import SortKey
from mpc_compiler.ops.numeric import ratio
from mpc_compiler.ops.primitives import FRACTION_BITS, encode_fixed, times_rational
from mpc_compiler.ops.quotient import quotient
from mpc_compiler.ops.table import Column, Table, cleared, column_arrays, with_arrays

__all__ = ["MIXABLE", "Agg", "Extreme", "Measures", "Ranked", "Totals", "finish", "measures_of", "of_units"]

_FAR = 1 << 40
MIXABLE = ("sum", "mean", "count", "size", "min", "max")
"""Functions that do not depend on how the rows of a group lie."""
FUNCTIONS = (*MIXABLE, "nunique", "median", "quantile", "first", "last", "any")


@dataclass(frozen=True)
class Agg:
    """One aggregate.

    Parameters
    ----------
    out : str
        Name of the result column.
    fn : str
        One of `FUNCTIONS`. ``first`` and ``last`` skip NULLs; ``any`` is for a column that is the same in all rows of a
        group, and carried along.
    column : str or None
        What is aggregated; None for ``size``.
    lo, hi : int, float or None
        Public range of the column. Bounds what stands in for NULL in min and max (None: ±2**40), and how wide the
        column is as a sort key.
    scale : int
        The column is a decimal in units of ``10**-scale``.
    param : float or None
        The level of ``quantile``, from 0 to 1.
    """

    out: str
    fn: str
    column: str | None = None
    lo: float | None = None
    hi: float | None = None
    scale: int = 0
    param: float | None = None

    @property
    def level(self) -> float | None:
        """The level of a quantile; None for other functions."""
        return 0.5 if self.fn == "median" else self.param if self.fn == "quantile" else None


@dataclass(frozen=True)
class Ranked:
    """A column whose values are wanted in order: how many distinct ones, and quantiles."""

    column: str
    key: SortKey
    distinct: bool
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Extreme:
    """A MIN or MAX to compute; `neutral` never beats a value of the column, whose public range is `lo` to `hi`."""

    column: str
    op: Literal["min", "max"]
    neutral: float
    lo: float | None = None
    hi: float | None = None


@dataclass(frozen=True)
class Measures:
    """The distinct things to compute.

    Parameters
    ----------
    columns : dict of str to Column
        int64 or float64 (bools as 0 and 1), 0 where NULL.
    sums, counts : tuple of str
        Columns to sum, and nullable columns whose valid cells to count.
    extremes : tuple of Extreme
    bools : frozenset of str
        Columns that were bool.
    ranked : tuple of Ranked
        Columns whose values are wanted in order.
    picked : dict of (str, str) to Column
        What is taken from a row of the group as it is: by function (``first``, ``last``, ``any``) and column.
    """

    columns: dict[str, Column]
    sums: tuple[str, ...]
    counts: tuple[str, ...]
    extremes: tuple[Extreme, ...]
    bools: frozenset[str] = frozenset()
    ranked: tuple[Ranked, ...] = ()
    picked: dict[tuple[str, str], Column] = field(default_factory=dict)

    @property
    def mixable(self) -> bool:
        """Whether nothing depends on how the rows of a group lie."""
        return not self.ranked and not self.picked

    @property
    def by_position(self) -> bool:
        """Whether the row order counts."""
        return any(fn != "any" for fn, _ in self.picked)

    def summed(self) -> list[Array]:
        """All arrays to be summed: `sums`, then the validity of `counts` as 0 and 1."""
        valid = [self.columns[name].valid for name in self.counts]
        return [self.columns[name].value for name in self.sums] + [v.astype(jnp.int64) for v in valid if v is not None]

    def totals(self, size: Array, summed: Sequence[Array], extremes: Sequence[Array]) -> Totals:
        """Results by name, from arrays in the order of `summed` and `extremes`."""
        count = len(self.sums)
        return Totals(
            size=size,
            sums=dict(zip(self.sums, summed[:count], strict=True)),
            counts=dict(zip(self.counts, summed[count:], strict=True)),
            extremes=dict(zip(self.extremes, extremes, strict=True)),
        )

    def zeros(self, groups: int) -> Totals:
        """The totals of no rows."""
        summed = [jnp.zeros(groups, a.dtype) for a in self.summed()]
        extremes = [jnp.zeros(groups, self.columns[e.column].value.dtype) for e in self.extremes]
        totals = self.totals(jnp.zeros(groups, jnp.int64), summed, extremes)
        for ranked in self.ranked:
            totals.distinct[ranked.column] = jnp.zeros(groups, jnp.int64)
            totals.quantiles |= {(ranked.column, level): jnp.zeros(groups, jnp.float64) for level in ranked.levels}
        for key, column in self.picked.items():
            empty = [jnp.zeros(groups, array.dtype) for array in column_arrays({"": column})]
            made = with_arrays({"": column}, empty)[""]
            totals.picked[key] = made if groups == 0 else replace(made, valid=jnp.zeros(groups, jnp.bool_))
        return totals


@dataclass
class Totals:
    """Measures of each group.

    Parameters
    ----------
    size : Array
        int64 [groups]: rows of the group.
    sums, counts, extremes, distinct, quantiles : dict
        Arrays [groups].
    picked : dict
        Columns of [groups] rows.
    valid : Array or None
        Whether the group exists.
    keys : dict of str to Column
        Key columns.
    offsets : list of Array
        Keys as distances to their lower ends, before they become `keys`.
    packed : bool
        True if existing groups come first.
    rows : int or None
        The size of the only group, where it is public.
    """

    size: Array
    sums: dict[str, Array]
    counts: dict[str, Array]
    extremes: dict[Extreme, Array]
    distinct: dict[str, Array] = field(default_factory=dict)
    quantiles: dict[tuple[str, float], Array] = field(default_factory=dict)
    picked: dict[tuple[str, str], Column] = field(default_factory=dict)
    valid: Array | None = None
    keys: dict[str, Column] = field(default_factory=dict)
    offsets: list[Array] = field(default_factory=list)
    packed: bool = False
    rows: int | None = None

    def count(self, column: str) -> Array:
        """Cells of the column that are not NULL."""
        return self.counts.get(column, self.size)


def _check(table: Table, agg: Agg) -> None:
    if agg.fn not in FUNCTIONS:
        raise UnsupportedError(
            f"no aggregate function {agg.fn!r}", code="MPC-0351", hint=f"use one of {', '.join(FUNCTIONS)}"
        )
    if agg.fn != "size" and agg.column not in table.columns:
        raise UnsupportedError(f"aggregate {agg.out!r} needs a column", code="MPC-0352", hint="name an existing column")
    if agg.fn == "quantile" and not (agg.param is not None and 0 <= agg.param <= 1):
        raise UnsupportedError(
            f"quantile {agg.out!r} has the level {agg.param}", code="MPC-0351", hint="a number from 0 to 1"
        )


def _extreme(column: Column, agg: Agg) -> Extreme:
    assert agg.column is not None
    smallest = agg.fn == "min"
    lo, hi = (0, 1) if column.value.dtype == jnp.bool_ else (agg.lo, agg.hi)
    bound = hi if smallest else lo
    if bound is None:
        bound = _FAR if smallest else -_FAR
    integral = column.value.dtype != jnp.float64
    return Extreme(agg.column, "min" if smallest else "max", int(bound) if integral else float(bound), lo, hi)


def measures_of(table: Table, aggs: Sequence[Agg]) -> Measures:
    """Collect what the aggregates need; nothing twice.

    Raises
    ------
    UnsupportedError
        MPC-0351 for an unknown function, MPC-0352 for a missing column.
    """
    columns: dict[str, Column] = {}
    sums: dict[str, None] = {}
    counts: dict[str, None] = {}
    extremes: dict[Extreme, None] = {}
    picked: dict[tuple[str, str], Column] = {}
    for agg in aggs:
        _check(table, agg)
        if agg.fn == "size" or agg.column is None:
            continue
        column = table.columns[agg.column]
        if agg.fn in ("any", "first", "last"):
            picked[agg.fn, agg.column] = column
            if agg.fn == "any" or column.valid is None:
                continue
        value = column.value.astype(jnp.int64) if column.value.dtype == jnp.bool_ else column.value
        columns[agg.column] = replace(column, value=value)
        if agg.fn in ("sum", "mean"):
            sums[agg.column] = None
        if agg.fn not in ("sum", "nunique") and column.valid is not None:
            counts[agg.column] = None
        if agg.fn in ("min", "max"):
            extremes[_extreme(column, agg)] = None
    bools = frozenset(name for name in columns if table.columns[name].value.dtype == jnp.bool_)
    ranked = _ranked(columns, bools, aggs)
    return Measures(columns, tuple(sums), tuple(counts), tuple(extremes), bools, ranked, picked)


def _ranked(columns: dict[str, Column], bools: frozenset[str], aggs: Sequence[Agg]) -> tuple[Ranked, ...]:
    """Columns of which distinct values or quantiles are wanted."""
    found: dict[str, list[Agg]] = {}
    for agg in aggs:
        if agg.column is not None and (agg.fn == "nunique" or agg.level is not None):
            found.setdefault(agg.column, []).append(agg)
    made = []
    for name, wanted in found.items():
        levels = dict.fromkeys(agg.level for agg in wanted if agg.level is not None)
        lo, hi = (0, 1) if name in bools else (wanted[0].lo, wanted[0].hi)
        key = SortKey(name, lo=lo, hi=hi, nullable=columns[name].valid is not None)
        made.append(Ranked(name, key, any(agg.fn == "nunique" for agg in wanted), tuple(levels)))
    return tuple(made)


def finish(totals: Totals, aggs: Sequence[Agg], measures: Measures, *, den_max: int) -> Table:
    """Turn totals into the result table: means are divided here, once a group and not once a row."""
    columns = dict(totals.keys)
    for agg in aggs:
        columns[agg.out] = _column(totals, agg, measures, den_max)
    return Table(columns, totals.valid, packed=totals.packed, sorted_by=tuple((name, True) for name in totals.keys))


def of_units(mean: Array, scale: int, lo: float | None, hi: float | None) -> Array:
    """A mean or quantile of decimals that are held in units of ``10**-scale``, in the column's range."""
    if not scale:
        return mean
    return times_rational(mean, 1, 10**scale, most=max(abs(lo or 0), abs(hi or 0)) + 1)


_RATIO_SUM = 1 << 40
_RATIO_MEAN = 1 << 24


def _mean(total: Array, count: Array | int, agg: Agg, rows: int) -> Array:
    """``total / count`` as a number, by the cheapest division that takes it."""
    largest = max(abs(agg.lo or 0), abs(agg.hi or 0))
    if isinstance(count, int):
        return times_rational(total, 1, max(count, 1) * 10**agg.scale, most=(largest + 1) * rows)
    if largest < _RATIO_MEAN and largest * rows < _RATIO_SUM:
        mean = ratio(total, count, den_max=rows)
        return times_rational(mean, 1, 10**agg.scale, most=largest + 1) if agg.scale else mean
    unit = 10**agg.scale
    if total.dtype == jnp.float64:
        total, unit, largest = encode_fixed(total), 1 << FRACTION_BITS, largest * 2**FRACTION_BITS + 1
    most = int(largest) * rows
    return quotient(total, count * unit, num_max=most, den_bounds=(0, rows * unit), limit=largest / unit + 1)


def _column(totals: Totals, agg: Agg, measures: Measures, den_max: int) -> Column:
    if agg.fn == "size" or agg.column is None:
        return Column(totals.size)
    if agg.fn in ("any", "first", "last"):
        return totals.picked[agg.fn, agg.column]
    if agg.fn == "nunique":
        return Column(totals.distinct[agg.column])
    count = totals.count(agg.column)
    if agg.fn == "count":
        return Column(count)
    if agg.fn == "sum":
        return Column(totals.sums[agg.column])
    always = agg.column not in totals.counts and totals.valid is not None  # a group has a row, and no cell is NULL
    some = None if always else count > 0
    if agg.fn == "mean":
        public = totals.rows if agg.column not in totals.counts else None
        rows = cleared(count, totals.valid) if public is None else public
        return Column(_mean(totals.sums[agg.column], rows, agg, den_max), some)
    if agg.level is not None:
        return Column(of_units(cleared(totals.quantiles[agg.column, agg.level], some), agg.scale, agg.lo, agg.hi), some)
    extreme = next(e for e in measures.extremes if e.column == agg.column and e.op == agg.fn)
    value = cleared(totals.extremes[extreme], some)
    return Column(value > 0 if agg.column in measures.bools else value, some)
