"""Rule: what is looked up for each row, only to be the same in all rows of a group, is looked up for each group."""

from __future__ import annotations

import itertools

import msgspec

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.check.keys import determined
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Column,
    Expr,
    Item,
    Plan,
    Project,
    Rel,
    column,
    columns_of,
    make,
    substitute,
    transform_plan,
)
from mpc_compiler.rules.lookups import Lookup, flat, intersects, look_up, spread, unused

__all__ = ["carry_late"]


def carry_late(plan: Plan) -> Plan:
    """Move joins that only bring columns which a group carries, or only drop whole groups, above the aggregation.

    Done where the joins then have fewer rows, or fewer columns go through the aggregation.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, looked_up
    >>> aggs = (Agg("balance", "any", "balance"), Agg("oldest", "max", "age"))
    >>> as_plan(make(Aggregate(looked_up, ("bad",), aggs))).show(carry_late)
    project bad=bad~1, balance, oldest=oldest~1
      join on bad~1 = key hidden
        aggregate oldest~1=max(age~1) by bad~1
          project bad~1=bad, age~1=age
            scan a.loans [id, age, bad] 5 rows of a
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Aggregate) or not rel.keys or any(a.function in ("first", "last") for a in rel.aggs):
        return rel
    below = rel.input
    exprs: dict[str, Expr] = {name: column(name) for name in schema_of(below).names}
    if isinstance(below, Project):
        exprs, below = {item.name: item.expr for item in below.items}, below.input
    base, lookups = flat(below)
    if not lookups:
        return rel
    return _Late(rel, exprs, base, lookups).moved() or rel


class _Late:
    """The lookups of an aggregation, and which of them can wait."""

    def __init__(self, rel: Aggregate, exprs: dict[str, Expr], base: Rel, lookups: tuple[Lookup, ...]) -> None:
        self._rel, self._base, self._tree = rel, base, lookups
        self._lookups = list(spread(lookups))
        equal: dict[str, str] = {}
        for lookup in self._lookups:  # of equal keys, that of the rows stands for the one that is looked up
            if lookup.join.how == "inner":
                equal |= {theirs: equal.get(mine, mine) for mine, theirs in zip(lookup.on, lookup.to, strict=True)}
        self._equal = equal
        self._exprs = {n: substitute(e, lambda name: column(equal.get(name, name))) for n, e in exprs.items()}
        names = [frozenset(schema_of(base).names), *(lookup.names for lookup in self._lookups)]
        taken = frozenset().union(*names)
        self._distinct = sum(map(len, names)) == len(taken)
        self._mark, self._other = itertools.islice(unused({*taken, *exprs, *(a.name for a in rel.aggs)}), 2)

    def moved(self) -> Rel | None:
        """The aggregation with lookups above it; None if none can be there, or nothing is gained."""
        if not self._distinct:
            return None
        late = self._late()
        if not late:
            return None
        early = look_up(self._base, self._tree, [at for at in self._lookups if at not in late], self._same)
        below, on = self._below(early, late)
        keys = tuple(name + self._mark for name in self._rel.keys)
        if not self._settled(below, keys, on):
            return None
        made = make(msgspec.structs.replace(
            self._rel, input=below, keys=keys,
            aggs=(*(Agg(name, "any", name) for name in on.values() if name not in keys), *self._kept()),
        ))  # fmt: skip
        if not self._pays(early, made, on, keys):
            return None
        result = look_up(made, self._tree, late, lambda name: on.get(self._same(name), self._same(name)))
        return make(Project(result, tuple(self._item(name) for name in schema_of(self._rel).names)))

    def _same(self, name: str) -> str:
        """The column of the rows that has the same values, if there is one."""
        return self._equal.get(name, name)

    def _carried(self) -> dict[str, str]:
        """Columns that are looked up and carried: by the name of the aggregate."""
        brought = frozenset().union(*(lookup.names for lookup in self._lookups))
        found = {}
        for agg in self._rel.aggs:
            expr = self._exprs[agg.column] if agg.column is not None else None
            if agg.function == "any" and isinstance(expr, Column) and expr.name in brought:
                found[agg.name] = expr.name
        return found

    def _late(self) -> list[Lookup]:
        """Lookups that nothing reads which is computed for each row."""
        carried = self._carried()
        read = [self._exprs[name] for name in self._rel.keys]
        read += [self._exprs[a.column] for a in self._rel.aggs if a.column is not None and a.name not in carried]
        needed = set().union(*map(columns_of, read)) if read else set()
        late: list[Lookup] = []
        for lookup in reversed(self._lookups):
            if needed.isdisjoint(lookup.names):
                late.insert(0, lookup)
            else:
                needed |= set(map(self._same, lookup.on))
        return late

    def _below(self, early: Rel, late: list[Lookup]) -> tuple[Rel, dict[str, str]]:
        """What is aggregated, under names of its own; and the names of the keys that late lookups need of it."""
        carried = self._carried()
        keys = {name + self._mark: self._exprs[name] for name in self._rel.keys}
        read = [agg.column for agg in self._rel.aggs if agg.column is not None and agg.name not in carried]
        items = keys | {name + self._mark: self._exprs[name] for name in read}
        mine = set(schema_of(early).names)
        on = {}
        for name in dict.fromkeys(n for at in late for n in map(self._same, at.on) if n in mine):
            found = next((made for made, expr in keys.items() if expr == column(name)), name + self._other)
            items[found] = column(name)
            on[name] = found
        return make(Project(early, tuple(Item(name, expr) for name, expr in items.items()))), on

    def _kept(self) -> list[Agg]:
        carried = self._carried()
        return [
            msgspec.structs.replace(
                agg, name=agg.name + self._mark, column=None if agg.column is None else agg.column + self._mark
            )
            for agg in self._rel.aggs
            if agg.name not in carried
        ]

    def _settled(self, below: Rel, keys: tuple[str, ...], on: dict[str, str]) -> bool:
        """Whether the keys of late lookups are the same in all rows of a group, and none of them gets lost."""
        fields = {field.name: field.dtype for field in schema_of(below)}
        certain = frozenset(name for name in keys if not fields[name].nullable)
        known = determined(below, certain) if certain else frozenset[str]()
        return all(name in keys or name in known for name in on.values())

    def _pays(self, early: Rel, made: Rel, on: dict[str, str], keys: tuple[str, ...]) -> bool:
        if any(intersects(lookup.join) for lookup in self._lookups):
            return False
        extra = len([name for name in on.values() if name not in keys])
        return 2 * rows_of(made) <= rows_of(early) or len(self._carried()) > extra

    def _item(self, name: str) -> Item:
        found = self._carried().get(name)
        return Item(name, column(name + self._mark if found is None else found))
