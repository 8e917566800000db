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

    def like(self, pattern: str) -> Series:
        """Whether each value matches a pattern of SQL: ``%`` stands for any text, ``_`` for one character.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> parts = pd.DataFrame({"name": ["forest green", "green", "pale forest"]})
        >>> with mpc.Session.local({"a": {"t": parts}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").name.str.like("%est_g%").collect().tolist()
        [True, False, False]
        """
        return self._series._apply("like", pattern)

    def lower(self) -> Series:
        """Lower case, letter by letter."""
        return self._series._apply("lower")

    def upper(self) -> Series:
        """Upper case, letter by letter."""
        return self._series._apply("upper")

    def strip(self) -> Series:
        """Without white space at both ends."""
        return self._series._apply("strip")

    @placed
    def replace(self, old: str, new: str, *, regex: bool = False) -> Series:
        """Every occurrence of ``old`` as ``new`` (literally)."""
        if regex:
            raise UnsupportedError("regular expressions are not supported", code="MPC-0301", hint="regex=False")
        return self._series._apply("replace", old, new)

    @placed
    def slice(self, start: int = 0, stop: int | None = None) -> Series:
        """Letters ``start`` to ``stop``, as of Python's strings; neither may be negative."""
        if start < 0 or (stop is not None and stop < 0):
            raise UnsupportedError("slices count from the start", code="MPC-0301", hint="0 or more")
        length = _LONGEST if stop is None else max(stop - start, 0)
        return self._series._apply("substring", start + 1, length)

    def cat(self, other: Series) -> Series:
        """The text of another column after that of this one."""
        return self._series._apply("concat", other)

    def len(self) -> Series:
        """Number of characters."""
        return self._series._apply("len")


_LONGEST = 1 << 30


class DateParts:
    """``Series.dt``: parts of dates, by their owner or on shares.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> loans = pd.DataFrame({"since": pd.to_datetime(["2024-02-29", "2023-11-05"])})
    >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
    ...     since = session.table("a.t").since
    ...     [part.tolist() for part in mpc.collect(since.dt.year, since.dt.quarter)]
    [[2024, 2023], [1, 4]]
    """

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

    @property
    def quarter(self) -> Series:
        """Quarter, 1 to 4."""
        return self._series._apply("quarter")
