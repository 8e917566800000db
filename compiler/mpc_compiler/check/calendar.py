"""Types of functions of dates and timestamps."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.check.arithmetic import Rule, any_nullable, bounded, range_of
from mpc_compiler.check.dates import DAY, years_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import DType, Expr, constant_of

__all__ = ["days_between", "days_later", "months_later", "part_of_date"]


def _dated(name: str, dtype: DType) -> DType:
    if dtype.kind not in ("date", "timestamp"):
        raise SchemaError(f"dt.{name} needs dates, not {dtype.kind}", code="MPC-0103")
    return dtype


def part_of_date(lo: int, hi: int) -> Rule:
    """The rule of a part of dates, between ``lo`` and ``hi``; a year is bounded by the dates' range."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        dtype = _dated(name, types[0])
        first, last = (lo, hi) if name != "year" else years_of(dtype) or (lo, hi)
        return DType("int", dtype.nullable, first, last)

    return rule


def days_later(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A date so many whole days later."""
    dtype = _dated(name, types[0])
    if types[1].kind != "int":
        raise SchemaError("dates are moved by whole numbers of days", code="MPC-0103", hint="astype(int)")
    a, b, day = range_of(dtype), range_of(types[1]), 1 if dtype.kind == "date" else DAY
    bounds = None if a is None or b is None else (a[0] + b[0] * day, a[1] + b[1] * day)
    return bounded(dtype.kind, any_nullable(types), bounds)


def days_between(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Whole days from the second to the first, rounding down."""
    first, second = (_dated(name, dtype) for dtype in types)
    if first.kind != second.kind:
        raise SchemaError("cannot subtract a date and a timestamp", code="MPC-0103", hint="cast one side")
    a, b, day = range_of(first), range_of(second), 1 if first.kind == "date" else DAY
    bounds = None if a is None or b is None else ((a[0] - b[1]) // day, (a[1] - b[0]) // day)
    return bounded("int", any_nullable(types), bounds)


def months_later(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A date a constant number of months later; of a month that is too short, its last day."""
    dtype, months = _dated(name, types[0]), constant_of(args[1])
    if not isinstance(months, int) or isinstance(months, bool):
        raise SchemaError("dates are moved by a constant number of months", code="MPC-0105")
    a, day = range_of(dtype), 1 if dtype.kind == "date" else DAY
    bounds = (
        None if a is None else (a[0] + min(28 * months, 31 * months) * day, a[1] + max(28 * months, 31 * months) * day)
    )
    return bounded(dtype.kind, dtype.nullable, bounds)
