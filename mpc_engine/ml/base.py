"""What estimators share: scikit-learn's parameter contract, and features as columns of one relation."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Apply, Column, Expr, Rel, column, make
from mpc_engine.frame.base import extended, named_by
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark
from mpc_engine.frame.series import Series

if TYPE_CHECKING:
    from mpc_engine.frame.base import Runner

__all__ = ["ConvergenceWarning", "Estimator", "NotFittedError", "PlannedEstimator", "materialise"]

T = TypeVar("T", bound="Estimator")


class ConvergenceWarning(UserWarning):
    """A fit did not converge: separable or collinear data, or one class only."""


class NotFittedError(SchemaError):
    """The estimator has not been fitted."""

    default_code = "MPC-0119"


class Estimator:
    """Parameters are the arguments of ``__init__``, stored under their own names."""

    _FIT: ClassVar[str] = "fit(X, y)"
    feature_names_in_: tuple[str, ...]
    n_features_in_: int

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep` those of parameters that are estimators, too, as ``encoder__max_bins``."""
        own = {name: getattr(self, name) for name in self._names()}
        if not deep:
            return own
        inner = {name: value.get_params() for name, value in own.items() if isinstance(value, Estimator)}
        return own | {f"{name}__{key}": value for name, params in inner.items() for key, value in params.items()}

    def set_params(self: T, **params: Any) -> T:
        """Change parameters; returns the estimator."""
        for name, value in params.items():
            own, _, inner = name.partition("__")
            held = getattr(self, own, None) if own in self._names() else None
            if inner and isinstance(held, Estimator):
                held.set_params(**{inner: value})
            elif name in self._names():
                setattr(self, name, value)
            else:
                raise SchemaError(
                    f"{type(self).__name__} has no parameter {name!r}", code="MPC-0120", hint=", ".join(self._names())
                )
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "feature_names_in_")

    def _not_fitted(self) -> NotFittedError:
        return NotFittedError(f"this {type(self).__name__} is not fitted", hint=f"call {self._FIT} first")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's own pipelines ask; scikit-learn is there if it is called."""
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        tags = Tags(estimator_type=None, target_tags=TargetTags(required=hasattr(self, "predict")))
        if hasattr(self, "predict_proba"):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        elif hasattr(self, "predict"):
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params(deep=False).items())
        return f"{type(self).__name__}({given})"


class PlannedEstimator(Estimator):
    """An estimator whose ``fit`` plans one relation, the model."""

    _session: Runner

    def __init__(self) -> None:
        self._model: Rel | None = None

    def _plan(self, model: Rel, X: DataFrame, features: Iterable[str]) -> None:
        """Keep, and check, what ``fit`` planned on the columns ``features`` of ``X``."""
        self._model = mark(model)
        _ = schema_of(model)
        self._session = X._session
        self.feature_names_in_ = tuple(features)
        self.n_features_in_ = len(self.feature_names_in_)

    def _fitted(self) -> Rel:
        if self._model is None:
            raise self._not_fitted()
        return self._model


def materialise(base: Rel, columns: Mapping[str, Expr]) -> tuple[Rel, dict[str, str]]:
    """``base`` with every expression as a column of its own.

    Returns
    -------
    rel : Rel
        ``base``, or ``base`` with columns added. Their names stand for what they hold, so that columns of two models
        over the same rows can be put side by side.
    names : dict of str to str
        The column that holds each expression.
    """
    names = {name: expr.name if isinstance(expr, Column) else named_by(name, expr) for name, expr in columns.items()}
    have = set(schema_of(base).names)
    new = {names[name]: expr for name, expr in columns.items() if names[name] not in have}
    return mark(extended(base, new)), names


def features_of(X: DataFrame, expected: tuple[str, ...] | None = None) -> dict[str, Expr]:
    """The feature expressions of a frame, in the order in which a model was fitted.

    Raises
    ------
    SchemaError
        When features are missing or X is no frame.
    """
    if not isinstance(X, DataFrame):
        raise SchemaError(f"X must be a frame, not {type(X).__name__}", code="MPC-0103", hint='df[["a", "b"]]')
    if expected is None:
        return {name: X._items[name] for name in X.columns}
    missing = [name for name in expected if name not in X._items]
    if missing:
        raise SchemaError(
            f"X lacks the feature {missing[0]!r} that the model was fitted on",
            code="MPC-0121",
            hint=", ".join(expected),
        )
    return {name: X._items[name] for name in expected}


def applied(
    model: Rel, kind: str, method: str, base: Rel, features: Sequence[str], names: Sequence[str]
) -> tuple[Rel, tuple[str, ...]]:
    """``base`` with what ``method`` of a model makes of its columns ``features``, and the columns that hold it.

    The new columns are called like ``names`` and what they hold, so that those of two models do not get in each other's
    way.
    """
    outputs = tuple(named_by(name, model, kind, method, *features) for name in names)
    if set(outputs) <= set(schema_of(base).names):
        return base, outputs
    return mark(make(Apply(base, model, kind, method, tuple(features), outputs))), outputs


def applied_column(
    X: DataFrame, model: Rel, kind: str, method: str, base: Rel, features: Sequence[str], name: str
) -> Series:
    """What ``method`` of a model makes of each row of ``X``, which are the rows of ``base``."""
    rel, (out,) = applied(model, kind, method, base, features, [name])
    return Series(X._session, rel, column(out), name, {key: X._items[key] for key in X._index})


def replaced(X: DataFrame, rel: Rel, names: Mapping[str, str]) -> DataFrame:
    """A frame over X's rows, of columns of ``rel`` under the names of the features that they are made from."""
    items = {key: X._items[key] for key in X._index} | {name: column(made) for name, made in names.items()}
    return DataFrame(X._session, rel, items, X._index)
