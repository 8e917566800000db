"""Logistic regression by maximum likelihood over secret rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.ir import Apply, Fit, Rel, make
from mpc_engine.frame.base import common, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import (
    ConvergenceWarning,
    Estimator,
    NotFittedError,
    added_column,
    features_of,
    materialise,
    unused,
)
from mpc_engine.ml.result import LogisticResult, logistic_result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LogisticRegression"]

_KIND = "logistic_regression"


class LogisticRegression(Estimator):
    """Logistic regression as statsmodels' ``Logit`` fits it: maximum likelihood, an intercept, no penalty.

    ``fit`` only extends the plan: coefficients stay secret until :meth:`reveal`. Inside, a few fixed-Hessian steps
    (Böhning and Lindsay 1988) are followed by exact Newton steps; neither the Hessian nor its inverse is ever opened.

    Discloses
    ---------
    Nothing by ``fit``. ``reveal`` discloses coefficients, standard errors, log-likelihoods, the number of rows, and one
    bit that says whether the fit converged, to the named receiver.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import LogisticRegression
    >>> rows = pd.DataFrame({"x": [0, 1, 2, 3, 4, 5], "bad": [0, 0, 1, 0, 1, 1]})
    >>> with mpc.Session.local({"bank": {"loans": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.loans")
    ...     model = LogisticRegression().fit(df[["x"]], df["bad"])
    ...     fitted = model.reveal()
    >>> fitted.coef_.round(2).tolist()
    [[1.21]]
    """

    def __init__(self) -> None:
        self._model: Rel | None = None

    @placed
    def fit(self, X: DataFrame, y: Series) -> LogisticRegression:
        """Plan the fit of ``y`` (0 or 1) on the columns of ``X``.

        Raises
        ------
        SchemaError
            When a feature is text or has missing values, or ``y`` is not 0/1.
        """
        features = features_of(X)
        base, names = materialise(common(X._base, y._base), features | {"~target": y._expr})
        chosen = tuple(names[name] for name in features)
        self._model = mark(make(Fit(base, _KIND, chosen, names["~target"])))
        _ = schema_of(self._model)
        self._session = X._session
        self._target = y.name
        self.feature_names_in_ = tuple(features)
        self.n_features_in_ = len(features)
        return self

    def _fitted(self) -> Rel:
        if self._model is None:
            raise NotFittedError("this LogisticRegression is not fitted", hint="call fit(X, y) first")
        return self._model

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of ``y = 1`` as a secret column of X's frame."""
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        out = unused(base, "probability")
        features = tuple(names[name] for name in self.feature_names_in_)
        rel = mark(make(Apply(base, model, _KIND, "predict_proba", features, (out,))))
        return added_column(X, base, rel, out)

    @placed
    def predict(self, X: DataFrame) -> Series:
        """1 where the probability is above one half, as a secret column."""
        return (self.predict_proba(X) > 0.5).astype(int).rename("prediction")

    def to_frame(self) -> DataFrame:
        """The model as a lazy frame, one row a term, in internal units: collect it together with other frames."""
        rel = self._fitted()
        return _Model(self, rel)

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> LogisticResult:
        """Run the fit and disclose the model to the receiver ``to``."""
        result: LogisticResult = self.to_frame().collect(to)
        return result


class _Model(DataFrame):
    """A model's relation whose collected form is a result object."""

    def __init__(self, estimator: LogisticRegression, rel: Rel) -> None:
        super().__init__(estimator._session, rel, identity(rel))
        self._estimator: LogisticRegression = estimator

    def _shape(self, data: pd.DataFrame) -> Any:
        fit = self._base
        assert isinstance(fit, Fit)
        estimator = self._estimator
        result = logistic_result(
            data,
            features=estimator.feature_names_in_,
            target=estimator._target,
            ranges=_ranges(fit),
            rows=rows_of(fit.input),
        )
        if not result.converged_:
            warnings.warn(
                "the fit did not converge: the classes are separable, a column is constant or columns are collinear, "
                "or the target has one class only; the coefficients mean nothing",
                ConvergenceWarning,
                stacklevel=4,
            )
        return result


def _ranges(fit: Fit) -> list[tuple[float, float]]:
    schema = schema_of(fit.input)
    found = []
    for name in fit.features:
        field = schema.field(name)
        assert field is not None
        lo, hi = field.dtype.bounds
        found.append((float(lo), float(hi)))
    return found
