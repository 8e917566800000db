"""Generalised linear models over secret rows: logistic, linear, Poisson, gamma and Tweedie regression."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Fit, Rel, make
from mpc_engine.frame.base import common, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import (
    ConvergenceWarning,
    PlannedEstimator,
    applied_column,
    features_of,
    materialise,
)
from mpc_engine.ml.result import LinearResult, linear_result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GammaRegressor", "LinearRegression", "LogisticRegression", "PoissonRegressor", "TweedieRegressor"]

M = TypeVar("M", bound="LinearModel")


def regression_inputs(
    X: DataFrame, y: Series, sample_weight: Series | None, offset: Series | None
) -> tuple[Rel, dict[str, str], str, tuple[tuple[str, str], ...]]:
    """The rows that a regression reads, and the columns that hold each feature, the target and the other roles."""
    features = features_of(X)
    extra = {"weight": sample_weight, "offset": offset}
    given = {role: series for role, series in extra.items() if series is not None}
    base = common(X._base, y._base)
    for series in given.values():
        base = common(base, series._base)
    exprs = features | {"~target": y._expr} | {f"~{role}": series._expr for role, series in given.items()}
    base, names = materialise(base, exprs)
    roles = tuple((role, names[f"~{role}"]) for role in given)
    return base, {name: names[name] for name in features}, names["~target"], roles


class LinearModel(PlannedEstimator):
    """What the linear models share: ``fit`` plans, ``predict`` makes secret columns, ``reveal`` runs and discloses.

    Parameters
    ----------
    alpha : float
        Ridge penalty ``alpha / 2 * sum(coef ** 2)``, the intercept apart; 0: maximum likelihood.
    """

    _FAMILY: ClassVar[str]
    _WAY_OUT: ClassVar[str] = ""

    def __init__(self, *, alpha: float = 0.0) -> None:
        super().__init__()
        self.alpha = alpha

    def _params(self) -> dict[str, float | str]:
        if not isinstance(self.alpha, int | float) or self.alpha < 0:
            raise SchemaError(f"alpha must be a number of at least 0, not {self.alpha!r}", code="MPC-0120")
        return {"alpha": float(self.alpha), "family": self._FAMILY}

    @placed
    def fit(
        self: M, X: DataFrame, y: Series, *, sample_weight: Series | None = None, offset: Series | None = None
    ) -> M:
        """Plan the fit of ``y`` on the columns of ``X``; nothing runs.

        Parameters
        ----------
        X : DataFrame
            Numeric columns without missing values.
        y : Series
            The target.
        sample_weight : Series, optional
            Weights between 0 and 16.
        offset : Series, optional
            Added to the linear predictor, between -12 and 12.

        Raises
        ------
        SchemaError
            When a feature is text or has missing values, or ``y`` is not what the family takes.
        """
        base, features, target, roles = regression_inputs(X, y, sample_weight, offset)
        params = tuple(sorted(self._params().items()))
        self._plan(make(Fit(base, "glm", tuple(features.values()), target, params, roles)), X, features)
        self._target = y.name
        return self

    def _applied(self, X: DataFrame, method: str, name: str) -> Series:
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        features = [names[feature] for feature in self.feature_names_in_]
        return applied_column(X, model, "glm", method, base, features, name)

    @placed
    def predict(self, X: DataFrame) -> Series:
        """The fitted mean as a secret column of X's frame."""
        return self._applied(X, "predict", "prediction")

    @placed
    def decision_function(self, X: DataFrame) -> Series:
        """The linear predictor as a secret column of X's frame."""
        return self._applied(X, "decision_function", "score")

    def to_frame(self) -> DataFrame:
        """The model as a lazy frame, one row a term, in internal units: collect it together with other frames."""
        return _Model(self, self._fitted())

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> LinearResult:
        """Run the fit and disclose the model to the receiver ``to``.

        Discloses coefficients, standard errors, likelihoods and their parts, the number of rows, and one bit that says
        whether the fit converged.
        """
        result: LinearResult = self.to_frame().collect(to)
        return result


_HESSIANS = 3
"""Of a fit whose plan says nothing else."""


class LogisticRegression(LinearModel):
    """Logistic regression as statsmodels' ``Logit`` fits it: maximum likelihood with an intercept.

    ``fit`` only extends the plan: coefficients stay secret until :meth:`reveal`. Inside, a few fixed-Hessian steps
    (Böhning and Lindsay 1988) are followed by some with fresh Hessians, as long as a secant says; neither the Hessian
    nor its inverse is ever opened.

    Parameters
    ----------
    alpha : float
        Ridge penalty ``alpha / 2 * sum(coef ** 2)``, the intercept apart; 0: maximum likelihood.
    penalty : {"firth"}, optional
        Firth's penalised likelihood (Biometrika 80, 1993), as R's ``logistf``: coefficients without first-order bias,
        finite when classes are separated. Standard errors are from the information at the estimate; ``llf`` is the
        likelihood there without the penalty. Features are shared, not kept with their owners.
    max_iter : int
        Fresh Hessians, 1 to 20, with three steps each. All are taken, whatever the data: nothing tells how many were
        needed. Three do for models that rank customers; five where columns all but tell the classes apart.

    Raises
    ------
    SchemaError
        For an `alpha` below 0, another `penalty`, or a `max_iter` out of its range.
    UnsupportedError
        By ``fit``, for Firth's penalty together with a ridge or another `max_iter`.

    Discloses
    ---------
    Nothing by ``fit``; see :meth:`reveal`.

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

    A column that tells the classes apart:

    >>> rows = pd.DataFrame({"x": [0, 0, 0, 1, 1, 1], "bad": [0, 0, 0, 1, 1, 1]})
    >>> with mpc.Session.local({"bank": {"loans": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.loans")
    ...     fitted = LogisticRegression(penalty="firth").fit(df[["x"]], df["bad"]).reveal()
    >>> fitted.coef_.round(2).tolist()  # 2 log((3 + 1/2) / (0 + 1/2))
    [[3.89]]
    """

    _FAMILY = "binomial"
    _WAY_OUT = "; where columns all but tell the classes apart, max_iter=5, penalty='firth' or an alpha may help"

    def __init__(self, *, alpha: float = 0.0, penalty: str | None = None, max_iter: int = 3) -> None:
        super().__init__(alpha=alpha)
        self.penalty = penalty
        self.max_iter = max_iter

    def _params(self) -> dict[str, float | str]:
        if self.penalty not in (None, "firth"):
            raise SchemaError(f"no penalty {self.penalty!r}", code="MPC-0120", hint='"firth", or alpha= for a ridge')
        if not isinstance(self.max_iter, int):
            raise SchemaError(f"max_iter must be a whole number, not {self.max_iter!r}", code="MPC-0120")
        other = {"hessians": float(self.max_iter)} if self.max_iter != _HESSIANS else {}
        return super()._params() | other | ({"firth": 1.0} if self.penalty else {})

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of ``y = 1`` as a secret column of X's frame."""
        return self._applied(X, "predict_proba", "probability")

    @placed
    def predict(self, X: DataFrame) -> Series:
        """1 where the probability is above one half, as a secret column."""
        return (self.predict_proba(X) > 0.5).astype(int).rename("prediction")


class LinearRegression(LinearModel):
    """Least squares with an intercept, as statsmodels' ``OLS`` fits it, standard errors and t-tests included.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import LinearRegression
    >>> rows = pd.DataFrame({"x": [0, 1, 2, 3], "y": [1.0, 3.0, 5.0, 8.0]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     LinearRegression().fit(df[["x"]], df["y"]).reveal().params.round(3).tolist()
    [0.8, 2.3]
    """

    _FAMILY = "gaussian"


class PoissonRegressor(LinearModel):
    """Poisson regression with a log link, as statsmodels' ``GLM`` fits it. ``alpha`` is 0 by default."""

    _FAMILY = "poisson"


class GammaRegressor(LinearModel):
    """Gamma regression with a log link, as statsmodels' ``GLM`` fits it; the dispersion is estimated."""

    _FAMILY = "gamma"


class TweedieRegressor(LinearModel):
    """Tweedie regression with a log link, for targets with many zeros, as statsmodels' ``GLM`` fits it.

    Parameters
    ----------
    power : float
        Of the variance function, between 1 and 2.
    alpha : float
        Ridge penalty.
    """

    _FAMILY = "tweedie"

    def __init__(self, *, power: float = 1.5, alpha: float = 0.0) -> None:
        super().__init__(alpha=alpha)
        self.power = power

    def _params(self) -> dict[str, float | str]:
        if not isinstance(self.power, int | float) or not 1 < self.power < 2:
            raise SchemaError(f"power must lie between 1 and 2, not {self.power!r}", code="MPC-0120")
        return super()._params() | {"power": float(self.power)}


class _Model(DataFrame):
    """A model's relation whose collected form is a result object."""

    def __init__(self, estimator: LinearModel, rel: Rel) -> None:
        super().__init__(estimator._session, rel, identity(rel))
        self._estimator: LinearModel = estimator

    def _shape(self, data: pd.DataFrame) -> Any:
        fit = self._base
        assert isinstance(fit, Fit)
        estimator = self._estimator
        result = linear_result(
            data,
            features=estimator.feature_names_in_,
            target=estimator._target,
            ranges=ranges_of(fit),
            target_range=_limits(fit, fit.target or ""),
            rows=rows_of(fit.input),
            params=dict(fit.params),
        )
        warn_unless(result.converged_, estimator._WAY_OUT)
        return result


def warn_unless(converged: bool, hint: str = "") -> None:
    """Say that a revealed fit means nothing, and what may help."""
    if not converged:
        warnings.warn(
            "the fit did not converge: the classes are separable, a column is constant or columns are collinear, "
            f"or the target has one class only; the coefficients mean nothing{hint}",
            ConvergenceWarning,
            stacklevel=5,
        )


def _limits(fit: Fit, name: str) -> tuple[float, float]:
    field = schema_of(fit.input).field(name)
    assert field is not None
    lo, hi = field.dtype.limits
    return float(lo), float(hi)


def ranges_of(fit: Fit) -> list[tuple[float, float]]:
    """The public range of each feature."""
    return [_limits(fit, name) for name in fit.features]
