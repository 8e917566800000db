"""Reciprocal, inverse square root and logarithm of positive fixed-point secrets; nothing is opened.

One pattern: find the leading bit of x (the bits of x, then the prefix AND of their complements from the top, whose
steps are a one-hot vector), make its bits numbers, and scale x exactly to m in [1, 2) by a combination of them with
public powers of two. There a polynomial of degree 2 starts Newton's iteration, or a Chebyshev series is the result, and
the same one-hot vector scales back (Catrina, Saxena, "Secure Computation with Fixed-Point Numbers", FC 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpc_engine.runtime.replicated.approx import FRACTION
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, flat, from_public, multiply, neg, scale
from mpc_engine.runtime.replicated.bit_cost import a2b_cost, and_cost, inject_cost
from mpc_engine.runtime.replicated.bits import Bits, and_, not_
from mpc_engine.runtime.replicated.convert import a2b, inject, prefix_steps
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost, truncate_cost
from mpc_engine.runtime.replicated.truncate import MAX_BITS, fixed_dot, fixed_multiply, truncate

__all__ = [
    "leading_bit",
    "leading_bit_cost",
    "log",
    "log_cost",
    "reciprocal",
    "reciprocal_cost",
    "rsqrt",
    "rsqrt_cost",
]

GUARD = 24
"""Fraction bits of normalised numbers."""

_ONE = 1 << GUARD

# Quadratics with the least relative error: for 1/m on [1, 2] 0.0101, for 1/sqrt(m) on [1, 4] 0.0241. With _START_BITS
# fraction bits; Newton's iteration squares the errors.
_RECIPROCAL = (2.12121, -1.45455, 0.32323)
_RSQRT = (1.33544, -0.41069, 0.05121)
_START_BITS = 8

_LOG_GUARD = 20
_LOG_BITS = 18


def leading_bit(party: Replicated, x: Pairs, *, low: int, high: int) -> Pairs:
    """Return which power of two is the largest not above x, one-hot. Cost: :func:`leading_bit_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [n, 2]
        Integers in ``[2**low, 2**high)``.
    low, high : int
        ``0 <= low < high <= 62``.

    Returns
    -------
    ndarray of uint64, shape [high - low, n, 2]
        1 in row e - low where ``2**e <= x < 2**(e + 1)``, else 0; all 0 for x below ``2**low``.
    """
    bits = a2b(party, x, high)
    top_down = not_(party, bits.planes(np.arange(high - 1, low - 1, -1)))
    own, after = top_down.own, top_down.next
    for targets, sources in prefix_steps(high - low):
        made = and_(party, Bits(own[targets], after[targets], bits.rows), Bits(own[sources], after[sources], bits.rows))
        own[targets], after[targets] = made.own, made.next
    # "none down to t-1" ^ "none down to t" marks the first one; above the top there is none: not is 1
    ends = not_(party, Bits(own[:1], after[:1], bits.rows))
    first = Bits(
        np.concatenate([ends.own, own[:-1] ^ own[1:]]), np.concatenate([ends.next, after[:-1] ^ after[1:]]), bits.rows
    )
    return np.ascontiguousarray(inject(party, first)[::-1])


def leading_bit_cost(size: int, *, low: int, high: int) -> PartyCost:
    """Return what :func:`leading_bit` costs, rounds at most."""
    steps = (and_cost(size, len(targets)) for targets, _ in prefix_steps(high - low))
    return sum(steps, a2b_cost(size, high)) + inject_cost(size, high - low)


def _weighted(flags: Pairs, weights: Sequence[int]) -> Pairs:
    """Sum of public weights by the one-hot flags; local."""
    ring = np.array(weights, np.int64).view(np.uint64)
    total: Pairs = np.tensordot(ring, flags, axes=1)
    return total


def _adjust(party: Replicated, x: Pairs, *, bits: int) -> Pairs:
    """Divide by 2^bits, or multiply by 2^-bits."""
    return truncate(party, x, bits=bits) if bits > 0 else scale(x, 1 << -bits)


def _quadratic(party: Replicated, m: Pairs, coefficients: tuple[float, float, float]) -> Pairs:
    """c_0 + m (c_1 + m c_2), both with GUARD fraction bits."""
    constant, linear, leading = coefficients
    inner = add_public(party, scale(m, round(leading * 2**_START_BITS)), round(linear * 2**_START_BITS) * _ONE)
    return add_public(party, fixed_multiply(party, m, inner, bits=GUARD + _START_BITS), round(constant * _ONE))


def _check_range(low: int, high: int) -> None:
    if not (-FRACTION <= low < high <= 26 and high >= 1 and high - low <= 38):
        raise ValueError(f"need -{FRACTION} <= low < high, 1 <= high <= 26, high - low <= 38, not {low} and {high}")


def reciprocal(party: Replicated, x: Pairs, *, low: int = -8, high: int = 18) -> Pairs:
    """Return ``1 / x`` of fixed-point numbers. Cost: :func:`reciprocal_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        FRACTION fraction bits, in ``[2**low, 2**high)``; finite nonsense outside.
    low, high : int
        Public, ``-18 <= low < high``, ``1 <= high <= 26``, at most 38 apart.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        FRACTION fraction bits; error at most ``2**-18`` absolute plus ``2**-20`` of the result.
    """
    _check_range(low, high)
    pairs = flat(x)
    flags = leading_bit(party, pairs, low=low + FRACTION, high=high + FRACTION)
    up = _weighted(flags, [1 << (high - 1 - e) for e in range(low, high)])
    m = _adjust(party, multiply(party, pairs, up), bits=FRACTION + high - 1 - GUARD)
    r = _quadratic(party, m, _RECIPROCAL)
    for _ in range(2):  # r (2 - m r)
        residue = add_public(party, neg(fixed_multiply(party, m, r, bits=GUARD)), 2 * _ONE)
        r = fixed_multiply(party, r, residue, bits=GUARD)
    # r 2^-e = r up 2^-(high - 1)
    return fixed_multiply(party, r, up, bits=GUARD + high - 1 - FRACTION).reshape(x.shape)


def reciprocal_cost(size: int, *, low: int = -8, high: int = 18) -> PartyCost:
    """Return what :func:`reciprocal` costs, rounds at most."""
    found = _normal_cost(size, low, high, FRACTION + high - 1 - GUARD)
    return sum((fixed_multiply_cost(size) for _ in range(6)), found)


def _normal_cost(size: int, low: int, high: int, cut: int) -> PartyCost:
    """Cost of scaling to [1, 2) or [1, 4), `cut` bits of the product going."""
    found = leading_bit_cost(size, low=low + FRACTION, high=high + FRACTION) + multiply_cost(size)
    return found + truncate_cost(size) if cut > 0 else found


def rsqrt(party: Replicated, x: Pairs, *, low: int = -8, high: int = 18) -> Pairs:
    """Return ``1 / sqrt(x)`` of fixed-point numbers. Cost: :func:`rsqrt_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        FRACTION fraction bits, in ``[2**low, 2**high)``; finite nonsense outside.
    low, high : int
        Public and even, else as in :func:`reciprocal`.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        FRACTION fraction bits; error at most ``2**-18`` absolute plus ``2**-20`` of the result.
    """
    _check_range(low, high)
    if low % 2 or high % 2:
        raise ValueError(f"low and high must be even, not {low} and {high}")
    pairs = flat(x)
    flags = leading_bit(party, pairs, low=low + FRACTION, high=high + FRACTION)
    halves = range(low // 2, high // 2)
    pairwise = flags[0::2] + flags[1::2]  # 4^h <= x < 4^(h+1)
    up = _weighted(pairwise, [1 << (2 * (halves[-1] - h)) for h in halves])
    back = _weighted(pairwise, [1 << (halves[-1] - h) for h in halves])
    m = _adjust(party, multiply(party, pairs, up), bits=FRACTION + 2 * halves[-1] - GUARD)
    y = _quadratic(party, m, _RSQRT)
    for _ in range(3):  # y (3 - m y^2) / 2
        square = fixed_multiply(party, y, y, bits=GUARD)
        residue = add_public(party, neg(fixed_multiply(party, m, square, bits=GUARD)), 3 * _ONE)
        y = fixed_multiply(party, y, residue, bits=GUARD + 1)
    return fixed_multiply(party, y, back, bits=GUARD + halves[-1] - FRACTION).reshape(x.shape)


def rsqrt_cost(size: int, *, low: int = -8, high: int = 18) -> PartyCost:
    """Return what :func:`rsqrt` costs, rounds at most."""
    found = _normal_cost(size, low, high, FRACTION + high - 2 - GUARD)
    return sum((fixed_multiply_cost(size) for _ in range(11)), found)


def log(party: Replicated, x: Pairs, *, low: int = -8, high: int = 18) -> Pairs:
    """Return the natural logarithm of fixed-point numbers. Cost: :func:`log_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        FRACTION fraction bits, in ``[2**low, 2**high)``; finite nonsense outside.
    low, high : int
        Public, ``-18 <= low < high``, ``1 <= high <= 26``, at most 38 apart.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        FRACTION fraction bits; error at most 2e-5.
    """
    _check_range(low, high)
    pairs = flat(x)
    flags = leading_bit(party, pairs, low=low + FRACTION, high=high + FRACTION)
    up = _weighted(flags, [1 << (high - 1 - e) for e in range(low, high)])
    whole = _weighted(flags, [round(e * math.log(2) * 2.0**FRACTION) for e in range(low, high)])
    m = _adjust(party, multiply(party, pairs, up), bits=FRACTION + high - 1 - _LOG_GUARD)
    one = 1 << _LOG_GUARD
    t = add_public(party, scale(m, 2), -3 * one)  # m = (3 + t) / 2, t in [-1, 1)
    t2 = add_public(party, fixed_multiply(party, scale(t, 2), t, bits=_LOG_GUARD), -one)
    both = fixed_multiply(party, scale(np.stack([t2, t2]), 2), np.stack([t, t2]), bits=_LOG_GUARD)
    t3, t4 = both[0] - t, add_public(party, both[1], -one)
    series = [_log_terms(party, block, (t, t2, t3)) for block in _log_blocks()]
    unit = from_public(party, np.full(len(t), one, np.int64))
    extra = 2 * _LOG_GUARD + _LOG_BITS - FRACTION - MAX_BITS  # more bits to go than one truncation cuts
    fine = fixed_dot(party, np.stack([unit, t4]), np.stack(series), bits=MAX_BITS)
    return (truncate(party, fine, bits=extra) + whole).reshape(x.shape)


def log_cost(size: int, *, low: int = -8, high: int = 18) -> PartyCost:
    """Return what :func:`log` costs, rounds at most."""
    found = _normal_cost(size, low, high, FRACTION + high - 1 - _LOG_GUARD)
    products = fixed_multiply_cost(size) + fixed_multiply_cost(2 * size) + fixed_multiply_cost(size)
    return found + products + truncate_cost(size)


def _log_terms(party: Replicated, coefficients: Sequence[int], basis: Sequence[Pairs]) -> Pairs:
    """Sum of public coefficients of 1, T_1, T_2, T_3; local."""
    first, *rest = coefficients
    total = sum(
        (scale(term, factor) for term, factor in zip(basis[1:], rest[1:], strict=True)), scale(basis[0], rest[0])
    )
    return add_public(party, total, first << _LOG_GUARD)


def _log_blocks() -> tuple[list[int], list[int]]:
    """log((3 + t) / 2) on T_0..T_7 as Q_0 + T_4 Q_1, times 2^_LOG_BITS; what is left out is below 3e-7.

    With q = 3 - 2 sqrt(2), 3 + t = (1 + q^2 + 2 q t) / (2 q), whose logarithm is the generating series
    -log(2 q) - 2 sum over k of (-q)^k T_k(t) / k.
    """
    q = 3 - 2 * math.sqrt(2)
    terms = [-math.log(4 * q), *(-2 * (-q) ** k / k for k in range(1, 8))]
    ring = [round(term * 2**_LOG_BITS) for term in terms]
    upper = [ring[4], *(2 * ring[4 + j] for j in (1, 2, 3))]
    for j in (1, 2, 3):
        ring[4 - j] -= ring[4 + j]
    return ring[:4], upper
