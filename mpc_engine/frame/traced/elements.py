"""Numbers of one row while a function is read: constants, or expressions over the frame's columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from mpc_compiler.check import expr_type
from mpc_compiler.errors import MpcError, UnsupportedError
from mpc_compiler.ir import Call, DType, Expr, Literal, Schema, call, constant_of, literal
from mpc_compiler.ir.parts import depth
from mpc_engine.frame.constants import constant, exact_constant
from mpc_engine.frame.place import mark

__all__ = ["Element", "Limit", "Maker", "nan_of", "value_of"]

Element: TypeAlias = "Expr | np.generic"
"""A constant is a numpy scalar."""
Limit: TypeAlias = "Fraction | float"
"""Exact, or infinite."""

_MOST = 2048
"""Operations of one function."""
_DEEPEST = 96
"""Operations one after another: expressions are read by recursion."""
_EXACT = 2.0**53


def value_of(constant: np.generic) -> float:
    """A constant as Python's number."""
    value: float = constant.item()
    return value


def nan_of(element: Element) -> bool:
    """Whether a constant is missing."""
    return isinstance(element, np.floating) and bool(np.isnan(element))


class Maker:
    """Makes expressions over the columns of one relation.

    Parameters
    ----------
    schema : Schema
        The relation's columns.

    Attributes
    ----------
    place : str
        The line of the user's function that is read now.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._made: set[Expr] = set()
        self.place = ""

    def type(self, element: Element) -> DType:
        """Kind, range and nullability."""
        if isinstance(element, np.generic):
            return expr_type(constant(element), Schema())
        return expr_type(element, self._schema)

    def limits(self, element: Element, *beside: Element) -> tuple[Limit, Limit]:
        """The range that a number is in, as far as it is known; of a constant as it is written beside others."""
        value = constant_of(self.written(element, beside)) if isinstance(element, np.generic) else None
        if isinstance(value, int | float | Decimal):
            return (Fraction(value),) * 2 if math.isfinite(value) else (float(value),) * 2
        dtype = None if isinstance(element, np.generic) else self.type(element)
        if dtype is not None and dtype.kind == "bool":
            return Fraction(0), Fraction(1)
        if dtype is None or dtype.lo is None or dtype.hi is None:
            return -math.inf, math.inf
        return Fraction(dtype.lo) / dtype.unit, Fraction(dtype.hi) / dtype.unit

    def nullable(self, element: Element) -> bool:
        """Whether it may be missing."""
        return nan_of(element) if isinstance(element, np.generic) else self.type(element).nullable

    def written(self, element: Element, beside: Sequence[Element]) -> Expr:
        """An expression; a constant in the form that is exact beside the others.

        Beside whole numbers a whole constant is one too, and beside decimals a short one is the decimal that it is
        written as.
        """
        if not isinstance(element, np.generic):
            return element
        value = element.item()
        kinds = {self.type(other).kind for other in beside if not isinstance(other, np.generic)}
        if isinstance(value, float) and math.isfinite(value):
            if "decimal" in kinds:
                return exact_constant(value)
            if kinds and kinds <= {"int", "bool"} and value.is_integer() and abs(value) < _EXACT:
                return literal(int(value))
        return constant(value)

    def call(self, op: str, *args: Element, alike: Sequence[Element] | None = None) -> Call:
        """An operation, typed at once.

        Parameters
        ----------
        op : str
            Of :data:`mpc_compiler.check.scalars.SCALARS`.
        *args : Expr or numpy scalar
        alike : sequence, optional
            The arguments that constants are written beside; default: all.

        Raises
        ------
        MpcError
            Where the types do not fit, or the function has become too large.
        """
        among = args if alike is None else alike
        exprs = [self.written(arg, among) for arg in args]
        made = call(op, *exprs)
        if made not in self._made:
            self._made.add(made)
            self._bounded(made)
            mark(made, self.place)
        try:
            expr_type(made, self._schema)
        except MpcError as error:
            error.where = error.where or self.place
            raise
        return made

    def _bounded(self, made: Call) -> None:
        many, deep = len(self._made) > _MOST, depth(made) > _DEEPEST
        if many or deep:
            raise UnsupportedError(
                f"the function needs more than {_MOST} operations"
                if many
                else f"the function needs more than {_DEEPEST} operations one after another",
                code="MPC-0318",
                hint="fewer turns of a loop, or several map_jax one after another with persist() between them",
                where=self.place,
            )

    def refused(self, what: str, hint: str) -> UnsupportedError:
        """The error for what a function may not do."""
        return UnsupportedError(what, code="MPC-0318", hint=hint, where=self.place)

    def is_null(self, expr: Element) -> bool:
        """Whether it is the missing value."""
        return nan_of(expr) or (isinstance(expr, Literal) and expr.value is None)
