"""Generalised linear models against statsmodels, features at two owners: in the clear, and on shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import (
    ConvergenceWarning,
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
)

ROWS = 1500
FEATURES = ["age", "income", "late", "limit"]


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    left = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "age": rng.integers(18, 80, ROWS),
            "income": rng.lognormal(8, 0.6, ROWS).round(1),
            "w": rng.integers(0, 4, ROWS),
            "o": rng.normal(0, 0.3, ROWS).round(3),
        }
    )
    right = pd.DataFrame(
        {"id": np.arange(ROWS), "late": rng.poisson(0.7, ROWS), "limit": rng.uniform(0, 5, ROWS).round(2)}
    )
    eta = -0.6 + 0.01 * (left.age - 45) - 0.00005 * left.income + 0.5 * right.late - 0.1 * right.limit
    mean = np.exp(eta)
    left["binomial"] = (rng.random(ROWS) < 1 / (1 + np.exp(-eta))).astype(int)
    left["gaussian"] = (100 * eta + rng.normal(0, 40, ROWS)).round(2)
    left["poisson"] = rng.poisson(mean)
    left["gamma"] = (rng.gamma(2.0, 500 * mean) + 1).round(2)
    left["tweedie"] = np.where(rng.random(ROWS) < 0.4, 0.0, rng.gamma(2.0, 50 * mean)).round(2)
    return left, right.sample(frac=1, random_state=1)


LEFT, RIGHT = _tables()
LOG = sm.families.links.Log()
MODELS: dict[str, tuple[Any, Any]] = {
    "binomial": (LogisticRegression(), sm.families.Binomial()),
    "gaussian": (LinearRegression(), sm.families.Gaussian()),
    "poisson": (PoissonRegressor(), sm.families.Poisson()),
    "gamma": (GammaRegressor(), sm.families.Gamma(LOG)),
    "tweedie": (TweedieRegressor(power=1.5), sm.families.Tweedie(LOG, var_power=1.5)),
}


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    tables = {"bank": {"loans": LEFT}, "bureau": {"scores": RIGHT}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("bureau.scores"), on="id")


def _check(found: Any, want: Any) -> None:
    assert found.converged_
    assert np.abs((found.params - want.params.to_numpy()) / want.bse.to_numpy()).max() < 0.02
    assert np.abs(found.bse_ / want.bse.to_numpy() - 1).max() < 0.005
    assert np.abs(found.pvalues_ - want.pvalues.to_numpy()).max() < 0.003
    assert found.nobs == want.nobs
    assert found.deviance == pytest.approx(want.deviance, rel=2e-4)
    assert found.dispersion == pytest.approx(want.scale, rel=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_maximum_likelihood(joint: mpc.DataFrame, name: str) -> None:
    model, family = MODELS[name]
    found = model.fit(joint[FEATURES], joint[name]).reveal()
    both = LEFT.merge(RIGHT, on="id")
    exog = sm.add_constant(both[FEATURES])
    want = sm.OLS(both[name], exog).fit() if name == "gaussian" else sm.GLM(both[name], exog, family=family).fit()
    if name == "gaussian":
        want.deviance = want.ssr
        assert found.prsquared == pytest.approx(want.rsquared, abs=1e-4)
    _check(found, want)
    if name in ("binomial", "gaussian"):
        assert found.llf == pytest.approx(want.llf, rel=1e-4)
        assert found.aic == pytest.approx(want.aic, rel=1e-4)
    if name == "poisson":
        null = sm.GLM(both[name], exog[["const"]], family=family).fit()
        assert found.llr == pytest.approx(2 * (want.llf - null.llf), rel=1e-3)
    assert name in ("binomial",) or name.capitalize() in found.summary() or "OLS" in found.summary()


def test_weights_offset_and_a_filter(joint: mpc.DataFrame) -> None:
    some = joint[joint["age"] > 30]
    model = PoissonRegressor().fit(some[FEATURES], some["poisson"], sample_weight=some["w"], offset=some["o"])
    found = model.reveal()
    both = LEFT.merge(RIGHT, on="id")
    both = both[both["age"] > 30]
    want = sm.GLM(
        both["poisson"],
        sm.add_constant(both[FEATURES]),
        family=sm.families.Poisson(),
        freq_weights=both["w"],
        offset=both["o"],
    ).fit()
    assert np.abs((found.params - want.params.to_numpy()) / want.bse.to_numpy()).max() < 0.02
    assert np.abs(found.bse_ / want.bse.to_numpy() - 1).max() < 0.005


def test_predictions(joint: mpc.DataFrame) -> None:
    both = LEFT.merge(RIGHT, on="id")
    exog = sm.add_constant(both[FEATURES])
    model = GammaRegressor().fit(joint[FEATURES], joint["gamma"])
    frame = joint.assign(mean=model.predict(joint[FEATURES]), eta=model.decision_function(joint[FEATURES]))
    got = frame[["id", "mean", "eta"]].collect().sort_values("id")
    want = sm.GLM(both["gamma"], exog, family=sm.families.Gamma(LOG)).fit().predict(exog)
    assert np.abs(got["mean"].to_numpy() / want.to_numpy() - 1).max() < 5e-3
    assert np.abs(got["eta"].to_numpy() - np.log(want.to_numpy())).max() < 5e-3


def test_ridge(joint: mpc.DataFrame) -> None:
    both = LEFT.merge(RIGHT, on="id")
    found = LogisticRegression(alpha=20.0).fit(joint[["late", "limit"]], joint["binomial"]).reveal()
    exog = sm.add_constant(both[["late", "limit"]]).to_numpy()
    beta = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-exog @ beta))
        penalty = np.diag([0.0, 20.0, 20.0])
        gradient = exog.T @ (both["binomial"] - p) - penalty @ beta
        beta += np.linalg.solve(exog.T @ (exog * (p * (1 - p))[:, None]) + penalty, gradient)
    np.testing.assert_allclose(found.params, beta, atol=1e-3)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda j: PoissonRegressor().fit(j[["age"]], j["gaussian"]), "MPC-0113"),
        (lambda j: LogisticRegression().fit(j[["age"]], j["poisson"]), "MPC-0113"),
        (lambda j: PoissonRegressor().fit(j[["age"]], j["poisson"], sample_weight=j["income"]), "MPC-0113"),
        (lambda j: TweedieRegressor(power=2.5).fit(j[["age"]], j["tweedie"]), "MPC-0120"),
        (lambda j: LinearRegression(alpha=-1).fit(j[["age"]], j["gaussian"]), "MPC-0120"),
    ],
)
def test_what_is_refused(joint: mpc.DataFrame, act: Any, code: str) -> None:
    with pytest.raises(SchemaError) as caught:
        act(joint)
    assert caught.value.code == code


def test_collinear_and_constant_columns_say_so(joint: mpc.DataFrame) -> None:
    twice = joint.assign(again=lambda t: t["late"] * 2, same=lambda t: t["late"] * 0)
    for features in (["late", "again"], ["late", "same"]):
        with pytest.warns(ConvergenceWarning):
            found = LinearRegression().fit(twice[features], twice["gaussian"]).reveal()
        assert not found.converged_
        assert np.isfinite(found.params).all()
