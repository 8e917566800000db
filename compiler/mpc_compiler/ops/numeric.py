"""Division, roots and matrix inversion that stay accurate in 18-bit fixed point.

Everything here is ordinary JAX on float64 and int64 arrays. In the clear it computes in double precision; on SPU
(FM64) the same program runs on secrets with ``FRACTION`` fraction bits, where a product is right only while
``|a*b| < 2**26`` and resolves nothing below ``2**-18``. Hence one pattern throughout: bring the secret operand into a
fixed interval with a secret power of two (found by one batched comparison with public powers of two), iterate there a
public number of times, and scale back. Nothing is opened and no trip count depends on data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops.primitives import compare

FRACTION = 18
"""Fraction bits of a secret float (FM64)."""

HEADROOM = 26
"""A sum of products must stay below ``2**HEADROOM`` before its truncation (FM64 with 18 fraction bits)."""


def power_of_two_above(value: float) -> int:
    """Smallest k with ``2**k >= value``, for a public positive value.

    >>> [power_of_two_above(v) for v in (0.3, 1, 5, 1024)]
    [-1, 0, 3, 10]
    """
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"expected a positive finite bound, got {value}")
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent


def step_sum(flags: jax.Array, values: Sequence[float]) -> jax.Array:
    """``values[t]`` where t of the thermometer flags are set: local, since the increments are public."""
    increments = np.diff(np.asarray(values, np.float64)).reshape((-1,) + (1,) * (flags.ndim - 1))
    return values[0] + jnp.sum(flags.astype(jnp.float64) * increments, axis=0)


def at_least(x: jax.Array, thresholds: Sequence[float], *, below: float | None = None) -> jax.Array:
    """bool[len(thresholds), *x.shape]: ``x >= threshold``, all in one comparison.

    Parameters
    ----------
    x : array
        int64 or float64.
    thresholds : sequence of numbers
        Public, not negative.
    below : float, optional
        Public bound of the size of x and the thresholds: the comparison looks at so many bits only.
    """
    public = jnp.asarray(np.asarray(thresholds, x.dtype).reshape((-1,) + (1,) * x.ndim))
    if below is None:
        return x[None] >= public
    bits = power_of_two_above(below) + 2 + (FRACTION if x.dtype == jnp.float64 else 0)
    return compare(x[None], public, "ge", bits=bits)


def _newton_reciprocal(m: jax.Array, span: int) -> jax.Array:
    """``1/m`` for m in [1, 2**span]: the best linear start (Chebyshev), then Newton ``r(2 - m r)``."""
    kappa = 2.0**span
    tau = 2 * ((kappa + 1) / (kappa - 1)) ** 2 - 1
    slope = 8 / ((kappa - 1) ** 2 * tau)
    r = slope * (kappa + 1) - slope * m
    error = 1 / tau
    while error > 2.0 ** -(FRACTION + 1):
        r, error = r * (2.0 - m * r), error**2
    return r


def ratio(num: jax.Array, den: jax.Array, *, den_max: int) -> jax.Array:
    """``num / den`` for a secret count ``den``; 0 where ``den`` is 0.

    Parameters
    ----------
    num : array
        float64 or int64, ``|num| < 2**40`` and ``|num / den| < 2**24``.
    den : array
        int64 of the same shape, in ``0..den_max``.
    den_max : int
        Public bound of ``den``, at most ``2**22``.

    Returns
    -------
    array
        float64. Absolute error on SPU at most ``2**-16``.

    Notes
    -----
    With ``2**e <= den < 2**(e+1)`` and ``s = 2**-min(e, 18)`` the operand ``m = den * s`` is exact in 18 bits, a Newton
    reciprocal of m gives the quotient to about 17 bits, and each correction ``q += (num*s - q*m) / m`` doubles that.
    Every product stays below ``2**26``.

    >>> ratio(jnp.array([10.0, 1.0]), jnp.array([4, 0]), den_max=100)
    Array([2.5, 0. ], dtype=float64)
    """
    if not 1 <= den_max <= 1 << 22:
        raise ValueError(f"den_max must be in 1..2**22, got {den_max}")
    bits = den_max.bit_length()
    flags = at_least(den, [2**i for i in range(bits)], below=den_max)
    positive = flags[0]
    scale = step_sum(flags[1:], [2.0 ** -min(i, FRACTION) for i in range(bits)])
    m = jnp.where(positive, den, 1).astype(jnp.float64) * scale
    scaled = jnp.where(positive, num, 0).astype(jnp.float64) * scale
    span = max(1, bits - FRACTION)
    r = _newton_reciprocal(m, span)
    q = scaled * r
    for _ in range(math.ceil((24 + FRACTION + 1) / (FRACTION - 1 - span)) - 1):
        q = q + (scaled - q * m) * r
    return q


def unit_inverse(den: jax.Array, *, den_max: int) -> tuple[jax.Array, jax.Array]:
    """(s, r) with ``s * r = 1 / den`` for secret counts: multiply by s, then by r, and no bits are lost on the way.

    Parameters
    ----------
    den : array
        int64, in ``0..den_max``; 0 is taken as 1.
    den_max : int
        Public bound, at most ``2**22``.

    Returns
    -------
    (array, array)
        s a power of two from 1 down to ``2**-18``, r at most 1: for ``0 <= num <= den`` the product ``num * s * r``
        is within ``2**-16`` on SPU.

    >>> [round(float(v), 4) for v in unit_inverse(jnp.array(6), den_max=10)]  # 1/4 and 4/6
    [0.25, 0.6667]
    """
    if not 1 <= den_max <= 1 << 22:
        raise ValueError(f"den_max must be in 1..2**22, got {den_max}")
    bits = den_max.bit_length()
    flags = at_least(den, [2**i for i in range(bits)])
    scale = step_sum(flags[1:], [2.0 ** -min(i, FRACTION) for i in range(bits)])
    m = jnp.where(flags[0], den, 1).astype(jnp.float64) * scale
    return scale, _newton_reciprocal(m, max(1, bits - FRACTION))


def fraction(num: jax.Array, den: jax.Array, *, den_max: int) -> jax.Array:
    """``num / den`` for large secret integers with ``|num| <= den``; 0 where ``den`` is 0.

    Parameters
    ----------
    num, den : array
        int64, ``|num| <= den <= den_max``.
    den_max : int
        Public bound, at most ``2**44``.

    Returns
    -------
    array
        float64 in [-1, 1]. Absolute error on SPU at most ``2**-15``.

    >>> fraction(jnp.array([3 << 38]), jnp.array([1 << 40]), den_max=1 << 40)
    Array([0.75], dtype=float64)
    """
    if not 1 <= den_max <= 1 << 44:
        raise ValueError(f"den_max must be in 1..2**44, got {den_max}")
    bits = den_max.bit_length()
    flags = at_least(den, [2**i for i in range(bits)], below=den_max)
    m = jnp.where(flags[0], den, 1).astype(jnp.float64)
    q = num.astype(jnp.float64)
    for low in range(0, bits, FRACTION):  # a factor below 2**-18 is not representable: several
        part = step_sum(flags[1:], [2.0 ** -min(max(i - low, 0), FRACTION) for i in range(bits)])
        m, q = m * part, q * part
    return jnp.where(flags[0], q * _newton_reciprocal(m, 1), 0.0)


_DIGIT_BITS = 3


def whole_divmod(x: jax.Array, by: int, *, bounds: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """``(x // by, x % by)`` of secret whole numbers and a public divisor, rounding down as Python does; exact.

    Parameters
    ----------
    x : array
        int64, within ``bounds``.
    by : int
        At least 1.
    bounds : (int, int)
        Public range of x; at most ``2**63 - 1`` wide.

    Notes
    -----
    Long division to the base 8: each digit of the quotient is the number of its public multiples that are not above
    the rest, so that q bits of quotient take ``ceil(q / 3)`` batches of at most 7 comparisons. A divisor that is a
    power of two could shift instead; that costs a decomposition of all 64 bits.

    >>> [v.tolist() for v in whole_divmod(jnp.array([-7, 0, 99]), 10, bounds=(-9, 100))]
    [[-1, 0, 9], [3, 0, 9]]
    """
    low, high = bounds
    start = low // by
    rest, most = x - start * by, high - start * by
    quotient = jnp.full_like(rest, start)
    digits = -(-(most // by).bit_length() // _DIGIT_BITS)
    for level in reversed(range(digits)):
        step = by << (_DIGIT_BITS * level)
        count = min(most // step, (1 << _DIGIT_BITS) - 1)
        if count:
            flags = _reached(rest, [step * k for k in range(1, count + 1)], most)
            digit = jnp.sum(flags.astype(jnp.int64), axis=0)
            rest, quotient = rest - digit * step, quotient + (digit << (_DIGIT_BITS * level))
            most = min(most, step - 1)
    return quotient, rest


def whole_quotient(x: jax.Array, by: int, *, bounds: tuple[int, int]) -> jax.Array:
    """``x // by``; see :func:`whole_divmod`.

    >>> whole_quotient(jnp.array([-7, 99]), 10, bounds=(-9, 100)).tolist()
    [-1, 9]
    """
    return whole_divmod(x, by, bounds=bounds)[0]


def _reached(x: jax.Array, thresholds: Sequence[int], most: int) -> jax.Array:
    """``x >= threshold`` for x in ``0..most`` and thresholds in that range, on a new first axis."""
    public = np.asarray(thresholds, np.int64).reshape((-1,) + (1,) * x.ndim)
    wide = jnp.broadcast_to(x[None], (len(thresholds), *x.shape))
    return compare(wide, jnp.broadcast_to(public, wide.shape), "ge", bits=min(most.bit_length() + 1, 64))


def reciprocal(x: jax.Array, *, low: int, high: int, gain: int = 0) -> jax.Array:
    """``2**gain / x`` for x in ``[2**low, 2**high)``; finite nonsense outside.

    Parameters
    ----------
    x : array
        float64, positive; ``-18 <= low < high <= 18``.
    gain : int
        Public binary exponent that keeps the result's significant bits above ``2**-18``.

    Notes
    -----
    The relative error on SPU is about ``2**-16``, besides the absolute ``2**-18`` of the result itself.

    >>> reciprocal(jnp.array([0.25, 8.0]), low=-2, high=4)
    Array([4.   , 0.125], dtype=float64)
    """
    exponents = range(low, high)
    flags = at_least(x, [2.0**e for e in exponents[1:]], below=2.0**high)
    r = _newton_reciprocal(x * step_sum(flags, [2.0**-e for e in exponents]), 1)
    return r * step_sum(flags, [2.0 ** (gain - e) for e in exponents])


def roots(x: jax.Array, *, low: int = -FRACTION, high: int = HEADROOM, gain: int = 0) -> tuple[jax.Array, jax.Array]:
    """``(2**gain / sqrt(x), sqrt(x) / 2**gain)`` for x in ``[2**low, 2**high)``; ``sqrt(0)`` is 0.

    Parameters
    ----------
    x : array
        float64, not negative.
    low, high : int
        Public binary exponents that bound x; below ``2**low`` the first result is finite nonsense.
    gain : int
        Public binary exponent that keeps the results' significant bits above ``2**-18``.

    Notes
    -----
    Normalised by powers of four to [1, 4); a linear start with relative error 0.086, then three Newton steps
    ``y(3 - m y²)/2``. Relative error on SPU about ``2**-16``, besides the absolute ``2**-18`` of the results.

    >>> [v.round(5).tolist() for v in roots(jnp.array([16.0, 0.25]))]
    [[0.25, 2.0], [4.0, 0.5]]
    """
    exponents = range(low // 2, (high + 1) // 2)
    flags = at_least(x, [4.0**e for e in exponents[1:]], below=2.0**high)
    half = step_sum(flags, [2.0**-e for e in exponents])
    m = (x * half) * half
    y = 1.06640 - 0.15234 * m
    for _ in range(3):
        y = y * (1.5 - 0.5 * m * (y * y))
    root = (m * y) * step_sum(flags, [2.0 ** (e - gain) for e in exponents])
    return y * step_sum(flags, [2.0 ** (gain - e) for e in exponents]), root


def sqrt(x: jax.Array, *, low: int = -FRACTION, high: int = HEADROOM) -> jax.Array:
    """Square root of x in ``[2**low, 2**high)``, 0 at 0; see :func:`roots`.

    >>> sqrt(jnp.array([9.0])).round(5)
    Array([3.], dtype=float64)
    """
    return roots(x, low=low, high=high)[1]


def rsqrt(x: jax.Array, *, low: int = -FRACTION, high: int = HEADROOM, gain: int = 0) -> jax.Array:
    """``2**gain / sqrt(x)`` for x in ``[2**low, 2**high)``; see :func:`roots`.

    >>> rsqrt(jnp.array([16.0]), gain=4).round(5)
    Array([4.], dtype=float64)
    """
    return roots(x, low=low, high=high, gain=gain)[0]
