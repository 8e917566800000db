"""Joins as what they are on shares: rows, and what is looked up for them one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import Column, Join, Project, Rel, make

__all__ = ["Lookup", "equal_columns", "flat", "intersects", "look_up", "spread", "unused"]


@dataclass(frozen=True)
class Lookup:
    """Rows that are looked up by a key that is unique there.

    Parameters
    ----------
    rel : Rel
        The rows.
    join : Join
        Says how; its right side is `rel` with `inner`.
    inner : tuple of Lookup
        What `rel` looks up itself.
    """

    rel: Rel
    join: Join
    inner: tuple[Lookup, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The columns that it can bring, without those of `inner`."""
        plain = self.join.how in ("semi", "anti") and not self.inner
        return frozenset() if plain else frozenset(schema_of(self.rel).names)

    @property
    def on(self) -> tuple[str, ...]:
        """The columns of what looks up."""
        return self.join.left_on

    @property
    def to(self) -> tuple[str, ...]:
        """The key that is unique."""
        return self.join.right_on


def flat(rel: Rel, *, turn: bool = True) -> tuple[Rel, tuple[Lookup, ...]]:
    """A tree of joins as rows, and what is looked up for them one after the other.

    ``turn``: the right side of a join may be the rows that look up the left one, in another order then.
    """
    if isinstance(rel, Project) and all(isinstance(i.expr, Column) and i.expr.name == i.name for i in rel.items):
        base, lookups = flat(rel.input, turn=turn)
        return (base, lookups) if lookups else (rel, ())
    if not isinstance(rel, Join) or rel.how not in ("inner", "left", "semi", "anti"):
        return rel, ()
    if rel.how in ("semi", "anti") or is_unique(rel.right, rel.right_on):
        base, lookups = flat(rel.left, turn=turn)
        return base, (*lookups, _lookup(rel))
    if turn and rel.how == "inner" and is_unique(rel.left, rel.left_on):
        base, lookups = flat(rel.right)
        turned = msgspec.structs.replace(
            rel, left=rel.right, right=rel.left, left_on=rel.right_on, right_on=rel.left_on
        )
        return base, (*lookups, _lookup(turned))
    return rel, ()


def _lookup(join: Join) -> Lookup:
    """A side as rows that look up others themselves, where rows of the left may do so in their place.

    A side of another owner stays whole: that owner can make it alone.
    """
    side = owners_of(join.right)
    if join.how in ("inner", "semi") and (len(side) > 1 or side == owners_of(join.left)):
        base, inner = flat(join.right)
        if inner and set(join.right_on) <= set(schema_of(base).names) and is_unique(base, join.right_on):
            return Lookup(base, join, inner)
    return Lookup(join.right, join)


def spread(lookups: Sequence[Lookup]) -> Iterator[Lookup]:
    """All lookups, those that others make after these."""
    for lookup in lookups:
        yield lookup
        yield from spread(lookup.inner)


def look_up(rel: Rel, lookups: Sequence[Lookup], kept: Sequence[Lookup], named: Callable[[str], str]) -> Rel:
    """Rows with those of the lookups that are kept, nested as they were where they are kept together.

    A join that was no intersection does not become one: that would tell more.

    Parameters
    ----------
    rel : Rel
    lookups, kept : sequence of Lookup
        Some of the former or of what they look up; the keys of the others are not columns of `rel`.
    named : callable
        What `rel` calls a column.
    """
    for lookup in lookups:
        if lookup not in kept:
            rel = look_up(rel, lookup.inner, kept, named)
            continue
        together = [at for at in spread(lookup.inner) if at in kept]
        whole = len(together) == len(list(spread(lookup.inner)))
        side = lookup.join.right if whole else look_up(lookup.rel, lookup.inner, kept, lambda name: name)
        # Columns of a semi join are wanted by what it does not look up itself.
        how = lookup.join.how if whole or lookup.join.how != "semi" else "inner"
        hidden = lookup.join.hidden or not intersects(lookup.join)
        on = tuple(map(named, lookup.on))
        rel = make(msgspec.structs.replace(lookup.join, left=rel, right=side, left_on=on, how=how, hidden=hidden))
    return rel


def equal_columns(lookups: Sequence[Lookup]) -> dict[str, list[str]]:
    """Columns that are equal because one looks up the other, by the name of the one that is looked up."""
    found: dict[str, list[str]] = {}
    for lookup in spread(lookups):
        if lookup.join.how == "inner":
            for a, b in zip(lookup.on, lookup.to, strict=True):
                found.setdefault(b, []).append(a)
    return found


def unused(names: set[str]) -> Iterator[str]:
    """Ends of names that no name has."""
    return (f"~{k}" for k in itertools.count(1) if not any(name.endswith(f"~{k}") for name in names))


def intersects(join: Join) -> bool:
    """Whether a join may be an intersection, which is cheap and wants rows that owners hold."""
    unique = [is_unique(side, on) for side, on in ((join.left, join.left_on), (join.right, join.right_on))]
    return join.how == "inner" and not join.hidden and (all(unique) or not any(unique))
