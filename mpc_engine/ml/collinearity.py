"""How secret features hang together: correlations and variance inflation, as lazy small tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_compiler.ir import Fit, Rel, column, make
from mpc_engine.frame.base import Lazy
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.ml.base import features_of, materialise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["correlation_matrix", "variance_inflation_factor"]


class CorrelationMatrix(Lazy):
    """Correlations of features; ``collect()`` gives a DataFrame, as pandas' ``corr`` does."""

    def __init__(self, of: DataFrame, rel: Rel, names: tuple[str, ...]) -> None:
        self._names = names
        super().__init__(of._session, rel, {f"r{at}": column(f"r{at}") for at in range(len(names))})

    def _shape(self, data: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(data.to_numpy(float), index=list(self._names), columns=list(self._names))

    def __repr__(self) -> str:
        return f"<lazy correlations; .collect() computes them; owners: {', '.join(self._owners)}>"


class InflationFactors(Lazy):
    """Variance inflation factors of features; ``collect()`` gives a Series, infinite where columns are collinear."""

    def __init__(self, of: DataFrame, rel: Rel, names: tuple[str, ...]) -> None:
        self._names = names
        super().__init__(of._session, rel, {name: column(name) for name in ("vif", "sound")})

    def _shape(self, data: pd.DataFrame) -> pd.Series[float]:
        import numpy as np
        import pandas as pd

        factors = np.where(data["sound"].to_numpy(bool), data["vif"].to_numpy(float), np.inf)
        return pd.Series(factors, index=list(self._names), name="vif")

    def __repr__(self) -> str:
        return f"<lazy variance inflation factors; .collect() computes them; owners: {', '.join(self._owners)}>"


def _collinear(X: DataFrame) -> tuple[Rel, tuple[str, ...]]:
    features = features_of(X)
    base, names = materialise(X._base, features)
    return mark(make(Fit(base, "collinear", tuple(names[name] for name in features)))), tuple(features)


@placed
def correlation_matrix(X: DataFrame) -> CorrelationMatrix:
    """Pearson's correlations of all pairs of columns, from one product of them all.

    ``X.corr()`` gives the same with one product a pair, and takes missing values; here a column that does not vary has
    correlations of 0. Discloses the matrix to its receiver, and nothing else.

    Parameters
    ----------
    X : DataFrame
        Numeric columns without missing values.

    Returns
    -------
    CorrelationMatrix
        Lazy; the collected one is within 1e-4 of the exact one.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import correlation_matrix
    >>> rows = pd.DataFrame({"x": [1, 2, 3, 4], "y": [2, 1, 4, 3]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     correlation_matrix(session.table("bank.t")[["x", "y"]]).collect().round(3).values.tolist()
    [[1.0, 0.6], [0.6, 1.0]]
    """
    return CorrelationMatrix(X, *_collinear(X))


@placed
def variance_inflation_factor(X: DataFrame) -> InflationFactors:
    """Variance inflation factors ``1 / (1 - R²)`` of each column on all others and an intercept.

    Discloses the factors to their receiver, and one bit that says whether columns are collinear: then all are infinite.

    Parameters
    ----------
    X : DataFrame
        Numeric columns without missing values.

    Returns
    -------
    InflationFactors
        Lazy; a factor v is exact to about ``1e-5 * v**2``. Beyond some thousands columns count as collinear.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import variance_inflation_factor
    >>> rows = pd.DataFrame({"x": [1, 2, 3, 4], "y": [2, 1, 4, 3]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     variance_inflation_factor(session.table("bank.t")[["x", "y"]]).collect().round(5).tolist()
    [1.5625, 1.5625]
    """
    return InflationFactors(X, *_collinear(X))
