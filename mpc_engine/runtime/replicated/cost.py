"""What every operation costs, exactly: rounds, and payload bytes that each party sends.

Functions of public shapes only. Tests run each operation over counting channels and compare.
"""

from __future__ import annotations

from typing import NamedTuple

from mpc_engine.runtime.replicated.core import Cost, matmul_cost, setup_cost

__all__ = [
    "Cost",
    "PartyCost",
    "fixed_multiply_cost",
    "matmul_cost",
    "multiply_cost",
    "open_cost",
    "open_to_cost",
    "segment_scan_cost",
    "setup_cost",
    "share_cost",
    "truncate_cost",
]


class PartyCost(NamedTuple):
    """Rounds of an operation, and payload bytes that parties 0, 1 and 2 send.

    Examples
    --------
    >>> PartyCost(1, (8, 0, 0)) + PartyCost(2, (12, 4, 4))
    PartyCost(rounds=3, bytes_sent=(20, 4, 4))
    """

    rounds: int
    bytes_sent: tuple[int, int, int]

    @property
    def total(self) -> int:
        """Bytes of all parties together."""
        return sum(self.bytes_sent)

    def __add__(self, other: tuple[object, ...]) -> PartyCost:
        """Return the cost of one operation after another."""
        assert isinstance(other, PartyCost)
        first, second, third = (a + b for a, b in zip(self.bytes_sent, other.bytes_sent, strict=True))
        return PartyCost(self.rounds + other.rounds, (first, second, third))


def _even(rounds: int, bytes_sent: int) -> PartyCost:
    return PartyCost(rounds, (bytes_sent, bytes_sent, bytes_sent))


def _one(rank: int, bytes_sent: int) -> PartyCost:
    first, second, third = (bytes_sent if party == rank else 0 for party in range(3))
    return PartyCost(1, (first, second, third))


def share_cost(owner: int, size: int) -> PartyCost:
    """Return what :func:`~.arithmetic.share` costs: one message of the owner."""
    return _one(owner, 8 * size)


def open_cost(size: int) -> PartyCost:
    """Return what :func:`~.arithmetic.open_all` costs."""
    return _even(1, 8 * size)


def open_to_cost(receiver: int, size: int) -> PartyCost:
    """Return what :func:`~.arithmetic.open_to` costs: one message of the party before the receiver."""
    return _one((receiver - 1) % 3, 8 * size)


def multiply_cost(size: int) -> PartyCost:
    """Return what `size` products, squares or dot products of any length cost.

    Examples
    --------
    >>> multiply_cost(1000).total
    24000
    """
    return _even(1, 8 * size)


def truncate_cost(size: int) -> PartyCost:
    """Return what :func:`~.truncate.truncate` of `size` elements costs: 20 bytes an element in two rounds."""
    return PartyCost(2, (12 * size, 4 * size, 4 * size))


def fixed_multiply_cost(size: int) -> PartyCost:
    """Return what `size` truncated products or dot products cost: 36 bytes each in two rounds.

    Examples
    --------
    >>> fixed_multiply_cost(1000)
    PartyCost(rounds=2, bytes_sent=(12000, 12000, 12000))
    """
    return _even(2, 12 * size)


def segment_scan_cost(rows: int, columns: int, *, copy: bool = False) -> PartyCost:
    """Return what :func:`~.scan.segment_scan` costs: about ``2 log2(rows)`` rounds, ``rows (2 columns + 1)`` products.

    Examples
    --------
    >>> segment_scan_cost(1024, 1).rounds
    19
    """
    cost = multiply_cost(rows * columns) if copy else PartyCost(0, (0, 0, 0))
    for _, _, joined, with_flags in scan_levels(rows):
        cost += multiply_cost(joined * (columns + with_flags))
    return cost


def scan_levels(rows: int) -> list[tuple[int, int, int, bool]]:
    """Return the levels of a Brent–Kung scan: distance d, first row, number of rows, whether flags are joined too.

    Rows of a level lie 2d apart and take in the row d before them: upwards the rows 2d-1, 4d-1, ..., then downwards
    the rows 3d-1, 5d-1, .... Flags are needed at the next levels up only.

    Examples
    --------
    >>> scan_levels(6)
    [(1, 1, 3, True), (2, 3, 1, False), (2, 5, 1, False), (1, 2, 2, False)]
    """
    distances = [1 << level for level in range(rows.bit_length()) if 2 << level <= rows]
    up = [(d, 2 * d - 1, rows // (2 * d), d != distances[-1]) for d in distances]
    down = [(d, 3 * d - 1, (rows - d) // (2 * d), False) for d in reversed(distances)]
    return [level for level in (*up, *down) if level[2] > 0]
