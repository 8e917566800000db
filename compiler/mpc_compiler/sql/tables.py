"""FROM, JOIN and WHERE: one relation, and the names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Column, Expr, Filter, Item, Join, Project, Rel, call, column, make
from mpc_compiler.sql.group import distinct
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope
from mpc_compiler.sql.text import place, plain, refused

__all__ = ["Named", "filtered", "from_where"]


@dataclass(frozen=True)
class Named:
    """Something to select from: a table, a CTE, or a subquery."""

    rel: Rel
    alias: str
    owner: str = ""


Resolve = Callable[[exp.Expr], Named]


@dataclass
class _Source:
    """One entry of FROM while its filters and join keys are collected."""

    bound: Bound
    rel: Rel
    extra: list[Item] = field(default_factory=list)
    present: list[Expr] = field(default_factory=list)

    @property
    def scope(self) -> Scope:
        return Scope(self.rel, [self.bound])

    def key(self, expr: Expr) -> str:
        """The column that holds a join key; rows without it match nothing."""
        if expr_type(expr, schema_of(self.rel)).nullable:
            self.present.append(call("notna", expr))
        if isinstance(expr, Column):
            return expr.name
        name = f"{self.bound.label}.~{len(self.extra) + 1}"
        self.extra.append(Item(name, expr))
        return name

    def build(self) -> Rel:
        """The rows that can match, with the computed keys."""
        rel = self.rel
        for condition in dict.fromkeys(self.present):
            rel = make(Filter(rel, condition))
        kept = [Item(name, column(name)) for name in schema_of(rel).names]
        return make(Project(rel, (*kept, *self.extra))) if self.extra else rel


@dataclass(frozen=True)
class _Edge:
    """An equality between columns of two sources."""

    sides: tuple[int, int]
    keys: tuple[str, str]
    condition: exp.Expr

    def other(self, source: int) -> int:
        """The source at the other end."""
        return self.sides[1 - self.sides.index(source)]

    def key(self, source: int) -> str:
        """The key at this end."""
        return self.keys[self.sides.index(source)]


def from_where(select: exp.Select, resolve: Resolve) -> Scope:
    """The rows that FROM and WHERE give.

    Inner joins only: every equality between two tables, in ON or in WHERE, is a join key; what concerns one table
    filters it before it is joined.
    """
    start = select.args.get("from_")
    if start is None:
        raise refused(select, "SELECT without FROM", "select from a table")
    nodes = [start.this, *(join.this for join in select.args.get("joins") or ())]
    named = [resolve(node) for node in nodes]
    labels = [_label(item, named) for item in named]
    sources = [_source(item, "" if len(named) == 1 else label) for item, label in zip(named, labels, strict=True)]
    for k, label in enumerate(labels):
        if label.lower() in [other.lower() for other in labels[:k]]:
            raise SchemaError(
                f"FROM has two tables named {label!r}",
                code="MPC-0123",
                hint="give one another name: FROM a.t AS x",
                where=place(nodes[k]),
            )
    conditions = [_semi_join(item, sources, nodes, resolve) for item in _conditions(select, sources)]
    return _joined(sources, conditions, nodes)


def _semi_join(condition: exp.Expr, sources: list[_Source], nodes: list[exp.Expr], resolve: Resolve) -> exp.Expr:
    """``x IN (SELECT ...)``: a join with the distinct values, whose column has no name in the query."""
    query = condition.args.get("query") if isinstance(condition, exp.In) else None
    if query is None:
        return condition
    rel = distinct(resolve(query if isinstance(query, exp.Subquery) else exp.Subquery(this=query)).rel)
    names = schema_of(rel).names
    if len(names) != 1:
        raise SchemaError(
            f"IN takes a subquery of one column, not {len(names)}", code="MPC-0105", hint="select one column",
            where=place(query),
        )  # fmt: skip
    source = _source(Named(rel, f"~in{len(sources)}"), f"~in{len(sources)}")
    source.bound.merged.update(names)
    sources.append(source)
    nodes.append(condition)
    at = [exp.to_identifier(name, quoted=True) for name in (names[0], source.bound.alias)]
    return exp.EQ(this=condition.this, expression=exp.column(*at))


def _label(named: Named, all_named: Sequence[Named]) -> str:
    """The alias; with the owner's name where two tables of FROM have the same."""
    twice = sum(other.alias.lower() == named.alias.lower() for other in all_named) > 1
    return f"{named.owner}.{named.alias}" if twice and named.owner else named.alias


def _source(named: Named, label: str) -> _Source:
    names = schema_of(named.rel).names
    columns = {name: f"{label}.{name}" if label else name for name in names}
    items = tuple(Item(new, column(old)) for old, new in columns.items())
    bound = Bound(named.alias, named.owner, columns, label=label)
    return _Source(bound, make(Project(named.rel, items)) if label else named.rel)


def _conditions(select: exp.Select, sources: list[_Source]) -> list[exp.Expr]:
    """Everything that ON, USING and WHERE demand, cut at AND."""
    found: list[exp.Expr] = []
    for k, join in enumerate(select.args.get("joins") or (), start=1):
        plain(join)
        kind = " ".join(str(join.args[part]) for part in ("method", "side", "kind") if join.args.get(part))
        if kind.upper() not in ("", "INNER", "CROSS"):
            raise refused(join, f"{kind.upper()} JOIN", "INNER JOIN ... ON equal keys")
        found += [_using(name, sources, k) for name in join.args.get("using") or ()]
        if join.args.get("on") is not None:
            found += _parts(join.args["on"])
    where = select.args.get("where")
    return found + (list(_parts(where.this)) if where is not None else [])


def _using(name: exp.Expr, sources: list[_Source], right: int) -> exp.Expr:
    pair = []
    for source in (sources[:right], sources[right : right + 1]):
        scope = Scope(sources[right].rel, [item.bound for item in source])
        scope.column(exp.column(name.copy()))
        owner = next(item.bound for item in source if name.name.lower() in map(str.lower, item.bound.columns))
        at = [exp.to_identifier(part, quoted=True) for part in (owner.alias, owner.owner) if part]
        pair.append(exp.column(name.copy(), *at))
    merged = sources[right].bound
    merged.merged |= {n for n in merged.columns if n.lower() == name.name.lower()}
    return exp.EQ(this=pair[0], expression=pair[1])


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.And):
        yield from _parts(node.left)
        yield from _parts(node.right)
    else:
        yield node


def _reads(node: exp.Expr, sources: Sequence[_Source]) -> set[int]:
    """Which sources a condition reads."""
    scope = Scope(sources[0].rel, [source.bound for source in sources])
    names = {scope.column(found) for found in node.find_all(exp.Column)}
    return {k for k, source in enumerate(sources) if names & set(source.bound.columns.values())}


def _joined(sources: list[_Source], conditions: list[exp.Expr], nodes: list[exp.Expr]) -> Scope:
    edges, rest = [], []
    for condition in conditions:
        reads = _reads(condition, sources)
        if len(reads) == 1 and len(sources) > 1:
            source = sources[next(iter(reads))]
            source.rel = filtered(source.scope, [condition]).rel
        else:
            rest.append(condition)
    later = []
    for condition in rest:
        edge = _edge(condition, sources)
        if edge is None:
            later.append(condition)
        else:
            edges.append(edge)
    rel, left_over = _in_order(sources, edges, nodes)
    return filtered(Scope(rel, [source.bound for source in sources]), [*(e.condition for e in left_over), *later])


def _edge(condition: exp.Expr, sources: list[_Source]) -> _Edge | None:
    if not isinstance(condition, exp.EQ):
        return None
    left, right = _reads(condition.left, sources), _reads(condition.right, sources)
    if len(left) != 1 or len(right) != 1 or left == right:
        return None
    sides = (left.pop(), right.pop())
    keys = [
        sources[k].key(Reader(sources[k].scope).value(node))
        for k, node in zip(sides, (condition.left, condition.right), strict=True)
    ]
    return _Edge(sides, (keys[0], keys[1]), condition)


def _in_order(sources: list[_Source], edges: list[_Edge], nodes: list[exp.Expr]) -> tuple[Rel, list[_Edge]]:
    """Join the sources as FROM lists them, each as soon as a key connects it; also the edges that are no keys."""
    rel, joined, used = sources[0].build(), {0}, set[_Edge]()
    while len(joined) < len(sources):
        waiting = [k for k in range(len(sources)) if k not in joined]
        connected = {k: [e for e in edges if k in e.sides and e.other(k) in joined] for k in waiting}
        chosen = next((k for k in waiting if connected[k]), None)
        if chosen is None:
            raise refused(nodes[waiting[0]], "a join without an equality", "JOIN ... ON a.key = b.key")
        # Keys of one owner on each side: those of the table that shares most keys.
        ends = [e.other(chosen) for e in connected[chosen]]
        best = max(dict.fromkeys(ends), key=ends.count)
        keys = [e for e in connected[chosen] if e.other(chosen) == best]
        on = tuple(e.key(best) for e in keys), tuple(e.key(chosen) for e in keys)
        rel = make(Join(rel, sources[chosen].build(), *on))
        schema_of(rel)
        joined.add(chosen)
        used.update(keys)
    return rel, [edge for edge in edges if edge not in used]


def filtered(scope: Scope, conditions: Sequence[exp.Expr]) -> Scope:
    """The rows of a scope for which every condition is true."""
    for condition in conditions:
        for found in condition.find_all(exp.Query):
            raise refused(found, "a subquery in a condition", "JOIN the subquery")
        scope = Scope(make(Filter(scope.rel, Reader(scope).test(condition).true)), scope.tables)
    return scope
