"""Secret shuffles of whole tables: every pair of parties knows one of three permutations, nobody all three.

Chida, Hamada, Ikarashi, Kikuchi, Kiribuchi, Pinkas: "An Efficient Secure Three-Party Sorting Protocol with an Honest
Majority", ePrint 2019/695 (shuffling by pairwise permutations). Generator c is known to the parties c-1 and c, and so
is permutation c. A column is seen as a two-party sharing of the pair 1, permuted by both with permutation 1, handed to
pair 2 by one masked message, permuted, handed to pair 0, permuted, and made replicated again by two messages: four
elements a row and column in all, two rounds, all columns in the same messages. Arithmetic columns move as 64-bit
elements, bit columns at their exact width. The inverse takes the pairs in the opposite order with inverse permutations.

Every message is masked by a generator that its receiver does not know, so what arrives is uniform; each party misses
one of the permutations, so the composition is uniform to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.bits import Bits, Words
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes
from mpc_kernels.permute import SPARE_WORDS, gather_rows_var, invert_var, random_permutation_var

__all__ = ["Column", "Index", "Shuffle", "permute_public"]

Column = Pairs | Bits
"""A secret column: pairs uint64[n, 2] or bits."""
Index = NDArray[np.uint32]

_FORWARD = (1, 2, 0)
_BACKWARD = (0, 2, 1)


@dataclass(frozen=True)
class Shuffle:
    """A secret uniform permutation; this party knows two of its three factors.

    Attributes
    ----------
    rows : int
    known : dict of int to ndarray of uint32, shape [rows]
        Factors r and r+1 at party r.
    """

    rows: int
    known: dict[int, Index]

    @classmethod
    def draw(cls, party: Replicated, rows: int) -> Shuffle:
        """Draw a fresh one; no message."""
        known = {}
        for component in sorted((party.rank, (party.rank + 1) % 3)):
            known[component] = random_permutation_var(party.stream(component, rows + SPARE_WORDS), rows)
        return cls(rows, known)

    def apply(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Move the rows of all columns by the permutation. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return _move(party, columns, self.rows, _FORWARD, self.known)

    def undo(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Move the rows of all columns by the inverse. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return _move(party, columns, self.rows, _BACKWARD, {c: invert_var(p) for c, p in self.known.items()})


def permute_public(columns: Sequence[Column], index: Index) -> list[Column]:
    """Gather the rows of all columns by a public index: row i of the result is row ``index[i]``; local."""
    moved: list[Column] = []
    for column in columns:
        if isinstance(column, Bits):
            own, after = (
                rows_to_planes(gather_rows_var(planes_to_rows(planes, column.rows), index), column.bits)
                for planes in (np.ascontiguousarray(column.own), np.ascontiguousarray(column.next))
            )
            moved.append(Bits(own, after, len(index)))
        else:
            moved.append(gather_rows_var(np.ascontiguousarray(column), index))
    return moved


class _Part:
    """A party's part of a two-party sharing of one column, as packed rows."""

    def __init__(self, bits: int | None, rows: Words) -> None:
        self.bits, self.rows = bits, rows

    @classmethod
    def of(cls, column: Column, *, both: bool) -> _Part:
        """Component r+1, or the sum of both components."""
        if isinstance(column, Bits):
            planes = column.own ^ column.next if both else np.ascontiguousarray(column.next)
            return cls(column.bits, planes_to_rows(planes, column.rows))
        value = column[:, 0] + column[:, 1] if both else np.ascontiguousarray(column[:, 1])
        return cls(None, value.reshape(-1, 1))

    def permute(self, index: Index) -> None:
        self.rows = gather_rows_var(self.rows, index)

    def wire(self) -> Words:
        """As it travels: elements, or planes."""
        return self.rows.reshape(-1) if self.bits is None else rows_to_planes(self.rows, self.bits).reshape(-1)

    def set_wire(self, words: Words) -> None:
        rows = len(self.rows)
        if self.bits is None:
            self.rows = words.reshape(-1, 1)
        else:
            self.rows = planes_to_rows(words.reshape(self.bits, plane_words(rows)), rows)

    def combine(self, left: Words, right: Words, *, minus: bool = False) -> Words:
        if self.bits is not None:
            return left ^ right
        return left - right if minus else left + right

    def size(self) -> int:
        return len(self.rows) if self.bits is None else self.bits * plane_words(len(self.rows))

    def column(self, own: Words, after: Words) -> Column:
        rows = len(self.rows)
        if self.bits is None:
            return np.stack([own, after], axis=-1)
        shape = (self.bits, plane_words(rows))
        return Bits(own.reshape(shape), after.reshape(shape), rows)


def _move(
    party: Replicated, columns: Sequence[Column], rows: int, pairs: tuple[int, int, int], known: dict[int, Index]
) -> list[Column]:
    if any((c.rows if isinstance(c, Bits) else len(c)) != rows for c in columns):
        raise ValueError(f"every column must have {rows} rows")
    me, first = party.rank, pairs[0]
    parts = [_Part.of(column, both=me == (first - 1) % 3) for column in columns]
    for pair, following in itertools.pairwise(pairs):
        members = ((pair - 1) % 3, pair)
        if me in members:
            for part in parts:
                part.permute(known[pair])
        (leaver,) = set(members) - {(following - 1) % 3, following}
        (joiner,) = {0, 1, 2} - set(members)
        _hand_over(party, parts, pair, leaver, joiner)
    last = pairs[-1]
    if me in ((last - 1) % 3, last):
        for part in parts:
            part.permute(known[last])
    return _replicate(party, parts, last)


def _hand_over(party: Replicated, parts: list[_Part], pair: int, leaver: int, joiner: int) -> None:
    """The leaver of `pair` gives its part, masked by what the pair knows, to the joiner: one message."""
    sizes = [part.size() for part in parts]
    if party.rank == joiner:
        received = np.frombuffer(party.recv(leaver, 8 * sum(sizes)), np.uint64)
        for part, words in zip(parts, _cut(received, sizes), strict=True):
            part.set_wire(words)
        return
    masks = party.stream(pair, sum(sizes))
    for part, mask in zip(parts, _cut(masks, sizes), strict=True):
        mask[...] = part.combine(part.wire(), mask, minus=party.rank == leaver)
    if party.rank == leaver:
        party.send(joiner, masks)
    else:
        for part, words in zip(parts, _cut(masks, sizes), strict=True):
            part.set_wire(words)


def _replicate(party: Replicated, parts: list[_Part], pair: int) -> list[Column]:
    """Make the two-party sharing of `pair` replicated: two messages, to the third party."""
    sizes = [part.size() for part in parts]
    total = sum(sizes)
    third = (pair + 1) % 3
    if party.rank == third:
        own = np.frombuffer(party.recv(pair, 8 * total), np.uint64)
        after = np.frombuffer(party.recv((pair - 1) % 3, 8 * total), np.uint64)
        return [p.column(o, a) for p, o, a in zip(parts, _cut(own, sizes), _cut(after, sizes), strict=True)]
    common, mask = party.stream(pair, total), party.stream(pair, total)
    cuts = list(zip(parts, _cut(common, sizes), _cut(mask, sizes), strict=True))
    for part, base, rest in cuts:
        if party.rank == pair:
            rest[...] = part.combine(part.wire(), rest, minus=True)
        else:
            rest[...] = part.combine(part.combine(part.wire(), rest), base, minus=True)
    party.send(third, mask)
    if party.rank == pair:
        return [part.column(base, rest) for part, base, rest in cuts]
    return [part.column(rest, base) for part, base, rest in cuts]


def _cut(words: Words, sizes: list[int]) -> list[Words]:
    return np.split(words, np.cumsum(sizes[:-1])) if sizes else []
