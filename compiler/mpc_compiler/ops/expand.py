"""Joins where keys repeat on both sides: as many rows as a public bound, without telling how many match.

The bound makes the result's size public. Every left row takes as many places as right rows have its key; places find
their left row by a merge, and their right row by its key and its number within the key.

Follows the distribute-and-copy step of Krastnikov, Kerschbaum and Stebila, "Efficient oblivious database joins", VLDB
2020, with running sums of differences in place of their routing network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.lookup import lookup
from mpc_compiler.ops.primitives import compact, compare, prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.table import both, cleared

__all__ = ["Pairs", "Side", "expand"]


class Side(NamedTuple):
    """Key words of one side with their widths, which rows may match (None: all), and the other columns."""

    words: Sequence[Array]
    bits: Sequence[int]
    alive: Array | None
    payload: Sequence[Array]


class Pairs(NamedTuple):
    """The matching pairs of rows.

    Attributes
    ----------
    valid : Array
        bool [most]: which rows are pairs.
    left, right : list of Array
        [most]: the payload of both sides.
    fits : Array
        bool []: whether there are no more than `most` pairs. If not, some are missing.
    """

    valid: Array
    left: list[Array]
    right: list[Array]
    fits: Array


def expand(left: Side, right: Side, most: int) -> Pairs:
    """All pairs of rows with equal keys.

    Parameters
    ----------
    left, right : Side
        n and m rows with key words of the same widths. A row that may not match differs in its words from all rows of
        the other side.
    most : int
        Public bound of the number of pairs.

    Returns
    -------
    Pairs
        By left row, then by right row. Discloses nothing.

    Notes
    -----
    A sort and a scan of the right rows, a lookup from m to n rows, a sort of n + most rows and a compaction, and a
    lookup from m to most rows.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.array([1, 2, 1]), np.array([1, 1, 3])
    >>> pairs = expand(Side([a], [2], None, [np.arange(3)]), Side([b], [2], None, [np.arange(3)]), 5)
    >>> [(int(x), int(y)) for x, y, v in zip(pairs.left[0], pairs.right[0], pairs.valid) if v]
    [(0, 0), (0, 1), (2, 0), (2, 1)]
    """
    rows, width = len(left.words[0]), max((most - 1).bit_length(), 1)
    if not rows or not len(right.words[0]):
        ours, theirs = ([jnp.zeros(most, array.dtype) for array in side.payload] for side in (left, right))
        return Pairs(jnp.zeros(most, jnp.bool_), ours, theirs, jnp.ones((), jnp.bool_))
    words, number, size, last, payload = _numbered(right)
    ends = [*words, ~last]
    found, (count,) = lookup(ends, [*left.words, jnp.zeros(rows, jnp.bool_)], [size], [*right.bits, 1])
    count = cleared(count, both(left.alive, found))
    until = prefix_sum(count)
    start = until - count
    carried = [*left.words, *left.payload, start]
    moved = _spread(carried, start, most)
    *copied, first = moved
    place = jnp.arange(most, dtype=jnp.int64) - first
    keys = copied[: len(left.words)]
    bits = max(len(words[0]) - 1, 1).bit_length() + 1
    inside = compare(place, jnp.full(most, len(words[0]), jnp.int64), "lt", bits=max(width, bits) + 2)
    valid, taken = lookup(
        [*words, number, jnp.zeros(len(number), jnp.bool_)], [*keys, place, ~inside], payload, [*right.bits, bits, 1]
    )
    return Pairs(valid, copied[len(keys) :], list(taken), until[-1] <= most)


def _numbered(side: Side) -> tuple[list[Array], Array, Array, Array, list[Array]]:
    """Rows by key: their words, number within the key, that number plus one, whether they are the last, and payload."""
    rows = len(side.words[0])
    moved = list(sort_rows(side.words, side.payload, side.bits))
    words, payload = moved[: len(side.words)], moved[len(side.words) :]
    same = None
    for word, bits in zip(words, side.bits, strict=True):
        code = word.astype(jnp.int64)
        before = jnp.concatenate([code[:1] + 1, code[:-1]])
        equal = compare(code, before, "eq", bits=bits + 1)
        same = equal if same is None else same & equal
    assert same is not None
    begins = jnp.concatenate([jnp.ones(1, jnp.bool_), ~same[1:]])
    size = segment_scan(begins, jnp.ones(rows, jnp.int64), "sum")
    last = jnp.concatenate([begins[1:], jnp.ones(1, jnp.bool_)])
    return words, size - 1, size, last, payload


def _spread(columns: Sequence[Array], start: Array, most: int) -> list[Array]:
    """For each of `most` places the columns of the last row that starts at or before it.

    Starts never decrease, so rows keep their order among themselves: differences between neighbours, summed up in the
    merged order, give each place the values of the row before it.
    """
    rows, bits = len(start), most.bit_length() + 1
    inside = compare(start, jnp.full(rows, most, jnp.int64), "le", bits=62)
    position = jnp.concatenate([jnp.where(inside, start, most), jnp.arange(most, dtype=jnp.int64)])
    place = jnp.concatenate([jnp.zeros(rows, jnp.bool_), jnp.ones(most, jnp.bool_)])
    steps = []
    for column in columns:
        value = column.astype(jnp.int64) if column.dtype == jnp.bool_ else column
        step = jnp.concatenate([value[:1], value[1:] - value[:-1]])
        steps.append(jnp.concatenate([step, jnp.zeros(most, step.dtype)]))
    _, flags, *moved = sort_rows([position, place], steps, [bits, 1])
    copied = compact(flags, [prefix_sum(step) for step in moved])
    return [
        value[:most] > 0 if column.dtype == jnp.bool_ else value[:most]
        for column, value in zip(columns, copied, strict=True)
    ]
