"""A single-owner subtree as SQL for that owner's DuckDB, with pandas' semantics.

Every relation carries a hidden column ``__row``: its order is that of the rows. Text and identifiers are quoted by
sqlglot, never pasted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    DType,
    Expr,
    Field,
    Filter,
    Item,
    Join,
    Limit,
    Local,
    Project,
    Rel,
    Scan,
    Schema,
    Sort,
    SortBy,
    Union,
    Win,
    Window,
)
from mpc_compiler.ir.parts import apart
from mpc_compiler.lower.sql import copies, held, of_units, scalar_sql, truth

__all__ = ["ROW", "to_sql"]

ROW = "__row"
"""The hidden column that orders the rows."""
_SIDE = "__side"


def to_sql(rel: Rel, items: Sequence[Item]) -> str:
    """SQL that computes ``items`` over ``rel``, in pandas' row order.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import expression, filtered, loans
    >>> print(to_sql(filtered(loans, "age > 3"), [Item("y", expression("id"))]))
    SELECT "id" AS "y" FROM (SELECT * FROM "a.loans" AS "t" WHERE COALESCE("age" > 3, FALSE)) AS "t" ORDER BY "__row"
    """
    below, columns = _computed(_query(rel), items, schema_of(rel))
    columns = columns or [_named(exp.Literal.number(1), "__nothing")]
    return str(exp.select(*columns).from_(below, copy=False).order_by(_id(ROW), copy=False).sql(dialect="duckdb"))


def _computed(below: exp.Expr, items: Sequence[Item], schema: Schema) -> tuple[exp.Expr, list[exp.Expr]]:
    """Items as columns, and what to select them from."""
    below, exprs, schema = _apart(below, {item.name: item.expr for item in items}, schema)
    return below, [_named(scalar_sql(expr, schema), name) for name, expr in exprs.items()]


def _apart(below: exp.Expr, exprs: Mapping[str, Expr], schema: Schema) -> tuple[exp.Expr, Mapping[str, Expr], Schema]:
    """Expressions over a query that computes their large parts of several uses, and its columns.

    The text of nested extremes and roots, which write a number several times, would otherwise grow without bound.
    """
    names: dict[Expr, str] = {}
    levels, left = apart(exprs, lambda part: names.setdefault(part, f"__part{len(names)}"), copies)
    for level in levels:
        made = [_named(scalar_sql(part, schema), name) for name, part in level.items()]
        below = _sub(exp.select("*", *made).from_(below, copy=False))
        schema = Schema((*schema, *(Field(name, expr_type(part, schema)) for name, part in level.items())))
    return below, left, schema


def _filtered(rel: Filter) -> exp.Expr:
    names = schema_of(rel).names
    below, exprs, schema = _apart(_query(rel.input), {"": rel.predicate}, schema_of(rel.input))
    kept = ["*"] if len(schema) == len(names) else [*map(_id, names), _id(ROW)]
    return _sub(exp.select(*kept).from_(below, copy=False).where(truth(exprs[""], schema), copy=False))


def _id(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True))


def _of(side: str, name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(side, quoted=True))


def _named(value: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(value, exp.to_identifier(name, quoted=True))


def _sub(select: exp.Query, name: str = "t") -> exp.Expr:
    return select.subquery(exp.to_identifier(name, quoted=True), copy=False)  # copies of copies would take long


def _ordered(value: exp.Expr, *, descending: bool = False) -> exp.Expr:
    """A sort key; NULLs come last in both directions."""
    return exp.Ordered(this=value, desc=descending, nulls_first=False)


def _keys(order: Sequence[SortBy]) -> list[exp.Expr]:
    return [_ordered(_id(by.column), descending=not by.ascending) for by in order]


def _numbered(order: Sequence[exp.Expr]) -> exp.Expr:
    over = exp.Window(this=exp.RowNumber(), order=exp.Order(expressions=list(order)))
    return _named(over, ROW)


def _query(rel: Rel) -> exp.Expr:
    """``rel`` as something to select from: its columns and ``__row``."""
    if isinstance(rel, Scan):
        table = exp.Table(this=exp.to_identifier(rel.table, quoted=True))
        return exp.alias_(table, exp.to_identifier("t", quoted=True), table=True)
    if isinstance(rel, Local):
        return _query(rel.input)
    if isinstance(rel, Project):
        below, items = _computed(_query(rel.input), rel.items, schema_of(rel.input))
        return _sub(exp.select(*items, _id(ROW)).from_(below, copy=False))
    if isinstance(rel, Filter):
        return _filtered(rel)
    if isinstance(rel, Sort):
        names = [_id(name) for name in schema_of(rel).names]
        return _sub(exp.select(*names, _numbered([*_keys(rel.by), _id(ROW)])).from_(_query(rel.input), copy=False))
    if isinstance(rel, Limit):
        return _sub(
            exp.select("*")
            .from_(_query(rel.input), copy=False)
            .order_by(_id(ROW), copy=False)
            .limit(rel.count, copy=False)
        )
    if isinstance(rel, Aggregate):
        return _aggregate(rel)
    if isinstance(rel, Join):
        return _join(rel)
    if isinstance(rel, Union):
        return _union(rel)
    if isinstance(rel, Window):
        return _window(rel)
    raise UnsupportedError(f"{type(rel).__name__} is not relational", code="MPC-0301", node=rel)


# --- aggregates ---------------------------------------------------------------------------------------------------


def _aggregate(rel: Aggregate) -> exp.Expr:
    below = schema_of(rel.input)
    keys = [_id(key) for key in rel.keys]
    aggs = [_named(_agg(agg, below), agg.name) for agg in rel.aggs]
    query = exp.select(*keys, *aggs, *(() if keys else (_named(exp.Literal.number(1), ROW),))).from_(
        _query(rel.input), copy=False
    )
    if not keys:
        return _sub(query)
    for key in keys if not rel.nulls else ():
        query = query.where(exp.Not(this=exp.Is(this=key.copy(), expression=exp.null())))
    inner = _sub(query.group_by(*(key.copy() for key in keys), copy=False))
    return _sub(exp.select("*", _numbered([_ordered(key.copy()) for key in keys])).from_(inner, copy=False))


def _agg(agg: Agg, below: Schema) -> exp.Expr:
    if agg.function == "size":
        return exp.Count(this=exp.Star())
    dtype = _type(agg.column, below)
    value = _number(_id(agg.column or ""), agg.function, dtype)
    if agg.function in ("sum", "mean", "count", "min", "max"):
        return _finished(_plain(agg.function, value), agg.function, dtype)
    if agg.function == "nunique":
        return exp.Count(this=exp.Distinct(expressions=[value]))
    if agg.function in ("median", "quantile"):
        level = 0.5 if agg.function == "median" else agg.param
        return of_units(exp.func("quantile_cont", exp.cast(value, "DOUBLE"), exp.Literal.number(repr(level))), dtype)
    if agg.function in ("first", "last"):
        chosen = exp.func("arg_min" if agg.function == "first" else "arg_max", value, _id(ROW))
        present = exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))
        return exp.Filter(this=chosen, expression=exp.Where(this=present))
    return exp.func("any_value", value)


def _type(name: str | None, below: Schema) -> DType:
    field = below.field(name or "")
    assert field is not None
    return field.dtype


def _number(value: exp.Expr, function: str, dtype: DType) -> exp.Expr:
    """What is added up: a boolean counts as 0 or 1."""
    if dtype.kind == "bool" and function in ("sum", "mean", "median", "quantile"):
        return exp.cast(value, "BIGINT")
    return exp.cast(value, "DOUBLE") if function == "mean" else value


_PLAIN: dict[str, type[exp.AggFunc]] = {
    "sum": exp.Sum,
    "mean": exp.Avg,
    "count": exp.Count,
    "min": exp.Min,
    "max": exp.Max,
}


def _plain(function: str, value: exp.Expr) -> exp.Expr:
    return _PLAIN[function](this=value)


def _finished(value: exp.Expr, function: str, dtype: DType) -> exp.Expr:
    """The sum of nothing is 0, and a sum of whole numbers is a whole number of 64 bits; a mean of units is a number."""
    if function == "mean":
        return of_units(value, dtype)
    if function != "sum":
        return value
    total = exp.cast(value, "DOUBLE" if dtype.kind == "float" else "BIGINT")
    return exp.Coalesce(this=total, expressions=[exp.Literal.number(0)])


# --- joins and unions ---------------------------------------------------------------------------------------------

_KINDS = {"inner": "inner", "left": "left", "right": "right", "outer": "full", "semi": "semi", "anti": "anti"}


def _join(rel: Join) -> exp.Expr:
    left, right = (exp.select("*").from_(_query(side), copy=False) for side in (rel.left, rel.right))
    equal = exp.NullSafeEQ if rel.nulls else exp.EQ
    pairs = zip(rel.left_on, rel.right_on, strict=True)
    on = [equal(this=_of("l", a), expression=_of("r", b)) for a, b in pairs]
    if rel.how in ("semi", "anti"):
        kept = [*schema_of(rel.left).names, ROW]
        query = exp.select(*(_of("l", name) for name in kept)).from_(_sub(left, "l"), copy=False)
        return _sub(query.join(_sub(right, "r"), on=exp.and_(*on, copy=False), join_type=rel.how, copy=False))
    names = [_of("l", n) for n in schema_of(rel.left).names] + [_of("r", n) for n in schema_of(rel.right).names]
    order = [_ordered(_of(side, ROW)) for side in ("l", "r")]  # rows without a left partner come last
    query = exp.select(*names, _numbered(order)).from_(_sub(left, "l"), copy=False)
    if rel.how == "cross":
        return _sub(query.join(_sub(right, "r"), join_type="cross", copy=False))
    return _sub(query.join(_sub(right, "r"), on=exp.and_(*on, copy=False), join_type=_KINDS[rel.how], copy=False))


def _union(rel: Union) -> exp.Expr:
    schema = schema_of(rel)
    names = schema.names
    sides = []
    for at, side in enumerate((rel.left, rel.right)):
        pairs = zip(schema_of(side), schema, strict=True)
        columns = [_named(held(_id(old.name), old.dtype, new.dtype), new.name) for old, new in pairs]
        sides.append(
            exp.select(*columns, _id(ROW), _named(exp.Literal.number(at), _SIDE)).from_(_query(side), copy=False)
        )
    both = _sub(exp.union(*sides, distinct=False, copy=False))
    return _sub(exp.select(*map(_id, names), _numbered([_id(_SIDE), _id(ROW)])).from_(both, copy=False))


# --- windows ------------------------------------------------------------------------------------------------------


def _window(rel: Window) -> exp.Expr:
    below = schema_of(rel.input)
    made = [_named(_win(win, rel, below), win.name) for win in rel.wins]
    return _sub(exp.select(*map(_id, below.names), *made, _id(ROW)).from_(_query(rel.input), copy=False))


_RANKS = {"row_number": "row_number", "rank": "rank", "dense_rank": "dense_rank"}


def _win(win: Win, rel: Window, below: Schema) -> exp.Expr:
    order = _keys(rel.order)
    rows = [*order, _id(ROW)]  # rows that tie keep the order of the input
    if win.function in _RANKS:
        ties = win.function != "row_number"
        if ties and not order:
            return exp.Literal.number(1)
        return _over(exp.func(_RANKS[win.function]), rel, order if ties else rows)
    if win.function in ("lag", "lead"):
        ahead = win.param if win.function == "lead" else -win.param
        shift = exp.func("lead" if ahead > 0 else "lag", _id(win.column or ""), exp.Literal.number(abs(ahead)))
        return _over(shift, rel, rows)
    if win.function == "size":
        return _over(exp.Count(this=exp.Star()), rel, *_frame(win, order, rows))
    dtype = _type(win.column, below)
    value = _plain(win.function, _number(_id(win.column or ""), win.function, dtype))
    return _finished(_over(value, rel, *_frame(win, order, rows)), win.function, dtype)


def _over(value: exp.Expr, rel: Window, order: list[exp.Expr], frame: exp.WindowSpec | None = None) -> exp.Expr:
    return exp.Window(
        this=value,
        partition_by=[_id(name) for name in rel.partition],
        order=exp.Order(expressions=order) if order else None,
        spec=frame,
    )


def _frame(win: Win, order: list[exp.Expr], rows: list[exp.Expr]) -> tuple[list[exp.Expr], exp.WindowSpec]:
    """Which rows an aggregate sees, and the order that this is said in."""
    if win.peers:
        spec = exp.WindowSpec(kind="RANGE", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW", end_side="")
        return order, spec
    (start, start_side), (end, end_side) = _edge(win.rows[0], "PRECEDING"), _edge(win.rows[1], "FOLLOWING")
    return rows, exp.WindowSpec(kind="ROWS", start=start, start_side=start_side, end=end, end_side=end_side)


_OPPOSITE = {"PRECEDING": "FOLLOWING", "FOLLOWING": "PRECEDING"}


def _edge(rows: int | None, side: str) -> tuple[exp.Expr | str, str]:
    if rows is None:
        return "UNBOUNDED", side
    if rows == 0:
        return "CURRENT ROW", ""
    return exp.Literal.number(abs(rows)), side if rows > 0 else _OPPOSITE[side]
