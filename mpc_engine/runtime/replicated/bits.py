"""Replicated sharing of bits, cut into planes of 64 rows to a word: xor, not, and, opening.

A secret bit b = b_0 ^ b_1 ^ b_2; party r holds b_r and b_{r+1}. A column of k-bit numbers is k planes, the least
significant first (see :mod:`mpc_kernels.bits`). XOR and NOT are local. AND is the product of Araki, Furukawa, Lindell,
Nof, Ohara, "High-Throughput Semi-Honest Secure Three-Party Computation with an Honest Majority" (CCS 2016), section
3.2, over GF(2): every party sends one bit for each AND, masked with a sharing of zero, to the previous party.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.core import Replicated
from mpc_kernels.bits import and_local, plane_words, planes_to_rows, rows_to_planes

__all__ = [
    "Bits",
    "Words",
    "and_",
    "concat",
    "constant",
    "flips",
    "not_",
    "open_bits",
    "receive_next",
    "reshare_bits",
    "xor",
    "zero_bits",
]

Words = NDArray[np.uint64]
ONES = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Bits:
    """One party's two components of a column of secret k-bit numbers.

    Attributes
    ----------
    own, next : ndarray of uint64, shape [bits, (rows + 63) // 64]
        Components r and r+1 at party r; plane 0 is the least significant bit.
    rows : int
    """

    own: Words
    next: Words
    rows: int

    def __post_init__(self) -> None:
        shape = (len(self.own), plane_words(self.rows))
        if self.own.shape != shape or self.next.shape != shape:
            raise ValueError(f"planes of {self.rows} rows have shape {shape}, not {self.own.shape}, {self.next.shape}")

    @property
    def bits(self) -> int:
        """How many bits a row has."""
        return len(self.own)

    def planes(self, which: slice | Sequence[int] | NDArray[np.integer[Any]]) -> Bits:
        """The planes picked by a slice or by numbers; local."""
        return Bits(self.own[which], self.next[which], self.rows)


def flips(party: Replicated) -> tuple[int, int]:
    """Return what to XOR to this party's two components to add the constant 1: component 0 carries constants."""
    ones = int(ONES)
    return (ones if party.rank == 0 else 0), (ones if party.rank == 2 else 0)


def xor(x: Bits, y: Bits) -> Bits:
    """Return shares of ``x ^ y``; local."""
    return Bits(x.own ^ y.own, x.next ^ y.next, x.rows)


def not_(party: Replicated, x: Bits) -> Bits:
    """Return shares of the complement; local."""
    own, after = flips(party)
    return Bits(x.own ^ np.uint64(own), x.next ^ np.uint64(after), x.rows)


def concat(parts: Sequence[Bits]) -> Bits:
    """Put planes together, least significant part first; local."""
    own, after = (np.concatenate(planes) for planes in zip(*((part.own, part.next) for part in parts), strict=True))
    return Bits(own, after, parts[0].rows)


def constant(party: Replicated, values: NDArray[np.integer[Any]], bits: int) -> Bits:
    """Return shares of public numbers: the low `bits` bits in component 0; local.

    Parameters
    ----------
    party : Replicated
    values : ndarray of integers, shape [n]
    bits : int
        At most 64.
    """
    rows = np.ascontiguousarray(values).astype(np.uint64).reshape(-1, 1)
    planes = rows_to_planes(rows, bits)
    nothing = np.zeros_like(planes)
    return Bits(planes if party.rank == 0 else nothing, planes if party.rank == 2 else nothing, len(rows))


def zero_bits(party: Replicated, words: int) -> Words:
    """Return this party's part of a fresh sharing of zero bits; no message. The three parts XOR to 0."""
    return party.zero_bits(words)


def receive_next(party: Replicated, part: Words) -> Words:
    """Send a masked part to the previous party and return the next party's: one round."""
    party.send((party.rank - 1) % 3, part)
    return np.frombuffer(party.recv((party.rank + 1) % 3, part.nbytes), np.uint64)


def reshare_bits(party: Replicated, part: Words, rows: int) -> Bits:
    """Turn a masked XOR sharing of planes into a replicated one: one round, a bit for each bit.

    Parameters
    ----------
    party : Replicated
    part : ndarray of uint64, shape [bits, words]
        Already masked with :func:`zero_bits`.
    rows : int
    """
    return Bits(part, receive_next(party, part).reshape(part.shape), rows)


def and_(party: Replicated, x: Bits, y: Bits) -> Bits:
    """Return shares of ``x & y``, plane by plane. Cost: :func:`~.bit_cost.and_cost`.

    Parameters
    ----------
    party : Replicated
    x, y : Bits
        Of the same shape.
    """
    if x.own.shape != y.own.shape or x.rows != y.rows:
        raise ValueError(f"the planes have different shapes: {x.own.shape} and {y.own.shape}")
    mask = zero_bits(party, x.own.size)
    flat = (np.ascontiguousarray(planes).reshape(-1) for planes in (x.own, x.next, y.own, y.next))
    return reshare_bits(party, and_local(*flat, mask=mask, out=mask).reshape(x.own.shape), x.rows)


def open_bits(party: Replicated, x: Bits) -> Words:
    """Open numbers to all parties: discloses them. Cost: :func:`~.bit_cost.open_bits_cost`.

    Returns
    -------
    ndarray of uint64, shape [rows, (bits + 63) // 64]
        Packed rows.
    """
    own = np.ascontiguousarray(x.own)
    party.send((party.rank + 1) % 3, own)
    missing = np.frombuffer(party.recv((party.rank - 1) % 3, own.nbytes), np.uint64).reshape(own.shape)
    return planes_to_rows(own ^ x.next ^ missing, x.rows)
