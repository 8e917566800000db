"""Rule: what a left join repeats rows for, only to group them by those rows again, is grouped before it is joined."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Call,
    Column,
    Expr,
    Item,
    Join,
    Plan,
    Project,
    Rel,
    Sort,
    SortBy,
    call,
    column,
    columns_of,
    literal,
    make,
    transform_plan,
)
from mpc_compiler.rules.lookups import unused

__all__ = ["group_before_outer"]

_STRICT = ("add", "sub", "mul", "neg", "abs")
"""Operations that are missing where an operand is: rows without a match then count for nothing."""
_EMPTY = {"count": 0, "nunique": 0, "sum": 0, "size": 1}
"""Results of a group that is one row without a match; others are missing."""


def group_before_outer(plan: Plan) -> Plan:
    """Aggregate the right side of a left join by its key, where each left row is a group of its own.

    The join then looks up one row for each left row, instead of repeating left rows for all that match.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, looked_up
    >>> all_accounts = make(Join(looked_up.right, looked_up.left, ("key",), ("bad",), "left"))
    >>> as_plan(make(Aggregate(all_accounts, ("key",), (Agg("n", "count", "age"),)))).show(group_before_outer)
    sort key
      project key, n=fillna(n~1, 0)
        left join on key = bad~1
          scan b.accounts [key, balance] 4 rows of b
          aggregate n~1=count(age~1) by bad~1
            project bad~1=bad, age~1=age
              scan a.loans [id, age, bad] 5 rows of a
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Aggregate) or not rel.keys or any(a.function in ("first", "last") for a in rel.aggs):
        return rel
    below = rel.input
    exprs: dict[str, Expr] = {name: column(name) for name in schema_of(below).names}
    while isinstance(below, Project) and all(isinstance(e, Column) for e in exprs.values()):
        items = {item.name: item.expr for item in below.items}
        exprs = {name: items[expr.name] for name, expr in exprs.items() if isinstance(expr, Column)}
        below = below.input
    if not isinstance(below, Join) or below.how != "left" or not is_unique(below.left, below.left_on):
        return rel
    return _grouped(rel, exprs, below) or rel


def _grouped(rel: Aggregate, exprs: dict[str, Expr], join: Join) -> Rel | None:
    left = {field.name: field.dtype for field in schema_of(join.left)}
    keys = {name: key.name for name in rel.keys if isinstance(key := exprs[name], Column) and key.name in left}
    if len(keys) < len(rel.keys) or not is_unique(join.left, tuple(keys.values())):
        return None
    if any(left[name].nullable for name in keys.values()) or is_unique(join.right, join.right_on):
        return None
    right = frozenset(schema_of(join.right).names)
    mark = next(unused({*left, *right, *exprs, *(agg.name for agg in rel.aggs)}))
    items: dict[str, Expr] = {name + mark: column(name) for name in join.right_on}
    aggs, shown = [], [Item(name, column(source)) for name, source in keys.items()]
    for agg in rel.aggs:
        expr: Expr | None = None if agg.column is None else exprs[agg.column]
        if agg.function == "any" and isinstance(expr, Column) and expr.name in left:
            shown.append(Item(agg.name, expr))
            continue
        if expr is not None:
            if not columns_of(expr) or not columns_of(expr) <= right or not _strict(expr):
                return None
            items[f"{agg.column}{mark}"] = expr
        name = None if agg.column is None else f"{agg.column}{mark}"
        aggs.append(msgspec.structs.replace(agg, name=agg.name + mark, column=name))
        made: Expr = column(agg.name + mark)
        if agg.function in _EMPTY:
            made = call("fillna", made, literal(_EMPTY[agg.function]))
        shown.append(Item(agg.name, made))
    rows = make(Project(join.right, tuple(Item(name, expr) for name, expr in items.items())))
    on = tuple(name + mark for name in join.right_on)
    groups = make(Aggregate(rows, on, tuple(aggs) or (Agg("size" + mark, "size"),), join.nulls))
    looked_up = make(msgspec.structs.replace(join, right=groups, right_on=on))
    result = make(Project(looked_up, tuple(shown)))
    return make(Sort(result, tuple(map(SortBy, rel.keys)))) if rel.ordered else result


def _strict(expr: Expr) -> bool:
    """Whether the expression is missing where what it reads is."""
    if isinstance(expr, Call):
        return (
            expr.op in _STRICT
            and any(columns_of(arg) for arg in expr.args)
            and all(_strict(arg) for arg in expr.args if columns_of(arg))
        )
    return True
