"""Between arithmetic and bit sharings: bits of a number, its sign, and bits as numbers.

a2b follows Mohassel, Rindal, "ABY3: A Mixed Protocol Framework for Machine Learning" (CCS 2018), section 5.3, with less
traffic: y = x_0 + x_1 is known to party 0, who shares its bits with one message to party 1; z = x_2 is known to parties
1 and 2, so sharing its bits takes no message; one binary addition of y and z follows. Only the low bits that are asked
for are shared and added. The sign alone needs only the carry into the top bit, which is a comparison: y + z overflows
where the complement of z is less than y.

Bits become numbers (bit injection) by u = b_0 ^ b_1, known to party 0, who splits it between parties 1 and 2; those
know b_2, hence u ^ b_2 = b_2 + (1 - 2 b_2) u is an additive sharing of the two, which two messages make replicated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost import Link
from mpc_engine.runtime.replicated.arithmetic import multiply
from mpc_engine.runtime.replicated.bits import (
    Bits,
    Words,
    and_,
    concat,
    receive_next,
    reshare_bits,
    xor,
    zero_bits,
)
from mpc_engine.runtime.replicated.compare import Plan, equal, first_difference, plan, work_planes
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_kernels.bits import majority_local, plane_words, rows_to_planes

__all__ = [
    "a2b",
    "b2a",
    "inject",
    "is_zero",
    "negative",
    "prefix_carries",
    "prefix_steps",
    "ripple_carries",
    "select",
    "unpack",
    "use_ripple",
]


def a2b(party: Replicated, x: Pairs, bits: int = 64) -> Bits:
    """Return shares of the low `bits` bits of numbers. Cost: :func:`~.bit_cost.a2b_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [n, 2]
        Pairs. Subtract the smallest possible value first to need only the bits of the range.
    bits : int
        1 to 64.

    Returns
    -------
    Bits
        Of two's complement, mod ``2^bits``.
    """
    y, z = _operands(party, x, bits)
    if bits == 1:
        return xor(y, z)
    carries = ripple_carries(party, y, z) if use_ripple(bits, len(x), party.link) else prefix_carries(party, y, z)
    total = xor(y, z)
    own, after = total.own, total.next
    own[1:] ^= carries.own
    after[1:] ^= carries.next
    return Bits(own, after, total.rows)


def negative(party: Replicated, x: Pairs, bits: int = 64, *, how: Plan | None = None) -> Bits:
    """Return shares of ``x < 0`` for numbers in ``[-2^(bits-1), 2^(bits-1))``. Cost: :func:`~.bit_cost.negative_cost`.

    For ``a < b`` pass ``a - b`` and the bits of the difference's range.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [n, 2]
    bits : int
        1 to 64.
    how : Plan, optional
        How to compare ``bits - 1`` bits.

    Returns
    -------
    Bits
        One plane.
    """
    y, z = _operands(party, x, bits)
    top = xor(y.planes(slice(bits - 1, None)), z.planes(slice(bits - 1, None)))
    if bits == 1:
        return top
    words = plane_words(len(x))
    used = how or plan(bits - 1, words, party.link)
    planes = work_planes(used, words)
    for plane, left, right in zip(planes, (y.own, y.next), (z.own, z.next), strict=True):
        plane[: used.bits] = left[used.order] ^ right[used.order]  # the complement of y ^ ~z
        plane[used.bits : 2 * used.bits] = left[used.order]
    part = first_difference(party, used, planes)
    part ^= top.own[0]
    return reshare_bits(party, part.reshape(1, words), len(x))


def is_zero(party: Replicated, x: Pairs, bits: int = 64) -> Bits:
    """Return shares of "the low `bits` bits are 0". Cost: :func:`~.bit_cost.is_zero_cost`.

    For ``a == b`` pass ``a - b`` and enough bits for the difference's range. No addition is needed: x is 0 where
    x_0 + x_1 = -x_2.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [n, 2]
    bits : int
        1 to 64.

    Returns
    -------
    Bits
        One plane.
    """
    return equal(party, *_operands(party, x, bits, minus=True))


def _operands(party: Replicated, x: Pairs, bits: int, *, minus: bool = False) -> tuple[Bits, Bits]:
    """Bit sharings of y = x_0 + x_1 and z = x_2, or -x_2: one message, party 0 to party 1."""
    if not 1 <= bits <= 64:
        raise ValueError(f"1 to 64 bits, not {bits}")
    rows = len(x)
    nothing = np.zeros((bits, plane_words(rows)), np.uint64)

    def planes(values: NDArray[np.uint64]) -> Words:
        if minus and party.rank != 0:
            values = np.uint64(0) - values
        return rows_to_planes(np.ascontiguousarray(values).reshape(-1, 1), bits)

    if party.rank == 0:
        mask = party.stream(0, nothing.size).reshape(nothing.shape)
        rest = planes(x[:, 0] + x[:, 1]) ^ mask
        party.send(1, rest)
        return Bits(mask, rest, rows), Bits(nothing, nothing, rows)
    if party.rank == 1:
        rest = np.frombuffer(party.recv(0, nothing.nbytes), np.uint64).reshape(nothing.shape)
        return Bits(rest, nothing, rows), Bits(nothing, planes(x[:, 1]), rows)
    mask = party.stream(0, nothing.size).reshape(nothing.shape)
    return Bits(nothing, mask, rows), Bits(planes(x[:, 0]), nothing, rows)


def use_ripple(bits: int, rows: int, link: Link) -> bool:
    """Return whether the ripple addition of numbers of `bits` > 1 bits is the faster one."""
    more_rounds = bits - 2 - len(prefix_steps(bits - 1))
    more_ands = sum(2 * len(targets) for targets, _ in prefix_steps(bits - 1))
    return more_rounds * link.round_trip < more_ands * 8 * plane_words(rows) * link.byte


def prefix_steps(size: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Steps of a parallel prefix over `size` elements (Sklansky 1960): (targets, sources)."""
    steps = []
    for distance in (1 << k for k in range(max(size - 1, 0).bit_length())):
        targets = np.array([i for i in range(size) if i & distance], np.intp)
        steps.append((targets, (targets // distance) * distance - 1))
    return steps


def ripple_carries(party: Replicated, y: Bits, z: Bits) -> Bits:
    """Carries into bits 1, 2, ...: one AND and one round a bit."""
    shape = (y.bits - 1, y.own.shape[1])
    own, after = np.empty(shape, np.uint64), np.empty(shape, np.uint64)
    carry = (np.zeros(shape[1], np.uint64),) * 2
    for k in range(shape[0]):
        mask = zero_bits(party, shape[1])
        majority_local((y.own[k], y.next[k]), (z.own[k], z.next[k]), carry, mask=mask, out=own[k])
        after[k] = receive_next(party, own[k])
        carry = own[k], after[k]
    return Bits(own, after, y.rows)


def prefix_carries(party: Replicated, y: Bits, z: Bits) -> Bits:
    """Carries into bits 1, 2, ... by a parallel prefix of (generate, propagate)."""
    low = slice(0, y.bits - 1)
    both = and_(party, y.planes(low), z.planes(low))
    generate = both.own.copy(), both.next.copy()
    either = xor(y.planes(low), z.planes(low))
    propagate = either.own, either.next
    for targets, sources in prefix_steps(y.bits - 1):
        upper = Bits(propagate[0][targets], propagate[1][targets], y.rows)
        lower = [Bits(pair[0][sources], pair[1][sources], y.rows) for pair in (generate, propagate)]
        made = and_(party, concat([upper, upper]), concat(lower))
        for g, p, product in zip(generate, propagate, (made.own, made.next), strict=True):
            g[targets] ^= product[: len(targets)]
            p[targets] = product[len(targets) :]
    return Bits(*generate, y.rows)


def inject(party: Replicated, x: Bits) -> Pairs:
    """Return every bit as a number 0 or 1 mod 2^64. Cost: :func:`~.bit_cost.inject_cost`.

    Parameters
    ----------
    party : Replicated
    x : Bits

    Returns
    -------
    ndarray of uint64, shape [bits, n, 2]
    """
    shape = (x.bits, x.rows)
    size = x.bits * x.rows
    if party.rank == 0:
        share = party.stream(0, size)
        party.send(1, unpack(x.own ^ x.next, x.rows) - share)
        return _pairs(party.stream(0, size), party.stream(1, size), shape)
    if party.rank == 1:
        third = unpack(x.next, x.rows)
        share = np.frombuffer(party.recv(0, 8 * size), np.uint64)
        common = party.stream(1, size)
        part = share - 2 * third * share - common
        peer = 2
    else:
        third = unpack(x.own, x.rows)
        share = party.stream(0, size)
        common = party.stream(0, size)
        part = third + share - 2 * third * share - common
        peer = 1
    party.send(peer, part)
    last = part + np.frombuffer(party.recv(peer, 8 * size), np.uint64)
    return _pairs(common, last, shape) if party.rank == 1 else _pairs(last, common, shape)


def _pairs(own: Words, after: Words, shape: tuple[int, int]) -> Pairs:
    pairs: Pairs = np.stack([own, after], axis=-1).reshape(*shape, 2)
    return pairs


def b2a(party: Replicated, x: Bits, *, signed: bool = False) -> Pairs:
    """Return bits as numbers mod 2^64. Cost: :func:`~.bit_cost.inject_cost`.

    Parameters
    ----------
    party : Replicated
    x : Bits
        At most 64 planes.
    signed : bool
        Whether the top bit counts negative (two's complement).

    Returns
    -------
    ndarray of uint64, shape [n, 2]
    """
    weights = np.uint64(1) << np.arange(x.bits, dtype=np.uint64)
    if signed:
        weights[-1] = 2**64 - (1 << (x.bits - 1))
    total: Pairs = (inject(party, x) * weights[:, None, None]).sum(axis=0, dtype=np.uint64)
    return total


def select(party: Replicated, condition: Bits, a: Pairs, b: Pairs) -> Pairs:
    """Return numbers "a where the condition holds, else b". Cost: :func:`~.bit_cost.select_cost`.

    Parameters
    ----------
    party : Replicated
    condition : Bits
        One plane of n rows.
    a, b : ndarray of uint64, shape [n, 2]

    Returns
    -------
    ndarray of uint64, shape [n, 2]
    """
    return b + multiply(party, inject(party, condition)[0], a - b)


def unpack(planes: Words, rows: int) -> NDArray[np.uint64]:
    """Bits of planes as numbers, plane after plane."""
    octets = np.ascontiguousarray(planes).view(np.uint8).reshape(len(planes), 8 * planes.shape[1])
    numbers: NDArray[np.uint64] = np.unpackbits(octets, axis=1, count=rows, bitorder="little").astype(np.uint64)
    return numbers.reshape(-1)
