"""Costs of the engine's primitives when native kernels run them, three parties with replicated shares (``aby3``).

Rounds, and bytes of all parties together. Movers and scans are exact; what compares is an expectation, because the
kernels choose how to compare by the size of the input (`mpc_engine.runtime.replicated.bit_cost` has the exact figures;
a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from mpc_compiler.cost.bits import a2b_cost, compared, equal_cost, less_cost
from mpc_compiler.cost.model import NEAR, ZERO, Cost, Link

__all__ = [
    "compact_native",
    "compare_native",
    "equal_native",
    "lookup_native",
    "one_hot_native",
    "ring_matmul_native",
    "segment_scan_native",
    "sigmoid_native",
    "sort_rows_native",
]

_INJECT = 24
"""Bytes that make a number of a shared bit, in two rounds."""
_ALL_PAIRS = 4
"""Times the rows: so many pairs are compared at once."""
_MOST_SPARE = 1 << 20
"""Most comparisons that may be spent to save a step of a sort."""

_FEW, _PAIRS = 64, 1 << 24
"""Left rows, and pairs of rows, up to which a lookup may compare all pairs."""


def ring_matmul_native(g: int, n: int, c: int) -> Cost:
    """Product [g, n] × [n, c]: one round, 8 bytes an element of the result and party. Exact.

    Each party multiplies locally, adds a fresh sharing of zero and sends its summand to one neighbour.
    """
    return Cost(1, 3 * 8 * g * c, g * n * c // 8 + (g + c) * n)


def _moved(n: int, widths: Sequence[int]) -> Cost:
    """A shuffle of columns of so many bits each, 64 for a number."""
    words = sum(n if width == 64 else width * _words(n) for width in widths)
    return Cost(2, 32 * words, 8 * n * len(widths))


def _words(n: int) -> int:
    return -(-n // 64)


def compact_native(n: int, widths: Sequence[int], *, inject: bool) -> Cost:
    """Flagged rows first: a product, a shuffle with the places, and their opening. Exact.

    Parameters
    ----------
    n : int
    widths : sequence of int
        Bits of each column: 1 for a flag that is shared as a bit, else 64.
    inject : bool
        True if the flag is shared as a bit, and is made a number first.
    """
    if n < 2:
        return ZERO
    flag = Cost(2, _INJECT * n) if inject else ZERO
    return flag + Cost(1, 24 * n, 20 * n) + _moved(n, [64, *widths]) + Cost(1, 24 * n, 4 * n)


def _bits_of(n: int, bits: int, link: Link) -> Cost:
    """The low bits of numbers."""
    return a2b_cost(_words(n), bits, link) if bits else ZERO


def compare_native(n: int, bits: int = 64, link: Link = NEAR) -> Cost:
    """Whether a difference of `bits` bits is negative: an AND a bit, or some more of them in fewer rounds. Exact."""
    return less_cost(_words(n), bits, link)


def equal_native(n: int, bits: int = 64) -> Cost:
    """Whether a difference is zero: one message, and a tree of ANDs. Exact."""
    return equal_cost(_words(n), bits)


def sort_rows_native(n: int, bits: int, widths: Sequence[int], *, known: int = 0, link: Link = NEAR) -> Cost:
    """Shuffle, then opened comparisons of (key, row number): n (log2 n + 0.8) of them, or all pairs of a few rows.

    Parameters
    ----------
    n : int
    bits : int
        Of all keys together.
    widths : sequence of int
        Bits of each column that moves along; see :func:`compact_native`.
    known : int
        How many of the key's bits are shared as bits already.
    link : Link
    """
    if n < 2 or not bits:
        return ZERO
    wide = bits + (n - 1).bit_length()
    rounds, ands = compared(wide, 1 << 11, link)
    spare = min(float(_MOST_SPARE), 8 * rounds * link.round_trip / (ands * link.byte))
    pairs = n * (n - 1) / 2
    if pairs <= max(spare, _ALL_PAIRS * n):
        comparisons, steps = pairs, 1.0
    else:
        comparisons = min(pairs, n * (log2(n) + 0.8) + 0.35 * spare)
        steps = max(2.0, 1.5 * log2(n) - 1.5 * max(0.0, log2(max(1.0, 2 * spare / n)) - 3))
    rounds, ands = compared(wide, _words(n), link)
    size, work = round(comparisons * (ands + 1) * 3 / 8), round(comparisons * wide / 4)
    rank = Cost(round(rounds * steps), size, work, exact=False)
    return _bits_of(n, bits - known, link) + _moved(n, [*[1] * wide, *widths]) + rank


def lookup_native(
    left: int, right: int, bits: int, widths: Sequence[int], *, known: int = 0, link: Link = NEAR
) -> Cost:
    """Lookup of right rows among left rows: one sort of both and two passages, or all pairs of few left rows.

    Parameters
    ----------
    left, right : int
        Rows.
    bits : int
        Of all words of the key together.
    widths : sequence of int
        Bits of each payload column; see :func:`compact_native`.
    known : int
        How many of the key's bits are shared as bits already.
    link : Link
    """
    if not left or not right:
        return ZERO
    rows, both = left + right, [*widths, bits + 1]
    words = [sum(n if width == 64 else width * _words(n) for width in both) for n in (left, right, rows)]
    ends = Cost(0, 16 * (left + words[1]), 0)
    moved = ends + Cost(9, 32 * (rows + left + words[0] + words[2]) + 24 * left, 20 * rows * len(both))
    sort = sort_rows_native(rows, bits, [], known=bits, link=link)
    found = Cost(bits.bit_length(), 24 * bits * _words(right), right * bits // 8)
    by_sort = sort + moved + found
    numbers = sum(width == 64 for width in widths)
    pairs = Cost(bits.bit_length() + 10, 24 * bits * left * (_words(right) + _words(left)), left * right * bits // 8)
    pairs += Cost(2, _INJECT * left * right, 10 * left * right) if numbers else ZERO
    pairs += Cost(1, 24 * numbers * right, numbers * left * right // 8, exact=False)
    few = left <= _FEW and left * right <= _PAIRS and _seconds(pairs, link) < _seconds(by_sort, link)
    return _bits_of(rows, bits - known, link) + (pairs if few else by_sort)


def _seconds(cost: Cost, link: Link) -> float:
    return cost.rounds * (link.round_trip + 1e-4) + cost.bytes * (link.byte + 3e-9) / 3


def segment_scan_native(n: int, op: str, *, bits: int = 64, link: Link = NEAR) -> Cost:
    """Running sums, copies or extremes within segments: about 2 log2 n levels, 2 n steps.

    Sums and copies take one multiplication a step, and one for the flags on the way up; extremes compare as well.
    """
    if n < 2:
        return ZERO
    up = [n // (2 << level) for level in range(n.bit_length()) if 2 << level <= n]
    down = [(n - (1 << level)) // (2 << level) for level in range(len(up))]
    joins = sum(up) + sum(down)
    rounds = len(up) + sum(1 for count in down if count)
    if op in ("sum", "copy"):
        first = Cost(1, 24 * n) if op == "copy" else ZERO
        return first + Cost(rounds, 24 * (joins + sum(up[:-1])), 8 * joins, exact=False)
    step = compare_native(joins, bits, link)
    size = round(1.6 * (step.bytes + 24 * bits * joins // 64))
    return Cost(rounds * 10, size, 4 * step.work, exact=False) + 2 * _bits_of(n, bits, link)


def sigmoid_native(n: int) -> Cost:
    """Signs by comparison, a Chebyshev polynomial of degree 11, a choice: 21 to 27 rounds, 375 bytes."""
    return Cost(24, 375 * n, 100 * n, exact=False)


def one_hot_native(n: int, domain: int, *, flags: int, link: Link = NEAR) -> Cost:
    """The low bits of a code, a tree of ANDs over them (and a flag), and every leaf as a number."""
    width = (domain - 1).bit_length()
    ands = domain - 1 if flags else max(0, domain - 2)
    tree = Cost(width, 24 * ands * _words(n), exact=False)
    return _bits_of(n, width, link) + tree + Cost(2, _INJECT * domain * n, 10 * domain * n)
