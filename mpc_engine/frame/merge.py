"""Merges: names of the two sides, and the relation that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Item, Join, Project, column, make
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["keys_of", "merged"]


def keys_of(on: str | Sequence[str] | None, other: str | Sequence[str] | None = None) -> list[str]:
    """One name or several as a list; the first argument that is given."""
    chosen = on if on is not None else other
    return [] if chosen is None else [chosen] if isinstance(chosen, str) else list(chosen)


def merged(
    left: DataFrame, right: DataFrame, left_keys: list[str], right_keys: list[str], suffixes: tuple[str, str]
) -> DataFrame:
    """The inner join of two frames; names on both sides get suffixes, a key of one name appears once."""
    from mpc_engine.frame.dataframe import DataFrame

    joined = [key for key, other in zip(left_keys, right_keys, strict=True) if key == other]
    both = (set(left._items) & set(right._items)) - set(joined)
    left_names = {name: name + suffixes[0] if name in both else name for name in left._items}
    right_names = {name: name + suffixes[1] if name in both else name for name in right._items}
    taken = set(left_names.values()) | set(right_names.values())
    for name in joined:
        count = 1
        while f"{name}~{count}" in taken:
            count += 1
        right_names[name] = f"{name}~{count}"
        taken.add(right_names[name])
    sides = [
        make(Project(frame._base, tuple(Item(names[name], expr) for name, expr in frame._items.items())))
        for frame, names in ((left, left_names), (right, right_names))
    ]
    base = mark(
        make(
            Join(sides[0], sides[1], tuple(left_names[k] for k in left_keys), tuple(right_names[k] for k in right_keys))
        )
    )
    shown = [*left_names.values(), *(new for old, new in right_names.items() if old not in joined)]
    _ = schema_of(base)
    return DataFrame(left._session, base, {name: column(name) for name in shown})
