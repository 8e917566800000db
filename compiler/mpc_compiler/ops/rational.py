"""Secret numbers times public fractions, to the last bit of the fixed point, without comparisons.

A product with a public constant in SPU is ``(x * c) >> 18`` on the integers behind the fixed point, with
``c = round(constant * 2**18)``: off by ``|x| * 2**-19``, and wrong beyond any measure where ``x * c`` leaves the ring.
Here the constant is a fraction N / D, and an estimate y of ``x * N / D`` is corrected: the rest ``x * N - y * D`` is
exact modulo 2**64 whatever x is, because it is small, and its own quotient by D is estimated in turn. Two or three
estimates leave the error of one truncation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import jax.numpy as jnp
from jax import Array, core, lax
from jax.interpreters import mlir

from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.errors import RangeError
from mpc_compiler.ops.define import FRACTION_BITS, Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed

__all__ = ["RATIONAL", "cut", "fraction_of", "in_ring", "rational_error", "times_rational"]

_MOST = 1 << 62
"""What an intermediate integer stays below."""
_LONGEST = 16
"""SPU 0.9.5 takes truncating factors from 2**-16: of 1 to 3 units of 2**-18 it is wrong above 2**45 units."""
_FIRST = 4
_DENOMINATOR = 1 << 22
_ENOUGH = 1.125


@dataclass(frozen=True)
class _Estimate:
    """``(((v >> first) >> shift) * factor) >> after``, and how far it may be from the true product.

    ``after`` is 16 or 0. ``first`` is 0 but for numbers that are too large to be truncated by a product.
    """

    shift: int
    factor: int
    after: int
    error: float
    first: int = 0


@cache
def _estimate(ratio: Fraction, most: int) -> _Estimate | None:
    """The best estimate of ``v * ratio`` for ``|v| <= most`` that stays inside the ring."""
    if most >= _MOST >> 3:
        made = _estimate(ratio * (1 << _FIRST), (most >> _FIRST) + 1)
        return made and replace(made, error=made.error + float(abs(ratio)) * (1 << _FIRST), first=_FIRST)
    ways = ((shift, after) for shift in range(64) for after in (_LONGEST, 0))
    found = [made for way in ways if (made := _with_shift(ratio, most, *way)) is not None]
    return min(found, key=lambda made: (made.error, made.shift), default=None)


def _with_shift(ratio: Fraction, most: int, shift: int, after: int) -> _Estimate | None:
    left, lost = most, 0.0
    for piece in _pieces(shift):
        if left << (FRACTION_BITS - piece) >= _MOST:
            return None
        left, lost = (left >> piece) + 2, (lost + 1) / 2**piece + 1
    exact = ratio * 2 ** (shift + after)
    factor = round(exact)
    if abs(factor) * left << (FRACTION_BITS - after if after else 0) >= _MOST:
        return None
    error = float(abs(exact - factor) * left + lost * abs(factor)) / 2**after + (1 + 2.0**-after) * (after > 0)
    return _Estimate(shift, factor, after, error)


def _pieces(shift: int) -> list[int]:
    whole, rest = divmod(shift, _LONGEST)
    return [_LONGEST] * whole + ([rest] if rest else [])


@cache
def _plan(num: int, den: int, most: int) -> tuple[tuple[_Estimate, ...], float]:
    """The estimates, and the error of their sum in units of the result."""
    if den == 1:
        return (), 0.0
    first = _estimate(Fraction(num, den), most)
    if first is None:
        raise RangeError(
            f"{most} units times {num}/{den} may leave the ring", code="MPC-0202", hint="declare a tighter range"
        )
    steps, error = [first], first.error
    while error > _ENOUGH and error * den < _MOST:
        following = _estimate(Fraction(1, den), int(error * den) + 1)
        if following is None or following.error >= error:
            break
        steps.append(following)
        error = following.error
    return tuple(steps), error


def _apply(value: Array, step: _Estimate) -> Array:
    if step.first:
        value = lax.shift_right_arithmetic(value, jnp.int64(step.first))
    for piece in _pieces(step.shift):
        value = cut(value, piece)
    value = value * step.factor
    return cut(value, step.after) if step.after else value


def cut(value: Array, bits: int) -> Array:
    """``value >> bits``, off by at most 1 and a bit, for up to 16 bits.

    The 1 that is added first keeps the compiler from multiplying the constants of two cuts in a row, and of other
    products before, into one that is too small for the fixed point.
    """
    return encode_fixed(decode_fixed(value + 1) * 2.0**-bits)


def in_ring(x: Array, num: int, den: int, most: int) -> list[Array]:
    """The same on the integers behind the fixed point: what SPU compiles, and native kernels run."""
    whole = x.dtype == jnp.int64
    ratio = Fraction(num << FRACTION_BITS, den) if whole else Fraction(num, den)
    raw = x if whole else encode_fixed(x)
    steps, _ = _plan(ratio.numerator, ratio.denominator, most)
    if not steps:
        return [decode_fixed(raw * ratio.numerator)]
    result = _apply(raw, steps[0])
    for step in steps[1:]:
        result = result + _apply(raw * ratio.numerator - result * ratio.denominator, step)
    return [decode_fixed(result)]


def _plain(x: Array, num: int, den: int, most: int) -> list[Array]:
    # Both exact below 2**53, so that the quotient is the double nearest to the true one.
    return [x.astype(jnp.float64) * num / den]


def _cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    return 3 * costs.each(costs.MULTIPLY, avals[0].size)


_rational_p = define("times_rational", _plain, lambda x, **_: [core.ShapedArray(x.shape, jnp.dtype(jnp.float64))])
mlir.register_lowering(_rational_p, mlir.lower_fun(in_ring, multiple_results=True), platform="interpreter")


def times_rational(x: Array, num: int, den: int, *, most: float) -> Array:
    """``x * num / den`` as a fixed-point number, for a public fraction.

    Parameters
    ----------
    x : Array
        int64 or float64, any shape, ``|x| <= most``.
    num, den : int
        The fraction, ``den >= 1``; ``most * num / den`` is below ``2**43``.
    most : int or float
        Public bound.

    Returns
    -------
    Array
        float64, off by at most :func:`rational_error`. Discloses nothing.

    Notes
    -----
    Cost under ``aby3``: some truncations, 1 round each; no comparison.

    Examples
    --------
    >>> import numpy as np
    >>> times_rational(jnp.asarray(np.array([5, -1250])), 1, 100, most=2000).tolist()
    [0.05, -12.5]
    """
    x = jnp.asarray(x)
    found: Array = _rational_p.bind(x, num=num, den=den, most=_raw(x.dtype == jnp.int64, most))[0]
    return found


def _raw(whole: bool, most: float) -> int:
    return int(most) if whole else int(most * 2**FRACTION_BITS) + 1


def rational_error(num: int, den: int, *, most: float, whole: bool) -> float:
    """How far :func:`times_rational` may be from the product of what the shares hold.

    Examples
    --------
    >>> rational_error(1, 100, most=10**9, whole=True) < 2**-17
    True
    """
    ratio = Fraction(num << FRACTION_BITS, den) if whole else Fraction(num, den)
    return _plan(ratio.numerator, ratio.denominator, _raw(whole, most))[1] * 2.0**-FRACTION_BITS


def fraction_of(value: float) -> Fraction:
    """The fraction that a constant is written as, or one within ``2**-44`` of it whose denominator is small.

    Examples
    --------
    >>> fraction_of(0.1), fraction_of(-2.5), fraction_of(1 / 3)
    (Fraction(1, 10), Fraction(-5, 2), Fraction(1, 3))
    """
    return Fraction(repr(value)).limit_denominator(_DENOMINATOR)


RATIONAL: dict[str, Any] = {"times_rational": PrimitiveInfo(_rational_p, _cost, kernel=False)}
