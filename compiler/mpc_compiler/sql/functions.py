"""Functions of SQL that are one operation of the plan, or a few: text, dates, rounding, the larger of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sqlglot import exp

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import DType, Expr, call, literal
from mpc_compiler.powers import log_to_base
from mpc_compiler.sql import constant as constants
from mpc_compiler.sql.text import describe, place, refused

__all__ = ["function", "moved"]


class Values(Protocol):
    """Reads the arguments."""

    def value(self, node: exp.Expr) -> Expr:
        """The plan's expression of a node."""

    def type(self, expr: Expr) -> DType:
        """Its type."""


_ONE: dict[type[exp.Expr], str] = {
    exp.Abs: "abs", exp.Ln: "log", exp.Exp: "exp", exp.Sqrt: "sqrt", exp.Year: "year", exp.Month: "month",
    exp.Day: "day", exp.Quarter: "quarter", exp.Neg: "neg", exp.Upper: "upper", exp.Lower: "lower", exp.Length: "len",
}  # fmt: skip
_PARTS = ("year", "quarter", "month", "day")


def function(node: exp.Expr, reader: Values) -> Expr | None:
    """What a function gives; None for nodes that are no such function.

    Raises
    ------
    UnsupportedError
        For arguments that it is not offered for.
    """
    if type(node) in _ONE:
        return call(_ONE[type(node)], reader.value(node.this))
    made = _FUNCTIONS.get(type(node))
    return None if made is None else made(node, reader)


def _log(node: exp.Expr, reader: Values) -> Expr:
    """``log(x)`` is to the base 10 in DuckDB, ``log(b, x)`` to the base b."""
    base = 10 if node.expression is None else constants.value_of(node.this)
    if base is None or base <= 0 or base == 1:
        raise refused(node, "a logarithm to this base", "LN, or a constant base above 0 that is not 1")
    argument = reader.value(node.this if node.expression is None else node.expression)
    return log_to_base(argument, float(base))


def _extract(node: exp.Expr, reader: Values) -> Expr:
    part = str(node.this.this).lower()
    if part not in _PARTS:
        raise refused(node, f"EXTRACT({part.upper()})", "YEAR, QUARTER, MONTH or DAY")
    return call(part, reader.value(node.expression))


def _whole(node: exp.Expr | None, of: exp.Expr) -> int:
    value = None if node is None else constants.value_of(node)
    if not isinstance(value, int):
        raise refused(
            of, f"{describe(of)} with arguments that are no whole numbers", "constants, as in SUBSTRING(x, 1, 2)"
        )
    return value


_LONG = 2**31
"""Longer than any text."""


def _substring(node: exp.Expr, reader: Values) -> Expr:
    start = _whole(node.args["start"], node) if node.args.get("start") is not None else 1
    length = _whole(node.args["length"], node) if node.args.get("length") is not None else _LONG
    if start < 1 or length < 0:
        raise refused(node, "SUBSTRING from other than a place from 1", "SUBSTRING(x, 1, 2)")
    return call("substring", reader.value(node.this), literal(start), literal(length))


def _left(node: exp.Expr, reader: Values) -> Expr:
    return call("substring", reader.value(node.this), literal(1), literal(max(_whole(node.expression, node), 0)))


def _trim(node: exp.Expr, reader: Values) -> Expr:
    return call("trim", reader.value(node.this))


def _replace(node: exp.Expr, reader: Values) -> Expr:
    old, new = (constants.text(node.args[name]) for name in ("expression", "replacement"))
    if old is None or new is None:
        raise refused(node, "REPLACE of texts that are not constant", "REPLACE(x, 'a', 'b')")
    return call("replace", reader.value(node.this), literal(old), literal(new))


def _joined(node: exp.Expr, reader: Values) -> Expr:
    values = [reader.value(part) for part in (node.this, node.expression)]
    for value in values:
        if reader.type(value).kind != "string":
            raise refused(node, f"|| of a {reader.type(value).kind}", "text columns and texts in single quotes")
    return call("concat", *values)


def _round(node: exp.Expr, reader: Values) -> Expr:
    """Halves go away from zero; only decimals are rounded so on shares."""
    value = reader.value(node.this)
    places = _whole(node.args["decimals"], node) if node.args.get("decimals") is not None else 0
    kind = reader.type(value).kind
    if kind == "int" and places >= 0:
        return value
    if kind != "decimal" or places < 0:
        raise refused(node, f"ROUND of a {kind}", "CAST(x AS DECIMAL(18, 2)) first, or collect and round the result")
    return call("rescale", value, literal(min(places, reader.type(value).scale)))


def _extreme(op: str) -> Callable[[exp.Expr, Values], Expr]:
    def made(node: exp.Expr, reader: Values) -> Expr:
        values = [reader.value(part) for part in (node.this, *node.expressions)]
        if any(reader.type(value).nullable for value in values):
            raise refused(node, f"{describe(node)} of values that may be NULL", "COALESCE, or CASE")
        result = values[0]
        for value in values[1:]:
            result = call("where", call(op, result, value), result, value)
        return result

    return made


def moved(node: exp.Expr, reader: Values) -> Expr | None:
    """A date plus or minus an interval or days, or the days between two dates; None for other sums."""
    if not isinstance(node, exp.Add | exp.Sub):
        return None
    left, right = node.args["this"], node.args["expression"]
    if isinstance(left, exp.Interval) and isinstance(node, exp.Add):
        left, right = right, left
    sign = -1 if isinstance(node, exp.Sub) else 1
    if isinstance(right, exp.Interval):
        return _later(reader.value(left), right, sign, reader)
    if constants.value_of(left) is not None:
        return None
    first = reader.value(left)
    if reader.type(first).kind != "date":
        return None
    if isinstance(node, exp.Sub) and constants.moment(right) is not None:
        return call("days_between", first, literal(str(constants.moment(right))))
    second = reader.value(right)
    if reader.type(second).kind == "date" and sign < 0:
        return call("days_between", first, second)
    if reader.type(second).kind == "int":
        return call("add_days", first, second if sign > 0 else call("neg", second))
    return None


def _later(date: Expr, by: exp.Interval, sign: int, reader: Values) -> Expr:
    if reader.type(date).kind not in ("date", "timestamp"):
        raise SchemaError(
            f"cannot add an interval to a {reader.type(date).kind}", code="MPC-0103", hint="a column of dates",
            where=place(by),
        )  # fmt: skip
    months, days = constants.interval(by)
    if months:
        return call("add_months", date, literal(sign * months))
    return call("add_days", date, literal(sign * days))


_FUNCTIONS: dict[type[exp.Expr], Callable[[exp.Expr, Values], Expr]] = {
    exp.Extract: _extract, exp.Substring: _substring, exp.Left: _left, exp.Trim: _trim, exp.Replace: _replace,
    exp.Log: _log, exp.DPipe: _joined, exp.Round: _round, exp.Greatest: _extreme("ge"), exp.Least: _extreme("le"),
}  # fmt: skip
