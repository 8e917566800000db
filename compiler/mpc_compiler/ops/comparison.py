"""Comparisons of secret values: of texts and dates by their codes, which constants get too."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.check.dates import days_of, microseconds_of
from mpc_compiler.ir import DType, Expr, Literal
from mpc_compiler.ops.arithmetic import Args, Op, all_valid, number_as, room
from mpc_compiler.ops.primitives import FRACTION_BITS, compare
from mpc_compiler.ops.table import Column

__all__ = ["CODED", "aligned_codes", "code_of", "coded_args", "compared", "extreme", "isin", "sign"]

Number = bool | int | float
CODED = ("eq", "ne", "lt", "le", "gt", "ge", "isin")
"""Operations whose texts and dates become codes."""


def coded_args(op: str, args: Sequence[Expr], types: Sequence[DType], visit: Callable[[Expr], Column]) -> list[Column]:
    """Arguments of a comparison as codes; a text that is not in the dictionary falls between two codes."""
    reference = next(t for t, arg in zip(types, args, strict=True) if not isinstance(arg, Literal))
    columns = []
    for arg in args:
        if not isinstance(arg, Literal):
            column = visit(arg)
            columns.append(Column(column.value.astype(jnp.int64) * 2, column.valid))
        else:
            columns.append(Column(jnp.asarray(code_of(str(arg.value), reference), jnp.int64)))
    return columns


def code_of(text: str, dtype: DType) -> int:
    """Twice the code, or an odd number between its neighbours' when the text is not in the dictionary."""
    if dtype.kind == "date":
        return 2 * days_of(text)
    if dtype.kind == "timestamp":
        return 2 * microseconds_of(text)
    domain = dtype.domain or ()
    at = bisect.bisect_left(domain, text)
    return 2 * at if at < len(domain) and domain[at] == text else 2 * at - 1


def aligned_codes(
    args: Sequence[Expr], types: Sequence[DType], result: DType, visit: Callable[[Expr], Column]
) -> list[Column]:
    """Branches of where/fillna as codes of the result's dictionary."""
    columns = []
    for arg, dtype in zip(args, types, strict=True):
        if isinstance(arg, Literal) and isinstance(arg.value, str):
            columns.append(Column(jnp.asarray(code_of(arg.value, result) // 2, jnp.int64)))
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


def compared(test: str, *, when_null: bool) -> Op:
    """A comparison, which is ``when_null`` where an argument is missing."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        value, valid = _tested(test, (args[0].value, args[1].value), types, raw), all_valid(args)
        if valid is None:
            return Column(value)
        return Column(value | ~valid if when_null else value & valid)

    return op


def extreme(*, largest: bool) -> Op:
    """The larger or the smaller of two numbers."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        first = _tested("ge" if largest else "le", (args[0].value, args[1].value), types, raw)
        a, b = (number_as(arg.value, dtype, result) for arg, dtype in zip(args, types, strict=True))
        return Column(jnp.where(first, a, b), all_valid(args))

    return op


def sign(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """-1, 0 or 1, with as many comparisons as the range leaves open."""
    value, (low, high) = args[0].value, types[0].bounds
    zero, sides = Literal(0), (types[0], DType("int", lo=0, hi=0))
    kind = jnp.float64 if result.kind == "float" else jnp.int64
    if low > 0 or high < 0:  # whatever is left of a number that shares round to 0
        return Column(jnp.full(value.shape, 1 if low > 0 else -1, kind), args[0].valid)
    made = jnp.zeros(value.shape, kind)
    for test, there, by in (("gt", high > 0, 1), ("lt", low < 0, -1)):
        if there:
            found = _tested(test, (value, jnp.zeros((), value.dtype)), sides, (raw[0], zero))
            made = made + found.astype(kind) * by
    return Column(made, args[0].valid)


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
    size = _apart((low, high), (least, most), floats=floats)
    return compare(a, b, test, bits=size.bit_length() + 1)


def _apart(first: tuple[Number, Number], second: tuple[Number, Number], *, floats: bool) -> int:
    """How far two numbers are apart at most, in units of what holds them. Floats may leave their ranges by an error."""
    apart = max(second[1] - first[0], first[1] - second[0])
    if not floats:
        return int(apart)
    return int((apart + room(max(map(abs, (*first, *second))))) * 2**FRACTION_BITS)


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
    size = _apart((low, high), (least, most), floats=common.kind == "float")
    return compare(a, b, test, bits=min(size.bit_length() + 1, 64))


def _range(dtype: DType, expr: Expr, coded: DType | None) -> tuple[Number, Number]:
    """What a side of a comparison can be, as `coded_args` gives it if there is a text or a date to code."""
    if isinstance(expr, Literal):
        value = expr.value if coded is None else code_of(str(expr.value), coded)
        return (value, value) if isinstance(value, int | float) else (0, 0)
    low, high = dtype.bounds
    return (low, high) if coded is None else (2 * low, 2 * high)


def isin(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Whether a value equals one of the others; false where it is missing."""
    value = jnp.zeros(args[0].value.shape, jnp.bool_)
    for other, dtype, expr in zip(args[1:], types[1:], raw[1:], strict=True):
        both = other.value if "decimal" in (types[0].kind, dtype.kind) else other.value.astype(args[0].value.dtype)
        pair, sides = (args[0].value, both), (raw[0], expr)
        value = value | _tested("eq", pair, (types[0], dtype), sides)
    return Column(value if args[0].valid is None else value & args[0].valid)
