"""Rule: a single row of one owner is attached where that owner holds the rows that it is attached to."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.ir import Filter, Item, Join, Plan, Project, Rel, column, make, rebuild, transform_plan
from mpc_compiler.rules.push_projections import KEPT

__all__ = ["sink_rows"]


def sink_rows(plan: Plan) -> Plan:
    """Move a cross join with one owner's row below filters, projections and joins, to the side of that owner.

    What is computed of the row and the owner's own columns can then be computed by the owner: bins by its quantiles,
    differences from its means.

    Examples
    --------
    >>> from mpc_compiler.ir import Agg, Aggregate
    >>> from mpc_compiler.rules.examples import as_plan, joined, loans
    >>> oldest = make(Aggregate(loans, (), (Agg("oldest", "max", "age"),)))
    >>> as_plan(make(Join(joined, oldest, (), (), "cross"))).show(sink_rows)
    project id, age, bad, key, balance, oldest
      join on id = key
        cross join
          scan a.loans [id, age, bad] 5 rows of a
          aggregate oldest=max(age)
            scan a.loans [id, age, bad] 5 rows of a
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Join) or rel.how != "cross" or len(owners_of(rel.right)) != 1:
        return rel
    if len(owners_of(rel.left)) < 2:
        return rel
    made = _sunk(rel.left, rel)
    if made is None:
        return rel
    return make(Project(made, tuple(Item(name, column(name)) for name in schema_of(rel).names)))


def _sunk(rel: Rel, cross: Join) -> Rel | None:
    """``rel`` with the row's columns, attached further down; None if it has to be attached here."""
    if owners_of(rel) == owners_of(cross.right):
        return make(msgspec.structs.replace(cross, left=rel))
    if isinstance(rel, Filter):
        made = _sunk(rel.input, cross)
        return None if made is None else rebuild(rel, (made,))
    if isinstance(rel, Project):
        taken = not set(schema_of(cross.right).names).isdisjoint(schema_of(rel.input).names)
        made = None if taken else _sunk(rel.input, cross)
        if made is None:
            return None
        kept = tuple(Item(name, column(name)) for name in schema_of(cross.right).names)
        return make(Project(made, rel.items + kept))
    if isinstance(rel, Join):
        for side in KEPT[rel.how]:
            below = getattr(rel, side)
            if set(owners_of(cross.right)) <= set(owners_of(below)):
                made = _sunk(below, cross)
                if made is not None:
                    return rebuild(rel, (made, rel.right) if side == "left" else (rel.left, made))
    return None
