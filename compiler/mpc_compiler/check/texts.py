"""Types of functions of text, which a column's owner computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mpc_compiler.check.arithmetic import bounded
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import DType, Expr, Literal, constant_of
from mpc_compiler.ir.types import width_of

__all__ = ["WHITESPACE", "changed_text", "concatenated", "length", "liked", "replaced", "substring", "tested_text"]

WHITESPACE = " \t\n\r\f\v"
"""What ``strip`` removes."""


def _column(name: str, dtype: DType) -> DType:
    if dtype.kind != "string":
        raise SchemaError(f"str.{name} needs a text column, not {dtype.kind}", code="MPC-0103", hint="a text column")
    return dtype


def _mapped(dtype: DType, change: Callable[[str], str]) -> DType:
    """A new text. Of a dictionary of plain letters the new one is public too; DuckDB maps others by its own tables."""
    plain = dtype.domain is not None and all(text.isascii() for text in dtype.domain)
    domain = tuple(sorted(set(map(change, dtype.domain or ())))) if plain else None
    return DType("string", dtype.nullable, domain=domain)


def changed_text(change: Callable[[str], str]) -> Callable[[str, Sequence[DType], Sequence[Expr]], DType]:
    """The rule of a function of one text."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        return _mapped(_column(name, types[0]), change)

    return rule


def tested_text(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Whether a text starts with, ends with or contains a constant one."""
    if types[0].kind != "string" or not (isinstance(args[1], Literal) and isinstance(args[1].value, str)):
        raise SchemaError(f"str.{name} needs a text column and a constant text", code="MPC-0103")
    return DType("bool")


def liked(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """LIKE: a text and a constant pattern of ``%`` (any text) and ``_`` (any letter)."""
    _column(name, types[0])
    if not isinstance(constant_of(args[1]), str):
        raise SchemaError("like needs a constant pattern", code="MPC-0103", hint="a text in single quotes")
    return DType("bool")


def substring(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A text from a place, counted from 1, and at most so many letters of it."""
    start, length = (constant_of(arg) for arg in args[1:])
    whole = all(isinstance(at, int) and not isinstance(at, bool) for at in (start, length))
    if not whole or not isinstance(start, int) or not isinstance(length, int) or start < 1 or length < 0:
        raise SchemaError(
            "substring needs a constant start from 1 and a constant length", code="MPC-0105", hint="substring(c, 1, 2)"
        )
    made = _mapped(_column(name, types[0]), lambda text: text[start - 1 : start - 1 + length])
    if made.domain is not None:
        return made
    most = _LETTER * length if types[0].text_width is None else min(_LETTER * length, types[0].text_width)
    return msgspec.structs.replace(made, width=width_of(most))


def replaced(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Every occurrence of a constant text as another."""
    old, new = (constant_of(arg) for arg in args[1:])
    if not isinstance(old, str) or not isinstance(new, str) or not old:
        raise SchemaError("replace needs two constant texts, the first not empty", code="MPC-0105")
    return _mapped(_column(name, types[0]), lambda text: text.replace(old, new))


def concatenated(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Two texts, one after the other; missing if one is."""
    first, second = (_column(name, dtype) for dtype in types)
    nullable = first.nullable or second.nullable
    sizes = [len(dtype.domain or ()) for dtype in (first, second)]
    if first.domain is None or second.domain is None or sizes[0] * sizes[1] > _MOST:
        return DType("string", nullable)
    made = {a + b for a in first.domain for b in second.domain}
    return DType("string", nullable, domain=tuple(sorted(made)))


def length(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """How many letters a text has."""
    domain = _column(name, types[0]).domain
    sizes = None if domain is None else [len(text) for text in domain] or [0]
    return bounded("int", types[0].nullable, None if sizes is None else (min(sizes), max(sizes)))


_MOST = 1024
_LETTER = 4
"""Bytes of a letter in UTF-8, at most."""
