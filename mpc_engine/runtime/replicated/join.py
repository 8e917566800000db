"""Join of rows with a foreign key to rows with a unique key: one sort, local running sums, no multiplication.

ePrint 2024/141 (Asharov, Hamada, Kikuchi, Nof, Pinkas, Tomida: "Secure Statistical Analysis on Multiple Datasets: Join
and Group-By", ACM CCS 2023): stack the left rows, the right rows and the left rows again, sort them stably by key, so
that the right rows with a left row's key lie between its two copies. The first copy carries the payload p, the second
-p, right rows 0: the running sum at a right row is the payload of its left row, or 0 where there is none. Undo the sort
and take the right rows. A payload of ones is the flag of a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mpc_engine.runtime.replicated.arithmetic import Pairs, from_public, neg
from mpc_engine.runtime.replicated.bit_cost import shuffle_cost, sort_cost
from mpc_engine.runtime.replicated.bit_rows import stack_rows
from mpc_engine.runtime.replicated.bits import Bits, concat, constant, not_
from mpc_engine.runtime.replicated.compare import LAN, Link
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from mpc_engine.runtime.replicated.scan import prefix_sum
from mpc_engine.runtime.replicated.sort import sort_rows

__all__ = ["Joined", "join_unique", "join_unique_cost"]


class Joined(NamedTuple):
    """What the right rows found on the left, in the order of the right rows.

    Attributes
    ----------
    match : ndarray of uint64, shape [right rows, 2]
        Pairs: 1 where there is a left row with the key, else 0; outer, semi and anti joins are made with it.
    columns : list of ndarray of uint64, shape [right rows, 2]
        Payload of the left row, 0 where there is none.
    """

    match: Pairs
    columns: list[Pairs]


def join_unique(
    party: Replicated,
    left: Bits,
    right: Bits,
    payload: Sequence[Pairs] = (),
    *,
    left_valid: Bits | None = None,
    right_valid: Bits | None = None,
    link: Link = LAN,
) -> Joined:
    """Give every right row the payload of the left row with its key. Expected cost: :func:`join_unique_cost`.

    Parameters
    ----------
    party : Replicated
    left, right : Bits
        Keys, of as many bits. No two valid left rows may have the same key: their payloads and matches would add up.
    payload : sequence of ndarray of uint64, shape [left rows, 2]
        Columns of the left side.
    left_valid, right_valid : Bits, optional
        One plane each: a row that is not valid matches nothing. Valid by default.
    link : Link
        What rounds and bytes cost; the same at all parties.

    Returns
    -------
    Joined
        Exact mod 2^64.

    Notes
    -----
    Discloses nothing, not even how many rows match. A plane on top of the key keeps the left rows that are not valid
    apart, another one the right rows.
    """
    if left.bits != right.bits or any(len(column) != left.rows for column in payload):
        raise ValueError(
            f"need keys of as many bits, not {left.bits} and {right.bits}, and payload of {left.rows} rows"
        )
    first = concat([left, *_apart(party, left, left_valid), *_never(party, left, right_valid)])
    second = concat([right, *_never(party, right, left_valid), *_apart(party, right, right_valid)])
    key = stack_rows([first, second, first])
    ones = from_public(party, np.ones(left.rows, np.int64))
    gap = np.zeros((right.rows, 2), np.uint64)
    carried = [np.concatenate([column, gap, neg(column)]) for column in (ones, *payload)]
    done = sort_rows(party, key, carried, link=link)
    found = [prefix_sum(column) for column in done.payload if not isinstance(column, Bits)]
    back = done.order.undo(party, found)
    match, *columns = [column[left.rows : left.rows + right.rows] for column in back if not isinstance(column, Bits)]
    return Joined(match, columns)


def _apart(party: Replicated, key: Bits, valid: Bits | None) -> list[Bits]:
    """A plane on top of the key, 1 for rows of this side that are not valid, if there may be any."""
    if valid is None:
        return []
    if valid.bits != 1 or valid.rows != key.rows:
        raise ValueError(f"validity is one bit of {key.rows} rows, not {valid.bits} of {valid.rows}")
    return [not_(party, valid)]


def _never(party: Replicated, key: Bits, valid: Bits | None) -> list[Bits]:
    """The plane that the other side's validity needs on this side: all 0."""
    return [] if valid is None else [constant(party, np.zeros(key.rows, np.uint64), 1)]


def join_unique_cost(
    left: int,
    right: int,
    bits: int,
    *,
    columns: int = 0,
    left_valid: bool = False,
    right_valid: bool = False,
    link: Link = LAN,
) -> PartyCost:
    """Return what :func:`join_unique` is expected to cost: a sort (:func:`~.bit_cost.sort_cost`), else exact.

    Parameters
    ----------
    left, right : int
        Rows.
    bits : int
        Of the key.
    columns : int
        Of the payload.
    left_valid, right_valid : bool
        Whether they are given.
    link : Link

    Examples
    --------
    >>> cost = join_unique_cost(25_000, 100_000, 32, columns=1)
    >>> cost.rounds, round(cost.total / 150_000)
    (236, 592)
    """
    rows = 2 * left + right
    moved = [None] * (1 + columns)
    return sort_cost(rows, bits + left_valid + right_valid, moved, link) + shuffle_cost(rows, moved)
