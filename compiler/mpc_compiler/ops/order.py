"""Ordering rows: sort by values as pandas does, first rows, counts of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mpc_compiler.ops.group import Agg, Key, group_by
from mpc_compiler.ops.keys import Code, SortKey, codes_of, width_of, words_of
from mpc_compiler.ops.primitives import sort_rows
from mpc_compiler.ops.table import Table, column_arrays, valid_first, with_arrays

__all__ = ["SortKey", "codes_in", "head", "sort_values", "value_counts"]


def sort_values(table: Table, by: Sequence[SortKey]) -> Table:
    """Sort rows by the values of columns: pandas' ``sort_values`` with ``kind="stable"`` and NULLs last.

    Parameters
    ----------
    table : Table
        n rows.
    by : sequence of SortKey
        The first is the most significant. Floats compare at the resolution of the fixed point, 2**-18.

    Returns
    -------
    Table
        n rows, ``order`` None, valid ones first unless the table was sorted so before. Discloses nothing.

    Notes
    -----
    Nothing where the table is sorted so (`Table.sorted_by`). Else one `sort_rows` over the packed codes: row validity
    1 bit, each key the width of its range, then the former `order`.
    Under ``aby3`` about 1,400 + 168·bits + 32·columns bytes a row.

    Examples
    --------
    >>> import numpy as np
    >>> from mpc_compiler.ops.table import Column
    >>> rows = Table({"a": Column(np.array([3, 1, 2]))})
    >>> sort_values(rows, [SortKey("a", ascending=False, lo=0, hi=9)]).columns["a"].value.tolist()
    [3, 2, 1]
    """
    order = tuple((key.name, key.ascending) for key in by)
    if table.rows < 2:
        return replace(table, order=None, packed=True, sorted_by=order)
    if table.sorted_by == order or (table.order is None and table.sorted_by[: len(order)] == order):
        return replace(table, order=None)  # ties are in the rows' order already
    codes = words_of([code for key in by for code in codes_in(table, key)], table.valid)
    if table.order is not None:
        codes.append((table.order, 1 << table.order_bits))
    flags = [] if table.valid is None else [table.valid]
    payload = (*flags, *column_arrays(table.columns))
    moved = sort_rows([code for code, _ in codes], payload, [width_of(count) for _, count in codes])[len(codes) :]
    valid = moved[0] if flags else None
    return Table(with_arrays(table.columns, moved[len(flags) :]), valid, packed=True, sorted_by=order)


def codes_in(table: Table, key: SortKey) -> list[Code]:
    """A column of the table as codes."""
    return codes_of(table.columns[key.name], key)


def head(table: Table, n: int) -> Table:
    """The first `n` rows in pandas' order; dropped rows do not count.

    Parameters
    ----------
    table : Table
    n : int
        Public; not negative.

    Returns
    -------
    Table
        min(n, rows) rows, the valid ones first. Discloses nothing: if fewer rows are valid, the rest stay invalid.

    Notes
    -----
    Free after `sort_values`; else see `valid_first`.
    """
    table = valid_first(table)
    columns = {name: c.mapped(lambda array: array[:n]) for name, c in table.columns.items()}
    return replace(table, columns=columns, valid=None if table.valid is None else table.valid[:n])


def value_counts(table: Table, key: Key, out: str = "count", *, kernels: bool = False) -> Table:
    """How often each value occurs, most frequent first; NULLs are not counted.

    Parameters
    ----------
    table : Table
    key : Key
        The column and its public range.
    out : str
        Name of the count column.
    kernels : bool
        See `group_by`.

    Returns
    -------
    Table
        Columns ``key.name`` and `out`, rows as in `group_by`. Equal counts are ordered by value (pandas: by first
        appearance).

    Notes
    -----
    `group_by` with ``size``, then one sort of the groups by count.
    """
    counts = group_by(table, [key], [Agg(out, "size", None, 0, table.rows)], kernels=kernels)
    return sort_values(counts, [SortKey(out, ascending=False, lo=0, hi=max(1, table.rows))])
