"""What a condition tells about the value that it lets through: ``where(y > 0, y, 1)`` is never 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from mpc_compiler.check.arithmetic import nonzero
from mpc_compiler.check.division import divisor_bounds
from mpc_compiler.ir import Call, DType, Expr, constant_of
from mpc_compiler.ir.types import Number

__all__ = ["let_through", "never_zero"]

_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


def let_through(test: Expr, value: Expr, dtype: DType, *, holds: bool) -> DType:
    """The type of ``value`` in the rows where ``test`` holds, or does not.

    Only comparisons of the value itself with a constant, ``isna`` and ``notna`` tell something. A comparison with a
    missing value is false, but for ``!=``.

    Examples
    --------
    >>> from mpc_compiler.ir import call, column, literal
    >>> y, dtype = column("y"), DType("int", nullable=True, lo=-9, hi=9)
    >>> let_through(call("gt", y, literal(0)), y, dtype, holds=True)
    int[1..9]
    >>> let_through(call("gt", y, literal(0)), y, dtype, holds=False)
    int[-9..0]?
    >>> let_through(call("ne", y, literal(0)), y, dtype, holds=True).nonzero
    True
    """
    if not isinstance(test, Call) or not test.args or test.args[0] != value:
        return dtype
    if test.op in ("isna", "notna"):
        return msgspec.structs.replace(dtype, nullable=dtype.nullable and holds == (test.op == "isna"))
    if test.op not in _OPPOSITE:
        return dtype
    limit, op = constant_of(test.args[1]), test.op if holds else _OPPOSITE[test.op]
    there = holds != (test.op == "ne")  # comparisons with a missing value come out the other way
    dtype = msgspec.structs.replace(dtype, nullable=dtype.nullable and not there)
    if not dtype.numeric or dtype.kind == "bool" or isinstance(limit, bool | str) or limit is None:
        return dtype
    if op == "ne":
        return _without_zero(dtype) if limit == 0 else dtype
    return _narrowed(dtype, op, limit)


def _without_zero(dtype: DType) -> DType:
    return msgspec.structs.replace(nonzero("nonzero", [dtype], ()), nullable=dtype.nullable)


def _narrowed(dtype: DType, op: str, limit: int | float | Decimal) -> DType:
    """The part of a range that compares so with a constant; all of it where no part does."""
    if dtype.lo is None or dtype.hi is None:
        return dtype
    strict, lo, hi = op in ("lt", "gt"), dtype.lo, dtype.hi
    if op in ("gt", "ge", "eq"):
        lo = max(lo, _end(dtype, limit, up=True, strict=strict))
    if op in ("lt", "le", "eq"):
        hi = min(hi, _end(dtype, limit, up=False, strict=strict))
    if lo > hi:
        return dtype
    narrow = msgspec.structs.replace(dtype, lo=lo, hi=hi)
    return _without_zero(narrow) if strict and limit == 0 else narrow


def _end(dtype: DType, limit: int | float | Decimal, *, up: bool, strict: bool) -> Number:
    """The first value that is at least (``up``) or at most a constant, or beyond it; floats stay at the constant."""
    if dtype.kind == "float":
        return float(limit)
    units = Fraction(limit) * dtype.unit
    end = math.ceil(units) if up else math.floor(units)
    return end + (1 if up else -1) * (strict and end == units)


def never_zero(dtype: DType, branches: Sequence[DType]) -> DType:
    """The type of a choice among branches, of which none may be 0."""
    whole = divisor_bounds(dtype) is None and all(divisor_bounds(branch) is not None for branch in branches)
    return msgspec.structs.replace(dtype, nonzero=True) if whole else dtype
