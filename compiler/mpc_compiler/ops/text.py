"""Texts without a dictionary on shares: words of seven bytes of UTF-8, big-endian, padded with zeros.

The order of the words is that of the bytes, which is DuckDB's and pandas'. A text holds no zero byte, so that texts of
different widths are equal if their words are, with zeros for those that one of them lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array

from mpc_compiler.ir import Call, DType, Expr, Literal
from mpc_compiler.ir.types import WORD_BITS, WORD_BYTES
from mpc_compiler.ops.primitives import compare, one_hot
from mpc_compiler.ops.table import Column, both, cleared

__all__ = ["as_words", "evaluate_text", "spelled"]

_SWAPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_BITS = WORD_BITS + 1
"""Of the difference of two words."""


def spelled(text: str) -> list[int]:
    """The words of a text, as few as it needs but at least one.

    Examples
    --------
    >>> [hex(word) for word in spelled("Zürich")]
    ['0x5ac3bc72696368']
    >>> spelled("")
    [0]
    """
    octets = text.encode()
    cuts = range(0, max(len(octets), 1), WORD_BYTES)
    return [int.from_bytes(octets[at : at + WORD_BYTES].ljust(WORD_BYTES, b"\0"), "big") for at in cuts]


def as_words(column: Column, dtype: DType, words: int) -> Column:
    """A text column as one of so many words, at least as many as it needs.

    Parameters
    ----------
    column : Column
        Codes into `dtype.domain`, or words.
    dtype : DType
    words : int

    Returns
    -------
    Column

    Notes
    -----
    Codes cost the one-hot matrix of the dictionary, about 24 bytes a row and text under ``aby3``; its product with the
    public words is local. Words are padded for nothing.

    Examples
    --------
    >>> found = as_words(Column(np.array([1, 0])), DType("string", domain=("", "a")), 2)
    >>> [word.tolist() for word in found.words]
    [[27303072740933632, 0], [0, 0]]
    """
    if dtype.width is not None:
        return Column(column.value, column.valid, (*column.rest, *_zeros(column, words - len(column.words))))
    domain = dtype.domain or ("",)
    table = np.array([(spelled(text) + [0] * words)[:words] for text in domain], np.int64)
    if len(domain) == 1:
        made = [jnp.full(column.value.shape, int(word), jnp.int64) for word in table[0]]
    else:
        hot = one_hot(column.value, len(domain), None)
        product = jnp.asarray(np.ascontiguousarray(table.T)) @ hot  # public times secret: local
        made = [product[at] for at in range(words)]
    first, *rest = (cleared(word, column.valid) for word in made)
    return Column(first, column.valid, tuple(rest))


def _zeros(column: Column, count: int) -> list[Array]:
    return [jnp.zeros_like(column.value) for _ in range(count)]


def evaluate_text(node: Call, types: Sequence[DType], result: DType, visit: Callable[[Expr], Column]) -> Column | None:
    """Evaluate an operation with texts that have no dictionary; None if it does not look at texts.

    Parameters
    ----------
    node : Call
    types : sequence of DType
        Of its arguments.
    result : DType
    visit : callable
        Evaluates an argument.
    """
    if node.op in _SWAPPED:
        return _compared(node, types, visit)
    if node.op == "isin":
        return _isin(node, types, visit)
    if node.op in ("where", "fillna") and result.width is not None:
        return _chosen(node, types, result, visit)
    return None


Words = Sequence[Array]


def _operand(arg: Expr, dtype: DType, words: int, visit: Callable[[Expr], Column]) -> Column:
    return as_words(visit(arg), dtype, words)


def _compared(node: Call, types: Sequence[DType], visit: Callable[[Expr], Column]) -> Column:
    op, (left, right), (first, second) = node.op, node.args, types
    if isinstance(left, Literal):
        op, left, right, first, second = _SWAPPED[op], right, left, second, first
    if isinstance(right, Literal):
        column = _operand(left, first, _words(first), visit)
        value, valid = _with_constant(op, column, str(right.value)), column.valid
    else:
        words = max(_words(first), _words(second))
        a, b = _operand(left, first, words, visit), _operand(right, second, words, visit)
        value, valid = _ordered(op, a.words, b.words), both(a.valid, b.valid)
    if valid is None:
        return Column(value)
    return Column(value | ~valid if node.op == "ne" else value & valid)


def _words(dtype: DType) -> int:
    return (dtype.text_width or WORD_BYTES) // WORD_BYTES


def _with_constant(op: str, column: Column, text: str) -> Array:
    """Compare with a constant; a longer one than the column holds equals none and comes after its own beginning."""
    words = (spelled(text) + [0] * len(column.words))[: max(len(column.words), len(spelled(text)))]
    if any(words[len(column.words) :]):
        if op in ("eq", "ne"):
            return jnp.full(column.value.shape, op == "ne")
        op = {"lt": "le", "ge": "gt"}.get(op, op)
    return _ordered(op, column.words, [jnp.full_like(column.value, word) for word in words[: len(column.words)]])


def _ordered(op: str, a: Words, b: Words) -> Array:
    if op in ("eq", "ne"):
        equal = reduce(jnp.logical_and, [compare(x, y, "eq", bits=_BITS) for x, y in zip(a, b, strict=True)])
        return ~equal if op == "ne" else equal
    if op in ("gt", "le"):
        a, b = b, a
    before = [compare(x, y, "lt", bits=_BITS) for x, y in zip(a, b, strict=True)]
    same = [compare(x, y, "eq", bits=_BITS) for x, y in zip(a[:-1], b[:-1], strict=True)]
    less = before[-1]
    for first, tied in zip(before[-2::-1], same[::-1], strict=True):
        less = first | (tied & less)
    return ~less if op in ("ge", "le") else less


def _isin(node: Call, types: Sequence[DType], visit: Callable[[Expr], Column]) -> Column:
    value: Array | None = None
    for other, dtype in zip(node.args[1:], types[1:], strict=True):
        found = _compared(Call("eq", (node.args[0], other)), (types[0], dtype), visit).value
        value = found if value is None else value | found
    if value is None:
        return Column(jnp.zeros(visit(node.args[0]).value.shape, jnp.bool_))
    return Column(value)


def _chosen(node: Call, types: Sequence[DType], result: DType, visit: Callable[[Expr], Column]) -> Column:
    """``where`` and ``fillna``, word by word."""
    branches = zip(node.args[-2:], types[-2:], strict=True)
    a, b = (_branch(arg, dtype, result.words, visit) for arg, dtype in branches)
    if node.op == "fillna":
        if a.valid is None:
            return a
        condition, valid = a.valid, None if b.valid is None else a.valid | b.valid
    else:
        asked = visit(node.args[0])
        condition = asked.value if asked.valid is None else asked.value & asked.valid
        valid = None
        if a.valid is not None or b.valid is not None:
            held = [jnp.ones((), jnp.bool_) if c.valid is None else c.valid for c in (a, b)]
            valid = (condition & held[0]) | (~condition & held[1])
    first, *rest = (jnp.where(condition, x, y) for x, y in zip(a.words, b.words, strict=True))
    return Column(first, valid, tuple(rest))


def _branch(arg: Expr, dtype: DType, words: int, visit: Callable[[Expr], Column]) -> Column:
    if not isinstance(arg, Literal):
        return _operand(arg, dtype, words, visit)
    text = None if arg.value is None else str(arg.value)
    first, *rest = (jnp.asarray(word, jnp.int64) for word in (spelled(text or "") + [0] * words)[:words])
    return Column(first, None if text is not None else jnp.zeros((), jnp.bool_), tuple(rest))
