"""Rule: keys that follow from other keys are neither compared nor sorted by."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import determined
from mpc_compiler.ir import Agg, Aggregate, Item, Plan, Project, Rel, Sort, SortBy, Window, column, make, transform_plan

__all__ = ["reduce_keys"]

_SMALL = 128
"""So many possible groups are cheaper to count one by one than to sort; carried columns would need a sort."""


def reduce_keys(plan: Plan) -> Plan:
    """Make group keys that follow from others columns that the groups carry; drop such keys of sorts and windows.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, keyed
    >>> as_plan(make(Aggregate(keyed, ("id", "age"), (Agg("n", "size"),)))).show(reduce_keys)
    project id, age, n
      aggregate age=any(age), n=size(*) by id
        join on id = key
          scan a.loans [id, age, bad] 5 rows of a
          scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if isinstance(rel, Aggregate) and len(rel.keys) > 1:
        return _groups(rel)
    if isinstance(rel, Sort):
        by = _needed(rel.input, rel.by, ())
        return make(Sort(rel.input, by or rel.by[:1])) if by != rel.by else rel
    if isinstance(rel, Window) and (rel.order or len(rel.partition) > 1):
        partition = tuple(by.column for by in _needed(rel.input, tuple(map(SortBy, rel.partition)), ()))
        order = _needed(rel.input, rel.order, partition)
        return make(msgspec.structs.replace(rel, partition=partition or rel.partition[:1], order=order))
    return rel


def _needed(below: Rel, keys: tuple[SortBy, ...], before: tuple[str, ...]) -> tuple[SortBy, ...]:
    """Keys that do not follow from those before them; a key that may be missing determines nothing."""
    certain = {field.name for field in schema_of(below) if not field.dtype.nullable}
    known, kept = {name for name in before if name in certain}, []
    for key in keys:
        if known and key.column in determined(below, frozenset(known)):
            continue
        kept.append(key)
        known |= {key.column} & certain
    return tuple(kept)


def _groups(rel: Aggregate) -> Rel:
    fields = {field.name: field.dtype for field in schema_of(rel.input)}
    keys = tuple(by.column for by in _needed(rel.input, tuple(map(SortBy, rel.keys)), ()))
    # A group whose key is missing is dropped, one that carries a missing value is not.
    keys = tuple(n for n in rel.keys if n in keys or (fields[n].nullable and not rel.nulls))
    if keys == rel.keys or _domain(rel) <= _SMALL:
        return rel
    follow = tuple(Agg(name, "any", name) for name in rel.keys if name not in keys)
    made = make(msgspec.structs.replace(rel, keys=keys, aggs=follow + rel.aggs))
    return make(Project(made, tuple(Item(name, column(name)) for name in schema_of(rel).names)))


def _domain(rel: Aggregate) -> float:
    """Number of possible groups."""
    size = 1.0
    for field in schema_of(rel.input):
        if field.name in rel.keys:
            dtype = field.dtype
            known = dtype.kind == "bool" or dtype.domain is not None or dtype.lo is not None
            size *= float(dtype.bounds[1] - dtype.bounds[0]) + 1 if known else float("inf")
    return size
