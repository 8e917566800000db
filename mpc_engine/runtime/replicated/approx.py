"""Functions of fixed-point secrets by polynomials: few rounds, stated and tested error bounds, nothing opened.

Comparisons are a function ``msb(party, x, width)``: the arithmetic sharing (0 or 1) of bit ``width - 1`` of x mod
2^width, for pairs uint64[n, 2]; :func:`msb` is that of the bit protocol.

The logistic function is 1 - p or p of the magnitude, by the sign of its argument, where p approximates the lower tail
1/(1 + e^v) on [0, 10]: its poles at ±iπ then lie near an end of the interval, where a polynomial of degree 11 is good
to 3.2e-5 (the odd expansion on [-10, 10] needs three times the degree). By T_{m+j} = 2 T_m T_j - T_{|m-j|} it is split
into Q_0 + T_4 Q_1 + T_8 Q_2 with Q_i of degree 3 (Paterson and Stockmeyer, "On the number of nonscalar multiplications
necessary to evaluate polynomials", SIAM J. Comput. 1973, here in the Chebyshev basis): T_2; T_3 and T_4; T_8; then both
products under one truncation. With the argument and the final choice it is six multiplications deep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, flat, from_public, multiply, scale
from mpc_engine.runtime.replicated.bit_cost import inject_cost, negative_cost
from mpc_engine.runtime.replicated.convert import inject, negative
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost
from mpc_engine.runtime.replicated.truncate import fixed_dot

__all__ = ["FRACTION", "MAGNITUDE", "Msb", "blunt_width", "msb", "msb_cost", "sigmoid", "sigmoid_cost", "top_bits"]

FRACTION = 18
"""Fraction bits of a secret float (FM64)."""

MAGNITUDE = 26
"""Arguments are smaller than 2^MAGNITUDE in absolute value."""

Msb = Callable[[Replicated, Pairs, int], Pairs]

_CLIP = 10
_SLOPE_BITS = 20
_SLOPE = round(2**_SLOPE_BITS * 2 / _CLIP)
_BASIS = 17
"""Fraction bits of the Chebyshev polynomials: with those of the coefficients and one truncation of 32, FRACTION."""

TAIL_BITS = 16
TAIL = (7335, -12681, 8174, -3821, 1124, -19, -206, 138, -49, 5, 6, -5)
"""1/(1 + exp(5 (t + 1))), -1 <= t <= 1, on T_0(t).. times 2^16: weighted least squares, rounded, then single steps of
single coefficients while they lower the largest error, which is 4.3e-5 (tests/unit/test_replicated_approx.py)."""

_BLUNT = 10
"""Low bits that comparisons ignore: a sign may be wrong for |x| < 2^-7, where both branches hold."""


def msb(party: Replicated, x: Pairs, width: int) -> Pairs:
    """Return bit ``width - 1`` of ``x mod 2**width`` as a number 0 or 1. Cost: :func:`msb_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [n, 2]
    width : int
        1 to 64.
    """
    bits: Pairs = inject(party, negative(party, x, width))[0]
    return bits


def msb_cost(size: int, width: int) -> PartyCost:
    """Return what :func:`msb` costs.

    The injection starts with a message of party 0. What a chain of messages from the one of party 0 with which the
    comparison starts brings goes round the parties against their numbers: only if one round of gates, or 4, 7, ...,
    follow is party 0 the last to be served, and the injection does not start a round early.
    """
    compared = negative_cost(size, width)
    both = compared + inject_cost(size)
    return PartyCost(both.rounds - ((compared.rounds - 1) % 3 != 1), both.bytes_sent)


def sigmoid_cost(size: int, *, magnitude: int = MAGNITUDE) -> PartyCost:
    """Return what :func:`sigmoid` costs.

    Examples
    --------
    >>> sigmoid_cost(64_000).total / 64_000
    370.5
    """
    compared = msb_cost(3 * size, blunt_width(magnitude + 1))
    depth = (1, 1, 2, 1, 1)  # products in the argument, T_2, T_3 and T_4, T_8, the series
    return sum((fixed_multiply_cost(count * size) for count in depth), compared) + multiply_cost(size)


def top_bits(x: Pairs, *, magnitude: int) -> tuple[Pairs, int]:
    """Cut the shares of numbers to what a blunt comparison needs; local.

    Parameters
    ----------
    x : ndarray of uint64, shape [..., 2]
        ``|x| < 2**(magnitude + FRACTION)`` as ring elements.
    magnitude : int

    Returns
    -------
    (ndarray of uint64, shape [..., 2], int)
        Shares of floor(x / 2^10), perhaps less 1 or 2, mod 2^width, and the width.

    Notes
    -----
    Each component is shifted by itself: of three of them up to two carries are lost.
    """
    width = blunt_width(magnitude)
    return (x >> np.uint64(_BLUNT)) & np.uint64((1 << width) - 1), width


def blunt_width(magnitude: int) -> int:
    """Return how many bits :func:`top_bits` leaves of numbers below ``2**magnitude``."""
    return magnitude + FRACTION + 1 - _BLUNT


def sigmoid(party: Replicated, x: Pairs, *, magnitude: int = MAGNITUDE, top: Msb = msb) -> Pairs:
    """Return ``1 / (1 + exp(-x))`` of fixed-point numbers. Cost: :func:`sigmoid_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        FRACTION fraction bits, ``|x| < 2**magnitude``.
    magnitude : int
        Public; the smaller, the cheaper the comparisons. 4 to 26.
    top : function
        See the module; called once, with 3 values for each element.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        FRACTION fraction bits; largest error 1e-4 (6e-5 observed), perhaps beyond 0 or 1 by that much.
    """
    if not 4 <= magnitude <= MAGNITUDE:
        raise ValueError(f"magnitude must be in 4..{MAGNITUDE}, not {magnitude}")
    pairs = flat(x)
    negative, above, below = _signs(party, pairs, top, magnitude)
    t = _argument(party, pairs, negative, above, below)
    tail = _tail(party, t)
    # (1 - tail) or tail, by the sign
    mirrored = multiply(party, negative, add_public(party, scale(tail, 2), -(1 << FRACTION)))
    return add_public(party, mirrored - tail, 1 << FRACTION).reshape(x.shape)


def _signs(party: Replicated, x: Pairs, top: Msb, magnitude: int) -> tuple[Pairs, Pairs, Pairs]:
    """[x < 0], [x > clip], [x < -clip], bluntly."""
    clip = _CLIP << FRACTION
    compared = np.concatenate([x, add_public(party, np.uint64(0) - x, clip), add_public(party, x, clip)])
    bits = top(party, *top_bits(compared, magnitude=magnitude + 1))
    n = len(x)
    return bits[:n], bits[n : 2 * n], bits[2 * n :]


def _argument(party: Replicated, x: Pairs, negative: Pairs, above: Pairs, below: Pairs) -> Pairs:
    """t = 2 min(|x|, clip) / clip - 1 with _BASIS fraction bits: |x| is x times 1, -1 or, where clipped, 0."""
    factor = add_public(party, below - above - scale(negative, 2), 1)
    size = fixed_dot(party, scale(x, _SLOPE)[None], factor[None], bits=FRACTION + _SLOPE_BITS - _BASIS)
    return add_public(party, size + scale(above + below, 2 << _BASIS), -1 << _BASIS)


def _tail(party: Replicated, t: Pairs) -> Pairs:
    """The polynomial TAIL of t, with FRACTION fraction bits."""
    one = 1 << _BASIS

    def twice(a: Pairs, b: Pairs) -> Pairs:
        return fixed_dot(party, scale(a, 2)[None], b[None], bits=_BASIS)

    t2 = add_public(party, twice(t, t), -one)
    both = twice(np.stack([t2, t2]), np.stack([t, t2]))
    t3, t4 = both[0] - t, add_public(party, both[1], -one)
    t8 = add_public(party, twice(t4, t4), -one)
    low, middle, high = (_series(party, block, (t, t2, t3)) for block in _blocks(TAIL))
    whole = from_public(party, np.full(len(t), one, np.int64))  # so that Q_0 is rounded with the rest
    factors, blocks = np.stack([whole, t4, t8]), np.stack([low, middle, high])
    return fixed_dot(party, factors, blocks, bits=2 * _BASIS + TAIL_BITS - FRACTION)


def _series(party: Replicated, coefficients: Sequence[int], basis: Sequence[Pairs]) -> Pairs:
    """coefficients[0] + sum of coefficients[k] T_k, k = 1.., with _BASIS + TAIL_BITS fraction bits; local."""
    total = sum((scale(term, factor) for term, factor in zip(basis, coefficients[1:], strict=True)), np.uint64(0))
    return add_public(party, np.asarray(total), coefficients[0] << _BASIS)


def _blocks(coefficients: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Split a Chebyshev series of degree 11 as Q_0 + T_4 Q_1 + T_8 Q_2.

    >>> _blocks([0] * 11 + [1])  # T_11 = 2 T_8 T_3 - T_5, T_5 = 2 T_4 T_1 - T_3
    ([0, 0, 0, 1], [0, -2, 0, 0], [0, 0, 0, 2])
    """
    rest = list(coefficients)
    blocks = []
    for m in (8, 4):
        block = [rest[m], *(2 * rest[m + j] for j in (1, 2, 3))]
        for j in (1, 2, 3):
            rest[m - j] -= rest[m + j]
        blocks.append(block)
    return rest[:4], blocks[1], blocks[0]
