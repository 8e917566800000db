"""Segments of sorted rows: where they begin and end, and what their first and last rows tell all others."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.keys import Code, width_of
from mpc_compiler.ops.primitives import compare, segment_scan

__all__ = ["copied_back", "end_index", "ends_of", "following", "preceding", "same", "scanned_back", "start_index"]


def following(x: Array) -> Array:
    """Each row's next value; the last row's is the first one."""
    return jnp.concatenate([x[1:], x[:1]])


def preceding(x: Array) -> Array:
    """Each row's previous value; the first row's is the last one."""
    return jnp.concatenate([x[-1:], x[:-1]])


def same(words: Sequence[Code], others: Sequence[Array]) -> Array:
    """Whether rows agree with `others` in all words: one equality a word."""
    agree = None
    for (word, count), other in zip(words, others, strict=True):
        equal = compare(word, other, "eq", bits=width_of(count) + 1)
        agree = equal if agree is None else agree & equal
    assert agree is not None
    return agree


def ends_of(words: Sequence[Code]) -> Array:
    """Whether a row is the last of its segment of equal words, bool [n].

    Examples
    --------
    >>> ends_of([(jnp.array([3, 3, 5]), 8)]).tolist()
    [False, True, True]
    """
    return ~same(words, [jnp.concatenate([word[1:], word[-1:] + 1]) for word, _ in words])


def scanned_back(end: Array, value: Array, op: str) -> Array:
    """`segment_scan` from the last row of each segment to the first."""
    return jnp.flip(segment_scan(jnp.flip(end), jnp.flip(value), op))


def copied_back(end: Array, value: Array) -> Array:
    """The value of the last row of the segment, in all its rows.

    Examples
    --------
    >>> copied_back(jnp.array([False, True, True]), jnp.array([7, 8, 9])).tolist()
    [8, 8, 9]
    """
    return scanned_back(end, value, "copy")


def _marked(flag: Array) -> Array:
    """The row's number where flagged, else 0: secret numbers, which a kernel can scan; their sums are copies."""
    return flag.astype(jnp.int64) * jnp.arange(flag.shape[0])


def start_index(end: Array) -> Array:
    """Number of the first row of the segment, int64 [n].

    Examples
    --------
    >>> start_index(jnp.array([False, True, True])).tolist(), end_index(jnp.array([False, True, True])).tolist()
    ([0, 0, 2], [1, 1, 2])
    """
    start = preceding(end)
    return segment_scan(start, _marked(start), "sum")


def end_index(end: Array) -> Array:
    """Number of the last row of the segment, int64 [n]."""
    return scanned_back(end, _marked(end), "sum")
