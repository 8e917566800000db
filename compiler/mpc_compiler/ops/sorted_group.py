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
from mpc_compiler.ops.primitives import compact, compare, prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.table import both

__all__ = ["sorted_totals"]

_WORD = 62
_RAW = 64

Word = tuple[Array, int]


def sorted_totals(
    flag: Array | None, offsets: Sequence[Array], sizes: Sequence[int], measures: Measures, *, by_value: bool = False
) -> Totals:
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
    by_value : bool
        Sort the rows of a group by one of the columns whose MIN and MAX are wanted: they then stand first and last, and
        need no scan. Pays where key bits are cheap.

    Returns
    -------
    Totals
        min(n, product of sizes) rows, existing groups first; `offsets` holds the keys.
    """
    rows = offsets[0].shape[0]
    words = _words(flag, offsets, sizes)
    ranked = _ranked_column(measures) if by_value else None
    scanned = [e for e in measures.extremes if e.column != ranked]
    nulls = [v for e in scanned if (v := measures.columns[e.column].valid) is not None]
    values = [measures.columns[e.column].value for e in scanned]
    summed = measures.summed()
    flags = [] if flag is None else [flag]
    last = [] if ranked is None else [_value_key(ranked, measures)]
    whole = [] if ranked is None else [measures.columns[ranked].value]
    by = [*words, *last]
    moved = list(
        sort_rows([w for w, _ in by], [*flags, *offsets, *summed, *values, *nulls, *whole], [b for _, b in by])
    )
    codes = [moved.pop(0) for _ in words]
    del moved[: len(last)]
    flags = [moved.pop(0) for _ in flags]
    keys = [moved.pop(0) for _ in offsets]
    summed = [moved.pop(0) for _ in summed]
    values = [moved.pop(0) for _ in values]
    end = _ends([(code, bits) for code, (_, bits) in zip(codes, words, strict=True)])
    extremes = {}
    for extreme, value in zip(scanned, values, strict=True):
        if measures.columns[extreme.column].valid is not None:
            value = jnp.where(moved.pop(0), value, jnp.asarray(extreme.neutral, value.dtype))
        start = jnp.concatenate([jnp.ones(1, jnp.int64), end[:-1].astype(jnp.int64)])
        extremes[extreme] = segment_scan(start, value, extreme.op)
    # Not a prefix sum of ones where all rows count: the compiler would fold that constant for seconds.
    counted = prefix_sum(1 - (~flags[0]).astype(jnp.int64)) if flags else jnp.arange(1, rows + 1)
    running = [counted, *(prefix_sum(a) for a in summed)]
    ends = [
        a for w in moved for a in (w, jnp.concatenate([w[1:], w[:1]]))
    ]  # a group's last value, the next one's first
    packed = list(compact(end, (end, *flags, *keys, *running, *extremes.values(), *ends)))
    groups = min(rows, prod(sizes))
    packed = [a[:groups] for a in packed]
    valid = both(packed.pop(0), packed.pop(0) if flags else None)
    keys = [packed.pop(0) for _ in keys]
    size, *sums = [_differences(packed.pop(0)) for _ in running]
    found = {extreme: packed.pop(0) for extreme in extremes}
    if ranked is not None:
        largest, following = packed
        smallest = jnp.concatenate([moved[0][:1], following[:-1]])
        found |= {e: largest if e.op == "max" else smallest for e in measures.extremes if e.column == ranked}
    totals = measures.totals(size, sums, [found[e] for e in measures.extremes])
    totals.valid, totals.offsets, totals.packed = valid, keys, True
    return totals


def _ranked_column(measures: Measures) -> str | None:
    """The column without NULLs of which most extremes are wanted."""
    wanted = [e.column for e in measures.extremes if measures.columns[e.column].valid is None]
    return max(wanted, key=wanted.count) if wanted else None


def _value_key(name: str, measures: Measures) -> Word:
    """A column as a sort key, as narrow as its range allows."""
    value = measures.columns[name].value
    extreme = next(e for e in measures.extremes if e.column == name)
    if value.dtype == jnp.float64 or extreme.lo is None or extreme.hi is None:
        return value, _RAW
    return value - int(extreme.lo), _width(int(extreme.hi) - int(extreme.lo) + 1)


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


def _ends(codes: Sequence[Word]) -> Array:
    """Whether a row is the last of its group, bool [n]: one equality a word."""
    same = None
    for code, bits in codes:
        code = code.astype(jnp.int64)
        following = jnp.concatenate([code[1:], code[-1:] + 1])
        equal = compare(code, following, "eq", bits=bits + 1)
        same = equal if same is None else same & equal
    assert same is not None
    return ~same


def _differences(running: Array) -> Array:
    return running - jnp.pad(running[:-1], (1, 0))
