"""Ordering rows: sort by values as pandas does, first rows, counts of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ir.types import WORD_BITS
from mpc_compiler.ops.group import Agg, Key, group_by
from mpc_compiler.ops.primitives import FRACTION_BITS, encode_fixed, sort_rows
from mpc_compiler.ops.table import Column, Table, cleared, column_arrays, valid_first, with_arrays

__all__ = ["SortKey", "head", "sort_values", "value_counts"]

_WIDEST = 63
_SLACK = 2.0**-8


@dataclass(frozen=True)
class SortKey:
    """A column to sort by.

    Parameters
    ----------
    name : str
    ascending : bool
    lo, hi : int, float or None
        Public range of the column, both ends included. The narrower, the faster; None: unknown, all 64 bits are
        compared.
    nullable : bool
        True if the column's validity must be looked at; NULLs come last either way.
    """

    name: str
    ascending: bool = True
    lo: float | None = None
    hi: float | None = None
    nullable: bool = False


def _bounds(value: Array, key: SortKey) -> tuple[Array, int | None, int | None]:
    """The column as integers, and their range."""
    if value.dtype == jnp.bool_:
        return value.astype(jnp.int64), 0, 1
    if value.dtype != jnp.float64:
        known = key.lo is not None and key.hi is not None
        return value, (int(key.lo or 0) if known else None), (int(key.hi or 0) if known else None)
    coded = encode_fixed(value)
    if key.lo is None or key.hi is None:
        return coded, None, None
    # Fixed-point arithmetic may leave a declared range by its rounding error; a code outside its width would be
    # misplaced.
    scale = 1 << FRACTION_BITS
    return coded, int((key.lo - _SLACK) * scale) - 1, int((key.hi + _SLACK) * scale) + 1


def _codes(column: Column, key: SortKey) -> list[tuple[Array, int]]:
    """Ascending non-negative codes with their widths; NULL after every value."""
    top = (1 << WORD_BITS) - 1
    return [*_first_codes(column, key), *((word if key.ascending else top - word, WORD_BITS) for word in column.rest)]


def _first_codes(column: Column, key: SortKey) -> list[tuple[Array, int]]:
    value, lo, hi = _bounds(column.value, key)
    valid = column.valid if key.nullable else None
    width = _WIDEST + 1 if lo is None or hi is None else (hi - lo + (valid is not None)).bit_length()
    if lo is None or hi is None or width >= _WIDEST:
        wide = value if key.ascending else ~value
        if valid is None:
            return [(wide, 64)]
        return [(~valid, 1), (jnp.where(valid, wide, 0), 64)]
    code = value - lo if key.ascending else hi - value
    if valid is not None:
        code = jnp.where(valid, code, hi - lo + 1)
    return [(code, width)]


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
        n rows, valid ones first, ``order`` None. Discloses nothing.

    Notes
    -----
    One `sort_rows` over the packed codes: row validity 1 bit, each key the width of its range, then the former `order`.
    Under ``aby3`` about 1,400 + 168·bits + 32·columns bytes a row.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Table({"a": Column(jnp.asarray(np.array([3, 1, 2])))})
    >>> sort_values(rows, [SortKey("a", ascending=False, lo=0, hi=9)]).columns["a"].value.tolist()
    [3, 2, 1]
    """
    if table.rows < 2:
        return replace(table, order=None, packed=True)
    codes = [code for key in by for code in _codes(table.columns[key.name], key)]
    if table.valid is not None:  # a row that does not count may hold what does not fit the width
        codes = [(cleared(code, table.valid), width) for code, width in codes]
        codes.insert(0, (~table.valid, 1))
    if table.order is not None:
        codes.append((table.order, table.order_bits))
    flags = [] if table.valid is None else [table.valid]
    payload = (*flags, *column_arrays(table.columns))
    moved = sort_rows([code for code, _ in codes], payload, [width for _, width in codes])[len(codes) :]
    valid = moved[0] if flags else None
    return Table(with_arrays(table.columns, moved[len(flags) :]), valid, packed=True)


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
