"""Statistics of every column of a frame."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.ir import Expr
from mpc_engine.frame.base import Lazy
from mpc_engine.frame.functions import Statistic, degrees, distinct_values, level
from mpc_engine.frame.place import placed
from mpc_engine.frame.summary import Summary, correlations, described, totals

__all__ = ["Statistics"]


class Statistics(Lazy):
    """What pandas' frames have of totals, quantiles, moments and correlations; all are lazy."""

    @property
    def _shown(self) -> dict[str, Expr]:
        return {name: expr for name, expr in self._items.items() if name not in self._index}

    @placed
    def describe(self, *, percentiles: Sequence[float] | None = None) -> Summary:
        """Count, mean, standard deviation, least value, quartiles and largest value of numeric columns.

        Parameters
        ----------
        percentiles : sequence of float, optional
            Other levels than 0.25, 0.5 and 0.75; each costs a sort on shares.

        The error of ``std`` on shares is that of :meth:`Series.std`.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [100, 250, 130]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").describe().collect()
                   amount
        count    3.000000
        mean   160.000000
        std     79.372539
        min    100.000000
        25%    115.000000
        50%    130.000000
        75%    190.000000
        max    250.000000
        """
        return described(self, self._shown, percentiles)

    @placed
    def corr(self) -> Summary:
        """Pearson's correlation of all pairs of numeric columns, each over the rows where both are present.

        On shares within ``2**-13 + 2**-20 / q**2 * max(1, 8 / W)`` of the true one, where q is the smaller standard
        deviation as a part of its column's public range, which is W wide; perhaps missing where q is below
        ``2**-11 * max(1, 2 / W)``. In the clear it is double precision.
        """
        return correlations(self, self._shown)

    @placed
    def _totals(self, how: Statistic) -> Summary:
        return totals(self, self._shown, how)

    def sum(self) -> Summary:
        """Sum of each column."""
        return self._totals(Statistic("sum"))

    def mean(self) -> Summary:
        """Mean of each column."""
        return self._totals(Statistic("mean"))

    def count(self) -> Summary:
        """Number of present values of each column."""
        return self._totals(Statistic("count"))

    def min(self) -> Summary:
        """Smallest value of each column."""
        return self._totals(Statistic("min"))

    def max(self) -> Summary:
        """Largest value of each column."""
        return self._totals(Statistic("max"))

    def median(self) -> Summary:
        """Median of each column."""
        return self._totals(Statistic("median"))

    @placed
    def quantile(self, q: float = 0.5, *, interpolation: str = "linear") -> Summary:
        """Quantile of each column."""
        return self._totals(Statistic("quantile", level(q, interpolation)))

    @placed
    def var(self, *, ddof: int = 1) -> Summary:
        """Variance of each column; its error is that of :meth:`Series.var`."""
        return self._totals(Statistic("var", degrees(ddof)))

    @placed
    def std(self, *, ddof: int = 1) -> Summary:
        """Standard deviation of each column."""
        return self._totals(Statistic("std", degrees(ddof)))

    @placed
    def nunique(self, *, dropna: bool = True) -> Summary:
        """Number of different values of each column."""
        return self._totals(distinct_values(dropna=dropna))
