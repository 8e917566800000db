"""Scalar expressions over the columns of one relation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal

import msgspec

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir.intern import cons

__all__ = [
    "Call",
    "Column",
    "Expr",
    "Literal",
    "brief",
    "call",
    "column",
    "columns_of",
    "constant_of",
    "decimal_literal",
    "literal",
    "substitute",
]


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
        return _written(self, repr)


def _written(expr: Call, shown: Callable[[Expr], str]) -> str:
    from mpc_compiler.check.scalars import SCALARS

    constant = constant_of(expr)
    if isinstance(constant, Decimal):
        return f"{constant:f}"
    symbol, args = SCALARS[expr.op].symbol if expr.op in SCALARS else "", list(map(shown, expr.args))
    if symbol and len(args) == 2:
        return f"({args[0]} {symbol} {args[1]})"
    return f"{symbol}{args[0]}" if symbol and len(args) == 1 else f"{expr.op}({', '.join(args)})"


Expr = Column | Literal | Call


def brief(expr: Expr, depth: int = 4) -> str:
    """An expression as text for a message, without what lies deeper than so many operations.

    Examples
    --------
    >>> brief(call("add", call("mul", column("a"), call("neg", column("b"))), literal(1)), 2)
    '((a * ...) + 1)'
    """
    if not isinstance(expr, Call) or isinstance(constant_of(expr), Decimal):
        return repr(expr)
    return _written(expr, lambda arg: brief(arg, depth - 1)) if depth else "..."


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


def decimal_literal(value: str | int | Decimal) -> Call:
    """An exact decimal constant, with as many digits behind the point as ``value`` is written with.

    Examples
    --------
    >>> decimal_literal("0.06"), decimal_literal("-1.50").args
    (0.06, (-150, 2))
    """
    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int):
        raise SchemaError("a constant must be finite", code="MPC-0105", hint="use isna() to find missing values")
    units = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    return call("decimal", literal(-units if sign else units), literal(max(-exponent, 0)))


def constant_of(expr: Expr) -> bool | int | float | str | Decimal | None:
    """The value of a constant; None for anything else, and for the missing value.

    Examples
    --------
    >>> constant_of(literal(3)), constant_of(decimal_literal("0.50")), constant_of(column("a"))
    (3, Decimal('0.50'), None)
    """
    if isinstance(expr, Literal):
        return expr.value
    if isinstance(expr, Call) and expr.op == "decimal" and all(isinstance(arg, Literal) for arg in expr.args):
        units, scale = (arg.value if isinstance(arg, Literal) else None for arg in expr.args)
        if isinstance(units, int) and isinstance(scale, int):
            return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -scale))  # without rounding
    return None


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
