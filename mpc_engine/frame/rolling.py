"""``rolling`` and ``expanding``: aggregates of the rows before each, in the order of the frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from mpc_compiler.ir import Expr, Rel
from mpc_engine.frame.over import Made, Over, Rows
from mpc_engine.frame.place import placed

__all__ = ["Rolling"]

T = TypeVar("T")
Apply = Callable[[Callable[[Rel, Expr], Made]], T]


class Rolling(Generic[T]):
    """``df["c"].rolling(n)`` or ``df.rolling(n)``: a result is missing where too few values are present.

    Parameters
    ----------
    apply : callable
        Makes the result, given how each column is computed.
    rows : tuple of int or None
        How many rows before and after each the window holds.
    least : int
        How many values must be present.
    keys : tuple of Expr
        Groups.
    """

    def __init__(self, apply: Apply[T], rows: Rows, least: int, keys: tuple[Expr, ...] = ()) -> None:
        self._apply = apply
        self._rows = rows
        self._least = least
        self._keys = keys

    @placed
    def _made(self, how: str) -> T:
        return self._apply(lambda base, expr: Over(base, self._keys).sliding(expr, how, self._rows, self._least))

    def sum(self) -> T:
        """Sum of the values in the window."""
        return self._made("sum")

    def mean(self) -> T:
        """Mean of the values in the window."""
        return self._made("mean")

    def count(self) -> T:
        """How many values are in the window."""
        return self._made("count")

    def min(self) -> T:
        """Smallest value in the window."""
        return self._made("min")

    def max(self) -> T:
        """Largest value in the window."""
        return self._made("max")
