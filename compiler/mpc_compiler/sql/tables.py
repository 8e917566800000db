"""FROM, JOIN and WHERE: one relation, and the names of its columns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Item, Project, call, column, make
from mpc_compiler.sql.conditions import bare, conjuncts, implied
from mpc_compiler.sql.free import free_columns, subqueries
from mpc_compiler.sql.graph import Classes, comparable, join_all, key_of
from mpc_compiler.sql.outer import outer_join
from mpc_compiler.sql.parts import Named, Part
from mpc_compiler.sql.scope import Bound, Scope, pin
from mpc_compiler.sql.text import place, plain, refused

__all__ = ["Queries", "entries_of", "from_where"]


class Queries(Protocol):
    """What FROM and WHERE need to know of the queries inside them."""

    def scope_of(self, select: exp.Select) -> Scope:
        """What the FROM of an inner query offers."""

    def apply(self, part: Part, condition: exp.Expr) -> None:
        """Keep the rows of ``part`` for which ``condition``, with all subqueries in it, is true."""


def entries_of(nodes: Sequence[exp.Expr], named: Sequence[Named]) -> list[Part]:
    """The tables of FROM, each under a label of its own.

    Raises
    ------
    SchemaError
        When two have one name.
    """
    labels = [_label(item, named) for item in named]
    for k, label in enumerate(labels):
        if label.lower() in [other.lower() for other in labels[:k]]:
            raise SchemaError(
                f"FROM has two tables named {label!r}",
                code="MPC-0123",
                hint="give one another name: FROM a.t AS x",
                where=place(nodes[k]),
            )
    return [
        _entry(item, "" if len(named) == 1 else label, node)
        for item, label, node in zip(named, labels, nodes, strict=True)
    ]


def _label(named: Named, all_named: Sequence[Named]) -> str:
    """The alias; with the owner's name where two tables of FROM have the same."""
    twice = sum(other.alias.lower() == named.alias.lower() for other in all_named) > 1
    return f"{named.owner}.{named.alias}" if twice and named.owner else named.alias


def _entry(named: Named, label: str, node: exp.Expr) -> Part:
    names = schema_of(named.rel).names
    columns = {name: f"{label}.{name}" if label else name for name in names}
    items = tuple(Item(new, column(old)) for old, new in columns.items())
    bound = Bound(named.alias, named.owner, columns, label=label)
    return Part(make(Project(named.rel, items)) if label else named.rel, [bound], node)


def from_where(
    select: exp.Select, parts: list[Part], queries: Queries, outer: Scope | None
) -> tuple[Part, list[exp.Expr]]:
    """The rows that FROM and WHERE give, and the conjuncts of WHERE that read an outer query's columns."""
    rows = _Rows(select, parts, queries, outer)
    return rows.all(), rows.related


@dataclass(frozen=True)
class _Condition:
    """A conjunct and the columns of FROM that it reads."""

    node: exp.Expr
    reads: frozenset[str]

    def within(self, parts: Sequence[Part]) -> bool:
        """Whether it reads these parts alone."""
        return all(any(part.holds(name) for part in parts) for name in self.reads)


@dataclass(frozen=True)
class _Merged:
    """A column of USING: the table and name that show it, and the columns of both sides."""

    table: Bound
    name: str
    left: str
    right: str

    def show(self, part: Part, kind: str) -> None:
        """Show the value of the side whose rows are all kept, or of either."""
        if kind == "RIGHT":
            self.table.instead[self.name] = self.right
        elif kind == "FULL":
            self.table.instead[self.name] = part.key(call("fillna", column(self.left), column(self.right)))


class _Rows:
    def __init__(self, select: exp.Select, parts: list[Part], queries: Queries, outer: Scope | None) -> None:
        self._queries = queries
        self._outer = outer
        self._scope = Scope(parts[0].rel, [table for part in parts for table in part.tables])
        self._parts = parts
        self._joins: list[exp.Join] = select.args.get("joins") or []
        self.related: list[exp.Expr] = []
        where = select.args.get("where")
        self._where = [] if where is None else self._read(conjuncts(where.this))
        self._on: list[_Condition] = []

    def all(self) -> Part:
        """Everything joined."""
        done: list[Part] = []
        group = [self._parts[0]]
        for join, entry in zip(self._joins, self._parts[1:], strict=True):
            plain(join)
            kind = " ".join(str(join.args[part]) for part in ("method", "side", "kind") if join.args.get(part)).upper()
            natural = kind.startswith("NATURAL")
            kind = kind.removeprefix("NATURAL").removesuffix("OUTER").strip() or "INNER"
            alone = kind == "INNER" and not natural and not join.args.get("on") and not join.args.get("using")
            if alone:  # a comma binds less than JOIN
                done, group = [*done, *group], [entry]
            elif kind in ("INNER", "CROSS"):
                self._on += self._read(self._demands(join, group, entry)[0])
                group.append(entry)
            elif kind in ("LEFT", "RIGHT", "FULL", "SEMI", "ANTI", "LEFT SEMI", "LEFT ANTI"):
                group = [self._explicit(join, kind.removeprefix("LEFT ") or kind, group, entry)]
            else:
                raise refused(
                    join, f"{kind} JOIN", "[INNER | LEFT | RIGHT | FULL | SEMI | ANTI] JOIN ... ON equal keys"
                )
        return self._combined([*done, *group], [*self._on, *self._where])

    def _explicit(self, join: exp.Join, kind: str, group: list[Part], entry: Part) -> Part:
        """An outer, semi or anti join; what filters its left side alone does so before."""
        mine = [item for item in self._on if item.reads and item.within(group)]
        before = [] if kind in ("RIGHT", "FULL") else [i for i in self._where if i.reads and i.within(group)]
        self._on = [item for item in self._on if item not in mine]
        self._where = [item for item in self._where if item not in before]
        left = self._combined(group, [*mine, *before])
        demands, merged = self._demands(join, [left], entry)
        read = [(item.node, item.reads) for item in self._read(demands)]
        made = outer_join(kind, left, entry, read, join, self._queries.apply)
        for name in merged:
            name.show(made, kind)
        return made

    def _demands(self, join: exp.Join, left: Sequence[Part], right: Part) -> tuple[list[exp.Expr], list[_Merged]]:
        """Everything that ON and USING demand, cut at AND, and the columns that USING makes one."""
        names = _common(left, right, join) if join.args.get("method") == "NATURAL" else join.args.get("using") or ()
        using = [_using(name, left, right) for name in names]
        on = conjuncts(join.args["on"]) if join.args.get("on") is not None else []
        return [*(condition for condition, _ in using), *on], [merged for _, merged in using]

    def _read(self, nodes: Sequence[exp.Expr]) -> list[_Condition]:
        """Conditions with what they read; those over an outer query are set aside."""
        found = []
        for node in nodes:
            columns = free_columns(node, self._queries.scope_of)
            mine = [item for item in columns if self._means(item)]
            if len(mine) < len(columns):
                self.related.append(node)
            else:
                found.append(_Condition(node, frozenset(self._scope.column(item) for item in mine)))
        return found

    def _means(self, node: exp.Column) -> bool:
        """Whether a column is one of FROM, not one of the query around it."""
        if self._scope.means(node):
            return True
        if self._outer is None or not self._outer.means(node):
            self._scope.column(node)
        return False

    def _combined(self, parts: list[Part], conditions: list[_Condition]) -> Part:
        """The parts joined by their equalities, and filtered by all conditions."""
        classes = Classes()
        rest = [item for item in conditions if len(parts) == 1 or not _equate(item.node, parts, classes)]
        later = []
        for item in sorted(rest, key=lambda item: next(subqueries(item.node), None) is not None):
            reads = self._moved(item, parts, classes)
            alone = next((part for part in parts if all(map(part.holds, reads))), None)
            if alone is not None:
                self._queries.apply(alone, item.node)
            else:
                later.append((item.node, reads))
                self._implied(item, parts)
        return join_all(parts, classes, later, self._queries.apply)

    def _moved(self, item: _Condition, parts: Sequence[Part], classes: Classes) -> frozenset[str]:
        """What a condition with a subquery reads, after it was moved to one part where equal columns allow that."""
        if next(subqueries(item.node), None) is None or any(all(map(part.holds, item.reads)) for part in parts):
            return item.reads
        for part in sorted(parts, key=lambda part: rows_of(part.rel)):
            same = {name: next(filter(part.holds, classes.of(name)), None) for name in item.reads}
            if all(same.values()):
                for found in free_columns(item.node, self._queries.scope_of):
                    pin(found, part.tables[0], str(same[self._scope.column(found)]))
                return frozenset(str(name) for name in same.values())
        return item.reads

    def _implied(self, item: _Condition, parts: Sequence[Part]) -> None:
        """Filter small tables by what an OR over several demands of each."""
        most = max(rows_of(part.rel) for part in parts)
        for part in parts:
            if rows_of(part.rel) * 4 <= most:
                found = implied(item.node, functools.partial(self._only, part))
                if found is not None:
                    self._queries.apply(part, found)

    def _only(self, part: Part, node: exp.Expr) -> bool:
        columns = list(node.find_all(exp.Column))
        plain_here = bool(columns) and next(subqueries(node), None) is None
        return plain_here and all(part.holds(self._scope.column(found)) for found in columns)


def _equate(node: exp.Expr, parts: Sequence[Part], classes: Classes) -> bool:
    """Whether ``node`` is an equality of columns of two parts, which joins them."""
    if not isinstance(node, exp.EQ) or next(subqueries(node), None) is not None:
        return False
    sides = [(bare(side), _home(side, parts)) for side in (node.left, node.right)]
    (first, left), (second, right) = sides
    if left is None or right is None or left is right:
        return False
    keys = key_of(first, left), key_of(second, right)
    if keys[0] is None or keys[1] is None or not comparable(keys[0], keys[1], (left, right)):
        return False
    classes.equate(left.key(keys[0]), right.key(keys[1]))
    return True


def _home(node: exp.Expr, parts: Sequence[Part]) -> Part | None:
    """The one part that an expression reads."""
    scope = Scope(parts[0].rel, [table for part in parts for table in part.tables])
    names = {scope.column(found) for found in node.find_all(exp.Column)}
    return next((part for part in parts if all(map(part.holds, names))), None) if names else None


def _common(left: Sequence[Part], right: Part, join: exp.Join) -> list[exp.Expr]:
    """The columns of NATURAL JOIN: those that both sides have."""
    mine = {name.lower() for part in left for table in part.tables for name in table.columns}
    found = [name for table in right.tables for name in table.columns if name.lower() in mine]
    if not found:
        raise refused(join, "a NATURAL JOIN without a common column", "ON a.key = b.key")
    return [exp.to_identifier(name, quoted=True) for name in found]


def _using(name: exp.Expr, left: Sequence[Part], right: Part) -> tuple[exp.Expr, _Merged]:
    """The equality that USING stands for; the column is then one, where the earlier table has it."""
    pair = []
    for parts in (left, [right]):
        tables = [table for part in parts for table in part.tables]
        node = exp.column(name.copy())
        held = Scope(right.rel, tables).column(node)
        pair.append((node, held, next(table for table in tables if held in table.shown.values())))
    (first, held, table), (second, other, gone) = pair
    gone.merged.update(name for name, column in gone.columns.items() if column == other)
    pin(first, table, held)
    pin(second, gone, other)
    shown = next(name for name, column in table.shown.items() if column == held)
    return exp.EQ(this=first, expression=second), _Merged(table, shown, held, other)
