"""Which columns identify rows, and which follow from others: public facts that choose joins and shorten group keys."""

from __future__ import annotations

import functools

from mpc_compiler.ir import (
    Aggregate,
    Apply,
    Call,
    Column,
    Expr,
    Filter,
    Join,
    Kept,
    Limit,
    Literal,
    Local,
    Project,
    Rel,
    Scan,
    Shared,
    Slice,
    Sort,
    Union,
    Window,
)

__all__ = ["determined", "is_unique", "keys_of", "slices_of"]

Key = frozenset[str]

_MOST = 32
"""Keys that are followed; a relation rarely has more than a few."""


@functools.lru_cache(maxsize=16384)
def keys_of(rel: Rel) -> frozenset[Key]:
    """Sets of columns whose values, together, no two rows of ``rel`` share. The empty set: at most one row.

    Examples
    --------
    >>> from mpc_compiler.ir import DType, Field, make
    >>> fields = tuple(Field(name, DType("int", lo=0, hi=9), ("a",)) for name in ("id", "x"))
    >>> loans = make(Scan("a.loans", "a", fields, 5, keys=(("id",),)))
    >>> [sorted(key) for key in keys_of(make(Aggregate(loans, ("x",), ())))]
    [['x']]
    """
    found = _keys(rel)
    least = {key for key in found if not any(other < key for other in found)}
    return frozenset(sorted(least, key=lambda key: (len(key), sorted(key)))[:_MOST])


def _keys(rel: Rel) -> frozenset[Key]:
    if isinstance(rel, Scan):
        names = {field.name for field in rel.fields}
        return frozenset(frozenset(key) for key in rel.keys if names.issuperset(key))
    if isinstance(rel, Kept):
        names = {field.name for field in rel.fields}
        return frozenset(frozenset(key) for key in rel.keys if names.issuperset(key))
    if isinstance(rel, Shared):
        return frozenset(map(frozenset, rel.keys))
    if isinstance(rel, Project):
        return _renamed(keys_of(rel.input), rel)
    if isinstance(rel, Aggregate):
        return frozenset((frozenset(rel.keys),))
    if isinstance(rel, Join):
        return _join(rel)
    if isinstance(rel, Union):
        return frozenset(frozenset(name for _, name in part.key) for part in slices_of(rel))
    if isinstance(rel, Limit) and rel.count <= 1:
        return frozenset((frozenset(),))
    if isinstance(rel, Filter | Sort | Limit | Local | Window | Apply):
        return keys_of(rel.input)
    return frozenset()


@functools.lru_cache(maxsize=16384)
def slices_of(rel: Rel) -> frozenset[Slice]:
    """The tables that several owners hold parts of, without overlap as these declare, of which the rows are.

    Examples
    --------
    >>> from mpc_compiler.ir import DType, Field, make
    >>> fields = tuple(Field(name, DType("int", lo=0, hi=9), ("a",)) for name in ("id", "x"))
    >>> parts = [make(Scan(f"{o}.loans", o, fields, 5, keys=(("id",),), disjoint=(("id",),))) for o in "ab"]
    >>> slices_of(make(Union(*parts)))
    frozenset({Slice(table='loans', owners=('a', 'b'), key=(('id', 'id'),))})
    >>> keys_of(make(Union(parts[0], parts[0])))
    frozenset()
    """
    if isinstance(rel, Scan):
        names = {field.name for field in rel.fields}
        table = rel.table.partition(".")[2]
        held = [key for key in rel.disjoint if names.issuperset(key)]
        return frozenset(Slice(table, (rel.owner,), tuple((name, name) for name in sorted(key))) for key in held)
    if isinstance(rel, Shared):
        return frozenset(rel.slices)
    if isinstance(rel, Project):
        return _renamed_slices(rel)
    if isinstance(rel, Union):
        return frozenset(
            Slice(a.table, tuple(sorted({*a.owners, *b.owners})), a.key)
            for a in slices_of(rel.left)
            for b in slices_of(rel.right)
            if (a.table, a.key) == (b.table, b.key) and not {*a.owners} & {*b.owners}
        )
    if isinstance(rel, Filter | Sort | Limit | Local | Window | Apply):
        return slices_of(rel.input)
    if isinstance(rel, Join) and (rel.how in ("semi", "anti", "cross") or _looks_up(rel)):
        return slices_of(rel.left)
    return frozenset()


def _looks_up(rel: Join) -> bool:
    """Whether each row of the left side is there at most once."""
    return rel.how in ("inner", "left") and is_unique(rel.right, rel.right_on)


def _renamed_slices(rel: Project) -> frozenset[Slice]:
    names: dict[str, str] = {}
    for item in rel.items:
        if isinstance(item.expr, Column):
            names.setdefault(item.expr.name, item.name)
    return frozenset(
        Slice(part.table, part.owners, tuple((name, names[held]) for name, held in part.key))
        for part in slices_of(rel.input)
        if all(held in names for _, held in part.key)
    )


def _source(expr: Expr) -> str | None:
    """The column that ``expr`` tells apart as well as it does itself: a column, plus or minus whole numbers."""
    if isinstance(expr, Column):
        return expr.name
    if not isinstance(expr, Call):
        return None
    if expr.op == "neg":
        return _source(expr.args[0])
    whole = [isinstance(arg, Literal) and type(arg.value) is int for arg in expr.args]
    if expr.op in ("add", "sub") and whole in ([True, False], [False, True]):
        return _source(expr.args[whole.index(False)])
    return None


def _renamed(keys: frozenset[Key], rel: Project) -> frozenset[Key]:
    """Keys under the names that the projection gives to columns as they are."""
    names: dict[str, list[str]] = {}
    for item in rel.items:
        source = _source(item.expr)
        if source is not None:
            names.setdefault(source, []).append(item.name)
    return frozenset(frozenset(names[name][0] for name in key) for key in keys if all(name in names for name in key))


def _join(rel: Join) -> frozenset[Key]:
    left, right = keys_of(rel.left), keys_of(rel.right)
    if rel.how in ("semi", "anti", "cross"):
        return left
    one_left, one_right = is_unique(rel.left, rel.left_on), is_unique(rel.right, rel.right_on)
    found: set[Key] = set()
    if rel.how == "outer":  # keys of either side are missing in rows of the other
        return frozenset(a | b for a in left for b in right)
    if one_right and rel.how in ("inner", "left"):
        found |= left
    if one_left and rel.how in ("inner", "right"):
        found |= right
    return frozenset(found) or frozenset(a | b for a in left for b in right)


def is_unique(rel: Rel, names: tuple[str, ...]) -> bool:
    """Whether no two rows of ``rel`` have the same values in ``names``, as far as is known."""
    return any(key <= determined(rel, frozenset(names)) for key in keys_of(rel))


@functools.lru_cache(maxsize=16384)
def determined(rel: Rel, names: Key) -> Key:
    """``names`` and all columns of ``rel`` whose values follow from theirs.

    Examples
    --------
    >>> from mpc_compiler.ir import DType, Field, make
    >>> fields = tuple(Field(name, DType("int", lo=0, hi=9), ("a",)) for name in ("id", "x"))
    >>> loans = make(Scan("a.loans", "a", fields, 5, keys=(("id",),)))
    >>> sorted(determined(loans, frozenset(("id",))))
    ['id', 'x']
    """
    from mpc_compiler.check.infer import schema_of

    mine = frozenset(schema_of(rel).names)
    found = names & mine
    while True:
        more = found | _follows(rel, found)
        more = mine if any(key <= more for key in keys_of(rel)) else more & mine
        if more == found:
            return found
        found = more


def _follows(rel: Rel, names: Key) -> Key:
    if isinstance(rel, Filter | Sort | Limit | Local | Window):
        return determined(rel.input, names)
    if isinstance(rel, Project):
        inner = {item.name: source for item in rel.items if (source := _source(item.expr)) is not None}
        below = determined(rel.input, frozenset(inner[name] for name in names if name in inner))
        return frozenset(name for name, source in inner.items() if source in below)
    if isinstance(rel, Join) and rel.how in ("semi", "anti", "cross"):
        return determined(rel.left, names)
    if isinstance(rel, Join):
        return _through(rel, names)
    return frozenset()


def _through(rel: Join, names: Key) -> Key:
    """What follows on either side of a join; equal keys stand for each other in rows that match."""
    found = set(names)
    if rel.how in ("inner", "left"):
        found |= determined(rel.left, frozenset(found))
    if rel.how in ("inner", "right"):
        found |= determined(rel.right, frozenset(found))
    if rel.how == "inner":
        for a, b in zip(rel.left_on, rel.right_on, strict=True):
            found |= {b} if a in found else {a} if b in found else set()
    if rel.how == "left" and found.issuperset(rel.left_on) and is_unique(rel.right, rel.right_on):
        found |= determined(rel.right, frozenset(rel.right_on)) | set(rel.right_on)
    if rel.how == "right" and found.issuperset(rel.right_on) and is_unique(rel.left, rel.left_on):
        found |= determined(rel.left, frozenset(rel.left_on)) | set(rel.left_on)
    return frozenset(found)
