"""GROUP BY, aggregates, DISTINCT: NULL is a key like any other, and sums of nothing are NULL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.check.keys import determined
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Call,
    Column,
    Expr,
    Item,
    Literal,
    Project,
    Rel,
    call,
    column,
    constant_of,
    literal,
    make,
)
from mpc_compiler.moments import Sums
from mpc_compiler.sql import constant as constants
from mpc_compiler.sql.aggregates import FUNCTIONS, Function, inner_of
from mpc_compiler.sql.free import aggregates_in
from mpc_compiler.sql.logic import Test
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound, Scope
from mpc_compiler.sql.text import describe, place, plain, refused

__all__ = ["Grouping", "distinct"]

Known = Callable[[exp.Expr], "Expr | Test | None"]
_SPREADS = {
    Function.VAR: ("var", 1), Function.STD: ("std", 1), Function.VAR_POP: ("var", 0), Function.STD_POP: ("std", 0),
}  # fmt: skip


class Grouping:
    """The groups of a query, and what stands for each key and aggregate above them.

    Parameters
    ----------
    below : Reader
        Reads the rows to group.
    keys : sequence of nodes
        GROUP BY; none: all rows are one group, even if there are none.
    aliases : mapping of lower-case name to node
        What HAVING may call a column of the select list.
    related : sequence of Expr
        Keys that an outer query looks up; a group without one is found by nobody.
    """

    def __init__(
        self, below: Reader, keys: Sequence[exp.Expr], aliases: Mapping[str, exp.Expr], related: Sequence[Expr] = ()
    ) -> None:
        self._below = below
        self._aliases = aliases
        self._items: dict[Expr, str] = {}
        self._keys: dict[Expr, Expr] = {}
        self._names: list[str] = []
        self._aggs: dict[tuple[str, str | None, float | None], str] = {}
        self._results: dict[int, Expr] = {}
        self._distinct = self._repeated = False
        self._sums: list[exp.Expr] = []
        rows = below.scope.rel
        self._sums_of = Sums(schema_of(rows), rows_of(rows), lambda name, of: self._result(name, self._column(of)))
        self.related = [self._column(expr) for expr in related]
        self._names += dict.fromkeys(self.related)
        for node in keys:
            self._key(node)
        self._grouped = bool(keys) or bool(related)

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
        name = self._column(expr)
        self._keys[expr] = column(name)
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
        for found in list(aggregates_in(node)):
            if id(found) not in self._results:
                condition = found.parent if isinstance(found.parent, exp.Filter) else None
                made = self._aggregate(found, condition.expression.this if condition is not None else None)
                self._results[id(found if condition is None else condition)] = made
                self._results[id(found)] = made

    def _aggregate(self, node: exp.AggFunc, condition: exp.Expr | None) -> Expr:
        plain(node)
        function = FUNCTIONS.get(type(node))
        if function is None:
            known = ", ".join(sorted({kind.__name__.upper() for kind in FUNCTIONS}))
            raise refused(node, describe(node), known)
        if node.expressions:
            raise refused(node, f"{describe(node)} of several columns", "one column")
        if node.this.find(exp.AggFunc):
            raise SchemaError("an aggregate inside an aggregate", code="MPC-0124", hint="use a subquery in FROM",
                              where=place(node))  # fmt: skip
        value = self._argument(inner_of(node), condition)
        if function in _SPREADS and value is not None and not isinstance(node.this, exp.Distinct):
            self._repeated = True
            return self._sums_of.spread(value, *_SPREADS[function])
        if function is Function.CORR and value is not None:
            self._repeated = True
            other = self._argument(node.expression, condition)
            assert other is not None
            return self._sums_of.correlation(value, other)
        name = None if value is None else self._column(value)
        if isinstance(node.this, exp.Distinct):
            self._distinct = True
            if function is Function.COUNT and name is not None:
                return self._result("nunique", name)
            if function not in (Function.MIN, Function.MAX):
                self._sums.append(node)
        elif function not in (Function.MIN, Function.MAX):
            self._repeated = True
        if value is None or name is None:
            return self._result("size", None)
        return self._combined(function, name, value, node)

    def _combined(self, function: Function, name: str, value: Expr, node: exp.AggFunc) -> Expr:
        """What an aggregate of SQL is in terms of those of the plan."""
        nullable = self._below.type(value).nullable
        if function in (Function.FIRST, Function.LAST) and nullable and not isinstance(node, exp.AnyValue):
            raise refused(node, f"{describe(node)} of values that may be NULL", "ANY_VALUE, MIN or MAX")
        if function is Function.QUANTILE:
            return self._result("quantile", name, self._level(node))
        whole = self._below.type(value).kind != "float" and rows_of(self._below.scope.rel) > 0
        if function is Function.AVG and whole:
            return self._mean(name, value)
        total = self._result(function.value, name)
        if function is not Function.SUM or (self._grouped and not nullable):
            return total
        counted = self._result("count", name) if nullable else self._result("size", None)
        return call("where", call("gt", counted, literal(0)), total, literal(None))

    def _mean(self, name: str, value: Expr) -> Expr:
        """A sum by a count, which comparisons can take apart again; no mean is beyond the range of the values."""
        dtype = self._below.type(value)
        total = self._result("sum", name)
        if self._grouped and not dtype.nullable:
            count = call("clip", self._result("size", None), literal(1), literal(None))
        else:
            count = call("nonzero", self._result("count", name) if dtype.nullable else self._result("size", None))
        if dtype.kind != "bool" and dtype.lo is None:
            return call("div", total, count)
        return call("div", total, count, literal(float(max(map(abs, dtype.limits)))))

    def _limit(self, over: Expr, under: Expr) -> Expr | None:
        """A part of a sum of what is not negative is at most the sum; a factor before it scales that."""
        factor = 1.0
        while isinstance(over, Call) and over.op == "mul" and any(constant_of(arg) is not None for arg in over.args):
            constants_first = sorted(over.args, key=lambda arg: constant_of(arg) is None)
            factor, over = factor * abs(float(str(constant_of(constants_first[0])))), constants_first[1]
        part, whole = self._summed(over), self._summed(under)
        low = None if whole is None else self._below.type(whole).lo
        if part is None or whole is None or low is None or low < 0:
            return None
        if part != whole and not (
            isinstance(part, Call) and part.op == "where" and part.args[1] == whole and constant_of(part.args[2]) == 0
        ):
            return None
        return literal(factor)

    def _summed(self, expr: Expr) -> Expr | None:
        """What is summed, if ``expr`` is a sum, missing where there is nothing to sum."""
        if isinstance(expr, Call) and expr.op == "where" and expr.args[2] == literal(None):
            expr = expr.args[1]
        of = next((key[1] for key, name in self._aggs.items() if key[0] == "sum" and column(name) == expr), None)
        return next((value for value, name in self._items.items() if name == of), None)

    def _level(self, node: exp.AggFunc) -> float:
        level = constants.value_of(node.expression)
        if level is None or not 0 <= level <= 1:
            raise refused(node, "a quantile that is no constant between 0 and 1", "QUANTILE_CONT(x, 0.5)")
        return float(level)

    def _argument(self, node: exp.Expr, condition: exp.Expr | None) -> Expr | None:
        """What is aggregated; None: the rows themselves."""
        rows = isinstance(node, exp.Star)
        value = literal(1) if rows else self._below.value(node)
        if condition is not None:
            return call("where", self._below.test(condition).true, value, literal(None))
        return None if rows or (isinstance(value, Literal) and isinstance(node.parent, exp.Count)) else value

    def _result(self, function: str, name: str | None, param: float | None = None) -> Expr:
        key = function, name, param
        if key not in self._aggs:
            made = function if name is None else f"{function} {name}"
            while made in self._names or made in self._aggs.values():
                made += "~"
            self._aggs[key] = made
        return column(self._aggs[key])

    # --- above ---------------------------------------------------------------------------------------------------

    def scope(self) -> Scope:
        """The groups; expressions over them are read by :meth:`reader`."""
        reader = self._below
        # At least one aggregate: a relation without columns has no rows.
        if not self._aggs:
            self._result("size", None)
        items = [Item(name, expr) for expr, name in self._items.items()]
        below = make(Project(reader.scope.rel, tuple(items))) if items else reader.scope.rel
        aggs = [Agg(name, function, of, param) for (function, of, param), name in self._aggs.items()]
        if self._distinct:
            below, aggs = self._once(below, aggs)
        keys, follow = _fewest(below, self._names)
        aggs = [*(Agg(name, "any", name) for name in follow), *aggs]
        # Rows that an outer query looks up match nothing where a key is NULL; other groups of NULL are groups.
        rel = make(Aggregate(below, keys, tuple(aggs), nulls=not self.related, ordered=False))
        schema_of(rel)
        return Scope(rel, reader.scope.tables)

    def _once(self, below: Rel, aggs: list[Agg]) -> tuple[Rel, list[Agg]]:
        """For aggregates of DISTINCT values: each combination of keys and value once, or a count of distinct values."""
        if not self._repeated and len({agg.column for agg in aggs}) == 1:
            counts = {"nunique": "count"}
            return distinct(below), [Agg(a.name, counts.get(a.function, a.function), a.column) for a in aggs]
        if self._sums:
            hint = "a query of its own for each, or COUNT(DISTINCT ...)"
            raise refused(self._sums[0], "DISTINCT in an aggregate beside aggregates of other values", hint)
        return below, aggs

    def reader(self, scope: Scope, known: Known = lambda node: None) -> Reader:
        """Reads expressions over the groups; what ``known`` knows comes first."""
        rows = self._aggs.get(("size", None, None))
        positive = frozenset((column(rows),)) if rows is not None and self._grouped else frozenset[Expr]()

        def find(node: exp.Expr) -> Expr | Test | None:
            found = known(node)
            return self._known(node, made) if found is None else found

        made = Reader(scope, find, positive, self._limit)
        return made

    def _known(self, node: exp.Expr, above: Reader) -> Expr | None:
        if id(node) in self._results:
            return self._results[id(node)]
        columns = [] if node.find(exp.Query) else list(node.find_all(exp.Column))
        if any(self._alias(found) is not None for found in columns):
            named = self._alias(node)
            return None if named is None else above.value(named)
        if columns and node.find(exp.AggFunc, exp.Window) is None:
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


def _said(node: exp.Expr) -> str:
    return node.name if isinstance(node, exp.Column) else node.sql(dialect="duckdb")


def _fewest(below: Rel, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that tell the groups apart, and those that follow from them: text first, which is dear to compare."""
    fields = schema_of(below)
    kinds = {field.name: field.dtype.kind == "string" for field in fields}
    kept = list(dict.fromkeys(names))
    for name in sorted(kept, key=lambda name: (kinds[name], kept.index(name)), reverse=True):
        rest = frozenset(kept) - {name}
        if rest and name in determined(below, rest):
            kept.remove(name)
    return tuple(kept), tuple(name for name in dict.fromkeys(names) if name not in kept)


def distinct(rel: Rel) -> Rel:
    """One row for each combination of values."""
    names = schema_of(rel).names
    nodes = [exp.column(exp.to_identifier(name, quoted=True)) for name in names]
    groups = Grouping(Reader(Scope(rel, [Bound("", "", {name: name for name in names})])), nodes, {})
    reader = groups.reader(groups.scope())
    return make(Project(reader.scope.rel, tuple(Item(n, reader.value(k)) for n, k in zip(names, nodes, strict=True))))
