"""Python's operators on columns."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import UnsupportedError
from mpc_engine.frame.constants import plain, whole_days
from mpc_engine.frame.place import placed

if TYPE_CHECKING:
    from mpc_engine.frame.series import Series

__all__ = ["Operators"]

_LARGEST_POWER = 8


class Operators:
    """Arithmetic, comparison and logic, all by :meth:`_apply`."""

    @abstractmethod
    def _apply(self, op: str, *others: Any, reverse: bool = False) -> Series:
        """``op`` of this column and others."""

    def __add__(self, other: Any) -> Series:
        days = whole_days(other)
        return self._apply("add", other) if days is None else self._apply("add_days", days)

    def __radd__(self, other: Any) -> Series:
        days = whole_days(other)
        return self._apply("add", other, reverse=True) if days is None else self._apply("add_days", days)

    def __sub__(self, other: Any) -> Series:
        days = whole_days(other)
        return self._apply("sub", other) if days is None else self._apply("add_days", -days)

    def __rsub__(self, other: Any) -> Series:
        return self._apply("sub", other, reverse=True)

    def __mul__(self, other: Any) -> Series:
        return self._apply("mul", other)

    def __rmul__(self, other: Any) -> Series:
        return self._apply("mul", other, reverse=True)

    def __truediv__(self, other: Any) -> Series:
        return self._apply("div", other)

    def __rtruediv__(self, other: Any) -> Series:
        return self._apply("div", other, reverse=True)

    def __floordiv__(self, other: Any) -> Series:
        return self._apply("floordiv", other)

    def __mod__(self, other: Any) -> Series:
        return self._apply("mod", other)

    def __rfloordiv__(self, other: Any) -> Series:
        return self._apply("floordiv", other, reverse=True)

    def __rmod__(self, other: Any) -> Series:
        return self._apply("mod", other, reverse=True)

    @placed
    def __pow__(self, exponent: int) -> Series:
        """Whole powers from 1 to 8, by squaring."""
        exponent = plain(exponent)
        if not isinstance(exponent, int) or isinstance(exponent, bool) or not 1 <= exponent <= _LARGEST_POWER:
            raise UnsupportedError(
                f"cannot raise a column to {exponent!r}",
                code="MPC-0301",
                hint=f"whole powers from 1 to {_LARGEST_POWER}; np.sqrt, np.exp, or 1 / x**n",
            )
        column: Any = self
        base: Series = column._apply("int") if column.dtype.kind == "bool" else column
        power = base
        for digit in f"{exponent:b}"[1:]:
            power = power * power
            power = power * base if digit == "1" else power
        return power

    def __neg__(self) -> Series:
        return self._apply("neg")

    def __abs__(self) -> Series:
        return self._apply("abs")

    def __eq__(self, other: object) -> Series:  # type: ignore[override]
        return self._apply("eq", other)

    def __ne__(self, other: object) -> Series:  # type: ignore[override]
        return self._apply("ne", other)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> Series:
        return self._apply("lt", other)

    def __le__(self, other: Any) -> Series:
        return self._apply("le", other)

    def __gt__(self, other: Any) -> Series:
        return self._apply("gt", other)

    def __ge__(self, other: Any) -> Series:
        return self._apply("ge", other)

    def __and__(self, other: Any) -> Series:
        return self._apply("and", other)

    def __or__(self, other: Any) -> Series:
        return self._apply("or", other)

    def __invert__(self) -> Series:
        return self._apply("not")
