"""Division of secret whole numbers of any size, into fixed point.

Long division: a reciprocal of the divisor that is good to 15 bits gives 12 bits of the quotient at a time, and what is
left of the dividend is exact, in the ring, after each. The divisor is normalised by a secret power of two, found by one
batch of comparisons with public ones (Catrina and Saxena, Financial Cryptography 2010, section 3.4, normalise
likewise); everything after it is products and truncations.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.define import FRACTION_BITS
from mpc_compiler.ops.elementwise import compare
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.size import Size, cut_far

__all__ = ["ERROR", "quotient"]

ERROR = 2.0**-16
"""Bound of the absolute error of :func:`quotient`."""
_MOST = 1 << 61
_NORMAL = 40
"""The divisor is normalised to ``2**40 <= d < 2**41``, its quotients of at most 18 bits then fit the ring."""
_WHOLE = 18
_DIGIT = 12
_FIRST = 13


def quotient(num: Array, den: Array, *, num_max: int, den_bounds: tuple[int, int], limit: float) -> Array:
    """``num / den``; 0 where ``den`` is 0.

    Parameters
    ----------
    num, den : Array
        int64, of one shape.
    num_max : int
        ``|num| <= num_max < 2**61``.
    den_bounds : (int, int)
        Public range of ``den``, of less than ``2**61`` in size; signs may differ.
    limit : float
        ``|num / den| <= limit < 2**43`` wherever ``den`` is not 0; where it is more, the result is arbitrary.

    Returns
    -------
    Array
        float64. Absolute error on SPU at most ``2**-16``; in the clear ``2**-17``.

    Raises
    ------
    ValueError
        When a public bound is too large.

    Notes
    -----
    Below u = 2**-18. The reciprocal of m = den / 2**e, in [1, 2), is off by at most 3 u from Newton's last step and by
    2 u from m's truncation. A digit of 12 bits times it is off by 2**14 · 5 u < 1/3, and by 1.4 from being cut off to
    a whole number, so that 1.75 · den · 2**s bounds what is left of the dividend at the digit's place s. The last place
    is u: 1.75 u, and u / 4 from the truncation of divisors above 2**41.

    Discloses nothing. Cost under ``aby3``: one comparison for each bit of the divisor's range, in one batch, and about
    ten rounds of products and truncations a digit.

    Examples
    --------
    >>> found = quotient(jnp.array([7, -1, 5]), jnp.array([2, 4, 0]), num_max=9, den_bounds=(0, 9), limit=9)
    >>> bool(jnp.all(abs(found - jnp.array([3.5, -0.25, 0.0])) < 2**-16))
    True
    """
    low, high = den_bounds
    if max(num_max, abs(low), abs(high)) >= _MOST or limit >= 2.0**43:
        raise ValueError(f"a quotient of {num_max} by {low} to {high}, up to {limit:g}, is too large")
    num, den = jnp.asarray(num), jnp.asarray(den)
    if low < 0:
        num, den, low, high = _signed(num, den, low, high)
    size = Size.of(den, max(low, 1), high)
    if low < 1:
        present = size.least
        num, den = jnp.where(present, num, 0), jnp.where(present, den, 1)
    inverse = _reciprocal(decode_fixed(size.scaled(den, FRACTION_BITS, high)))
    result, left = jnp.zeros_like(num), num
    bits = int(limit + 1).bit_length()
    direct = high < 2 << _NORMAL and bits <= _WHOLE  # then whole digits need no secret exponent either
    for place in [] if direct else _places(bits):
        room = num_max.bit_length() - place
        if room <= size.first:
            continue
        # Of larger divisors this digit is 0; an error of 1 would make of them what leaves the ring.
        digit = _digit(size.scaled(left, FRACTION_BITS - place, 4 * num_max), inverse) * size.below(room)
        result, left = result + (digit << place), left - digit * (den << place)
    normal, left = size.scaled(den, _NORMAL, high), size.scaled(left, _NORMAL, 2 * high)
    for more, places in ((0, _places(bits) if direct else []), (FRACTION_BITS, _places(FRACTION_BITS + 1))):
        result, left = result << more, left << more
        for place in places:
            digit = _digit(cut_far(left, _NORMAL + place - FRACTION_BITS), inverse)
            result, left = result + (digit << place), left - digit * (normal << place)
    return decode_fixed(result)


def _places(bits: int) -> list[int]:
    """The places of the digits of a quotient of so many bits, from the highest; the first digit has up to 13 bits."""
    return list(range(max(-(-(bits - _FIRST) // _DIGIT), 0) * _DIGIT, -1, -_DIGIT))


def _digit(scaled: Array, inverse: Array) -> Array:
    """A whole number within 1.75 of ``scaled / m``, for fixed-point ``scaled`` below ``2**14``."""
    return cut_far(encode_fixed(decode_fixed(scaled) * inverse), FRACTION_BITS)


def _reciprocal(m: Array) -> Array:
    """``1 / m`` for m in [1, 2): the best linear start, off by 1/17, then Newton's steps."""
    r = 24 / 17 - 8 / 17 * m
    for _ in range(3):
        r = r * (2.0 - m * r)
    return r


def _signed(num: Array, den: Array, low: int, high: int) -> tuple[Array, Array, int, int]:
    """The same quotient over divisors that are not negative."""
    if high <= 0:
        return -num, -den, -high, -low
    most = max(-low, high)
    negative = compare(den, jnp.zeros((), jnp.int64), "lt", bits=most.bit_length() + 1)
    sign = 1 - 2 * negative.astype(jnp.int64)
    return num * sign, den * sign, 0, most
