"""Constants of expressions."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any, NoReturn

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Expr, decimal_literal, literal

__all__ = ["constant", "exact_constant", "no_branch", "plain", "whole_days"]

_DIGITS = 9
"""A float with at most so many digits behind the point stands for the decimal that it is written as."""


def constant(value: Any) -> Expr:
    """A Python, numpy, or date constant as an expression; None and NaN stand for a missing value."""
    value = plain(value)
    if value is None or (isinstance(value, float) and value != value):
        return literal(None)
    if isinstance(value, Decimal):
        return decimal_literal(value)
    if isinstance(value, datetime.datetime):
        return literal(value.isoformat(sep=" "))
    if isinstance(value, datetime.date):
        return literal(value.isoformat())
    if not isinstance(value, bool | int | float | str):
        raise SchemaError(
            f"cannot use a {type(value).__name__} here", code="MPC-0103", hint="a number, text, bool or date"
        )
    return literal(value)


def exact_constant(value: Any) -> Expr:
    """A constant beside a decimal column: a float is the decimal that it is written as, if that is short.

    Examples
    --------
    >>> exact_constant(0.05), exact_constant(1 / 3), exact_constant(2)
    (0.05, 0.3333333333333333, 2)
    >>> exact_constant(0.05).op
    'decimal'
    """
    value = plain(value)
    if isinstance(value, float) and value - value == 0:
        written = Decimal(repr(value))
        if -int(written.as_tuple().exponent) <= _DIGITS:
            return decimal_literal(written)
    return constant(value)


def whole_days(value: Any) -> int | None:
    """The days of a span of time; None of anything else.

    Raises
    ------
    UnsupportedError
        When it is no whole number of days.

    Examples
    --------
    >>> whole_days(datetime.timedelta(days=3)), whole_days(3)
    (3, None)
    """
    if type(value).__name__ == "timedelta64" and hasattr(value, "astype"):
        value = value.astype("timedelta64[us]").item()
    if not isinstance(value, datetime.timedelta):
        return None
    days, rest = divmod(value, datetime.timedelta(days=1))
    if rest:
        raise UnsupportedError(
            f"cannot move dates by {value}", code="MPC-0301", hint="whole days: pd.Timedelta(days=3)", where=""
        )
    return days


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own; anything else as it is."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def no_branch() -> NoReturn:
    """Refuse to turn a secret into a decision of the program."""
    raise UnsupportedError(
        "the program cannot branch on a secret value",
        code="MPC-0310",
        hint="use a filter or where(), or collect() the value if its disclosure is allowed",
        where="",
    )
