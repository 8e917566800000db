"""A column as one value: sums, extremes, moments, counts of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import Agg, Aggregate, Expr, Item, Project, column, make
from mpc_engine.frame.base import Lazy, common, identity, one_session
from mpc_engine.frame.moments import Moments
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.scalar import Scalar

if TYPE_CHECKING:
    from mpc_engine.frame.series import Series
    from mpc_engine.frame.summary import Summary

__all__ = ["Reductions", "degrees"]


def degrees(ddof: int) -> int:
    """Rows that a variance has less: 0 or 1.

    Raises
    ------
    UnsupportedError
        For any other.
    """
    if ddof not in (0, 1):
        raise UnsupportedError(f"ddof={ddof!r} is not supported", code="MPC-0301", hint="ddof=1, or 0 for all rows")
    return ddof


class Reductions(Lazy):
    """What gives one value of a column."""

    name: str

    @property
    def _expr(self) -> Expr:
        return self._items[self.name]

    @placed
    def _reduce(self, function: str) -> Scalar:
        name = "value"
        inner = make(Project(self._base, (Item(name, self._expr),)))
        base = mark(make(Aggregate(inner, (), (Agg(name, function, name),))))
        return Scalar(self._session, base, identity(base))

    def sum(self) -> Scalar:
        """Sum of the values that are present."""
        return self._reduce("sum")

    def mean(self) -> Scalar:
        """Mean of the values that are present."""
        return self._reduce("mean")

    def count(self) -> Scalar:
        """Number of values that are present."""
        return self._reduce("count")

    def min(self) -> Scalar:
        """Smallest value."""
        return self._reduce("min")

    def max(self) -> Scalar:
        """Largest value."""
        return self._reduce("max")

    @placed
    def _moment(self, function: str, ddof: int) -> Scalar:
        moments = Moments(self._base, {})
        value = moments.statistic(self._expr, function, ddof=degrees(ddof))
        return Scalar(self._session, moments.relation, {"value": value})

    def var(self, *, ddof: int = 1) -> Scalar:
        """Variance of the values that are present, missing for fewer than ``1 + ddof``.

        On shares within ``W**2 * 2**-20 + W * 2**-16 + 2**-16`` for a column whose public range is W wide; for at most
        2**20 rows. Discloses nothing but the result.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [1, 2, 3, 4]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     round(session.table("a.t").amount.var().collect(), 4)
        1.6667
        """
        return self._moment("var", ddof)

    def std(self, *, ddof: int = 1) -> Scalar:
        """Standard deviation: the root of :meth:`var`, whose error d makes one of ``min(d / std, sqrt(d))``."""
        return self._moment("std", ddof)

    @placed
    def nunique(self) -> Scalar:
        """Number of different values that are present; not of floats."""
        name = "value"
        values = make(Aggregate(make(Project(self._base, (Item(name, self._expr),))), (name,), ()))
        base = mark(make(Aggregate(values, (), (Agg(name, "size"),))))
        return Scalar(self._session, base, {name: column(name)})

    @placed
    def corr(self, other: Series) -> Scalar:
        """Pearson's correlation with another column of the same frame, over the rows where both are present."""
        one_session(self, other)
        moments = Moments(common(self._base, other._base), {})
        value = moments.correlation(self._expr, other._expr)
        return Scalar(self._session, moments.relation, {"value": value})

    @placed
    def describe(self) -> Summary:
        """Count, mean, standard deviation, least and largest value of a numeric column; quantiles are left out."""
        from mpc_engine.frame.summary import described

        return described(self, {self.name: self._expr}, flat=True)
