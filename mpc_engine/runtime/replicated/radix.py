"""Sorting by the bits of narrow keys, without comparisons: two bits a pass, about 160 bytes a row and pass.

Chida et al., "An Efficient Secure Three-Party Sorting Protocol with an Honest Majority", ePrint 2019/695: passes from
the least significant digit up. The digit's bits become numbers, running sums give every row its place among the rows
of each digit, one inner product picks the right one; the places are shuffled with what is left of the key and opened.
Only the key's remaining planes and the row number, as planes, move in a pass; at the end the row numbers, shuffled once
more, are opened: a uniform permutation, by which columns are then moved like by any :class:`~.sort.Order`.

A sort by comparisons (:mod:`.sort`) pays for the width of the row number in each of 1.1 log2 n comparisons a row, but
little for a bit of the key; radix pays by the bit. :func:`choose` compares the declared costs; up to four or five bits
on a local network, and up to any width on a slow one, radix is faster. A sort by one bit is :func:`~.compact.compact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, dot, multiply, open_all
from mpc_engine.runtime.replicated.bit_cost import inject_cost, open_bits_cost, shuffle_cost, sort_cost
from mpc_engine.runtime.replicated.bits import Bits, concat, constant, open_bits
from mpc_engine.runtime.replicated.convert import inject
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, multiply_cost, open_cost
from mpc_engine.runtime.replicated.shuffle import Column, Shuffle, permute_public
from mpc_engine.runtime.replicated.sort import Order
from mpc_kernels.permute import invert_var

__all__ = ["RadixOrder", "choose", "radix_cost", "radix_order"]

DIGIT = 2
"""Bits of a digit: one bit takes 112 bytes a row and bit, two take 80, three would take 85."""

_LOCAL = {"radix": Link(6.7e-4, 7.5e-9), "compare": Link(1.7e-4, 14.4e-9)}
"""Seconds of one party's own work for each round and each byte it sends, from the processor time of both sorts of 2^16
and 2^18 rows by 8 bits. Bytes of a comparison are dearer: each stands for gates on several planes."""


@dataclass(frozen=True)
class RadixOrder:
    """How to bring rows into sorted order: a public permutation, then the inverse of a secret shuffle.

    Attributes
    ----------
    inverse : Order
        Brings sorted rows into the original order.
    """

    inverse: Order

    def apply(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Bring other columns into the sorted order. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return self.inverse.undo(party, columns)

    def undo(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Bring columns in sorted order back to the original one. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return self.inverse.apply(party, columns)


def radix_order(party: Replicated, key: Bits) -> RadixOrder:
    """Return the order that sorts rows by a secret key, ascending and stable. Cost: :func:`radix_cost`, exactly.

    Parameters
    ----------
    party : Replicated
    key : Bits
        See :func:`~.sort.sort_rows` for several keys.

    Returns
    -------
    RadixOrder

    Notes
    -----
    Discloses nothing: all that is opened are uniform permutations.
    """
    rows = key.rows
    number = constant(party, np.arange(rows), _number_bits(rows))
    rest = key
    while rest.bits:
        digit = min(DIGIT, rest.bits)
        place = _places(party, rest.planes(slice(0, digit)))
        shuffle = Shuffle.draw(party, rows)
        places, carried = shuffle.apply(party, [place, concat([number, rest.planes(slice(digit, None))])])
        assert not isinstance(places, Bits)
        (moved,) = permute_public([carried], invert_var(open_all(party, places).astype(np.uint32)))
        assert isinstance(moved, Bits)
        number, rest = moved.planes(slice(0, number.bits)), moved.planes(slice(number.bits, None))
    last = Shuffle.draw(party, rows)
    (shuffled,) = last.apply(party, [number])
    assert isinstance(shuffled, Bits)
    opened = open_bits(party, shuffled)[:, 0].astype(np.uint32)
    return RadixOrder(Order(last, invert_var(opened)))


def _number_bits(rows: int) -> int:
    return max(1, (rows - 1).bit_length())


def _places(party: Replicated, digit: Bits) -> Pairs:
    """The place of every row after a stable sort by a digit of one or two bits."""
    ones = inject(party, digit)
    if digit.bits == 1:
        flags = np.stack([add_public(party, np.uint64(0) - ones[0], 1), ones[0]])
    else:
        low, high = ones
        both = multiply(party, low, high)
        neither = add_public(party, both - low - high, 1)
        flags = np.stack([neither, low - both, high - both, both])
    count = np.cumsum(flags, axis=1, dtype=np.uint64)
    total = count[:, -1:] if digit.rows else np.zeros((len(flags), 1, 2), np.uint64)
    before = np.cumsum(total, axis=0, dtype=np.uint64) - total  # rows of smaller digits
    return add_public(party, dot(party, flags, count + before), -1)


def radix_cost(rows: int, bits: int) -> PartyCost:
    """Return what :func:`radix_order` costs.

    Examples
    --------
    >>> [round(radix_cost(6400, bits).total / 6400) for bits in (1, 2, 4, 8)]
    [122, 170, 329, 651]
    """
    number = _number_bits(rows)
    cost = shuffle_cost(rows, [number]) + open_bits_cost(rows, number)
    for at in range(0, bits, DIGIT):
        digit = min(DIGIT, bits - at)
        cost += inject_cost(rows, digit) + shuffle_cost(rows, [None, number + bits - at - digit]) + open_cost(rows)
        for _ in range(digit):
            cost += multiply_cost(rows)
    passes = -(-bits // DIGIT)  # the first message of a step leaves while the places are opened
    return PartyCost(cost.rounds - passes, cost.bytes_sent)


def choose(rows: int, bits: int, link: Link = NEAR) -> Literal["radix", "compare"]:
    """Return which sort takes less time, :func:`radix_order` or :func:`~.sort.sort_order`: declared cost, local work.

    Parameters
    ----------
    rows, bits : int
        Of the key.
    link : Link

    Examples
    --------
    >>> [choose(100_000, bits) for bits in (2, 4, 8, 32)]
    ['radix', 'radix', 'compare', 'compare']
    """
    radix = _seconds(radix_cost(rows, bits), _LOCAL["radix"], link)
    return "radix" if radix < _seconds(sort_cost(rows, bits, link=link), _LOCAL["compare"], link) else "compare"


def _seconds(cost: PartyCost, local: Link, link: Link) -> float:
    return cost.rounds * (local.round_trip + link.round_trip) + max(cost.bytes_sent) * (local.byte + link.byte)
