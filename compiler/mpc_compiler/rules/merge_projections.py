"""Rule: a projection of a projection is one projection."""

from __future__ import annotations

from collections import Counter

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Call, Column, Expr, Item, Plan, Project, Rel, make, substitute, transform_plan
from mpc_compiler.rules.keep_with_owner import owned, owner_only

__all__ = ["merge_projections"]


def merge_projections(plan: Plan) -> Plan:
    """Merge adjacent projections and drop those that change nothing.

    An inner expression that would be written twice is kept apart.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import loans, project, as_plan
    >>> twice = project(project(loans, y="age * 2"), z="y + 1")
    >>> as_plan(twice).show(merge_projections)
    project z=((age * 2) + 1)
      scan a.loans [id, age, bad] 5 rows of a
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if not isinstance(rel, Project):
        return rel
    names = schema_of(rel.input).names
    if tuple(item.name for item in rel.items) == names and all(item.expr == Column(item.name) for item in rel.items):
        return rel.input
    inner = rel.input
    if not isinstance(inner, Project):
        return rel
    by_name = {item.name: item.expr for item in inner.items}
    uses = Counter(name for item in rel.items for name in _reads(item.expr))
    if any(isinstance(by_name[name], Call) and count > 1 for name, count in uses.items()):
        return rel
    items = tuple(Item(item.name, substitute(item.expr, by_name.__getitem__)) for item in rel.items)
    made = make(Project(inner.input, items))
    assert isinstance(made, Project)
    if any(map(owner_only, by_name.values())) and owned(inner) and not owned(made):
        return rel  # what only the owner can compute stays by itself, at the owner
    return _step(made)


def _reads(expr: Expr) -> list[str]:
    """Every reading of a column, repeats included."""
    if isinstance(expr, Column):
        return [expr.name]
    return [name for arg in expr.args for name in _reads(arg)] if isinstance(expr, Call) else []
