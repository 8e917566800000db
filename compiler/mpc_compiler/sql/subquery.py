"""Subqueries as joins: EXISTS and IN as semi and anti joins, scalar subqueries as columns of groups that are looked up.

An inner query is related to the outer one by conjuncts that read both. Equalities become the keys of the join. One
further comparison of EXISTS needs no pairs of rows: some x of a group differs from y if its least or its largest does,
and is below y if its least is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlglot import exp

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.check.keys import is_unique, keys_of
from mpc_compiler.errors import MpcError, SchemaError
from mpc_compiler.ir import Agg, Aggregate, Expr, Filter, Item, Join, Project, Rel, call, column, literal, make
from mpc_compiler.sql.conditions import bare
from mpc_compiler.sql.free import subqueries
from mpc_compiler.sql.logic import Test, negated, whole
from mpc_compiler.sql.parts import Part, one_row
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope
from mpc_compiler.sql.text import describe, place, refused

__all__ = ["Attached", "Inner", "Planner"]


@dataclass
class Inner:
    """An inner query: its rows, and what relates them to the outer query's.

    ``equal`` and ``other`` hold expressions over ``rel`` and what they are compared with outside; ``value`` is the only
    column of the select list, ``tables`` say what names mean in ``rel``.
    """

    rel: Rel
    equal: list[tuple[Expr, exp.Expr]] = field(default_factory=list)
    other: list[tuple[str, Expr, exp.Expr]] = field(default_factory=list)
    value: Expr | None = None
    tables: list[Bound] = field(default_factory=list)


class Planner(Protocol):
    """What plans the queries inside."""

    def related(self, select: exp.Expr) -> bool:
        """Whether an inner query reads columns of the outer one."""

    def whole(self, query: exp.Expr) -> Rel:
        """An inner query by itself."""

    def rows(self, select: exp.Select, outer: Scope) -> Inner:
        """The rows that an inner query selects from, related to the outer scope; ``value`` is its only column."""

    def groups(self, select: exp.Select, outer: Scope) -> tuple[Inner, str]:
        """One row for each group of related rows, with the value; and how it reads where there is no row."""

    def fresh(self) -> str:
        """A name that no relation has."""


Known = Callable[[exp.Expr], "Expr | Test | None"]
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_STRICT = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.Paren)


class Attached:
    """A relation to which subqueries are joined, and what they give.

    Parameters
    ----------
    scope : Scope
        The rows of the outer query.
    planner : Planner
    reader : callable, optional
        Makes the reader of outer expressions over a scope; by default a plain one.
    below : sequence of nodes
        Expressions that are computed already, below the groups: the subqueries in them are not answered again.
    """

    def __init__(
        self,
        scope: Scope,
        planner: Planner,
        reader: Callable[[Scope, Known], Reader] | None = None,
        below: Sequence[exp.Expr] = (),
    ) -> None:
        self._below = {id(found) for node in below for found in subqueries(node)}
        self.scope = scope
        self._planner = planner
        self._reader = reader or Reader
        self._answers: dict[int, Expr | Test] = {}

    def reader(self) -> Reader:
        """Reads expressions in which the subqueries are answered."""
        return self._reader(self.scope, lambda node: self._answers.get(id(node)))

    def know(self, node: exp.Expr, value: Expr) -> None:
        """Say what a node is."""
        self._answers[id(node)] = value

    def keep(self, condition: exp.Expr) -> None:
        """Keep the rows for which a condition is true."""
        node, positive = _without_not(condition)
        if isinstance(node, exp.Exists) or (isinstance(node, exp.In) and node.args.get("query") is not None):
            self._located(node, lambda: self._keep_related(node, positive=positive))
            return
        strict = isinstance(node, _COMPARISONS)
        for found in list(subqueries(condition)):
            self._answer(found, must=strict and _strictly(found, node))
        self._filter(self.reader().test(condition).true)

    def prepare(self, nodes: Sequence[exp.Expr]) -> None:
        """Answer all subqueries in expressions."""
        for node in nodes:
            for found in list(subqueries(node)):
                self._answer(found, must=False)

    def _filter(self, predicate: Expr) -> None:
        self.scope = Scope(make(Filter(self.scope.rel, predicate)), self.scope.tables)

    def _located(self, node: exp.Expr, step: Callable[[], None]) -> None:
        try:
            step()
        except MpcError as error:
            error.where = error.where or place(node)
            raise

    def _answer(self, node: exp.Expr, *, must: bool) -> None:
        """Find what a subquery gives; rows without it may be dropped if it ``must`` be there."""
        if id(node) in self._answers or id(node) in self._below:
            return

        def step() -> None:
            if isinstance(node, exp.Exists):
                self._answers[id(node)] = self._exists(node)
            elif isinstance(node, exp.In):
                self._answers[id(node)] = self._is_in(node)
            else:
                self._answers[id(node)] = self._scalar(node, must=must)

        self._located(node, step)

    # --- joins ---------------------------------------------------------------------------------------------------

    def _keys(self, inner: Inner) -> tuple[tuple[str, ...], tuple[str, ...], Rel]:
        """Columns of both sides that must be equal, and the inner rows with theirs under fresh names."""
        part = Part(self.scope.rel, self.scope.tables, exp.null())
        reader = self.reader()
        left = tuple(part.key(reader.value(node)) for _, node in inner.equal)
        self.scope = Scope(part.rel, self.scope.tables)
        names = tuple(self._planner.fresh() for _ in inner.equal)
        items = [Item(name, expr) for name, (expr, _) in zip(names, inner.equal, strict=True)]
        return left, names, make(Project(inner.rel, tuple(items)))

    def _join(self, right: Rel, left_on: tuple[str, ...], right_on: tuple[str, ...], how: str) -> None:
        rel = make(Join(self.scope.rel, right, left_on, right_on, how if left_on else "cross"))
        schema_of(rel)
        self.scope = Scope(rel, self.scope.tables)

    def _once(self, right: Rel, names: tuple[str, ...]) -> Rel:
        """The right side with each key once."""
        return right if is_unique(right, names) else make(Aggregate(right, names, ()))

    # --- EXISTS and IN as conditions -----------------------------------------------------------------------------

    def _keep_related(self, node: exp.Expr, *, positive: bool) -> None:
        inner, nullable = self._related(node)
        if not positive and isinstance(node, exp.In):
            self._refuse_null(node, nullable)
            if self._may_be_missing(node.this):
                self._filter(negated(self._is_in(node)).true)
                return
        if not inner.equal or inner.other:
            test = self._matched(inner, must=positive)
            self._filter((test if positive else negated(test)).true)
            return
        left, names, right = self._keys(inner)
        if not is_unique(self.scope.rel, left):
            right = self._once(right, names)
        aligned = len(set(owners_of(self.scope.rel)) | set(owners_of(right))) > 1
        if positive and aligned and is_unique(self.scope.rel, left) and is_unique(right, names):
            self._join(right, left, names, "inner")  # as an intersection, where that is allowed
        else:
            self._join(right, left, names, "semi" if positive else "anti")

    def _related(self, node: exp.Expr) -> tuple[Inner, bool]:
        """The rows inside EXISTS or IN; for IN with its equality, and whether the value may be NULL."""
        query = bare(node.args["query"] if isinstance(node, exp.In) else node.this)
        while isinstance(query, exp.Subquery):
            query = bare(query.this)
        if self._planner.related(query):
            if not isinstance(query, exp.Select):
                raise refused(query, f"{describe(query)} that reads an outer query", "one SELECT")
            inner = self._planner.rows(query, self.scope)
        else:
            rel = self._planner.whole(query)
            inner = Inner(rel, value=column(schema_of(rel).names[0]) if len(schema_of(rel).names) == 1 else None)
        if not isinstance(node, exp.In):
            return inner, False
        if inner.value is None:
            count = len(schema_of(inner.rel).names)
            raise SchemaError(
                f"IN takes a subquery of one column, not {count}", code="MPC-0105", hint="select one column",
                where=place(query),
            )  # fmt: skip
        nullable = Reader(Scope(inner.rel, [])).type(inner.value).nullable
        return replace(inner, equal=[*inner.equal, (inner.value, node.this)]), nullable

    def _refuse_null(self, node: exp.Expr, nullable: bool) -> None:
        if nullable:
            raise refused(
                node,
                "NOT IN of a subquery whose column may be NULL, which is never true beside a NULL,",
                "WHERE column IS NOT NULL in the subquery, or NOT EXISTS",
            )

    def _may_be_missing(self, node: exp.Expr) -> bool:
        reader = self.reader()
        return reader.type(reader.value(node)).nullable

    # --- as values -----------------------------------------------------------------------------------------------

    def _exists(self, node: exp.Expr) -> Test:
        inner, _ = self._related(node)
        return self._matched(inner, must=False)

    def _is_in(self, node: exp.In) -> Test:
        inner, nullable = self._related(node)
        self._refuse_null(node, nullable)
        found = self._matched(inner, must=False)
        if not self._may_be_missing(node.this):
            return found
        if len(inner.equal) > 1:
            raise refused(
                node, "IN of a value that may be NULL with a related subquery", "EXISTS, or IS NOT NULL before"
            )
        empty = negated(self._matched(Inner(inner.rel), must=False))
        present = call("notna", self.reader().value(node.this))
        known = call("or", present, empty.true)
        return Test(call("and", found.true, present), call("and", call("not", found.true), known), known)

    def _matched(self, inner: Inner, *, must: bool) -> Test:
        """Whether a row has a partner; if it ``must``, others may be dropped."""
        if len(inner.other) > 1:
            raise refused(inner.other[1][2], "a second comparison with the outer query that is no equality", "one")
        if not inner.other and not inner.equal:
            name = self._planner.fresh()
            self._join(make(Aggregate(inner.rel, (), (Agg(name, "size"),))), (), (), "cross")
            return whole(call("gt", column(name), literal(0)))
        if inner.other:
            return self._compared(inner, must=must)
        left, names, right = self._keys(inner)
        self._join(self._once(right, names), left, names, "left")
        return whole(call("notna", column(names[0])))

    def _compared(self, inner: Inner, *, must: bool) -> Test:
        """Whether some partner compares with the outer value: its group's least or largest does."""
        ((op, expr, node),) = inner.other
        held = self._planner.fresh()
        items = tuple(Item(n, column(n)) for n in schema_of(inner.rel).names if n != held)
        inner = replace(inner, rel=make(Project(inner.rel, (*items, Item(held, expr)))))
        left, names, keyed = self._keys(inner)
        assert isinstance(keyed, Project)
        below = make(Project(keyed.input, (*keyed.items, Item(held, column(held)))))
        ends = {"ne": ("min", "max"), "lt": ("min",), "le": ("min",), "gt": ("max",), "ge": ("max",)}[op]
        aggs = tuple(Agg(self._planner.fresh(), function, held) for function in ends)
        self._join(make(Aggregate(below, names, aggs)), left, names, "inner" if must else "left")
        reader = self.reader()
        value = reader.value(node)
        true: Expr | None = None
        for agg in aggs:
            part = call(op, column(agg.name), value)
            true = part if true is None else call("or", true, part)
        assert true is not None
        for operand in (column(aggs[0].name), value):
            if reader.type(operand).nullable:
                true = call("and", call("notna", operand), true)
        return whole(true)

    # --- scalar subqueries ---------------------------------------------------------------------------------------

    def _scalar(self, node: exp.Expr, *, must: bool) -> Expr:
        query = bare(node)
        while isinstance(query, exp.Subquery):
            query = bare(query.this)
        if not self._planner.related(query):
            return self._alone(query)
        if not isinstance(query, exp.Select):
            raise refused(query, f"{describe(query)} that reads an outer query", "one SELECT")
        if query.find(exp.AggFunc) is not None:
            inner, missing = self._planner.groups(query, self.scope)
        else:
            inner, missing = self._planner.rows(query, self.scope), ""
        if inner.other:
            raise refused(query, "a scalar subquery related by other than equalities", "equal keys, or a JOIN")
        if inner.value is None:
            raise self._one_column(query, 2)
        left, names, keyed = self._keys(inner)
        assert isinstance(keyed, Project)
        value = self._planner.fresh()
        right = make(Project(keyed.input, (*keyed.items, Item(value, inner.value))))
        if not is_unique(right, names):
            raise self._one_value(query)
        self._join(right, left, names, "inner" if must and not missing else "left")
        return call("fillna", column(value), literal(0)) if missing else column(value)

    def _alone(self, query: exp.Expr) -> Expr:
        """A query that gives one value to all rows."""
        rel = self._planner.whole(query)
        names = schema_of(rel).names
        if len(names) != 1:
            raise self._one_column(query, len(names))
        value = self._planner.fresh()
        if not one_row(rel):
            if frozenset() not in keys_of(rel):
                raise self._one_value(query)
            rel = make(Aggregate(rel, (), (Agg(names[0], "any", names[0]),)))
        self._join(make(Project(rel, (Item(value, column(names[0])),))), (), (), "cross")
        return column(value)

    def _one_column(self, query: exp.Expr, count: int) -> SchemaError:
        return SchemaError(
            f"a subquery in an expression gives one column, not {count}", code="MPC-0105", hint="select one column",
            where=place(query),
        )  # fmt: skip

    def _one_value(self, query: exp.Expr) -> MpcError:
        return refused(query, "a subquery in an expression that may give several rows", "MIN, MAX or another aggregate")


def _without_not(node: exp.Expr) -> tuple[exp.Expr, bool]:
    node, positive = bare(node), True
    while isinstance(node, exp.Not):
        node, positive = bare(node.this), not positive
    return node, positive


def _strictly(found: exp.Expr, condition: exp.Expr) -> bool:
    """Whether a comparison is NULL wherever a subquery in it is."""
    return all(isinstance(above, _STRICT) for above in _between(found, condition))


def _between(found: exp.Expr, condition: exp.Expr) -> Iterator[exp.Expr]:
    above = found.parent
    while above is not None and above is not condition:
        yield above
        above = above.parent
