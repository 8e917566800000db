"""Variance, standard deviation and correlation as sums: what an aggregation computes, and expressions over its result.

Every column is first centred on the middle of its public range and scaled by a public power of two, so that fixed
point holds its squares well. Neither changes a correlation, and a variance only by a public factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mpc_compiler.check import expr_type
from mpc_compiler.ir import Expr, Schema, call, literal

__all__ = ["Sums"]

_HALF_BITS = 11
_SUM_BITS = 40
_FINEST = -9
_LARGEST_FACTOR = 12


class Sums:
    """Statistics of columns by the sums that they are made of.

    Parameters
    ----------
    schema : Schema
        Of the rows.
    rows : int
        How many there are at most.
    aggregate : callable
        (function, expression over the rows) to the expression over the groups that holds that aggregate.

    Notes
    -----
    On shares, with W the width of a column's public range, a variance is within ``W**2 * 2**-20 + W * 2**-16 + 2**-16``
    of the true one (call that d), a standard deviation s within ``min(d / s, sqrt(d)) + s * 2**-15 + 2**-16``. It is
    derived from 18 fraction bits: products are off by ``2**-17``, quotients by ``2**-16``, and the factor n / (n - 1)
    is at most 2. In the clear both are double precision.
    """

    def __init__(self, schema: Schema, rows: int, aggregate: Callable[[str, Expr], Expr]) -> None:
        self._schema, self._rows, self._aggregate = schema, rows, aggregate

    def correlation(self, left: Expr, right: Expr) -> Expr:
        """Pearson's correlation of the rows where both are present."""
        a, b, count = self._pair(left, right)
        spreads = [self._comoment(x, x, count, 0) for x in (a, b)]
        return call("correlation", self._comoment(a, b, count, 0), *spreads)

    def spread(self, expr: Expr, function: str, ddof: int) -> Expr:
        """The variance (``var``) or standard deviation (``std``)."""
        scaled, k = self._scaled(expr)
        value = self._comoment(scaled, scaled, self._aggregate("count", scaled), ddof)
        return _times_power(call("sqrt", value), k) if function == "std" else _times_power(value, 2 * k)

    def _pair(self, left: Expr, right: Expr) -> tuple[Expr, Expr, Expr]:
        """Both columns scaled, each only where the other is there, and how many rows have both."""
        pair = []
        for this, other in ((left, right), (right, left)):
            if expr_type(other, self._schema).nullable:
                this = call("where", call("notna", other), this, literal(None))
            pair.append(this)
        a, b = (self._scaled(expr)[0] for expr in pair)
        return a, b, self._aggregate("count", call("mul", a, b))

    def _scaled(self, expr: Expr) -> tuple[Expr, int]:
        """(the column centred and divided by ``2**k``, k): at most ``2**11`` in size, and less where rows are many."""
        dtype = expr_type(expr, self._schema)
        low, high = dtype.bounds
        centre = (low + high) / 2 if dtype.kind == "float" else (low + high) // 2
        half = max((high - centre) / dtype.unit, (centre - low) / dtype.unit, 2.0**-20)
        most = min(_HALF_BITS, (_SUM_BITS - max(self._rows, 1).bit_length()) // 2)
        k = max(math.frexp(half)[1] - most, _FINEST)
        middle = call("decimal", literal(int(centre)), literal(dtype.scale)) if dtype.scale else literal(centre)
        centred = call("sub", expr, middle)
        return _times_power(call("float", centred), -k), k

    def _half(self, scaled: Expr) -> float:
        low, high = expr_type(scaled, self._schema).bounds
        return float(max(abs(low), abs(high)))

    def _comoment(self, a: Expr, b: Expr, count: Expr, ddof: int) -> Expr:
        sums = [self._aggregate("sum", x) for x in (a, b, call("mul", a, b))]
        return call("comoment", count, *sums, literal(self._half(a) * self._half(b)), literal(ddof))


def _times_power(value: Expr, exponent: int) -> Expr:
    """``value * 2**exponent`` by factors that shares apply without a rounding error where they are whole.

    None is so small that ``ops.rational.fraction_of`` would take it for 0.
    """
    while exponent:
        step = max(min(exponent, _LARGEST_FACTOR), -18)
        value, exponent = call("mul", value, literal(2.0**step)), exponent - step
    return value
