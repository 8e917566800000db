"""Rule: what one owner can compute alone, it computes alone, in its own DuckDB."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import owners_of
from mpc_compiler.ir import (
    Apply,
    Fit,
    Join,
    Kept,
    Local,
    Metric,
    Plan,
    Project,
    Rel,
    Scan,
    inputs_of,
    make,
    rebuild,
)
from mpc_compiler.rules.keep_with_owner import owned

__all__ = ["place_local", "place_scans"]


def place_local(plan: Plan) -> Plan:
    """Mark the largest subtrees that read one owner's tables only: filters, joins, sorts, group-bys.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, filtered, joined, loans, join, accounts
    >>> as_plan(join(filtered(loans, "age > 3"), accounts, "id", "key")).show(place_local)
    join on id = key
      local to a
        filter (age > 3)
          scan a.loans [id, age, bad] 5 rows of a
      local to b
        scan b.accounts [key, balance] 4 rows of b
    """
    return _place(plan, whole=True)


def place_scans(plan: Plan) -> Plan:
    """Mark table scans and what a merge reads: all else is computed on shares (push-down switched off).

    Rows can only be intersected while their owner holds them, so what stands below such a merge stays with its owner;
    what must be computed by an owner was put on its scan by the rule ``keep_with_owner``.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, filtered, loans
    >>> as_plan(filtered(loans, "age > 3")).show(place_scans)
    filter (age > 3)
      local to a
        scan a.loans [id, age, bad] 5 rows of a
    """
    return _place(plan, whole=False)


def _place(plan: Plan, *, whole: bool) -> Plan:
    done: dict[tuple[Rel, bool], Rel] = {}

    def visit(rel: Rel, whole: bool) -> Rel:
        if (rel, whole) not in done:
            below = whole or (isinstance(rel, Join) and not rel.hidden)
            alone = below or isinstance(rel, Scan) or (isinstance(rel, Project) and owned(rel))
            if alone and len(owners_of(rel)) == 1 and _relational(rel):
                done[rel, whole] = make(Local(owners_of(rel)[0], rel))
            else:
                done[rel, whole] = rebuild(rel, tuple(visit(child, below) for child in inputs_of(rel)))
        return done[rel, whole]

    return Plan(tuple(msgspec.structs.replace(o, rel=visit(o.rel, whole)) for o in plan.outputs))


def _relational(rel: Rel) -> bool:
    """Whether the whole subtree is relational: models are always fitted on shares, and what is kept is shares."""
    return not isinstance(rel, Fit | Apply | Metric | Kept) and all(_relational(child) for child in inputs_of(rel))
