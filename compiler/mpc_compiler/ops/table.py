"""Secret tables inside programs: columns with validity, rows with validity, and what a receiver may see of them.

NULL is a cell with ``valid`` False and value 0. A row that a filter dropped stays in place with row validity False,
so that the number of rows tells nothing; its cells may hold anything until `release` clears them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.primitives import compact, sort_rows

__all__ = [
    "Column",
    "Table",
    "both",
    "cleared",
    "column_arrays",
    "either",
    "filter_rows",
    "release",
    "select",
    "valid_first",
    "with_arrays",
]


@dataclass(frozen=True)
class Column:
    """A secret column.

    Parameters
    ----------
    value : Array
        [n] of int64, float64 or bool; 0 where NULL.
    valid : Array or None
        bool [n]; None if nothing is NULL.
    rest : tuple of Array
        int64 [n] each, 0 where NULL: the further words of a text without a dictionary, of which `value` is the first.
    """

    value: Array
    valid: Array | None = None
    rest: tuple[Array, ...] = ()

    @property
    def words(self) -> tuple[Array, ...]:
        """`value` and `rest`."""
        return (self.value, *self.rest)

    def mapped(self, change: Callable[[Array], Array]) -> Column:
        """The column with every array changed alike."""
        valid = None if self.valid is None else change(self.valid)
        return Column(change(self.value), valid, tuple(map(change, self.rest)))


@dataclass(frozen=True)
class Table:
    """A secret table.

    Parameters
    ----------
    columns : dict of str to Column
        In the order in which they are shown.
    valid : Array or None
        Row validity, bool [n]; None if every row counts.
    order : Array or None
        int64 [n] in [0, 2**order_bits): sorting by it gives the rows' order in pandas. None: array order.
    order_bits : int
        Public width of `order`. Fewer bits sort faster.
    packed : bool
        True if it is known that valid rows come before invalid ones in the arrays.
    sorted_by : tuple of (str, bool)
        Columns (and whether ascending, NULLs last) by which the array order is sorted, rows that tie in their row
        order. Rows that did not count when it was sorted stand at the end, in any order.
    """

    columns: dict[str, Column]
    valid: Array | None = None
    order: Array | None = None
    order_bits: int = field(default=32, kw_only=True)
    packed: bool = field(default=False, kw_only=True)
    sorted_by: tuple[tuple[str, bool], ...] = field(default=(), kw_only=True)

    @property
    def rows(self) -> int:
        """Number of rows, valid or not (public)."""
        for column in self.columns.values():
            return int(column.value.shape[0])
        for array in (self.valid, self.order):
            if array is not None:
                return int(array.shape[0])
        return 0


jax.tree_util.register_dataclass(Column, ("value", "valid", "rest"), ())


_Children = tuple[tuple[Column, ...], Array | None, Array | None]
_Static = tuple[tuple[str, ...], int, bool, tuple[tuple[str, bool], ...]]


def _flatten(table: Table) -> tuple[_Children, _Static]:
    static = (tuple(table.columns), table.order_bits, table.packed, table.sorted_by)
    return (tuple(table.columns.values()), table.valid, table.order), static


def _unflatten(static: _Static, children: _Children) -> Table:
    (names, order_bits, packed, sorted_by), (columns, valid, order) = static, children
    held = dict(zip(names, columns, strict=True))
    return Table(held, valid, order, order_bits=order_bits, packed=packed, sorted_by=sorted_by)


# Not as a dict: jax sorts the keys of a dict, and the order of columns counts.
jax.tree_util.register_pytree_node(Table, _flatten, _unflatten)


def both(a: Array | None, b: Array | None) -> Array | None:
    """Logical AND of two flags, where None means True.

    A selection rather than ``a & b``: SPU then multiplies, which costs 3 bytes a row for flags fresh from a
    comparison and 24 for flags that were sorted, where ``&`` would first decompose 64 bits (700 bytes).
    """
    if a is None or b is None:
        return b if a is None else a
    return jnp.where(a, b, False)


def either(a: Array | None, b: Array | None) -> Array | None:
    """Logical OR of two flags, where None means True. See `both`."""
    if a is None or b is None:
        return None
    return ~jnp.where(~a, ~b, False)


def cleared(value: Array, valid: Array | None) -> Array:
    """`value` where valid, else 0 (False for bool)."""
    return value if valid is None else jnp.where(valid, value, jnp.zeros((), value.dtype))


def select(table: Table, names: Sequence[str]) -> Table:
    """Keep the named columns, in this order. Free.

    Examples
    --------
    >>> list(select(Table({"a": Column(jnp.arange(2)), "b": Column(jnp.arange(2))}), ["b"]).columns)
    ['b']
    """
    return replace(table, columns={name: table.columns[name] for name in names})


def filter_rows(table: Table, mask: Column | Array) -> Table:
    """Drop rows where `mask` is False or NULL, by marking them invalid.

    Parameters
    ----------
    table : Table
        n rows.
    mask : Column or Array
        bool [n].

    Returns
    -------
    Table
        n rows. Discloses nothing: neither which rows were dropped nor how many.

    Notes
    -----
    Cost under ``aby3``: one AND, 1 round and 3 bytes a row (24 if the flags were sorted before), for each of the
    table's and the mask's validity that exists.
    """
    flag = mask if isinstance(mask, Column) else Column(mask)
    keep = both(table.valid, both(flag.valid, flag.value))
    return replace(table, valid=keep, packed=False)


def column_arrays(columns: Mapping[str, Column]) -> list[Array]:
    """All arrays of the columns: values, further words, and validity where it exists."""
    return [array for c in columns.values() for array in (c.value, *c.rest, c.valid) if array is not None]


def with_arrays(columns: Mapping[str, Column], arrays: Sequence[Array]) -> dict[str, Column]:
    """Put arrays, in the order of `column_arrays`, back into columns."""
    left, found = iter(arrays), {}
    for name, column in columns.items():
        value, rest = next(left), tuple(next(left) for _ in column.rest)
        found[name] = Column(value, None if column.valid is None else next(left), rest)
    return found


def valid_first(table: Table) -> Table:
    """Bring valid rows to the front, in pandas' order, so that array order is all that counts.

    Returns
    -------
    Table
        n rows with ``order`` None; unchanged if already so. Discloses nothing.

    Notes
    -----
    Cost: one sort by (invalid, order) if there is an `order`, else one compaction if there is row validity.
    """
    if table.rows < 2 or (table.order is None and (table.packed or table.valid is None)):
        return replace(table, order=None, packed=True)
    arrays = column_arrays(table.columns)
    flags = [] if table.valid is None else [table.valid]
    if table.order is None:
        assert table.valid is not None
        moved = compact(table.valid, (*flags, *arrays))
    else:
        keys = [*(~v for v in flags), table.order]
        bits = [*(1 for _ in flags), table.order_bits]
        moved = sort_rows(keys, (*flags, *arrays), bits)[len(keys) :]
    valid = moved[0] if flags else None
    columns = with_arrays(table.columns, moved[len(flags) :])
    return Table(columns, valid, packed=True, sorted_by=table.sorted_by if table.order is None else ())


def release(table: Table) -> Table:
    """Make a table ready for its receivers: order applied, dropped rows moved to the end and cleared.

    Parameters
    ----------
    table : Table
        n rows.

    Returns
    -------
    Table
        n rows, ``order`` None. Every cell whose row or own validity is False holds 0, and a cell of an invalid row is
        NULL too.

    Notes
    -----
    A receiver who opens the result learns the valid rows in their order, how many there are, and n. Nothing of a
    dropped row reaches it: not its cells, not its NULLs, and not its position. That is why the rows are compacted
    before they are opened, and why `order` is applied and not released: a gap in it would show where rows were dropped.

    Cost: `valid_first`, then one selection a column (24 bytes a row under ``aby3``).
    """
    table = valid_first(table)
    columns = {}
    for name, column in table.columns.items():
        seen = both(table.valid, column.valid)
        valid = None if column.valid is None else seen
        columns[name] = Column(cleared(column.value, seen), valid, tuple(cleared(word, seen) for word in column.rest))
    return replace(table, columns=columns)
