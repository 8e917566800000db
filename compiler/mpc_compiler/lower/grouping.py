"""Groups, windows and sorts of a plan as calls of operators, with the widths that public ranges give."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.cost import LinkProfile
from mpc_compiler.ir import Aggregate, DType, Field, Schema, SortBy, Window
from mpc_compiler.lower.reach import reach_of
from mpc_compiler.ops.group import Agg, Key, aggregate, group_by
from mpc_compiler.ops.keys import SortKey
from mpc_compiler.ops.table import Table
from mpc_compiler.ops.window import Win, window

__all__ = ["group_table", "sort_keys", "window_table"]


def _field(schema: Schema, name: str) -> Field:
    field = schema.field(name)
    assert field is not None
    return field


def _bounds(dtype: DType) -> tuple[int, int] | tuple[float, float]:
    lo, hi = dtype.bounds
    return (float(lo), float(hi)) if dtype.kind == "float" else (int(lo), int(hi))


def _range(schema: Schema, name: str | None) -> tuple[float, float]:
    return (0, 1) if name is None else _bounds(_field(schema, name).dtype)


def _scale(schema: Schema, name: str | None) -> int:
    return 0 if name is None else _field(schema, name).dtype.scale


def group_table(rel: Aggregate, below: Table, *, kernels: bool, link: LinkProfile) -> Table:
    """The groups of a relation."""
    schema = reach_of(rel.input)
    aggs = [
        Agg(a.name, a.function, a.column, *_range(schema, a.column), _scale(schema, a.column), a.param)
        for a in rel.aggs
    ]
    if not rel.keys:
        return aggregate(below, aggs)
    keys = []
    for name in rel.keys:
        dtype = _field(schema, name).dtype
        lo, hi = dtype.bounds
        keys.append(Key(name, int(lo), int(hi), dtype.nullable, nulls=rel.nulls))
    return group_by(below, keys, aggs, kernels=kernels, link=link)


def sort_keys(schema: Schema, by: Sequence[SortBy]) -> list[SortKey]:
    """Columns to sort by, as narrow as their ranges."""
    keys = []
    for key in by:
        dtype = _field(schema, key.column).dtype
        lo, hi = _bounds(dtype)
        keys.append(SortKey(key.column, key.ascending, lo, hi, dtype.nullable))
    return keys


def window_table(rel: Window, below: Table) -> Table:
    """The rows of a relation with its window functions."""
    schema = reach_of(rel.input)
    wins = [
        Win(
            w.name,
            w.function,
            w.column,
            *_range(schema, w.column),
            w.param,
            *w.rows,
            peers=w.peers,
            scale=_scale(schema, w.column),
        )
        for w in rel.wins
    ]
    partition = sort_keys(schema, [SortBy(name) for name in rel.partition])
    return window(below, partition, sort_keys(schema, rel.order), wins)
