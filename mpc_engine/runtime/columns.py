"""Columns as kernels see them: pairs of numbers, planes of bits, and public arrays beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.arithmetic import from_public
from mpc_engine.runtime.replicated.bits import Bits, constant
from mpc_engine.runtime.replicated.convert import a2b, inject
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.shuffle import Column
from mpc_engine.runtime.shares import FRACTION_BITS
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes

__all__ = [
    "Operand",
    "Public",
    "as_bit",
    "join_bits",
    "laid_out",
    "number",
    "octets_of",
    "packed",
    "planes_of",
    "ring_of",
    "shared",
    "split_bits",
    "spread",
    "taken",
]

Public = NDArray[Any]
"""A public operand: bool, int64 or float64, of the operand's shape or a scalar."""


class Operand:
    """What a kernel gets: a secret column, or a public array.

    Attributes
    ----------
    column : pairs uint64[n, 2], Bits, or None
    public : ndarray or None
    shape : tuple of int
    """

    def __init__(self, column: Column | None, public: Public | None, shape: tuple[int, ...]) -> None:
        self.column, self.public, self.shape = column, public, shape

    def secret(self) -> Column:
        """The column."""
        assert self.column is not None
        return self.column


def ring_of(value: Public) -> NDArray[np.uint64]:
    """A public array as ring elements: floats in fixed point, to the nearest."""
    if value.dtype == np.float64:
        value = np.rint(value * 2.0**FRACTION_BITS)
    ring: NDArray[np.uint64] = value.astype(np.int64).view(np.uint64)
    return ring


def spread(value: Public, shape: tuple[int, ...]) -> Public:
    """A public array, flat, one element for each of `shape`."""
    return np.broadcast_to(value, shape).reshape(-1)


def shared(party: Replicated, value: Public, shape: tuple[int, ...]) -> Column:
    """A public array as a column: in component 0, nothing in the others; local."""
    flat = spread(value, shape)
    if value.dtype == np.bool_:
        return constant(party, flat.view(np.uint8), 1)
    return from_public(party, ring_of(flat))


def taken(party: Replicated, operand: Operand) -> Column:
    """An operand as a column, whether it is secret or not."""
    if operand.public is None:
        return operand.secret()
    return shared(party, operand.public, operand.shape)


def number(party: Replicated, column: Column) -> Pairs:
    """A column as pairs; flags become 0 and 1."""
    return inject(party, column)[0] if isinstance(column, Bits) else column


def as_bit(party: Replicated, column: Column) -> Bits:
    """A flag as one plane; numbers 0 and 1 are converted."""
    return column if isinstance(column, Bits) else a2b(party, column, 1)


def planes_of(octets: NDArray[np.uint8]) -> Bits:
    """Pairs of bits [n, 2] as planes."""
    parts = (np.ascontiguousarray(octets[:, side]).astype(np.uint64).reshape(-1, 1) for side in (0, 1))
    own, after = (rows_to_planes(part, 1) for part in parts)
    return Bits(own, after, len(octets))


def octets_of(bits: Bits) -> NDArray[np.uint8]:
    """One plane as pairs of bits [n, 2]."""
    parts = (planes_to_rows(np.ascontiguousarray(part), bits.rows) for part in (bits.own, bits.next))
    return np.concatenate([part.astype(np.uint8) for part in parts], axis=1)


def laid_out(column: Column, shape: tuple[int, ...]) -> NDArray[Any]:
    """A column as an array [*shape, 2]: of numbers, or of single bits as octets."""
    return (octets_of(column) if isinstance(column, Bits) else column).reshape(*shape, 2)


def packed(array: NDArray[Any]) -> Column:
    """The inverse of :func:`laid_out`."""
    flat = np.ascontiguousarray(array).reshape(-1, 2)
    return planes_of(flat) if flat.dtype == np.uint8 else flat


def join_bits(parts: Sequence[Bits]) -> Bits:
    """Planes below each other, each from a new word on; local."""
    if len(parts) == 1:
        return parts[0]
    own, after = (np.concatenate(sides, axis=1) for sides in zip(*((p.own, p.next) for p in parts), strict=True))
    return Bits(own, after, 64 * own.shape[1])


def split_bits(whole: Bits, rows: Sequence[int]) -> list[Bits]:
    """The inverse of :func:`join_bits`."""
    if len(rows) == 1:
        return [whole]
    ends = np.cumsum([plane_words(count) for count in rows])
    cuts = [slice(end - plane_words(count), end) for end, count in zip(ends, rows, strict=True)]
    return [
        Bits(np.ascontiguousarray(whole.own[:, cut]), np.ascontiguousarray(whole.next[:, cut]), count)
        for cut, count in zip(cuts, rows, strict=True)
    ]
