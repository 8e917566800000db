"""Rule: no join discloses which rows match."""

from __future__ import annotations

import msgspec

from mpc_compiler.ir import Join, Plan, Rel, make, transform_plan

__all__ = ["hide_joins"]


def hide_joins(plan: Plan) -> Plan:
    """Mark every join as hidden: rows of several owners are matched on shares, never by intersection.

    Examples
    --------
    >>> from mpc_compiler.rules import choose_joins, place_local
    >>> from mpc_compiler.rules.examples import as_plan, keyed
    >>> as_plan(keyed).show(hide_joins, place_local, choose_joins)
    join on id = key obliviously
      local to a
        scan a.loans [id, age, bad] 5 rows of a
      local to b
        scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    return make(msgspec.structs.replace(rel, hidden=True)) if isinstance(rel, Join) else rel
