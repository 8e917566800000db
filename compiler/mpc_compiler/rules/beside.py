"""Expressions of filters and projections rewritten over a relation that gets further columns on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Call, Expr, Filter, Item, Project, Rel, call, column, make

__all__ = ["rewrite_beside"]

Step = Callable[[Call, Rel], tuple[Rel, Expr] | None]


def rewrite_beside(rel: Rel, step: Step) -> Rel:
    """Rewrite the calls of a filter or projection, outermost first; its own columns stay as they are.

    Parameters
    ----------
    rel : Rel
    step : callable
        Of a call and the relation below: that relation, perhaps with further columns, and what to write for the call.
        None where there is nothing to do, and its arguments have their turn.
    """
    if isinstance(rel, Filter):
        below, (predicate,) = _rewritten(rel.input, [rel.predicate], step)
        if below == rel.input:
            return make(Filter(below, predicate))
        names = schema_of(rel).names
        return make(Project(make(Filter(below, predicate)), tuple(Item(name, column(name)) for name in names)))
    if isinstance(rel, Project):
        below, exprs = _rewritten(rel.input, [item.expr for item in rel.items], step)
        items = tuple(Item(item.name, expr) for item, expr in zip(rel.items, exprs, strict=True))
        return make(Project(below, items))
    return rel


def _rewritten(below: Rel, exprs: Sequence[Expr], step: Step) -> tuple[Rel, list[Expr]]:
    done: dict[Expr, Expr] = {}

    def visit(expr: Expr) -> Expr:
        nonlocal below
        if not isinstance(expr, Call):
            return expr
        if expr not in done:
            made = step(expr, below)
            if made is None:
                done[expr] = call(expr.op, *(visit(arg) for arg in expr.args))
            else:
                below, done[expr] = made
        return done[expr]

    made = [visit(expr) for expr in exprs]
    return below, made
