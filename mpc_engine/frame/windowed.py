"""Methods that compute a column from the rows before and after, for frames, columns and groups of either."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import Expr, Rel, call
from mpc_engine.frame.constants import constant
from mpc_engine.frame.over import BEFORE, Made, Over, frame_of
from mpc_engine.frame.place import placed
from mpc_engine.frame.rolling import Rolling

__all__ = ["Windowed"]


class Windowed:
    """Ranks, running aggregates, shifts and sliding windows, all by :meth:`_windowed`.

    On shares, they need a sort of the groups and of the order, and disclose nothing.
    """

    @abstractmethod
    def _windowed(self, made: Callable[[Rel, Expr], Made]) -> Any:
        """Every column as ``made`` computes it from the relation and the column."""

    @property
    def _groups(self) -> tuple[Expr, ...]:
        """What tells groups apart."""
        return ()

    def _over_rows(self, base: Rel) -> Over:
        return Over(base, self._groups)

    @placed
    def rank(self, *, method: str = "average", ascending: bool = True, pct: bool = False) -> Any:
        """The place of each value among all, from 1; a missing value has none.

        Parameters
        ----------
        method : {"average", "min", "max", "first", "dense"}
            What equal values get: the mean, the smallest or the largest of their places; places in the order of the
            rows; or the number of different values up to theirs. All but the average are whole numbers.
        ascending : bool
            Whether the smallest value comes first.
        pct : bool
            As a part of all values that are present.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [100, 250, 80, 100]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     amount = session.table("a.t").amount
        ...     [r.tolist() for r in mpc.collect(amount.rank(), amount.rank(method="min", ascending=False))]
        [[2.5, 4.0, 1.0, 2.5], [2, 1, 4, 2]]
        """
        return self._windowed(lambda base, expr: self._over_rows(base).rank(expr, method, ascending=ascending, pct=pct))

    def cumsum(self) -> Any:
        """Sum of all values up to each row."""
        return self._running("sum")

    def cummin(self) -> Any:
        """Smallest value up to each row."""
        return self._running("min")

    def cummax(self) -> Any:
        """Largest value up to each row."""
        return self._running("max")

    @placed
    def _running(self, how: str) -> Any:
        return self._windowed(lambda base, expr: self._over_rows(base).cumulative(expr, how))

    @placed
    def shift(self, periods: int = 1, *, fill_value: Any = None) -> Any:
        """The value ``periods`` rows before (negative: after); missing, or ``fill_value``, where there is no row."""
        if not isinstance(periods, int) or isinstance(periods, bool):
            raise UnsupportedError(f"shift({periods!r}) is not supported", code="MPC-0301", hint="a number of rows")
        fill = None if fill_value is None else constant(fill_value)
        return self._windowed(lambda base, expr: self._over_rows(base).shift(expr, periods, fill))

    @placed
    def diff(self, periods: int = 1) -> Any:
        """Difference from the value ``periods`` rows before."""

        def made(base: Rel, expr: Expr) -> Made:
            base, before = self._over_rows(base).shift(expr, periods)
            return base, call("sub", expr, before)

        return self._windowed(made)

    @placed
    def rolling(self, window: int, min_periods: int | None = None, *, center: bool = False) -> Rolling[Any]:
        """Aggregates of the ``window`` rows that end with each, in the order of the frame: ``.sum()``, ``.mean()``...

        Parameters
        ----------
        window : int
            Rows.
        min_periods : int, optional
            How many values must be present; default: all of the window.
        center : bool
            Whether the row stands in the middle of its window.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"day": [3, 1, 2], "amount": [100, 250, 80]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").sort_values("day").amount.rolling(2).mean().collect().tolist()
        [nan, 165.0, 90.0]
        """
        rows, least = frame_of(window, min_periods, center=center)
        return Rolling(self._windowed, rows, least, self._groups)

    @placed
    def expanding(self, min_periods: int = 1) -> Rolling[Any]:
        """Aggregates of all rows up to each."""
        return Rolling(self._windowed, BEFORE, min_periods, self._groups)
