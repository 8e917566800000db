"""Constants: exact decimal arithmetic, dates and intervals are folded while the query is read."""

from __future__ import annotations

import calendar
import datetime
from decimal import Decimal

from sqlglot import exp

from mpc_compiler.check.arithmetic import MAX_SCALE
from mpc_compiler.check.dates import days_of, microseconds_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, decimal_literal, literal
from mpc_compiler.sql.text import refused

__all__ = ["interval", "moment", "number", "text", "value_of"]

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}


def number(node: exp.Expr) -> Expr | None:
    """A constant number as the plan holds it, or None: a whole number, an exact decimal, or with an exponent a float.

    Examples
    --------
    >>> number(exp.maybe_parse("0.06 + 0.01")), number(exp.maybe_parse("-(3 * 2)")), number(exp.maybe_parse("a"))
    (0.07, -6, None)
    """
    value = value_of(node)
    if isinstance(value, Decimal):
        return decimal_literal(_short(value))
    return None if value is None else literal(value)


def _short(value: Decimal) -> Decimal:
    """Without zeros at the end: each would make products ten times as large."""
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


def value_of(node: exp.Expr) -> int | Decimal | float | None:
    """A constant number, or None.

    Examples
    --------
    >>> value_of(exp.maybe_parse("1 - 0.25")), value_of(exp.maybe_parse("1e3"))
    (Decimal('0.75'), 1000.0)
    """
    value = _decimal(node)
    if value is None:
        return None
    parts = list(node.find_all(exp.Literal))
    if any("e" in str(found.this).lower() for found in parts):
        return float(value)
    if all(found.is_int for found in parts):
        return int(value)
    exponent = value.as_tuple().exponent
    return value if isinstance(exponent, int) and -exponent <= MAX_SCALE else float(value)


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
    months, days = interval(by)
    when = datetime.datetime.fromisoformat(start)
    when += datetime.timedelta(days=sign * days)
    if months:
        year, month = divmod(when.year * 12 + when.month - 1 + sign * months, 12)
        if not 1 <= year <= 9999:
            raise SchemaError(
                f"the date {start} {'+' if sign > 0 else '-'} {by.sql()} leaves the calendar", code="MPC-0104"
            )
        last = calendar.monthrange(year, month + 1)[1]
        when = when.replace(year=year, month=month + 1, day=min(when.day, last))
    return when.date().isoformat() if len(start) == 10 else when.isoformat(sep=" ")


def interval(by: exp.Interval) -> tuple[int, int]:
    """Months and days of an interval.

    Examples
    --------
    >>> interval(exp.maybe_parse("interval '2' year")), interval(exp.maybe_parse("interval '90' day (3)"))
    ((24, 0), (0, 90))
    """
    unit = _unit(by)
    value = by.this
    try:
        count = int(str(value.this)) if isinstance(value, exp.Literal) else -int(str(value.this.this))
    except (AttributeError, ValueError):
        raise refused(by, "an interval that is not a whole number", "INTERVAL '3' MONTH") from None
    if unit in _DAYS:
        return 0, count * _DAYS[unit]
    if unit in _MONTHS:
        return count * _MONTHS[unit], 0
    raise refused(by, f"an interval in {unit or 'no unit'}", "DAY, WEEK, MONTH, QUARTER or YEAR")


def _unit(by: exp.Interval) -> str:
    """The unit of an interval; the precision that the standard allows after it says nothing here."""
    unit = by.args.get("unit")
    if isinstance(unit, exp.Func):
        return unit.key.upper()
    return str(unit.this).upper().removesuffix("S") if unit is not None else ""
