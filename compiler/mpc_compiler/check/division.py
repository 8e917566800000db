"""How a number is divided by a secret: which divisors cannot be 0, and which whole numbers are divided for it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mpc_compiler.errors import RangeError, UnsupportedError
from mpc_compiler.ir import FRACTION_BITS, Call, DType, brief
from mpc_compiler.ir.types import Number

__all__ = ["Division", "divisor_bounds", "plan_division"]

_WHOLE = 1 << 61
_SMALL = 1 << 20
_LARGEST = 2.0**43
_LEAST = 2.0**-10
"""A smaller divisor would be off by more than 1 in 256 from its own rounding alone."""
_RATIO_NUM = 2.0**40
_RATIO_RESULT = 2.0**24


@dataclass(frozen=True)
class Division:
    """``(num * times) / (den * by) / after`` for the whole numbers that hold the two.

    Attributes
    ----------
    times, by, after : int
        Public factors that put both into the same units.
    num_max : int
        ``|num * times|`` at most.
    den_bounds : (int, int)
        Public range of ``den * by``.
    limit : float
        Largest size of the quotient before it is divided by ``after``.
    small : bool
        A whole-numbered divisor so small that :func:`mpc_compiler.ops.numeric.ratio` takes it.
    """

    times: int
    by: int
    after: int
    num_max: int
    den_bounds: tuple[int, int]
    limit: float
    small: bool


def divisor_bounds(dtype: DType) -> tuple[Number, Number, Number] | None:
    """Range of a divisor, and the smallest size that it has; None if it may be 0 or has no range.

    Examples
    --------
    >>> divisor_bounds(DType("int", lo=0, hi=9)), divisor_bounds(DType("int", True, lo=-5, hi=9, nonzero=True))
    (None, (-5, 9, 1))
    """
    if dtype.kind == "bool" or dtype.lo is None or dtype.hi is None:
        return None
    lo, hi = dtype.lo, dtype.hi
    if not (lo > 0 or hi < 0):
        if not dtype.nonzero or lo == hi:
            return None
        unit: Number = 2.0**-FRACTION_BITS if dtype.kind == "float" else 1
        lo, hi = (unit if lo == 0 else lo), (-unit if hi == 0 else hi)
        if lo < 0 < hi:
            return lo, hi, unit
    return lo, hi, min(abs(lo), abs(hi))


def plan_division(expr: Call, types: list[DType], result: DType) -> Division:
    """How ``num / den`` is computed on shares.

    Raises
    ------
    UnsupportedError
        MPC-0306: the divisor may be 0.
    RangeError
        MPC-0202, MPC-0203: the quotient, or what is divided, may leave the ring.
    """
    num, den = types[:2]
    found = divisor_bounds(den)
    if found is None:
        lo, hi = den.limits
        raise UnsupportedError(
            f"cannot divide by the secret {brief(expr.args[1])} with range [{lo:g}, {hi:g}]",
            code="MPC-0306",
            hint="it may be 0: declare a range without 0, or divide by y.where(y != 0); in SQL by NULLIF(y, 0)",
            node=expr,
        )
    lo, hi, least = found
    if den.kind == "float" and least < _LEAST:
        raise RangeError(
            f"the divisor {brief(expr.args[1])} may be as small as {least:g}; fixed point holds multiples of "
            f"{2**-FRACTION_BITS:g}",
            code="MPC-0203",
            hint=f"declare a range of {_LEAST:g} and more in size, scale the column up, or divide at the owner",
            node=expr,
        )
    ratio = Fraction(_unit(den), _unit(num))
    largest = max(map(abs, num.bounds)) * (2**FRACTION_BITS if num.kind == "float" else 1)
    scale = 2**FRACTION_BITS if den.kind == "float" else 1
    den_bounds = (int(lo * scale) - (scale > 1), int(hi * scale) + (scale > 1))
    times, by, after = ratio.numerator, ratio.denominator, 1
    if max(map(abs, den_bounds)) * by >= _WHOLE:
        by, after = 1, by
    num_max = int(largest) * times + 1
    limit = (max(map(abs, result.bounds)) + 2.0**-FRACTION_BITS) * after
    if num_max >= _WHOLE or max(map(abs, den_bounds)) * by >= _WHOLE or limit >= _LARGEST:
        raise RangeError(
            f"the quotient {brief(expr)} may reach {limit / after:g} of numbers up to {max(map(abs, num.limits)):g}, "
            "more than can be divided",
            code="MPC-0203",
            hint="declare tighter ranges (of the divisor: away from 0), or divide at the owner",
            node=expr,
        )
    small = den.kind == "int" and den_bounds[0] >= 0 and den_bounds[1] * by <= _SMALL
    small = small and max(map(abs, num.limits)) < _RATIO_NUM and limit < _RATIO_RESULT
    return Division(times, by, after, num_max, (den_bounds[0] * by, den_bounds[1] * by), limit, small)


def _unit(dtype: DType) -> int:
    return 2**FRACTION_BITS if dtype.kind == "float" else dtype.unit
