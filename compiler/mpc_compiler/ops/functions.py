"""Roots, logarithms and exponentials of secret columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.check.transcendental import root_halves
from mpc_compiler.ir import DType, Expr
from mpc_compiler.ops import numeric
from mpc_compiler.ops.arithmetic import SLACK, Args, number_as, times_whole
from mpc_compiler.ops.primitives import FRACTION_BITS, bounded_exp, bounded_log, compare, times_rational
from mpc_compiler.ops.sigmoid import sigmoid as logistic_of
from mpc_compiler.ops.table import Column

__all__ = ["exp", "log", "sigmoid", "sqrt"]


def sqrt(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Square root, missing below 0: within ``2**-16`` of it relatively and ``2**-17`` absolutely.

    A range beyond ``4**13``, what ``numeric.sqrt`` takes, is divided by a public ``4**j`` first, whose rounding moves
    the root of a value near 0 by at most ``2**(j-8)``.
    """
    (low, high), valid = types[0].limits, args[0].valid
    bits = max(numeric.power_of_two_above(max(float(high), 0.0) + SLACK), 1)
    halves = root_halves(max(float(high), 0.0) + SLACK)
    value = _divided(args[0].value, types[0], 4**halves)
    if low < 0:
        inside = args[0].value >= 0
        valid = inside if valid is None else valid & inside
        value = jnp.where(inside, value, 0.0)
    return Column(times_whole(numeric.sqrt(value, high=bits - 2 * halves), 2**halves), valid)


def _divided(value: Array, dtype: DType, by: int) -> Array:
    """A number over a public power of four as a fixed-point number, which a large whole one is only then."""
    if by == 1:
        return number_as(value, dtype, DType("float"))
    slack = SLACK if dtype.kind == "float" else 0
    return times_rational(value, 1, dtype.unit * by, most=max(map(abs, dtype.bounds)) + slack)


def log(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Natural logarithm, missing at 0 and below; see :func:`bounded_log`.

    Numbers that are positive but may be 0 or less by their rounding count as the smallest positive one there.
    """
    value, valid, dtype = args[0].value, args[0].valid, types[0]
    value = value.astype(jnp.int64) if dtype.kind == "bool" else value
    unit = 2**FRACTION_BITS if dtype.kind == "float" else 1
    slack = SLACK * unit if unit > 1 else 0
    low, high = math.floor(dtype.bounds[0] * unit - slack), math.ceil(dtype.bounds[1] * unit + slack)
    if low < 1:
        inside = compare(value, jnp.zeros((), value.dtype), "gt", bits=min(max(high, -low).bit_length() + 1, 64))
        value = jnp.where(inside, value, jnp.asarray(1 / unit, value.dtype))
        if dtype.bounds[0] <= 0:
            valid = inside if valid is None else valid & inside
    found = bounded_log(value, low=max(low, 1).bit_length() - 1, high=max(high, 1).bit_length())
    return Column(found - math.log(dtype.unit) if dtype.scale else found, valid)


def exp(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """Exponential; see :func:`bounded_exp`."""
    low, high = types[0].limits
    value = number_as(args[0].value, types[0], result)
    return Column(bounded_exp(value, low=float(low), high=float(high)), args[0].valid)


_FAR = 2.0**20
"""The logistic function takes values below ``2**26``; here it is 0 or 1 long before."""


def sigmoid(args: Args, types: Sequence[DType], result: DType, raw: Sequence[Expr]) -> Column:
    """``1 / (1 + exp(-x))`` within ``2**-13``."""
    value = number_as(args[0].value, types[0], result)
    if max(map(abs, types[0].limits)) > _FAR:
        value = jnp.clip(value, -_FAR, _FAR)
    return Column(logistic_of(value), args[0].valid)
