"""Costs of native kernels on bits, exactly: comparisons, and numbers to bits and back; a test holds them together.

A kernel takes few rounds or few bytes, whichever is faster for as many rows; that choice is made here in the same way
as in `mpc_engine.runtime.replicated`. Rows are counted in words of 64.
"""

from __future__ import annotations

import functools

from mpc_compiler.cost.model import Cost

__all__ = ["a2b_cost", "equal_cost", "less_cost", "recompose_cost", "words_of"]

_ROUND_TRIP = 2e-4
_BYTE = 1.5e-9
_RING = 64


def words_of(rows: int) -> int:
    """Return how many words of 64 rows there are."""
    return -(-rows // 64)


@functools.lru_cache(maxsize=4096)
def _prefix(size: int) -> tuple[int, int]:
    """Steps of a parallel prefix over `size` elements, and how many it joins in all."""
    steps = max(size - 1, 0).bit_length()
    return steps, sum(index.bit_count() for index in range(size))


@functools.lru_cache(maxsize=4096)
def _compared(bits: int, words: int) -> tuple[int, int]:
    """Rounds and ANDs of the cheapest comparison of numbers of `bits` bits."""
    ways = []
    for segments in range(1, bits + 1):
        steps, joined = _prefix(segments - 1)
        width = -(-bits // segments)
        ands = bits if segments == 1 else bits + joined + 1
        ways.append((width - 1 + (max(1, steps) if segments > 1 else 0) + 1, ands))
    return min(ways, key=lambda way: way[0] * _ROUND_TRIP + way[1] * 8 * words * _BYTE)


def less_cost(words: int, bits: int) -> Cost:
    """Return what finding negative numbers of `bits` bits costs.

    Examples
    --------
    >>> less_cost(2, 64)
    Cost(rounds=8, bytes=7696, work=2048, exact=True)
    """
    first, work = Cost(1, 8 * bits * words), 16 * bits * words
    if bits == 1:
        return first + Cost(0, 0, work)
    rounds, ands = _compared(bits - 1, words)
    return first + Cost(rounds, 24 * ands * words, work)


def equal_cost(words: int, bits: int) -> Cost:
    """Return what finding numbers whose low `bits` bits are 0 costs: one message, and a tree of ANDs."""
    return Cost(1 + (bits - 1).bit_length(), 8 * (bits + 3 * (bits - 1)) * words, 8 * bits * words)


def _ripple(bits: int, words: int) -> bool:
    steps, joined = _prefix(bits - 1)
    return (bits - 2 - steps) * _ROUND_TRIP < 2 * joined * 8 * words * _BYTE


def _carries(bits: int, words: int) -> tuple[int, int]:
    """Rounds and ANDs of the carries of an addition of `bits` > 1 bits."""
    if _ripple(bits, words):
        return bits - 1, bits - 1
    steps, joined = _prefix(bits - 1)
    return 1 + steps, bits - 1 + 2 * joined


def a2b_cost(words: int, bits: int) -> Cost:
    """Return what the low `bits` bits of numbers cost."""
    first = Cost(1, 8 * bits * words, 8 * bits * words)
    if bits == 1:
        return first
    rounds, ands = _carries(bits, words)
    return first + Cost(rounds, 24 * ands * words)


def recompose_cost(rows: int, bits: int) -> Cost:
    """Return what numbers of unsigned bits cost."""
    words = words_of(rows)
    if bits == 1:
        return Cost(2, 24 * rows)
    low = min(bits, _RING - 1)
    rounds, ands = _carries(low + 1, words)
    if low < _RING - 1:
        rounds, ands = rounds + 1, ands + _RING - 1 - low
    return Cost(rounds + 2, 24 * ands * words + 8 * rows + 8 * _RING * words, 64 * rows)
