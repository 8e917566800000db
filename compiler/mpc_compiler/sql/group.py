"""GROUP BY, aggregates, DISTINCT: keys that may be NULL form a group of their own, and sums of nothing are NULL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Column,
    DType,
    Expr,
    Item,
    Literal,
    Project,
    Rel,
    call,
    column,
    literal,
    make,
)
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope
from mpc_compiler.sql.text import describe, place, plain, refused

__all__ = ["Grouping", "distinct"]

_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Sum: "sum", exp.Avg: "mean", exp.Min: "min", exp.Max: "max", exp.Count: "count",
}  # fmt: skip


class Grouping:
    """The groups of a query, and what stands for each key and aggregate above them.

    Parameters
    ----------
    scope : Scope
        The rows to group.
    keys : sequence of nodes
        GROUP BY; none: all rows are one group, even if there are none.
    aliases : mapping of lower-case name to node
        What HAVING may call a column of the select list.
    """

    def __init__(self, scope: Scope, keys: Sequence[exp.Expr], aliases: Mapping[str, exp.Expr]) -> None:
        self._below = Reader(scope)
        self._aliases = aliases
        self._items: dict[Expr, str] = {}
        self._keys: dict[Expr, Expr] = {}
        self._names: list[str] = []
        self._aggs: dict[tuple[str, str | None], str] = {}
        self._results: dict[int, Expr] = {}
        self._distinct: dict[str | None, exp.Expr] = {}
        self._repeated: dict[str | None, exp.Expr] = {}
        for node in keys:
            self._key(node)
        self._grouped = bool(keys)

    # --- keys ----------------------------------------------------------------------------------------------------

    def _key(self, node: exp.Expr) -> None:
        expr = self._below.value(node)
        if isinstance(expr, Literal):
            raise refused(node, "GROUP BY of a constant", "name a column")
        if expr in self._keys:
            return
        dtype = self._below.type(expr)
        if dtype.kind == "float":
            raise SchemaError(
                f"cannot group by the float {_said(node)!r}",
                code="MPC-0103",
                hint="CAST(TRUNC(x) AS BIGINT), or CASE with a few classes",
                where=place(node),
            )
        if not dtype.nullable:
            name = self._column(expr)
            self._keys[expr] = column(name)
        else:
            mark = _unused(dtype, node)
            name = self._column(call("fillna", expr, mark))
            self._keys[expr] = call("where", call("ne", column(name), mark), column(name), literal(None))
        self._names.append(name)

    def _column(self, expr: Expr) -> str:
        """The column below the groups that holds ``expr``."""
        if expr not in self._items:
            taken = {*self._items.values(), *self._below.scope.schema.names}
            name = expr.name if isinstance(expr, Column) else next(
                made for k in range(len(taken) + 1) if (made := f"~{k + 1}") not in taken
            )  # fmt: skip
            self._items[expr] = name
        return self._items[expr]

    # --- aggregates ----------------------------------------------------------------------------------------------

    def aggregates(self, node: exp.Expr) -> None:
        """Take note of every aggregate in ``node``."""
        for found in list(node.find_all(exp.AggFunc)):
            if id(found) not in self._results:
                condition = found.parent if isinstance(found.parent, exp.Filter) else None
                made = self._aggregate(found, condition.expression.this if condition is not None else None)
                self._results[id(found if condition is None else condition)] = made
                self._results[id(found)] = made

    def _aggregate(self, node: exp.AggFunc, condition: exp.Expr | None) -> Expr:
        plain(node)
        function = _FUNCTIONS.get(type(node))
        if function is None:
            raise refused(node, describe(node), "SUM, AVG, COUNT, MIN, MAX")
        if node.expressions:
            raise refused(node, f"{describe(node)} of several columns", "one column")
        if node.this.find(exp.AggFunc):
            raise SchemaError("an aggregate inside an aggregate", code="MPC-0124", hint="use a subquery in FROM",
                              where=place(node))  # fmt: skip
        value = self._argument(_inner(node), condition)
        name = None if value is None else self._column(value)
        if isinstance(node.this, exp.Distinct):
            self._distinct.setdefault(name, node)
        elif function not in ("min", "max"):
            self._repeated.setdefault(name, node)
        if value is None or name is None:
            return self._result("size", None)
        dtype = self._below.type(value)
        total = self._result(function, name)
        if function != "sum" or (self._grouped and not dtype.nullable):
            return total
        counted = self._result("count", name) if dtype.nullable else self._result("size", None)
        return call("where", call("gt", counted, literal(0)), total, literal(None))

    def _argument(self, node: exp.Expr, condition: exp.Expr | None) -> Expr | None:
        """What is aggregated; None: the rows themselves."""
        rows = isinstance(node, exp.Star)
        value = literal(1) if rows else self._below.value(node)
        if condition is not None:
            return call("where", self._below.test(condition).true, value, literal(None))
        return None if rows or (isinstance(value, Literal) and isinstance(node.parent, exp.Count)) else value

    def _result(self, function: str, name: str | None) -> Expr:
        if (function, name) not in self._aggs:
            made = function if name is None else f"{function} {name}"
            while made in self._names or made in self._aggs.values():
                made += "~"
            self._aggs[function, name] = made
        return column(self._aggs[function, name])

    # --- above ---------------------------------------------------------------------------------------------------

    def scope(self) -> Scope:
        """The groups; expressions over them are read by :meth:`reader`."""
        reader = self._below
        # At least one aggregate: a relation without columns has no rows.
        if not self._aggs:
            self._result("size", None)
        items = [Item(name, expr) for expr, name in self._items.items()]
        below = make(Project(reader.scope.rel, tuple(items))) if items else reader.scope.rel
        if self._distinct:
            below = self._once(below)
        aggs = [Agg(name, function, of) for (function, of), name in self._aggs.items()]
        rel = make(Aggregate(below, tuple(self._names), tuple(aggs)))
        schema_of(rel)
        return Scope(rel, reader.scope.tables)

    def _once(self, below: Rel) -> Rel:
        """For aggregates of DISTINCT values: each combination of keys and value once."""
        node = next(iter(self._distinct.values()))
        columns = {of for _, of in self._aggs if of is not None}
        if self._repeated or len(columns) > 1:
            hint = "a query of its own for each, or SELECT COUNT(*) FROM (SELECT DISTINCT ...)"
            raise refused(node, "DISTINCT in an aggregate beside aggregates of other values", hint)
        return distinct(below)

    def reader(self, scope: Scope) -> Reader:
        """Reads expressions over the groups."""
        rows = self._aggs.get(("size", None))
        positive = frozenset((column(rows),)) if rows is not None and self._grouped else frozenset[Expr]()
        made = Reader(scope, lambda node: self._known(node, made), positive)
        return made

    def _known(self, node: exp.Expr, above: Reader) -> Expr | None:
        if id(node) in self._results:
            return self._results[id(node)]
        columns = list(node.find_all(exp.Column))
        if any(self._alias(found) is not None for found in columns):
            named = self._alias(node)
            return None if named is None else above.value(named)
        if columns and node.find(exp.AggFunc) is None:
            found = self._keys.get(self._below.value(node))
            if found is None and isinstance(node, exp.Column):
                raise SchemaError(
                    f"column {node.sql()!r} is neither in GROUP BY nor in an aggregate",
                    code="MPC-0124",
                    hint="add it to GROUP BY, or take its MIN or MAX",
                    where=place(node),
                )
            return found
        return None

    def _alias(self, node: exp.Expr) -> exp.Expr | None:
        """What a name that no table has stands for in the select list."""
        if not isinstance(node, exp.Column) or node.table or self._below.scope.has(node.name):
            return None
        return self._aliases.get(node.name.lower())


def distinct(rel: Rel) -> Rel:
    """One row for each combination of values."""
    names = schema_of(rel).names
    nodes = [exp.column(exp.to_identifier(name, quoted=True)) for name in names]
    groups = Grouping(Scope(rel, [Bound("", "", {name: name for name in names})]), nodes, {})
    reader = groups.reader(groups.scope())
    return make(Project(reader.scope.rel, tuple(Item(n, reader.value(k)) for n, k in zip(names, nodes, strict=True))))


def _inner(node: exp.AggFunc) -> exp.Expr:
    """What an aggregate takes, without DISTINCT."""
    inner: exp.Expression = node.this
    if not isinstance(inner, exp.Distinct):
        return inner
    plain(inner)
    if len(inner.expressions) != 1:
        raise refused(node, f"{describe(node)} of several columns", "one column")
    column: exp.Expression = inner.expressions[0]
    return column


def _said(node: exp.Expr) -> str:
    return node.name if isinstance(node, exp.Column) else node.sql(dialect="duckdb")


def _unused(dtype: DType, node: exp.Expr) -> Expr:
    """A value that the key never has, to stand for NULL while rows are grouped."""
    if dtype.kind == "int" and dtype.lo is not None:
        return literal(int(dtype.lo) - 1)
    if dtype.kind == "string" and dtype.domain is not None:
        text = "NULL"
        while text in dtype.domain:
            text += "~"
        return literal(text)
    raise UnsupportedError(
        f"SQL: grouping by {_said(node)!r}, a {dtype.kind} that may be NULL, is not supported",
        code="MPC-0331",
        hint=f"WHERE {_said(node)} IS NOT NULL",
        where=place(node),
    )
