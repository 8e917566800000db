"""One-hot rows of a secret code: a tree of ANDs over its bits, and every leaf as a number.

The bits of the code, most significant first, split one flag after another: a node and its bit give the right child,
node and complement the left one, so that each split takes one AND. Subtrees outside the domain are dropped. Only the
leaves become numbers.
"""

from __future__ import annotations

import numpy as np

from mpc_engine.runtime.replicated.bit_cost import a2b_cost, and_cost, inject_cost
from mpc_engine.runtime.replicated.bits import Bits, and_, concat, not_, xor
from mpc_engine.runtime.replicated.convert import a2b, inject
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.cost import PartyCost

__all__ = ["one_hot", "one_hot_cost"]


def one_hot(party: Replicated, code: Pairs, domain: int, flag: Bits | None = None) -> Pairs:
    """Return one row for each code, 1 where a value has it. Cost: :func:`one_hot_cost`.

    Parameters
    ----------
    party : Replicated
    code : ndarray of uint64, shape [n, 2]
        In 0..domain-1 wherever the flag is set.
    domain : int
        At least 2.
    flag : Bits, optional
        One plane; values whose flag is 0 are 0 in every row.

    Returns
    -------
    ndarray of uint64, shape [domain, n, 2]
        Discloses nothing.
    """
    if domain < 2:
        raise ValueError(f"a domain of {domain} codes needs no bits")
    bits = a2b(party, code, (domain - 1).bit_length())
    tree = flag
    for level in range(bits.bits - 1, -1, -1):
        bit = bits.planes(slice(level, level + 1))
        nodes = -(-domain // (1 << level))
        tree = concat([not_(party, bit), bit]) if tree is None else _split(party, tree, bit, nodes)
    assert tree is not None
    return inject(party, tree)


def _split(party: Replicated, parents: Bits, bit: Bits, nodes: int) -> Bits:
    """Children of the nodes, of which the last may have one only."""
    split = parents.planes(slice(0, nodes // 2))
    right = and_(party, split, bit.planes(np.zeros(split.bits, np.intp)))
    left = xor(split, right)
    order = np.arange(2 * split.bits).reshape(2, -1).T.ravel()  # left and right child in turn
    children = concat([left, right]).planes(order)
    return children if nodes % 2 == 0 else concat([children, parents.planes(slice(nodes // 2, nodes // 2 + 1))])


def one_hot_cost(rows: int, domain: int, *, flag: bool = False) -> PartyCost:
    """Return what :func:`one_hot` costs, rounds at most: one-way messages may overlap.

    Examples
    --------
    >>> one_hot_cost(64_000, 8).total / 64_000
    195.375
    """
    width = (domain - 1).bit_length()
    cost = a2b_cost(rows, width)
    for level in range(width - 1 - (not flag), -1, -1):
        cost += and_cost(rows, -(-domain // (1 << level)) // 2)
    return cost + inject_cost(rows, domain)
