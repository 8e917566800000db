"""Compaction: flagged rows first, both halves in their old order; a sort by one bit without comparisons.

Chida et al., ePrint 2019/695 (one pass of radix sort): flags become numbers, prefix sums give every row its place, one
multiplication picks between the places of flagged and other rows; the places are shuffled with the rows and opened.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpc_engine.runtime.replicated.arithmetic import add_public, multiply, open_all, scale
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.convert import inject
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.shuffle import Column, Shuffle, permute_public
from mpc_engine.runtime.replicated.sort import Order
from mpc_kernels.permute import invert_var

__all__ = ["compact"]


def compact(party: Replicated, flag: Column, payload: Sequence[Column]) -> tuple[list[Column], Order]:
    """Bring the rows whose flag is 1 to the front, stably. Cost: :func:`~.bit_cost.compact_cost`.

    Parameters
    ----------
    party : Replicated
    flag : Bits or pairs uint64[n, 2]
        One plane, or numbers 0 and 1, which saves the bit injection.
    payload : sequence of pairs uint64[n, 2] or Bits
        The flag too, if it is wanted in the new order.

    Returns
    -------
    columns : list
    order : Order
        To move other columns, or to undo it.

    Notes
    -----
    Discloses nothing: what is opened is a uniform permutation. How many rows are flagged stays secret.
    """
    if isinstance(flag, Bits) and flag.bits != 1:
        raise ValueError(f"a flag is one bit, not {flag.bits}")
    ones = inject(party, flag)[0] if isinstance(flag, Bits) else flag
    rows = len(ones)
    count = np.cumsum(ones, axis=0, dtype=np.uint64)
    total = count[-1:] if rows else np.zeros((1, 2), np.uint64)
    number = np.arange(rows, dtype=np.int64)
    behind = add_public(party, total - count, number)  # place of a row without the flag
    ahead = add_public(party, scale(count, 2) - total, -1 - number)  # what the flag adds to it
    shuffle = Shuffle.draw(party, rows)
    places, *moved = shuffle.apply(party, [behind + multiply(party, ones, ahead), *payload])
    assert not isinstance(places, Bits)
    place = invert_var(open_all(party, places).astype(np.uint32))
    return permute_public(moved, place), Order(shuffle, place)
