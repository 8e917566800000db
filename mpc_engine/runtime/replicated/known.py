"""Rows moved by a permutation that one computing party knows: two rounds, cheaper than a shuffle.

The owner and the party after it draw a pseudo-random permutation; what that lacks to the owner's goes to the party
before the owner, to whom it is uniform. A column is seen as a two-party sharing of the first pair, permuted, handed to
the second pair and permuted again (Chida et al., ePrint 2019/695, with two of the three pairs of a shuffle).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from mpc_engine.runtime.replicated.shuffle import Column, Index, move_rows
from mpc_kernels.bits import plane_words
from mpc_kernels.permute import SPARE_WORDS, compose_var, invert_var, random_permutation_var

__all__ = ["agree_on_rest", "draw", "permute_known", "permute_known_cost"]


def permute_known(
    party: Replicated, owner: int, index: Index | None, columns: Sequence[Column], *, rows: int
) -> list[Column]:
    """Gather the rows of all columns by the owner's permutation. Cost: :func:`permute_known_cost`.

    Parameters
    ----------
    party : Replicated
    owner : int
        Rank of the party that knows the permutation.
    index : ndarray of uint32, shape [rows] at the owner, None elsewhere
        Row i of the result is row ``index[i]``; each row once.
    columns : sequence of pairs uint64[rows, 2] or Bits
    rows : int

    Returns
    -------
    list
        Discloses nothing: what arrives is uniform.
    """
    first, second = (owner + 1) % 3, owner  # pairs, named by the later member as in Shuffle
    known = {}
    if party.rank in (owner, first):
        known[first] = draw(party, first, rows)
    rest = agree_on_rest(party, owner, (owner - 1) % 3, index, known.get(first), rows=rows, size=rows)
    if rest is not None:
        known[second] = rest
    return move_rows(party, columns, rows, (first, second), known)


def permute_known_cost(owner: int, rows: int, columns: Sequence[int | None]) -> PartyCost:
    """Return what :func:`permute_known` costs.

    Parameters
    ----------
    owner, rows : int
    columns : sequence of int or None
        Bits of each bit column, None for an arithmetic one.

    Examples
    --------
    >>> permute_known_cost(0, 1000, [None])
    PartyCost(rounds=2, bytes_sent=(12000, 8000, 8000))
    """
    size = 8 * sum(rows if bits is None else bits * plane_words(rows) for bits in columns)
    first, second, third = (size + 4 * rows if rank == owner else size for rank in range(3))
    return PartyCost(2, (first, second, third))


def draw(party: Replicated, component: int, rows: int) -> Index:
    """Draw a pseudo-random permutation that the two parties of a generator know; no message."""
    return random_permutation_var(party.stream(component, rows + SPARE_WORDS), rows)


def agree_on_rest(
    party: Replicated, owner: int, peer: int, index: Index | None, drawn: Index | None, *, rows: int, size: int
) -> Index | None:
    """Tell a peer what to gather by after a permutation that it does not know: one message, 4 bytes a row.

    Parameters
    ----------
    party : Replicated
    owner, peer : int
        Ranks.
    index : ndarray of uint32, shape [size], at the owner
        Distinct rows.
    drawn : ndarray of uint32, shape [rows], at the owner
        A permutation that is uniform to the peer, and so are the places of the rows in it.
    rows, size : int

    Returns
    -------
    ndarray of uint32, shape [size], at the owner and the peer, None at the third party
        ``drawn[rest] == index``.

    Raises
    ------
    ProtocolMismatchError
        MPC-0721 if the owner sent anything but distinct rows.
    """
    if party.rank == owner:
        if index is None or drawn is None or index.shape != (size,) or not _distinct(index, rows):
            raise ValueError(f"the owner must give {size} distinct rows of {rows}")
        rest = compose_var(invert_var(drawn), np.ascontiguousarray(index, np.uint32))
        party.send(peer, rest)
        return rest
    if party.rank != peer:
        return None
    received = np.frombuffer(party.recv(owner, 4 * size), np.uint32)
    if not _distinct(received, rows):
        raise ProtocolMismatchError("a peer sent no permutation", code="MPC-0721")
    return received


def _distinct(index: Index, rows: int) -> bool:
    seen = np.zeros(rows, np.bool_)
    if len(index) and int(index.max()) >= rows:
        return False
    seen[index] = True
    return int(np.count_nonzero(seen)) == len(index)
