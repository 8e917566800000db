"""Types of roots, logarithms and exponentials: the range that they stay in, and where they are missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc_compiler.check.arithmetic import bounded, ends_of, kind_of_numbers
from mpc_compiler.ir import DType, Expr

__all__ = ["exponential", "logarithm", "logistic", "root"]

_LEAST_LOG = -745.0
"""Below the logarithm of the smallest positive double."""


def root(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Missing below 0."""
    kind_of_numbers(name, types)
    a = ends_of(types[0], "float")
    if a is None:
        return DType("float", True)
    return bounded("float", types[0].nullable or a[0] < 0, (math.sqrt(max(a[0], 0)), math.sqrt(max(a[1], 0))))


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
