"""Comparison of secret numbers on bit planes: less-than with few AND gates or few rounds, equality, mux.

Cut the b bits, most significant first, into m segments. Within a segment the prefixes P_t = "equal down to bit t" cost
an AND a bit, one round a bit, all segments at once. P_{t-1} ^ P_t marks the first difference, so a segment's result is
the inner product of those marks with b's bits: one AND, however long the segment. The segments' equalities are made
prefixes Q by a parallel prefix (Sklansky, "Conditional-Sum Addition Logic", 1960), and the result is the inner product
of Q with the segments' results. That is b + m log2(m) / 2 + 1 ANDs or so in b/m + log2 m + 1 rounds: m = 1 is as cheap
as the ripple comparator, one AND a bit in b rounds; m = b is a tree; between lie 1.2 ANDs a bit in 10 rounds for 50
bits. :func:`plan` picks m by the cost of rounds and bytes. The inner products use that a product of replicated shares
is additive before its message (Araki et al., CCS 2016).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.bits import (
    Bits,
    Words,
    and_,
    flips,
    not_,
    receive_next,
    reshare_bits,
    xor,
    zero_bits,
)
from mpc_engine.runtime.replicated.core import Replicated
from mpc_kernels.bits import and_local, dot_local, first_difference_local, plane_words

__all__ = ["LAN", "Link", "Plan", "equal", "first_difference", "less_than", "mux", "plan"]


class Link(NamedTuple):
    """What a message costs: seconds of a round, and seconds of a byte that each party sends (its making included)."""

    round_trip: float = 2e-4
    byte: float = 1.5e-9


LAN = Link()


@dataclass(frozen=True)
class Plan:
    """How numbers of `bits` bits are compared.

    Attributes
    ----------
    bits : int
    widths : tuple of int
        Bits of each segment, most significant segment first; non-increasing.
    """

    bits: int
    widths: tuple[int, ...]

    @functools.cached_property
    def counts(self) -> NDArray[np.uint64]:
        """How many segments have a bit t, for t = 0, 1, ..."""
        return np.array([sum(width > t for width in self.widths) for t in range(self.widths[0])], np.uint64)

    @functools.cached_property
    def order(self) -> NDArray[np.uint32]:
        """The bit (0 is least significant) that each plane holds: step by step, segment by segment."""
        tops = self.bits - 1 - np.concatenate([[0], np.cumsum(self.widths)[:-1]])
        steps = [tops[: int(count)] - t for t, count in enumerate(self.counts)]
        order: NDArray[np.uint32] = np.concatenate(steps).astype(np.uint32)
        return order

    @functools.cached_property
    def prefix(self) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]:
        """Steps of the parallel prefix over all segments but the last: (targets, sources)."""
        size = len(self.widths) - 1
        steps = []
        for distance in (1 << k for k in range(max(size - 1, 0).bit_length())):
            targets = np.array([i for i in range(size) if i & distance], np.intp)
            steps.append((targets, (targets // distance) * distance - 1))
        return tuple(steps)

    @functools.cached_property
    def ands(self) -> int:
        """AND gates, that is bits which every party sends for one comparison."""
        segments = len(self.widths)
        if segments == 1:
            return self.bits
        return self.bits + sum(len(targets) for targets, _ in self.prefix) + 1

    @functools.cached_property
    def rounds(self) -> int:
        """Rounds of one comparison."""
        across = max(1, len(self.prefix)) if len(self.widths) > 1 else 0
        return self.widths[0] - 1 + across + 1


@functools.lru_cache(maxsize=1024)
def plan(bits: int, words: int, link: Link = LAN) -> Plan:
    """Return the cheapest way to compare numbers of `bits` bits, 64 rows in each of `words` words.

    Examples
    --------
    >>> few, many = plan(50, 1), plan(50, 1 << 16)
    >>> few.rounds < many.rounds, few.ands > many.ands
    (True, True)
    """
    if bits < 1:
        raise ValueError("numbers of no bits cannot be compared")
    plans = [_even_plan(bits, segments) for segments in range(1, bits + 1)]
    return min(plans, key=lambda p: p.rounds * link.round_trip + p.ands * 8 * words * link.byte)


@functools.lru_cache(maxsize=1024)
def _even_plan(bits: int, segments: int) -> Plan:
    width, longer = divmod(bits, segments)
    return Plan(bits, (width + 1,) * longer + (width,) * (segments - longer))


def first_difference(
    party: Replicated, how: Plan, same: tuple[Words, Words], second: tuple[Words, Words], words: int
) -> Words:
    """Compute masked parts of "a < b": b's bit where a and b first differ.

    Parameters
    ----------
    party : Replicated
    how : Plan
    same : pair of ndarray of uint64, shape [bits * words]
        Components of the complement of ``a ^ b``, planes in the order of the plan; overwritten.
    second : pair of ndarray of uint64, shape [bits * words]
        Components of b, likewise.
    words : int

    Returns
    -------
    ndarray of uint64, shape [words]
        This party's masked part; the round in which it leaves is the caller's.
    """
    counts = [int(count) for count in how.counts]
    starts = np.concatenate([[0], np.cumsum(counts)]) * words
    for t in range(1, len(counts)):
        size, now, before = counts[t] * words, int(starts[t]), int(starts[t - 1])
        here = slice(now, now + size)
        prior = slice(before, before + size)
        mask = zero_bits(party, size)
        and_local(same[0][prior], same[1][prior], same[0][here], same[1][here], mask=mask, out=same[0][here])
        same[1][here] = receive_next(party, same[0][here])
    mask = zero_bits(party, counts[0] * words)
    found = first_difference_local(same, second, how.counts, words, flip=flips(party), mask=mask, out=mask)
    return found if len(how.widths) == 1 else _across(party, how, same, found, words)


def _across(party: Replicated, how: Plan, same: tuple[Words, Words], found: Words, words: int) -> Words:
    """Combine the segments; `found` are masked parts of their results, which leave with the first prefix step."""
    segments = len(how.widths)
    prefix = tuple(_segment_equal(how, component, words) for component in same)
    results = (found, np.empty_like(found))
    for step in range(max(1, len(how.prefix))):
        parts = [found] if step == 0 else []
        if how.prefix:
            targets, sources = how.prefix[step]
            mask = zero_bits(party, targets.size * words)
            picked = (component[which].reshape(-1) for which in (sources, targets) for component in prefix)
            parts.append(and_local(*picked, mask=mask, out=mask))
        message = parts[0] if len(parts) == 1 else np.concatenate(parts)
        received = receive_next(party, message)
        if step == 0:
            results[1][...] = received[: found.size]
            received = received[found.size :]
        if how.prefix:
            prefix[0][targets] = parts[-1].reshape(len(targets), words)
            prefix[1][targets] = received.reshape(len(targets), words)
    mask = zero_bits(party, words)
    mask ^= results[0][:words]  # the most significant segment needs no prefix
    pairs = [component.reshape(-1) for component in prefix]
    rest = [component[words : segments * words] for component in results]
    return dot_local(pairs[0], pairs[1], rest[0], rest[1], mask=mask, out=mask)


def _segment_equal(how: Plan, same: Words, words: int) -> Words:
    """Copy of "equal" of all segments but the last: the last prefix of each."""
    planes = same.reshape(how.bits, words)
    starts = np.concatenate([[0], np.cumsum(how.counts).astype(np.intp)])
    return planes[[int(starts[width - 1]) + segment for segment, width in enumerate(how.widths[:-1])]]


def less_than(party: Replicated, a: Bits, b: Bits, *, signed: bool = False, how: Plan | None = None) -> Bits:
    """Return shares of ``a < b``: one plane. Cost: :func:`~.bit_cost.less_than_cost`.

    Parameters
    ----------
    party : Replicated
    a, b : Bits
        Of the same shape, at least one bit.
    signed : bool
        Whether the numbers are in two's complement.
    how : Plan, optional
        By default the cheapest one on a local network.
    """
    words = plane_words(a.rows)
    used = how or plan(a.bits, words)
    if a.bits != b.bits or a.rows != b.rows or used.bits != a.bits:
        raise ValueError(f"cannot compare {a.bits} bits × {a.rows} with {b.bits} × {b.rows} by {used.bits}")
    same = not_(party, xor(a, b)).planes(used.order)
    second = b.planes(used.order)
    if signed:  # the first plane of the order is the sign: where signs differ, a < b if a is negative
        own, after = flips(party)
        second.own[0] ^= np.uint64(own)
        second.next[0] ^= np.uint64(after)
    planes = [component.reshape(-1) for component in (same.own, same.next, second.own, second.next)]
    part = first_difference(party, used, (planes[0], planes[1]), (planes[2], planes[3]), words)
    return reshare_bits(party, part.reshape(1, words), a.rows)


def equal(party: Replicated, a: Bits, b: Bits) -> Bits:
    """Return shares of ``a == b``: one plane, a tree of ANDs. Cost: :func:`~.bit_cost.equal_cost`."""
    left = not_(party, xor(a, b))
    while left.bits > 1:
        half = left.bits // 2
        done = and_(party, left.planes(slice(0, half)), left.planes(slice(half, 2 * half)))
        if left.bits % 2:
            done = Bits(
                np.concatenate([done.own, left.own[-1:]]), np.concatenate([done.next, left.next[-1:]]), left.rows
            )
        left = done
    return left


def mux(party: Replicated, condition: Bits, a: Bits, b: Bits) -> Bits:
    """Return shares of "a where the condition holds, else b". Cost: :func:`~.bit_cost.and_cost` of a's shape."""
    wide = condition.planes(np.zeros(a.bits, np.intp))
    return xor(b, and_(party, wide, xor(a, b)))
