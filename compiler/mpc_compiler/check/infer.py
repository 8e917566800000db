"""Schema and row bound of every relation; refuses what does not type-check."""

from __future__ import annotations

import difflib
import functools

import msgspec

from mpc_compiler.check.keys import is_unique
from mpc_compiler.check.mass import mass_of
from mpc_compiler.check.models import MODELS
from mpc_compiler.check.scalars import SCALARS, computable, literal_type
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    AGGREGATES,
    JOINS,
    WINDOWS,
    Agg,
    Aggregate,
    Apply,
    Call,
    Column,
    DType,
    Expr,
    Field,
    Filter,
    Fit,
    Join,
    Kept,
    Limit,
    Literal,
    Local,
    Metric,
    Project,
    Rel,
    Scan,
    Schema,
    Shared,
    Sort,
    Union,
    Win,
    Window,
    walk,
)
from mpc_compiler.ir.types import Number, text_of

__all__ = ["expr_field", "expr_type", "owners_of", "require", "rows_of", "schema_of"]


def require(schema: Schema, name: str, *, node: object = None) -> Field:
    """The field ``name``, or a SchemaError that suggests the nearest one."""
    field = schema.field(name)
    if field is None:
        near = difflib.get_close_matches(name, schema.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(schema.names)}"
        raise SchemaError(f"no column {name!r}", code="MPC-0102", hint=hint, node=node)
    return field


@functools.lru_cache(maxsize=65536)
def expr_field(expr: Expr, schema: Schema) -> Field:
    """Type and owners of an expression over a relation of that schema."""
    if isinstance(expr, Column):
        return require(schema, expr.name, node=expr)
    if isinstance(expr, Literal):
        return Field("", literal_type(expr.value))
    args = [expr_field(arg, schema) for arg in expr.args]
    owners = tuple(sorted({owner for arg in args for owner in arg.owners}))
    try:
        op = SCALARS[expr.op]
    except KeyError:
        raise UnsupportedError(f"unknown operation {expr.op!r}", code="MPC-0301") from None
    most = len(args) if expr.op == "isin" else op.takes + (expr.op == "div")
    if not op.takes <= len(args) <= most:
        raise SchemaError(f"{expr.op!r} takes {op.takes} arguments, not {len(args)}", code="MPC-0105", node=expr)
    try:
        dtype = op.rule(expr.op, [arg.dtype for arg in args], expr.args)
    except SchemaError as error:
        error.node = error.node or expr
        raise
    # A column of a union has several owners, each of whom can compute with its own rows.
    of_rows = len({arg.owners for arg in args if arg.owners}) == 1 and not any(isinstance(a, Call) for a in expr.args)
    if len(owners) > 1 and not of_rows and not computable(expr):
        raise UnsupportedError(
            f"{expr.op!r} over columns of {' and '.join(owners)} cannot be computed on secrets",
            code="MPC-0303",
            hint="apply it to columns of one owner; that owner computes it locally",
            node=expr,
        )
    return Field("", dtype, owners)


def expr_type(expr: Expr, schema: Schema) -> DType:
    """The type of an expression over a relation of that schema."""
    return expr_field(expr, schema).dtype


@functools.lru_cache(maxsize=16384)
def schema_of(rel: Rel) -> Schema:
    """The columns of ``rel``.

    Examples
    --------
    >>> from mpc_compiler.ir import Item, call, column, literal, make
    >>> loans = make(Scan("a.loans", "a", (Field("x", DType("int", lo=0, hi=9), ("a",)),), 5))
    >>> schema_of(make(Project(loans, (Item("y", call("mul", column("x"), literal(2))),))))
    (y: int[0..18] of a,)
    """
    if isinstance(rel, Scan | Shared | Kept):
        return Schema(rel.fields)
    if isinstance(rel, Project):
        return _project(rel)
    if isinstance(rel, Filter):
        return _filter(rel)
    if isinstance(rel, Join):
        return _join(rel)
    if isinstance(rel, Union):
        return _union(rel)
    if isinstance(rel, Window):
        return _window(rel)
    if isinstance(rel, Aggregate):
        return _aggregate(rel)
    if isinstance(rel, Sort):
        for by in rel.by:
            require(schema_of(rel.input), by.column, node=rel)
        return schema_of(rel.input)
    if isinstance(rel, Limit):
        if rel.count < 0:
            raise SchemaError("head() needs a count of at least 0", code="MPC-0105", node=rel)
        return schema_of(rel.input)
    if isinstance(rel, Local):
        return schema_of(rel.input)
    return _model(rel)


def _unique(names: tuple[str, ...], node: Rel) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaError(f"column {twice[0]!r} appears twice", code="MPC-0106", hint="rename one", node=node)


def _project(rel: Project) -> Schema:
    below = schema_of(rel.input)
    _unique(tuple(item.name for item in rel.items), rel)
    fields = []
    for item in rel.items:
        inner = expr_field(item.expr, below)
        fields.append(Field(item.name, inner.dtype, inner.owners))
    return Schema(fields)


def _filter(rel: Filter) -> Schema:
    below = schema_of(rel.input)
    field = expr_field(rel.predicate, below)
    if field.dtype.kind != "bool":
        raise SchemaError(
            f"a filter needs a boolean, not {field.dtype.kind}",
            code="MPC-0103",
            hint="compare with something",
            node=rel,
        )
    present = _present(rel.predicate)
    return Schema(
        Field(f.name, msgspec.structs.replace(f.dtype, nullable=False), f.owners) if f.name in present else f
        for f in below
    )


def _present(predicate: Expr) -> frozenset[str]:
    """Columns that cannot be missing where the predicate holds."""
    if isinstance(predicate, Call) and predicate.op == "and":
        return frozenset().union(*(_present(arg) for arg in predicate.args))
    if isinstance(predicate, Call) and predicate.op == "notna" and isinstance(predicate.args[0], Column):
        return frozenset((predicate.args[0].name,))
    return frozenset()


def _join(rel: Join) -> Schema:
    left, right = schema_of(rel.left), schema_of(rel.right)
    _unique(left.names + right.names, rel)
    if rel.how not in JOINS:
        hint = f"one of {', '.join(JOINS)}"
        raise UnsupportedError(f"merge has no how={rel.how!r}", code="MPC-0301", hint=hint, node=rel)
    if len(rel.left_on) != len(rel.right_on) or bool(rel.left_on) == (rel.how == "cross"):
        raise SchemaError("a merge needs as many left as right keys, and at least one", code="MPC-0107", node=rel)
    for a, b in zip(rel.left_on, rel.right_on, strict=True):
        _joinable(require(left, a, node=rel), require(right, b, node=rel), rel)
    if rel.how in ("semi", "anti"):
        return left
    return Schema(
        (_missing(left) if rel.how in ("right", "outer") else left)
        + (_missing(right) if rel.how in ("left", "outer") else right)
    )


def _joinable(left: Field, right: Field, node: Join) -> None:
    kinds = left.dtype.kind, right.dtype.kind
    if kinds[0] != kinds[1]:
        raise SchemaError(
            f"merge keys {left.name!r} ({kinds[0]}) and {right.name!r} ({kinds[1]}) differ in type",
            code="MPC-0103",
            hint="cast one side",
            node=node,
        )
    if left.dtype.scale != right.dtype.scale:
        raise SchemaError(
            f"merge keys {left.name!r} and {right.name!r} differ in digits behind the point: {left.dtype.scale} and "
            f"{right.dtype.scale}",
            code="MPC-0103",
            hint="give both the same: CAST(... AS DECIMAL(18, 2)), or .astype(int)",
            node=node,
        )
    if kinds[0] == "float":
        message = f"merge key {left.name!r} is a float"
        raise SchemaError(message, code="MPC-0103", hint="use integers or text", node=node)


def _missing(schema: Schema) -> Schema:
    """The same columns where rows may have no partner."""
    return Schema(Field(f.name, msgspec.structs.replace(f.dtype, nullable=True), f.owners) for f in schema)


def _union(rel: Union) -> Schema:
    left, right = schema_of(rel.left), schema_of(rel.right)
    if left.names != right.names:
        other = sorted(set(left.names) ^ set(right.names)) or list(right.names)
        raise SchemaError(
            f"the parts of a union have different columns: {', '.join(other)}",
            code="MPC-0106",
            hint="select and rename the same columns, in the same order, in each part",
            node=rel,
        )
    return Schema(_unified(a, b, rel) for a, b in zip(left, right, strict=True))


def _unified(a: Field, b: Field, node: Union) -> Field:
    """The type that holds the values of both."""
    owners = tuple(sorted({*a.owners, *b.owners}))
    kinds = {a.dtype.kind, b.dtype.kind}
    kind = a.dtype.kind
    if len(kinds) > 1 and kinds <= {"int", "decimal", "float"}:
        kind = "float" if "float" in kinds else "decimal"
    elif len(kinds) > 1:
        raise SchemaError(
            f"column {a.name!r} is {a.dtype.kind} in one part and {b.dtype.kind} in another",
            code="MPC-0103",
            hint="cast one side",
            node=node,
        )
    nullable = a.dtype.nullable or b.dtype.nullable
    if kind == "string":
        return Field(a.name, text_of([a.dtype, b.dtype], nullable), owners)
    scale = max(a.dtype.scale, b.dtype.scale) if kind == "decimal" else 0
    if kind == "bool" or any(d.lo is None or d.hi is None for d in (a.dtype, b.dtype)):
        return Field(a.name, DType(kind, nullable, scale=scale), owners)
    ends = [_as_held(d, kind, scale) for d in (a.dtype, b.dtype)]
    return Field(a.name, DType(kind, nullable, min(e[0] for e in ends), max(e[1] for e in ends), scale=scale), owners)


def _as_held(dtype: DType, kind: str, scale: int) -> tuple[Number, Number]:
    """A range as a column of that kind and scale holds it."""
    if kind == "float":
        lo, hi = dtype.limits
        return float(lo), float(hi)
    lo, hi = dtype.bounds
    return int(lo) * 10 ** (scale - dtype.scale), int(hi) * 10 ** (scale - dtype.scale)


def _window(rel: Window) -> Schema:
    below = schema_of(rel.input)
    _unique((*below.names, *(win.name for win in rel.wins)), rel)
    for name in (*rel.partition, *(by.column for by in rel.order)):
        require(below, name, node=rel)
    everyone = owners_of(rel.input)
    made = [Field(win.name, _win_type(win, below, rel), everyone) for win in rel.wins]
    return Schema([*below, *made])


def _win_type(win: Win, below: Schema, node: Window) -> DType:
    if win.function not in WINDOWS:
        hint = f"supported: {', '.join(WINDOWS)}"
        raise UnsupportedError(f"window function {win.function!r}", code="MPC-0304", hint=hint, node=node)
    rows = max(rows_of(node.input), 1)
    if win.function in ("row_number", "rank", "dense_rank"):
        return DType("int", lo=1, hi=rows)
    if win.function in ("lag", "lead"):
        return msgspec.structs.replace(require(below, win.column or "", node=node).dtype, nullable=True)
    before, after = win.rows
    most = rows if win.peers or before is None or after is None else min(rows, before + after + 1)
    dtype = _agg_type(Agg(win.name, win.function, win.column), below, most, True, node)
    held = (before or 0) >= 0 and (after or 0) >= 0  # the frame holds the current row
    if held or win.function in ("count", "size"):
        return dtype
    return msgspec.structs.replace(dtype, nullable=True)


def _aggregate(rel: Aggregate) -> Schema:
    below = schema_of(rel.input)
    _unique((*rel.keys, *(agg.name for agg in rel.aggs)), rel)
    everyone = owners_of(rel.input)
    fields = []
    for name in rel.keys:
        key = require(below, name, node=rel)
        if key.dtype.kind == "float":
            raise SchemaError(f"cannot group by the float {name!r}", code="MPC-0103", hint="bin it first", node=rel)
        nullable = key.dtype.nullable and rel.nulls
        fields.append(Field(name, msgspec.structs.replace(key.dtype, nullable=nullable), everyone))
    rows = rows_of(rel.input)
    fields += [Field(agg.name, _agg_type(agg, below, rows, bool(rel.keys), rel), everyone) for agg in rel.aggs]
    return Schema(fields)


def _agg_type(agg: Agg, below: Schema, rows: int, grouped: bool, node: Rel) -> DType:
    if agg.function not in AGGREGATES:
        near = difflib.get_close_matches(agg.function, AGGREGATES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"supported: {', '.join(AGGREGATES)}"
        raise UnsupportedError(f"aggregate {agg.function!r} is not supported", code="MPC-0304", hint=hint, node=node)
    if agg.function == "size":
        return DType("int", lo=0, hi=rows)
    dtype = require(below, agg.column or "", node=node).dtype
    if agg.function in ("any", "first", "last"):
        return msgspec.structs.replace(dtype, nullable=dtype.nullable or not grouped)
    if agg.function in ("count", "nunique"):
        return DType("int", lo=0, hi=rows)
    nullable = dtype.nullable or not grouped
    if agg.function in ("min", "max"):
        if dtype.kind == "string" and dtype.domain is None and len(owners_of(node)) > 1:
            raise UnsupportedError(
                f"{agg.function} of text column {agg.column!r}, which has no public dictionary",
                code="MPC-0304",
                hint="declare one: mpc.Source(data, dictionaries={'column': [...]})",
                node=node,
            )
        return msgspec.structs.replace(dtype, nullable=nullable)
    if not dtype.numeric:
        raise SchemaError(f"cannot take the {agg.function} of {dtype.kind} {agg.column!r}", code="MPC-0103", node=node)
    known = dtype.kind == "bool" or dtype.lo is not None
    if agg.function in ("mean", "median", "quantile"):
        ends = dtype.limits if known else None
        return DType("float", nullable) if ends is None else DType("float", nullable, float(ends[0]), float(ends[1]))
    kind = "int" if dtype.kind == "bool" else dtype.kind
    if not known:
        return DType(kind, scale=dtype.scale)
    lo, hi = dtype.bounds
    lo, hi = min(lo, 0) * rows, max(hi, 0) * rows
    if kind == "float":
        return DType("float", lo=lo, hi=hi)
    assert isinstance(node, Aggregate | Window)
    most = mass_of(node.input, agg.column or "")
    return DType(kind, lo=max(lo, -most), hi=min(hi, most), scale=dtype.scale)


def _model(rel: Fit | Apply | Metric) -> Schema:
    everyone = owners_of(rel)
    below = schema_of(rel.input)
    if isinstance(rel, Metric):
        return Schema(Field(f.name, f.dtype, everyone) for f in MODELS["metric"].model(rel, below))
    if rel.kind not in MODELS:
        raise UnsupportedError(f"unknown estimator {rel.kind!r}", code="MPC-0301", node=rel)
    if isinstance(rel, Fit):
        return Schema(Field(f.name, f.dtype, everyone) for f in MODELS[rel.kind].model(rel, below))
    made = {f.name: Field(f.name, f.dtype, everyone) for f in MODELS[rel.kind].apply(rel, below)}
    kept = [made.pop(f.name, f) for f in below]
    return Schema([*kept, *made.values()])


@functools.lru_cache(maxsize=16384)
def owners_of(rel: Rel) -> tuple[str, ...]:
    """Everyone whose rows the relation depends on, predicates included."""
    scans = {node.owner for node in walk(rel) if isinstance(node, Scan)}
    shared = {owner for node in walk(rel) if isinstance(node, Shared) for f in node.fields for owner in f.owners}
    kept = {owner for node in walk(rel) if isinstance(node, Kept) for owner in node.owners}
    return tuple(sorted(scans | shared | kept))


@functools.lru_cache(maxsize=16384)
def rows_of(rel: Rel) -> int:
    """A public upper bound of the number of rows."""
    if isinstance(rel, Scan | Shared | Kept):
        return rel.rows
    if isinstance(rel, Join):
        return _join_rows(rel)
    if isinstance(rel, Union):
        return rows_of(rel.left) + rows_of(rel.right)
    if isinstance(rel, Limit):
        return min(rows_of(rel.input), rel.count)
    if isinstance(rel, Aggregate):
        return _groups_of(rel)
    if isinstance(rel, Fit):
        return MODELS[rel.kind].rows(rel)
    if isinstance(rel, Metric):
        return 1
    return rows_of(rel.input)


def _join_rows(rel: Join) -> int:
    left, right = rows_of(rel.left), rows_of(rel.right)
    if rel.how in ("semi", "anti", "cross"):
        return left
    once_left, once_right = is_unique(rel.left, rel.left_on), is_unique(rel.right, rel.right_on)
    if once_left and once_right:
        matches = min(left, right)
    elif once_left or once_right:
        matches = left if once_right else right
    else:  # without a bound, keys turn out to be unique at both owners, or the run ends
        matches = rel.most or (min(left, right) if len(owners_of(rel)) > 1 else max(left, right))
    if rel.how == "left":
        return left if once_right else matches + left
    if rel.how == "right":
        return right if once_left else matches + right
    return matches if rel.how == "inner" else matches + left + right


def _groups_of(rel: Aggregate) -> int:
    if not rel.keys:
        return 1
    size, below = 1, schema_of(rel.input)
    for name in rel.keys:
        dtype = require(below, name, node=rel).dtype
        if dtype.kind != "bool" and dtype.domain is None and dtype.lo is None:
            return rows_of(rel.input)
        lo, hi = dtype.bounds
        size *= int(hi - lo) + 1 + (rel.nulls and dtype.nullable)
    return min(size, rows_of(rel.input)) if size else 0
