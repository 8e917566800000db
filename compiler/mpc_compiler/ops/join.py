"""Joins of secret tables: every kind is made of lookups, which find for each row of one side a row of the other.

No size is disclosed: a row without a match stays in place and does not count. The side whose key is unique is looked
up from the other one, which keeps its rows and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.expand import Side, expand
from mpc_compiler.ops.lookup import lookup
from mpc_compiler.ops.table import Column, Table, both, cleared, column_arrays, with_arrays
from mpc_compiler.ops.union import below, rank_of

__all__ = ["JoinKey", "attach_row", "join"]


@dataclass(frozen=True)
class JoinKey:
    """A pair of columns that must be equal.

    Parameters
    ----------
    left, right : str
    lo, hi : int
        Public range of both columns together, both ends included.
    """

    left: str
    right: str
    lo: int
    hi: int


class _Words(NamedTuple):
    """Key words of one side, and which rows may match (None: all)."""

    words: list[Array]
    bits: list[int]
    alive: Array | None


def join(
    left: Table,
    right: Table,
    keys: Sequence[JoinKey],
    how: str,
    *,
    left_unique: bool,
    right_unique: bool,
    nulls: bool = False,
    most: int = 0,
    checks: list[Array] | None = None,
) -> Table:
    """Join two tables on equal keys.

    Parameters
    ----------
    left, right : Table
        n and m rows; no column name in both.
    keys : sequence of JoinKey
        int64 or bool columns, at least one.
    how : {"inner", "left", "right", "outer", "semi", "anti"}
    left_unique, right_unique : bool
        Whether no two rows that count have the same key on that side. Neither: `most` bounds the matches.
    nulls : bool
        Whether NULL keys equal each other; otherwise they match nothing.
    most : int
        Public bound of the matches where keys repeat on both sides.
    checks : list of Array
        Gets bool []: whether `most` was enough. The result lacks rows if not, so the caller must look at it.

    Returns
    -------
    Table
        Left and right columns (``semi``, ``anti``: left only). Rows: n if the right key is unique, m if only the left
        one is, else `most`; and as many more as rows without a match are kept. Discloses nothing.

    Notes
    -----
    One `lookup` of the unique side; outer joins take another one for the rows that nothing matches.

    Examples
    --------
    >>> import numpy as np
    >>> loans = Table({"who": Column(np.array([2, 1, 2]))})
    >>> people = Table({"id": Column(np.array([1, 2])), "age": Column(np.array([30, 40]))})
    >>> both_sides = join(loans, people, [JoinKey("who", "id", 1, 2)], "inner", left_unique=False, right_unique=True)
    >>> both_sides.columns["age"].value.tolist()
    [40, 30, 40]
    """
    pair = _words(left, right, keys, nulls=nulls)
    if how in ("semi", "anti"):
        found = _found(pair[1], pair[0])
        return replace(left, valid=both(left.valid, found if how == "semi" else ~found), packed=False)
    if right_unique:
        matched = _many_to_one(left, right, keys, pair, keep=how in ("left", "outer"))
        parts = [matched] if how in ("inner", "left") else [matched, _unmatched(left, right, pair, of="right")]
    elif how == "right" and left_unique:
        return _one_to_many(left, right, keys, pair, keep=True)
    else:
        if left_unique:
            parts = [_one_to_many(left, right, keys, pair, keep=False)]
        else:
            assert checks is not None
            parts = [_many_to_many(left, right, pair, most, checks)]
        if how == "right":
            parts.append(_unmatched(left, right, pair, of="right"))
        if how in ("left", "outer"):
            parts.append(_unmatched(left, right, pair, of="left"))
        if how == "outer":
            parts = [_by_left(parts, left), _unmatched(left, right, pair, of="right")]
        elif how == "left":
            return _by_left(parts, left)
    return parts[0] if len(parts) == 1 else below(*parts)


def attach_row(table: Table, single: Table) -> Table:
    """Give every row the columns of a table of exactly one row; NULL if that row does not count.

    Examples
    --------
    >>> import numpy as np
    >>> one = Table({"most": Column(np.array([7]))})
    >>> attach_row(Table({"x": Column(np.array([1, 2]))}), one).columns["most"].value.tolist()
    [7, 7]
    """
    if single.rows != 1:
        raise ValueError(f"expected one row, not {single.rows}")
    columns = dict(table.columns)
    for name, column in single.columns.items():
        valid = both(single.valid, column.valid)
        words = tuple(cleared(word, valid) for word in column.rest)
        whole = Column(cleared(column.value, valid), valid, words)
        columns[name] = whole.mapped(lambda array: jnp.broadcast_to(array, (table.rows,)))
    return replace(table, columns=columns)


# --- key words -----------------------------------------------------------------------------------------------------


def _words(left: Table, right: Table, keys: Sequence[JoinKey], *, nulls: bool) -> tuple[_Words, _Words]:
    """Both sides' keys as words of the same widths; rows that must not match differ in a word of their own."""
    sides = []
    for table, names in ((left, [key.left for key in keys]), (right, [key.right for key in keys])):
        alive, words = table.valid, []
        for key, name in zip(keys, names, strict=True):
            column = table.columns[name]
            code = column.value.astype(jnp.int64) - key.lo
            if column.valid is not None and nulls:
                code = jnp.where(column.valid, code, key.hi - key.lo + 1)
            elif column.valid is not None:
                alive = both(alive, column.valid)
            words.append(code)
        sides.append((words, alive))
    bits = [max((key.hi - key.lo + 1).bit_length(), 1) for key in keys]
    (first, first_alive), (second, second_alive) = sides
    for alive, mine, other in ((first_alive, first, right), (second_alive, second, left)):
        if alive is not None:  # a dead row has a bit that no row of the other side has
            mine.append(~alive)
            (second if mine is first else first).append(jnp.zeros(other.rows, jnp.bool_))
            bits.append(1)
    return _Words(first, bits, first_alive), _Words(second, bits, second_alive)


def _found(unique: _Words, of: _Words) -> Array:
    return lookup(unique.words, of.words, (), of.bits)[0]


# --- parts of the result --------------------------------------------------------------------------------------------


def _taken(
    base: Table, other: Table, pairs: Sequence[tuple[str, str]], found: Array, arrays: Sequence[Array], *, keep: bool
) -> dict[str, Column]:
    """Columns of `other` beside the rows of `base`: looked up, or for keys those of `base`, which are the same."""
    rest = {name: column for name, column in other.columns.items() if name not in {b for _, b in pairs}}
    looked = with_arrays(rest, arrays)
    columns = {}
    for name in other.columns:
        source = next((a for a, b in pairs if b == name), None)
        column = looked[name] if source is None else _as(base.columns[source], other.columns[name])
        if keep:
            valid = both(found, column.valid)
            column = Column(cleared(column.value, valid), valid, tuple(cleared(word, valid) for word in column.rest))
        columns[name] = column
    return columns


def _as(key: Column, other: Column) -> Column:
    """A key that was found as the column of the other side: there it is NULL only if that side's may be."""
    rest = [
        *key.rest,
        *(jnp.zeros_like(word) for word in other.rest[len(key.rest) :]),
    ]  # equal texts may differ in width
    valid = None if other.valid is None else key.valid
    return Column(key.value.astype(other.value.dtype), valid, tuple(rest[: len(other.rest)]))


def _payload(other: Table, names: set[str]) -> list[Array]:
    return column_arrays({name: column for name, column in other.columns.items() if name not in names})


def _many_to_one(
    left: Table, right: Table, keys: Sequence[JoinKey], pair: tuple[_Words, _Words], *, keep: bool
) -> Table:
    """The left rows with what they find on the right; all of them if `keep`."""
    pairs = [(key.left, key.right) for key in keys]
    payload = _payload(right, {b for _, b in pairs})
    found, arrays = lookup(pair[1].words, pair[0].words, payload, pair[0].bits)
    columns = left.columns | _taken(left, right, pairs, found, arrays, keep=keep)
    valid = left.valid if keep else both(left.valid, found)
    return replace(left, columns=columns, valid=valid, packed=left.packed and keep)


def _one_to_many(
    left: Table, right: Table, keys: Sequence[JoinKey], pair: tuple[_Words, _Words], *, keep: bool
) -> Table:
    """The right rows with what they find on the left, in the order of the left rows; all of them if `keep`, last."""
    pairs = [(key.right, key.left) for key in keys]
    payload = _payload(left, {b for _, b in pairs})
    (rank, rank_bits), (position, position_bits) = rank_of(left), rank_of(right)
    found, arrays = lookup(pair[0].words, pair[1].words, [*payload, rank], pair[1].bits)
    taken = _taken(right, left, pairs, found, arrays[:-1], keep=keep)
    first = jnp.where(found, arrays[-1], 1 << rank_bits) if keep else arrays[-1]
    order = first * (1 << position_bits) + position
    valid = right.valid if keep else both(right.valid, found)
    return Table(taken | right.columns, valid, order, order_bits=rank_bits + position_bits + 1)


def _many_to_many(left: Table, right: Table, pair: tuple[_Words, _Words], most: int, checks: list[Array]) -> Table:
    """All pairs of rows that match, in the order of the left rows and then of the right ones."""
    ranks = rank_of(left), rank_of(right)
    sides = [
        Side(words.words, words.bits, words.alive, [*column_arrays(table.columns), rank])
        for table, words, (rank, _) in zip((left, right), pair, ranks, strict=True)
    ]
    pairs = expand(sides[0], sides[1], most)
    checks.append(pairs.fits)
    columns = with_arrays(left.columns, pairs.left[:-1]) | with_arrays(right.columns, pairs.right[:-1])
    order = pairs.left[-1] * (1 << ranks[1][1]) + pairs.right[-1]
    return Table(columns, pairs.valid, order, order_bits=ranks[0][1] + ranks[1][1] + 1)


def _unmatched(left: Table, right: Table, pair: tuple[_Words, _Words], *, of: str) -> Table:
    """The rows of one side that match nothing, with NULL in the columns of the other."""
    base, mine, other = (left, pair[0], pair[1]) if of == "left" else (right, pair[1], pair[0])
    valid = both(base.valid, ~_found(other, mine))
    columns = {}
    for side in (left, right):
        for name, column in side.columns.items():
            columns[name] = column if side is base else _nothing(column, base.rows)
    return Table(columns, valid, base.order, order_bits=base.order_bits)


def _nothing(column: Column, rows: int) -> Column:
    zeros = tuple(jnp.zeros(rows, jnp.int64) for _ in column.rest)
    return Column(jnp.zeros(rows, column.value.dtype), jnp.zeros(rows, jnp.bool_), zeros)


def _by_left(parts: Sequence[Table], left: Table) -> Table:
    """Matched rows and unmatched left rows, together in the order of the left rows."""
    matched, alone = parts
    rank, bits = rank_of(left)
    assert matched.order is not None
    shift = matched.order_bits - bits - 1
    both_parts = below(replace(matched, order=None), replace(alone, order=None))
    order = jnp.concatenate([matched.order, rank * (1 << shift)])
    return replace(both_parts, order=order, order_bits=matched.order_bits)
