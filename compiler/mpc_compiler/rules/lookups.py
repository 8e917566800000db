"""Joins as what they are on shares: rows, and what is looked up for them one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import Column, Join, Project, Rel, make

__all__ = ["Lookup", "flat", "intersects", "joined", "unused"]


@dataclass(frozen=True)
class Lookup:
    """Rows that are looked up by a key that is unique there, and the join that says so.

    ``on`` are the columns of what looks up.
    """

    rel: Rel
    on: tuple[str, ...]
    join: Join

    @property
    def names(self) -> frozenset[str]:
        """The columns that it brings."""
        return frozenset() if self.join.how in ("semi", "anti") else frozenset(schema_of(self.rel).names)

    @property
    def to(self) -> tuple[str, ...]:
        """The key that is unique."""
        return self.join.right_on


def flat(rel: Rel) -> tuple[Rel, list[Lookup]]:
    """A tree of joins as rows, and what is looked up for them one after the other."""
    if isinstance(rel, Project) and all(isinstance(i.expr, Column) and i.expr.name == i.name for i in rel.items):
        base, lookups = flat(rel.input)
        return (base, lookups) if lookups else (rel, [])
    if not isinstance(rel, Join) or rel.how not in ("inner", "left", "semi", "anti"):
        return rel, []
    if rel.how in ("semi", "anti") or is_unique(rel.right, rel.right_on):
        base, lookups = flat(rel.left)
        return base, [*lookups, *_looked_up(rel.right, rel)]
    if rel.how == "inner" and is_unique(rel.left, rel.left_on):
        turned = msgspec.structs.replace(
            rel, left=rel.right, right=rel.left, left_on=rel.right_on, right_on=rel.left_on
        )
        base, lookups = flat(rel.right)
        return base, [*lookups, *_looked_up(rel.left, turned)]
    return rel, []


def _looked_up(rel: Rel, join: Join) -> list[Lookup]:
    """A side that is itself made of lookups: these follow it."""
    if join.how == "inner":
        base, more = flat(rel)
        inner = all(lookup.join.how == "inner" for lookup in more)
        if more and inner and set(join.right_on) <= set(schema_of(base).names) and is_unique(base, join.right_on):
            return [Lookup(base, join.left_on, join), *more]
    return [Lookup(rel, join.left_on, join)]


def unused(names: set[str]) -> Iterator[str]:
    """Ends of names that no name has."""
    return (f"~{k}" for k in itertools.count(1) if not any(name.endswith(f"~{k}") for name in names))


def intersects(join: Join) -> bool:
    """Whether a join may be an intersection, which is cheap and wants rows that owners hold."""
    unique = [is_unique(side, on) for side, on in ((join.left, join.left_on), (join.right, join.right_on))]
    return join.how == "inner" and not join.hidden and (all(unique) or not any(unique))


def joined(rel: Rel, lookup: Lookup, on: tuple[str, ...]) -> Rel:
    """The rows with what they look up. A join that was no intersection does not become one: that would tell more."""
    hidden = lookup.join.hidden or not intersects(lookup.join)
    return make(
        msgspec.structs.replace(lookup.join, left=rel, right=lookup.rel, left_on=on, right_on=lookup.to, hidden=hidden)
    )
