"""Numbers times flags: bits meet ring elements in two rounds, without making numbers of the bits first.

A flag c = b_0 ^ b_1 ^ b_2 is u ^ b_2 with u = b_0 ^ b_1, which party 0 knows, and b_2, which the parties 1 and 2 know:
c = b_2 + (1 - 2 b_2) u. A number d = d_0 + d_1 + d_2 is likewise e + d_2 with e = d_0 + d_1 known to party 0. So

    c d = b_2 d_1 + b_2 d_0 + b_2 d_2 + (1 - 2 b_2) (u d_2 + u e),

where party 1 knows b_2, d_1 and d_2, and party 2 knows b_2, d_0 and d_2. Party 0 splits u (once for a flag) and u e
between those two, with one pseudo-random part and one message to party 1; then each of them has a summand of c d. They
mask the summands with streams, and tell each other: components 0 and 1 of the result are pseudo-random, component 2 is
what is left. With d = 1 this is the bit injection of :func:`~.convert.inject`, which needs no u e.

Messages for K differences by one flag: 8 (K + 1) bytes from party 0, and 8 K from each of the parties 1 and 2, against
24 + 24 K for an injection and products, in three rounds. What arrives is uniform: party 1 receives values masked by the
generator 0, which it does not know; the summands of parties 1 and 2 are masked by generators that the other lacks.
Mohassel, Rindal, "ABY3" (CCS 2018), section 5.4.1, multiplies bits by public and by secret numbers with oblivious
transfers to the same end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.convert import unpack
from mpc_engine.runtime.replicated.core import Pairs, Replicated

__all__ = ["Choice", "choose_all"]

Ring = NDArray[np.uint64]


class Choice:
    """A flag, and what is to be multiplied by it.

    Parameters
    ----------
    flag : Bits
        One plane of n rows.

    Attributes
    ----------
    wanted : bool
        Whether the flag itself is wanted as a number.
    number : pairs uint64[n, 2]
        It, after :func:`choose_all`.
    products : list of pairs uint64[n, 2]
        The products, after :func:`choose_all`.
    """

    def __init__(self, flag: Bits) -> None:
        if flag.bits != 1:
            raise ValueError(f"a flag is one bit, not {flag.bits}")
        self.flag = flag
        self.wanted = False
        self.factors: list[Pairs] = []
        self.products: list[Pairs] = []
        self.number: Pairs = np.empty((0, 2), np.uint64)

    def between(self, factor: Pairs) -> int:
        """Ask for the product of the flag with a number; returns its place among the products."""
        if factor.shape != (self.flag.rows, 2):
            raise ValueError(f"{factor.shape} pairs for a flag of {self.flag.rows} rows")
        self.factors.append(factor)
        return len(self.factors) - 1

    @property
    def asked(self) -> int:
        """How many results there will be."""
        return len(self.factors) + self.wanted


def choose_all(party: Replicated, choices: Sequence[Choice]) -> None:
    """Multiply each flag by its factors. Cost: two rounds; see the module.

    Parameters
    ----------
    party : Replicated
    choices : sequence of Choice
        All of them in the same messages; their results are stored in them.

    Raises
    ------
    PeerError, ProtocolMismatchError
        If a peer fails, or its message has another size.
    """
    first = sum(choice.flag.rows * (1 + len(choice.factors)) for choice in choices)
    last = sum(choice.flag.rows * choice.asked for choice in choices)
    if party.rank == 0:
        plain = np.concatenate([part for choice in choices for part in _at_first(choice)])
        party.send(1, plain - party.stream(0, first))
        own, after = party.stream(0, last), party.stream(1, last)
    else:
        split = party.stream(0, first) if party.rank == 2 else np.frombuffer(party.recv(0, 8 * first), np.uint64)
        common = party.stream(0 if party.rank == 2 else 1, last)
        part = _summands(party.rank, choices, split)
        part -= common
        peer = 3 - party.rank
        party.send(peer, part)
        rest = part + np.frombuffer(party.recv(peer, 8 * last), np.uint64)
        own, after = (common, rest) if party.rank == 1 else (rest, common)
    _store(choices, np.stack([own, after], axis=-1))


def _at_first(choice: Choice) -> list[Ring]:
    """u, and u e for every factor, at party 0."""
    bit = unpack(choice.flag.own ^ choice.flag.next, choice.flag.rows)
    return [bit, *(bit * (factor[:, 0] + factor[:, 1]) for factor in choice.factors)]


def _summands(rank: int, choices: Sequence[Choice], split: Ring) -> Ring:
    """What party 1 or 2 adds to every result."""
    made: list[Ring] = []
    at = 0
    for choice in choices:
        rows = choice.flag.rows
        bit = unpack(choice.flag.next if rank == 1 else choice.flag.own, rows)
        sign = np.uint64(1) - np.uint64(2) * bit
        part = split[at : at + rows]
        at += rows
        for factor in choice.factors:
            mine, common = (factor[:, 0], factor[:, 1]) if rank == 1 else (factor[:, 1], factor[:, 0])
            known = mine + common if rank == 1 else mine
            made.append(bit * known + sign * (part * common + split[at : at + rows]))
            at += rows
        if choice.wanted:
            made.append(sign * part + bit if rank == 1 else sign * part)
    return np.concatenate(made)


def _store(choices: Sequence[Choice], pairs: Pairs) -> None:
    at = 0
    for choice in choices:
        cuts = [pairs[at + k * choice.flag.rows :][: choice.flag.rows] for k in range(choice.asked)]
        at += choice.flag.rows * choice.asked
        choice.products = cuts[: len(choice.factors)]
        if choice.wanted:
            choice.number = cuts[-1]
