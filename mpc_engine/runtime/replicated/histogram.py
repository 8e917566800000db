"""Sums of secret values by bins, without a sort: bins known to all parties, or to one of them.

For few, public or released codes (score bands, public categories) sums are local, about a nanosecond a row: a sum of
shares is a share of the sum; nothing is sent. Bins that one computing party knows, its own column, take three rounds
and 20 bytes a row: rows are moved into the order of the bins by permutations that it knows (:mod:`.known`), running
sums are local, and it picks the last one of each bin. Nothing is disclosed either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.arithmetic import Pairs, flat
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from mpc_engine.runtime.replicated.known import agree_on_rest, draw
from mpc_engine.runtime.replicated.shuffle import Index
from mpc_kernels.permute import gather_rows_var

__all__ = ["bincount_known", "bincount_known_cost", "bincount_shares"]


def bincount_shares(x: Pairs, bins: NDArray[np.integer[Any]] | Sequence[int], *, size: int) -> Pairs:
    """Sum values by bin; local.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, ..., 2]
        All columns are summed in one pass.
    bins : integers, shape [n]
        The same at all three parties. A row with a bin outside ``0..size-1`` counts nowhere.
    size : int
        Number of bins.

    Returns
    -------
    ndarray of uint64, shape [size, ..., 2]

    Examples
    --------
    >>> bincount_shares(np.array([[1, 5], [2, 6], [4, 7]], np.uint64), [1, 0, 1], size=2)
    array([[ 2,  6],
           [ 5, 12]], dtype=uint64)
    """
    places = np.asarray(bins)
    if places.shape != (len(x),) or places.dtype.kind not in "iu":
        raise ValueError(f"bins must be integers of shape {(len(x),)}")
    inside = (places >= 0) & (places < size)
    clear = np.where(inside, places, size).astype(np.uint32)
    width = int(np.prod(x.shape[1:], dtype=np.int64))
    return mpc_kernels.bincount_var(flat(x).reshape(len(x), width), clear, size=size).reshape(size, *x.shape[1:])


def bincount_known(
    party: Replicated, owner: int, bins: NDArray[np.integer[Any]] | None, x: Pairs, *, size: int
) -> Pairs:
    """Sum secret values by bins that one party knows. Cost: :func:`bincount_known_cost`.

    Parameters
    ----------
    party : Replicated
    owner : int
        Rank of the party that knows the bins.
    bins : integers, shape [n], at the owner, None elsewhere
        A row with a bin outside ``0..size-1`` counts nowhere.
    x : ndarray of uint64, shape [n, ..., 2]
        All columns are summed in the same messages.
    size : int
        Number of bins, public.

    Returns
    -------
    ndarray of uint64, shape [size, ..., 2]
        Exact mod 2^64.

    Notes
    -----
    Discloses nothing: places are uniform to those who see them, values masked. One row of zeros is added for each bin,
    so that every bin has a last row.
    """
    rows = len(x) + size
    width = int(np.prod(x.shape[1:-1], dtype=np.int64))
    sort, ends = _plan(bins, len(x), size) if party.rank == owner else (None, None)
    following, before = (owner + 1) % 3, (owner - 1) % 3
    part = np.zeros((rows, width), np.uint64)
    wide = flat(x).reshape(len(x), width, 2)
    if party.rank == owner:
        part[: len(x)] = wide[..., 0] + wide[..., 1]
    elif party.rank == following:
        part[: len(x)] = wide[..., 1]
    sorted_ = _move_known(party, owner, (following, before), following, sort, part, size=rows)
    running = mpc_kernels.prefix_sum(sorted_)
    total = _move_known(party, owner, (before, following), owner, ends, running, size=size)
    total[1:] -= total[:-1].copy()
    return _replicate(party, owner, total).reshape(size, *x.shape[1:])


def bincount_known_cost(owner: int, rows: int, *, size: int, columns: int = 1) -> PartyCost:
    """Return what :func:`bincount_known` costs.

    Examples
    --------
    >>> bincount_known_cost(0, 1000, size=10)
    PartyCost(rounds=3, bytes_sent=(4160, 8160, 8080))
    """
    moved, picked = 8 * columns * (rows + size), 8 * columns * size
    sent = {owner: 4 * (rows + size) + 4 * size + picked, (owner + 1) % 3: moved + picked, (owner - 1) % 3: moved}
    return PartyCost(3, (sent[0], sent[1], sent[2]))


def _plan(bins: NDArray[np.integer[Any]] | None, rows: int, size: int) -> tuple[Index, Index]:
    """The order of the rows by bin, rows of no bin last, and the place of each bin's last row in it."""
    places = np.asarray(bins)
    if places.shape != (rows,) or places.dtype.kind not in "iu":
        raise ValueError(f"the owner must give integer bins of shape {(rows,)}")
    inside = (places >= 0) & (places < size)
    clear = np.concatenate([np.where(inside, places, size).astype(np.int64), np.arange(size)])
    ends = np.cumsum(np.bincount(clear, minlength=size)[:size]) - 1
    return np.argsort(clear, kind="stable").astype(np.uint32), ends.astype(np.uint32)


def _move_known(
    party: Replicated,
    owner: int,
    peers: tuple[int, int],
    component: int,
    index: Index | None,
    part: NDArray[np.uint64],
    *,
    size: int,
) -> NDArray[np.uint64]:
    """Gather a two-party sharing of the owner and the first peer by the owner's index, for the owner and the second.

    `component` is the generator of the owner and the first peer. One message of each.
    """
    giver, taker = peers
    rows, width = part.shape
    if party.rank == taker:
        arrived = np.frombuffer(party.recv(giver, 8 * part.size), np.uint64).reshape(rows, width)
        rest = agree_on_rest(party, owner, taker, None, None, rows=rows, size=size)
        assert rest is not None
        return gather_rows_var(np.require(arrived, requirements="A"), rest)
    drawn = draw(party, component, rows)
    mask = party.stream(component, part.size).reshape(rows, width)
    moved = gather_rows_var(part, drawn)
    if party.rank == giver:
        party.send(taker, moved - mask)
        return np.zeros((size, width), np.uint64)
    rest = agree_on_rest(party, owner, taker, index, drawn, rows=rows, size=size)
    assert rest is not None
    return gather_rows_var(moved + mask, rest)


def _replicate(party: Replicated, owner: int, part: NDArray[np.uint64]) -> Pairs:
    """Make a two-party sharing of the owner and the next party replicated: two messages to the third."""
    following, before = (owner + 1) % 3, (owner - 1) % 3
    if party.rank == before:
        own = np.frombuffer(party.recv(following, 8 * part.size), np.uint64)
        return np.stack([own, np.frombuffer(party.recv(owner, 8 * part.size), np.uint64)], axis=-1)
    common, mask = (party.stream(following, part.size) for _ in range(2))
    if party.rank == following:
        rest = part.reshape(-1) - mask
        party.send(before, rest)
        return np.stack([common, rest], axis=-1)
    rest = part.reshape(-1) + mask - common
    party.send(before, rest)
    return np.stack([rest, common], axis=-1)
