"""The scikit-learn contract of every estimator: parameters, clones, refits, feature names, column order, pipelines."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.pipeline
from sklearn.base import clone

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import (
    PCA,
    FeatureSelector,
    GammaRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    KMeans,
    LinearRegression,
    LogisticRegression,
    OneHotEncoder,
    Pipeline,
    PoissonRegressor,
    ScoreCard,
    StandardScaler,
    TweedieRegressor,
    WoeEncoder,
)
from mpc_engine.ml.base import NotFittedError

ESTIMATORS: dict[str, Any] = {
    "scaler": StandardScaler(),
    "one-hot": OneHotEncoder(drop="first"),
    "woe": WoeEncoder(max_bins=4, min_count=10),
    "logistic": LogisticRegression(alpha=2.0),
    "linear": LinearRegression(),
    "poisson": PoissonRegressor(alpha=0.5),
    "gamma": GammaRegressor(),
    "tweedie": TweedieRegressor(power=1.3),
    "card": ScoreCard(WoeEncoder(max_bins=3, min_count=10), pdo=30.0, base_odds=2.0),
    "trees": GradientBoostingClassifier(n_estimators=2, max_depth=2, max_bins=4),
    "regression trees": GradientBoostingRegressor(n_estimators=2, max_depth=2, max_bins=4),
    "clusters": KMeans(3, n_init=2, max_iter=2),
    "components": PCA(n_components=1, whiten=True),
    "selector": FeatureSelector(LogisticRegression(), max_steps=1, p_remove=0.2),
    "pipeline": Pipeline([("scale", StandardScaler()), ("logit", LogisticRegression(alpha=1.0))]),
}
RNG = np.random.default_rng(8)
ROWS = pd.DataFrame({"x": RNG.normal(size=160).round(2), "z": RNG.integers(0, 9, 160), "u": RNG.random(160).round(3)})
ROWS["bad"] = (RNG.random(160) < 1 / (1 + np.exp(-ROWS["x"]))).astype(int)
ROWS["loss"] = (1.0 + 9.0 * RNG.random(160)).round(2)
FEATURES = ["x", "z"]


@pytest.fixture(scope="module")
def df() -> Iterator[mpc.DataFrame]:
    with mpc.Session.local({"bank": {"t": ROWS}}, protocol="plaintext", executor="threads") as session:
        yield session.table("bank.t")


@pytest.fixture(params=list(ESTIMATORS))
def estimator(request: pytest.FixtureRequest) -> Any:
    return clone(ESTIMATORS[request.param])


def _target(estimator: Any) -> str:
    return "loss" if isinstance(estimator, GammaRegressor | TweedieRegressor) else "bad"


def _applied(estimator: Any, X: mpc.DataFrame) -> Any:
    method = next(name for name in ("predict_proba", "predict", "transform") if _has(estimator, name))
    return getattr(estimator, method)(X)


def _has(estimator: Any, name: str) -> bool:
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return hasattr(last, name)


def test_parameters_are_the_constructors(estimator: Any) -> None:
    names = [name for name in inspect.signature(type(estimator).__init__).parameters if name != "self"]
    params = estimator.get_params(deep=False)
    assert list(params) == names
    again = type(estimator)(**params)
    assert again.get_params(deep=False) == params
    assert again.set_params(**params) is again
    with pytest.raises(SchemaError, match="has no parameter 'nothing'"):
        again.set_params(nothing=1)
    assert type(estimator).__name__ in repr(estimator)


def test_clones_have_equal_parameters_and_are_not_fitted(df: mpc.DataFrame, estimator: Any) -> None:
    assert estimator.fit(df[FEATURES], df[_target(estimator)]) is estimator
    copied = clone(estimator)
    assert repr(copied) == repr(estimator)
    with pytest.raises(NotFittedError, match="not fitted"):
        _applied(copied, df[FEATURES])


def test_feature_names_order_and_refit(df: mpc.DataFrame, estimator: Any) -> None:
    target = df[_target(estimator)]
    estimator.fit(df[["u"]], target)
    estimator.fit(df[FEATURES], target)
    assert list(estimator.feature_names_in_) == FEATURES
    assert estimator.n_features_in_ == 2
    fresh = clone(estimator).fit(df[FEATURES], target)
    swapped = df[["u", *FEATURES[::-1]]]
    first, second, third = mpc.collect(
        _applied(estimator, df[FEATURES]), _applied(estimator, swapped), _applied(fresh, df[FEATURES])
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert np.isfinite(np.asarray(first)).all()
    with pytest.raises(SchemaError, match="lacks the feature 'z'"):
        _applied(estimator, df[["x"]])


def test_fit_neither_changes_parameters_nor_runs(df: mpc.DataFrame, estimator: Any) -> None:
    before = repr(estimator)
    run = df._session.last_run
    estimator.fit(df[FEATURES], df[_target(estimator)])
    assert repr(estimator) == before
    assert df._session.last_run is run


def test_parameters_of_nested_estimators(df: mpc.DataFrame) -> None:
    card = clone(ESTIMATORS["card"])
    assert card.get_params()["encoder__max_bins"] == 3
    assert card.set_params(encoder__max_bins=5, pdo=10.0).encoder.max_bins == 5
    assert card.pdo == 10.0
    both = clone(ESTIMATORS["pipeline"])
    assert both.get_params()["logit__alpha"] == 1.0
    assert both.set_params(logit__alpha=3.0)["logit"].alpha == 3.0
    assert isinstance(both.set_params(logit=LinearRegression())[-1], LinearRegression)


@pytest.mark.parametrize("first", [StandardScaler(), WoeEncoder(max_bins=3, min_count=10)])
def test_both_kinds_of_pipeline_are_their_steps(df: mpc.DataFrame, first: Any) -> None:
    X, y = df[FEATURES], df["bad"]
    steps = [("first", first), ("logit", LogisticRegression(alpha=1.0))]
    ours, theirs = (clone(kind(steps)).fit(X, y) for kind in (Pipeline, sklearn.pipeline.Pipeline))
    made = clone(first).fit(X, y).transform(X)
    by_hand = LogisticRegression(alpha=1.0).fit(made, y).predict_proba(made)
    got, same, want = mpc.collect(ours.predict_proba(X), theirs.predict_proba(X), by_hand)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(same, want)
    assert want.nunique() > 2


def test_a_card_leaves_the_encoder_it_was_given_alone(df: mpc.DataFrame) -> None:
    card = clone(ESTIMATORS["card"])
    for act in (lambda: card.score(df[FEATURES]), lambda: card.points(to="bank"), card.reveal):
        with pytest.raises(NotFittedError, match="not fitted"):
            act()
    assert card.fit(df[FEATURES], df["bad"]).encoder_ is not card.encoder
    with pytest.raises(NotFittedError, match="not fitted"):
        card.encoder.transform(df[FEATURES])


def test_what_a_pipeline_refuses(df: mpc.DataFrame) -> None:
    X, y = df[FEATURES], df["bad"]
    with pytest.raises(SchemaError, match="cannot transform"):
        Pipeline([("a", LogisticRegression()), ("b", LogisticRegression())]).fit(X, y)
    with pytest.raises(SchemaError, match="a name of its own"):
        Pipeline([("a", StandardScaler()), ("a", LogisticRegression())]).fit(X, y)
    with pytest.raises(mpc.MpcError, match="has no 'transform'"):
        Pipeline([("a", LinearRegression())]).fit(X, y).transform(X)
    with pytest.raises(NotFittedError, match="not fitted"):
        Pipeline([("a", LinearRegression())]).reveal()
