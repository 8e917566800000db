"""Costs of native kernels on bits, exactly: comparisons, and numbers to bits and back; a test holds them together.

A kernel takes few rounds or few bytes, whichever is faster for as many rows; that choice is made here in the same way
as in `mpc_engine.runtime.replicated`. Rows are counted in words of 64.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost.model import NEAR, Cost, Link

__all__ = [
    "a2b_cost",
    "compared",
    "equal_cost",
    "fewest_ands",
    "less_cost",
    "recompose_cost",
    "rounds_and_ands",
    "words_of",
]

_RING = 64
_MOST = 24
"""Rounds; more save nothing below 300 bits."""


def words_of(rows: int) -> int:
    """Return how many words of 64 rows there are."""
    return -(-rows // 64)


@functools.lru_cache(maxsize=4096)
def _prefix(size: int) -> tuple[int, int]:
    """Steps of a parallel prefix over `size` elements, and how many it joins in all."""
    steps = max(size - 1, 0).bit_length()
    return steps, sum(index.bit_count() for index in range(size))


@functools.lru_cache(maxsize=512)
def fewest_ands(bits: int, ties: bool) -> tuple[NDArray[np.float64], ...]:
    """Fewest ANDs that describe a run of bits, for every number of rounds and bits.

    Parameters
    ----------
    bits : int
    ties : bool
        Whether the numbers may be equal.

    Returns
    -------
    run, product, last : ndarray of float64, shape [rounds, bits + 1]
        For E and V of a run (`mpc_engine.runtime.replicated.compare`), for the product of E of runs in a row, and for V
        alone of a run that ends with the last bit, whose own V takes a round if there are ties. Infinity: impossible.
    """
    run, product, last = (np.full((_MOST + 1, bits + 1), np.inf) for _ in range(3))
    run[:, 1] = product[:, 1] = 0
    last[1 if ties else 0 :, 1] = 0
    for t in range(1, _MOST + 1):
        for b in range(2, bits + 1):
            before = product[t - 1, b - 1 : 0 : -1]
            joined = (run[t - 1, 1:b] + before).min()
            run[t, b] = min(run[t - 1, b], joined + 2)
            product[t, b] = min(run[t, b], joined + 1)
            last[t, b] = min(last[t - 1, b], (last[t - 1, 1:b] + before).min() + 1)
    return run, product, last


@functools.lru_cache(maxsize=512)
def rounds_and_ands(bits: int, ties: bool) -> tuple[tuple[int, int], ...]:
    """Return all numbers of rounds worth considering for a comparison of `bits` bits, and the ANDs that these take."""
    if bits == 1:
        return ((1, 1),)
    least = fewest_ands(bits, ties)[2][:, bits] + ties
    return tuple((t, int(least[t])) for t in range(1, min(bits, _MOST) + 1) if np.isfinite(least[t]))


@functools.lru_cache(maxsize=4096)
def compared(bits: int, words: int, link: Link) -> tuple[int, int]:
    """Return rounds and ANDs of the cheapest comparison of numbers of `bits` bits, 64 in each of `words` words."""
    return min(rounds_and_ands(bits, True), key=lambda way: link.round_trip * way[0] + 8 * words * link.byte * way[1])


def less_cost(words: int, bits: int, link: Link = NEAR) -> Cost:
    """Return what finding negative numbers of `bits` bits costs.

    Examples
    --------
    >>> less_cost(2, 64)
    Cost(rounds=7, bytes=5296, work=2048, exact=True)
    """
    first, work = Cost(1, 8 * bits * words), 16 * bits * words
    if bits == 1:
        return first + Cost(0, 0, work)
    rounds, ands = compared(bits - 1, words, link)
    return first + Cost(rounds, 24 * ands * words, work)


def equal_cost(words: int, bits: int) -> Cost:
    """Return what finding numbers whose low `bits` bits are 0 costs: one message, and a tree of ANDs."""
    return Cost(1 + (bits - 1).bit_length(), 8 * (bits + 3 * (bits - 1)) * words, 8 * bits * words)


def _ripple(bits: int, words: int, link: Link) -> bool:
    steps, joined = _prefix(bits - 1)
    return (bits - 2 - steps) * link.round_trip < 2 * joined * 8 * words * link.byte


def _carries(bits: int, words: int, link: Link) -> tuple[int, int]:
    """Rounds and ANDs of the carries of an addition of `bits` > 1 bits."""
    if _ripple(bits, words, link):
        return bits - 1, bits - 1
    steps, joined = _prefix(bits - 1)
    return 1 + steps, bits - 1 + 2 * joined


def a2b_cost(words: int, bits: int, link: Link = NEAR) -> Cost:
    """Return what the low `bits` bits of numbers cost."""
    first = Cost(1, 8 * bits * words, 8 * bits * words)
    if bits == 1:
        return first
    rounds, ands = _carries(bits, words, link)
    return first + Cost(rounds, 24 * ands * words)


def recompose_cost(rows: int, bits: int, link: Link = NEAR) -> Cost:
    """Return what numbers of unsigned bits cost."""
    words = words_of(rows)
    if bits == 1:
        return Cost(2, 24 * rows)
    low = min(bits, _RING - 1)
    rounds, ands = _carries(low + 1, words, link)
    if low < _RING - 1:
        rounds, ands = rounds + 1, ands + _RING - 1 - low
    return Cost(rounds + 2, 24 * ands * words + 8 * rows + 8 * _RING * words, 64 * rows)
