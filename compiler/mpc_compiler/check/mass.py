"""How large a column's values can be all together: what keeps sums of sums, and sums of their products, in the ring."""

from __future__ import annotations

import functools

from mpc_compiler.ir import (
    Aggregate,
    Call,
    Column,
    Expr,
    Filter,
    Join,
    Limit,
    Literal,
    Local,
    Project,
    Rel,
    Shared,
    Sort,
    Union,
    Window,
)

__all__ = ["mass_of"]


@functools.lru_cache(maxsize=65536)
def mass_of(rel: Rel, name: str) -> float | int:
    """A public bound of the sum of ``abs(x)`` over all rows of the column ``name``, in the column's own units.

    The number of rows times the largest value is one. Where the column holds sums of groups, what was summed is
    another, and often much smaller: all groups together hold what all rows together did.

    Parameters
    ----------
    rel : Rel
    name : str
        A numeric column of it.

    Returns
    -------
    int or float
        Infinity where the column's range is unknown.

    Examples
    --------
    >>> from mpc_compiler.ir import Agg, DType, Field, Scan, make
    >>> sales = make(Scan("a.t", "a", tuple(Field(n, DType("int", lo=0, hi=9), ("a",)) for n in "kx"), 100))
    >>> groups = make(Aggregate(sales, ("k",), (Agg("x", "sum", "x"),)))
    >>> mass_of(sales, "x"), mass_of(groups, "x")
    (900, 900)
    """
    return min(_plain(rel, name), _below(rel, name))


def _plain(rel: Rel, name: str) -> float | int:
    from mpc_compiler.check.infer import rows_of

    return rows_of(rel) * _largest(rel, name)


def _largest(rel: Rel, name: str) -> float | int:
    from mpc_compiler.check.infer import schema_of

    field = schema_of(rel).field(name)
    if field is None or (field.dtype.kind != "bool" and (field.dtype.lo is None or field.dtype.hi is None)):
        return float("inf")
    return max(map(abs, field.dtype.bounds))


def _below(rel: Rel, name: str) -> float | int:
    """What follows from the relations below; infinity if nothing does."""
    if isinstance(rel, Filter | Sort | Limit | Local):
        return mass_of(rel.input, name)
    if isinstance(rel, Window):
        return float("inf") if any(win.name == name for win in rel.wins) else mass_of(rel.input, name)
    if isinstance(rel, Union):
        return mass_of(rel.left, name) + mass_of(rel.right, name)
    if isinstance(rel, Project):
        expr = next(item.expr for item in rel.items if item.name == name)
        return _expression(expr, rel.input)
    if isinstance(rel, Join):
        return _joined(rel, name)
    if isinstance(rel, Aggregate):
        return _aggregated(rel, name)
    if isinstance(rel, Shared) and rel.mass:
        return next(mass for field, mass in zip(rel.fields, rel.mass, strict=True) if field.name == name)
    return float("inf")


def _joined(rel: Join, name: str) -> float | int:
    """Rows of a side whose partners are unique appear at most once."""
    from mpc_compiler.check.infer import schema_of
    from mpc_compiler.check.keys import is_unique

    if schema_of(rel.left).field(name) is not None:
        once = rel.how in ("semi", "anti", "cross") or is_unique(rel.right, rel.right_on)
        return mass_of(rel.left, name) if once else float("inf")
    once = rel.how != "cross" and is_unique(rel.left, rel.left_on)
    return mass_of(rel.right, name) if once else float("inf")


def _aggregated(rel: Aggregate, name: str) -> float | int:
    """Groups together hold what the rows did; each has one row's smallest, largest or any."""
    from mpc_compiler.check.infer import rows_of

    agg = next((agg for agg in rel.aggs if agg.name == name), None)
    if agg is None:
        return float("inf")
    if agg.function in ("size", "count", "nunique"):
        return rows_of(rel.input)
    if agg.function in ("sum", "min", "max", "any", "first", "last") and agg.column is not None:
        return mass_of(rel.input, agg.column)
    return float("inf")


def _expression(expr: Expr, rel: Rel) -> float | int:
    from mpc_compiler.check.infer import expr_type, schema_of

    if isinstance(expr, Column):
        return mass_of(rel, expr.name)
    if isinstance(expr, Literal) and not expr.value:
        return 0
    if isinstance(expr, Call) and expr.op == "where":
        return _chosen(expr, rel)
    if not isinstance(expr, Call) or expr.op not in ("neg", "abs", "add", "sub", "mul"):
        return float("inf")
    made, *types = (expr_type(part, schema_of(rel)) for part in (expr, *expr.args))
    if any(dtype.kind not in ("int", "decimal", "bool") for dtype in (made, *types)):
        return float("inf")
    if expr.op == "mul":
        a, b = expr.args
        return min(_product(a, b, rel), _product(b, a, rel))
    units = (int(10 ** (made.scale - dtype.scale)) for dtype in types)
    return sum(_expression(arg, rel) * unit for arg, unit in zip(expr.args, units, strict=True))


def _chosen(expr: Call, rel: Rel) -> float | int:
    """All that either branch holds."""
    from mpc_compiler.check.infer import expr_type, schema_of

    schema = schema_of(rel)
    made = expr_type(expr, schema)
    held: float | int = 0
    for part in expr.args[1:]:
        dtype = expr_type(part, schema)
        if isinstance(part, Literal) and not part.value:
            continue
        if dtype.kind not in ("int", "decimal", "bool") or made.kind not in ("int", "decimal", "bool"):
            return float("inf")
        held += _expression(part, rel) * int(10 ** (made.scale - dtype.scale))
    return held


def _product(a: Expr, b: Expr, rel: Rel) -> float | int:
    """All of `a` together, times the largest `b`."""
    from mpc_compiler.check.infer import expr_type, schema_of

    dtype = expr_type(b, schema_of(rel))
    if dtype.kind != "bool" and (dtype.lo is None or dtype.hi is None):
        return float("inf")
    return _expression(a, rel) * max(map(abs, dtype.bounds))
