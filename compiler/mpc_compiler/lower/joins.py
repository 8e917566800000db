"""Joins and unions inside a program: what the schema says of keys, for the functions of ``ops``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import DType, Join, Rel, Schema, Union
from mpc_compiler.ir.types import WORD_BITS, text_of
from mpc_compiler.ops.arithmetic import number_as
from mpc_compiler.ops.join import JoinKey, attach_row, join
from mpc_compiler.ops.recode import recode
from mpc_compiler.ops.table import Column, Table
from mpc_compiler.ops.text import as_words
from mpc_compiler.ops.union import below

__all__ = ["join_tables", "union_tables"]


def join_tables(rel: Join, left: Table, right: Table, checks: list[Array]) -> Table:
    """The join of two tables that were computed on shares; see :func:`mpc_compiler.ops.join.join` for `checks`."""
    if rel.how == "cross":
        return attach_row(left, right)
    unique = is_unique(rel.left, rel.left_on), is_unique(rel.right, rel.right_on)
    keys = []
    for number, (a, b) in enumerate(zip(rel.left_on, rel.right_on, strict=True)):
        types = _type(rel.left, a), _type(rel.right, b)
        if any(t.width is not None for t in types):
            made, (left, right) = _text_keys(number, (left, right), (a, b), types)
            keys += made
            continue
        key, (left, right) = _key(number, (left, right), (a, b), types)
        keys.append(key)
    joined = join(
        left,
        right,
        keys,
        rel.how,
        left_unique=unique[0],
        right_unique=unique[1],
        nulls=rel.nulls,
        most=rel.most,
        checks=checks,
    )
    return replace(joined, columns={name: joined.columns[name] for name in schema_of(rel).names})


def union_tables(rel: Union, top: Table, bottom: Table) -> Table:
    """The rows of two tables that were computed on shares, in the types of the union."""
    schema = schema_of(rel)
    sides = []
    for side, table in ((rel.left, top), (rel.right, bottom)):
        types = schema_of(side)
        columns = {f.name: _converted(table.columns[f.name], _of(types, f.name), f.dtype) for f in schema}
        columns = columns or {"__nothing": Column(jnp.zeros(table.rows, jnp.int64))}  # how many rows counts
        sides.append(replace(table, columns=columns))
    return below(*sides)


def _of(schema: Schema, name: str) -> DType:
    field = schema.field(name)
    assert field is not None
    return field.dtype


def _type(rel: Rel, name: str) -> DType:
    return _of(schema_of(rel), name)


def _key(
    number: int, tables: tuple[Table, Table], names: tuple[str, str], types: tuple[DType, DType]
) -> tuple[JoinKey, tuple[Table, Table]]:
    """A pair of keys in one encoding; where that is not the columns' own, in columns beside them."""
    common = _common(types)
    (low, high), (least, most) = (t.bounds for t in types) if common is None else (common.bounds, common.bounds)
    lo, hi = int(min(low, least)), int(max(high, most))
    if common is None:
        return JoinKey(*names, lo, hi), tables
    made, fresh = [], (f"\0left{number}", f"\0right{number}")
    for table, name, dtype, new in zip(tables, names, types, fresh, strict=True):
        made.append(replace(table, columns=table.columns | {new: _converted(table.columns[name], dtype, common)}))
    return JoinKey(*fresh, lo, hi), (made[0], made[1])


def _text_keys(
    number: int, tables: tuple[Table, Table], names: tuple[str, str], types: tuple[DType, DType]
) -> tuple[list[JoinKey], tuple[Table, Table]]:
    """A pair of texts, of which at least one has no dictionary, as one key a word."""
    widest = text_of(types, False)
    hidden = [
        _words_beside(table, f"\0{side}{number}", name, dtype, widest)
        for side, table, name, dtype in zip(("left", "right"), tables, names, types, strict=True)
    ]
    top = (1 << WORD_BITS) - 1
    pairs = zip(*(fresh for fresh, _ in hidden), strict=True)
    return [JoinKey(a, b, 0, top) for a, b in pairs], (hidden[0][1], hidden[1][1])


def _words_beside(table: Table, prefix: str, name: str, dtype: DType, widest: DType) -> tuple[list[str], Table]:
    """Names of a column's words, and the table with a column for each of them that it does not have."""
    column = table.columns[name]
    spelled = as_words(column, dtype, widest.words)
    own = dtype.width is not None  # then its first word is the column itself
    names = [name if own and at == 0 else f"{prefix}.{at}" for at in range(widest.words)]
    columns = {
        fresh: spelled if at == 0 else Column(word)
        for at, (fresh, word) in enumerate(zip(names, spelled.words, strict=True))
        if fresh != name
    }
    return names, replace(table, columns=table.columns | columns)


def _common(types: Sequence[DType]) -> DType | None:
    """The type in which two different encodings can be compared; None if they are the same already."""
    first, second = types
    if first.kind != "string" or first.domain == second.domain:
        return None
    return DType("string", domain=tuple(sorted({*(first.domain or ()), *(second.domain or ())})))


def _converted(column: Column, old: DType, new: DType) -> Column:
    """A column of one type as one of another that holds all its values."""
    if new.width is not None:
        return as_words(column, old, new.words)
    value = column.value
    if old.kind == "string" and old.domain != new.domain:
        value = recode(value, old.domain or (), new.domain or ())
        value = value if column.valid is None else jnp.where(column.valid, value, 0)
    elif new.kind in ("float", "decimal"):
        value = number_as(value, old, new)
    return Column(value, column.valid)
