"""Rows of bit planes: neighbours, stacking, cutting off; all local."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpc_engine.runtime.replicated.bits import Bits, Words
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes

__all__ = ["clear_row", "head_rows", "next_row", "previous_row", "stack_rows", "tail_rows", "unstack_rows"]

_ONE, _TOP = np.uint64(1), np.uint64(63)


def next_row(x: Bits) -> Bits:
    """Return, in row i, what `x` has in row i + 1; the last row is any value."""

    def shifted(planes: Words) -> Words:
        out: Words = planes >> _ONE
        out[:, :-1] |= planes[:, 1:] << _TOP
        return out

    return Bits(shifted(x.own), shifted(x.next), x.rows)


def previous_row(x: Bits, first: Bits) -> Bits:
    """Return, in row i, what `x` has in row i - 1, and in row 0 what `first` has in row 0.

    Parameters
    ----------
    x, first : Bits
        Of as many bits; `first` may have other rows. If it has none, neither may `x`.
    """

    def shifted(planes: Words, head: Words) -> Words:
        out: Words = planes << _ONE
        out[:, 1:] |= planes[:, :-1] >> _TOP
        out[:, :1] |= head[:, :1] & _ONE
        return out

    return Bits(shifted(x.own, first.own), shifted(x.next, first.next), x.rows)


def clear_row(x: Bits, row: int) -> Bits:
    """Return `x` with zeros in one row."""
    keep = np.full(plane_words(x.rows), 2**64 - 1, np.uint64)
    keep[row // 64] ^= _ONE << np.uint64(row % 64)
    return Bits(x.own & keep, x.next & keep, x.rows)


def head_rows(x: Bits, rows: int) -> Bits:
    """Return the first `rows` rows."""
    if rows > x.rows:
        raise ValueError(f"there are {x.rows} rows, not {rows}")
    words = plane_words(rows)
    return Bits(np.ascontiguousarray(x.own[:, :words]), np.ascontiguousarray(x.next[:, :words]), rows)


def tail_rows(x: Bits, rows: int) -> Bits:
    """Return the last `rows` rows."""
    if rows > x.rows:
        raise ValueError(f"there are {x.rows} rows, not {rows}")
    own, after = (planes_to_rows(np.ascontiguousarray(c), x.rows)[x.rows - rows :] for c in (x.own, x.next))
    return Bits(rows_to_planes(own, x.bits), rows_to_planes(after, x.bits), rows)


def stack_rows(parts: Sequence[Bits]) -> Bits:
    """Put columns of as many bits below each other."""

    def stacked(components: Sequence[Words]) -> Words:
        packed = [planes_to_rows(np.ascontiguousarray(c), p.rows) for c, p in zip(components, parts, strict=True)]
        return rows_to_planes(np.concatenate(packed), len(components[0]))

    return Bits(stacked([p.own for p in parts]), stacked([p.next for p in parts]), sum(p.rows for p in parts))


def unstack_rows(x: Bits, parts: int) -> list[Bits]:
    """Cut a column into `parts` columns of as many rows: the inverse of :func:`stack_rows`."""
    rows = x.rows // max(parts, 1)
    own, after = (planes_to_rows(np.ascontiguousarray(planes), x.rows) for planes in (x.own, x.next))
    cuts = [slice(at * rows, (at + 1) * rows) for at in range(parts)]
    return [Bits(rows_to_planes(own[cut], x.bits), rows_to_planes(after[cut], x.bits), rows) for cut in cuts]
