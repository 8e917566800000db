"""Feature selection for regressions: which features to keep, decided on shares, and nothing else disclosed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Apply, Column, Expr, Filter, Fit, Join, Limit, Project, Rel, Sort, Window, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import ConvergenceWarning, PlannedEstimator, applied_column, features_of, materialise
from mpc_engine.ml.linear import LinearModel, LinearRegression, LogisticRegression, regression_inputs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FeatureSelection", "FeatureSelector"]

_DIRECTIONS = ("forward", "backward", "stepwise")


@dataclass(frozen=True)
class FeatureSelection:
    """Chosen features that their receiver may see.

    Attributes
    ----------
    feature_names_in_ : tuple of str
        All features.
    support_ : ndarray of bool
        Which of them are chosen.
    converged_ : bool
        False if the last model is no maximum, or a feature in it should still leave: more steps may be needed, or
        classes are separable.
    statistics_ : DataFrame or None
        If it was asked for: one row a feature, with its Wald z and p-value in the last model if it is chosen, else the
        score z and p-value that it would enter with, and the step in which it entered (0: there from the start).
    """

    feature_names_in_: tuple[str, ...]
    support_: NDArray[np.bool_]
    converged_: bool
    statistics_: pd.DataFrame | None = None

    @property
    def chosen_(self) -> tuple[str, ...]:
        """The chosen features, in the order of the columns."""
        return tuple(name for name, kept in zip(self.feature_names_in_, self.support_, strict=True) if kept)

    def get_support(self, *, indices: bool = False) -> NDArray[Any]:
        """Return :attr:`support_`, or the places of the chosen features."""
        return np.flatnonzero(self.support_) if indices else self.support_

    def get_feature_names_out(self) -> NDArray[np.object_]:
        """Return the chosen features, as scikit-learn has them."""
        return np.asarray(self.chosen_, object)

    def transform(self, X: Any) -> Any:
        """Return the chosen columns of a frame, secret or of pandas."""
        return X[list(self.chosen_)]


class FeatureSelector(PlannedEstimator):
    """Choose features by score tests (to enter) and Wald tests (to leave), as SAS and SPSS do for logistic regression.

    Nothing is opened on the way, and nobody learns which feature entered when: every step is taken on shares of a mask
    of all features. Features may first be screened by information value, correlation and variance inflation.

    Parameters
    ----------
    estimator : LogisticRegression or LinearRegression, optional
        The model that features are chosen for, fitted by maximum likelihood; default: logistic regression.
    direction : {"forward", "backward", "stepwise"}
        Add to nothing, remove from everything, or add and remove.
    p_enter : float
        A feature enters if the p-value of its score test is below, the smallest first.
    p_remove : float
        A feature leaves if the p-value of its Wald test is above, the largest first; forward selection removes only
        features whose coefficient has the wrong sign.
    max_steps : int, optional
        Public number of steps, in each of which at most one feature enters and at most one leaves; default: as many as
        features. At most so many features are added to none, or removed from all.
    sign : int or mapping of str to int
        -1 or 1 where coefficients must be negative or positive, 0 for either: of all features, or by name. Tests are
        then one-sided at the same critical value. For weights of evidence of an event it is -1.
    min_iv : float
        Least information value; for weights of evidence made by `WoeEncoder` only. 0: no limit.
    max_correlation : float
        Of two features that correlate by more, the weaker goes: the one with less information value if all are weights
        of evidence, else with the smaller statistic of its own score test. From the strongest one on; 1: no limit.
    max_vif : float, optional
        The feature with the largest variance inflation factor goes until none is larger; default: no limit.
    fast : bool
        Go through the rows at the start and at the end only, and take log-likelihoods between as quadratic around the
        model with all features (Lawless and Singhal 1978; SAS's FAST), which must not be collinear.

    Notes
    -----
    A step costs one pass over the rows, whatever enters or leaves, and products of p x p matrices; with ``fast`` the
    latter alone. A feature of which less than 1/128 is not explained by the chosen ones does not enter. Statistics are
    those of the fit with one more Newton step than was taken; at the end the model is refitted. P-values are those of
    the normal distribution; for `LinearRegression` the variance is estimated in each step.

    Discloses
    ---------
    Nothing by ``fit``. :meth:`reveal` discloses the chosen set and one bit.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import FeatureSelector, LogisticRegression
    >>> bad = [1, 1, 0, 1] * 5 + [0, 0, 1, 0] * 5
    >>> rows = pd.DataFrame({"age": range(20, 60), "size": [1, 2, 2, 1] * 10, "bad": bad})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     selector = FeatureSelector(LogisticRegression()).fit(df[["age", "size"]], df["bad"])
    ...     selector.reveal().chosen_
    ('age',)
    """

    def __init__(
        self,
        estimator: LinearModel | None = None,
        *,
        direction: str = "stepwise",
        p_enter: float = 0.05,
        p_remove: float = 0.1,
        max_steps: int | None = None,
        sign: int | Mapping[str, int] = 0,
        min_iv: float = 0.0,
        max_correlation: float = 1.0,
        max_vif: float | None = None,
        fast: bool = False,
    ) -> None:
        super().__init__()
        self.estimator = estimator
        self.direction = direction
        self.p_enter = p_enter
        self.p_remove = p_remove
        self.max_steps = max_steps
        self.sign = sign
        self.min_iv = min_iv
        self.max_correlation = max_correlation
        self.max_vif = max_vif
        self.fast = fast

    @placed
    def fit(
        self, X: DataFrame, y: Series, *, sample_weight: Series | None = None, offset: Series | None = None
    ) -> FeatureSelector:
        """Plan the selection among the columns of ``X``; nothing runs.

        Parameters
        ----------
        X : DataFrame
            Numeric columns without missing values.
        y : Series
            The target.
        sample_weight, offset : Series, optional
            As `LogisticRegression.fit` takes them.

        Raises
        ------
        SchemaError, UnsupportedError
            For parameters out of range, features that cannot be used, or an estimator whose tests are others.
        """
        base, features, target, roles = regression_inputs(X, y, sample_weight, offset)
        params = self._params(base, features)
        self._plan(
            make(Fit(base, "select", tuple(features.values()), target, tuple(sorted(params.items())), roles)),
            X,
            features,
        )
        return self

    def _family(self) -> str:
        model = LogisticRegression() if self.estimator is None else self.estimator
        if not isinstance(model, LogisticRegression | LinearRegression):
            raise UnsupportedError(
                f"features cannot be chosen for {model!r}", code="MPC-0301", hint="LogisticRegression, LinearRegression"
            )
        params = model._params()
        if params["alpha"] or params.get("firth") or params.get("hessians"):
            raise UnsupportedError(
                "tests of a penalised fit, or of one with another max_iter, are not supported",
                code="MPC-0301",
                hint=f"{type(model).__name__}()",
            )
        return str(params["family"])

    def _check(self) -> None:
        if self.direction not in _DIRECTIONS:
            raise SchemaError(f"direction cannot be {self.direction!r}", code="MPC-0120", hint=", ".join(_DIRECTIONS))
        limits: dict[str, tuple[float, float]] = {
            "p_enter": (1e-9, 1.0), "p_remove": (1e-9, 1.0), "max_steps": (1, 1000), "min_iv": (0.0, 16.0),
            "max_correlation": (2.0**-10, 1.0), "max_vif": (1.0, 256.0),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value, kind = getattr(self, name), int if name == "max_steps" else int | float
            if value is None and name in ("max_steps", "max_vif"):
                continue
            if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
                what = "a whole number" if name == "max_steps" else "a number"
                raise SchemaError(f"{name} must be {what} from {low:g} to {high:g}, not {value!r}", code="MPC-0120")
        if self.direction == "stepwise" and self.p_remove < self.p_enter:
            raise SchemaError(
                f"p_remove ({self.p_remove:g}) must not be below p_enter ({self.p_enter:g})",
                code="MPC-0120",
                hint="features would enter and leave in turn",
            )

    def _params(self, base: Rel, features: Mapping[str, str]) -> dict[str, bool | int | float | str]:
        self._check()
        woe = all(_is_woe(base, name) for name in features.values())
        family = self._family()
        if self.min_iv and not (woe and family == "binomial"):
            raise SchemaError(
                "information values are those of weights of evidence of a binary target",
                code="MPC-0120",
                hint="WoeEncoder().fit_transform(X, y) first, or min_iv=0",
            )
        return {
            "backward": self.direction == "backward",
            "by_iv": woe and family == "binomial",
            "enter": _critical(self.p_enter),
            "family": family,
            "fast": bool(self.fast),
            "max_correlation": 0.0 if self.max_correlation == 1.0 else float(self.max_correlation),
            "max_vif": float(self.max_vif or 0.0),
            "min_iv": float(self.min_iv),
            "signs": ",".join(str(sign) for sign in self._signs(features)),
            "stay": 0.0 if self.direction == "forward" else _critical(self.p_remove),
            "turns": int(self.max_steps or len(features)),
        }

    def _signs(self, features: Mapping[str, str]) -> list[int]:
        given = self.sign if isinstance(self.sign, Mapping) else dict.fromkeys(features, self.sign)
        unknown = [name for name in given if name not in features]
        if unknown:
            raise SchemaError(
                f"sign names {unknown[0]!r}, which is no feature", code="MPC-0121", hint=", ".join(features)
            )
        if any(value not in (-1, 0, 1) for value in given.values()):
            raise SchemaError(f"sign must be -1, 0 or 1, not {self.sign!r}", code="MPC-0120")
        return [int(given.get(name, 0)) for name in features]

    def _applied(self, X: DataFrame, method: str, name: str) -> Series:
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        features = [names[feature] for feature in self.feature_names_in_]
        return applied_column(X, model, "glm", method, base, features, name)

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of ``y = 1`` in the model of the chosen features, whichever they are: a secret column."""
        return self._applied(X, "predict_proba", "probability")

    @placed
    def decision_function(self, X: DataFrame) -> Series:
        """The linear predictor of the model of the chosen features, a secret column."""
        return self._applied(X, "decision_function", "score")

    def to_frame(self, *, statistics: bool = False) -> DataFrame:
        """The selection as a lazy frame: collect it together with other frames. See :meth:`reveal`."""
        return _Chosen(self, self._fitted(), statistics=statistics)

    @placed
    def reveal(self, to: str | Sequence[str] | None = None, *, statistics: bool = False) -> FeatureSelection:
        """Run, and disclose which features are chosen to the receiver ``to``.

        Discloses the chosen set and one bit that says whether it converged; with ``statistics`` also the test statistic
        of every feature, the dispersion, and the step in which each entered.
        """
        result: FeatureSelection = self.to_frame(statistics=statistics).collect(to)
        return result


class _Chosen(DataFrame):
    """A selection's relation whose collected form is a result object."""

    def __init__(self, selector: FeatureSelector, rel: Rel, *, statistics: bool) -> None:
        shown = {"chosen", "converged"} | ({"statistic", "spread", "entered"} if statistics else set())
        kept = {name: expr for name, expr in identity(rel).items() if name in shown}
        super().__init__(selector._session, rel, kept)
        self._names: tuple[str, ...] = selector.feature_names_in_
        self._statistics: bool = statistics

    def _shape(self, data: pd.DataFrame) -> FeatureSelection:
        rows = data.iloc[1:]
        converged = bool(rows["converged"].iloc[0])
        if not converged:
            warnings.warn(
                "the selection did not converge: a chosen feature should still leave (raise max_steps), the classes "
                "are separable, or columns are collinear (max_vif) and selection starts from all of them",
                ConvergenceWarning,
                stacklevel=4,
            )
        chosen = rows["chosen"].to_numpy(bool)
        found = _statistics(self._names, rows) if self._statistics else None
        return FeatureSelection(self._names, chosen, converged, found)


def _statistics(names: Sequence[str], rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd
    from scipy import stats

    z = rows["statistic"].to_numpy() / rows["spread"].to_numpy()
    columns = {"chosen": rows["chosen"].to_numpy(bool), "z": z, "p": 2 * stats.norm.sf(np.abs(z))}
    return pd.DataFrame({**columns, "step": rows["entered"].to_numpy()}, index=list(names))


def _critical(p: float) -> float:
    """The size that a standard normal variable exceeds with probability p."""
    return max(0.0, NormalDist().inv_cdf(1 - p / 2))


def _is_woe(rel: Rel, name: str) -> bool:
    """Whether a column is a weight of evidence that an encoder made."""
    if isinstance(rel, Apply):
        return (rel.kind, rel.method) == ("woe", "woe") if name in rel.outputs else _is_woe(rel.input, name)
    if isinstance(rel, Project):
        expr: Expr = next(item.expr for item in rel.items if item.name == name)
        return isinstance(expr, Column) and _is_woe(rel.input, expr.name)
    if isinstance(rel, Join):
        return _is_woe(rel.left if name in schema_of(rel.left).names else rel.right, name)
    if isinstance(rel, Filter | Sort | Limit | Window):
        return name in schema_of(rel.input).names and _is_woe(rel.input, name)
    return False
