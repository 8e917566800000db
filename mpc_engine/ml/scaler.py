"""Standardisation with secret means and standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Apply, Expr, Fit, Rel, column, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.ml.base import Estimator, NotFittedError, features_of, materialise, unused

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


class StandardScaler(Estimator):
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

    def __init__(self) -> None:
        self._model: Rel | None = None

    @placed
    def fit(self, X: DataFrame, y: object = None) -> StandardScaler:
        """Plan means and standard deviations of the columns of ``X``."""
        features = features_of(X)
        base, names = materialise(X._base, features)
        self._model = mark(make(Fit(base, _KIND, tuple(names[name] for name in features))))
        _ = schema_of(self._model)
        self._session = X._session
        self.feature_names_in_ = tuple(features)
        self.n_features_in_ = len(features)
        return self

    def _fitted(self) -> Rel:
        if self._model is None:
            raise NotFittedError("this StandardScaler is not fitted", hint="call fit(X) first")
        return self._model

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """The standardised columns, secret, as a frame over X's rows."""
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        outputs: list[str] = []
        for name in self.feature_names_in_:
            made = unused(base, f"{name}~scaled")
            while made in outputs:
                made += "~"
            outputs.append(made)
        features = tuple(names[name] for name in self.feature_names_in_)
        rel = mark(make(Apply(base, model, _KIND, "transform", features, tuple(outputs))))
        items: dict[str, Expr] = {key: X._items[key] for key in X._index}
        items |= {name: column(made) for name, made in zip(self.feature_names_in_, outputs, strict=True)}
        return DataFrame(X._session, rel, items, X._index)

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
