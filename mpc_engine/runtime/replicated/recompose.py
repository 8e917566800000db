"""Bits to numbers by one subtraction, where :func:`~.convert.b2a` moves a ring element for every bit.

The inverse of :func:`~.convert.a2b`, after the conversion of Mohassel and Rindal, "ABY3" (CCS 2018), section 5.3:
x_2 is pseudo-random and known to the parties 1 and 2; the bits of d = x - x_2 are computed in secret and opened to
party 0, to whom d is uniform; party 0 splits d = x_0 + x_1 by the generator it shares with party 1 and gives x_0 to
party 2, to whom it is uniform. x has k bits: from bit k on, the carry of x + (-x_2) only runs on, through bits that
parties 1 and 2 know, so that all the upper carries take one AND each in a single round.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.bits import Bits, Words, and_, concat, xor
from mpc_engine.runtime.replicated.convert import inject, prefix_carries, prefix_steps, ripple_carries, use_ripple
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes

__all__ = ["recompose", "recompose_cost"]

_RING = 64


def recompose(party: Replicated, x: Bits) -> Pairs:
    """Return unsigned bits as numbers mod 2^64: 40 to 110 bytes a row. Cost: :func:`recompose_cost`.

    Parameters
    ----------
    party : Replicated
    x : Bits
        1 to 64 planes.

    Returns
    -------
    ndarray of uint64, shape [n, 2]

    Notes
    -----
    Discloses nothing: what arrives is uniform to its receiver.
    """
    if not 1 <= x.bits <= _RING:
        raise ValueError(f"1 to {_RING} bits, not {x.bits}")
    if x.bits == 1:
        one: Pairs = inject(party, x)[0]
        return one
    last = np.empty(0, np.uint64) if party.rank == 0 else party.stream(2, x.rows)  # x_2
    return _split(party, _add_known(party, x, np.uint64(0) - last), last)


def recompose_cost(rows: int, bits: int, link: Link = NEAR) -> PartyCost:
    """Return what :func:`recompose` costs.

    Examples
    --------
    >>> recompose_cost(6400, 32, Link(0, 1)).total / 6400, recompose_cost(6400, 32).total / 6400
    (39.625, 99.625)
    """
    words = plane_words(rows)
    if bits == 1:
        return PartyCost(2, (8 * rows,) * 3)
    low = min(bits, _RING - 1)
    if use_ripple(low + 1, rows, link):
        ands, rounds = low, low
    else:
        steps = prefix_steps(low)
        ands, rounds = low + sum(2 * len(targets) for targets, _ in steps), 1 + len(steps)
    if low < _RING - 1:
        ands, rounds = ands + _RING - 1 - low, rounds + 1
    sent = 8 * ands * words
    return PartyCost(rounds + 2, (sent + 8 * rows, sent, sent + 8 * _RING * words))


def _known(party: Replicated, planes: Words, rows: int) -> Bits:
    """Bits that the parties 1 and 2 know, as component 2; no message."""
    nothing = np.zeros_like(planes)
    return Bits(planes if party.rank == 2 else nothing, planes if party.rank == 1 else nothing, rows)


def _add_known(party: Replicated, x: Bits, addend: NDArray[np.uint64]) -> Bits:
    """All 64 bits of x plus a number that parties 1 and 2 know."""
    rows = x.rows
    planes = np.zeros((_RING, plane_words(rows)), np.uint64)
    if party.rank != 0:
        planes = rows_to_planes(addend.reshape(-1, 1), _RING)
    other = _known(party, planes, rows)
    nothing = np.zeros((_RING - x.bits, plane_words(rows)), np.uint64)
    wide = concat([x, Bits(nothing, nothing, rows)])
    low = min(x.bits, _RING - 1)
    part = slice(0, low + 1)
    carry = (ripple_carries if use_ripple(low + 1, rows, party.link) else prefix_carries)(
        party, wide.planes(part), other.planes(part)
    )
    if low < _RING - 1:
        ones = _known(party, np.bitwise_and.accumulate(planes[low : _RING - 1], axis=0), rows)
        carry = concat([carry, and_(party, carry.planes(np.full(ones.bits, low - 1)), ones)])
    total = xor(wide, other)
    own, after = total.own.copy(), total.next.copy()
    own[1:] ^= carry.own
    after[1:] ^= carry.next
    return Bits(own, after, rows)


def _split(party: Replicated, d: Bits, last: NDArray[np.uint64]) -> Pairs:
    """Open d to party 0, which splits it; `last` is x_2 at the others."""
    if party.rank == 2:
        party.send(0, np.ascontiguousarray(d.own))
        return np.stack([last, np.frombuffer(party.recv(0, 8 * d.rows), np.uint64)], axis=-1)
    second = party.stream(1, d.rows)
    if party.rank == 1:
        return np.stack([second, last], axis=-1)
    missing = np.frombuffer(party.recv(2, d.own.nbytes), np.uint64).reshape(d.own.shape)
    first = planes_to_rows(d.own ^ d.next ^ missing, d.rows)[:, 0] - second
    party.send(2, first)
    return np.stack([first, second], axis=-1)
