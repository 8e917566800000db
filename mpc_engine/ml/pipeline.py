"""Steps in a row: transformers, and a model at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_engine.frame.base import common
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import Estimator

__all__ = ["Pipeline"]


class Pipeline(Estimator):
    """Transformers and a final estimator as one, as scikit-learn has it; scikit-learn's own works as well.

    Parameters
    ----------
    steps : list of (str, estimator)
        All but the last have ``fit`` and ``transform``.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import LogisticRegression, Pipeline, StandardScaler
    >>> rows = pd.DataFrame({"age": [20, 30, 40, 50, 60, 70], "bad": [1, 1, 0, 1, 0, 0]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     model = Pipeline([("scale", StandardScaler()), ("logit", LogisticRegression(alpha=1.0))])
    ...     model.fit(df[["age"]], df["bad"]).reveal().coef_.round(2).tolist()
    [[-0.87]]
    """

    def __init__(self, steps: Sequence[tuple[str, Any]]) -> None:
        self.steps = steps

    @property
    def named_steps(self) -> dict[str, Any]:
        """Estimators by name."""
        return dict(self.steps)

    def __getitem__(self, at: int | str) -> Any:
        return self.named_steps[at] if isinstance(at, str) else self.steps[at][1]

    def __len__(self) -> int:
        return len(self.steps)

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """The steps; with `deep` each by its name, and their parameters as ``logit__alpha``."""
        own: dict[str, Any] = {"steps": self.steps}
        if not deep:
            return own
        own |= self.named_steps
        for name, step in self.steps:
            own |= {f"{name}__{key}": value for key, value in step.get_params().items()}
        return own

    def set_params(self, **params: Any) -> Pipeline:
        """Change steps, or parameters of steps; returns the pipeline."""
        for name, value in params.items():
            own, _, inner = name.partition("__")
            if name == "steps":
                self.steps = value
            elif own not in self.named_steps:
                known = ", ".join(["steps", *self.named_steps])
                raise SchemaError(f"Pipeline has no parameter {name!r}", code="MPC-0120", hint=known)
            elif inner:
                self.named_steps[own].set_params(**{inner: value})
            else:
                self.steps = [(step, value if step == own else held) for step, held in self.steps]
        return self

    def _checked(self) -> tuple[list[Any], Any]:
        names = [name for name, _ in self.steps]
        if not names or len(set(names)) != len(names):
            raise SchemaError("a pipeline needs steps, each with a name of its own", code="MPC-0120")
        *early, last = (step for _, step in self.steps)
        for step in early:
            if not hasattr(step, "transform"):
                raise SchemaError(f"{type(step).__name__} cannot transform, so it must come last", code="MPC-0120")
        return early, last

    @placed
    def fit(self, X: DataFrame, y: Series | None = None, **given: Any) -> Pipeline:
        """Plan the fit of every step on what the one before makes of ``X``; `given` goes to the last one."""
        early, last = self._checked()
        features = tuple(X.columns)
        for step in early:
            X = step.fit(X, y).transform(X)
            y = None if y is None else Series(y._session, common(X._base, y._base), y._expr, y.name)
        last.fit(X, y, **given)
        self.feature_names_in_ = features
        self.n_features_in_ = len(features)
        return self

    def _last(self, method: str, X: DataFrame) -> Any:
        if not hasattr(self, "feature_names_in_"):
            raise self._not_fitted()
        early, last = self._checked()
        if not hasattr(last, method):
            raise UnsupportedError(f"{type(last).__name__} has no {method!r}", code="MPC-0301")
        for step in early:
            X = step.transform(X)
        return getattr(last, method)(X)

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """What all steps make of the rows of X."""
        made: DataFrame = self._last("transform", X)
        return made

    @placed
    def predict(self, X: DataFrame) -> Series:
        """What the last step predicts, a secret column of X's frame."""
        made: Series = self._last("predict", X)
        return made

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of an event, a secret column of X's frame."""
        made: Series = self._last("predict_proba", X)
        return made

    @placed
    def decision_function(self, X: DataFrame) -> Series:
        """The last step's score, a secret column of X's frame."""
        made: Series = self._last("decision_function", X)
        return made

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> Any:
        """Run, and disclose the last step to the receiver ``to``."""
        if not hasattr(self, "feature_names_in_"):
            raise self._not_fitted()
        return self.steps[-1][1].reveal(to)
