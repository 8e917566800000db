"""LEFT, RIGHT, FULL, SEMI and ANTI JOIN as FROM writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import Aggregate, Expr, Item, Join, Project, call, column, literal, make
from mpc_compiler.sql.conditions import bare
from mpc_compiler.sql.free import subqueries
from mpc_compiler.sql.graph import comparable, key_of, no_key
from mpc_compiler.sql.parts import Part, one_row
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.text import refused

__all__ = ["outer_join"]

_HOW = {"LEFT": "left", "RIGHT": "left", "FULL": "outer", "SEMI": "semi", "ANTI": "anti"}
Apply = Callable[[Part, exp.Expr], None]
Demand = tuple[exp.Expr, frozenset[str]]


def outer_join(kind: str, left: Part, right: Part, demands: Sequence[Demand], node: exp.Join, apply: Apply) -> Part:
    """Join two parts; a RIGHT JOIN is a LEFT JOIN seen from the other side.

    Equalities between the sides are keys. What else ON demands of the looked-up side alone filters it before. What it
    demands of the side that keeps its rows takes their key away, so that they match nothing. What it demands of both
    takes the partner away from rows that have at most one.

    Raises
    ------
    UnsupportedError
        When no side is known to have a key, or a demand cannot be expressed.
    """
    tables = [*left.tables, *right.tables]
    if kind == "RIGHT":
        left, right = right, left
    keys, here, there, mixed = _sorted(demands, left, right)
    if not keys and not mixed and not here and one_row(right.rel) and not there and kind in ("LEFT", "RIGHT"):
        return Part(make(Join(left.rel, right.rel, (), (), "cross")), tables, left.node)
    if not keys:
        raise refused(node, f"{kind} JOIN without an equality", "ON a.key = b.key")
    if kind == "FULL":
        _unmatched(right, there, keys, 1)
    else:
        for condition in there:
            apply(right, condition)
    if kind == "SEMI":
        for condition in here:
            apply(left, condition)
    else:
        _unmatched(left, here, keys, 0)
    unique = is_unique(left.rel, tuple(a for a, _ in keys)), is_unique(right.rel, tuple(b for _, b in keys))
    if not any(unique) and kind not in ("SEMI", "ANTI"):
        raise no_key(left, right, keys)
    if mixed and (kind not in ("LEFT", "RIGHT") or not unique[1]):
        raise refused(
            mixed[0], f"a condition over both sides of a {kind} JOIN", "equalities, and conditions over one side"
        )
    if not any(unique):
        right.rel = make(Aggregate(right.rel, tuple(dict.fromkeys(b for _, b in keys)), ()))
    rel = make(Join(left.rel, right.rel, tuple(a for a, _ in keys), tuple(b for _, b in keys), _HOW[kind]))
    schema_of(rel)
    made = Part(rel, tables if kind not in ("SEMI", "ANTI") else left.tables, left.node)
    if mixed:
        _partner_only_where(made, right, mixed)
    return made


def _sorted(
    demands: Sequence[Demand], left: Part, right: Part
) -> tuple[list[tuple[str, str]], list[exp.Expr], list[exp.Expr], list[exp.Expr]]:
    """Keys, and conditions over the left, over the right, and over both."""
    keys: list[tuple[str, str]] = []
    here, there, mixed = [], [], []
    for condition, reads in demands:
        if reads and all(map(right.holds, reads)):
            there.append(condition)
        elif all(map(left.holds, reads)):
            if not (isinstance(bare(condition), exp.Boolean) and bare(condition).this):
                here.append(condition)
        else:
            pair = _key_pair(condition, left, right)
            if pair is None:
                mixed.append(condition)
            else:
                keys.append(pair)
    return keys, here, there, mixed


def _key_pair(node: exp.Expr, left: Part, right: Part) -> tuple[str, str] | None:
    if not isinstance(node, exp.EQ) or next(subqueries(node), None) is not None:
        return None
    scopes = left.scope, right.scope
    for first, second in ((node.left, node.right), (node.right, node.left)):
        sides = [list(side.find_all(exp.Column)) for side in (first, second)]
        if all(sides) and all(scope.means(found) for scope, side in zip(scopes, sides, strict=True) for found in side):
            a, b = key_of(first, left), key_of(second, right)
            if a is None or b is None or not comparable(a, b, (left, right)):
                return None
            return left.key(a), right.key(b)
    return None


def _unmatched(part: Part, conditions: Sequence[exp.Expr], keys: list[tuple[str, str]], side: int) -> None:
    """Rows that fail a condition lose their key: they stay, and match nothing."""
    if not conditions:
        return
    test: Expr | None = None
    for condition in conditions:
        if next(subqueries(condition), None) is not None:
            raise refused(condition, "a subquery in ON", "the condition in a subquery in FROM")
        found = Reader(part.scope).test(condition).true
        test = found if test is None else call("and", test, found)
    assert test is not None
    pair = list(keys[0])
    pair[side] = part.key(call("where", test, column(pair[side]), literal(None)))
    keys[0] = (pair[0], pair[1])


def _partner_only_where(part: Part, right: Part, conditions: Sequence[exp.Expr]) -> None:
    """Columns of the partner are missing where a condition over both sides fails."""
    reader = Reader(part.scope)
    test: Expr | None = None
    for condition in conditions:
        found = reader.test(condition).true
        test = found if test is None else call("and", test, found)
    assert test is not None
    items = [
        Item(name, call("where", test, column(name), literal(None)) if right.holds(name) else column(name))
        for name in schema_of(part.rel).names
    ]
    part.rel = make(Project(part.rel, tuple(items)))
