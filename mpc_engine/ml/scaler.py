"""Standardisation with secret means and standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import Fit, Rel, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.ml.base import PlannedEstimator, applied, features_of, materialise, replaced

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScalerResult", "StandardScaler"]

_KIND = "standard_scaler"


@dataclass(frozen=True)
class ScalerResult:
    """Revealed means and standard deviations, in scikit-learn's names."""

    feature_names_in_: tuple[str, ...]
    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]

    @property
    def var_(self) -> NDArray[np.float64]:
        """Variances (divisor n)."""
        return self.scale_**2


class StandardScaler(PlannedEstimator):
    """Standardise columns to mean 0 and standard deviation 1, with moments that stay secret.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import StandardScaler
    >>> rows = pd.DataFrame({"x": [10, 30], "y": [1, 1]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     StandardScaler().fit_transform(session.table("bank.t")[["x"]]).collect()["x"].round(4).tolist()
    [-1.0, 1.0]
    """

    _FIT = "fit(X)"

    @placed
    def fit(self, X: DataFrame, y: object = None) -> StandardScaler:
        """Plan means and standard deviations of the columns of ``X``."""
        features = features_of(X)
        base, names = materialise(X._base, features)
        self._plan(make(Fit(base, _KIND, tuple(names[name] for name in features))), X, features)
        return self

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """The standardised columns, secret, as a frame over X's rows."""
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        features = [names[name] for name in self.feature_names_in_]
        outputs = [f"{name}~scaled" for name in self.feature_names_in_]
        rel, made = applied(model, _KIND, "transform", base, features, outputs)
        return replaced(X, rel, dict(zip(self.feature_names_in_, made, strict=True)))

    def fit_transform(self, X: DataFrame, y: object = None) -> DataFrame:
        """``fit(X).transform(X)``."""
        return self.fit(X).transform(X)

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> ScalerResult:
        """Run, and disclose means and standard deviations to the receiver ``to``."""
        rel = self._fitted()
        result: ScalerResult = _Moments(self, rel).collect(to)
        return result


class _Moments(DataFrame):
    """A scaler's relation whose collected form is a result object."""

    def __init__(self, scaler: StandardScaler, rel: Rel) -> None:
        kept = {name: expr for name, expr in identity(rel).items() if name != "inverse"}
        super().__init__(scaler._session, rel, kept)
        self._estimator: StandardScaler = scaler

    def _shape(self, data: pd.DataFrame) -> Any:
        from mpc_compiler.ops import logistic
        from mpc_engine.ml.linear import ranges_of

        assert isinstance(self._base, Fit)
        units = logistic.units(ranges_of(self._base))
        return ScalerResult(
            self._estimator.feature_names_in_, data["mean"].to_numpy() / units, data["scale"].to_numpy() / units
        )
