"""Products with a matrix that one computing party knows: it keeps its columns in the clear, and never shares them.

The owner r holds X. Party r-1 holds the seed of a pseudo-random matrix R, of which it makes a few rows at a time anew
for every product, and party r+1 holds U = X - R, to whom it is uniform: an additive sharing of X between these two,
sent once. With a secret y = y_0 + y_1 + y_2 the owner computes X (y_r + y_{r+1}), party r+1 U y_{r+2} and party r-1
R y_{r+2}: one plain product each, whose sum is X y. So a pass over n rows and p columns costs messages for its n or p
results and none for X.

This is the replicated sharing of :func:`~.arithmetic.share`, whose third component is zero, kept at a third of its size
and multiplied at a third of its work. Araki et al., CCS 2016, for the resharing of the products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.arithmetic import Pairs
from mpc_engine.runtime.replicated.core import Replicated, Substream
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost, truncate_cost
from mpc_engine.runtime.replicated.truncate import MAX_BITS, truncate, truncated_parts

__all__ = [
    "OwnedMatrix",
    "gram",
    "gram_cost",
    "own",
    "own_cost",
    "product_cost",
    "times",
    "transposed_times",
    "weight_bits",
]

_BLOCK = 1 << 21
"""Elements of the matrix that are looked at, and sent, at a time."""
_AHEAD = 4
"""Blocks that an owner sends before the first is said to have arrived: what waits takes memory."""
_PANEL = 128
"""Columns of a symmetric product that are computed together, below the diagonal too."""


@dataclass(frozen=True)
class OwnedMatrix:
    """A matrix [rows, columns] that party `owner` knows.

    Attributes
    ----------
    owner : int
        Rank.
    shape : (int, int)
        Rows and columns.
    part : ndarray of integers, shape [rows, columns], or Substream
        What this party multiplies by: the matrix itself at its owner (of any integer type), U mod 2^64 at the party
        after it, and at the party before it what makes R.
    mask : Substream or None
        What makes R, at the owner.
    """

    owner: int
    shape: tuple[int, int]
    part: NDArray[Any] | Substream
    mask: Substream | None = None

    def rows(self, block: slice) -> NDArray[np.uint64]:
        """Return some rows of this party's part mod 2^64, contiguous: ndarray of uint64, shape [chosen, columns]."""
        if not isinstance(self.part, Substream):
            return _ring(self.part[block])
        chosen = range(*block.indices(self.shape[0]))
        made = np.empty((len(chosen), self.shape[1]), np.uint64)
        for few in _blocks((len(chosen), self.shape[1] * chosen.step)):
            whole = range(self.shape[0])[chosen[few.start] : chosen[few.stop - 1] + 1]
            made[few] = _made(self.part, whole, self.shape[1])[:: chosen.step]
        return made


def _made(stream: Substream, rows: range, columns: int) -> NDArray[np.uint64]:
    """Some rows of R that follow each other."""
    return stream.numbers(rows.start * columns, len(rows) * columns).reshape(len(rows), columns)


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
        stream = party.substream(owner)
        mask = OwnedMatrix(owner, shape, stream)
        for number, block in enumerate(_blocks(shape)):
            if number >= _AHEAD:
                party.recv((owner + 1) % 3, 0)
            party.send((owner + 1) % 3, (_ring(values[block]) - mask.rows(block)).reshape(-1))
        return OwnedMatrix(owner, shape, values, stream)
    if party.rank == (owner - 1) % 3:
        return OwnedMatrix(owner, shape, party.substream(owner))
    part = np.empty(shape, np.uint64)
    blocks = list(_blocks(shape))
    for number, block in enumerate(blocks):
        size = part[block].size
        part[block] = np.frombuffer(party.recv(owner, 8 * size), np.uint64).reshape(-1, shape[1])
        if number + _AHEAD < len(blocks):
            party.send(owner, b"")
    return OwnedMatrix(owner, shape, part)


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


def _spread(block: slice, step: int) -> slice:
    """The rows that some rows of every `step`-th are."""
    return slice(block.start * step, block.stop * step, step)


def times(party: Replicated, matrices: Sequence[OwnedMatrix], y: Pairs, *, bits: int = 0) -> Pairs:
    """Multiply owned matrices, side by side, with a secret one. Cost: :func:`product_cost` of ``rows * k``.

    Parameters
    ----------
    party : Replicated
    matrices : sequence of OwnedMatrix
        [n, p_i]; at least one.
    y : ndarray of uint64, shape [p, k, 2]
        p is the sum of the p_i, in their order.
    bits : int
        Fraction bits that the product shall lose, 0 to 32; see :func:`~.truncate.truncate` for the range.

    Returns
    -------
    ndarray of uint64, shape [n, k, 2]
    """
    total, at = np.zeros((matrices[0].shape[0], y.shape[1]), np.uint64), 0
    for x in matrices:
        side = _side(party, x.owner, y[at : at + x.shape[1]])
        at += x.shape[1]
        for block in _blocks(x.shape):
            total[block] += _multiplied(x.rows(block), side)
    return _finished(party, total, bits)


def transposed_times(
    party: Replicated, matrices: Sequence[OwnedMatrix], y: Pairs, *, bits: int = 0, step: int = 1
) -> Pairs:
    """Multiply the transpose of owned matrices, side by side, with a secret one. Cost: :func:`product_cost` of ``p k``.

    Parameters
    ----------
    party : Replicated
    matrices : sequence of OwnedMatrix
        [n, p_i]; at least one.
    y : ndarray of uint64, shape [m, k, 2]
    bits : int
        See :func:`times`.
    step : int
        The m rows of `y` belong to the rows 0, step, 2 step .. of the matrices.

    Returns
    -------
    ndarray of uint64, shape [p, k, 2]
        Sums over rows, truncated once.
    """
    parts = []
    for x in matrices:
        side = np.ascontiguousarray(_side(party, x.owner, y).T)
        total = np.zeros((side.shape[0], x.shape[1]), np.uint64)
        for block in _blocks((side.shape[1], x.shape[1])):
            total += _multiplied(np.ascontiguousarray(side[:, block]), x.rows(_spread(block, step)))
        parts.append(total.T)
    return _finished(party, np.concatenate(parts), bits)


def product_cost(size: int, *, bits: int = 0) -> PartyCost:
    """Return what products with `size` results cost: 24 bytes a result, 36 with truncation; nothing for the matrix.

    Examples
    --------
    >>> product_cost(1000).total, product_cost(1000, bits=18).total
    (24000, 36000)
    """
    return fixed_multiply_cost(size) if bits else multiply_cost(size)


def gram(
    party: Replicated,
    matrices: list[OwnedMatrix],
    weights: Pairs | None,
    *,
    bits: int,
    step: int = 1,
    limit: float | None = None,
) -> Pairs:
    """The weighted products of all columns with each other, X' diag(w) X. Cost: :func:`gram_cost`.

    Parameters
    ----------
    party : Replicated
    matrices : list of OwnedMatrix
        [n, p_i] each, with `bits` fraction bits.
    weights : ndarray of uint64, shape [m, 2], or None
        With `bits` fraction bits; None: all 1.
    bits : int
        Fraction bits of everything, 1 to 20.
    step : int
        The m weights belong to the rows 0, step, 2 step ..; no others count.
    limit : float or None
        Public: no sum of abs(w x x) over rows is larger; see :func:`weight_bits`.

    Returns
    -------
    ndarray of uint64, shape [p, p, 2]
        p is the sum of the p_i, in their order; `bits` fraction bits. Symmetric. Without weights, an element is within
        ``2**-bits`` of the exact one. With a limit, it is that for weights with :func:`weight_bits` fraction bits, each
        rounded up or down at random, right in the mean, and never below 0 if they were not. Without a limit, rows are
        weighted first and rounded to `bits`: it is within ``2**-bits * (1 + sum of abs(x))``.

    Notes
    -----
    Block by block of rows, so that no more than a few MiB of weighted rows are held: a weighted row costs 24 bytes an
    element, 36 without a limit; what is summed up costs nothing until the end. Only the upper half is computed.
    """
    width = sum(matrix.shape[1] for matrix in matrices)
    total = np.zeros((width, width), np.uint64)
    cut, last = bits, bits  # fraction bits that weighted rows lose, and sums
    if weights is not None and limit is not None:
        fine = weight_bits(limit, bits)
        weights = truncate(party, weights, bits=bits - fine)
        cut, last = 0, bits + fine
    for block in _blocks((-(-matrices[0].shape[0] // step), width)):
        chosen = _spread(block, step)
        held = [matrix.rows(chosen) for matrix in matrices]
        if weights is None:
            masks = [
                rows if matrix.mask is None else OwnedMatrix(matrix.owner, matrix.shape, matrix.mask).rows(chosen)
                for matrix, rows in zip(matrices, held, strict=True)
            ]
            _add_products(party, total, matrices, held, masks)
        else:
            _add_weighted(party, total, matrices, held, weights[block], cut)
    upper = np.triu_indices(width)
    found = _finished(party, total[upper], last)
    whole = np.empty((width, width, 2), np.uint64)
    whole[upper], whole[upper[::-1]] = found, found
    return whole


def weight_bits(limit: float, bits: int) -> int:
    """Return how many fraction bits of weights leave room for sums of so much; may be negative.

    Sums have `bits` fraction bits for each of two factors besides, and take 62 bits at most, one of which is for
    weights that are rounded up. One truncation cuts 32 bits.

    Examples
    --------
    >>> weight_bits(2.0**12, 18), weight_bits(2.0**20, 18)
    (13, 5)
    """
    found = min(MAX_BITS - bits, 61 - 2 * bits - math.ceil(math.log2(limit)))
    if found < bits - MAX_BITS:
        raise ValueError(f"sums of up to {limit} leave no room for weights")
    return found


def _add_products(
    party: Replicated,
    total: NDArray[np.uint64],
    matrices: list[OwnedMatrix],
    held: list[NDArray[np.uint64]],
    masks: list[NDArray[np.uint64]],
) -> None:
    """Add this party's part of the products of matrices with each other: no messages.

    `masks` are the rows of R at the owner. Products of one owner it computes itself. For owners a and b = a+1,
    X_a' X_b = U_a' X_b + R_a' (U_b + R_b): three terms, known to b, to a-1 = b+1, and to a.
    """
    starts = np.cumsum([0, *(matrix.shape[1] for matrix in matrices)])
    for i, left in enumerate(matrices):
        for j, right in enumerate(matrices[i:], i):
            apart = (right.owner - left.owner) % 3
            if apart == 0 and party.rank != left.owner:
                continue
            one, other = held[i], held[j]
            if apart == 1 and party.rank == left.owner:
                one = masks[i]
            if apart == 2 and party.rank == right.owner:
                other = masks[j]
            _add_upper(total, int(starts[i]), one, int(starts[j]), other)


def _add_weighted(
    party: Replicated,
    total: NDArray[np.uint64],
    matrices: list[OwnedMatrix],
    held: list[NDArray[np.uint64]],
    weights: Pairs,
    bits: int,
) -> None:
    """Add this party's part of products of rows with weighted rows, which lose `bits` bits."""
    part = np.concatenate(  # one factor a row
        [rows * _side(party, m.owner, weights)[:, None] for m, rows in zip(matrices, held, strict=True)], axis=1
    )
    if bits:
        pairs = _finished(party, part, bits)
        own, after = pairs[..., 0], pairs[..., 1]
    else:
        own, after = (component.reshape(part.shape) for component in party.reshare_apart(part))
    first = 0
    for matrix, rows in zip(matrices, held, strict=True):
        _add_upper(total, first, rows, first, _chosen(party, matrix.owner, own[:, first:], after[:, first:]))
        first += matrix.shape[1]


def _add_upper(
    total: NDArray[np.uint64], first: int, rows: NDArray[np.uint64], second: int, other: NDArray[np.uint64]
) -> None:
    """Add ``rows' other`` to `total` from row `first`, column `second` on; nothing below the diagonal counts."""
    for at in range(0, rows.shape[1], _PANEL):
        panel = np.ascontiguousarray(rows[:, at : at + _PANEL].T)
        start = first + at
        left = max(start - second, 0)
        found = _multiplied(panel, np.ascontiguousarray(other[:, left:]))
        total[start : start + len(panel), second + left : second + other.shape[1]] += found


def gram_cost(rows: int, columns: int, *, weighted: bool = True, limited: bool = False) -> PartyCost:
    """Return what :func:`gram` of so many rows costs.

    Examples
    --------
    >>> gram_cost(1000, 10)
    PartyCost(rounds=4, bytes_sent=(120660, 120660, 120660))
    >>> gram_cost(1000, 10, limited=True).total
    261980
    """
    cost = truncate_cost(rows) if weighted and limited else PartyCost(0, (0, 0, 0))
    each = multiply_cost if limited else fixed_multiply_cost
    for block in _blocks((rows if weighted else 0, columns)):
        cost += each((block.stop - block.start) * columns)
    return cost + fixed_multiply_cost(columns * (columns + 1) // 2)


def _side(party: Replicated, owner: int, y: Pairs) -> NDArray[np.uint64]:
    """What this party multiplies its part of an owned matrix by."""
    return np.ascontiguousarray(_chosen(party, owner, y[..., 0], y[..., 1]))


def _chosen(party: Replicated, owner: int, own: NDArray[np.uint64], after: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same of a party's two components."""
    if party.rank == owner:
        return own + after
    return after if party.rank == (owner + 1) % 3 else own


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
