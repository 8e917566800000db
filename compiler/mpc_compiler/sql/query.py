"""A query as a relation: FROM and WHERE, groups, the select list, DISTINCT, ORDER BY, LIMIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, Filter, Item, Limit, Project, Rel, Sort, SortBy, column, make
from mpc_compiler.sql.group import Grouping, distinct
from mpc_compiler.sql.names import column_name, distinct_names
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope, nearest
from mpc_compiler.sql.tables import Named, from_where
from mpc_compiler.sql.text import describe, parse, place, plain, refused

__all__ = ["plan_query"]

_CLAUSES = {
    "with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "distinct",
}  # fmt: skip


def plan_query(text: str, tables: Mapping[str, Rel]) -> Rel:
    """The relation that the SQL query ``text`` describes.

    Parameters
    ----------
    text : str
        One query in DuckDB's dialect. Column order and names are DuckDB's; rows have an order only under ORDER BY.
    tables : mapping of ``owner.table`` to Rel
        What FROM may name; ``table`` alone will do where only one owner has it.

    Raises
    ------
    SchemaError
        For text that is not SQL, unknown or ambiguous names, and wrong types; ``where`` gives line and column.
    UnsupportedError
        For constructs that are not offered (MPC-0330), with what to write instead.

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
        return _Query(tables, {}).read(query, top=True)
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
    def __init__(self, tables: Mapping[str, Rel], ctes: Mapping[str, Rel]) -> None:
        self._tables = tables
        self._ctes = dict(ctes)

    def read(self, node: exp.Expr, *, top: bool = False) -> Rel:
        """The relation of a query; without LIMIT only the outermost has an order."""
        while isinstance(node, exp.Subquery | exp.Paren):
            plain(node)
            node = node.this
        if not isinstance(node, exp.Select):
            what = "UNION" if isinstance(node, exp.Union) else describe(node)
            raise refused(node, what, "one SELECT for each part, and mpc.collect(...) of them")
        for name, value in node.args.items():
            if value and name not in _CLAUSES:
                raise refused(node, name.strip("_").upper(), "SELECT ... FROM ... WHERE ... GROUP BY ... HAVING ... "
                              "ORDER BY ... LIMIT")  # fmt: skip
        self._with(node)
        return self._select(node, top=top)

    def _with(self, node: exp.Select) -> None:
        clause = node.args.get("with_")
        if clause is None:
            return
        if clause.args.get("recursive"):
            raise refused(clause, "WITH RECURSIVE", "write the steps out")
        plain(clause)
        for cte in clause.expressions:
            plain(cte)
            rel = _Query(self._tables, self._ctes).read(cte.this)
            self._ctes[cte.alias.lower()] = _renamed(rel, cte)

    # --- FROM ----------------------------------------------------------------------------------------------------

    def _resolve(self, node: exp.Expr) -> Named:
        if isinstance(node, exp.Subquery):
            plain(node)
            if isinstance(node.this, exp.Table):
                raise refused(node, "a join in brackets", "FROM a JOIN b ON ... JOIN c ON ..., without brackets")
            rel = _renamed(_Query(self._tables, self._ctes).read(node.this), node)
            return Named(rel, node.alias or "subquery")
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            raise refused(node, f"{describe(node)} in FROM", "a table, a CTE or a subquery")
        plain(node)
        if not node.db and node.name.lower() in self._ctes:
            return Named(_renamed(self._ctes[node.name.lower()], node), node.alias or node.name)
        name = self._table(node)
        owner, _, short = name.partition(".")
        return Named(_renamed(self._tables[name], node), node.alias or short, "" if node.alias else owner)

    def _table(self, node: exp.Table) -> str:
        wanted = f"{node.db}.{node.name}" if node.db else node.name
        if wanted in self._tables:
            return wanted
        found = [name for name in self._tables if wanted.lower() in (name.lower(), name.lower().partition(".")[2])]
        if len(found) == 1:
            return found[0]
        if found:
            raise SchemaError(
                f"several owners have a table {wanted!r}: {', '.join(found)}",
                code="MPC-0123",
                hint="put the owner's name before it",
                where=place(node),
            )
        names = [*self._tables, *self._ctes]
        hint = nearest(wanted, names, "tables")
        raise SchemaError(f"no table {wanted!r}", code="MPC-0101", hint=hint, where=place(node))

    # --- SELECT --------------------------------------------------------------------------------------------------

    def _select(self, node: exp.Select, *, top: bool) -> Rel:
        scope = from_where(node, self._resolve)
        having, order = node.args.get("having"), node.args.get("order")
        terms = list(order.expressions) if order is not None else []
        keys = _group_keys(node, scope)
        parts = [*node.expressions, *([having] if having is not None else []), *terms]
        reader = Reader(scope)
        if keys or having is not None or any(part.find(exp.AggFunc) for part in parts if not part.find(exp.Window)):
            groups = Grouping(scope, keys, _aliases(node))
            for part in parts:
                groups.aggregates(part)
            scope = groups.scope()
            reader = groups.reader(scope)
            if having is not None:
                scope = Scope(make(Filter(scope.rel, reader.test(having.this).true)), scope.tables)
                reader = groups.reader(scope)
        outputs = _outputs(node, reader, grouped=bool(keys))
        return _finished(node, scope.rel, outputs, reader, terms if top or node.args.get("limit") else [])


def _renamed(rel: Rel, node: exp.Expr) -> Rel:
    """``AS t (a, b)``: other names for the columns."""
    alias = node.args.get("alias")
    names = [found.name for found in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if not names:
        return rel
    old = schema_of(rel).names
    if len(names) > len(old):
        raise SchemaError(f"{len(names)} names for {len(old)} columns", code="MPC-0106", where=place(node))
    pairs = zip([*names, *old[len(names) :]], old, strict=True)
    return make(Project(rel, tuple(Item(new, column(name)) for new, name in pairs)))


def _group_keys(select: exp.Select, scope: Scope) -> list[exp.Expr]:
    """GROUP BY, with positions and aliases replaced by what they stand for."""
    group = select.args.get("group")
    if group is None:
        return []
    plain(group)
    if group.args.get("all"):
        return [item.unalias() for item in select.expressions if not item.find(exp.AggFunc)]
    found = []
    for node in group.expressions:
        if isinstance(node, exp.Literal) and node.is_int:
            found.append(_position(node, select, "GROUP BY"))
        elif isinstance(node, exp.Column) and not node.table and not scope.has(node.name):
            found.append(_aliases(select).get(node.name.lower(), node))
        else:
            found.append(node)
    return found


def _position(node: exp.Literal, select: exp.Select, clause: str) -> exp.Expr:
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
        for name, held in table.columns.items()
        if isinstance(node, exp.Column) or name not in table.merged
    ]


# --- after the select list -------------------------------------------------------------------------------------------


def _finished(select: exp.Select, rel: Rel, outputs: list[_Output], reader: Reader, terms: Sequence[exp.Expr]) -> Rel:
    """DISTINCT, ORDER BY and LIMIT over the select list."""
    items = {output.name: output.expr for output in outputs}
    by = [_term(term, select, outputs, items, reader) for term in terms]
    once = select.args.get("distinct")
    if once is not None and len(items) > len(outputs):
        raise refused(select, "DISTINCT with ORDER BY of something else", "add it to the select list")
    rel = make(Project(rel, tuple(Item(name, expr) for name, expr in items.items())))
    if once is not None:
        if once.args.get("on") is not None:
            raise refused(once, "DISTINCT ON", "GROUP BY with MIN or MAX")
        rel = distinct(rel)
    if by:
        rel = make(Sort(rel, tuple(by)))
    if select.args.get("limit") is not None:
        rel = make(Limit(rel, _count(select.args["limit"])))
    schema_of(rel)
    if len(items) > len(outputs):
        rel = make(Project(rel, tuple(Item(output.name, column(output.name)) for output in outputs)))
    return rel


def _term(term: exp.Expr, select: exp.Select, outputs: list[_Output], items: dict[str, Expr], reader: Reader) -> SortBy:
    if not isinstance(term, exp.Ordered):
        raise refused(term, describe(term), "ORDER BY columns")
    plain(term)
    if term.args.get("nulls_first"):
        raise refused(term, "NULLS FIRST", "NULLS LAST, which is the rule here")
    ascending, node = not term.args.get("desc"), term.this
    if isinstance(node, exp.Literal) and node.is_int:
        at = int(str(node.this))
        if not 1 <= at <= len(outputs):
            _position(node, select, "ORDER BY")
        return SortBy(outputs[at - 1].name, ascending)
    if isinstance(node, exp.Column) and not node.table:
        named = [output.name for output in outputs if output.name.lower() == node.name.lower()]
        if len(named) == 1:
            return SortBy(named[0], ascending)
    expr = reader.value(node)
    for output in outputs:
        if output.expr == expr:
            return SortBy(output.name, ascending)
    name = f"~order{len(items)}"
    items[name] = expr
    return SortBy(name, ascending)


def _count(limit: exp.Expr) -> int:
    node = limit.args.get("expression")
    plain(limit)
    if not isinstance(limit, exp.Limit) or not isinstance(node, exp.Literal) or not node.is_int:
        raise refused(limit, "LIMIT of other than a whole number", "LIMIT 10")
    return int(str(node.this))
