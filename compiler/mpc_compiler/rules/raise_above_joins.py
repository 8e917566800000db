"""Rule: what needs several owners moves above inner joins, so that these stand on what owners hold in the clear."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.ir import (
    Column,
    Filter,
    Item,
    Join,
    Plan,
    Project,
    Rel,
    column,
    make,
    rebuild,
    substitute,
    transform_plan,
)

__all__ = ["raise_above_joins"]


def raise_above_joins(plan: Plan) -> Plan:
    """Move projections and filters over several owners from below a join to above it.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, bureau, filtered, join, joined
    >>> as_plan(join(filtered(joined, "balance > age"), bureau, "id", "person")).show(raise_above_joins)
    filter (balance > age)
      join on id = person
        join on id = key
          scan a.loans [id, age, bad] 5 rows of a
          scan b.accounts [key, balance] 4 rows of b
        scan c.bureau [person, score] 6 rows of c
    """
    return transform_plan(plan, _step)


def _mixed(rel: Rel) -> bool:
    return len(owners_of(rel)) > 1


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Join) or rel.how != "inner" or rel.hidden:
        return rel
    for side in ("left", "right"):
        below = getattr(rel, side)
        if isinstance(below, Filter) and _mixed(below):
            return make(Filter(_step(_replace(rel, side, below.input)), below.predicate))
        # Nothing is gained above what no owner holds: groups, sorted rows.
        if isinstance(below, Project) and _mixed(below) and isinstance(below.input, Join | Filter | Project):
            return _raise_projection(rel, side, below)
    return rel


def _replace(join: Join, side: str, rel: Rel) -> Join:
    inputs = (rel, join.right) if side == "left" else (join.left, rel)
    made = rebuild(join, inputs)
    assert isinstance(made, Join)
    return made


def _raise_projection(join: Join, side: str, below: Project) -> Rel:
    other = join.right if side == "left" else join.left
    by_name = {item.name: item.expr for item in below.items}
    taken = set(schema_of(other).names) | set(by_name)
    fresh = {name: _fresh(name, taken) for name in schema_of(below.input).names if name in schema_of(other).names}
    inner = rename(below.input, fresh)
    if isinstance(inner, Project) and _mixed(inner):
        return join  # new names need a projection of several owners' rows again, as over a union
    keys = join.left_on if side == "left" else join.right_on
    exprs = {name: substitute(expr, lambda n: column(fresh.get(n, n))) for name, expr in by_name.items()}
    plain = []
    for key in keys:
        expr = exprs[key]
        if not isinstance(expr, Column):
            return join
        plain.append(expr.name)
    pair = (inner, other) if side == "left" else (other, inner)
    on = (tuple(plain), join.right_on) if side == "left" else (join.left_on, tuple(plain))
    moved = make(msgspec.structs.replace(join, left=pair[0], right=pair[1], left_on=on[0], right_on=on[1]))
    kept = [Item(name, exprs[name]) if name in exprs else Item(name, column(name)) for name in schema_of(join).names]
    return make(Project(_step(moved), tuple(kept)))


def _fresh(name: str, taken: set[str]) -> str:
    count = 1
    while f"{name}~{count}" in taken:
        count += 1
    taken.add(f"{name}~{count}")
    return f"{name}~{count}"


def rename(rel: Rel, names: dict[str, str]) -> Rel:
    """``rel`` with columns renamed where one owner holds them, below the joins."""
    mine = {old: new for old, new in names.items() if old in schema_of(rel).names}
    if not mine:
        return rel
    if isinstance(rel, Join) and _mixed(rel):
        left_on = tuple(mine.get(name, name) for name in rel.left_on)
        right_on = tuple(mine.get(name, name) for name in rel.right_on)
        sides = {"left": rename(rel.left, mine), "right": rename(rel.right, mine)}
        return make(msgspec.structs.replace(rel, **sides, left_on=left_on, right_on=right_on))
    if isinstance(rel, Filter) and _mixed(rel):
        predicate = substitute(rel.predicate, lambda n: column(mine.get(n, n)))
        return make(Filter(rename(rel.input, mine), predicate))
    return make(Project(rel, tuple(Item(mine.get(n, n), column(n)) for n in schema_of(rel).names)))
