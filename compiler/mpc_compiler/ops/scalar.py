"""Scalar expressions on columns of shares (or, in the clear, on plain arrays): one entry an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.check import expr_type
from mpc_compiler.check.dates import DAY
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import Call, DType, Expr, Literal, Schema, constant_of
from mpc_compiler.ir import Column as ColumnRef
from mpc_compiler.ops import numeric
from mpc_compiler.ops.arithmetic import (
    Args,
    Op,
    all_valid,
    combined,
    comoment,
    correlation,
    divide,
    multiply,
    nonzero,
    number_as,
    whole_bounds,
)
from mpc_compiler.ops.calendar import part_of_date
from mpc_compiler.ops.comparison import CODED, aligned_codes, code_of, coded_args, compared, extreme, isin, sign
from mpc_compiler.ops.functions import exp, log, sigmoid, sqrt
from mpc_compiler.ops.rounding import rescale, rounded, to_int, whole_division
from mpc_compiler.ops.table import Column, Table, cleared
from mpc_compiler.ops.text import evaluate_text

__all__ = ["evaluate"]


def evaluate(expr: Expr, table: Table, schema: Schema) -> Column:
    """``expr`` over the rows of ``table``.

    Parameters
    ----------
    expr : Expr
        Every operation in it must be computable on secrets (see :mod:`mpc_compiler.check.ranges`).
    table : Table
        Columns of n rows.
    schema : Schema
        Types of the table's columns: dictionaries decide how text constants become codes.

    Returns
    -------
    Column
        n values and, if some may be missing, their validity.

    Examples
    --------
    >>> import jax, numpy as np
    >>> from mpc_compiler.check import schema_of
    >>> from mpc_compiler.rules.examples import expression, loans
    >>> table = Table({"age": Column(np.array([20, 30]))})
    >>> evaluate(expression("age * 2 + 1"), table, schema_of(loans)).value.tolist()
    [41, 61]
    """
    done: dict[Expr, Column] = {}

    def visit(node: Expr) -> Column:
        if node not in done:
            done[node] = _node(node, visit, table, schema)
        return done[node]

    if isinstance(expr, Literal) and isinstance(expr.value, str):
        return Column(jnp.zeros(table.rows, jnp.int64))  # the only text of its dictionary
    column = visit(expr)
    if not _zero_where_null(expr):
        words = tuple(cleared(word, column.valid) for word in column.rest)
        column = Column(cleared(column.value, column.valid), column.valid, words)
    if column.value.ndim == 0:
        return column.mapped(lambda array: jnp.broadcast_to(array, (table.rows,)))
    return column


def _zero_where_null(node: Expr) -> bool:
    """Whether the operation itself leaves 0 where its result is missing, as every column of a table must have it."""
    if not isinstance(node, Call) or node.op in _CLEARING:
        return True
    if node.op in _KEEPING or (node.op == "div" and constant_of(node.args[1]) is not None):
        return all(_zero_where_null(arg) for arg in node.args)
    return False


_CLEARING = ("eq", "ne", "lt", "le", "gt", "ge", "isin", "and", "or", "not", "isna", "notna", "clip", "bool")
_KEEPING = (
    "neg", "abs", "mul", "float", "int", "round", "round_to", "sqrt", "where", "fillna", "decimal", "rescale",
    "nonzero",
)  # fmt: skip


def _node(node: Expr, visit: Callable[[Expr], Column], table: Table, schema: Schema) -> Column:
    if isinstance(node, ColumnRef):
        return table.columns[node.name]
    if isinstance(node, Literal):
        return _constant(node.value)
    types = [expr_type(arg, schema) for arg in node.args]
    result = expr_type(node, schema)
    if any(t.width is not None for t in types):
        text = evaluate_text(node, types, result, visit)
        if text is not None:
            return text
    if node.op in CODED and any(t.kind in ("string", "date", "timestamp") for t in types):
        args = coded_args(node.op, node.args, types, visit)
    elif node.op in ("fillna", "where") and result.kind in ("string", "date", "timestamp"):
        args = aligned_codes(node.args, types, result, visit)
    else:
        dates = node.op == "clip" and result.kind in ("date", "timestamp")
        args = [visit(arg) for arg in (node.args[:1] if dates else node.args)]
    return _OPS[node.op](args, types, result, node.args)


def _constant(value: bool | int | float | str | None) -> Column:
    if value is None:
        return Column(jnp.zeros((), jnp.float64), jnp.zeros((), jnp.bool_))
    if isinstance(value, str):
        raise UnsupportedError(f"the text {value!r} stands where a number is needed", code="MPC-0303")
    kind = jnp.bool_ if isinstance(value, bool) else jnp.int64 if isinstance(value, int) else jnp.float64
    return Column(jnp.asarray(value, kind))


def _kleene(*, is_and: bool) -> Op:
    """Three-valued logic, as DuckDB and pandas' nullable booleans have it."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        a, b = args
        value = a.value & b.value if is_and else a.value | b.value
        if a.valid is None and b.valid is None:
            return Column(value)
        known = [jnp.ones_like(c.value) if c.valid is None else c.valid for c in args]
        decided = [k & (~c.value if is_and else c.value) for k, c in zip(known, args, strict=True)]
        valid = (known[0] & known[1]) | decided[0] | decided[1]
        return Column(value & valid, valid)

    return op


def _not(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    valid = args[0].valid
    return Column(~args[0].value if valid is None else ~args[0].value & valid, valid)


def _isna(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    valid = args[0].valid
    return Column(jnp.zeros(args[0].value.shape, jnp.bool_) if valid is None else ~valid)


def _notna(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    valid = args[0].valid
    return Column(jnp.ones(args[0].value.shape, jnp.bool_) if valid is None else valid)


def _shaped(value: Array, dtype: DType, result: DType) -> Array:
    if result.kind == "bool":
        return value.astype(jnp.bool_)
    return number_as(value, dtype, result)


def _fillna(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    valid = args[0].valid
    if valid is None:
        return args[0]
    value = jnp.where(valid, _shaped(args[0].value, types[0], result), _shaped(args[1].value, types[1], result))
    return Column(value, None if args[1].valid is None else valid | args[1].valid)


def _where(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    condition = args[0].value if args[0].valid is None else args[0].value & args[0].valid
    value = jnp.where(condition, _shaped(args[1].value, types[1], result), _shaped(args[2].value, types[2], result))
    if args[1].valid is None and args[2].valid is None:
        return Column(value)
    masks = [jnp.ones((), jnp.bool_) if a.valid is None else a.valid for a in args[1:]]
    return Column(value, (condition & masks[0]) | (~condition & masks[1]))


def _clip(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    if result.kind in ("date", "timestamp"):
        types = [result] * len(types)
        args = [args[0], *(_moment(arg, result) for arg in raw[1:])]
    value = number_as(args[0].value, types[0], result)
    for at, pick in ((1, jnp.maximum), (2, jnp.minimum)):
        if constant_of(raw[at]) is not None:
            value = pick(value, number_as(args[at].value, types[at], result))
    valid = args[0].valid
    return Column(value if valid is None else jnp.where(valid, value, 0), valid)


def _moment(expr: Expr, dtype: DType) -> Column:
    text = constant_of(expr)
    return Column(jnp.asarray(code_of(text, dtype) // 2 if isinstance(text, str) else 0, jnp.int64))


def _to_bool(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Missing values count as true, as NaN does in numpy."""
    value = args[0].value if types[0].kind == "bool" else args[0].value != 0
    return Column(value if args[0].valid is None else value | ~args[0].valid)


def _part(part: str) -> Op:
    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        days, (low, high) = args[0].value, whole_bounds(types[0])
        if types[0].kind == "timestamp":
            days = numeric.whole_quotient(days, DAY, bounds=(low, high))
            low, high = low // DAY, high // DAY
        return Column(part_of_date(days, part, bounds=(low, high)), args[0].valid)

    return op


def _add_days(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    day = 1 if types[0].kind == "date" else DAY
    return Column(args[0].value + args[1].value.astype(jnp.int64) * day, all_valid(args))


def _days_between(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    gap, ends = args[0].value - args[1].value, [whole_bounds(t) for t in types]
    if types[0].kind == "timestamp":
        gap = numeric.whole_quotient(gap, DAY, bounds=(ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]))
    return Column(gap, all_valid(args))


_OPS: dict[str, Op] = {
    "add": combined(lambda a, b: a + b),
    "sub": combined(lambda a, b: a - b),
    "mul": multiply,
    "div": divide,
    "floordiv": whole_division(rest=False),
    "mod": whole_division(rest=True),
    "neg": lambda args, types, result, raw: Column(-number_as(args[0].value, types[0], result), args[0].valid),
    "abs": lambda args, types, result, raw: Column(jnp.abs(number_as(args[0].value, types[0], result)), args[0].valid),
    "eq": compared("eq", when_null=False),
    "ne": compared("ne", when_null=True),
    "lt": compared("lt", when_null=False),
    "le": compared("le", when_null=False),
    "gt": compared("gt", when_null=False),
    "ge": compared("ge", when_null=False),
    "isin": isin,
    "and": _kleene(is_and=True),
    "or": _kleene(is_and=False),
    "not": _not,
    "isna": _isna,
    "notna": _notna,
    "fillna": _fillna,
    "where": _where,
    "clip": _clip,
    "int": to_int,
    "float": lambda args, types, result, raw: Column(number_as(args[0].value, types[0], result), args[0].valid),
    "decimal": lambda args, types, result, raw: Column(args[0].value.astype(jnp.int64), args[0].valid),
    "rescale": rescale,
    "nonzero": nonzero,
    "year": _part("year"),
    "quarter": _part("quarter"),
    "month": _part("month"),
    "day": _part("day"),
    "add_days": _add_days,
    "days_between": _days_between,
    "bool": _to_bool,
    "comoment": comoment,
    "correlation": correlation,
    "round": rounded,
    "round_to": rounded,
    "sqrt": sqrt,
    "sigmoid": sigmoid,
    "maximum": extreme(largest=True),
    "minimum": extreme(largest=False),
    "sign": sign,
    "log": log,
    "exp": exp,
}
