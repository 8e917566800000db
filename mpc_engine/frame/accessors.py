"""``Series.str`` and ``Series.dt``: what the owner of a column computes before it is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_compiler.errors import UnsupportedError
from mpc_engine.frame.place import placed

if TYPE_CHECKING:
    from mpc_engine.frame.series import Series

__all__ = ["DateParts", "TextMethods"]


class TextMethods:
    """``Series.str``: text functions that the column's owner computes locally."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def startswith(self, text: str) -> Series:
        """Whether each value starts with ``text``."""
        return self._series._apply("startswith", text)

    def endswith(self, text: str) -> Series:
        """Whether each value ends with ``text``."""
        return self._series._apply("endswith", text)

    @placed
    def contains(self, text: str, *, regex: bool = False) -> Series:
        """Whether each value contains ``text`` (literally; regular expressions are not supported)."""
        if regex:
            raise UnsupportedError("regular expressions are not supported", code="MPC-0301", hint="regex=False")
        return self._series._apply("contains", text)

    def lower(self) -> Series:
        """Lower case, letter by letter."""
        return self._series._apply("lower")

    def upper(self) -> Series:
        """Upper case, letter by letter."""
        return self._series._apply("upper")

    def len(self) -> Series:
        """Number of characters."""
        return self._series._apply("len")


class DateParts:
    """``Series.dt``: parts of dates that the column's owner computes locally."""

    def __init__(self, series: Series) -> None:
        self._series = series

    @property
    def year(self) -> Series:
        """Calendar year."""
        return self._series._apply("year")

    @property
    def month(self) -> Series:
        """Month, 1 to 12."""
        return self._series._apply("month")

    @property
    def day(self) -> Series:
        """Day of the month."""
        return self._series._apply("day")
