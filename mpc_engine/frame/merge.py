"""Merges: names of the two sides, the relation that joins them, and pandas' order of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Expr, Item, Join, Project, Rel, Sort, SortBy, call, column, literal, make
from mpc_engine.frame.base import extended, fresh
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["HOWS", "Sides", "keys_of", "merged"]

HOWS = ("inner", "left", "right", "outer", "semi", "anti")
_MARKS = ("~left", "~right")
_INDICATOR = "_merge"


def keys_of(on: str | Sequence[str] | None, other: str | Sequence[str] | None = None) -> list[str]:
    """One name or several as a list; the first argument that is given."""
    chosen = on if on is not None else other
    return [] if chosen is None else [chosen] if isinstance(chosen, str) else list(chosen)


@dataclass(frozen=True)
class Sides:
    """What is merged on what.

    Attributes
    ----------
    left, right : DataFrame
    left_keys, right_keys : list of str
        Pairs of columns.
    suffixes : tuple of str
        What is added to other names that both sides have.
    """

    left: DataFrame
    right: DataFrame
    left_keys: list[str]
    right_keys: list[str]
    suffixes: tuple[str, str] = ("_x", "_y")

    @property
    def same(self) -> list[str]:
        """Keys that have one name on both sides; they appear once."""
        return [key for key, other in zip(self.left_keys, self.right_keys, strict=True) if key == other]


def merged(
    sides: Sides, how: str, *, indicator: bool | str = False, hidden: bool = False, max_rows: int | None = None
) -> DataFrame:
    """The join of two frames; see :meth:`mpc_engine.frame.dataframe.DataFrame.merge`."""
    if how not in HOWS:
        raise UnsupportedError(f"merge(how={how!r}) is not supported", code="MPC-0309", hint=", ".join(HOWS))
    if max_rows is not None and max_rows < 1:
        raise SchemaError(f"max_rows must be at least 1, not {max_rows}", code="MPC-0105")
    if how in ("semi", "anti"):
        return _filtering(sides, how, hidden=hidden)
    names = _names(sides)
    left, right = (
        _side(frame, renamed, mark_ if indicator else None)
        for frame, renamed, mark_ in zip((sides.left, sides.right), names, _MARKS, strict=True)
    )
    on = tuple(names[0][key] for key in sides.left_keys), tuple(names[1][key] for key in sides.right_keys)
    base = _join(left, right, on, how, hidden=hidden, most=max_rows or 0)
    shown = dict.fromkeys(name for name in names[0].values())
    shown |= dict.fromkeys(new for old, new in names[1].items() if old not in sides.same)
    items: dict[str, Expr] = {name: column(name) for name in shown}
    if how == "right":
        items |= {names[0][key]: column(names[1][key]) for key in sides.same}
    if how == "outer":
        base, found = _in_order_of_keys(base, on, (left, right))
        items |= {names[0][key]: found[names[0][key]] for key in sides.same}
    if indicator:
        items[_named(indicator, items)] = _origin(how)
    return type(sides.left)(sides.left._session, base, items)


def _names(sides: Sides) -> tuple[dict[str, str], dict[str, str]]:
    """New names of the columns of both sides, all different; indexes that are no keys are left out, as in pandas."""
    kept = [
        [name for name in frame._items if name not in frame._index or name in keys]
        for frame, keys in ((sides.left, sides.left_keys), (sides.right, sides.right_keys))
    ]
    both = (set(kept[0]) & set(kept[1])) - set(sides.same)
    left, right = (
        {name: name + suffix if name in both else name for name in names}
        for names, suffix in zip(kept, sides.suffixes, strict=True)
    )
    taken = {*left.values(), *right.values(), *_MARKS}
    for name in sides.same:
        count = 1
        while f"{name}~{count}" in taken:
            count += 1
        right[name] = f"{name}~{count}"
        taken.add(right[name])
    return left, right


def _side(frame: DataFrame, names: dict[str, str], mark_: str | None) -> Rel:
    """The columns of a side under their new names, and perhaps one that says that there is a row."""
    items = [Item(new, frame._items[old]) for old, new in names.items()]
    items += [Item(mark_, literal(1))] if mark_ else []
    return make(Project(frame._base, tuple(items)))


def _join(
    left: Rel, right: Rel, on: tuple[tuple[str, ...], tuple[str, ...]], how: str, *, hidden: bool, most: int
) -> Rel:
    """A right join is a left join of the other side: its rows come in the order of the right side's."""
    unique = is_unique(left, on[0]) or is_unique(right, on[1])
    if how == "right":
        left, right, on, how = right, left, (on[1], on[0]), "left"
    base = mark(
        make(Join(left, right, *on, how, nulls=_nulls(left, right, on), most=0 if unique else most, hidden=hidden))
    )
    _ = schema_of(base)
    return base


def _nulls(left: Rel, right: Rel, on: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    """Whether keys may be missing on both sides: pandas matches them with each other."""
    fields = [[schema_of(side).field(name) for name in names] for side, names in zip((left, right), on, strict=True)]
    return any(
        a is not None and b is not None and a.dtype.nullable and b.dtype.nullable for a, b in zip(*fields, strict=True)
    )


def _in_order_of_keys(
    base: Rel, on: tuple[tuple[str, ...], tuple[str, ...]], sides: tuple[Rel, Rel]
) -> tuple[Rel, dict[str, Expr]]:
    """An outer join as pandas orders it, and the keys of both sides as one, by the left names."""
    names = {fresh(base, f"{a}~key"): (a, b) for a, b in zip(*on, strict=True)}
    keys = {name: _either(sides, pair) for name, pair in names.items()}
    made = mark(make(Sort(extended(base, keys), tuple(SortBy(name) for name in keys))))
    return made, {a: column(name) for name, (a, _) in names.items()}


def _either(sides: tuple[Rel, Rel], names: tuple[str, str]) -> Expr:
    """The key of whichever side has the row. One has: so whole numbers without gaps stay whole numbers without gaps."""
    made = call("fillna", column(names[0]), column(names[1]))
    types = [field.dtype for side, name in zip(sides, names, strict=True) if (field := schema_of(side).field(name))]
    if all(t.kind == "int" and not t.nullable and t.lo is not None for t in types):
        return call("fillna", made, literal(types[0].bounds[0]))
    return made


def _named(indicator: bool | str, items: dict[str, Expr]) -> str:
    name = _INDICATOR if indicator is True else str(indicator)
    if name in items:
        raise SchemaError(f"column {name!r} appears twice", code="MPC-0106", hint="indicator='another name'")
    return name


def _origin(how: str) -> Expr:
    """Which sides a row comes from."""
    value: Expr = literal("both")
    for side, name, owner in (("left", _MARKS[1], "left_only"), ("right", _MARKS[0], "right_only")):
        if how in (side, "outer"):
            value = call("where", call("isna", column(name)), literal(owner), value)
    return value


def _filtering(sides: Sides, how: str, *, hidden: bool) -> DataFrame:
    """The rows of the left side that have a match, or have none."""
    left = sides.left
    keys = {fresh(left._base, f"{name}~key"): left._items[name] for name in sides.left_keys}
    base = extended(left._base, keys)
    names = tuple(fresh(base, f"{name}~on") for name in sides.right_keys)
    items = tuple(Item(name, sides.right._items[key]) for name, key in zip(names, sides.right_keys, strict=True))
    right = make(Project(sides.right._base, items))
    on = tuple(keys), names
    made = mark(make(Join(base, right, *on, how, nulls=_nulls(base, right, on), hidden=hidden)))
    _ = schema_of(made)
    return left._with(made)
