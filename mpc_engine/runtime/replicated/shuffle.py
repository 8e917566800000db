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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.bits import Bits, Words
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes
from mpc_kernels.permute import SPARE_WORDS, gather_rows_var, invert_var, random_permutation_var

__all__ = ["BACKWARD", "FORWARD", "Column", "Index", "Passage", "Shuffle", "move_rows", "permute_public"]

Column = Pairs | Bits
"""A secret column: pairs uint64[n, 2] or bits."""
Index = NDArray[np.uint32]
Linear = Callable[[Words], Words]

FORWARD = (1, 2, 0)
BACKWARD = (0, 2, 1)
"""Pairs of parties in the order in which a shuffle, and its inverse, pass them."""


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
        return move_rows(party, columns, self.rows, FORWARD, self.known)

    def undo(self, party: Replicated, columns: Sequence[Column]) -> list[Column]:
        """Move the rows of all columns by the inverse. Cost: :func:`~.bit_cost.shuffle_cost`."""
        return move_rows(party, columns, self.rows, BACKWARD, {c: invert_var(p) for c, p in self.known.items()})


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
    """A party's part of a two-party sharing, as packed rows: of one bit column, or of all arithmetic columns at once.

    Attributes
    ----------
    bits : int or None
        Of the bit column.
    rows : ndarray of uint64, shape [n, width]
    """

    def __init__(self, bits: int | None, rows: Words) -> None:
        self.bits, self.rows = bits, rows

    @classmethod
    def of_bits(cls, column: Bits, *, both: bool) -> _Part:
        """Component r+1 of a bit column, or the sum of both components."""
        planes = column.own ^ column.next if both else np.ascontiguousarray(column.next)
        return cls(column.bits, planes_to_rows(planes, column.rows))

    @classmethod
    def of_pairs(cls, columns: Sequence[Pairs], *, both: bool) -> _Part:
        """The same of arithmetic columns, side by side."""
        return cls(None, np.stack([c[:, 0] + c[:, 1] if both else c[:, 1] for c in columns], axis=1))

    @property
    def size(self) -> int:
        """Words on the wire."""
        return self.rows.size if self.bits is None else self.bits * plane_words(len(self.rows))

    def wire(self) -> Words:
        """Return what travels: rows, or planes."""
        return self.rows.reshape(-1) if self.bits is None else rows_to_planes(self.rows, self.bits).reshape(-1)

    def set_wire(self, words: Words) -> None:
        """Take what :meth:`wire` gave."""
        if self.bits is None:
            self.rows = words.reshape(self.rows.shape)
        else:
            self.rows = planes_to_rows(words.reshape(self.bits, plane_words(len(self.rows))), len(self.rows))

    def add(self, value: Words, to: Words) -> None:
        """Add in place, by XOR for bits."""
        (np.add if self.bits is None else np.bitwise_xor)(to, value, out=to)

    def take(self, value: Words, to: Words) -> None:
        """Subtract in place."""
        (np.subtract if self.bits is None else np.bitwise_xor)(to, value, out=to)

    def subtract_from(self, value: Words, to: Words) -> None:
        """Set `to` to ``value - to``."""
        (np.subtract if self.bits is None else np.bitwise_xor)(value, to, out=to)

    def columns(self, own: Words, after: Words) -> list[Column]:
        """The columns with these components."""
        rows = len(self.rows)
        if self.bits is not None:
            shape = (self.bits, plane_words(rows))
            return [Bits(own.reshape(shape), after.reshape(shape), rows)]
        both = np.stack([own.reshape(self.rows.shape).T, after.reshape(self.rows.shape).T], axis=-1)
        return list(both)


class Passage:
    """Columns on their way through shuffles, shared by one pair of parties at a time.

    Between two shuffles a pair may do what is local and linear: permute by a public index, add up, subtract, add or
    drop rows. Nothing is made replicated in between, which saves a quarter of what two shuffles send, and a round.

    Parameters
    ----------
    party : Replicated
    columns : sequence of pairs uint64[n, 2] or Bits
    rows : int
    pair : int
        The first pair: parties pair-1 and pair.
    """

    def __init__(self, party: Replicated, columns: Sequence[Column], rows: int, pair: int = FORWARD[0]) -> None:
        if any((c.rows if isinstance(c, Bits) else len(c)) != rows for c in columns):
            raise ValueError(f"every column must have {rows} rows")
        self._party, self._columns, self.rows, self.pair = party, columns, rows, pair
        both = party.rank == (pair - 1) % 3
        numbers = [c for c in columns if not isinstance(c, Bits)]
        self._parts = [_Part.of_pairs(numbers, both=both)] if numbers else []
        self._parts += [_Part.of_bits(c, both=both) for c in columns if isinstance(c, Bits)]

    def through(self, pairs: Sequence[int], known: Mapping[int, Index]) -> None:
        """Permute by the factors of one pair after another, at a message each."""
        for pair in pairs:
            if pair != self.pair:
                self._hand_over(pair)
            self.pick(known.get(pair))

    def pick(self, index: Index | None) -> None:
        """Permute by an index that the present pair knows; local."""
        if index is None or not self._present:
            return
        for part in self._parts:
            part.rows = gather_rows_var(part.rows, index)

    def change(self, function: Linear, rows: int, *, bits: Linear | None = None) -> None:
        """Apply a linear function to arrays uint64[n, width], another one to packed bits if given; local.

        `rows` is how many rows there are afterwards.
        """
        for part in self._parts:
            change = function if part.bits is None or bits is None else bits
            part.rows = change(part.rows) if self._present else np.empty((rows, part.rows.shape[1]), np.uint64)
        self.rows = rows

    def arrive(self) -> list[Column]:
        """Make the columns replicated: two messages, to the third party."""
        moved = _replicate(self._party, self._parts, self.pair)
        numbers = sum(not isinstance(c, Bits) for c in self._columns)
        first_bits, at = iter(moved[numbers:]), iter(moved)
        return [next(first_bits) if isinstance(c, Bits) else next(at) for c in self._columns]

    @property
    def _present(self) -> bool:
        return self._party.rank in ((self.pair - 1) % 3, self.pair)

    def _hand_over(self, following: int) -> None:
        """Who leaves the pair gives its part, masked by what the pair knows, to who joins: one message."""
        party, members = self._party, ((self.pair - 1) % 3, self.pair)
        (leaver,) = set(members) - {(following - 1) % 3, following}
        (joiner,) = {0, 1, 2} - set(members)
        pair, self.pair = self.pair, following
        sizes = [part.size for part in self._parts]
        if party.rank == joiner:
            received = np.frombuffer(party.recv(leaver, 8 * sum(sizes)), np.uint64)
            for part, words in zip(self._parts, _cut(received, sizes), strict=True):
                part.set_wire(words)
            return
        masks = party.stream(pair, sum(sizes))
        cuts = list(zip(self._parts, _cut(masks, sizes), strict=True))
        for part, mask in cuts:
            if party.rank == leaver:
                part.subtract_from(part.wire(), mask)
            else:
                part.add(part.wire(), mask)
                part.set_wire(mask)
        if party.rank == leaver:
            party.send(joiner, masks)


def move_rows(
    party: Replicated, columns: Sequence[Column], rows: int, pairs: tuple[int, ...], known: Mapping[int, Index]
) -> list[Column]:
    """Permute the rows of all columns by the known factors of one pair of parties after another.

    Parameters
    ----------
    party : Replicated
    columns : sequence of pairs uint64[n, 2] or Bits
    rows : int
    pairs : tuple of int
        Pair c is the parties c-1 and c.
    known : dict of int to ndarray of uint32, shape [rows]
        The factors that this party knows, by pair.
    """
    passage = Passage(party, columns, rows, pairs[0])
    passage.through(pairs, known)
    return passage.arrive()


def _replicate(party: Replicated, parts: list[_Part], pair: int) -> list[Column]:
    """Make the two-party sharing of `pair` replicated: two messages, to the third party."""
    sizes = [part.size for part in parts]
    total = sum(sizes)
    third = (pair + 1) % 3
    if party.rank == third:
        own = np.frombuffer(party.recv(pair, 8 * total), np.uint64)
        after = np.frombuffer(party.recv((pair - 1) % 3, 8 * total), np.uint64)
        cuts = list(zip(parts, _cut(own, sizes), _cut(after, sizes), strict=True))
        return [column for part, o, a in cuts for column in part.columns(o, a)]
    common, rest = party.stream(pair, total), party.stream(pair, total)
    cuts = list(zip(parts, _cut(common, sizes), _cut(rest, sizes), strict=True))
    for part, base, mask in cuts:
        if party.rank == pair:
            part.subtract_from(part.wire(), mask)  # part - mask
        else:
            part.add(part.wire(), mask)
            part.take(base, mask)  # part + mask - base
    party.send(third, rest)
    if party.rank == pair:
        return [column for part, base, mask in cuts for column in part.columns(base, mask)]
    return [column for part, base, mask in cuts for column in part.columns(mask, base)]


def _cut(words: Words, sizes: list[int]) -> list[Words]:
    return np.split(words, np.cumsum(sizes[:-1])) if sizes else []
