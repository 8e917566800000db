"""Inner joins as a tree of lookups: small tables find their own dimensions first, the largest keeps its rows.

Equalities between two tables form classes of columns with one value. Two tables that share classes can be joined where
the shared columns are a key of one of them: rows of the other then have at most one partner, and no size is a secret.
Of all such pairs the one with the fewest rows is joined first. What the classes demand beyond a key becomes a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from mpc_compiler.check import expr_type, rows_of, schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.errors import MpcError, UnsupportedError
from mpc_compiler.ir import Expr, Filter, Join, Rel, call, column, make
from mpc_compiler.sql.parts import Part, one_row
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.scope import Bound
from mpc_compiler.sql.text import place, refused

__all__ = ["Classes", "join_all", "key_of", "no_key"]


@dataclass
class Classes:
    """Columns that are equal in every row that counts."""

    members: list[list[str]] = field(default_factory=list)

    def equate(self, first: str, second: str) -> None:
        """Both have one value."""
        mine = [group for group in self.members if first in group or second in group]
        merged = list(dict.fromkeys([*(name for group in mine for name in group), first, second]))
        self.members = [group for group in self.members if group not in mine] + [merged]

    def forget(self, name: str, other: str) -> None:
        """``other``, which is equal, stands for ``name`` from now on."""
        for group in self.members:
            if name in group and other in group:
                group.remove(name)

    def of(self, name: str) -> list[str]:
        """All columns with the value of ``name``."""
        return next((group for group in self.members if name in group), [name])


def key_of(node: exp.Expr, part: Part) -> Expr | None:
    """An expression of one part as a join key; None for kinds that are no keys."""
    made = Reader(part.scope).value(node)
    return None if expr_type(made, schema_of(part.rel)).kind == "float" else made


def comparable(first: Expr, second: Expr, parts: tuple[Part, Part]) -> bool:
    """Whether two keys are held alike, so that equal values have equal shares."""
    types = [expr_type(expr, schema_of(part.rel)) for expr, part in zip((first, second), parts, strict=True)]
    return types[0].kind == types[1].kind and types[0].scale == types[1].scale


Later = tuple[exp.Expr, frozenset[str]]
"""A condition over several parts, and the columns that it reads."""


def join_all(
    parts: Sequence[Part], classes: Classes, later: list[Later], apply: Callable[[Part, exp.Expr], None]
) -> Part:
    """Join all parts; ``apply`` filters a part by a condition as soon as it has all columns of it."""
    waiting = list(parts)
    for part in waiting:
        _equal_inside(part, classes)
    while len(waiting) > 1:
        left, right, keys = _next(waiting, classes)
        made = _joined(left, right, keys, classes, waiting)
        waiting = [part for part in waiting if part is not left and part is not right]
        waiting.append(made)
        for item in [item for item in later if all(made.holds(name) for name in item[1])]:
            later.remove(item)
            apply(made, item[0])
    for condition, _ in later:
        apply(waiting[0], condition)
    return waiting[0]


def _equal_inside(part: Part, classes: Classes) -> None:
    """Two columns of one part that both equal a third are equal."""
    for group in classes.members:
        mine = [name for name in group if part.holds(name)]
        for other in mine[1:]:
            part.rel = make(Filter(part.rel, call("eq", column(mine[0]), column(other))))


Keys = list[tuple[str, str]]


def _next(waiting: Sequence[Part], classes: Classes) -> tuple[Part, Part, Keys]:
    """The two parts to join now: the one that keeps its rows, the one that is looked up, and the keys."""
    best: tuple[int, Part, Part, Keys] | None = None
    connected = None
    for at, first in enumerate(waiting):
        for second in waiting[at + 1 :]:
            keys = _shared(first, second, classes)
            connected = connected or ((first, second, keys) if keys else None)
            cost = rows_of(first.rel) + rows_of(second.rel)
            if not keys or (best is not None and best[0] <= cost):
                continue
            unique = [
                is_unique(part.rel, tuple(pair[side] for pair in keys)) for side, part in enumerate((first, second))
            ]
            if unique[1]:
                best = cost, first, second, keys if unique[0] else _fewer(keys, second.rel)
            elif unique[0]:
                swapped = [(b, a) for a, b in keys]
                best = cost, second, first, _fewer(swapped, first.rel)
    if best is not None:
        return best[1:]
    for part in waiting:
        if one_row(part.rel):
            return next(other for other in waiting if other is not part), part, []
    if connected is not None:
        raise no_key(*connected)
    raise refused(waiting[1].node, "a join without an equality", "JOIN ... ON a.key = b.key")


def no_key(left: Part, right: Part, keys: Keys) -> MpcError:
    """The error for a join whose number of rows is a secret."""
    shown = [", ".join(_plain(name) for name in side) for side in zip(*keys, strict=True)]
    return UnsupportedError(
        f"SQL: in {left.name} JOIN {right.name} neither {shown[0]} nor {shown[1]} is known to be unique: how many "
        "rows match is a secret",
        code="MPC-0332",
        hint="declare the key, mpc.Source(data, keys=[...]), or GROUP BY it in a subquery on one side",
        where=place(right.node),
    )


def _plain(name: str) -> str:
    tail = name.rpartition(".")[2]
    return "an expression" if tail.startswith("~") else tail


def _shared(first: Part, second: Part, classes: Classes) -> Keys:
    found = []
    for group in classes.members:
        sides = [[name for name in group if part.holds(name)] for part in (first, second)]
        if all(sides):
            found.append((sides[0][0], sides[1][0]))
    return found


def _fewer(keys: Keys, right: Rel) -> Keys:
    """The fewest of the keys that still find at most one row."""
    kept = list(keys)
    for pair in reversed(keys):
        rest = [other for other in kept if other != pair]
        if rest and is_unique(right, tuple(b for _, b in rest)):
            kept = rest
    return kept


def _joined(left: Part, right: Part, keys: Keys, classes: Classes, order: Sequence[Part]) -> Part:
    how = "inner" if keys else "cross"
    rel = make(Join(left.rel, right.rel, tuple(a for a, _ in keys), tuple(b for _, b in keys), how))
    schema_of(rel)
    for a, b in _shared(left, right, classes):
        if (a, b) not in keys:
            rel = make(Filter(rel, call("eq", column(a), column(b))))
    # The key of the looked-up side has the same value on the other: then it need not be carried along.
    fields = schema_of(left.rel)
    known = {b: a for a, b in _shared(left, right, classes) if (field := fields.field(a)) and not field.dtype.nullable}
    for b, a in known.items():
        classes.forget(b, a)
    for table in right.tables:
        table.columns = {name: known.get(held, held) for name, held in table.columns.items()}
    sides = [part for part in order if part is left or part is right]
    tables: list[Bound] = [table for part in sides for table in part.tables]
    return Part(rel, tables, sides[0].node)
