"""Group-by and aggregation on secret columns, with pandas' meaning of NULL.

Two strategies, chosen from public facts only (rows, size of the key domain, what is asked):

- *domain*: few possible keys. A secret one-hot matrix of the key times all columns at once (`domain_group`).
- *sort*: sort by key, then sum by differences of prefix sums at group ends (`sorted_group`): no multiplication a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost import LAN, Cost, native, seconds
from mpc_compiler.cost import primitives as costs
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir.types import WORD_BITS
from mpc_compiler.ops.domain_group import domain_totals
from mpc_compiler.ops.measures import Agg, Measures, Totals, finish, measures_of
from mpc_compiler.ops.sorted_group import sorted_totals
from mpc_compiler.ops.table import Column, Table, both, cleared

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
    """

    name: str
    lo: int | None = None
    hi: int | None = None
    nullable: bool = False

    @property
    def size(self) -> int:
        """Number of possible keys; 2**64 if unknown."""
        return 1 << 64 if self.lo is None or self.hi is None else self.hi - self.lo + 1


def strategy(
    rows: int, domain: int, nulls: Sequence[bool], sums: int, *, kernels: bool = False
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
        one_hot = native.one_hot_native(rows, domain, flags=1) if domain > 1 else Cost()
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
        by_sort = native.sort_rows_native(rows, domain.bit_length() + 32 * bool(nulls), [64] * columns)
        by_sort += native.equal_native(rows) + native.compact_native(rows, [1, *[64] * columns], inject=True)
        by_sort += max(0, len(nulls) - 2) * native.segment_scan_native(rows, "min")
    else:
        by_sort = costs.sort_rows_spu("aby3", rows, domain.bit_length(), columns) + costs.each(costs.EQUAL, rows)
        by_sort += costs.compact_spu("aby3", rows, columns)
        by_sort += len(nulls) * costs.segment_scan_spu("aby3", rows, "min")
    return "domain" if seconds(one_hot, LAN) <= seconds(by_sort, LAN) else "sort"


def group_by(table: Table, keys: Sequence[Key], aggs: Sequence[Agg], *, kernels: bool = False) -> Table:
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
    flag = table.valid
    for key in keys:
        flag = both(flag, table.columns[key.name].valid if key.nullable else None)
    columns = [table.columns[key.name] for key in keys]
    offsets = [o for key, column in zip(keys, columns, strict=True) for o in (_offset(column, key), *column.rest)]
    sizes = [
        size
        for key, column in zip(keys, columns, strict=True)
        for size in (2 if column.value.dtype == jnp.bool_ else key.size, *(1 << WORD_BITS for _ in column.rest))
    ]
    domain = prod(sizes)
    nulls = [measures.columns[e.column].valid is not None for e in measures.extremes]
    sums = len(measures.sums) + len(measures.counts)
    if strategy(table.rows, domain, nulls, sums, kernels=kernels) == "domain":
        code = offsets[0]
        for offset, size in zip(offsets[1:], sizes[1:], strict=True):
            code = code * size + offset
        totals = domain_totals(flag, code, domain, measures)
        totals.keys.update(_domain_keys(table, keys, sizes, totals.valid))
    else:
        totals = sorted_totals(flag, offsets, sizes, measures, by_value=kernels)
        found = iter(totals.offsets)
        for key, column in zip(keys, columns, strict=True):
            totals.keys[key.name] = _restore(next(found), key, table)
            totals.rest[key.name] = tuple(next(found) for _ in column.rest)
    return finish(totals, aggs, measures, den_max=table.rows)


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
        totals = _no_rows(measures)
    else:
        everyone = jnp.ones(table.rows, jnp.bool_) if table.valid is None and not measures.columns else table.valid
        totals = domain_totals(everyone, None, 1, measures)
        totals.valid = None
    return finish(totals, aggs, measures, den_max=max(1, table.rows))


def _offset(column: Column, key: Key) -> Array:
    value = column.value.astype(jnp.int64)
    return value if key.lo is None or column.value.dtype == jnp.bool_ else value - key.lo


def _restore(offset: Array, key: Key, table: Table) -> Array:
    """The key's value from its distance to the lower end."""
    if table.columns[key.name].value.dtype == jnp.bool_:
        return offset > 0
    return offset if key.lo is None else offset + key.lo


def _domain_keys(table: Table, keys: Sequence[Key], sizes: Sequence[int], valid: Array | None) -> dict[str, Array]:
    """Key columns of all possible groups; cleared where a group is empty, so that they are shares and not constants."""
    code = jnp.arange(prod(sizes))
    columns = {}
    for key, size in reversed(list(zip(keys, sizes, strict=True))):
        columns[key.name] = cleared(_restore(code % size, key, table), valid)
        code = code // size
    return {key.name: columns[key.name] for key in keys}


def _no_groups(table: Table, keys: Sequence[Key], measures: Measures) -> Totals:
    none = jnp.zeros(0, jnp.int64)
    totals = measures.zeros(0)
    totals.keys.update({k.name: none.astype(table.columns[k.name].value.dtype) for k in keys})
    totals.rest.update({k.name: (none,) * len(table.columns[k.name].rest) for k in keys})
    totals.valid = none.astype(bool)
    return totals


def _no_rows(measures: Measures) -> Totals:
    return measures.zeros(1)
