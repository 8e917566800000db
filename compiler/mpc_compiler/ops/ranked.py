"""What follows from rows that are sorted by group and value: distinct values, quantiles, and extremes without a scan.

Quantiles interpolate linearly, as numpy and pandas do. With c values in a group, the level q stands at position
q (c - 1). Each row compares its own position with that, which needs no gather by a secret index: the row below the
level is the last one for which the comparison holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost.primitives import log2_ceil
from mpc_compiler.ir import MAX_FLOAT, MAX_INT
from mpc_compiler.ops.keys import codes_of, width_of, words_of
from mpc_compiler.ops.measures import Ranked, Totals
from mpc_compiler.ops.primitives import (
    FRACTION_BITS,
    compare,
    decode_fixed,
    encode_fixed,
    prefix_sum,
    segment_scan,
    sort_rows,
    wide_multiply,
)
from mpc_compiler.ops.segments import copied_back, end_index, following, preceding, same, start_index
from mpc_compiler.ops.size import cut_far
from mpc_compiler.ops.table import Column, both, cleared, column_arrays, with_arrays

__all__ = ["Layout", "Parts", "parts_of", "quantile_bits", "ranked_totals"]

_LEVEL_BITS = 40
_COMPARED = 60
_WIDE, _SPARE = 2.0**42, 4
"""From where on whole numbers lose so many bits before they are multiplied by a small fraction."""


@dataclass
class Layout:
    """Groups of sorted rows.

    Parameters
    ----------
    end : Array
        bool [n], whether a row is the last of its group.
    """

    end: Array

    @cached_property
    def start(self) -> Array:
        """Whether a row is the first of its group."""
        return preceding(self.end)

    @cached_property
    def _plain(self) -> tuple[Array, Array, Array]:
        first = start_index(self.end)
        return jnp.arange(self.end.shape[0]) - first, end_index(self.end) - first, first

    def positions(self, valid: Array | None) -> tuple[Array, Array]:
        """Place of each row among the valid ones of its group, from 0, and the place of the last of them.

        Valid rows come first in each group.
        """
        if valid is None:
            return self._plain[0], self._plain[1]
        counted = valid.astype(jnp.int64)
        running = prefix_sum(counted)
        before = segment_scan(self.start, running - counted, "copy")
        return running - 1 - before, copied_back(self.end, running) - 1 - before


@dataclass
class Parts:
    """Arrays of rows whose sums over a group say what is wanted of one ranked column.

    Parameters
    ----------
    ranked : Ranked
    fixed : bool
        Whether the column holds fixed-point numbers.
    most : float
        How far apart they may be.
    summed : list of Array
        int64 [n].
    """

    ranked: Ranked
    fixed: bool
    most: float
    summed: list[Array] = field(default_factory=list)

    def finish(self, sums: Sequence[Array], totals: Totals, rows: int) -> None:
        """Put results into the totals, from the sums of `summed` over each group."""
        rest = list(sums)
        name = self.ranked.column
        if self.ranked.distinct:
            totals.distinct[name] = rest.pop(0)
        last = totals.count(name) - 1 if self.ranked.levels else None
        for level in self.ranked.levels:
            assert last is not None
            reached, low, *gap = [rest.pop(0) for _ in range(3 if quantile_bits(level, rows)[1] else 2)]
            fraction = _fraction(level, rows, last, reached) if gap else None
            step = gap[0] if gap else None
            totals.quantiles[name, level] = _between(low, step, fraction, fixed=self.fixed, most=self.most)


def quantile_bits(level: float, rows: int) -> tuple[int, int]:
    """(Q, k) with ``Q / 2**k`` the level: exact with as few bits as possible, or rounded at 40.

    Examples
    --------
    >>> quantile_bits(0.5, 1000), quantile_bits(1.0, 1000), quantile_bits(0.9, 1000)
    ((1, 1), (1, 0), (989560464998, 40))
    """
    for bits in range(FRACTION_BITS + 1):
        if (float(level) * (1 << bits)).is_integer():
            return int(level * (1 << bits)), bits
    bits = min(_LEVEL_BITS, _COMPARED - log2_ceil(max(rows, 1)))
    return round(level * (1 << bits)), bits


def parts_of(ranked: Ranked, column: Column, layout: Layout) -> Parts:
    """What to sum over groups of rows that are sorted by group and value, NULLs last in each group."""
    value, valid = column.value, column.valid
    whole = encode_fixed(value) if value.dtype == jnp.float64 else value
    parts = Parts(ranked, value.dtype == jnp.float64, _most(ranked))
    if ranked.distinct:
        first = ~jnp.where(layout.start, False, _repeated(ranked, column, whole))
        parts.summed.append(_number(both(valid, first)))
    for level in ranked.levels:
        place, last = layout.positions(valid)
        reached = both(valid, _reaches(level, place, last))
        assert reached is not None
        after = jnp.where(layout.end, False, following(reached))
        parts.summed += _picked(level, reached, after, whole)
    return parts


def _repeated(ranked: Ranked, column: Column, whole: Array) -> Array:
    """Whether a row has the value of the one before."""
    codes = codes_of(Column(column.value, rest=column.rest), ranked.key)
    words = [(word, count) for word, (_, count) in zip((whole, *column.rest), codes, strict=True)]
    return same(words, [preceding(word) for word, _ in words])


def _number(flag: Array | None) -> Array:
    assert flag is not None
    return flag.astype(jnp.int64)


def _reaches(level: float, place: Array, last: Array) -> Array:
    """Whether a row stands at or below the level."""
    rows = place.shape[0]
    level_of, bits = quantile_bits(level, rows)
    ahead = level_of * last - place * (1 << bits)
    return compare(ahead, jnp.zeros_like(ahead), "ge", bits=log2_ceil(rows + 1) + bits + 2)


def _picked(level: float, reached: Array, after: Array, whole: Array) -> list[Array]:
    """The number of rows up to the level, the value of the last of them, and how much larger the next one is."""
    row = jnp.where(after, False, reached)
    made = [_number(reached), cleared(whole, row)]
    if quantile_bits(level, whole.shape[0])[1]:
        made.append(cleared(following(whole) - whole, row))
    return made


def _fraction(level: float, rows: int, last: Array, reached: Array) -> tuple[Array, Array | None]:
    """How far the level lies above the row below it: int64 in units of 2**-18, and what is left in units of 2**-36."""
    level_of, bits = quantile_bits(level, rows)
    rest = level_of * last - (reached - 1) * (1 << bits)
    if bits <= FRACTION_BITS:
        return rest * (1 << (FRACTION_BITS - bits)), None
    unit = bits - FRACTION_BITS
    high = cut_far(rest, unit)
    low = rest - high * (1 << unit)
    finer = unit - FRACTION_BITS
    return high, cut_far(low, finer) if finer > 0 else low * (1 << -finer)


def _between(
    low: Array, gap: Array | None, fraction: tuple[Array, Array | None] | None, *, fixed: bool, most: float
) -> Array:
    """Interpolate, in the ring, between fixed-point or whole numbers that are at most so far apart."""
    start = low if fixed else low * (1 << FRACTION_BITS)
    if gap is None or fraction is None:
        return decode_fixed(start)
    high, finer = fraction
    step = encode_fixed(wide_multiply(decode_fixed(gap), decode_fixed(high), most=(most, 1.0))) if fixed else gap * high
    if finer is not None:  # so large a gap, or one with so many fraction bits, that a part of it does not count
        spare = FRACTION_BITS if fixed else _SPARE if most >= _WIDE else 0
        part = cut_far(gap, spare, MAX_INT) * finer
        step = step + cut_far(part, FRACTION_BITS if fixed else FRACTION_BITS - spare, MAX_INT)
    return decode_fixed(start + step)


def _most(ranked: Ranked) -> float:
    """How far apart the column's numbers are at most."""
    lo, hi = ranked.key.lo, ranked.key.hi
    return MAX_FLOAT if lo is None or hi is None else float(hi - lo)


def ranked_totals(ranked: Ranked, column: Column, flag: Array | None, totals: Totals) -> None:
    """Distinct values and quantiles of all rows that count: one sort, and no scan, because the group starts at row 0.

    Parameters
    ----------
    ranked : Ranked
    column : Column
        n ≥ 1 rows.
    flag : Array or None
        bool [n], rows that count.
    totals : Totals
        Of one group; is added to.
    """
    counted = both(flag, column.valid)
    column = replace(column, valid=None)
    words = words_of(codes_of(column, ranked.key), counted)
    flags = [] if counted is None else [counted]
    arrays = [*flags, *column_arrays({"": column})]
    moved = sort_rows([w for w, _ in words], arrays, [width_of(count) for _, count in words])[len(words) :]
    column = with_arrays({"": column}, moved[len(flags) :])[""]
    flags, value = list(moved[: len(flags)]), column.value
    whole = encode_fixed(value) if value.dtype == jnp.float64 else value
    parts = Parts(ranked, value.dtype == jnp.float64, _most(ranked))
    rows = whole.shape[0]
    inner = jnp.arange(rows) < rows - 1
    if ranked.distinct:
        first = jnp.where(jnp.arange(rows) == 0, True, ~_repeated(ranked, column, whole))
        parts.summed.append(_number(both(flags[0], first) if flags else first))
    if ranked.levels:
        last = jnp.broadcast_to(totals.count(ranked.column) - 1, (rows,))
    for level in ranked.levels:
        reached = _reaches(level, jnp.arange(rows), last)
        parts.summed += _picked(level, reached, jnp.where(inner, following(reached), False), whole)
    parts.finish([jnp.sum(a)[None] for a in parts.summed], totals, rows)
