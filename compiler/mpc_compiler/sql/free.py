"""Which columns a piece of SQL reads from around it: its own, and those that subqueries do not find in their FROM."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from mpc_compiler.sql.scope import Scope

__all__ = ["aggregates_in", "free_columns", "subqueries", "window_function", "windows_in"]

ScopeOf = Callable[[exp.Select], Scope]
"""Gives what the FROM of a select list offers."""


def free_columns(node: exp.Expr, scope_of: ScopeOf) -> list[exp.Column]:
    """Columns that ``node`` needs from its surroundings."""
    return list(_free(node, scope_of))


def _free(node: exp.Expr, scope_of: ScopeOf) -> Iterator[exp.Column]:
    if isinstance(node, exp.Column):
        if not isinstance(node.this, exp.Star):
            yield node
    elif isinstance(node, exp.Select):
        yield from _of_select(node, scope_of)
    else:
        for child in node.iter_expressions():
            yield from _free(child, scope_of)


def _of_select(select: exp.Select, scope_of: ScopeOf) -> Iterator[exp.Column]:
    inner = scope_of(select)
    aliases = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
    for part in _clauses(select):
        for found in _free(part, scope_of):
            if not inner.means(found) and (found.table or found.name.lower() not in aliases):
                yield found


def _clauses(select: exp.Select) -> Iterator[exp.Expr]:
    """What may read columns of FROM: everything but the tables themselves."""
    yield from select.expressions
    for name in ("where", "group", "having", "qualify", "order"):
        if select.args.get(name) is not None:
            yield select.args[name]
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield join.args["on"]


def subqueries(node: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost constructs of ``node`` that hold a query: EXISTS, IN (SELECT ...), scalar subqueries."""
    if isinstance(node, exp.Exists | exp.Query) or (isinstance(node, exp.In) and node.args.get("query") is not None):
        yield node
    else:
        for child in node.iter_expressions():
            yield from subqueries(child)


def aggregates_in(node: exp.Expr) -> Iterator[exp.AggFunc]:
    """Aggregates over groups: not those over windows, but those inside them; not those of inner queries."""
    if isinstance(node, exp.Query):
        return
    if isinstance(node, exp.Window):
        inner = window_function(node)
        for child in (*inner.iter_expressions(), *(c for c in node.iter_expressions() if c is not node.this)):
            yield from aggregates_in(child)
    elif isinstance(node, exp.AggFunc):
        yield node
    else:
        for child in node.iter_expressions():
            yield from aggregates_in(child)


def windows_in(node: exp.Expr) -> Iterator[exp.Window]:
    """Window functions; not those of inner queries."""
    if isinstance(node, exp.Window):
        yield node
    elif not isinstance(node, exp.Query):
        for child in node.iter_expressions():
            yield from windows_in(child)


def window_function(node: exp.Window) -> exp.Expr:
    """The function of a window, without FILTER."""
    inner: exp.Expression = node.this
    return inner.this if isinstance(inner, exp.Filter) else inner
