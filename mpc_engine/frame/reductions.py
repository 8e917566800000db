"""A column as one value: sums, extremes, moments, counts of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mpc_compiler.ir import Agg, Aggregate, Expr, Item, Project, make
from mpc_engine.frame.base import Lazy, common, identity, one_session
from mpc_engine.frame.functions import Statistic, degrees, distinct_values, level, statistic
from mpc_engine.frame.moments import Moments
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.scalar import Scalar

if TYPE_CHECKING:
    from mpc_engine.frame.series import Series
    from mpc_engine.frame.summary import Summary

__all__ = ["Reductions"]


class Reductions(Lazy):
    """What gives one value of a column."""

    name: str

    @property
    def _expr(self) -> Expr:
        return self._items[self.name]

    @placed
    def _reduce(self, how: Statistic) -> Scalar:
        if not how.plain:
            moments = Moments(self._base, {})
            value = moments.statistic(self._expr, how)
            return Scalar(self._session, moments.relation, {"value": value})
        name = "value"
        inner = make(Project(self._base, (Item(name, self._expr),)))
        param = how.param if how.function == "quantile" else None
        base = mark(make(Aggregate(inner, (), (Agg(name, how.function, name, param),))))
        return Scalar(self._session, base, identity(base))

    def sum(self) -> Scalar:
        """Sum of the values that are present."""
        return self._reduce(Statistic("sum"))

    def mean(self) -> Scalar:
        """Mean of the values that are present."""
        return self._reduce(Statistic("mean"))

    def count(self) -> Scalar:
        """Number of values that are present."""
        return self._reduce(Statistic("count"))

    def min(self) -> Scalar:
        """Smallest value."""
        return self._reduce(Statistic("min"))

    def max(self) -> Scalar:
        """Largest value."""
        return self._reduce(Statistic("max"))

    @placed
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
        return self._reduce(Statistic("var", degrees(ddof)))

    @placed
    def std(self, *, ddof: int = 1) -> Scalar:
        """Standard deviation: the root of :meth:`var`, whose error d makes one of ``min(d / std, sqrt(d))``."""
        return self._reduce(Statistic("std", degrees(ddof)))

    @placed
    def nunique(self, *, dropna: bool = True) -> Scalar:
        """Number of different values that are present; with ``dropna=False`` a missing value counts as one more."""
        return self._reduce(distinct_values(dropna=dropna))

    def median(self) -> Scalar:
        """Median of the values that are present."""
        return self._reduce(Statistic("median"))

    @placed
    def quantile(self, q: float | Sequence[float] = 0.5, *, interpolation: str = "linear") -> Any:
        """Quantile of the values that are present, interpolated between the two nearest; several levels: several.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [1, 2, 3, 4]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").amount.quantile(0.9).collect()
        3.7
        """
        if isinstance(q, Sequence):
            from mpc_engine.frame.summary import quantiles

            return quantiles(self, self._expr, [level(part, interpolation) for part in q])
        return self._reduce(Statistic("quantile", level(q, interpolation)))

    @placed
    def agg(self, function: Any) -> Any:
        """One aggregate, or a small table of several: ``agg("sum")``, ``agg(["min", "max"])``."""
        if isinstance(function, str) or callable(function):
            return self._reduce(statistic(function))
        from mpc_engine.frame.summary import aggregated

        return aggregated(self, {self.name: self._expr}, {self.name: list(function)}, flat=True)

    @placed
    def corr(self, other: Series) -> Scalar:
        """Pearson's correlation with another column of the same frame, over the rows where both are present."""
        one_session(self, other)
        moments = Moments(common(self._base, other._base), {})
        value = moments.correlation(self._expr, other._expr)
        return Scalar(self._session, moments.relation, {"value": value})

    @placed
    def describe(self, *, percentiles: Sequence[float] | None = None) -> Summary:
        """Count, mean, standard deviation, least value, quartiles (or ``percentiles``) and largest value."""
        from mpc_engine.frame.summary import described

        return described(self, {self.name: self._expr}, percentiles, flat=True)
