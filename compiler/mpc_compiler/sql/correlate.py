"""Inner queries that read columns of an outer one: what relates the two, and what each group of related rows gives."""

from __future__ import annotations

from typing import Protocol

from sqlglot import exp

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, column
from mpc_compiler.sql.conditions import bare
from mpc_compiler.sql.free import aggregates_in, free_columns
from mpc_compiler.sql.group import Grouping
from mpc_compiler.sql.parts import Part
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Scope
from mpc_compiler.sql.subquery import Attached, Inner, Planner
from mpc_compiler.sql.text import place, plain, refused

__all__ = ["groups_of", "rows_of_inner"]

_OPS: dict[type[exp.Expr], str] = {
    exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt", exp.GTE: "ge",
}  # fmt: skip
_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_ALLOWED = {"expressions", "from_", "joins", "where", "with_"}


class _Queries(Planner, Protocol):
    """A planner of the inner query itself."""

    def from_where(self, select: exp.Select, outer: Scope | None) -> tuple[Part, list[exp.Expr]]:
        """Its rows, and the conditions that relate them to the outer query."""

    def scope_of(self, select: exp.Select) -> Scope:
        """What the FROM of a query offers."""


def rows_of_inner(select: exp.Select, queries: _Queries, outer: Scope) -> Inner:
    """The rows of an inner query without groups."""
    rows = any(next(aggregates_in(item), None) for item in select.expressions)
    _only(select, {"distinct", "limit", "order"})
    limit = select.args.get("limit")
    if rows or (limit is not None and str(limit.expression) == "0"):
        raise refused(select, "an aggregate in a related subquery of EXISTS or IN", "a comparison with the aggregate")
    inner = _related(select, queries, outer)
    (item,) = select.expressions if len(select.expressions) == 1 else (None,)
    if item is None or item.is_star:
        return inner
    inner.value = Reader(Scope(inner.rel, inner.tables)).value(item.unalias())
    return inner


def groups_of(select: exp.Select, queries: _Queries, outer: Scope) -> tuple[Inner, str]:
    """One row for each group of related rows, with the value of the aggregate.

    The second result is not empty where the value of no rows is 0, not NULL.
    """
    _only(select, set())
    if len(select.expressions) != 1:
        raise SchemaError(
            f"a subquery in an expression gives one column, not {len(select.expressions)}", code="MPC-0105",
            hint="select one column", where=place(select),
        )  # fmt: skip
    item = bare(select.expressions[0].unalias())
    inner = _related(select, queries, outer)
    attached = Attached(Scope(inner.rel, inner.tables), queries)
    attached.prepare([child for found in aggregates_in(item) for child in found.iter_expressions()])
    groups = Grouping(attached.reader(), [], {}, [expr for expr, _ in inner.equal])
    groups.aggregates(item)
    missing = _of_nothing(item)
    value = groups.reader(groups.scope()).value(item)
    keys: list[tuple[Expr, exp.Expr]] = [
        (column(name), node) for name, (_, node) in zip(groups.related, inner.equal, strict=True)
    ]
    return Inner(groups.scope().rel, keys, inner.other, value), missing


def _of_nothing(item: exp.Expr) -> str:
    """What an expression over aggregates is where there are no rows: NULL (empty), or 0."""
    if isinstance(item, exp.Count):
        return "0"
    if item.find(exp.Count) is not None or not all(isinstance(found, _STRICT) for found in _above_aggregates(item)):
        raise refused(item, "such an expression of a related subquery, which is no NULL where no row is related,",
                      "the aggregate alone, and the rest around the subquery")  # fmt: skip
    return ""


_STRICT = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.Paren, exp.Literal, exp.Cast, exp.DataType)


def _above_aggregates(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.AggFunc):
        return []
    return [node, *(found for child in node.iter_expressions() for found in _above_aggregates(child))]


def _only(select: exp.Select, more: set[str]) -> None:
    for name, value in select.args.items():
        if value and name not in _ALLOWED | more:
            raise refused(select, f"{name.strip('_').upper()} in a related subquery", "a JOIN with a grouped subquery")


def _related(select: exp.Select, queries: _Queries, outer: Scope) -> Inner:
    part, conditions = queries.from_where(select, outer)
    reader = Reader(part.scope)
    made = Inner(part.rel, tables=part.tables)
    for condition in conditions:
        op, inside, outside = _sides(condition, queries, part.scope, outer)
        expr: Expr = reader.value(inside)
        if op == "eq":
            made.equal.append((expr, outside))
        else:
            made.other.append((op, expr, outside))
    return made


def _sides(condition: exp.Expr, queries: _Queries, inner: Scope, outer: Scope) -> tuple[str, exp.Expr, exp.Expr]:
    """A comparison of an inner with an outer expression, the inner one first."""
    node = bare(condition)
    if type(node) in _OPS:
        plain(node)
        sides = node.args["this"], node.args["expression"]
        found = [{inner.means(item) for item in free_columns(side, queries.scope_of)} for side in sides]
        if found == [{True}, {False}]:
            return _OPS[type(node)], sides[0], sides[1]
        if found == [{False}, {True}]:
            return _SWAPPED[_OPS[type(node)]], sides[1], sides[0]
    raise refused(condition, "a condition that relates a subquery to the outer query by other than a comparison",
                  "inner.column = outer.column, conditions over the outer query outside")  # fmt: skip
