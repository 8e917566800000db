"""Sharing, opening and multiplying columns of replicated shares mod 2^64.

Everywhere `x` is a party's pairs, uint64[..., 2], of a secret x = x_0 + x_1 + x_2; component c is known to the parties
c and c-1 and to nobody else. Signed integers and fixed-point numbers are ring elements in two's complement. Additions
and products with public integers are local. All parties call the same functions in the same order.

Products follow Araki, Furukawa, Lindell, Nof, Ohara, "High-Throughput Semi-Honest Secure Three-Party Computation with
an Honest Majority", CCS 2016, protocol 3.1: local products, a pseudo-random sharing of zero, one message of one ring
element from every party. What arrives is uniform given what the receiver holds, because one of the two streams that
mask it is not known to the receiver. Nothing is disclosed except by :func:`open_all` and :func:`open_to`.

Examples
--------
Local, at one party of three:

>>> x = np.array([[5, 7]], np.uint64)  # this party's two components of one secret
>>> add(x, x), scale(x, 3)
(array([[10, 14]], dtype=uint64), array([[15, 21]], dtype=uint64))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_kernels.prg import replicated_dot_masked

__all__ = [
    "Pairs",
    "Part",
    "add",
    "add_public",
    "dot",
    "from_public",
    "multiply",
    "neg",
    "open_all",
    "open_to",
    "reshare_masked",
    "scale",
    "share",
    "square",
    "sub",
    "sum_rows",
]

Part = NDArray[np.uint64]
"""One party's part of an additive sharing, without the last dimension of 2."""

_BLOCK = 1 << 15
"""Rows masked at a time, so that the masks stay in the cache."""


def _ring(values: ArrayLike) -> NDArray[np.uint64]:
    """Integers (of any sign) as ring elements."""
    array = np.asarray(values)
    if array.dtype == np.uint64:
        return array
    if array.dtype.kind not in "iub":
        raise ValueError(f"ring elements are integers, not {array.dtype}; encode floats as fixed point first")
    return array.astype(np.int64).view(np.uint64)


def flat(x: Pairs) -> Pairs:
    """Return pairs as a contiguous array [n, 2], as kernels take them; a copy only where needed."""
    if x.dtype != np.uint64 or x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(f"share pairs are uint64[..., 2], not {x.dtype}{list(x.shape)}")
    return np.require(x, requirements=["C", "A"]).reshape(-1, 2)


# local


def add(x: Pairs, y: Pairs) -> Pairs:
    """Return shares of ``x + y``; local."""
    return x + y


def sub(x: Pairs, y: Pairs) -> Pairs:
    """Return shares of ``x - y``; local."""
    return x - y


def neg(x: Pairs) -> Pairs:
    """Return shares of ``-x``; local."""
    return np.uint64(0) - x


def scale(x: Pairs, factor: ArrayLike) -> Pairs:
    """Return shares of ``factor * x`` for public integers; local.

    Parameters
    ----------
    x : ndarray of uint64, shape [..., 2]
    factor : integers, broadcast against ``x`` without its last dimension
    """
    out: Pairs = x * _ring(factor)[..., None]
    return out


def sum_rows(x: Pairs, *, axis: int = 0) -> Pairs:
    """Return shares of the sum over one axis of the values; local."""
    out: Pairs = x.sum(axis=axis if axis >= 0 else axis - 1, dtype=np.uint64)
    return out


def add_public(party: Replicated, x: Pairs, value: ArrayLike) -> Pairs:
    """Return shares of ``x + value`` for public integers; local. Component 0 carries constants.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
    value : integers, broadcast against ``x`` without its last dimension
    """
    out = x.copy()
    if party.rank == 0:
        out[..., 0] += _ring(value)
    elif party.rank == 2:
        out[..., 1] += _ring(value)
    return out


def from_public(party: Replicated, value: ArrayLike) -> Pairs:
    """Return shares of public integers: the value in component 0, zero elsewhere; local."""
    ring = _ring(value)
    return add_public(party, np.zeros((*ring.shape, 2), np.uint64), ring)


# interaction


def share(party: Replicated, owner: int, values: ArrayLike | None, shape: tuple[int, ...]) -> Pairs:
    """Share an array of one of the three parties. Cost: :func:`~.cost.share_cost`.

    Parameters
    ----------
    party : Replicated
    owner : int
        Rank of the party that knows the values.
    values : integers of `shape` at the owner, None elsewhere
    shape : tuple of int
        Public.

    Returns
    -------
    ndarray of uint64, shape [*shape, 2]

    Notes
    -----
    With owner p, component p is pseudo-random from the seed that p shares with p-1, component p+1 is the value less
    that and goes to p+1, to whom it is uniform; component p+2 is zero. The one message is all that moves.
    """
    size = int(np.prod(shape, dtype=np.int64))
    out = np.zeros((size, 2), np.uint64)
    if party.rank == (owner + 1) % 3:
        out[:, 0] = np.frombuffer(party.recv(owner, 8 * size), np.uint64)
        return out.reshape(*shape, 2)
    mask = party.stream(owner, size)
    if party.rank != owner:
        out[:, 1] = mask
        return out.reshape(*shape, 2)
    if values is None or np.shape(values) != shape:
        raise ValueError(f"the owner must give values of shape {shape}")
    out[:, 0] = mask
    rest = np.ascontiguousarray(_ring(values).reshape(-1) - mask)
    out[:, 1] = rest
    party.send((owner + 1) % 3, rest)
    return out.reshape(*shape, 2)


def open_all(party: Replicated, x: Pairs) -> NDArray[np.uint64]:
    """Open values to all three parties: discloses them. Cost: :func:`~.cost.open_cost`.

    Returns
    -------
    ndarray of uint64
        View it as int64 for signed values.
    """
    pairs = flat(x)
    party.send((party.rank + 1) % 3, np.ascontiguousarray(pairs[:, 0]))
    missing = np.frombuffer(party.recv((party.rank - 1) % 3, 8 * len(pairs)), np.uint64)
    opened: NDArray[np.uint64] = pairs[:, 0] + pairs[:, 1] + missing
    return opened.reshape(x.shape[:-1])


def open_to(party: Replicated, receiver: int, x: Pairs) -> NDArray[np.uint64] | None:
    """Open values to one party: discloses them to it. Cost: :func:`~.cost.open_to_cost`.

    Returns
    -------
    ndarray of uint64 at the receiver, None elsewhere
    """
    pairs = flat(x)
    sender = (receiver - 1) % 3
    if party.rank == sender:
        party.send(receiver, np.ascontiguousarray(pairs[:, 0]))
    if party.rank != receiver:
        return None
    missing = np.frombuffer(party.recv(sender, 8 * len(pairs)), np.uint64)
    opened: NDArray[np.uint64] = pairs[:, 0] + pairs[:, 1] + missing
    return opened.reshape(x.shape[:-1])


def reshare_masked(party: Replicated, part: Part) -> Pairs:
    """Make replicated what already is a fresh additive sharing: one round, 8 bytes an element from every party.

    Parameters
    ----------
    part : ndarray of uint64, shape [n]
        This party's part, masked with a sharing of zero.

    Returns
    -------
    ndarray of uint64, shape [n, 2]
    """
    party.send((party.rank - 1) % 3, part)
    received = np.frombuffer(party.recv((party.rank + 1) % 3, part.nbytes), np.uint64)
    return mpc_kernels.pair_up(part, received, threads=party.threads)


def dot(party: Replicated, x: Pairs, y: Pairs) -> Pairs:
    """Multiply elementwise and sum over the first axis, exactly mod 2^64. Cost: :func:`~.cost.multiply_cost`.

    Parameters
    ----------
    party : Replicated
    x, y : ndarray of uint64, shape [terms, ..., 2]
        The number of terms costs no traffic.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
    """
    part = _zero_masked_dot(party, x, y)
    return reshare_masked(party, part).reshape(*x.shape[1:-1], 2)


def multiply(party: Replicated, x: Pairs, y: Pairs) -> Pairs:
    """Multiply elementwise, exactly mod 2^64: one round, 24 bytes an element in all.

    Parameters
    ----------
    party : Replicated
    x, y : ndarray of uint64, shape [..., 2]
        Of one shape.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        If one factor is an integer and the other fixed point, the product is fixed point; for two fixed-point factors
        see :func:`~.truncate.fixed_multiply`.

    Raises
    ------
    ValueError
        For other dtypes or shapes.
    PeerError, ProtocolMismatchError
        If a peer fails, or its message has another size.
    """
    return dot(party, x[None], y[None])


def square(party: Replicated, x: Pairs) -> Pairs:
    """Multiply by itself; costs a :func:`multiply`."""
    return multiply(party, x, x)


def _zero_masked_dot(party: Replicated, x: Pairs, y: Pairs) -> Part:
    """Return this party's part of ``sum_j x[j] * y[j]``, masked with a sharing of zero; local."""
    shape = (x.shape[0], rows_of(x, y), 2)
    masks = party.masks(shape[1])
    if masks is None:
        return masked_dot(party, x, y, plus=party.rank, minus=(party.rank + 1) % 3)
    left, right = (flat(factor).reshape(shape) for factor in (x, y))
    return replicated_dot_masked(left, right, *masks, np.empty(shape[1], np.uint64), threads=party.threads)


def masked_dot(party: Replicated, x: Pairs, y: Pairs, *, plus: int | None, minus: int | None) -> Part:
    """Return this party's part of ``sum_j x[j] * y[j]``, plus and minus the streams of two components; local."""
    shape = (x.shape[0], rows_of(x, y), 2)
    left, right = (flat(factor).reshape(shape) for factor in (x, y))
    out = np.empty(shape[1], np.uint64)
    step = _BLOCK if shape[0] == 1 else max(1, shape[1])  # blocks of several terms would not be contiguous
    for at in range(0, shape[1], step):
        rows = slice(at, min(at + step, shape[1]))
        masks = (None if component is None else party.stream(component, rows.stop - at) for component in (plus, minus))
        mpc_kernels.replicated_dot_local(
            left[:, rows], right[:, rows], plus=next(masks), minus=next(masks), out=out[rows], threads=party.threads
        )
    return out


def rows_of(x: Pairs, y: Pairs) -> int:
    """Return the number of rows of two equally shaped factors [terms, ..., 2]."""
    if x.shape != y.shape or x.ndim < 2 or x.shape[-1] != 2:
        raise ValueError(f"factors must be pairs of one shape, not {x.shape} and {y.shape}")
    return int(np.prod(x.shape[1:-1], dtype=np.int64))
