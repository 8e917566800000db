"""Rule: filters move towards the owners."""

from __future__ import annotations

from collections import Counter

from mpc_compiler.check import schema_of
from mpc_compiler.ir import (
    Aggregate,
    Call,
    Expr,
    Filter,
    Join,
    Plan,
    Project,
    Rel,
    Sort,
    Union,
    Window,
    call,
    columns_of,
    inputs_of,
    make,
    rebuild,
    substitute,
    transform_plan,
    walk,
)
from mpc_compiler.ir.parts import large

__all__ = ["push_filters"]


def push_filters(plan: Plan) -> Plan:
    """Move each conjunct below projections, sorts, group keys and to the side of a join that it reads.

    Under a join the owner then drops its rows before anything is shared, and the intersection discloses
    less. A join that other parts of the plan read as well keeps its rows: one intersection serves all.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, filtered, joined
    >>> as_plan(filtered(joined, "age > 3 & balance > age")).show(push_filters)
    filter (balance > age)
      join on id = key
        filter (age > 3)
          scan a.loans [id, age, bad] 5 rows of a
        scan b.accounts [key, balance] 4 rows of b
    """
    roots = [output.rel for output in plan.outputs]
    readers = Counter(roots)
    readers.update(child for node in walk(*roots) for child in set(inputs_of(node)))
    shared = frozenset(node for node, count in readers.items() if count > 1)
    return transform_plan(plan, lambda rel: _push(rel, shared))


def conjuncts(predicate: Expr) -> list[Expr]:
    """The parts of a conjunction."""
    if isinstance(predicate, Call) and predicate.op == "and":
        return [part for arg in predicate.args for part in conjuncts(arg)]
    return [predicate]


def _conjunction(parts: list[Expr]) -> Expr:
    result = parts[0]
    for part in parts[1:]:
        result = call("and", result, part)
    return result


def _with(rel: Rel, parts: list[Expr], shared: frozenset[Rel]) -> Rel:
    return _push(make(Filter(rel, _conjunction(parts))), shared) if parts else rel


def _push(rel: Rel, shared: frozenset[Rel]) -> Rel:
    if not isinstance(rel, Filter):
        return rel
    below, parts = rel.input, conjuncts(rel.predicate)
    if isinstance(below, Filter):
        return _with(below.input, conjuncts(below.predicate) + parts, shared)
    if isinstance(below, Project):
        by_name = {item.name: item.expr for item in below.items}
        moved = {part: substitute(part, by_name.__getitem__) for part in parts}
        rest = [part for part in parts if large(moved[part])]
        inner = rebuild(below, (_with(below.input, [moved[part] for part in parts if part not in rest], shared),))
        return make(Filter(inner, _conjunction(rest))) if rest else inner
    if isinstance(below, Sort):
        return rebuild(below, (_with(below.input, parts, shared),))
    if isinstance(below, Aggregate) and below.keys:
        on_keys = [part for part in parts if columns_of(part) <= set(below.keys)]
        rest = [part for part in parts if part not in on_keys]
        inner = rebuild(below, (_with(below.input, on_keys, shared),)) if on_keys else below
        return make(Filter(inner, _conjunction(rest))) if rest else inner
    if isinstance(below, Window):
        return _split(below, parts, set(below.partition), shared)
    if isinstance(below, Union) and below not in shared:
        return rebuild(below, (_with(below.left, parts, shared), _with(below.right, parts, shared)))
    if isinstance(below, Join) and below not in shared:
        return _push_join(below, parts, shared)
    return rel


def _split(below: Window, parts: list[Expr], names: set[str], shared: frozenset[Rel]) -> Rel:
    """Conjuncts over whole partitions go below; the others stay."""
    moved = [part for part in parts if columns_of(part) and columns_of(part) <= names]
    rest = [part for part in parts if part not in moved]
    inner = rebuild(below, (_with(below.input, moved, shared),)) if moved else below
    return make(Filter(inner, _conjunction(rest))) if rest else inner


_KEPT_LEFT = ("inner", "left", "semi", "anti", "cross")
_KEPT_RIGHT = ("inner", "right")
"""Joins whose rows each come from one row of that side: what it decides may be decided before."""


def _push_join(join: Join, parts: list[Expr], shared: frozenset[Rel]) -> Rel:
    left_names, right_names = set(schema_of(join.left).names), set(schema_of(join.right).names)
    left = [part for part in parts if columns_of(part) <= left_names] if join.how in _KEPT_LEFT else []
    right = [part for part in parts if columns_of(part) <= right_names and part not in left]
    right = right if join.how in _KEPT_RIGHT else []
    rest = [part for part in parts if part not in left and part not in right]
    inner = rebuild(join, (_with(join.left, left, shared), _with(join.right, right, shared)))
    return make(Filter(inner, _conjunction(rest))) if rest else inner
