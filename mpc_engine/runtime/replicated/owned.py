"""Products with a matrix that one computing party knows: it keeps its columns in the clear, and never shares them.

The owner r holds X. Party r-1 holds a pseudo-random matrix R that it can make itself, and party r+1 holds U = X - R, to
whom it is uniform: an additive sharing of X between these two, sent once. With a secret y = y_0 + y_1 + y_2 the owner
computes X (y_r + y_{r+1}), party r+1 U y_{r+2} and party r-1 R y_{r+2}: one plain product each, whose sum is X y. So
a pass over n rows and p columns costs messages for its n or p results and none for X.

This is the replicated sharing of :func:`~.arithmetic.share`, whose third component is zero, kept at a third of its size
and multiplied at a third of its work. Araki et al., CCS 2016, for the resharing of the products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.arithmetic import Pairs
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost
from mpc_engine.runtime.replicated.truncate import truncated_parts

__all__ = [
    "OwnedMatrix",
    "gram",
    "gram_cost",
    "own",
    "own_cost",
    "product_cost",
    "times",
    "transposed_times",
]

_BLOCK = 1 << 21
"""Elements of the matrix that are looked at, and sent, at a time."""


class OwnedMatrix(NamedTuple):
    """A matrix [rows, columns] that party `owner` knows.

    Attributes
    ----------
    owner : int
        Rank.
    part : ndarray of integers, shape [rows, columns]
        What this party multiplies by: the matrix itself at its owner (of any integer type), U or R mod 2^64 elsewhere.
    """

    owner: int
    part: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.part.shape
        return rows, columns


def own(party: Replicated, owner: int, values: NDArray[np.integer[Any]] | None, shape: tuple[int, int]) -> OwnedMatrix:
    """Set up a matrix that one party knows. Cost: :func:`own_cost`.

    Parameters
    ----------
    party : Replicated
    owner : int
    values : integers of `shape` at the owner, None elsewhere
        Kept as they are: the smaller the type, the less memory.
    shape : (int, int)
        Public.

    Returns
    -------
    OwnedMatrix
        Discloses nothing: what party ``owner + 1`` gets is uniform.
    """
    if party.rank == owner:
        if values is None or values.shape != shape:
            raise ValueError(f"the owner must give values of shape {shape}")
        for block in _blocks(shape):
            clear = np.ascontiguousarray(values[block]).astype(np.int64).view(np.uint64)
            party.send((owner + 1) % 3, clear.reshape(-1) - party.stream(owner, clear.size))
        return OwnedMatrix(owner, values)
    part = np.empty(shape, np.uint64)
    for block in _blocks(shape):
        size = part[block].size
        if party.rank == (owner - 1) % 3:
            arrived = party.stream(owner, size)
        else:
            arrived = np.frombuffer(party.recv(owner, 8 * size), np.uint64)
        part[block] = arrived.reshape(-1, shape[1])
    return OwnedMatrix(owner, part)


def own_cost(owner: int, rows: int, columns: int) -> PartyCost:
    """Return what :func:`own` costs: 8 bytes an element, once.

    Examples
    --------
    >>> own_cost(0, 1000, 3)
    PartyCost(rounds=1, bytes_sent=(24000, 0, 0))
    """
    messages = sum(1 for _ in _blocks((rows, columns)))
    first, second, third = (8 * rows * columns if rank == owner else 0 for rank in range(3))
    return PartyCost(messages, (first, second, third))


def _blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Rows that are handled together."""
    step = max(1, _BLOCK // max(shape[1], 1))
    for first in range(0, shape[0], step):
        yield slice(first, min(first + step, shape[0]))


def times(party: Replicated, x: OwnedMatrix, y: Pairs, *, bits: int = 0) -> Pairs:
    """Multiply an owned matrix with a secret one. Cost: :func:`product_cost` of ``rows * k``.

    Parameters
    ----------
    party : Replicated
    x : OwnedMatrix
        [n, p].
    y : ndarray of uint64, shape [p, k, 2]
    bits : int
        Fraction bits that the product shall lose, 0 to 32; see :func:`~.truncate.truncate` for the range.

    Returns
    -------
    ndarray of uint64, shape [n, k, 2]
    """
    side = _side(party, x.owner, y)
    part = np.concatenate([_multiplied(_ring(x.part[block]), side) for block in _blocks(x.shape)] or [side[:0]])
    return _finished(party, part, bits)


def transposed_times(party: Replicated, x: OwnedMatrix, y: Pairs, *, bits: int = 0) -> Pairs:
    """Multiply the transpose of an owned matrix with a secret one. Cost: :func:`product_cost` of ``p * k``.

    Parameters
    ----------
    party : Replicated
    x : OwnedMatrix
        [n, p].
    y : ndarray of uint64, shape [n, k, 2]
    bits : int
        See :func:`times`.

    Returns
    -------
    ndarray of uint64, shape [p, k, 2]
        Sums over all rows, truncated once.
    """
    side = np.ascontiguousarray(_side(party, x.owner, y).T)
    total = np.zeros((side.shape[0], x.shape[1]), np.uint64)
    for block in _blocks(x.shape):
        total += _multiplied(np.ascontiguousarray(side[:, block]), _ring(x.part[block]))
    return _finished(party, np.ascontiguousarray(total.T), bits)


def product_cost(size: int, *, bits: int = 0) -> PartyCost:
    """Return what products with `size` results cost: 24 bytes a result, 36 with truncation; nothing for the matrix.

    Examples
    --------
    >>> product_cost(1000).total, product_cost(1000, bits=18).total
    (24000, 36000)
    """
    return fixed_multiply_cost(size) if bits else multiply_cost(size)


def gram(party: Replicated, matrices: list[OwnedMatrix], weights: Pairs, *, bits: int) -> Pairs:
    """The weighted products of all columns with each other, X' diag(w) X. Cost: :func:`gram_cost`.

    Parameters
    ----------
    party : Replicated
    matrices : list of OwnedMatrix
        [n, p_i] each, with `bits` fraction bits.
    weights : ndarray of uint64, shape [n, 2]
        With `bits` fraction bits.
    bits : int
        Fraction bits of everything, 1 to 32.

    Returns
    -------
    ndarray of uint64, shape [p, p, 2]
        p is the sum of the p_i, in their order; `bits` fraction bits. Rows are weighted first and rounded to `bits`, so
        an element is within ``2**-bits * (1 + sum of abs(x))`` of the exact one.

    Notes
    -----
    Block by block of rows, so that no more than a few MiB of weighted rows are held: a weighted row costs 36 bytes an
    element, what is summed up costs nothing until the end.
    """
    columns = [matrix.shape[1] for matrix in matrices]
    rows, width = matrices[0].shape[0], sum(columns)
    totals = [np.zeros((count, width), np.uint64) for count in columns]
    for block in _blocks((rows, width)):
        scaled = _weighted(party, matrices, weights[block], block, bits)
        for matrix, total in zip(matrices, totals, strict=True):
            side = _side(party, matrix.owner, scaled)
            total += _multiplied(np.ascontiguousarray(_ring(matrix.part[block]).T), side)
    return _finished(party, np.concatenate(totals), bits)


def _weighted(party: Replicated, matrices: list[OwnedMatrix], weights: Pairs, block: slice, bits: int) -> Pairs:
    """Rows of all matrices, each times its weight, as pairs [rows, p, 2]."""
    parts = [
        _ring(matrix.part[block]) * _side(party, matrix.owner, weights[:, None])  # one factor a row
        for matrix in matrices
    ]
    return _finished(party, np.concatenate(parts, axis=1), bits)


def gram_cost(rows: int, columns: int) -> PartyCost:
    """Return what :func:`gram` costs with truncation.

    Examples
    --------
    >>> gram_cost(1000, 10)
    PartyCost(rounds=4, bytes_sent=(121200, 121200, 121200))
    """
    cost = PartyCost(0, (0, 0, 0))
    for block in _blocks((rows, columns)):
        cost += fixed_multiply_cost((block.stop - block.start) * columns)
    return cost + fixed_multiply_cost(columns * columns)


def _side(party: Replicated, owner: int, y: Pairs) -> NDArray[np.uint64]:
    """What this party multiplies its part of an owned matrix by."""
    if party.rank == owner:
        return y[..., 0] + y[..., 1]
    return np.ascontiguousarray(y[..., 1] if party.rank == (owner + 1) % 3 else y[..., 0])


def _ring(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Integers of any type mod 2^64, contiguous."""
    whole = values if values.dtype == np.uint64 else values.astype(np.int64).view(np.uint64)
    return np.ascontiguousarray(whole)


def _multiplied(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return mpc_kernels.matmul64(a, b)


def _finished(party: Replicated, part: NDArray[np.uint64], bits: int) -> Pairs:
    """Make the parties' parts a replicated sharing of their sum, with fewer fraction bits."""
    if not bits:
        return party.reshare(part)
    flat = part.reshape(-1)

    def local(plus: int | None, minus: int | None) -> NDArray[np.uint64]:
        masked = flat.copy()
        if plus is not None:
            masked += party.stream(plus, masked.size)
        if minus is not None:
            masked -= party.stream(minus, masked.size)
        return masked

    return truncated_parts(party, local, bits).reshape(*part.shape, 2)
