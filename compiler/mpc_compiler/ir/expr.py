"""Scalar expressions over the columns of one relation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from mpc_compiler.ir.intern import cons

__all__ = ["Call", "Column", "Expr", "Literal", "call", "column", "columns_of", "literal", "substitute"]


class Column(msgspec.Struct, frozen=True, cache_hash=True, weakref=True, tag="column"):
    """A column of the input relation, by name."""

    name: str

    def __repr__(self) -> str:
        return self.name


class Literal(msgspec.Struct, frozen=True, cache_hash=True, weakref=True, tag="literal"):
    """A public constant."""

    value: bool | int | float | str | None

    def __repr__(self) -> str:
        return repr(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


class Call(msgspec.Struct, frozen=True, cache_hash=True, weakref=True, tag="call"):
    """An operation of the closed list :data:`mpc_compiler.check.scalars.SCALARS` on expressions."""

    op: str
    args: tuple[Expr, ...]

    def __repr__(self) -> str:
        from mpc_compiler.check.scalars import SCALARS

        symbol = SCALARS[self.op].symbol if self.op in SCALARS else ""
        if symbol and len(self.args) == 2:
            return f"({self.args[0]!r} {symbol} {self.args[1]!r})"
        if symbol and len(self.args) == 1:
            return f"{symbol}{self.args[0]!r}"
        return f"{self.op}({', '.join(map(repr, self.args))})"


Expr = Column | Literal | Call


def column(name: str) -> Column:
    """The column ``name``."""
    return cons(Column(name))


def literal(value: bool | int | float | str | None) -> Literal:
    """A public constant."""
    return cons(Literal(value))


def call(op: str, *args: Expr) -> Call:
    """Apply ``op``.

    Examples
    --------
    >>> call("add", column("a"), literal(1))
    (a + 1)
    >>> call("add", column("a"), literal(1)) is call("add", column("a"), literal(1))
    True
    """
    return cons(Call(op, args))


@functools.lru_cache(maxsize=65536)
def columns_of(expr: Expr) -> frozenset[str]:
    """Names of the columns that ``expr`` reads.

    Examples
    --------
    >>> sorted(columns_of(call("add", column("a"), call("mul", column("b"), column("a")))))
    ['a', 'b']
    """
    if isinstance(expr, Column):
        return frozenset((expr.name,))
    if isinstance(expr, Call):
        return frozenset().union(*(columns_of(arg) for arg in expr.args))
    return frozenset()


def substitute(expr: Expr, replace: Callable[[str], Expr]) -> Expr:
    """``expr`` with every column replaced.

    Examples
    --------
    >>> substitute(call("neg", column("a")), lambda name: column(name + "_x"))
    -a_x
    """
    done: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if isinstance(node, Column):
            return replace(node.name)
        if isinstance(node, Call):
            if node not in done:
                done[node] = call(node.op, *(visit(arg) for arg in node.args))
            return done[node]
        return node

    return visit(expr)
