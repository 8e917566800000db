"""Random scalar expressions: data with one meaning on our frames and on pandas'.

Every column carries what the comparison needs: its kind, bounds of its values, and how far a value that was computed
in fixed point may lie from pandas'. The derivation, for u = 2**-18, the unit in the last of 18 fraction bits:

- an input that is a multiple of 1/8 is exact; any other is rounded once on its way into shares: u;
- sums, differences, signs, choices and whole factors are exact in the ring: they add or scale the errors they get;
- a product of two fixed-point numbers is truncated without communication, which is off by at most one unit beside the
  rounding itself (Mohassel and Rindal, CCS 2018, section 5.1): |a|·error(b) + |b|·error(a) + error(a)·error(b) + 2u;
- a sum of fixed-point numbers is exact, except where the plan alone decides which rows count (``isna()`` of a column
  without gaps): SPU multiplies by such a public mask as by a fixed-point number, and truncates once: u;
- a constant factor c that is not whole is encoded to u first: |a|·u + |c|·error(a) + 2u; the same for division by one;
- division by a secret count and the mean have the declared bound of ``numeric.ratio``: 2**-16 on top of the input's.

What has an error of 0 must be equal. Only such values are compared, sorted, grouped or cut off to integers, since a
difference in the last bit may otherwise turn into another row. Results that an owner computes in the clear are closer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from tests.tables import SEGMENTS

__all__ = ["RATIO", "UNIT", "Column", "Expr", "booleans", "columns_of", "numbers", "shown"]

UNIT = 2.0**-18
RATIO = 2.0**-16
LARGEST = 2.0**18
"""Float results stay below this, so that a product of two columns and a sum over any table fit in the ring."""


@dataclass(frozen=True)
class Column:
    """What is known of a column: kind, whether values may be missing, largest magnitude, largest error."""

    kind: str
    nullable: bool = False
    size: float = 0.0
    error: float = 0.0

    @property
    def exact(self) -> bool:
        return self.error == 0

    @property
    def number(self) -> bool:
        return self.kind in ("int", "float")


def columns_of(frame: pd.DataFrame) -> dict[str, Column]:
    """The columns of a table."""
    found = {}
    for name, data in frame.items():
        kind = {"i": "int", "f": "float", "b": "bool", "M": "date"}.get(data.dtype.kind, "str")
        kind = "int" if name == "m" else kind
        present = data.dropna()
        size = float(present.abs().max()) if kind in ("int", "float") and len(present) else 0.0
        exact = kind != "float" or bool((present * 8 == (present * 8).round()).all())
        # ranges are public only after rounding outward, by at most an eighth of the width
        found[str(name)] = Column(kind, bool(data.isna().any()), 1.5 * size + 1, 0.0 if exact else UNIT)
    return found


_SYMBOLS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("+", operator.add), "sub": ("-", operator.sub), "mul": ("*", operator.mul), "div": ("/", operator.truediv),
    "pow": ("**", operator.pow),
    "eq": ("==", operator.eq), "ne": ("!=", operator.ne), "lt": ("<", operator.lt), "le": ("<=", operator.le),
    "gt": (">", operator.gt), "ge": (">=", operator.ge), "and": ("&", operator.and_), "or": ("|", operator.or_),
}  # fmt: skip


@dataclass(frozen=True)
class Expr:
    """A scalar expression: an operation over expressions and constants."""

    op: str
    args: tuple[Any, ...]
    type: Column

    def on(self, frame: Any) -> Any:
        """Evaluate on a pandas frame, or build on one of ours."""
        if self.op == "column":
            return frame[self.args[0]]
        args = [arg.on(frame) if isinstance(arg, Expr) else arg for arg in self.args]
        if self.op in _SYMBOLS:
            return _SYMBOLS[self.op][1](*args)
        if self.op == "not":
            return ~args[0]
        if self.op == "neg":
            return -args[0]
        return getattr(args[0], self.op)(*args[1:])

    def __str__(self) -> str:
        if self.op == "column":
            return f"t.{self.args[0]}"
        if self.op in _SYMBOLS:
            return f"({self.args[0]} {_SYMBOLS[self.op][0]} {shown(self.args[1])})".replace("(" + repr(0), "(0")
        if self.op in ("not", "neg"):
            return f"{'~' if self.op == 'not' else '-'}{self.args[0]}"
        return f"{self.args[0]}.{self.op}({', '.join(map(shown, self.args[1:]))})"

    def query(self) -> str | None:
        """The expression in the language of ``query``, if it can be said there."""
        if self.op == "column":
            return str(self.args[0])
        if self.op in ("and", "or"):
            sides = [arg.query() for arg in self.args]
            return None if None in sides else f"({sides[0]} {self.op} {sides[1]})"
        if self.op in _SYMBOLS and isinstance(self.args[0], Expr):
            left = self.args[0].query()
            right = self.args[1].query() if isinstance(self.args[1], Expr) else repr(self.args[1])
            return None if left is None or right is None else f"({left} {_SYMBOLS[self.op][0]} {right})"
        if self.op == "isin" and (inner := self.args[0].query()) is not None:
            return f"({inner} in {self.args[1]!r})"
        return None


def shown(arg: Any) -> str:
    """An argument of a step or expression as text."""
    return str(arg) if isinstance(arg, Expr) else repr(arg)


def _column(name: str, columns: Mapping[str, Column]) -> Expr:
    return Expr("column", (name,), columns[name])


def _pick(draw: st.DrawFn, columns: Mapping[str, Column], want: Callable[[Column], bool]) -> Expr | None:
    names = [name for name, column in columns.items() if want(column)]
    return _column(draw(st.sampled_from(names)), columns) if names else None


_EIGHTHS = st.sampled_from([-3.5, -1.0, 0.0, 0.125, 0.5, 2.0, 4.25])
_WHOLES = st.sampled_from([-7, -2, 0, 1, 2, 3, 10])


def _constant(draw: st.DrawFn, column: Column) -> float | int:
    return draw(_WHOLES if column.kind == "int" else _EIGHTHS)


def numbers(draw: st.DrawFn, columns: Mapping[str, Column], depth: int, *, exact: bool = False) -> Expr | None:
    """A numeric expression, or None if there is no numeric column."""
    left = _pick(draw, columns, lambda c: c.number and (c.exact or not exact))
    for _ in range(draw(st.integers(0, depth)) if left is not None else 0):
        step = draw(st.sampled_from(_EXACT_STEPS if exact else _STEPS))
        made = step(draw, columns, left, exact)
        left = left if made is None or made.type.size > LARGEST else made
    return left


def _kind(a: Column, b: Column) -> str:
    return "float" if "float" in (a.kind, b.kind) else "int"


def _add(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    op = draw(st.sampled_from(["add", "sub"]))
    if draw(st.booleans()):
        value = _constant(draw, left.type)
        pair = (left, value) if op == "add" or draw(st.booleans()) else (value, left)
        return Expr(op, pair, replace(left.type, size=left.type.size + 10))
    right = _pick(draw, columns, lambda c: c.number and (c.exact or not exact))
    assert right is not None
    a, b = left.type, right.type
    made = Column(_kind(a, b), a.nullable or b.nullable, a.size + b.size, a.error + b.error)
    return Expr(op, (left, right), made)


def _scale(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    factor = draw(_WHOLES)
    a = left.type
    return Expr("mul", (left, factor), replace(a, size=a.size * abs(factor), error=a.error * abs(factor)))


def _multiply(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    right = _pick(draw, columns, lambda c: c.number)
    assert right is not None
    a, b = left.type, right.type
    kind = _kind(a, b)
    rounding = 2 * UNIT if kind == "float" else 0.0
    error = a.size * b.error + b.size * a.error + a.error * b.error + rounding
    return Expr("mul", (left, right), Column(kind, a.nullable or b.nullable, a.size * b.size, error))


def _divide(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    a = left.type
    if "n" in columns and columns["n"].kind == "int" and columns["n"].exact and draw(st.booleans()):
        made = Column("float", a.nullable, a.size, a.error + RATIO)
        return Expr("div", (left, _column("n", columns)), made)
    value = draw(st.sampled_from([-3, 0.5, 4, 7.0, 12]))
    made = Column("float", a.nullable, a.size / abs(value), a.size * UNIT + a.error / abs(value) + 2 * UNIT)
    return Expr("div", (left, value), made)


def _fraction(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    a, factor = left.type, draw(st.sampled_from([0.1, -1.75, 3.3]))
    made = Column("float", a.nullable, a.size * 4, a.size * UNIT + a.error * abs(factor) + 2 * UNIT)
    return Expr("mul", (left, factor), made)


def _magnitude(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    return Expr(draw(st.sampled_from(["neg", "abs"])), (left,), left.type)


def _clip(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    ends = sorted((_constant(draw, left.type), _constant(draw, left.type)))
    lower, upper = draw(st.sampled_from([(0, 1), (0, None), (None, 1)]))
    low, high = (None if at is None else ends[at] for at in (lower, upper))
    return Expr("clip", (left, low, high), replace(left.type, size=left.type.size + 10))


def _fill(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    made = replace(left.type, nullable=False, size=left.type.size + 10)
    return Expr("fillna", (left, _constant(draw, left.type)), made)


def _where(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    condition = booleans(draw, columns, 0)
    if condition is None:
        return None
    if draw(st.booleans()):
        return Expr("where", (left, condition), replace(left.type, nullable=True))
    made = replace(left.type, size=left.type.size + 10)
    return Expr(draw(st.sampled_from(["where", "mask"])), (left, condition, _constant(draw, left.type)), made)


def _cast(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    if left.type.exact and not left.type.nullable and draw(st.booleans()):
        return Expr("astype", (left, int), replace(left.type, kind="int"))
    return Expr("astype", (left, float), replace(left.type, kind="float"))


def _round(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    """A value that is off in its last bit may be rounded to the other neighbour."""
    if not left.type.exact:
        return None
    return Expr("round", (left,), replace(left.type, size=left.type.size + 1))


def _square(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    a = left.type
    error = (2 * a.size + a.error) * a.error + (2 * UNIT if a.kind == "float" else 0.0)
    return Expr("pow", (left, 2), replace(a, size=a.size**2, error=error))


_EXACT_STEPS = (_add, _scale, _magnitude, _clip, _fill, _where, _cast, _round)
_STEPS = (*_EXACT_STEPS, _multiply, _square, _divide, _fraction)


def booleans(draw: st.DrawFn, columns: Mapping[str, Column], depth: int) -> Expr | None:
    """A boolean expression, or None if no column serves."""
    if depth and draw(st.integers(0, 2)):
        left, right = booleans(draw, columns, depth - 1), booleans(draw, columns, depth - 1)
        if left is None or right is None:
            return left
        op = draw(st.sampled_from(["and", "or", "not"]))
        return Expr("not", (left,), BOOL) if op == "not" else Expr(op, (left, right), BOOL)
    made = draw(st.sampled_from([_compare, _compare, _compare_columns, _text, _member, _missing, _date, _flag]))
    return made(draw, columns) or _compare(draw, columns)


BOOL = Column("bool")
_ORDERS = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])


def _compare(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = numbers(draw, columns, 1, exact=True)
    if left is None:
        return None
    if draw(st.integers(0, 3)):
        return Expr(draw(_ORDERS), (left, _constant(draw, left.type)), BOOL)
    ends = sorted((_constant(draw, left.type), _constant(draw, left.type)))
    return Expr("between", (left, *ends), BOOL)


def _compare_columns(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left, right = (numbers(draw, columns, 0, exact=True) for _ in "ab")
    return None if left is None or right is None else Expr(draw(_ORDERS), (left, right), BOOL)


def _text(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "str")
    word = draw(st.sampled_from([*SEGMENTS, "yes", "a", "zebra", "coral"]))
    return left and Expr(draw(_ORDERS), (left, word), BOOL)


def _member(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "str" or (c.kind == "int" and c.exact))
    if left is None:
        return None
    if left.type.kind == "str":
        return Expr("isin", (left, draw(st.sampled_from([["red"], ["blue", "nowhere", "yes"], []]))), BOOL)
    return Expr("isin", (left, draw(st.sampled_from([[3], [0, 1, 2, -5], [12_345, 99]]))), BOOL)


def _missing(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: True)
    return left and Expr(draw(st.sampled_from(["isna", "notna"])), (left,), BOOL)


def _date(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "date")
    return left and Expr(draw(_ORDERS), (left, draw(st.sampled_from(["2021-06-15", "2020-05-05"]))), BOOL)


def _flag(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    return _pick(draw, columns, lambda c: c.kind == "bool" and not c.nullable)
