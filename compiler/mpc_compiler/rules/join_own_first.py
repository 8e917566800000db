"""Rule: an owner joins its own tables with each other, before shares of them meet those of others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.ir import Item, Join, Plan, Project, Rel, column, make, transform_plan
from mpc_compiler.rules.lookups import Lookup, equal_columns, flat, intersects, look_up, spread

__all__ = ["join_own_first", "own_lookups", "same_among"]


def join_own_first(plan: Plan) -> Plan:
    """Of the rows that one owner's rows look up, take those of the same owner first.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, join, looked_up, own_days
    >>> as_plan(join(looked_up, own_days, "age", "day")).show(join_own_first)
    project id, age, bad, key, balance, day, month
      join on bad = key hidden
        join on age = day hidden
          scan a.loans [id, age, bad] 5 rows of a
          scan a.days [day, month] 9 rows of a
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Join) or len(owners_of(rel)) < 2:
        return rel
    base, tree = flat(rel, turn=False)
    every = list(spread(tree))
    if len(owners_of(base)) != 1 or any(intersects(at.join) for at in every):
        return rel
    names = [schema_of(base).names, *(at.names for at in every)]
    own = own_lookups(base, tree)
    if not own or len(own) == len(every) or sum(map(len, names)) != len(set().union(*names)):
        return rel
    same = same_among(schema_of(base).names, tree)
    first = look_up(base, tree, own, same)
    if own == every[: len(own)] and all(not at.inner for at in own):
        return rel  # they are first already
    rows = look_up(first, tree, [at for at in every if at not in own], same_among(schema_of(first).names, tree))
    return make(Project(rows, tuple(Item(name, column(name)) for name in schema_of(rel).names)))


def own_lookups(base: Rel, tree: Sequence[Lookup]) -> list[Lookup]:
    """What the owner of the rows can look up alone."""
    owner, mine, own = owners_of(base), set(schema_of(base).names), []
    for lookup in spread(tree):
        same = same_among(mine, tree)
        if owners_of(lookup.rel) == owner and {same(name) for name in lookup.on} <= mine:
            own.append(lookup)
            mine |= lookup.names
    return own


def same_among(names: Collection[str], tree: Sequence[Lookup]) -> Callable[[str], str]:
    """A function that gives the column with the same values that is among the names."""
    equal = equal_columns(tree)
    return lambda name: next((n for n in (name, *equal.get(name, ())) if n in names), name)
