"""Rule: what one owner can add up before it shares its rows, it adds up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mpc_compiler.check import expr_type, owners_of, schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Call,
    Expr,
    Filter,
    Item,
    Literal,
    Plan,
    Project,
    Rel,
    call,
    column,
    columns_of,
    literal,
    make,
    substitute,
    transform_plan,
)
from mpc_compiler.ir.parts import large
from mpc_compiler.rules.join_own_first import own_lookups, same_among
from mpc_compiler.rules.lookups import Lookup, flat, intersects, look_up, spread, unused

__all__ = ["group_below"]

_AGAIN = {"sum": "sum", "count": "sum", "size": "sum", "min": "min", "max": "max"}
"""How totals of parts make up the whole."""


def group_below(plan: Plan) -> Plan:
    """Aggregate the rows of one owner by what other owners' rows are looked up with, before the joins.

    The owner first joins what is its own. It then shares one row for each combination of keys; how many there are
    becomes known, like the size of all that owners compute alone.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, looked_up
    >>> as_plan(make(Aggregate(looked_up, ("balance",), (Agg("n", "size"),)))).show(group_below)
    aggregate n=sum(n~1) by balance
      project balance, n~1
        join on bad~1 = key hidden
          aggregate n~1=size(*) by bad~1 with nulls
            project bad~1=bad
              scan a.loans [id, age, bad] 5 rows of a
          scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Aggregate) or len(owners_of(rel)) < 2:
        return rel
    if any(agg.function not in _AGAIN for agg in rel.aggs):
        return rel
    exprs: dict[str, Expr] = {name: column(name) for name in schema_of(rel.input).names}
    below, predicates = rel.input, []
    while isinstance(below, Project | Filter):
        if isinstance(below, Filter):
            predicates.append(below.predicate)
        else:
            by_name = {item.name: item.expr for item in below.items}
            exprs = {name: substitute(expr, by_name.__getitem__) for name, expr in exprs.items()}
            predicates = [substitute(predicate, by_name.__getitem__) for predicate in predicates]
        below = below.input
    base, lookups = flat(below)
    every = list(spread(lookups))
    names = [schema_of(base).names, *(lookup.names for lookup in every)]
    distinct = sum(map(len, names)) == len(set().union(*names))
    if any(map(large, [*exprs.values(), *predicates])):
        return rel
    if not lookups or len(owners_of(base)) > 1 or not distinct or any(intersects(at.join) for at in every):
        return rel
    return _Below(rel, exprs, predicates, base, lookups).moved() or rel


@dataclass(frozen=True)
class _Part:
    """What the owner adds up of an aggregate, and on which condition of other owners' columns it counts."""

    value: Expr | None
    condition: Expr | None


class _Below:
    """An aggregation of what one owner's rows look up."""

    def __init__(
        self,
        rel: Aggregate,
        exprs: dict[str, Expr],
        predicates: Sequence[Expr],
        base: Rel,
        lookups: Sequence[Lookup],
    ) -> None:
        self._rel, self._exprs, self._tree = rel, exprs, lookups
        own = own_lookups(base, lookups)
        self._others = [lookup for lookup in spread(lookups) if lookup not in own]
        self._base = look_up(base, lookups, own, same_among(schema_of(base).names, lookups))
        self._mine = frozenset(schema_of(self._base).names)
        self._own_predicates = [p for p in predicates if columns_of(p) <= self._mine]
        self._mixed = [p for p in predicates if p not in self._own_predicates]
        taken = {*self._mine, *exprs, *(agg.name for agg in rel.aggs)}.union(*(at.names for at in spread(lookups)))
        self._mark, self._other = itertools.islice(unused(taken), 2)

    def moved(self) -> Rel | None:
        """The aggregation in two steps; None if the first could not make rows fewer, or cannot be."""
        parts = {agg.name: self._part(agg) for agg in self._rel.aggs}
        found = {name: part for name, part in parts.items() if part is not None}
        if not self._others or len(found) < len(parts):
            return None
        keys = self._keys([part.condition for part in found.values() if part.condition is not None])
        if keys is None or is_unique(self._base, tuple(keys)):
            return None
        rows = look_up(self._first(keys, found), self._tree, self._others, self._renamed)
        for predicate in self._mixed:
            rows = make(Filter(rows, self._moved(predicate)))
        wanted = [Item(name, self._moved(self._exprs[name])) for name in self._rel.keys]
        for name, part in found.items():
            total: Expr = column(name + self._mark)
            if part.condition is not None:
                total = call("where", self._moved(part.condition), total, literal(0))
            wanted.append(Item(name + self._mark, total))
        again = tuple(Agg(agg.name, _AGAIN[agg.function], agg.name + self._mark) for agg in self._rel.aggs)
        return make(msgspec.structs.replace(self._rel, input=make(Project(rows, tuple(wanted))), aggs=again))

    def _first(self, keys: Sequence[str], parts: Mapping[str, _Part]) -> Rel:
        """What the owner adds up."""
        rows = self._base
        for predicate in self._own_predicates:
            rows = make(Filter(rows, predicate))
        items = [Item(name + self._mark, column(name)) for name in keys]
        values = {name: part.value for name, part in parts.items() if part.value is not None}
        items += [Item(name + self._other, expr) for name, expr in values.items()]
        aggs = [
            Agg(agg.name + self._mark, agg.function, agg.name + self._other if agg.name in values else None)
            for agg in self._rel.aggs
        ]
        rows = make(Project(rows, tuple(items)))
        return make(Aggregate(rows, tuple(name + self._mark for name in keys), tuple(aggs), nulls=True))

    def _part(self, agg: Agg) -> _Part | None:
        if agg.column is None:
            return _Part(None, None)
        expr, condition = self._exprs[agg.column], None
        if (
            agg.function == "sum"
            and not columns_of(expr) <= self._mine
            and isinstance(expr, Call)
            and expr.op == "where"
        ):
            test, value, otherwise = expr.args
            if isinstance(otherwise, Literal) and otherwise.value in (0, None):
                expr, condition = value, test
        if not columns_of(expr) <= self._mine:
            return None
        # Sums of sums of fixed-point numbers have no bound but that of rows times rows.
        floats = agg.function == "sum" and expr_type(expr, schema_of(self._base)).kind == "float"
        return None if floats else _Part(expr, condition)

    def _keys(self, conditions: Sequence[Expr]) -> list[str] | None:
        """The owner's columns that the rest of the query reads; None where rows cannot be grouped by them."""
        read = [self._exprs[name] for name in self._rel.keys] + self._mixed + list(conditions)
        same = same_among(self._mine, self._tree)
        names = set().union(*map(columns_of, read), *(map(same, lookup.on) for lookup in self._others)) & self._mine
        fields = {field.name: field.dtype.kind for field in schema_of(self._base)}
        return None if any(fields[name] == "float" for name in names) else sorted(names)

    def _renamed(self, name: str) -> str:
        name = same_among(self._mine, self._tree)(name)
        return name + self._mark if name in self._mine else name

    def _moved(self, expr: Expr) -> Expr:
        return substitute(expr, lambda name: column(self._renamed(name)))
