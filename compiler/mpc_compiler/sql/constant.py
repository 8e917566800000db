"""Constants: exact decimal arithmetic, dates and intervals are folded while the query is read."""

from __future__ import annotations

import calendar
import datetime
from decimal import Decimal

from sqlglot import exp

from mpc_compiler.check.scalars import days_of, microseconds_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Literal, literal
from mpc_compiler.sql.text import refused

__all__ = ["moment", "number", "text"]

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}


def number(node: exp.Expr) -> Literal | None:
    """A constant number, or None; decimals are computed exactly and rounded once.

    Examples
    --------
    >>> number(exp.maybe_parse("0.06 + 0.01")), number(exp.maybe_parse("-(3 * 2)")), number(exp.maybe_parse("a"))
    (0.07, -6, None)
    """
    value = _decimal(node)
    if value is None:
        return None
    made = literal(int(value) if _whole(node) else float(value))
    assert isinstance(made, Literal)
    return made


def _decimal(node: exp.Expr) -> Decimal | None:
    if isinstance(node, exp.Literal) and not node.is_string:
        return Decimal(str(node.this))
    if isinstance(node, exp.Paren):
        return _decimal(node.this)
    if isinstance(node, exp.Neg):
        value = _decimal(node.this)
        return None if value is None else -value
    if isinstance(node, exp.Add | exp.Sub | exp.Mul):
        a, b = _decimal(node.left), _decimal(node.right)
        if a is None or b is None:
            return None
        return a + b if isinstance(node, exp.Add) else a - b if isinstance(node, exp.Sub) else a * b
    return None


def _whole(node: exp.Expr) -> bool:
    return all(found.is_int for found in node.find_all(exp.Literal))


def text(node: exp.Expr) -> str | None:
    """A constant text, or None."""
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def moment(node: exp.Expr) -> str | None:
    """A constant date or time in ISO form, or None: ``DATE '...'``, ``TIMESTAMP '...'``, plus or minus intervals.

    Examples
    --------
    >>> from mpc_compiler.sql.text import parse
    >>> moment(parse("SELECT date '1994-01-31' + interval '1' month").selects[0])
    '1994-02-28'
    """
    if isinstance(node, exp.Paren):
        return moment(node.this)
    if isinstance(node, exp.Cast) and text(node.this) is not None:
        return _read(str(text(node.this)), node)
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.right, exp.Interval):
        start = moment(node.left)
        return None if start is None else _moved(start, node.right, -1 if isinstance(node, exp.Sub) else 1)
    return None


def _read(value: str, node: exp.Cast) -> str | None:
    if node.is_type(exp.DataType.Type.DATE):
        days_of(value)
        return value[:10]
    if node.is_type(exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        microseconds_of(value)
        return value
    return None


def _moved(start: str, by: exp.Interval, sign: int) -> str:
    unit = str(by.args["unit"].this).upper().removesuffix("S") if by.args.get("unit") else ""
    try:
        count = sign * int(str(by.this.this))
    except ValueError:
        raise refused(by, "an interval that is not a whole number", "INTERVAL '3' MONTH") from None
    when = datetime.datetime.fromisoformat(start)
    if unit in _DAYS:
        when += datetime.timedelta(days=count * _DAYS[unit])
    elif unit in _MONTHS:
        months = when.year * 12 + when.month - 1 + count * _MONTHS[unit]
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            raise SchemaError(
                f"the date {start} {'+' if sign > 0 else '-'} {by.sql()} leaves the calendar", code="MPC-0104"
            )
        last = calendar.monthrange(year, month + 1)[1]
        when = when.replace(year=year, month=month + 1, day=min(when.day, last))
    else:
        raise refused(by, f"an interval in {unit or 'no unit'}", "DAY, WEEK, MONTH, QUARTER or YEAR")
    return when.date().isoformat() if len(start) == 10 else when.isoformat(sep=" ")
