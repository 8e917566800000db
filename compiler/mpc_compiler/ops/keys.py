"""Columns as sort keys: ascending codes, as narrow as public ranges allow, packed into as few words as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from mpc_compiler.cost.primitives import log2_ceil
from mpc_compiler.ir.types import WORD_BITS
from mpc_compiler.ops.primitives import FRACTION_BITS, encode_fixed
from mpc_compiler.ops.table import Column

__all__ = ["RAW", "Code", "SortKey", "codes_of", "width_of", "words_of"]

RAW = 1 << 64
"""Number of values of a code that takes the whole ring."""
_WORD = 62
_SLACK = 2.0**-8

Code = tuple[Array, int]
"""int64 [n], and how many values it may have: they are 0 .. count - 1, or any if `RAW`."""


@dataclass(frozen=True)
class SortKey:
    """A column to sort by.

    Parameters
    ----------
    name : str
    ascending : bool
    lo, hi : int, float or None
        Public range of the column, both ends included. The narrower, the faster; None: unknown, all 64 bits are
        compared.
    nullable : bool
        True if the column's validity must be looked at; NULLs come last either way.
    """

    name: str
    ascending: bool = True
    lo: float | None = None
    hi: float | None = None
    nullable: bool = False


def _bounds(value: Array, key: SortKey) -> tuple[Array, int | None, int | None]:
    """The column as integers, and their range."""
    if value.dtype == jnp.bool_:
        return value.astype(jnp.int64), 0, 1
    if value.dtype != jnp.float64:
        known = key.lo is not None and key.hi is not None
        return value, (int(key.lo or 0) if known else None), (int(key.hi or 0) if known else None)
    coded = encode_fixed(value)
    if key.lo is None or key.hi is None:
        return coded, None, None
    # Fixed-point arithmetic may leave a declared range by its rounding error; a code outside its width would be
    # misplaced.
    scale = 1 << FRACTION_BITS
    return coded, int((key.lo - _SLACK) * scale) - 1, int((key.hi + _SLACK) * scale) + 1


def codes_of(column: Column, key: SortKey) -> list[Code]:
    """Codes that order rows as the key says, NULL after every value; two where 64 bits do not hold NULL as well.

    Texts without a dictionary have one more for each further word.

    Examples
    --------
    >>> (code, count), = codes_of(Column(jnp.array([3, 5])), SortKey("a", ascending=False, lo=1, hi=8))
    >>> code.tolist(), count
    ([5, 3], 8)
    """
    top = (1 << WORD_BITS) - 1
    words = [(word if key.ascending else top - word, 1 << WORD_BITS) for word in column.rest]
    return [*_first_codes(column, key), *words]


def _first_codes(column: Column, key: SortKey) -> list[Code]:
    value, lo, hi = _bounds(column.value, key)
    valid = column.valid if key.nullable else None
    if lo is None or hi is None or hi - lo + 2 >= 1 << _WORD:
        wide = value if key.ascending else ~value
        if valid is None:
            return [(wide, RAW)]
        return [((~valid).astype(jnp.int64), 2), (jnp.where(valid, wide, 0), RAW)]
    code = value - lo if key.ascending else hi - value
    if valid is None:
        return [(code, hi - lo + 1)]
    return [(jnp.where(valid, code, hi - lo + 1), hi - lo + 2)]


def words_of(codes: Sequence[Code], flag: Array | None = None) -> list[Code]:
    """Pack codes, the first the most significant, into mixed-radix words of at most 62 bits.

    Parameters
    ----------
    codes : sequence of Code
    flag : Array or None
        bool [n], rows that count; the others come last and all have the same words.

    Examples
    --------
    >>> [(word.tolist(), count) for word, count in words_of([(jnp.array([1, 2]), 3), (jnp.array([4, 0]), 5)])]
    [([9, 10], 15)]
    """
    words: list[Code] = []
    for code, count in codes:
        if words and words[-1][1] * count < 1 << _WORD:
            word, so_far = words[-1]
            words[-1] = (word * count + code, so_far * count)
        else:
            words.append((code, count))
    if flag is None:
        return words
    if not words:
        return [((~flag).astype(jnp.int64), 2)]
    first, count = words[0]
    rest = [(jnp.where(flag, word, 0), size) for word, size in words[1:]]
    if count < 1 << _WORD:
        return [(jnp.where(flag, first, count), count + 1), *rest]
    return [((~flag).astype(jnp.int64), 2), (jnp.where(flag, first, 0), count), *rest]


def width_of(count: int) -> int:
    """Bits of a code of so many values."""
    width = max(1, log2_ceil(count))
    return width if width <= _WORD else 64
