"""Comparison of secret numbers on bit planes: less-than with few AND gates in few rounds, equality, mux.

A run of bits, most significant first, is described by E, whether a and b agree in it, and by V, which is "a < b" where
they do not (and anything where they do). For one bit these are the complement of a ^ b, and b itself. A run put
together from k runs has, with P_j = E_1 ... E_j and P_0 = 1,

    E = P_k        V = sum over j < k of (P_{j-1} ^ P_j) V_j, and P_{k-1} V_k

one AND for each P_j after the first, and one for V, because an inner product of replicated bits is additive before its
message, however long it is (Araki et al., CCS 2016). All runs at one level of this tree work in the same rounds, and
later ones may be longer, since the products of the earlier ones take time. :func:`plan` picks the tree with fewest ANDs
for every number of rounds (exactly, by dynamic programming), and of these the cheapest: 50 bits take 61 ANDs in 6
rounds, or 49 in 10. Where numbers may be equal, V of the last bit has to be exact, which costs one AND.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost import NEAR, Link
from mpc_compiler.cost.bits import fewest_ands, rounds_and_ands
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
from mpc_kernels.bits import NO_PLANE, ONES, plane_gates_local, plane_words

__all__ = ["Plan", "Step", "equal", "first_difference", "less_than", "mux", "plan", "work_planes"]


Children = list[tuple[int, int]]
"""E and V of the runs that a run is put together from: planes."""


class Step(NamedTuple):
    """The gates of one round; see :func:`mpc_kernels.bits.plane_gates_local`.

    Attributes
    ----------
    terms : ndarray of uint32, shape [terms, 3]
    starts : ndarray of uint32, shape [gates + 1]
    """

    terms: NDArray[np.uint32]
    starts: NDArray[np.uint32]

    @property
    def gates(self) -> int:
        """How many."""
        return len(self.starts) - 1


@dataclass(frozen=True, eq=False)
class Plan:
    """How numbers of `bits` bits are compared.

    Attributes
    ----------
    bits : int
    steps : tuple of Step
        Round by round. Planes 0, 1, ... are E of each bit, most significant first, then follow V of each bit, then the
        results of all gates but the last, which is the result.
    """

    bits: int
    steps: tuple[Step, ...]

    @functools.cached_property
    def order(self) -> NDArray[np.uint32]:
        """The bit (0 is least significant) that each plane holds."""
        return np.arange(self.bits - 1, -1, -1, dtype=np.uint32)

    @functools.cached_property
    def ands(self) -> int:
        """AND gates, that is bits which every party sends for one comparison."""
        return sum(step.gates for step in self.steps)

    @property
    def rounds(self) -> int:
        """Rounds of one comparison."""
        return len(self.steps)

    @property
    def planes(self) -> int:
        """Planes that a comparison works on."""
        return 2 * self.bits + self.ands - 1


@functools.lru_cache(maxsize=4096)
def plan(bits: int, words: int, link: Link = NEAR, *, ties: bool = True) -> Plan:
    """Return the cheapest way to compare numbers of `bits` bits, 64 rows in each of `words` words.

    Parameters
    ----------
    bits, words : int
    link : Link
    ties : bool
        Whether numbers may be equal; if not, one AND is saved.

    Examples
    --------
    >>> few, many = plan(50, 1), plan(50, 1 << 16)
    >>> few.rounds < many.rounds, few.ands > many.ands
    (True, True)
    """
    if bits < 1:
        raise ValueError("numbers of no bits cannot be compared")
    ways = rounds_and_ands(bits, ties)
    rounds, _ = min(ways, key=lambda way: link.round_trip * way[0] + 8 * words * link.byte * way[1])
    return _built(bits, rounds, ties)


@functools.lru_cache(maxsize=1024)
def _built(bits: int, rounds: int, ties: bool) -> Plan:
    return _Builder(bits, ties).build(rounds)


class _Builder:
    """Builds the plan that :func:`fewest_ands` found."""

    def __init__(self, bits: int, ties: bool) -> None:
        self._bits, self._ties = bits, ties or bits == 1
        self._gates: list[list[tuple[int, int, int]]] = []
        self._ready = [0] * (2 * bits)  # the round after which each plane is there

    def build(self, rounds: int) -> Plan:
        self._run, self._product, self._last = fewest_ands(self._bits, self._ties)
        self._ending(rounds, self._bits)
        return Plan(self._bits, self._steps())

    def _steps(self) -> tuple[Step, ...]:
        """Round by round, planes numbered in that order."""
        first = 2 * self._bits
        when = self._ready[first:]
        order = sorted(range(len(when)), key=lambda g: when[g])
        number = {first + g: first + place for place, g in enumerate(order)}
        steps = []
        for t in range(1, max(when) + 1):
            gates = [self._gates[g] for g in order if when[g] == t]
            terms = [[number.get(plane, plane) for plane in term] for gate in gates for term in gate]
            starts = np.cumsum([0, *map(len, gates)], dtype=np.uint32)
            steps.append(Step(np.array(terms, np.uint32), starts))
        return tuple(steps)

    def _gate(self, terms: list[tuple[int, int, int]]) -> int:
        used = (plane for term in terms for plane in term if plane < NO_PLANE - 1)
        self._ready.append(1 + max(self._ready[plane] for plane in used))
        self._gates.append(terms)
        return len(self._ready) - 1

    def _value(self, children: Children, products: list[int]) -> int:
        """V of a run, from the products of all runs but the last."""
        edges = zip([ONES, *products], products, children, strict=False)
        terms = [(after, before, value) for before, after, (_, value) in edges]
        return self._gate([*terms, (products[-1], NO_PLANE, children[-1][1])])

    def _exact(self) -> int:
        """V of the last bit: b where a and b differ, if they may be equal."""
        last = self._bits - 1
        return self._gate([(last, ONES, self._bits + last)]) if self._ties else self._bits + last

    def _split(self, first: NDArray[np.float64], t: int, bits: int) -> int:
        """Bits of the last run."""
        return 1 + int((first[t - 1, 1:bits] + self._product[t - 1, bits - 1 : 0 : -1]).argmin())

    def _whole(self, t: int, bits: int, start: int) -> tuple[int, int]:
        """E and V of a run after `t` rounds."""
        if bits == 1:
            return start, self._bits + start
        while self._run[t - 1, bits] <= self._run[t, bits]:
            t -= 1
        tail = self._split(self._run, t, bits)
        children, products = self._row(t - 1, bits - tail, start)
        children = [*children, self._whole(t - 1, tail, start + bits - tail)]
        value = self._value(children, products)
        return self._gate([(products[-1], NO_PLANE, children[-1][0])]), value

    def _row(self, t: int, bits: int, start: int) -> tuple[Children, list[int]]:
        """Runs in a row, and their products after `t` rounds."""
        if self._product[t, bits] == self._run[t, bits]:
            one = self._whole(t, bits, start)
            return [one], [one[0]]
        tail = self._split(self._run, t, bits)
        children, products = self._row(t - 1, bits - tail, start)
        one = self._whole(t - 1, tail, start + bits - tail)
        return [*children, one], [*products, self._gate([(products[-1], NO_PLANE, one[0])])]

    def _ending(self, t: int, bits: int) -> int:
        """V of the last bits after `t` rounds."""
        if bits == 1:
            return self._exact()
        while self._last[t - 1, bits] <= self._last[t, bits]:
            t -= 1
        tail = self._split(self._last, t, bits)
        children, products = self._row(t - 1, bits - tail, self._bits - bits)
        return self._value([*children, (0, self._ending(t - 1, tail))], products)


def work_planes(how: Plan, words: int) -> tuple[Words, Words]:
    """Return memory for the components of a comparison's planes, [planes, words]; the first 2 * bits are inputs."""
    return np.empty((how.planes, words), np.uint64), np.empty((how.planes, words), np.uint64)


def first_difference(party: Replicated, how: Plan, planes: tuple[Words, Words]) -> Words:
    """Compute masked parts of "a < b": b's bit where a and b first differ.

    Parameters
    ----------
    party : Replicated
    how : Plan
    planes : pair of ndarray of uint64, shape [how.planes, words]
        Components (:func:`work_planes`). The first `bits` planes are the complement of ``a ^ b``, in the order of the
        plan, then follow those of b; the rest is overwritten.

    Returns
    -------
    ndarray of uint64, shape [words]
        This party's masked part; the round in which it leaves is the caller's.
    """
    own, after = planes
    words, flip, at = own.shape[1], flips(party), 2 * how.bits
    for step in how.steps[:-1]:
        mask = zero_bits(party, step.gates * words).reshape(step.gates, words)
        here = slice(at, at + step.gates)
        plane_gates_local(planes, step.terms, step.starts, flip=flip, mask=mask, out=own[here])
        after[here] = receive_next(party, own[here].reshape(-1)).reshape(mask.shape)
        at = here.stop
    mask = zero_bits(party, words).reshape(1, words)
    last = how.steps[-1]
    return plane_gates_local(planes, last.terms, last.starts, flip=flip, mask=mask, out=mask).reshape(-1)


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
    used = how or plan(a.bits, words, party.link)
    if a.bits != b.bits or a.rows != b.rows or used.bits != a.bits:
        raise ValueError(f"cannot compare {a.bits} bits × {a.rows} with {b.bits} × {b.rows} by {used.bits}")
    planes = work_planes(used, words)
    for plane, x, y, flip in zip(planes, (a.own, a.next), (b.own, b.next), flips(party), strict=True):
        plane[: a.bits] = x[used.order] ^ y[used.order] ^ np.uint64(flip)
        plane[a.bits : 2 * a.bits] = y[used.order]
        if signed:  # the first plane of the order is the sign: where signs differ, a < b if a is negative
            plane[a.bits] ^= np.uint64(flip)
    part = first_difference(party, used, planes)
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
