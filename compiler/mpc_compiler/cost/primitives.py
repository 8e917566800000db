"""Costs of the engine's own primitives in SPU: estimates.

The SPU figures were calibrated with SPU's own counters (``enable_pphlo_profile``) on spu 0.9.5, ``ABY3``, ``FM64``:
bytes of all three parties together, per element.

==========================  ======  ======
step                        rounds  bytes
==========================  ======  ======
arithmetic to boolean       8       336
1-bit boolean to arithmetic 2       32
multiplication              1       24
equality                    8       62
less-than                   8       108
minimum, maximum            11      172
permute one column          2       32
==========================  ======  ======
"""

from __future__ import annotations

from mpc_compiler.cost.model import ZERO, Cost

__all__ = ["compact_spu", "log2_ceil", "ring_matmul_spu", "segment_scan_spu", "sort_rows_spu", "spu_by_vectors"]

A2B = Cost(8, 336, exact=False)
B2A_BIT = Cost(2, 32, exact=False)
MULTIPLY = Cost(1, 24, exact=False)
EQUAL = Cost(8, 62, exact=False)
LESS = Cost(8, 108, exact=False)
MINIMUM = Cost(11, 172, exact=False)


def log2_ceil(n: int) -> int:
    """Return the smallest d with 2**d ≥ n.

    Examples
    --------
    >>> [log2_ceil(n) for n in (1, 2, 3, 8, 9)]
    [0, 1, 2, 3, 4]
    """
    return max(0, n - 1).bit_length()


def each(cost: Cost, n: int) -> Cost:
    """`cost` of one element, for `n` elements in the same messages."""
    return Cost(cost.rounds if n else 0, cost.bytes * n, max(cost.work, 1) * n, cost.exact)


def sort_rows_spu(protocol: str, n: int, bits: int, columns: int) -> Cost:
    """Cost of sorting `n` rows by `bits` key bits in SPU, `columns` arrays moved along.

    Under ``aby3`` a stable radix sort, two bits a pass: about 168 bytes a row and bit, 1,000 to 1,400 for decomposing
    and moving the key, 32 for each column. Elsewhere a bitonic network with one comparison of 64 bits
    and one selection a column in every layer. An estimate.
    """
    if n < 2:
        return ZERO
    if protocol == "aby3":
        masked = 1000 if bits < 8 else 1400
        rounds = 40 + 37 * bits // 2 + 2 * columns + (0 if bits < 8 else 30)
        row = 168 * bits + (masked if bits < 64 else 470) + 32 * columns
        return Cost(rounds, n * row, n * (60 * bits + 8 * columns), exact=False)
    layers = log2_ceil(n) * (log2_ceil(n) + 1) // 2
    swaps = n // 2
    return layers * (each(LESS, swaps) + each(MULTIPLY, swaps * columns))


def compact_spu(protocol: str, n: int, columns: int) -> Cost:
    """Cost of moving the flagged of `n` rows first, stably: a one-bit sort. An estimate."""
    if n < 2:
        return ZERO
    if protocol == "aby3":
        return Cost(48 + 4 * columns, n * (528 + 64 * columns), 60 * n + 8 * n * columns, exact=False)
    return sort_rows_spu(protocol, n, 1, columns)


def segment_scan_spu(protocol: str, n: int, op: str) -> Cost:
    """Cost of a work-efficient segmented scan: 2·log2 n levels, about 2n steps in all. An estimate.

    A step multiplies the flags and, for ``sum`` and ``copy``, one value; ``min`` and ``max`` compare as well.
    """
    step = 3 * MULTIPLY + MINIMUM if op in ("min", "max") else 2 * MULTIPLY
    levels = 2 * log2_ceil(n)
    return each(B2A_BIT, n) + Cost(step.rounds * levels, step.bytes * 2 * n, 6 * n * levels, exact=False)


def ring_matmul_spu(protocol: str, g: int, n: int, c: int) -> Cost:
    """Cost of a product [g, n] × [n, c] in SPU. Under ``aby3`` it sends as much as the native one; an estimate."""
    rounds = min(g, c) if spu_by_vectors(g, n, c) else 1
    if protocol == "aby3":
        return Cost(rounds, 24 * g * c, 4 * g * n * c, exact=False)
    return Cost(2 * rounds, 16 * (g * n + n * c), 8 * g * n * c, exact=False)


_DOT_LIMIT = 1 << 16
_MOST_VECTORS = 24


def spu_by_vectors(g: int, n: int, c: int) -> bool:
    """Whether SPU is faster with products by single vectors (up to 13 times) than with one product [g, n] × [n, c].

    Examples
    --------
    >>> spu_by_vectors(1000, 1000, 4), spu_by_vectors(1000, 1000, 64), spu_by_vectors(8, 8, 4)
    (True, False, False)
    """
    return g * n * c > _DOT_LIMIT and min(g, c) <= _MOST_VECTORS
