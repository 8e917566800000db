"""Secret numbers rounded: to whole numbers, to fewer digits, and to multiples of a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ir import DType, Expr, constant_of
from mpc_compiler.ops import numeric
from mpc_compiler.ops.arithmetic import SLACK, Args, Op, longer, number_as, whole_bounds
from mpc_compiler.ops.primitives import FRACTION_BITS, compare, decode_fixed, encode_fixed, times_rational
from mpc_compiler.ops.table import Column

__all__ = ["rescale", "rounded", "to_int", "whole_division"]


def to_int(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
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
    low, high = whole_bounds(dtype)
    if low >= 0:
        return change(value, high)
    most = max(-low, high)
    negative = compare(value, jnp.zeros((), jnp.int64), "lt", bits=most.bit_length() + 1)
    size = change(jnp.where(negative, -value, value), most)
    return jnp.where(negative, -size, size)


def rescale(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """More digits are exact; fewer are rounded, halves away from zero."""
    value, less = args[0].value.astype(jnp.int64), types[0].scale - result.scale
    if less <= 0:
        return Column(longer(value, -less), args[0].valid)
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


def whole_division(*, rest: bool) -> Op:
    """``//`` and ``%`` by a constant, rounding down: exact for what shares hold."""

    def op(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
        by = constant_of(raw[1])
        assert isinstance(by, int | float | Decimal)
        value, (low, high) = args[0].value, types[0].bounds
        if abs(by) == 1 and types[0].kind == "float" and not rest:
            return Column(jnp.floor(value if by > 0 else -value), args[0].valid)
        if "float" in (types[0].kind, types[1].kind):
            value = encode_fixed(number_as(value, types[0], DType("float")))
            low, high = (
                int(end * 2**FRACTION_BITS) for end in (types[0].limits[0] - SLACK, types[0].limits[1] + SLACK)
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


def rounded(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """To the nearest whole number, halves to the even one, as numpy does; exact for what the fixed point holds."""
    value = args[0].value
    if types[0].kind != "float":
        unit = 10 ** (types[0].scale - result.scale)
        return Column(_half_even(value.astype(jnp.int64), unit, whole_bounds(types[0])), args[0].valid)
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
        for end, slack in zip(types[0].bounds, (-SLACK, SLACK), strict=True)
    ]
    whole = _half_even(encode_fixed(args[0].value) * unit, 1 << FRACTION_BITS, (ends[0], ends[1]))
    bounds = (ends[0] >> FRACTION_BITS, -(-ends[1] >> FRACTION_BITS))
    return Column(times_rational(whole, 1, unit, most=max(map(abs, bounds))), args[0].valid)
