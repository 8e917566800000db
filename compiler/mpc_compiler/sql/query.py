"""A query as a relation: FROM and WHERE, groups, the select list, DISTINCT, ORDER BY, LIMIT; unions of queries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import (
    Expr,
    Filter,
    Item,
    Limit,
    Project,
    Rel,
    Sort,
    SortBy,
    Win,
    Window,
    call,
    column,
    literal,
    make,
)
from mpc_compiler.sql.catalog import Catalog, renamed
from mpc_compiler.sql.combine import combined
from mpc_compiler.sql.conditions import conjuncts
from mpc_compiler.sql.correlate import groups_of, rows_of_inner
from mpc_compiler.sql.free import aggregates_in, free_columns, windows_in
from mpc_compiler.sql.group import Grouping, distinct
from mpc_compiler.sql.names import column_name, distinct_names
from mpc_compiler.sql.narrow import narrowed
from mpc_compiler.sql.parts import Named, Part
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope
from mpc_compiler.sql.subquery import Attached, Inner
from mpc_compiler.sql.tables import entries_of, from_where
from mpc_compiler.sql.text import describe, parse, place, plain, refused
from mpc_compiler.sql.window import named_windows, windows_over

__all__ = ["plan_query"]

_CLAUSES = {
    "with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct",
    "qualify", "windows",
}  # fmt: skip


def plan_query(text: str, tables: Mapping[str, Rel]) -> Rel:
    """The relation that the SQL query ``text`` describes.

    Parameters
    ----------
    text : str
        One query in DuckDB's dialect. Column order and names are DuckDB's; rows have an order only under ORDER BY.
    tables : mapping of ``owner.table`` to Rel
        What FROM may name; ``table`` alone means the rows of all owners that have such a table.

    Raises
    ------
    SchemaError
        For text that is not SQL, unknown or ambiguous names, and wrong types; ``where`` gives line and column.
    UnsupportedError
        For constructs that are not offered (MPC-0330), with what to write instead; for joins whose size would be a
        secret (MPC-0332).

    Examples
    --------
    >>> from mpc_compiler.ir.show import show
    >>> from mpc_compiler.rules.examples import loans
    >>> print(show(plan_query("SELECT id, age + 1 AS next FROM a.loans WHERE age > 30", {"a.loans": loans})))
    project id, next=(age + 1)
      filter (age > 30)
        scan a.loans [...] ... rows of a
    """
    query = parse(text)
    try:
        return narrowed(_Query(Catalog(tables), itertools.count(1)).read(query, top=True))
    except RecursionError:
        raise SchemaError(
            "the SQL is nested too deeply",
            code="MPC-0122",
            hint="IN (...) instead of many OR; CTEs instead of brackets",
        ) from None


@dataclass(frozen=True)
class _Output:
    """A column of the select list: its name, its node (None for one that ``*`` stands for) and its expression."""

    name: str
    node: exp.Expr | None
    expr: Expr


class _Query:
    """Plans one SELECT or set operation; queries inside are planned by others like it."""

    def __init__(self, catalog: Catalog, count: itertools.count[int]) -> None:
        self._catalog = catalog
        self._count = count
        self._children: dict[int, _Query] = {}
        self._entries: list[Part] | None = None

    def read(self, node: exp.Expr, *, top: bool = False) -> Rel:
        """The relation of a query; without LIMIT only the outermost has an order."""
        while isinstance(node, exp.Subquery | exp.Paren):
            plain(node)
            node = node.this
        if not isinstance(node, exp.Select | exp.SetOperation):
            raise refused(node, describe(node), "SELECT ... FROM ...")
        self._with(node)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, top=top)
        for name, value in node.args.items():
            if value and name not in _CLAUSES:
                raise refused(node, name.strip("_").upper(), "SELECT ... FROM ... WHERE ... GROUP BY ... HAVING ... "
                              "ORDER BY ... LIMIT")  # fmt: skip
        return self._select(node, top=top)

    def _with(self, node: exp.Expr) -> None:
        clause = node.args.get("with_")
        if clause is None or self._catalog.has_read(clause):
            return
        if clause.args.get("recursive"):
            raise refused(clause, "WITH RECURSIVE", "write the steps out")
        plain(clause)
        self._catalog = self._catalog.extended(clause)
        for cte in clause.expressions:
            plain(cte)
            self._catalog.add(cte, _Query(self._catalog, self._count).read(cte.this))

    def _set_operation(self, node: exp.SetOperation, *, top: bool) -> Rel:
        """UNION, INTERSECT, EXCEPT, and what follows them."""
        rel = combined(node, [_Query(self._catalog, self._count).read(side) for side in (node.left, node.right)])
        names = schema_of(rel).names
        scope = Scope(rel, [Bound("", "", {name: name for name in names})])
        outputs = [_Output(name, None, column(name)) for name in names]
        order = node.args.get("order")
        terms = order.expressions if order is not None and (top or node.args.get("limit")) else []
        return self._finished(node, rel, outputs, Reader(scope), terms)

    # --- what inner queries and FROM ask for ---------------------------------------------------------------------

    def fresh(self) -> str:
        """A name that no relation has."""
        return f"~q{next(self._count)}"

    def child(self, select: exp.Expr) -> _Query:
        """Who plans an inner query."""
        if id(select) not in self._children:
            made = self._children[id(select)] = _Query(self._catalog, self._count)
            made._with(select)
        return self._children[id(select)]

    def scope_of(self, select: exp.Select) -> Scope:
        """What the FROM of an inner query offers."""
        parts = self.child(select).entries(select)
        return Scope(parts[0].rel, [table for part in parts for table in part.tables])

    def entries(self, select: exp.Select) -> list[Part]:
        """The tables of FROM."""
        if self._entries is None:
            start = select.args.get("from_")
            if start is None:
                raise refused(select, "SELECT without FROM", "select from a table")
            nodes = [start.this, *(join.this for join in select.args.get("joins") or ())]
            self._entries = entries_of(nodes, [self._resolve(node) for node in nodes])
        return self._entries

    def _resolve(self, node: exp.Expr) -> Named:
        if isinstance(node, exp.Subquery):
            plain(node)
            if isinstance(node.this, exp.Table):
                raise refused(node, "a join in brackets", "FROM a JOIN b ON ... JOIN c ON ..., without brackets")
            rel = renamed(_Query(self._catalog, self._count).read(node.this), node)
            return Named(rel, node.alias or "subquery")
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise refused(node, f"{describe(node)} in FROM", "a table, a CTE or a subquery")
        plain(node)
        return self._catalog.find(node)

    def apply(self, part: Part, condition: exp.Expr) -> None:
        """Keep the rows of ``part`` for which ``condition`` is true."""
        attached = Attached(part.scope, self)
        attached.keep(condition)
        part.rel = attached.scope.rel

    def related(self, select: exp.Expr) -> bool:
        """Whether an inner query reads columns of this one."""
        return bool(free_columns(select, self.scope_of))

    def whole(self, query: exp.Expr) -> Rel:
        """An inner query by itself."""
        return self.child(query).read(query)

    def rows(self, select: exp.Select, outer: Scope) -> Inner:
        """The rows that an inner query selects from, and what relates them to the outer ones."""
        return rows_of_inner(select, self.child(select), outer)

    def groups(self, select: exp.Select, outer: Scope) -> tuple[Inner, str]:
        """One row for each group of related rows."""
        return groups_of(select, self.child(select), outer)

    def from_where(self, select: exp.Select, outer: Scope | None) -> tuple[Part, list[exp.Expr]]:
        """The rows that FROM and WHERE give, and what relates them to an outer query."""
        return from_where(select, self.entries(select), self, outer)

    # --- SELECT --------------------------------------------------------------------------------------------------

    def _select(self, node: exp.Select, *, top: bool) -> Rel:
        part, _ = self.from_where(node, None)
        scope = part.scope
        having, qualify, order = (node.args.get(name) for name in ("having", "qualify", "order"))
        terms = list(order.expressions) if order is not None else []
        keys = _group_keys(node, scope)
        parts = [*node.expressions, *(clause.this for clause in (having, qualify) if clause is not None), *terms]
        named_windows(node, [window for item in parts for window in windows_in(item)])
        attached = Attached(scope, self)
        if keys or having is not None or any(next(aggregates_in(item), None) for item in parts):
            inside = [*keys, *(found for item in parts for found in _inside_aggregates(item))]
            attached.prepare(inside)
            groups = Grouping(attached.reader(), keys, _aliases(node))
            for item in parts:
                groups.aggregates(item)
            attached = Attached(groups.scope(), self, groups.reader, inside)
            for condition in conjuncts(having.this) if having is not None else ():
                attached.keep(condition)
        attached.prepare(parts)
        self._windows(attached, [window for item in parts for window in windows_in(item)])
        if qualify is not None:
            attached.keep(_without_aliases(qualify.this, attached.scope, node))
        reader = attached.reader()
        outputs = _outputs(node, reader, grouped=bool(keys))
        return self._finished(node, reader.scope.rel, outputs, reader, terms if top or _limited(node) else [])

    def _windows(self, attached: Attached, nodes: Sequence[exp.Window]) -> None:
        if not nodes:
            return
        part = Part(attached.scope.rel, attached.scope.tables, nodes[0])

        def reader(part: Part) -> Reader:
            attached.scope = part.scope
            return attached.reader()

        found = list(windows_over(part, nodes, reader, self.fresh))
        attached.scope = part.scope
        for node, expr in found:
            attached.know(node, expr)

    # --- after the select list -----------------------------------------------------------------------------------

    def _finished(
        self, select: exp.Expr, rel: Rel, outputs: list[_Output], reader: Reader, terms: Sequence[exp.Expr]
    ) -> Rel:
        """DISTINCT, ORDER BY, LIMIT and OFFSET over the select list."""
        items = {output.name: output.expr for output in outputs}
        by = [key for term in terms for key in _term(term, select, outputs, items, reader)]
        once = select.args.get("distinct") if isinstance(select, exp.Select) else None
        if once is not None and len(items) > len(outputs):
            raise refused(select, "DISTINCT with ORDER BY of something else", "add it to the select list")
        rel = make(Project(rel, tuple(Item(name, expr) for name, expr in items.items())))
        if once is not None:
            if once.args.get("on") is not None:
                raise refused(once, "DISTINCT ON", "GROUP BY with MIN or MAX")
            rel = distinct(rel)
        rel = self._cut(select, rel, tuple(by))
        schema_of(rel)
        if len(schema_of(rel).names) > len(outputs):
            rel = make(Project(rel, tuple(Item(output.name, column(output.name)) for output in outputs)))
        return rel

    def _cut(self, select: exp.Expr, rel: Rel, by: tuple[SortBy, ...]) -> Rel:
        """The rows in order, as many as LIMIT says, after those that OFFSET passes over."""
        limit, offset = (select.args.get(name) for name in ("limit", "offset"))
        count = None if limit is None else _count(limit)
        if by:
            rel = make(Sort(rel, by))
        if offset is None:
            return rel if count is None else make(Limit(rel, count))
        skipped = _count(offset)
        name = self.fresh()
        if count is not None:
            rel = make(Limit(rel, skipped + count))
        rel = make(Window(rel, (), by, (Win(name, "row_number"),)))
        rel = make(Filter(rel, call("gt", column(name), literal(skipped))))
        return make(Sort(rel, by)) if by else rel


def _limited(select: exp.Select) -> bool:
    return select.args.get("limit") is not None or select.args.get("offset") is not None


def _inside_aggregates(node: exp.Expr) -> list[exp.Expr]:
    """What aggregates take and are filtered by."""
    found: list[exp.Expr] = []
    for aggregate in aggregates_in(node):
        found += list(aggregate.iter_expressions())
        if isinstance(aggregate.parent, exp.Filter):
            found.append(aggregate.parent.expression)
    return found


def _without_aliases(node: exp.Expr, scope: Scope, select: exp.Select) -> exp.Expr:
    """QUALIFY may name columns of the select list."""
    aliases = _aliases(select)
    for found in list(node.find_all(exp.Column)):
        if not found.table and not scope.has(found.name) and found.name.lower() in aliases:
            target = aliases[found.name.lower()]
            if found is node:
                return target
            found.replace(target)
    return node


def _group_keys(select: exp.Select, scope: Scope) -> list[exp.Expr]:
    """GROUP BY, with positions and aliases replaced by what they stand for."""
    group = select.args.get("group")
    if group is None:
        return []
    plain(group)
    if group.args.get("all"):
        return [item.unalias() for item in select.expressions if next(aggregates_in(item), None) is None]
    found = []
    for node in group.expressions:
        if isinstance(node, exp.Literal) and node.is_int:
            found.append(_position(node, select, "GROUP BY"))
        elif isinstance(node, exp.Column) and not node.table and not scope.has(node.name):
            found.append(_aliases(select).get(node.name.lower(), node))
        else:
            found.append(node)
    return found


def _position(node: exp.Literal, select: exp.Expr, clause: str) -> exp.Expr:
    at = int(str(node.this))
    if not 1 <= at <= len(select.expressions):
        raise SchemaError(
            f"{clause} {at}: the select list has {len(select.expressions)} columns",
            code="MPC-0125",
            hint=f"a position from 1 to {len(select.expressions)}, or a name",
            where=place(node),
        )
    item: exp.Expr = select.expressions[at - 1].unalias()
    return item


def _aliases(select: exp.Select) -> dict[str, exp.Expr]:
    """What the names of the select list, in lower case, stand for."""
    return {item.alias.lower(): item.this for item in select.expressions if isinstance(item, exp.Alias)}


def _outputs(select: exp.Select, reader: Reader, *, grouped: bool) -> list[_Output]:
    found: list[_Output] = []
    for item in select.expressions:
        inner = item.unalias()
        star = inner if isinstance(inner, exp.Star) else inner.this if isinstance(inner, exp.Column) else None
        if isinstance(star, exp.Star):
            if grouped:
                raise refused(item, "* with GROUP BY", "name the columns")
            if any(star.args.values()):
                raise refused(item, "* with EXCLUDE, REPLACE or RENAME", "name the columns")
            found += _star(inner, reader.scope)
        else:
            shown = item.alias if isinstance(item, exp.Alias) else ""
            expr = reader.value(inner)
            found.append(_Output(shown or _shown(inner, reader.scope), inner, expr))
    names = distinct_names([output.name for output in found])
    return [_Output(name, output.node, output.expr) for name, output in zip(names, found, strict=True)]


def _shown(node: exp.Expr, scope: Scope) -> str:
    """The name of a column as its table has it, or DuckDB's text for an expression."""
    name = column_name(node)
    if isinstance(node, exp.Column):
        known = [n for table in scope.tables for n in table.columns if n.lower() == name.lower()]
        return name if name in known or not known else known[0]
    return name


def _star(node: exp.Expr, scope: Scope) -> list[_Output]:
    tables: Sequence[Bound] = scope.tables
    if isinstance(node, exp.Column):
        tables = [scope.table(node)]
    return [
        _Output(name, None, column(held))
        for table in tables
        for name, held in (table.columns if isinstance(node, exp.Column) else table.shown).items()
        if isinstance(node, exp.Column) or name not in table.merged
    ]


def _term(
    term: exp.Expr, select: exp.Expr, outputs: list[_Output], items: dict[str, Expr], reader: Reader
) -> list[SortBy]:
    """The sort keys of one term of ORDER BY; what is no output is added to ``items``."""
    if not isinstance(term, exp.Ordered):
        raise refused(term, describe(term), "ORDER BY columns")
    plain(term)
    ascending, node = not term.args.get("desc"), term.this
    name = _sorted_by(node, select, outputs, items, reader)
    by = [SortBy(name, ascending)]
    if term.args.get("nulls_first") and reader.type(items[name]).nullable:
        missing = f"~order{len(items)}"
        items[missing] = call("int", call("isna", items[name]))
        by.insert(0, SortBy(missing, ascending=False))
    return by


def _sorted_by(node: exp.Expr, select: exp.Expr, outputs: list[_Output], items: dict[str, Expr], reader: Reader) -> str:
    if isinstance(node, exp.Literal) and node.is_int:
        at = int(str(node.this))
        if not 1 <= at <= len(outputs):
            _position(node, select, "ORDER BY")
        return outputs[at - 1].name
    if isinstance(node, exp.Column) and not node.table:
        named = [output.name for output in outputs if output.name.lower() == node.name.lower()]
        if len(named) == 1:
            return named[0]
    expr = reader.value(node)
    for output in outputs:
        if output.expr == expr:
            return output.name
    name = f"~order{len(items)}"
    items[name] = expr
    return name


def _count(limit: exp.Expr) -> int:
    node = limit.args.get("expression")
    plain(limit)
    if not isinstance(limit, exp.Limit | exp.Offset) or not isinstance(node, exp.Literal) or not node.is_int:
        raise refused(limit, f"{describe(limit)} of other than a whole number", f"{describe(limit)} 10")
    return int(str(node.this))
