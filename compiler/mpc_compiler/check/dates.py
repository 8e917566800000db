"""Dates and times of text constants as the whole numbers that are shared."""

from __future__ import annotations

import datetime

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import DType

__all__ = ["DAY", "days_of", "microseconds_of", "years_of"]

DAY = 86_400_000_000
"""Microseconds of a day."""


def days_of(text: str) -> int:
    """Days since 1970-01-01 of an ISO date.

    Examples
    --------
    >>> days_of("1970-01-31")
    30
    """
    try:
        return (datetime.date.fromisoformat(text[:10]) - datetime.date(1970, 1, 1)).days
    except ValueError as error:
        raise SchemaError(f"{text!r} is not an ISO date", code="MPC-0104", hint="write it as '2026-01-31'") from error


def years_of(dtype: DType) -> tuple[int, int] | None:
    """First and last year of a range of dates or timestamps; None if it is unknown, or leaves the calendar.

    Examples
    --------
    >>> years_of(DType("date", lo=0, hi=400))
    (1970, 1971)
    """
    if dtype.lo is None or dtype.hi is None:
        return None
    days = [int(end) // (1 if dtype.kind == "date" else DAY) for end in (dtype.lo, dtype.hi)]
    try:
        first, last = ((datetime.date(1970, 1, 1) + datetime.timedelta(days=at)).year for at in days)
    except OverflowError:
        return None
    return first, last


def microseconds_of(text: str) -> int:
    """Microseconds since 1970-01-01 of an ISO timestamp without time zone.

    Examples
    --------
    >>> microseconds_of("1970-01-01T00:00:01")
    1000000
    """
    try:
        gap = datetime.datetime.fromisoformat(text).replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
    except ValueError as error:
        raise SchemaError(f"{text!r} is not an ISO timestamp", code="MPC-0104") from error
    return gap // datetime.timedelta(microseconds=1)
