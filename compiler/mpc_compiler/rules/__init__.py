"""Rewriting: a visible tuple of rules, each a pure function from plan to plan, verified one by one."""

from __future__ import annotations

from collections.abc import Callable

from mpc_compiler.ir import Plan
from mpc_compiler.rules.bound_quotients import bound_quotients
from mpc_compiler.rules.carry_late import carry_late
from mpc_compiler.rules.choose_joins import choose_joins
from mpc_compiler.rules.compare_exactly import compare_exactly
from mpc_compiler.rules.group_before_outer import group_before_outer
from mpc_compiler.rules.group_below import group_below
from mpc_compiler.rules.hide_joins import hide_joins
from mpc_compiler.rules.join_own_first import join_own_first
from mpc_compiler.rules.keep_with_owner import keep_with_owner
from mpc_compiler.rules.merge_projections import merge_projections
from mpc_compiler.rules.place_local import place_local, place_scans
from mpc_compiler.rules.prune_columns import prune_columns
from mpc_compiler.rules.push_filters import push_filters
from mpc_compiler.rules.push_projections import push_projections
from mpc_compiler.rules.raise_above_joins import raise_above_joins
from mpc_compiler.rules.reduce_keys import reduce_keys
from mpc_compiler.rules.sink_rows import sink_rows
from mpc_compiler.rules.verify import verify

__all__ = ["RULES", "SECRET_RULES", "hide_joins", "rewrite"]

Rule = Callable[[Plan], Plan]

RULES: tuple[Rule, ...] = (
    bound_quotients,
    merge_projections,
    compare_exactly,
    sink_rows,
    merge_projections,
    push_filters,
    raise_above_joins,
    merge_projections,
    push_filters,
    raise_above_joins,
    push_projections,
    keep_with_owner,
    merge_projections,
    reduce_keys,
    group_before_outer,
    carry_late,
    group_below,
    join_own_first,
    merge_projections,
    prune_columns,
    place_local,
    choose_joins,
)
"""The pipeline."""

SECRET_RULES: tuple[Rule, ...] = (
    bound_quotients,
    merge_projections,
    compare_exactly,
    raise_above_joins,
    keep_with_owner,
    merge_projections,
    reduce_keys,
    group_before_outer,
    carry_late,
    merge_projections,
    prune_columns,
    place_scans,
    choose_joins,
)
"""The pipeline with push-down switched off: owners only share, everything else runs on shares."""


def rewrite(plan: Plan, *, pushdown: bool = True, hide: bool = False) -> list[tuple[str, Plan]]:
    """Apply all rules; returns the plan after each, by the rule's name.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, loans
    >>> [name for name, _ in rewrite(as_plan(loans).plan)][-1]
    'choose_joins'
    """
    trace: list[tuple[str, Plan]] = []
    rules = RULES if pushdown else SECRET_RULES
    for rule in (hide_joins, *rules) if hide else rules:
        after = rule(plan)
        verify(plan, after, rule.__name__)
        trace.append((rule.__name__, after))
        plan = after
    return trace
