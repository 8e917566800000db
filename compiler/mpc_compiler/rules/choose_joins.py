"""Rule: how the rows of each join are matched."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import Column, Join, Local, Plan, Project, Rel, inputs_of, make, transform_plan

__all__ = ["choose_joins", "is_leaf"]


def choose_joins(plan: Plan) -> Plan:
    """Decide between the intersection of what owners hold in the clear, and a join on shares.

    An intersection needs an inner join on keys that are unique and never missing on both sides, each held by one owner.
    It is two orders of magnitude cheaper, and discloses which rows match. Where nothing is known of either key it is
    tried: owners then find out, and a key that repeats ends the run.

    Examples
    --------
    >>> from mpc_compiler.rules import place_local
    >>> from mpc_compiler.rules.examples import as_plan, joined
    >>> as_plan(joined).show(place_local, choose_joins)
    join on id = key by intersection
      local to a
        scan a.loans [id, age, bad] 5 rows of a
      local to b
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Join) or rel.method:
        return rel
    return make(msgspec.structs.replace(rel, method="intersection" if _intersects(rel) else "obliviously"))


def is_leaf(rel: Rel) -> bool:
    """Whether owners can share ``rel`` as it is: local rows, intersections of them, and choices of their columns."""
    if isinstance(rel, Project):
        return is_leaf(rel.input) and all(isinstance(item.expr, Column) for item in rel.items)
    return isinstance(rel, Local) or (isinstance(rel, Join) and rel.method == "intersection")


def _intersects(rel: Join) -> bool:
    if rel.how != "inner" or rel.hidden or rel.most or not (is_leaf(rel.left) and is_leaf(rel.right)):
        return False
    sides = ((rel.left, rel.left_on), (rel.right, rel.right_on))
    for side, on in sides:
        fields = [field for name in on if (field := schema_of(side).field(name)) is not None]
        if len({field.owners for field in fields}) != 1 or any(field.dtype.nullable for field in fields):
            return False
    if not _rows(rel.left).isdisjoint(_rows(rel.right)):
        return False  # rows of one table cannot be aligned with themselves in two ways
    unique = [is_unique(side, on) for side, on in sides]
    return all(unique) or not any(unique)


def _rows(rel: Rel) -> frozenset[Rel]:
    """The local row sets that a leaf is made of, whatever columns are chosen of them."""
    if isinstance(rel, Local):
        return frozenset((rel.input.input if isinstance(rel.input, Project) else rel.input,))
    return frozenset().union(*(_rows(child) for child in inputs_of(rel)))
