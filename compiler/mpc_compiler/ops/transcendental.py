"""Logarithms and exponentials of secret numbers, with bounds of their errors; nothing is opened.

Both bring the secret into a fixed interval with a secret power of two that one batch of comparisons finds, take a
polynomial there, and bring the result back (Catrina and Saxena, "Secure Computation with Fixed-Point Numbers",
Financial Cryptography 2010; Aly and Smart, "Benchmarking Privacy Preserving Scientific Operations", ACNS 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import jax.numpy as jnp
import numpy as np
from jax import Array, core
from jax.interpreters import mlir

from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import FRACTION_BITS, Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.elementwise import compare
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.size import Size, chosen, cut_far

__all__ = [
    "EXP_ABSOLUTE",
    "EXP_HIGHEST",
    "EXP_RELATIVE",
    "LOG_ERROR",
    "TRANSCENDENTAL",
    "bounded_exp",
    "bounded_log",
    "in_ring",
]

LOG_ERROR = 2.0**-16
"""Bound of the absolute error of :func:`bounded_log`."""
EXP_RELATIVE = 2.0**-18
EXP_ABSOLUTE = 3 * 2.0**-18
"""Bounds of the error of :func:`bounded_exp`: this part of the result, and so much besides."""
EXP_HIGHEST = 44 * math.log(2)
"""Above this, an exponential leaves the ring."""

_UNIT = 2.0**-FRACTION_BITS
_LOG2 = math.log(2)

# --- logarithm -------------------------------------------------------------------------------------------------------

_LOG_GAIN = 6
"""Coefficients are multiplied by 2 to this, so that only one rounding of the series counts."""
_Q = 3 - 2 * math.sqrt(2)
_LOG_TERMS = [-math.log(4 * _Q), *(-2 * (-_Q) ** k / k for k in range(1, 8))]
"""log((3 + t) / 2) on T_0..T_7; what is left out is below 3e-7. With q = 3 - 2 sqrt(2), 3 + t is
(1 + q^2 + 2 q t) / (2 q), whose logarithm is the generating series -log(2 q) - 2 sum over k of (-q)^k T_k(t) / k."""
_LOG_SERIES = np.rint(np.array(_LOG_TERMS) * 2.0 ** (FRACTION_BITS + _LOG_GAIN)) * _UNIT


def _log_in_ring(x: Array, *, low: int, high: int) -> list[Array]:
    """The logarithm on the integers behind the numbers: what SPU compiles."""
    whole = x.dtype == jnp.int64
    raw = x if whole else encode_fixed(x)
    size = Size.of(raw, 1 << low, (1 << high) - 1)
    t = decode_fixed(size.scaled(raw, FRACTION_BITS + 1, (1 << high) - 1) - (3 << FRACTION_BITS))  # x = 2^e (3 + t) / 2
    t2 = 2.0 * (t * t) - 1.0
    t3, t4 = (2.0 * (t2[None] * jnp.stack([t, t2])) - jnp.stack([t, jnp.ones_like(t)]))[:2]
    upper = 2.0 * (t4[None] * jnp.stack([t, t2, t3])) - jnp.stack([t3, t2, t])
    terms = jnp.concatenate([jnp.stack([t, t2, t3, t4]), upper])
    series = (jnp.tensordot(_LOG_SERIES[1:], terms, axes=1) + _LOG_SERIES[0]) * 2.0**-_LOG_GAIN
    exponents = range(low, high) if whole else range(low - FRACTION_BITS, high - FRACTION_BITS)
    return [decode_fixed(encode_fixed(series) + size.choose([round(e * _LOG2 / _UNIT) for e in exponents]))]


def bounded_log(x: Array, *, low: int, high: int) -> Array:
    """Natural logarithm of positive numbers.

    Parameters
    ----------
    x : Array
        int64 or float64, any shape.
    low, high : int
        Public, ``0 <= low < high <= 63``: x, in units of 2**-18 if it is float64, is in ``[2**low, 2**high)``; finite
        nonsense outside.

    Returns
    -------
    Array
        float64, off by at most `LOG_ERROR` from the logarithm of what the shares hold. Discloses nothing.

    Notes
    -----
    x = 2**e m. m, in [1, 2), is off by less than 2**-18, the terms of its Chebyshev series together by 2**-20, the
    rounding of the series by 2**-17 and log(2**e) by 2**-19.

    Examples
    --------
    >>> bounded_log(jnp.array([1, 1000]), low=0, high=10).round(4).tolist()
    [0.0, 6.9078]
    """
    if not 0 <= low < high <= 63:
        raise ValueError(f"need 0 <= low < high <= 63, not {low} and {high}")
    found: Array = _log_p.bind(jnp.asarray(x), low=low, high=high)[0]
    return found


def _log_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    count, n = params["high"] - params["low"], avals[0].size
    flags = costs.each(costs.LESS + costs.B2A_BIT, count * n)
    return Cost(costs.LESS.rounds, 0) + flags + 14 * costs.each(costs.MULTIPLY, n)


_log_p = define(
    "bounded_log",
    lambda x, low, high: [jnp.log(x.astype(jnp.float64))],
    lambda x, low, high: [core.ShapedArray(x.shape, jnp.dtype(jnp.float64))],
)
mlir.register_lowering(_log_p, mlir.lower_fun(_log_in_ring, multiple_results=True), platform="interpreter")

# --- exponential -----------------------------------------------------------------------------------------------------

_LOWEST = -13
"""Smaller arguments are replaced by this one; exp(-13) is 0.6 units of 2**-18."""
_EXP_GAIN = 7
_EXP_EDGE = 2.0**-5
"""How far beyond [0, log 2) the polynomial holds: arguments may be beyond their range by their own error."""
_EXP_SERIES = (33_554_436, 33_554_529, 16_773_452, 5_621_604, 1_309_460, 393_431)
"""2**_EXP_GAIN exp(r) on 1, r, .. r^5 in units of 2**-18: weighted least squares for the largest relative error, which
is 1.5e-7 from -_EXP_EDGE to log(2) + _EXP_EDGE."""


def _exp_in_ring(x: Array, *, first: int, last: int, clamp: bool) -> list[Array]:
    """The exponential on the integers behind the numbers: what SPU compiles."""
    if clamp:
        x = jnp.maximum(x, float(_LOWEST))
    raw = encode_fixed(x)
    marks = np.array([round(k * _LOG2 / _UNIT) for k in range(first + 1, last + 1)], np.int64)
    wide = jnp.broadcast_to(raw[None], (len(marks), *raw.shape))
    public = jnp.broadcast_to(marks.reshape((-1,) + (1,) * raw.ndim), wide.shape)
    bits = int(2 * (max(-first, last + 1) + 1) / _UNIT).bit_length() + 1
    steps = compare(wide, public, "ge", bits=bits).astype(jnp.int64) if last > first else wide

    def by_exponent(value: Callable[[int], int]) -> Array:
        return chosen(steps, [value(k) for k in range(first, last + 1)])

    rest = decode_fixed(raw - by_exponent(lambda k: round(k * _LOG2 / _UNIT)))
    power = encode_fixed(_exp_series(rest))
    result = jnp.zeros_like(raw)
    if last >= _EXP_GAIN:
        result = power * by_exponent(lambda k: 1 << (k - _EXP_GAIN) if k >= _EXP_GAIN else 0)
    if first < _EXP_GAIN:
        small = power * by_exponent(lambda k: 1 << (k - first) if k < _EXP_GAIN else 0)
        result = result + cut_far(small, _EXP_GAIN - first)
    return [decode_fixed(result)]


def _exp_series(rest: Array) -> Array:
    """``2**_EXP_GAIN * exp(rest)``."""
    *terms, total = (term * _UNIT for term in _EXP_SERIES)
    power = total * rest
    for term in reversed(terms[1:]):
        power = (power + term) * rest
    return power + terms[0]


def bounded_exp(x: Array, *, low: float, high: float) -> Array:
    """Exponential of numbers in a public range.

    Parameters
    ----------
    x : Array
        float64, any shape.
    low, high : float
        Public; ``low <= x <= high``, or beyond by at most ``2**-5``; high below `EXP_HIGHEST`.

    Returns
    -------
    Array
        float64, off by at most `EXP_RELATIVE` of the exponential of what the shares hold, and `EXP_ABSOLUTE`. Discloses
        nothing.

    Notes
    -----
    exp(x) = 2**k exp(x - k log 2). k log 2 is off by 2**-19, the polynomial by 2**-21 relatively; what is truncated
    after the multiplication by 2**k by 2**-17.

    Examples
    --------
    >>> bounded_exp(jnp.array([0.0, 2.0]), low=0, high=2).round(4).tolist()
    [1.0, 7.3891]
    """
    if not low <= high < EXP_HIGHEST:
        raise ValueError(f"need low <= high < {EXP_HIGHEST:g}, not {low:g} and {high:g}")
    clamp = low < _LOWEST
    first, last = (math.floor(max(end, _LOWEST) / _LOG2) for end in (low, high))
    found: Array = _exp_p.bind(jnp.asarray(x), first=first, last=last, clamp=clamp)[0]
    return found


def _exp_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    count, n = params["last"] - params["first"], avals[0].size
    flags = costs.each(costs.LESS + costs.B2A_BIT, count * n)
    clamp = costs.each(costs.MINIMUM, n) if params["clamp"] else Cost(0)
    return clamp + flags + 12 * costs.each(costs.MULTIPLY, n)


_exp_p = define(
    "bounded_exp",
    lambda x, **_: [jnp.exp(x)],
    lambda x, **_: [core.ShapedArray(x.shape, jnp.dtype(jnp.float64))],
)
mlir.register_lowering(_exp_p, mlir.lower_fun(_exp_in_ring, multiple_results=True), platform="interpreter")

# ---------------------------------------------------------------------------------------------------------------------


_IN_RING: dict[str, Callable[..., list[Array]]] = {"bounded_log": _log_in_ring, "bounded_exp": _exp_in_ring}


@cache
def in_ring(name: str, params: tuple[tuple[str, int], ...]) -> Callable[[Array], Array]:
    """One of the functions in terms of what every engine has."""
    made = partial(_IN_RING[name], **dict(params))
    return lambda x: made(x)[0]


TRANSCENDENTAL = {
    "bounded_log": PrimitiveInfo(_log_p, _log_cost, kernel=False),
    "bounded_exp": PrimitiveInfo(_exp_p, _exp_cost, kernel=False),
}
