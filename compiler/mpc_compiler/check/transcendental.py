"""Types of roots, logarithms and exponentials: the range that they stay in, and where they are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc_compiler.check.arithmetic import bounded, ends_of, kind_of_numbers
from mpc_compiler.ir import DType, Expr

__all__ = ["exponential", "logarithm", "logistic", "root", "root_error", "root_halves"]

_LEAST_LOG = -745.0
"""Below the logarithm of the smallest positive double."""


_ROOT_BITS = 26
"""What has a root in fixed point as it is, is below two to this."""


def root_halves(high: float) -> int:
    """The least j for which numbers up to `high`, over ``4**j``, have a root in fixed point as they are.

    Examples
    --------
    >>> root_halves(2.0**26), root_halves(2.0**26 + 1), root_halves(2.0**43)
    (0, 1, 9)
    """
    mantissa, exponent = math.frexp(max(high, 1.0))
    return max(-(-(exponent - (mantissa == 0.5) - _ROOT_BITS) // 2), 0)


def root_error(high: float) -> float:
    """How far the root of a number up to `high` that is exact may be off on shares."""
    halves = root_halves(high + 1)
    return math.sqrt(max(high, 1.0)) * 2.0**-16 + 2.0**-17 + (2.0 ** (halves - 8) if halves else 0.0)


def root(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Missing below 0. A root that may be off by much may leave the range of the true ones by that much.

    Examples
    --------
    >>> root("sqrt", [DType("int", lo=4, hi=9)], []), root("sqrt", [DType("float", lo=0.25, hi=2.0**40)], []).lo
    (float[2..3], 0.0)
    """
    kind_of_numbers(name, types)
    a = ends_of(types[0], "float")
    if a is None:
        return DType("float", True)
    low, high = (math.sqrt(max(end, 0)) for end in a)
    off = root_error(float(a[1])) if root_halves(float(a[1]) + 1) else 0.0
    return bounded("float", types[0].nullable or a[0] < 0, (max(low - off, 0.0), high + off))


def logarithm(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Missing at 0 and below.

    Examples
    --------
    >>> logarithm("log", [DType("int", lo=-3, hi=1)], []), logarithm("log", [DType("float", lo=0.0, hi=1.0)], [])
    (float[0..0]?, float[-745..0]?)
    """
    kind_of_numbers(name, types)
    a = ends_of(types[0], "float")
    if a is None:
        return DType("float", True)
    low, high = (float(end) for end in a)
    if low > 0:
        return bounded("float", types[0].nullable, (math.log(low), math.log(high)))
    least = _LEAST_LOG if types[0].kind == "float" else 0.0 - math.log(types[0].unit)
    return bounded("float", True, (least, max(math.log(high), least)) if high > 0 else (0.0, 0.0))


def exponential(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Without a range where doubles have none."""
    kind_of_numbers(name, types)
    a = ends_of(types[0], "float")
    try:
        bounds = None if a is None else (math.exp(a[0]), math.exp(a[1]))
    except OverflowError:
        bounds = None
    return bounded("float", bounds is None or types[0].nullable, bounds)


def logistic(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """From 0 to 1."""
    kind_of_numbers(name, types)
    a = ends_of(types[0], "float")
    return bounded("float", types[0].nullable, None if a is None else (_sigmoid(a[0]), _sigmoid(a[1])))


def _sigmoid(x: float) -> float:
    small = math.exp(-abs(x))
    return (1 if x >= 0 else small) / (1 + small)
