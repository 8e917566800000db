"""Scalar expressions on columns of shares (or, in the clear, on plain arrays): one entry an operation."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp

from mpc_compiler.check import expr_type
from mpc_compiler.check.dates import DAY
from mpc_compiler.check.division import plan_division
from mpc_compiler.check.scalars import days_of, microseconds_of
from mpc_compiler.errors import RangeError, UnsupportedError
from mpc_compiler.ir import Call, DType, Expr, Literal, Schema, call, constant_of
from mpc_compiler.ir import Column as ColumnRef
from mpc_compiler.ops import numeric
from mpc_compiler.ops.calendar import part_of_date
from mpc_compiler.ops.primitives import FRACTION_BITS, compare, decode_fixed, encode_fixed, fraction_of, times_rational
from mpc_compiler.ops.quotient import quotient
from mpc_compiler.ops.table import Column, Table, cleared
from mpc_compiler.ops.text import evaluate_text

__all__ = ["evaluate", "number_as"]

Number = bool | int | float
Array = jax.Array


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
    if node.op in _CODES and any(t.kind in ("string", "date", "timestamp") for t in types):
        args = _coded(node.op, node.args, types, visit)
    elif node.op in ("fillna", "where") and result.kind in ("string", "date", "timestamp"):
        args = _aligned_codes(node.args, types, result, visit)
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


# --- text, dates: constants become codes ---------------------------------------------------------------------------

_CODES = ("eq", "ne", "lt", "le", "gt", "ge", "isin")


def _coded(op: str, args: Sequence[Expr], types: Sequence[DType], visit: Callable[[Expr], Column]) -> list[Column]:
    """Arguments of a comparison as codes; a text that is not in the dictionary falls between two codes."""
    reference = next(t for t, arg in zip(types, args, strict=True) if not isinstance(arg, Literal))
    columns = []
    for arg in args:
        if not isinstance(arg, Literal):
            column = visit(arg)
            columns.append(Column(column.value.astype(jnp.int64) * 2, column.valid))
        else:
            columns.append(Column(jnp.asarray(_code(str(arg.value), reference), jnp.int64)))
    return columns


def _code(text: str, dtype: DType) -> int:
    """Twice the code, or an odd number between its neighbours' when the text is not in the dictionary."""
    if dtype.kind == "date":
        return 2 * days_of(text)
    if dtype.kind == "timestamp":
        return 2 * microseconds_of(text)
    domain = dtype.domain or ()
    at = bisect.bisect_left(domain, text)
    return 2 * at if at < len(domain) and domain[at] == text else 2 * at - 1


def _aligned_codes(
    args: Sequence[Expr], types: Sequence[DType], result: DType, visit: Callable[[Expr], Column]
) -> list[Column]:
    """Branches of where/fillna as codes of the result's dictionary."""
    columns = []
    for arg, dtype in zip(args, types, strict=True):
        if isinstance(arg, Literal) and isinstance(arg.value, str):
            columns.append(Column(jnp.asarray(_code(arg.value, result) // 2, jnp.int64)))
        elif dtype.kind == "string" and dtype.domain != result.domain and not isinstance(arg, Literal):
            codes = [(result.domain or ()).index(text) for text in dtype.domain or ()]
            column = visit(arg)
            moved = sum(
                (jnp.where(column.value == k, code, 0) for k, code in enumerate(codes)),
                start=jnp.zeros_like(column.value),
            )
            columns.append(Column(moved, column.valid))
        else:
            columns.append(visit(arg))
    return columns


# --- operations ----------------------------------------------------------------------------------------------------

Args = Sequence[Column]
Op = Callable[[Args, Sequence[DType], DType, Sequence[Expr]], Column]


def _both(args: Args) -> Array | None:
    """Validity of a result that needs all arguments."""
    masks = [a.valid for a in args if a.valid is not None]
    if not masks:
        return None
    result = masks[0]
    for mask in masks[1:]:
        result = result & mask
    return result


def number_as(value: Array, dtype: DType, result: DType) -> Array:
    """Numbers of one type as numbers of another of the same or a wider kind; a decimal gets more digits.

    Examples
    --------
    >>> cents, mills = DType("decimal", lo=0, hi=999, scale=2), DType("decimal", lo=0, hi=9999, scale=3)
    >>> [number_as(jnp.array([125]), cents, other).tolist() for other in (mills, DType("float"))]
    [[1250], [1.25]]
    """
    if result.kind != "float":
        return _longer(value.astype(jnp.int64), result.scale - dtype.scale)
    return _times_constant(value, dtype, Fraction(1)) if dtype.scale else value.astype(jnp.float64)


def _longer(value: Array, digits: int) -> Array:
    return value * 10**digits if digits else value


def _whole_bounds(dtype: DType) -> tuple[int, int]:
    lo, hi = dtype.bounds
    return int(lo), int(hi)


def _arithmetic(combine: Callable[[Array, Array], Array]) -> Op:
    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        values = (number_as(a.value, t, result) for a, t in zip(args, types, strict=True))
        return Column(combine(*values), _both(args))

    return op


def _multiply(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """A small whole constant is applied by doubling and adding: local, and free of truncation error."""
    if result.kind != "float":  # units of decimals multiply, as whole numbers do
        return Column(args[0].value.astype(jnp.int64) * args[1].value.astype(jnp.int64), _both(args))
    for this, other in ((0, 1), (1, 0)):
        factor = _factor(raw[other])
        if factor is not None:
            value = _times_constant(args[this].value, types[this], factor)
            return Column(value, _both([args[this], args[other]]))
    first, second = (number_as(a.value, t, result) for a, t in zip(args, types, strict=True))
    return Column(first * second, _both(args))


def _factor(expr: Expr) -> Fraction | None:
    """A constant number as a fraction."""
    value = constant_of(expr)
    if isinstance(value, float):
        return fraction_of(value)
    return Fraction(value) if isinstance(value, int | Decimal) else None


def _times_constant(value: Array, dtype: DType, factor: Fraction) -> Array:
    """A number times a public fraction, as a fixed-point number."""
    factor /= dtype.unit
    if factor.denominator == 1 and abs(factor) <= _SMALL:
        return _times(value.astype(jnp.float64), factor.numerator)
    if dtype.kind == "bool":
        value = value.astype(jnp.int64)
    most = max(map(abs, dtype.bounds)) + (_SLACK if dtype.kind == "float" else 0)
    return times_rational(value, factor.numerator, factor.denominator, most=most)


_SMALL = 1 << 12


def _times(value: Array, factor: int) -> Array:
    """``factor * value`` by additions."""
    total, power, left = jnp.zeros_like(value), value, abs(factor)
    while left:
        if left & 1:
            total = total + power
        power, left = power + power, left >> 1
    return -total if factor < 0 else total


def _divide(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    by = _factor(raw[1])
    if by is not None:
        return Column(_times_constant(args[0].value, types[0], 1 / by), args[0].valid)
    expr = call("div", *raw)
    plan, valid = plan_division(expr, list(types), result), _both(args[:2])
    num, den = args[0].value, args[1].value
    if plan.small:
        num = number_as(num, types[0], result)
        return Column(numeric.ratio(num, den, den_max=max(plan.den_bounds[1] // plan.by, 1)), valid)
    num, den = (_whole(value, t) * f for value, t, f in ((num, types[0], plan.times), (den, types[1], plan.by)))
    found = quotient(num, den, num_max=plan.num_max, den_bounds=plan.den_bounds, limit=plan.limit)
    if plan.after > 1:
        found = times_rational(found, 1, plan.after, most=plan.limit)
    return Column(found, valid)


def _whole(value: Array, dtype: DType) -> Array:
    """The whole number that holds a number."""
    return encode_fixed(value) if dtype.kind == "float" else value.astype(jnp.int64)


def _nonzero(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    value = args[0].value
    if types[0].lo is not None and types[0].hi is not None and (types[0].lo > 0 or types[0].hi < 0):
        return args[0]
    most = max(map(abs, types[0].bounds))
    bits = int((most + _SLACK) * 2**FRACTION_BITS if types[0].kind == "float" else most).bit_length() + 1
    present = compare(value, jnp.zeros((), value.dtype), "ne", bits=min(bits, 64))
    return Column(value, present if args[0].valid is None else present & args[0].valid)


def _compare(test: str, *, when_null: bool) -> Op:
    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        value, valid = _tested(test, (args[0].value, args[1].value), types, raw), _both(args)
        if valid is None:
            return Column(value)
        return Column(value | ~valid if when_null else value & valid)

    return op


def _tested(test: str, values: Sequence[Array], types: Sequence[DType], raw: Sequence[Expr]) -> Array:
    """Compare two values; the kernel is told how far apart they can be where neither is NULL."""
    if any(t.kind == "decimal" for t in types):
        return _decimals_tested(test, values, types)
    a, b = values
    floats = jnp.float64 in (a.dtype, b.dtype)
    a, b = (value.astype(jnp.float64 if floats else jnp.int64) for value in values)
    columns = [t for t, expr in zip(types, raw, strict=True) if not isinstance(expr, Literal)]
    coded = next((t for t in columns if t.kind in ("string", "date", "timestamp")), None)
    (low, high), (least, most) = (_range(t, e, coded) for t, e in zip(types, raw, strict=True))
    apart = max(most - low, high - least)
    size = int((apart + _SLACK) * 2**FRACTION_BITS) if floats else int(apart)
    return compare(a, b, test, bits=size.bit_length() + 1)


def _decimals_tested(test: str, values: Sequence[Array], types: Sequence[DType]) -> Array:
    """Compare decimals with one another and with whole numbers as whole numbers, else as fixed-point ones."""
    common = (
        DType("float") if any(t.kind == "float" for t in types) else DType("decimal", scale=max(t.scale for t in types))
    )
    a, b = (number_as(value, t, common) for value, t in zip(values, types, strict=True))
    (low, high), (least, most) = (
        t.limits if common.kind == "float" else [int(end) * 10 ** (common.scale - t.scale) for end in t.bounds]
        for t in types
    )
    apart = max(most - low, high - least)
    size = int((apart + _SLACK) * 2**FRACTION_BITS) if common.kind == "float" else int(apart)
    return compare(a, b, test, bits=min(size.bit_length() + 1, 64))


_SLACK = 2.0**-6  # fixed-point arithmetic may leave a range by its rounding error


def _range(dtype: DType, expr: Expr, coded: DType | None) -> tuple[Number, Number]:
    """What a side of a comparison can be, as `_coded` gives it if there is a text or a date to code."""
    if isinstance(expr, Literal):
        value = expr.value if coded is None else _code(str(expr.value), coded)
        return (value, value) if isinstance(value, int | float) else (0, 0)
    low, high = dtype.bounds
    return (low, high) if coded is None else (2 * low, 2 * high)


def _isin(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    value = jnp.zeros(args[0].value.shape, jnp.bool_)
    for other, dtype, expr in zip(args[1:], types[1:], raw[1:], strict=True):
        both = other.value if "decimal" in (types[0].kind, dtype.kind) else other.value.astype(args[0].value.dtype)
        pair, sides = (args[0].value, both), (raw[0], expr)
        value = value | _tested("eq", pair, (types[0], dtype), sides)
    return Column(value if args[0].valid is None else value & args[0].valid)


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
    return Column(jnp.asarray(_code(text, dtype) // 2 if isinstance(text, str) else 0, jnp.int64))


def _to_int(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Towards zero, as numpy does."""
    value = args[0].value
    if types[0].kind == "float":
        negative = value < 0
        size = jnp.floor(jnp.where(negative, -value, value)).astype(jnp.int64)
        return Column(jnp.where(negative, -size, size), args[0].valid)
    if types[0].scale:
        return Column(
            _by_sign(value, types[0], lambda size, most: numeric.whole_quotient(size, types[0].unit, bounds=(0, most))),
            args[0].valid,
        )
    return Column(value.astype(jnp.int64), args[0].valid)


def _by_sign(value: Array, dtype: DType, change: Callable[[Array, int], Array]) -> Array:
    """``change(|value|, largest |value|)`` with the sign of ``value``."""
    low, high = _whole_bounds(dtype)
    if low >= 0:
        return change(value, high)
    most = max(-low, high)
    negative = compare(value, jnp.zeros((), jnp.int64), "lt", bits=most.bit_length() + 1)
    size = change(jnp.where(negative, -value, value), most)
    return jnp.where(negative, -size, size)


def _rescale(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """More digits are exact; fewer are rounded, halves away from zero."""
    value, less = args[0].value.astype(jnp.int64), types[0].scale - result.scale
    if less <= 0:
        return Column(_longer(value, -less), args[0].valid)
    unit = 10**less

    def shorter(size: Array, most: int) -> Array:
        return numeric.whole_quotient(size + unit // 2, unit, bounds=(unit // 2, most + unit // 2))

    return Column(_by_sign(value, types[0], shorter), args[0].valid)


def _half_even(value: Array, unit: int, bounds: tuple[int, int]) -> Array:
    """``value / unit`` to the nearest whole number, halves to the even one."""
    half, (low, high) = unit // 2, bounds
    if unit == 1:
        return value
    if unit % 2:
        return numeric.whole_quotient(value + half, unit, bounds=(low + half, high + half))
    up, rest = numeric.whole_divmod(value + half, unit, bounds=(low + half, high + half))
    tie = compare(rest, jnp.zeros((), jnp.int64), "eq", bits=unit.bit_length() + 1)
    odd = up - 2 * numeric.whole_quotient(up, 2, bounds=((low + half) // unit, (high + half) // unit))
    return up - jnp.where(tie, odd, 0)


def _whole_division(*, rest: bool) -> Op:
    """``//`` and ``%`` by a constant, rounding down: exact for what shares hold."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        by = constant_of(raw[1])
        assert isinstance(by, int | float | Decimal)
        value, (low, high) = args[0].value, types[0].bounds
        if "float" in (types[0].kind, types[1].kind):
            value = encode_fixed(number_as(value, types[0], DType("float")))
            low, high = (
                int(end * 2**FRACTION_BITS) for end in (types[0].limits[0] - _SLACK, types[0].limits[1] + _SLACK)
            )
            step = int(by * 2**FRACTION_BITS)
        else:
            scale = max(t.scale for t in types)
            more = 10 ** (scale - types[0].scale)
            value, low, high, step = (
                value.astype(jnp.int64) * more,
                int(low) * more,
                int(high) * more,
                int(by * 10**scale),
            )
        if step < 0:
            value, low, high = -value, -high, -low
        quotient, left = numeric.whole_divmod(value, abs(step), bounds=(int(low), int(high)))
        found = quotient if not rest else left if step > 0 else -left
        if result.kind != "float":
            return Column(found, args[0].valid)
        return Column(decode_fixed(found) if rest else found.astype(jnp.float64), args[0].valid)

    return op


def _to_bool(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Missing values count as true, as NaN does in numpy."""
    value = args[0].value if types[0].kind == "bool" else args[0].value != 0
    return Column(value if args[0].valid is None else value | ~args[0].valid)


def _round(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """To the nearest whole number, halves to the even one, as numpy does; exact for what the fixed point holds."""
    value = args[0].value
    if types[0].kind != "float":
        unit = 10 ** (types[0].scale - result.scale)
        return Column(_half_even(value.astype(jnp.int64), unit, _whole_bounds(types[0])), args[0].valid)
    if len(raw) > 1:
        return _round_places(args, types)
    up = jnp.floor(value + 0.5)
    whole = up.astype(jnp.int64)
    down = (up - value == 0.5) & (whole & 1 == 1)
    return Column(jnp.where(down, up - 1.0, up), args[0].valid)


def _round_places(args: Args, types: Sequence[DType]) -> Column:
    """A float to so many places, by whole numbers: of what the fixed point holds, within its resolution."""
    unit = 10 ** int(args[1].value)
    ends = [
        int((end + slack) * 2**FRACTION_BITS) * unit
        for end, slack in zip(types[0].bounds, (-_SLACK, _SLACK), strict=True)
    ]
    whole = _half_even(encode_fixed(args[0].value) * unit, 1 << FRACTION_BITS, (ends[0], ends[1]))
    bounds = (ends[0] >> FRACTION_BITS, -(-ends[1] >> FRACTION_BITS))
    return Column(times_rational(whole, 1, unit, most=max(map(abs, bounds))), args[0].valid)


_ROOT_BITS = 26
"""``numeric.sqrt`` takes values below two to this."""


def _sqrt(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Square root, missing below 0: within ``2**-16`` of it relatively and ``2**-17`` absolutely.

    A range beyond ``4**13``, what ``numeric.sqrt`` takes, is divided by a public ``4**j`` first, whose rounding moves
    the root of a value near 0 by at most ``2**(j-8)``.
    """
    value, valid = number_as(args[0].value, types[0], result), args[0].valid
    low, high = types[0].limits
    if low < 0:
        inside = value >= 0
        valid = inside if valid is None else valid & inside
        value = jnp.where(inside, value, 0.0)
    bits = max(numeric.power_of_two_above(max(float(high), 0.0) + _SLACK), 1)
    halves = max(-(-(bits - _ROOT_BITS) // 2), 0)
    scaled = value * 4.0**-halves if halves else value
    return Column(_times(numeric.sqrt(scaled, high=min(bits, _ROOT_BITS)), 2**halves), valid)


_MOST_ROWS = 1 << 20


def _comoment(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Mean of products less the product of means, times n / (n - ddof); missing for too few rows.

    Sums are at most 2**40 and means of products 2**22 in size. Quotients are within 2**-16 of the true ones.
    """
    count, rows = args[0].value, int(types[0].bounds[1])
    if rows > _MOST_ROWS:
        raise RangeError(
            f"{rows} rows are more than the {_MOST_ROWS} that a variance is exact for",
            code="MPC-0208",
            hint="filter or aggregate at the owners first, or work on a sample",
        )
    limit, ddof = (float(arg.value) if isinstance(arg, Literal) and arg.value else 0.0 for arg in raw[4:])
    same = raw[1] == raw[2]
    sums = jnp.stack([args[at].value.astype(jnp.float64) for at in ((1, 3) if same else (1, 2, 3))])
    means = numeric.ratio(sums, jnp.maximum(count, 1)[None], den_max=max(rows, 1))
    value = jnp.clip(means[-1] - means[0] * means[-2], 0.0 if same else -limit, limit)
    if ddof:
        value = value + numeric.ratio(value, jnp.maximum(count - 1, 1), den_max=max(rows, 1))
    return Column(value, count > int(ddof))


_LEAST_VARIANCE = 0.25
_VARIANCE_BITS = 24
_GAIN = 11


def _correlation(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Covariance over the roots of two variances below ``2**24``; missing where one is below 1/4, mostly rounding.

    The reciprocal roots are good to ``2**-15`` relatively; products stay below ``2**26`` by Cauchy and Schwarz.
    """
    covariance, valid = args[0].value, _both(args)
    for variance in args[1:]:
        enough = variance.value >= _LEAST_VARIANCE
        valid = enough if valid is None else valid & enough
        safe = jnp.where(enough, variance.value, 1.0)
        root = numeric.rsqrt(safe, low=-2, high=_VARIANCE_BITS, gain=_GAIN)
        covariance = (jnp.where(enough, covariance, 0.0) * root) * 2.0**-_GAIN
    return Column(jnp.clip(covariance, -1.0, 1.0), valid)


def _part(part: str) -> Op:
    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        days, (low, high) = args[0].value, _whole_bounds(types[0])
        if types[0].kind == "timestamp":
            days = numeric.whole_quotient(days, DAY, bounds=(low, high))
            low, high = low // DAY, high // DAY
        return Column(part_of_date(days, part, bounds=(low, high)), args[0].valid)

    return op


def _add_days(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    day = 1 if types[0].kind == "date" else DAY
    return Column(args[0].value + args[1].value.astype(jnp.int64) * day, _both(args))


def _days_between(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    gap, ends = args[0].value - args[1].value, [_whole_bounds(t) for t in types]
    if types[0].kind == "timestamp":
        gap = numeric.whole_quotient(gap, DAY, bounds=(ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]))
    return Column(gap, _both(args))


_OPS: dict[str, Op] = {
    "add": _arithmetic(lambda a, b: a + b),
    "sub": _arithmetic(lambda a, b: a - b),
    "mul": _multiply,
    "div": _divide,
    "floordiv": _whole_division(rest=False),
    "mod": _whole_division(rest=True),
    "neg": lambda args, types, result, raw: Column(-number_as(args[0].value, types[0], result), args[0].valid),
    "abs": lambda args, types, result, raw: Column(jnp.abs(number_as(args[0].value, types[0], result)), args[0].valid),
    "eq": _compare("eq", when_null=False),
    "ne": _compare("ne", when_null=True),
    "lt": _compare("lt", when_null=False),
    "le": _compare("le", when_null=False),
    "gt": _compare("gt", when_null=False),
    "ge": _compare("ge", when_null=False),
    "isin": _isin,
    "and": _kleene(is_and=True),
    "or": _kleene(is_and=False),
    "not": _not,
    "isna": _isna,
    "notna": _notna,
    "fillna": _fillna,
    "where": _where,
    "clip": _clip,
    "int": _to_int,
    "float": lambda args, types, result, raw: Column(number_as(args[0].value, types[0], result), args[0].valid),
    "decimal": lambda args, types, result, raw: Column(args[0].value.astype(jnp.int64), args[0].valid),
    "rescale": _rescale,
    "nonzero": _nonzero,
    "year": _part("year"),
    "quarter": _part("quarter"),
    "month": _part("month"),
    "day": _part("day"),
    "add_days": _add_days,
    "days_between": _days_between,
    "bool": _to_bool,
    "comoment": _comoment,
    "correlation": _correlation,
    "round": _round,
    "round_to": _round,
    "sqrt": _sqrt,
}
