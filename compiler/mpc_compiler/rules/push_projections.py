"""Rule: computed columns of one owner move to that owner."""

from __future__ import annotations

from mpc_compiler.check import expr_field, owners_of, schema_of
from mpc_compiler.ir import (
    Call,
    Column,
    Expr,
    Filter,
    Item,
    Join,
    Plan,
    Project,
    Rel,
    call,
    column,
    columns_of,
    make,
    rebuild,
    transform_plan,
)

__all__ = ["KEPT", "push_projections"]


def push_projections(plan: Plan) -> Plan:
    """Move every computed expression that reads one owner's columns below the join, to that owner.

    Parts of an expression move too: of ``(a_owned * 2) + b_owned`` the product is computed by its owner, in
    the clear and in full precision.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, joined, project
    >>> as_plan(project(joined, y="age * 2 + balance")).show(push_projections)
    project y=(y~1 + balance)
      join on id = key
        project id, age, bad, y~1=(age * 2)
          scan a.loans [id, age, bad] 5 rows of a
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if isinstance(rel, Project) and len(owners_of(rel)) > 1:
        base, exprs = _sink(rel.input, {item.name: item.expr for item in rel.items})
        return make(Project(base, tuple(Item(name, exprs[name]) for name in exprs))) if base != rel.input else rel
    if isinstance(rel, Filter) and len(owners_of(rel)) > 1:
        names = schema_of(rel).names
        base, exprs = _sink(rel.input, {"filter": rel.predicate})
        if base == rel.input:
            return rel
        return make(Project(make(Filter(base, exprs["filter"])), tuple(Item(n, column(n)) for n in names)))
    return rel


def _sink(base: Rel, exprs: dict[str, Expr]) -> tuple[Rel, dict[str, Expr]]:
    """Push what one side of a join can compute; returns the new base and what is left of each expression."""
    if isinstance(base, Project) and all(item.expr == Column(item.name) for item in base.items):
        inner, left = _sink(base.input, exprs)  # a choice of columns is in nobody's way
        return (base, exprs) if inner == base.input else (inner, left)
    if isinstance(base, Filter):
        inner, left = _sink(base.input, {**exprs, "\0filter": base.predicate})
        if inner == base.input:
            return base, exprs
        predicate = left.pop("\0filter")
        return make(Filter(inner, predicate)), left
    if not isinstance(base, Join) or len(owners_of(base)) < 2:
        return base, exprs
    for side in KEPT[base.how]:
        base, exprs = _sink_side(base, side, exprs)
    return base, exprs


KEPT = {
    "inner": ("left", "right"), "left": ("left",), "right": ("right",), "outer": (),
    "semi": ("left",), "anti": ("left",), "cross": ("left",),
}  # fmt: skip
"""Sides of which every row of the result has one row: what is computed of it may be computed before."""


def _sink_side(join: Join, side: str, exprs: dict[str, Expr]) -> tuple[Join, dict[str, Expr]]:
    below: Rel = getattr(join, side)
    schema = schema_of(below)
    taken = set(schema_of(join).names) | set(exprs)
    made: dict[Expr, str] = {}

    def cut(expr: Expr, name: str) -> Expr:
        if not isinstance(expr, Call):
            return expr
        reads = columns_of(expr)
        if reads and reads <= set(schema.names) and len(expr_field(expr, schema).owners) == 1:
            if expr not in made:
                made[expr] = _fresh(name, taken)
            return column(made[expr])
        return call(expr.op, *(cut(arg, name) for arg in expr.args))

    rest = {name: cut(expr, name.strip("\0")) for name, expr in exprs.items()}
    if not made:
        return join, exprs
    if len(owners_of(below)) > 1:
        pushed = {name: column(name) for name in schema.names} | {name: expr for expr, name in made.items()}
        inner, left = _sink(below, dict(pushed))
        if all(isinstance(expr, Column) for expr in left.values()):
            names = {name: expr.name for name, expr in left.items() if isinstance(expr, Column)}
            rest = {key: _renamed(expr, {new: names[new] for new in made.values()}) for key, expr in rest.items()}
            moved: Rel = inner
        else:
            moved = make(Project(inner, tuple(Item(name, expr) for name, expr in left.items())))
    else:
        items = [Item(name, column(name)) for name in schema.names] + [Item(name, expr) for expr, name in made.items()]
        moved = make(Project(below, tuple(items)))
    pair = (moved, join.right) if side == "left" else (join.left, moved)
    result = rebuild(join, pair)
    assert isinstance(result, Join)
    return result, rest


def _renamed(expr: Expr, names: dict[str, str]) -> Expr:
    from mpc_compiler.ir import substitute

    return substitute(expr, lambda name: column(names.get(name, name)))


def _fresh(name: str, taken: set[str]) -> str:
    count = 1
    while f"{name}~{count}" in taken:
        count += 1
    taken.add(f"{name}~{count}")
    return f"{name}~{count}"
