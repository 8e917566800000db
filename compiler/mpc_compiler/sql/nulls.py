"""Keys that may be NULL: a value that the column never has stands for NULL while rows are grouped."""

from __future__ import annotations

from sqlglot import exp

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import DType, Expr, call, literal
from mpc_compiler.sql.text import place

__all__ = ["marked", "said", "unmarked"]


def said(node: exp.Expr) -> str:
    """A key as the query has it."""
    return node.name if isinstance(node, exp.Column) else node.sql(dialect="duckdb")


def marked(expr: Expr, dtype: DType, node: exp.Expr) -> Expr:
    """The key with a value of its own in place of NULL.

    Raises
    ------
    UnsupportedError
        For kinds without such a value.
    """
    if dtype.kind == "bool":
        return call("where", call("isna", expr), literal(2), call("where", call("eq", expr, literal(True)), literal(1),
                    literal(0)))  # fmt: skip
    return call("fillna", expr, _unused(dtype, node))


def unmarked(held: Expr, dtype: DType, node: exp.Expr) -> Expr:
    """What :func:`marked` made, as it was."""
    if dtype.kind == "bool":
        return call("where", call("ne", held, literal(2)), call("eq", held, literal(1)), literal(None))
    return call("where", call("ne", held, _unused(dtype, node)), held, literal(None))


def _unused(dtype: DType, node: exp.Expr) -> Expr:
    if dtype.kind == "string" and dtype.domain is not None:
        text = "NULL"
        while text in dtype.domain:
            text += "~"
        return literal(text)
    if dtype.lo is not None and dtype.kind == "int":
        return literal(int(dtype.lo) - 1)
    if dtype.lo is not None and dtype.kind == "decimal":
        return call("decimal", literal(int(dtype.lo) - 1), literal(dtype.scale))
    raise UnsupportedError(
        f"SQL: grouping by {said(node)!r}, a {dtype.kind} that may be NULL, is not supported",
        code="MPC-0331",
        hint=f"WHERE {said(node)} IS NOT NULL",
        where=place(node),
    )
