"""Year, month and day of secret dates, by comparisons with public boundaries."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from mpc_compiler.ops.elementwise import compare
from mpc_compiler.ops.numeric import whole_divmod, whole_quotient

__all__ = ["PARTS", "days_from_civil", "part_of_date"]

PARTS = ("year", "quarter", "month", "day")
_YEARS = 64
"""Of at most so many years the boundaries are compared one by one."""
_EPOCH = datetime.date(1970, 1, 1)
_TO_MARCH = 719468
"""Days from 0000-03-01 to 1970-01-01."""
_ERA, _ERA_YEARS = 146097, 400
_MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def part_of_date(days: Array, part: str, *, bounds: tuple[int, int]) -> Array:
    """A part of dates.

    Parameters
    ----------
    days : Array
        int64 [n], days since 1970-01-01 within `bounds`.
    part : str
        ``"year"``, ``"quarter"``, ``"month"`` or ``"day"`` (of the month).
    bounds : (int, int)
        Public range.

    Returns
    -------
    Array
        int64 [n]; exact. Discloses nothing.

    Notes
    -----
    Up to 64 years: one comparison with the start of each year but the first; the day of the year is then a difference,
    and the month takes 11 comparisons more. Otherwise Hinnant's arithmetic ("chrono-compatible low-level date
    algorithms", 2013) with divisions by constants, about 50 comparisons.

    Examples
    --------
    >>> days = jnp.array([0, 58, 59, 19782])
    >>> [part_of_date(days, part, bounds=(0, 20000)).tolist() for part in PARTS]
    [[1970, 1970, 1970, 2024], [1, 1, 1, 1], [1, 2, 3, 2], [1, 28, 1, 29]]
    """
    low, high = bounds
    first, last = (_year_of(end) for end in bounds)
    if first is None or last is None or last - first >= _YEARS:
        return _civil(days, part, bounds)
    years = range(first, last + 1)
    starts = [days_from_civil(year, 1, 1) for year in years]
    flags = _reached(days, starts[1:], high - low)
    if part == "year":
        return first + jnp.sum(flags, axis=0)
    day = days - _step(flags, starts)
    leap = _step(flags, [int(_leap(year)) for year in years])
    # Months start a day later in leap years from March on; shifted back, all years are alike.
    march = [at for at in _MONTH_STARTS if at >= _MONTH_STARTS[2]]
    shifted = jnp.concatenate(
        [(day - at)[None] for at in _MONTH_STARTS[1:2]] + [(day - leap - at)[None] for at in march]
    )
    months = compare(shifted, jnp.zeros_like(shifted), "ge", bits=10).astype(jnp.int64)
    month = 1 + jnp.sum(months, axis=0)
    if part == "month":
        return month
    if part == "quarter":
        return 1 + months[2] + months[5] + months[8]
    start = _step(months, list(_MONTH_STARTS))
    return day - start - leap * months[1] + 1


def _year_of(days: int) -> int | None:
    try:
        return (_EPOCH + datetime.timedelta(days=days)).year
    except OverflowError:
        return None


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date.

    Examples
    --------
    >>> days_from_civil(2024, 2, 29)
    19782
    """
    return (datetime.date(year, month, day) - _EPOCH).days if year >= 1 else -_TO_MARCH


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _reached(days: Array, starts: Sequence[int], width: int) -> Array:
    """int64 [k, n]: whether each start is reached."""
    if not starts:
        return jnp.zeros((0, *days.shape), jnp.int64)
    public = np.asarray(starts, np.int64).reshape((-1,) + (1,) * days.ndim)
    wide = jnp.broadcast_to(days[None], (len(starts), *days.shape))
    return compare(wide, jnp.broadcast_to(public, wide.shape), "ge", bits=width.bit_length() + 2).astype(jnp.int64)


def _step(flags: Array, values: Sequence[int]) -> Array:
    """``values[number of flags]``, of flags that are set from the first on."""
    changes = np.diff(np.asarray(values, np.int64)).reshape((-1,) + (1,) * (flags.ndim - 1))
    return values[0] + jnp.sum(flags * changes, axis=0)


def _civil(days: Array, part: str, bounds: tuple[int, int]) -> Array:
    low, high = (end + _TO_MARCH for end in bounds)
    era, day = whole_divmod(days + _TO_MARCH, _ERA, bounds=(low, high))
    last = _ERA - 1
    leaps = whole_quotient(day, 1460, bounds=(0, last)) - whole_quotient(day, 36524, bounds=(0, last))
    leaps = leaps + whole_quotient(day, last, bounds=(0, last))
    year = whole_quotient(day - leaps, 365, bounds=(0, last))
    centuries = whole_quotient(year, 100, bounds=(0, _ERA_YEARS - 1))
    day = day - (365 * year + whole_quotient(year, 4, bounds=(0, _ERA_YEARS - 1)) - centuries)
    month = whole_quotient(5 * day + 2, 153, bounds=(2, 5 * 366 + 2))  # 0: March
    if part == "day":
        return day - whole_quotient(153 * month + 2, 5, bounds=(2, 153 * 11 + 2)) + 1
    late = compare(month, jnp.full_like(month, 10), "ge", bits=6).astype(jnp.int64)
    if part == "year":
        return year + _ERA_YEARS * era + late
    month = month + 3 - 12 * late
    return month if part == "month" else whole_quotient(month + 2, 3, bounds=(3, 14))
