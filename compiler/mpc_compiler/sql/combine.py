"""UNION, INTERSECT and EXCEPT."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import MpcError, SchemaError
from mpc_compiler.ir import Item, Join, Project, Rel, Union, column, make
from mpc_compiler.sql.group import distinct
from mpc_compiler.sql.text import describe, place, refused

__all__ = ["combined"]

_CLAUSES = {"this", "expression", "distinct", "order", "limit", "offset", "with_", "by_name"}


def combined(node: exp.SetOperation, sides: Sequence[Rel]) -> Rel:
    """The rows of a set operation; columns have the names of the first query.

    Raises
    ------
    SchemaError
        When the queries have different numbers or kinds of columns.
    """
    for name, value in node.args.items():
        if value and name not in _CLAUSES:
            raise refused(node, f"{describe(node)} with {name.strip('_').upper()}", f"{describe(node)} without it")
    left, right = sides
    right = _named(node, left, right)
    try:
        return _rows(node, left, right)
    except MpcError as error:
        error.where = error.where or place(node)
        raise


def _named(node: exp.SetOperation, left: Rel, right: Rel) -> Rel:
    """The second query with the names of the first."""
    names, others = schema_of(left).names, schema_of(right).names
    if node.args.get("by_name"):
        if set(names) != set(others):
            raise refused(node, f"{describe(node)} BY NAME of different columns", "the same columns in both")
        others = names
    if len(names) != len(others):
        raise SchemaError(
            f"{describe(node)} of {len(names)} and {len(others)} columns", code="MPC-0105",
            hint="select as many columns in both queries", where=place(node.right),
        )  # fmt: skip
    if others == names == schema_of(right).names:
        return right
    return make(Project(right, tuple(Item(a, column(b)) for a, b in zip(names, others, strict=True))))


def _rows(node: exp.SetOperation, left: Rel, right: Rel) -> Rel:
    if isinstance(node, exp.Union):
        rel = make(Union(left, right))
        return distinct(rel) if node.args.get("distinct") else rel
    if not node.args.get("distinct"):
        raise refused(node, f"{describe(node)} ALL", f"{describe(node)}, which gives each row once")
    names = schema_of(left).names
    others = tuple(f"~{name}" for name in names)
    once = make(Project(distinct(right), tuple(Item(new, column(n)) for new, n in zip(others, names, strict=True))))
    how = "anti" if isinstance(node, exp.Except) else "semi"
    rel = make(Join(distinct(left), once, names, others, how, nulls=True))
    schema_of(rel)
    return rel
