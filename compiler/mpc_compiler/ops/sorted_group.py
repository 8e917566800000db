"""Group-by over any key domain: one sort, then sums as differences of prefix sums at group ends.

Asharov et al., "Secure statistical analysis on multiple datasets", ePrint 2024/141: after the sort, n equalities, one
compaction and local additions give every sum; nothing is multiplied per aggregate.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost.primitives import log2_ceil
from mpc_compiler.ops.measures import Measures, Totals
from mpc_compiler.ops.primitives import compact, segment_scan, sort_rows
from mpc_compiler.ops.scan import prefix_sum
from mpc_compiler.ops.table import both

__all__ = ["sorted_totals"]

_WORD = 62
_RAW = 64

Word = tuple[Array, int]


def sorted_totals(flag: Array | None, offsets: Sequence[Array], sizes: Sequence[int], measures: Measures) -> Totals:
    """Totals of the keys that occur, in ascending order of the keys.

    Parameters
    ----------
    flag : Array or None
        bool [n], rows that count.
    offsets : sequence of Array
        One int64 [n] a key, in [0, size) where the row counts (any int64 if its size is 2**64).
    sizes : sequence of int
        Number of possible values of each key.
    measures : Measures
        Of n ≥ 1 rows.

    Returns
    -------
    Totals
        min(n, product of sizes) rows, existing groups first; `offsets` holds the keys.
    """
    rows = offsets[0].shape[0]
    words = _words(flag, offsets, sizes)
    nulls = [v for e in measures.extremes if (v := measures.columns[e.column].valid) is not None]
    values = [measures.columns[e.column].value for e in measures.extremes]
    summed = measures.summed()
    flags = [] if flag is None else [flag]
    payload = [*flags, *offsets, *summed, *values, *nulls]
    moved = list(sort_rows([w for w, _ in words], payload, [bits for _, bits in words]))
    codes = [moved.pop(0) for _ in words]
    flags = [moved.pop(0) for _ in flags]
    keys = [moved.pop(0) for _ in offsets]
    summed = [moved.pop(0) for _ in summed]
    values = [moved.pop(0) for _ in values]
    end = _ends(codes)
    start = jnp.concatenate([jnp.ones(1, jnp.int64), end[:-1].astype(jnp.int64)])
    extremes = []
    for extreme, value in zip(measures.extremes, values, strict=True):
        if measures.columns[extreme.column].valid is not None:
            value = jnp.where(moved.pop(0), value, jnp.asarray(extreme.neutral, value.dtype))
        extremes.append(segment_scan(start, value, extreme.op))
    ones = 1 - (~flags[0]).astype(jnp.int64) if flags else jnp.ones(rows, jnp.int64)
    running = [prefix_sum(a) for a in (ones, *summed)]
    packed = list(compact(end, (end, *flags, *keys, *running, *extremes)))
    groups = min(rows, prod(sizes))
    packed = [a[:groups] for a in packed]
    valid = both(packed.pop(0), packed.pop(0) if flags else None)
    keys = [packed.pop(0) for _ in keys]
    size, *sums = [_differences(packed.pop(0)) for _ in running]
    totals = measures.totals(size, sums, packed)
    totals.valid, totals.offsets, totals.packed = valid, keys, True
    return totals


def _words(flag: Array | None, offsets: Sequence[Array], sizes: Sequence[int]) -> list[Word]:
    """Sort keys: mixed-radix codes of at most 62 bits; rows that do not count come last and form one group."""
    words: list[tuple[Array, int]] = []  # code, number of its values
    for offset, size in zip(offsets, sizes, strict=True):
        if words and words[-1][1] * size < 1 << _WORD:
            code, count = words[-1]
            words[-1] = (code * size + offset, count * size)
        else:
            words.append((offset, size))
    if flag is None:
        return [(code, _width(count)) for code, count in words]
    first, count = words[0]
    cleared = [jnp.where(flag, code, 0) for code, _ in words[1:]]
    rest = [(code, _width(size)) for code, (_, size) in zip(cleared, words[1:], strict=True)]
    if count < 1 << _WORD:
        return [(jnp.where(flag, first, count), _width(count + 1)), *rest]
    return [(~flag, 1), (jnp.where(flag, first, 0), _width(count)), *rest]


def _width(count: int) -> int:
    width = max(1, log2_ceil(count))
    return width if width <= _WORD else _RAW


def _ends(codes: Sequence[Array]) -> Array:
    """Whether a row is the last of its group, bool [n]: one equality a word."""
    same = None
    for code in codes:
        code = code.astype(jnp.int64)
        following = jnp.concatenate([code[1:], code[-1:] + 1])
        equal = code == following
        same = equal if same is None else same & equal
    assert same is not None
    return ~same


def _differences(running: Array) -> Array:
    return running - jnp.pad(running[:-1], (1, 0))
