"""Group-by and aggregation on secret columns, with pandas' meaning of NULL.

Two strategies, chosen from public facts only (rows, size of the key domain, what is asked):

- *domain*: few possible keys. A secret one-hot matrix of the key times all columns at once (`domain_group`).
- *sort*: sort by key, then sum by differences of prefix sums at group ends (`sorted_group`): no multiplication a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost import LAN, Cost, LinkProfile, native, seconds
from mpc_compiler.cost import primitives as costs
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops.domain_group import domain_totals
from mpc_compiler.ops.keys import RAW, Code, SortKey, codes_of
from mpc_compiler.ops.measures import Agg, Measures, Totals, finish, measures_of
from mpc_compiler.ops.primitives import compare
from mpc_compiler.ops.ranked import ranked_totals
from mpc_compiler.ops.segments import following
from mpc_compiler.ops.sorted_group import sorted_totals
from mpc_compiler.ops.table import (
    Column,
    Table,
    both,
    cleared,
    column_arrays,
    filter_rows,
    valid_first,
    with_arrays,
)

__all__ = ["DOMAIN_LIMIT", "Agg", "Key", "aggregate", "group_by", "strategy"]

DOMAIN_LIMIT = 128
"""Largest key domain for which a one-hot matrix is considered."""
_ONE_HOT_CELLS = 1 << 26


@dataclass(frozen=True)
class Key:
    """A column to group by.

    Parameters
    ----------
    name : str
    lo, hi : int or None
        Public range, both ends included; None: unknown, all 64 bits count.
    nullable : bool
        True if the column's validity must be looked at; rows whose key is NULL are dropped, as in pandas.
    nulls : bool
        Whether NULL is a key like any other, and the last one.
    """

    name: str
    lo: int | None = None
    hi: int | None = None
    nullable: bool = False
    nulls: bool = False

    @property
    def dropped(self) -> bool:
        """Whether rows may be dropped because the key is NULL."""
        return self.nullable and not self.nulls

    def codes(self, column: Column) -> list[Code]:
        """The column as codes: one, or two where 64 bits do not hold NULL as well."""
        key = SortKey(self.name, lo=self.lo, hi=self.hi, nullable=self.nullable and self.nulls)
        return codes_of(column, key)


def strategy(
    rows: int, domain: int, nulls: Sequence[bool], sums: int, *, kernels: bool = False, link: LinkProfile = LAN
) -> Literal["domain", "sort"]:
    """Choose how to group, from public facts.

    Parameters
    ----------
    rows : int
    domain : int
        Number of possible keys.
    nulls : sequence of bool
        One entry for each MIN or MAX: whether its column may be NULL.
    sums : int
        Number of summed or counted columns.
    kernels : bool
        Whether native kernels sort, compact and compare.
    link : LinkProfile
        How far apart the computing parties are.

    Returns
    -------
    {"domain", "sort"}

    Examples
    --------
    >>> strategy(1_000_000, 10, [], 3), strategy(1000, 100_000, [], 3)
    ('domain', 'sort')
    """
    if domain > DOMAIN_LIMIT or domain * rows > _ONE_HOT_CELLS:
        return "sort"
    if kernels:
        one_hot = native.one_hot_native(rows, domain, flags=1, link=link.kernels) if domain > 1 else Cost()
    else:
        width = costs.log2_ceil(domain)
        one_hot = costs.each(costs.A2B, rows) + width * costs.each(costs.B2A_BIT + costs.MULTIPLY, rows)
        one_hot += Cost(0, 24 * domain * rows, 40 * domain * rows, exact=False)
    for null in nulls:
        cells = rows * domain
        one_hot += (2 if null else 1) * costs.each(costs.MULTIPLY, cells)
        one_hot += Cost(costs.log2_ceil(rows) * costs.MINIMUM.rounds, costs.MINIMUM.bytes * cells, 40 * cells)
    columns = 2 + sums + len(nulls)
    if kernels:
        by_sort = native.sort_rows_native(
            rows, domain.bit_length() + 32 * bool(nulls), [64] * columns, link=link.kernels
        )
        by_sort += native.equal_native(rows) + native.compact_native(rows, [1, *[64] * columns], inject=True)
        by_sort += max(0, len(nulls) - 2) * native.segment_scan_native(rows, "min", link=link.kernels)
    else:
        by_sort = costs.sort_rows_spu("aby3", rows, domain.bit_length(), columns) + costs.each(costs.EQUAL, rows)
        by_sort += costs.compact_spu("aby3", rows, columns)
        by_sort += len(nulls) * costs.segment_scan_spu("aby3", rows, "min")
    return "domain" if seconds(one_hot, link) <= seconds(by_sort, link) else "sort"


def group_by(
    table: Table, keys: Sequence[Key], aggs: Sequence[Agg], *, kernels: bool = False, link: LinkProfile = LAN
) -> Table:
    """Group rows by key and aggregate: pandas' ``groupby(keys, sort=True).agg(...)``.

    Parameters
    ----------
    table : Table
        n rows.
    keys : sequence of Key
        int64 or bool columns, at least one; no two may share a name.
    aggs : sequence of Agg
        Aggregates; each gives a column.
    kernels : bool
        Whether native kernels sort, compact and compare: it decides what is cheap, not what comes out.
    link : LinkProfile
        How far apart the computing parties are: likewise.

    Returns
    -------
    Table
        Key columns, then one column an aggregate; valid rows sorted by key ascending, row validity True where the group
        has a row. With the domain strategy one row for each possible key in ascending order (empty groups in between),
        else min(n, domain) rows with the groups first. Which keys occur, and how many, stays secret.

    Notes
    -----
    Sum of no value is 0; mean, min and max of none are NULL; ``count`` skips NULLs, ``size`` does not. Sums of
    integers and fixed-point numbers are exact in the ring; the mean's error is that of
    `mpc_compiler.ops.numeric.ratio`.

    Cost under ``aby3``, D possible keys of w bits. Domain: about 370 + 32·w + 24·D bytes a row and 10 + 4·w rounds,
    whatever the number of sums. Sort: one `sort_rows`, one equality a row, one `compact`. MIN and MAX cost 196·D
    bytes a row, or one `segment_scan` each.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Table({"k": Column(jnp.asarray(np.array([1, 0, 1]))), "v": Column(jnp.asarray(np.array([5, 6, 7])))})
    >>> out = group_by(rows, [Key("k", 0, 1)], [Agg("total", "sum", "v", 0, 9)])
    >>> out.columns["k"].value.tolist(), out.columns["total"].value.tolist()
    ([0, 1], [6, 12])
    """
    for key in keys:
        if table.columns[key.name].value.dtype == jnp.float64:
            raise UnsupportedError(
                f"cannot group by the float column {key.name!r}",
                code="MPC-0350",
                hint="round or cut it into integer bins first",
            )
    measures = measures_of(table, aggs)
    if table.rows == 0:
        return finish(_no_groups(table, keys, measures), aggs, measures, den_max=1)
    codes = [code for key in keys for code in key.codes(table.columns[key.name])]
    domain = prod(size for _, size in codes)
    nulls = [measures.columns[e.column].valid is not None for e in measures.extremes]
    sums = len(measures.sums) + len(measures.counts)
    if measures.mixable and strategy(table.rows, domain, nulls, sums, kernels=kernels, link=link) == "domain":
        totals = domain_totals(_counted(table, keys), _mixed(codes), domain, measures)
        totals.keys.update(_domain_keys(table, keys, totals.valid))
        return finish(totals, aggs, measures, den_max=table.rows)
    return _by_sort(table, keys, aggs, by_value=kernels)


def _by_sort(table: Table, keys: Sequence[Key], aggs: Sequence[Agg], *, by_value: bool) -> Table:
    measures = measures_of(table, aggs)
    ordered = measures.by_position and table.order is not None
    ready = not ordered and table.sorted_by[: len(keys)] == tuple((key.name, True) for key in keys)
    if ready:
        dropped = _counted(replace(table, valid=None), keys)
        table = replace(table, order=None)
        table = valid_first(table if dropped is None else filter_rows(table, dropped))
        measures = measures_of(table, aggs)
    codes = [key.codes(table.columns[key.name]) for key in keys]
    order = (table.order, 1 << table.order_bits) if ordered and table.order is not None else None
    flag = table.valid if ready else _counted(table, keys)
    flat = [code for part in codes for code in part]
    totals = sorted_totals(flag, flat, measures, order=order, by_value=by_value, ready=ready)
    offsets = list(totals.offsets)
    for key, part in zip(keys, codes, strict=True):
        totals.keys[key.name] = _restore([offsets.pop(0) for _ in part], part, key, table)
    return finish(totals, aggs, measures, den_max=table.rows)


def _counted(table: Table, keys: Sequence[Key]) -> Array | None:
    """Rows that count and whose keys are not NULL."""
    flag = table.valid
    for key in keys:
        flag = both(flag, table.columns[key.name].valid if key.dropped else None)
    return flag


def _mixed(codes: Sequence[Code]) -> Array:
    """One code of all keys."""
    code, _ = codes[0]
    for offset, size in codes[1:]:
        code = code * size + offset
    return code


def aggregate(table: Table, aggs: Sequence[Agg]) -> Table:
    """Aggregate all rows into one: pandas' ``DataFrame.agg`` with one function a column.

    Parameters
    ----------
    table : Table
        n rows; n may be 0.
    aggs : sequence of Agg

    Returns
    -------
    Table
        One row without row validity.

    Notes
    -----
    Cost under ``aby3``: 32 bytes a row for the validity and one matrix product for all sums; 196 bytes a row for each
    MIN or MAX.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Table({"v": Column(jnp.asarray(np.array([5, 6])))})
    >>> out = aggregate(rows, [Agg("n", "size"), Agg("t", "sum", "v")])
    >>> [c.value.tolist() for c in out.columns.values()]
    [[2], [11]]
    """
    measures = measures_of(table, aggs)
    if table.rows == 0:
        totals = measures.zeros(1)
    else:
        everyone = jnp.ones(table.rows, jnp.bool_) if table.valid is None and not measures.columns else table.valid
        totals = domain_totals(everyone, None, 1, measures)
        totals.valid = None
        for ranked in measures.ranked:
            ranked_totals(ranked, measures.columns[ranked.column], table.valid, totals)
        totals.picked = {(fn, name): _pick(fn, name, table) for fn, name in measures.picked}
    totals.rows = table.rows if table.valid is None else None
    return finish(totals, aggs, measures, den_max=max(1, table.rows))


def _restore(offsets: Sequence[Array], codes: Sequence[Code], key: Key, table: Table) -> Column:
    """The key's column from its codes."""
    column = table.columns[key.name]
    words = len(codes) - len(column.rest)
    (*marks, offset), rest, (_, size) = offsets[:words], offsets[words:], codes[words - 1]
    boolean = column.value.dtype == jnp.bool_
    low = 0 if boolean or key.lo is None else key.lo
    valid = None
    if key.nullable and key.nulls:
        if marks:
            valid = ~(marks[0] > 0)
        else:
            valid = compare(offset, jnp.full_like(offset, size - 1), "ne", bits=size.bit_length() + 1)
    value = cleared(offset if size == RAW else offset + low, valid)
    return Column(value > 0 if boolean else value, valid, tuple(rest))


def _domain_keys(table: Table, keys: Sequence[Key], valid: Array | None) -> dict[str, Column]:
    """Key columns of all possible groups; cleared where a group is empty, so that they are shares and not constants."""
    codes = [key.codes(table.columns[key.name]) for key in keys]
    number = jnp.arange(prod(size for part in codes for _, size in part))
    columns = {}
    for key, part in reversed(list(zip(keys, codes, strict=True))):
        _, size = part[-1]
        column = _restore([number % size], part, key, table)
        known = None if column.valid is None else cleared(column.valid, valid)
        columns[key.name] = Column(cleared(column.value, valid), known)
        number = number // size
    return {key.name: columns[key.name] for key in keys}


def _no_groups(table: Table, keys: Sequence[Key], measures: Measures) -> Totals:
    totals = measures.zeros(0)
    for key in keys:
        column = table.columns[key.name]
        totals.keys[key.name] = column if key.nulls else replace(column, valid=None)
    totals.valid = jnp.zeros(0, jnp.bool_)
    return totals


def _pick(fn: str, name: str, table: Table) -> Column:
    """The first or last row that counts (``any``: the first), as a table of one row."""
    column = table.columns[name]
    flag = table.valid if fn == "any" else both(table.valid, column.valid)
    rows = valid_first(Table({name: column}, flag, table.order, order_bits=table.order_bits))
    if fn != "last" or flag is None:
        place = slice(-1, None) if fn == "last" else slice(0, 1)
        arrays = [array[place] for array in column_arrays({"": rows.columns[name]})]
    else:
        assert rows.valid is not None
        after = jnp.where(jnp.arange(table.rows) < table.rows - 1, following(rows.valid), False)
        last = jnp.where(after, False, rows.valid)
        arrays = [_only(array, last) for array in column_arrays({"": rows.columns[name]})]
    found = with_arrays({"": rows.columns[name]}, arrays)[""]
    known = None if rows.valid is None else jnp.sum(rows.valid.astype(jnp.int64))[None] > 0
    known = both(known, found.valid)
    return Column(cleared(found.value, known), known, tuple(cleared(word, known) for word in found.rest))


def _only(array: Array, flag: Array) -> Array:
    """The one flagged value, [1]; 0 if there is none."""
    total = jnp.sum(cleared(array.astype(jnp.int64) if array.dtype == jnp.bool_ else array, flag))[None]
    return total > 0 if array.dtype == jnp.bool_ else total
