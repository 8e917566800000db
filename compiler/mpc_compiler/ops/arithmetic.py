"""Arithmetic of secret numbers: sums, products, quotients, and covariances of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
from jax import Array

from mpc_compiler.check.division import plan_division
from mpc_compiler.errors import RangeError
from mpc_compiler.ir import DType, Expr, Literal, call, constant_of
from mpc_compiler.ops import numeric
from mpc_compiler.ops.primitives import FRACTION_BITS, compare, encode_fixed, fraction_of, times_rational, wide_multiply
from mpc_compiler.ops.quotient import quotient
from mpc_compiler.ops.table import Column

__all__ = [
    "SLACK",
    "Args",
    "Op",
    "all_valid",
    "combined",
    "comoment",
    "correlation",
    "divide",
    "longer",
    "multiply",
    "nonzero",
    "number_as",
    "room",
    "times_whole",
    "whole_bounds",
]

Args = Sequence[Column]
Op = Callable[[Args, Sequence[DType], DType, Sequence[Expr]], Column]
SLACK = 2.0**-6
"""Fixed-point arithmetic may leave a range by its rounding error."""


def room(largest: float) -> float:
    """How far a number of that size may be outside its range, with room to spare; generous where it costs little.

    Examples
    --------
    >>> room(1.0) < 2.0**-5, room(2.0**40)
    (True, 268435456.015625)
    """
    return SLACK + largest * 2.0**-12


def all_valid(args: Args) -> Array | None:
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
        return longer(value.astype(jnp.int64), result.scale - dtype.scale)
    return _times_constant(value, dtype, Fraction(1)) if dtype.scale else value.astype(jnp.float64)


def longer(value: Array, digits: int) -> Array:
    """A decimal's units with so many more digits."""
    return value * 10**digits if digits else value


def whole_bounds(dtype: DType) -> tuple[int, int]:
    """The public range of whole numbers, or of a decimal's units."""
    lo, hi = dtype.bounds
    return int(lo), int(hi)


def combined(combine: Callable[[Array, Array], Array]) -> Op:
    """A sum or a difference."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        values = (number_as(a.value, t, result) for a, t in zip(args, types, strict=True))
        return Column(combine(*values), all_valid(args))

    return op


def multiply(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """A product: by constants as fractions, of others as :func:`wide_multiply` has it."""
    if result.kind != "float":  # units of decimals multiply, as whole numbers do
        return Column(args[0].value.astype(jnp.int64) * args[1].value.astype(jnp.int64), all_valid(args))
    for this, other in ((0, 1), (1, 0)):
        factor = _factor(raw[other])
        if factor is not None:
            value = _times_constant(args[this].value, types[this], factor)
            return Column(value, all_valid([args[this], args[other]]))
    first, second = (
        number_as(a.value, t, result) if t.kind == "float" or t.scale else a.value.astype(jnp.int64)
        for a, t in zip(args, types, strict=True)
    )
    sizes = [float(max(map(abs, t.limits))) for t in types]
    return Column(wide_multiply(first, second, most=(sizes[0], sizes[1])), all_valid(args))


def _factor(expr: Expr) -> Fraction | None:
    """A constant number as a fraction."""
    value = constant_of(expr)
    if isinstance(value, float):
        return fraction_of(value)
    return Fraction(value) if isinstance(value, int | Decimal) else None


def _times_constant(value: Array, dtype: DType, factor: Fraction) -> Array:
    """A number times a public fraction, as a fixed-point number.

    A small whole one is applied by doubling and adding: local, and free of truncation error.
    """
    factor /= dtype.unit
    if factor.denominator == 1 and abs(factor) <= _SMALL:
        return times_whole(value.astype(jnp.float64), factor.numerator)
    if dtype.kind == "bool":
        value = value.astype(jnp.int64)
    most = max(map(abs, dtype.bounds)) + (SLACK if dtype.kind == "float" else 0)
    return times_rational(value, factor.numerator, factor.denominator, most=most)


_SMALL = 1 << 12


def times_whole(value: Array, factor: int) -> Array:
    """``factor * value`` by additions."""
    total, power, left = jnp.zeros_like(value), value, abs(factor)
    while left:
        if left & 1:
            total = total + power
        power, left = power + power, left >> 1
    return -total if factor < 0 else total


def divide(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """A quotient: by a constant with a product, else as `plan_division` has it."""
    by = _factor(raw[1])
    if by is not None:
        return Column(_times_constant(args[0].value, types[0], 1 / by), args[0].valid)
    expr = call("div", *raw)
    plan, valid = plan_division(expr, list(types), result), all_valid(args[:2])
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


def nonzero(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """The number, missing where it is 0."""
    value = args[0].value
    if types[0].lo is not None and types[0].hi is not None and (types[0].lo > 0 or types[0].hi < 0):
        return args[0]
    most = max(map(abs, types[0].bounds))
    bits = int((most + room(most)) * 2**FRACTION_BITS if types[0].kind == "float" else most).bit_length() + 1
    present = compare(value, jnp.zeros((), value.dtype), "ne", bits=min(bits, 64))
    return Column(value, present if args[0].valid is None else present & args[0].valid)


_MOST_ROWS = 1 << 20


def comoment(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
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


def correlation(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Covariance over the roots of two variances below ``2**24``; missing where one is below 1/4, mostly rounding.

    The reciprocal roots are good to ``2**-15`` relatively; products stay below ``2**26`` by Cauchy and Schwarz.
    """
    covariance, valid = args[0].value, all_valid(args)
    for variance in args[1:]:
        enough = variance.value >= _LEAST_VARIANCE
        valid = enough if valid is None else valid & enough
        safe = jnp.where(enough, variance.value, 1.0)
        root = numeric.rsqrt(safe, low=-2, high=_VARIANCE_BITS, gain=_GAIN)
        covariance = (jnp.where(enough, covariance, 0.0) * root) * 2.0**-_GAIN
    return Column(jnp.clip(covariance, -1.0, 1.0), valid)
