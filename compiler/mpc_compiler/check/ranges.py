"""Refuses what could leave the ring, or cannot be computed on shares, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc_compiler.check.division import plan_division
from mpc_compiler.check.infer import expr_type, rows_of, schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.check.mass import mass_of
from mpc_compiler.check.scalars import computable
from mpc_compiler.errors import RangeError, UnsupportedError
from mpc_compiler.ir import (
    FRACTION_BITS,
    MAX_FLOAT,
    MAX_INT,
    Agg,
    Aggregate,
    Call,
    DType,
    Expr,
    Filter,
    Fit,
    Join,
    Literal,
    Metric,
    Project,
    Rel,
    Schema,
    Shared,
    Union,
    Win,
    Window,
    brief,
    constant_of,
    walk,
)

__all__ = ["check_secret"]

_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def check_secret(rel: Rel) -> None:
    """Check every node of a computation on shares.

    Raises
    ------
    RangeError
        When a value or an intermediate could leave the ring Z/2^64 at 18 fraction bits.
    UnsupportedError
        When an expression cannot be computed on shares.
    """
    for node in walk(rel):
        if isinstance(node, Shared):
            for field in node.fields:
                _fits(field.dtype, field.name, node)
        elif isinstance(node, Project):
            for item in node.items:
                _expression(item.expr, schema_of(node.input))
        elif isinstance(node, Filter):
            _expression(node.predicate, schema_of(node.input))
        elif isinstance(node, Aggregate | Window):
            _aggregate(node)
        elif isinstance(node, Join):
            _join(node)
        elif isinstance(node, Union):
            for pair in zip(schema_of(node.left), schema_of(node.right), strict=True):
                _spelled([field.dtype for field in pair], node)
        made = node.aggs if isinstance(node, Aggregate) else node.wins if isinstance(node, Window) else ()
        if isinstance(node, Fit | Metric) or any(a.function == "mean" for a in made):
            _rows(node)


def _rows(node: Rel) -> None:
    assert isinstance(node, Aggregate | Fit | Metric | Window)
    few = isinstance(node, Metric) or (isinstance(node, Fit) and node.kind == "gbdt")
    limit, rows = 1 << (20 if few else 21 if isinstance(node, Fit) else 22), rows_of(node.input)
    if rows > limit:
        raise RangeError(
            f"{rows} rows are more than the {limit} that this step is exact for",
            code="MPC-0208",
            hint="filter or aggregate at the owners first, or work on a sample",
            node=node,
        )


def _join(node: Join) -> None:
    for side, on in ((node.left, node.left_on), (node.right, node.right_on)):
        for name in on:
            field = schema_of(side).field(name)
            assert field is not None
            _fits(field.dtype, name, node)
    for pair in zip(node.left_on, node.right_on, strict=True):
        _spelled(
            [f.dtype for s, n in zip((node.left, node.right), pair, strict=True) if (f := schema_of(s).field(n))], node
        )
    if node.how in ("semi", "anti", "cross") or node.most:
        return
    if not is_unique(node.left, node.left_on) and not is_unique(node.right, node.right_on):
        names = f"{' and '.join(node.left_on)} nor {' and '.join(node.right_on)}"
        raise UnsupportedError(
            f"neither {names} is known to be unique: how many rows match is a secret, so it needs a bound",
            code="MPC-0332",
            hint="group one side by the key first, declare mpc.Source(data, keys=[...]), or merge(..., max_rows=)",
            node=node,
        )


def _fits(dtype: DType, name: str, node: object) -> None:
    if dtype.kind == "string" and dtype.domain is None and dtype.width is None:
        raise UnsupportedError(
            f"text column {name!r} has neither a public dictionary nor a known width, so it cannot be shared",
            code="MPC-0305",
            hint="drop it, compare it with a constant at its owner, or use it as a merge key only",
            node=node,
        )
    if dtype.numeric and dtype.kind != "bool" and (dtype.lo is None or dtype.hi is None):
        raise RangeError(
            f"{name!r} has no public range, so it cannot be shared",
            code="MPC-0201",
            hint="declare one: mpc.Source(data, ranges={'column': (lo, hi)}); clip() what was divided by what may be 0",
            node=node,
        )
    lo, hi = dtype.bounds
    limit = MAX_FLOAT if dtype.kind == "float" else MAX_INT
    if max(abs(lo), abs(hi)) >= limit:
        reach, most = max(abs(lo), abs(hi)) / dtype.unit, limit / dtype.unit
        held = f"decimal({dtype.scale})" if dtype.kind == "decimal" else dtype.kind
        raise RangeError(
            f"{name!r} may reach {reach:g}, beyond the {most:g} that {held} shares hold",
            code="MPC-0202",
            hint="declare a tighter range, scale the column (thousands instead of units), or use integer cents",
            node=node,
        )


def _expression(expr: Expr, schema: Schema) -> None:
    if not isinstance(expr, Call):
        return
    for arg in expr.args:
        _expression(arg, schema)
    if not computable(expr):
        raise UnsupportedError(
            f"{expr.op!r} cannot be computed on secrets",
            code="MPC-0303",
            hint="apply it to columns of one owner before merging; that owner computes it locally",
            node=expr,
        )
    types = [expr_type(arg, schema) for arg in expr.args]
    result = expr_type(expr, schema)
    if expr.op == "div" and constant_of(expr.args[1]) is None:
        plan_division(expr, types, result)
    if expr.op in ("floordiv", "mod"):
        _whole_division(expr, types)
    if expr.op == "exp":
        _exponent(expr, types[0])
    if expr.op == "mul" and result.kind == "float" and all(constant_of(arg) is None for arg in expr.args):
        _product(expr, types)
    if expr.op in (*_COMPARISONS, "isin", "where", "fillna"):
        _texts(expr, types)
    if result.kind == "float" and _by_fraction(expr, types):
        _fits_fraction(expr, types, result)
    if expr.op in _TOGETHER:
        _common(expr, types[_TOGETHER[expr.op] :])
    if result.kind != "bool":
        _fits(result, brief(expr), expr)


def _by_fraction(expr: Call, types: list[DType]) -> bool:
    """Whether a number is multiplied by a public fraction, as decimals are where they become floats."""
    constants = any(constant_of(arg) is not None for arg in expr.args)
    return (expr.op in ("mul", "div") and constants) or any(t.scale for t in types)


def _fits_fraction(expr: Call, types: list[DType], result: DType) -> None:
    largest = max([*map(abs, result.limits), *(abs(end) for t in types if t.scale for end in t.limits)])
    if largest >= MAX_FLOAT / 2:
        raise RangeError(
            f"{brief(expr)} may reach {largest:g}; what is multiplied by a fraction must stay below {MAX_FLOAT / 2:g}",
            code="MPC-0202",
            hint="declare a tighter range, or scale the column",
            node=expr,
        )


def _whole_division(expr: Call, types: list[DType]) -> None:
    """The dividend as a distance to the lower end of its range must fit."""
    scale = max(t.scale for t in types)
    unit = 2**FRACTION_BITS if any(t.kind == "float" for t in types) else 10**scale
    (low, high), (least, most) = (t.limits for t in types)
    if (high - low + max(abs(least), abs(most)) + 1) * unit >= 2 * MAX_INT:
        raise RangeError(
            f"{brief(expr)} divides what may be {max(abs(low), abs(high)):g}",
            code="MPC-0202",
            hint="declare a tighter range, or do it at the owner",
            node=expr,
        )


def _exponent(expr: Call, dtype: DType) -> None:
    largest, most = dtype.limits[1], math.log(MAX_FLOAT)
    if largest >= most:
        raise RangeError(
            f"{expr!r} of what may be {largest:g}; fixed point holds exponentials of less than {most:.4g}",
            code="MPC-0202",
            hint="declare a tighter range, clip(upper=) the argument, or take the exponential at the owner",
            node=expr,
        )


_TOGETHER = {"eq": 0, "ne": 0, "lt": 0, "le": 0, "gt": 0, "ge": 0, "isin": 0, "where": 1, "fillna": 0, "clip": 0,
             "maximum": 0, "minimum": 0, "exp": 0, "sigmoid": 0}  # fmt: skip
"""Operations whose arguments, from which on, are brought into one type, or into floats."""


def _common(expr: Call, types: list[DType]) -> None:
    """Whole numbers beside floats, and decimals beside those with more digits, must fit in their form, too."""
    numbers = [t for t in types if t.numeric]
    scale = max((t.scale for t in numbers), default=0)
    floats = expr.op in ("exp", "sigmoid") or any(
        t.kind == "float" and not (t.nullable and t.lo == t.hi == 0) for t in numbers
    )
    for dtype in numbers:
        largest = max(map(abs, dtype.limits)) if floats else max(map(abs, dtype.bounds)) * 10 ** (scale - dtype.scale)
        limit = MAX_FLOAT if floats else MAX_INT
        if largest >= limit:
            shown = 1 if floats else 10**scale
            raise RangeError(
                f"{brief(expr)} brings a number of up to {largest / shown:g} into a form that holds {limit / shown:g}",
                code="MPC-0202",
                hint="declare a tighter range, compare whole numbers with whole numbers, or round the longer decimal",
                node=expr,
            )


def _product(expr: Call, types: list[DType]) -> None:
    largest = 1.0
    for dtype in types:
        lo, hi = dtype.limits
        largest *= max(abs(lo), abs(hi))
    if largest >= MAX_FLOAT:
        raise RangeError(
            f"the product {brief(expr)} may reach {largest:g}, beyond the {MAX_FLOAT:g} that float shares hold",
            code="MPC-0203",
            hint="scale a column down (for example to thousands), declare a tighter range, or use whole numbers",
            node=expr,
        )


_MOST_SPELLED = 256


def _spelled(types: Sequence[DType], node: object) -> None:
    """Refuse to write out the texts of a large dictionary on shares, to compare them with texts that have none."""
    largest = max((len(t.domain) for t in types if t.domain is not None), default=0)
    if any(t.width is not None for t in types) and largest > _MOST_SPELLED:
        raise UnsupportedError(
            f"texts of a dictionary of {largest} texts meet texts without a dictionary, on shares",
            code="MPC-0305",
            hint=f"that takes a product for every text of the dictionary; at most {_MOST_SPELLED}",
            node=node,
        )


def _texts(expr: Call, types: list[DType]) -> None:
    types = [t for t, arg in zip(types, expr.args, strict=True) if not isinstance(arg, Literal)]
    _spelled(types, expr)
    columns = len(types) > 1 and all(t.kind == "string" and t.width is None for t in types)
    if columns and expr.op in _COMPARISONS and types[0].domain != types[1].domain:
        raise UnsupportedError(
            f"{brief(expr)} compares texts of different dictionaries",
            code="MPC-0305",
            hint="map both to codes first",
            node=expr,
        )


def _one_word(node: Aggregate | Window, names: Sequence[str], what: str) -> None:
    """Refuse texts of several words where only the first would be looked at."""
    below = schema_of(node.input)
    for name in names:
        field = below.field(name)
        if field is not None and field.dtype.words > 1:
            raise UnsupportedError(
                f"{what} over the text column {name!r}, which has no public dictionary",
                code="MPC-0305",
                hint="group by it, sort by it or count it; or declare a dictionary",
                node=node,
            )


def _quantile(agg: Agg | Win, below: Schema, node: Aggregate | Window) -> None:
    """Interpolation multiplies the distance of two values."""
    field = below.field(agg.column or "")
    assert field is not None
    lo, hi = field.dtype.bounds
    limit = MAX_FLOAT / 2
    if max(abs(lo), abs(hi)) >= limit:
        raise RangeError(
            f"the {agg.function} of {agg.column!r}, from {lo:g} to {hi:g}, needs values below {limit:g}",
            code="MPC-0202",
            hint="declare a tighter range for the column, or scale it down",
            node=node,
        )


def _aggregate(node: Aggregate | Window) -> None:
    below, rows = schema_of(node.input), rows_of(node.input)
    for agg in node.aggs if isinstance(node, Aggregate) else node.wins:
        if agg.column is not None and agg.function in ("min", "max"):
            _one_word(node, [agg.column], agg.function)
        if agg.function in ("median", "quantile"):
            _quantile(agg, below, node)
        if agg.function not in ("sum", "mean") or agg.column is None:
            continue
        dtype = below.field(agg.column)
        assert dtype is not None
        lo, hi = dtype.dtype.bounds
        total = min(max(abs(lo), abs(hi)) * max(rows, 1), mass_of(node.input, agg.column))
        limit = MAX_FLOAT if dtype.dtype.kind == "float" else MAX_INT >> (agg.function == "mean")
        if total >= limit:
            unit = dtype.dtype.unit
            raise RangeError(
                f"the {agg.function} of {agg.column!r} over {rows} rows may reach {total / unit:g}, beyond "
                f"{limit / unit:g}",
                code="MPC-0202",
                hint="declare a tighter range for the column, or scale it down",
                node=node,
            )
