"""Random programs over columns whose ranges are as wide as the checker lets them be, and what they give exactly."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.check.ranges import check_secret
from mpc_compiler.errors import MpcError
from mpc_compiler.ir import (
    FRACTION_BITS,
    Agg,
    Aggregate,
    Call,
    Column,
    DType,
    Expr,
    Field,
    Item,
    Literal,
    Project,
    Rel,
    Shared,
    call,
    column,
    constant_of,
    literal,
    make,
)

__all__ = ["ROWS", "Program", "draw"]

ROWS = 8
UNIT = 2**FRACTION_BITS
_WIDEST = {"int": 1 << 63, "decimal": 1 << 63, "float": 1 << 45 + FRACTION_BITS}


@dataclass(frozen=True)
class Program:
    """An expression (or its sum over all rows) over columns ``c0`` and ``c1``.

    Attributes
    ----------
    kinds : of the columns, with the scale of decimals
    sizes : largest magnitude of each, in units (of floats: of 2**-18); the first is what is widened
    signs : whether negative values occur
    """

    kinds: tuple[tuple[str, int], ...]
    sizes: tuple[int, ...]
    signs: tuple[bool, ...]
    expr: Expr
    total: bool

    def fields(self, prefix: str) -> tuple[Field, ...]:
        """The columns' types."""
        made = []
        for at, ((kind, scale), size, signed) in enumerate(zip(self.kinds, self.sizes, self.signs, strict=True)):
            low = -size if signed else 1
            ends = (low / UNIT, size / UNIT) if kind == "float" else (low, size)
            made.append(Field(f"{prefix}c{at}", DType(kind, lo=ends[0], hi=ends[1], scale=scale), ("a",)))  # type: ignore[arg-type]
        return tuple(made)

    def rel(self, prefix: str = "", source: str = "s") -> Rel:
        """The program over shares."""
        fields = self.fields(prefix)
        shares = make(Shared(source, fields, tuple(f.name for f in fields), ROWS))
        made = make(Project(shares, (Item(f"{prefix}y", _renamed(self.expr, prefix)),)))
        return make(Aggregate(made, (), (Agg(f"{prefix}y", "sum", f"{prefix}y"),))) if self.total else made

    def accepted(self) -> bool:
        """Whether the checker takes it."""
        try:
            schema_of(self.rel())
            check_secret(self.rel())
        except MpcError:
            return False
        return True

    def values(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """Columns of extremes, in units."""
        made = []
        for size, signed in zip(self.sizes, self.signs, strict=True):
            low = -size if signed else 1
            some = [low, size, max(low, size - 1), min(low + 1, size), max(low, 0), max(low, size // 2 + 1)]
            made.append(np.array([*rng.permutation(np.array(some, object)), low, size], object))
        return made

    def truth(self, values: list[np.ndarray[Any, Any]]) -> list[Fraction | None]:
        """What it gives exactly, row by row, or in all; None where it is missing."""
        rows = []
        for row in range(ROWS):
            given = {}
            for at, (kind, scale) in enumerate(self.kinds):
                given[f"c{at}"] = Fraction(int(values[at][row]), UNIT if kind == "float" else 10**scale)
            rows.append(_exact(self.expr, given))
        return [sum((value for value in rows if value is not None), Fraction(0))] if self.total else rows

    def may_miss(self) -> bool:
        """Whether a rounding error may decide if a number has a root or a logarithm."""
        floats = any(kind == "float" for kind, _ in self.kinds)
        return _missing_below(self.expr) and (floats or _rounds(self.expr))


def _missing_below(expr: Expr) -> bool:
    return isinstance(expr, Call) and (expr.op in ("log", "sqrt") or any(map(_missing_below, expr.args)))


def _rounds(expr: Expr) -> bool:
    """Whether the argument of a root or a logarithm is itself rounded."""
    if not isinstance(expr, Call):
        return False
    return any(map(_rounds, expr.args)) or (expr.op in ("log", "sqrt") and any(map(_rounded, expr.args)))


def _rounded(expr: Expr) -> bool:
    if isinstance(expr, Call):
        return expr.op in ("div", "float", *_FUNCTIONS) or any(map(_rounded, expr.args))
    return isinstance(constant_of(expr), float)


def _renamed(expr: Expr, prefix: str) -> Expr:
    if isinstance(expr, Column):
        return column(prefix + expr.name)
    return expr if isinstance(expr, Literal) else call(expr.op, *(_renamed(arg, prefix) for arg in expr.args))


_TESTS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq}
_BINARY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul,
    "div": lambda a, b: a / b if b else Fraction(0),
    "floordiv": lambda a, b: Fraction(a // b), "mod": lambda a, b: a - a // b * b,
    "maximum": max, "minimum": min,
}  # fmt: skip


def _root(value: Fraction) -> Fraction | None:
    return None if value < 0 else _decimal(value, Decimal.sqrt)


def _log(value: Fraction) -> Fraction | None:
    return None if value <= 0 else _decimal(value, Decimal.ln)


def _decimal(value: Fraction, function: Callable[[Decimal, Context], Decimal]) -> Fraction:
    return Fraction(function(_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)), _DIGITS))


_DIGITS = Context(prec=50, Emin=-(10**9), Emax=10**9)
_FUNCTIONS: dict[str, Callable[[Fraction], Fraction | None]] = {
    "sqrt": _root, "log": _log, "exp": lambda a: _decimal(max(a, Fraction(-1000)), Decimal.exp),
}  # fmt: skip


def _exact(expr: Expr, given: Mapping[str, Fraction]) -> Fraction | None:
    constant = constant_of(expr)
    if constant is not None:
        return Fraction(repr(constant)) if isinstance(constant, float) else Fraction(constant)
    if isinstance(expr, Column):
        return given[expr.name]
    assert not isinstance(expr, Literal)
    if expr.op == "where":
        return _exact(expr.args[1] if _exact(expr.args[0], given) else expr.args[2], given)
    args = [_exact(arg, given) for arg in expr.args]
    present = [arg for arg in args if arg is not None]
    return _of_numbers(expr.op, present) if len(present) == len(args) else None


def _of_numbers(op: str, args: list[Fraction]) -> Fraction | None:
    if op in _FUNCTIONS:
        return _FUNCTIONS[op](args[0])
    if op in _BINARY:
        return _BINARY[op](args[0], args[1])
    if op in _TESTS:
        return Fraction(_TESTS[op](args[0], args[1]))
    if op == "clip":
        return min(max(args[0], args[1]), args[2])
    return _UNARY[op](args[0])


_UNARY: dict[str, Callable[[Fraction], Fraction]] = {
    "neg": operator.neg, "abs": abs, "sign": lambda a: Fraction((a > 0) - (a < 0)),
    "float": lambda a: a, "int": lambda a: Fraction(int(a)), "round": lambda a: Fraction(round(a)),
}  # fmt: skip


def _constant(rng: np.random.Generator, kind: str) -> Expr:
    if kind == "float" or rng.random() < 0.2:
        return literal(float(rng.choice([0.5, -2.5, 3.0, 0.1, 1 / 3, 1000.0, 1e-3, 12345.678, -0.75])))
    return literal(int(rng.choice([1, -1, 2, 3, 10, 1000, -7, 123_456_789])))


_STEPS = (
    "add", "sub", "mul", "scale", "divide", "neg", "abs", "where", "clip", "over", "whole", "float", "maximum",
    "minimum", "sign", "square",
)  # fmt: skip


def _grown(rng: np.random.Generator, expr: Expr, kinds: tuple[tuple[str, int], ...], exact: bool) -> Expr:
    other, kind = column(f"c{rng.integers(0, len(kinds))}"), kinds[0][0]
    op = str(rng.choice((*_STEPS, *_FUNCTIONS)))
    if op == "square":
        return call("mul", expr, expr)
    if op in ("add", "sub", "mul", "maximum", "minimum"):
        pair = (expr, other) if rng.random() < 0.5 else (other, expr)
        return call(op, *pair)
    if op == "scale":
        return call("mul", expr, _constant(rng, kind))
    if op == "divide":
        return call("div", expr, _constant(rng, kind))
    if op == "where":
        test = call(str(rng.choice(list(_TESTS))), column("c0"), column("c1"))
        return call("where", test, expr, other)
    if op == "clip":
        return call("clip", expr, literal(-1000), literal(int(rng.choice([5, 1 << 20, 1 << 40]))))
    if op == "over":
        return call("div", expr, column("c1"))
    if op == "whole" and exact:
        return call(str(rng.choice(["floordiv", "mod"])), expr, literal(int(rng.choice([2, 7, 1000]))))
    return call(op, expr) if op in ("neg", "abs", "float", "sign", *_FUNCTIONS) else expr


def draw(rng: np.random.Generator) -> list[Program]:
    """Programs whose first column is one narrower than the checker takes, as wide as it takes, and one wider."""
    kinds = tuple((str(k), int(rng.integers(0, 5)) if k == "decimal" else 0)
                  for k in rng.choice(["int", "float", "decimal"], 2))  # fmt: skip
    sizes = (1, int(1 << rng.integers(1, 30)) + int(rng.integers(-1, 2)))
    signs = (bool(rng.random() < 0.7), bool(rng.random() < 0.3))
    expr: Expr = column("c0")
    for _ in range(rng.integers(1, 4)):
        expr = _grown(rng, expr, kinds, "float" not in {kind for kind, _ in kinds})
    program = Program(kinds, sizes, signs, expr, bool(rng.random() < 0.25))
    try:
        if expr_type(expr, schema_of(make(Shared("s", program.fields(""), ("c0", "c1"), ROWS)))).kind == "bool":
            return draw(rng)
    except MpcError:
        return draw(rng)
    low, high = 0, _WIDEST[kinds[0][0]]
    while high - low > 1:  # the widest that is taken: low, if any
        middle = (low + high) // 2
        low, high = (middle, high) if _of_size(program, middle).accepted() else (low, middle)
    return [_of_size(program, low + step) for step in (-1, 0, 1) if low + step >= 1]


def _of_size(program: Program, size: int) -> Program:
    return Program(program.kinds, (size, *program.sizes[1:]), program.signs, program.expr, program.total)
