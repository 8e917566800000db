"""The exponential of fixed-point secrets: exact powers of two times a polynomial; nothing is opened.

exp(x) = 2^y, y = x log2(e). The bits of y's whole part are found bluntly (as in :func:`~.approx.top_bits`), so that the
rest f is in [0, 1 + 2^-5], where a polynomial of degree 5 gives 2^f, split as P + f^3 Q with P and Q of degree 2
(Paterson, Stockmeyer, "On the number of nonscalar multiplications necessary to evaluate polynomials", SIAM J. Comput.
1973). 2^(whole part) is a product of 1 + (2^(2^j) - 1) b_j over its bits b_j (Aly, Smart, "Benchmarking Privacy
Preserving Scientific Operations", ACNS 2019): exact integers, so that small and large results are equally good.
"""

from __future__ import annotations

import math

import numpy as np

from mpc_engine.runtime.replicated.approx import FRACTION, MAGNITUDE, blunt_width, msb, msb_cost, top_bits
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, flat, from_public, multiply, neg, scale
from mpc_engine.runtime.replicated.bit_cost import a2b_cost, inject_cost
from mpc_engine.runtime.replicated.convert import a2b, inject
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost, truncate_cost
from mpc_engine.runtime.replicated.truncate import fixed_dot, fixed_multiply, truncate

__all__ = ["HIGHEST", "exp", "exp_cost"]

HIGHEST = 18
"""Largest argument: exp(18) < 2^26."""

_LOWEST = -13
"""Smaller arguments are replaced by this one; exp(-13) is 0.6 units of 2^-18."""

_SHIFT = 19
"""Added to y, which is positive then: _LOWEST log2(e) > -_SHIFT + 0.2."""

_GUARD = 24
_LOG2E_BITS = 30
_LOG2E = round(2**_LOG2E_BITS / math.log(2))

_WHOLE = 6
"""Bits of the whole part, 0 to 45."""
_BLUNT = 6
"""Fraction bits of y that its whole part is found from: it is short by at most 1 where the rest is 1 to 1 + 2^-5."""

_POWER = (16777215, 11629192, 4028940, 937185, 150057, 31845)
"""2^f on [0, 1.033] on 1, f, .. f^5 times 2^24: weighted least squares for the largest relative error, rounded, then
steps of one while they lower it, which is 1.1e-7."""


def exp(party: Replicated, x: Pairs, *, magnitude: int = MAGNITUDE) -> Pairs:
    """Return ``exp(x)`` of fixed-point numbers. Cost: :func:`exp_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        FRACTION fraction bits, ``-2**magnitude < x <= 18``; finite nonsense outside.
    magnitude : int
        Public; the smaller, the cheaper one comparison. 5 to 26.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        FRACTION fraction bits; error at most ``2**-18`` absolute plus ``2**-20`` of the result.
    """
    if not 5 <= magnitude <= MAGNITUDE:
        raise ValueError(f"magnitude must be in 5..{MAGNITUDE}, not {magnitude}")
    pairs = flat(x)
    lowest = _LOWEST << FRACTION
    small = msb(party, *top_bits(add_public(party, pairs, -lowest), magnitude=magnitude + 1))
    pairs = pairs + multiply(party, small, add_public(party, neg(pairs), lowest))
    y = truncate(party, scale(pairs, _LOG2E), bits=FRACTION + _LOG2E_BITS - _GUARD)
    y = add_public(party, y, _SHIFT << _GUARD)
    bits = _whole_part(party, y)
    rest = y - np.tensordot(np.uint64(1) << np.arange(_GUARD, _GUARD + _WHOLE, dtype=np.uint64), bits, axes=1)
    return _raise(party, _power(party, rest), bits).reshape(x.shape)


def _whole_part(party: Replicated, y: Pairs) -> Pairs:
    """Bits of floor(y), perhaps less 1 where that leaves a rest below 1 + 2^-5, as numbers [_WHOLE, n, 2]."""
    cut = y >> np.uint64(_GUARD - _BLUNT)  # component by component: up to two carries are lost
    return inject(party, a2b(party, cut, _BLUNT + _WHOLE).planes(slice(_BLUNT, None)))


def _power(party: Replicated, f: Pairs) -> Pairs:
    """2^f with _GUARD fraction bits, error below 2^-21."""
    square = fixed_multiply(party, f, f, bits=_GUARD)
    low, high = (_quadratic(party, _POWER[at : at + 3], f, square) for at in (0, 3))
    one = from_public(party, np.full(len(f), 1, np.int64))
    cube, high = fixed_multiply(party, np.stack([square, high]), np.stack([f, one]), bits=_GUARD)
    return fixed_dot(party, np.stack([cube, one]), np.stack([high, low]), bits=_GUARD)


def _quadratic(party: Replicated, terms: tuple[int, ...], f: Pairs, square: Pairs) -> Pairs:
    """terms[0] + terms[1] f + terms[2] f^2, with 2 _GUARD fraction bits; local."""
    return add_public(party, scale(f, terms[1]) + scale(square, terms[2]), terms[0] << _GUARD)


def _raise(party: Replicated, m: Pairs, bits: Pairs) -> Pairs:
    """m 2^(whole part - _SHIFT), with FRACTION fraction bits."""
    both = multiply(party, bits[0:4:2], bits[1:4:2])
    first = add_public(party, bits[0] + scale(bits[1], 3) + scale(both[0], 3), 1)  # 2^(b0 + 2 b1)
    second = add_public(party, scale(bits[2], 15) + scale(bits[3], 255) + scale(both[1], 15 * 255), 1)
    up = multiply(party, m, multiply(party, first, second))  # below 2^41, exact
    middle = add_public(party, scale(bits[4], 2**16 - 1) - bits[5], 1)  # 2^16 or 1, 0 for b5 = 1, when b4 = 0
    cut = _GUARD + _SHIFT - FRACTION
    return fixed_multiply(party, up, middle, bits=cut) + scale(multiply(party, up, bits[5]), 1 << (32 - cut))


def exp_cost(size: int, *, magnitude: int = MAGNITUDE) -> PartyCost:
    """Return what :func:`exp` costs, rounds at most.

    Examples
    --------
    >>> exp_cost(64_000).total / 64_000
    549.875
    """
    clamped = msb_cost(size, blunt_width(magnitude + 1)) + multiply_cost(size) + truncate_cost(size)
    whole = a2b_cost(size, _BLUNT + _WHOLE) + inject_cost(size, _WHOLE)
    power = fixed_multiply_cost(size) + fixed_multiply_cost(2 * size) + fixed_multiply_cost(size)
    raised = multiply_cost(2 * size) + multiply_cost(size) + multiply_cost(size)
    return clamped + whole + power + raised + fixed_multiply_cost(size) + multiply_cost(size)
