"""Rule: what cannot be computed on shares is computed by the owner of its columns, however far above it stands."""

from __future__ import annotations

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.check.scalars import SCALARS, computable
from mpc_compiler.ir import (
    Apply,
    Call,
    Column,
    Expr,
    Filter,
    Item,
    Join,
    Limit,
    Plan,
    Project,
    Rel,
    Scan,
    Sort,
    Union,
    Window,
    column,
    columns_of,
    make,
    rebuild,
    substitute,
    transform_plan,
)
from mpc_compiler.ir.parts import large
from mpc_compiler.rules.beside import rewrite_beside
from mpc_compiler.rules.push_projections import KEPT

__all__ = ["keep_with_owner", "owned", "owner_only"]


def keep_with_owner(plan: Plan) -> Plan:
    """Move functions of text, draws and the like to the scan of the columns that they read.

    Examples
    --------
    >>> from mpc_compiler.ir import call, column, literal
    >>> from mpc_compiler.rules.examples import as_plan, joined
    >>> drawn = call("draw", column("age"), literal(1))
    >>> as_plan(make(Filter(joined, call("gt", drawn, column("balance"))))).show(keep_with_owner)
    project id, age, bad, key, balance
      filter (own~1 > balance)
        join on id = key
          project id, age, bad, own~1=draw(age, 1)
            scan a.loans [id, age, bad] 5 rows of a
          scan b.accounts [key, balance] 4 rows of b
    """
    return transform_plan(plan, _moved)


def owner_only(expr: Expr) -> bool:
    """Whether the outermost operation cannot be computed on shares."""
    return isinstance(expr, Call) and expr.op in SCALARS and not computable(expr)


def owned(rel: Project) -> bool:
    """Whether a projection only chooses columns of a scan and computes what cannot be computed on shares."""
    inner = rel.input
    on_scan = isinstance(inner, Scan) or (isinstance(inner, Project) and owned(inner))
    return on_scan and all(isinstance(item.expr, Column) or owner_only(item.expr) for item in rel.items)


def _moved(rel: Rel) -> Rel:
    done = isinstance(rel, Project) and isinstance(rel.input, Scan) and owned(rel)
    return rel if done else rewrite_beside(rel, _step)


def _step(expr: Call, rel: Rel) -> tuple[Rel, Expr] | None:
    if not owner_only(expr):
        return None
    made = _provided(rel, expr) if columns_of(expr) else None
    return (rel, expr) if made is None else (made[0], column(made[1]))


def _provided(rel: Rel, expr: Expr) -> tuple[Rel, str] | None:
    """``rel`` with one more column that holds ``expr``, computed at a scan; None where that cannot be."""
    reads = columns_of(expr)
    if isinstance(rel, Scan) or (isinstance(rel, Project) and owned(rel) and len(owners_of(rel)) == 1):
        return _with(rel, expr)
    if isinstance(rel, Project):
        by_name = {item.name: item.expr for item in rel.items}
        below = substitute(expr, by_name.__getitem__)
        made = None if large(below) else _provided(rel.input, below)
        if made is None:
            return None
        return _with(make(Project(made[0], rel.items)), column(made[1]), over=made[0])
    if isinstance(rel, Filter | Sort | Limit | Window | Apply):
        made = _provided(rel.input, expr) if reads <= set(schema_of(rel.input).names) else None
        if made is None:
            return None
        inputs = (made[0], rel.model) if isinstance(rel, Apply) else (made[0],)
        return rebuild(rel, inputs), made[1]
    if isinstance(rel, Union):
        return _of_both(rel, expr)
    if isinstance(rel, Join):
        for side in KEPT[rel.how]:
            below = getattr(rel, side)
            if reads <= set(schema_of(below).names):
                made = _provided(below, expr)
                if made is None:
                    return None
                other = rel.right if side == "left" else rel.left
                if made[1] in schema_of(other).names:
                    return None
                return rebuild(rel, (made[0], rel.right) if side == "left" else (rel.left, made[0])), made[1]
    return None


def _of_both(rel: Union, expr: Expr) -> tuple[Rel, str] | None:
    """Computed by the owner of each part, under one name."""
    made = [_provided(side, expr) for side in (rel.left, rel.right)]
    names = schema_of(rel).names
    fresh = next(name for count in range(1, len(names) + 2) if (name := f"own~{count}") not in names)
    sides = []
    for found in made:
        if found is None:
            return None
        items = (*(Item(name, column(name)) for name in names), Item(fresh, column(found[1])))
        sides.append(make(Project(found[0], items)))
    return make(Union(*sides)), fresh


def _with(rel: Rel, expr: Expr, *, over: Rel | None = None) -> tuple[Rel, str]:
    """A projection of ``rel`` with one more item, under a fresh name; the same expression is made once."""
    names = schema_of(rel).names
    if over is not None:
        assert isinstance(rel, Project)
        items, base = list(rel.items), over
    elif isinstance(rel, Project):
        items, base = list(rel.items), rel.input
        expr = substitute(expr, {item.name: item.expr for item in items}.__getitem__)
    else:
        items, base = [Item(name, column(name)) for name in names], rel
    for item in items:
        if item.expr == expr:
            return rel if isinstance(rel, Project) else make(Project(base, tuple(items))), item.name
    count = 1
    while f"own~{count}" in names:
        count += 1
    return make(Project(base, (*items, Item(f"own~{count}", expr)))), f"own~{count}"
