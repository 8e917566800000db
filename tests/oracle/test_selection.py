"""Feature selection and collinearity against the same rules in the clear, features at two owners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm
from statsmodels.stats.outliers_influence import variance_inflation_factor as clear_vif

import mpc_engine as mpc
from mpc_engine.errors import MpcError
from mpc_engine.ml import (
    ConvergenceWarning,
    FeatureSelector,
    LinearRegression,
    LogisticRegression,
    Pipeline,
    PoissonRegressor,
    StandardScaler,
    WoeEncoder,
)
from mpc_engine.ml.metrics import correlation_matrix, variance_inflation_factor
from tests.clear_selection import below_inflation, stepwise, uncorrelated

DATA = Path(__file__).parents[2] / "examples" / "data"
GERMAN = pd.read_csv(DATA / "german_credit.csv", keep_default_na=False)
NUMBERS = list(GERMAN.select_dtypes("number").columns.drop("customer_id"))
WORDS = pd.get_dummies(GERMAN[["status_of_existing_checking_account", "savings_account_and_bonds"]]).astype(int)
WORDS.columns = [f"w{at}" for at in range(WORDS.shape[1])]
FEATURES = [*NUMBERS, *WORDS.columns]
BAD = (GERMAN["creditability"] == "bad").astype(int)
CLEAR = pd.concat([GERMAN[["customer_id", *NUMBERS]], WORDS], axis=1).assign(bad=BAD)
SPLIT = ["customer_id", *NUMBERS[:3], *WORDS.columns[:5], "bad"]
Z05, Z10 = norm.isf(0.025), norm.isf(0.05)


def _tables(clear: pd.DataFrame, here: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    there = clear.drop(columns=here[1:]).sample(frac=1, random_state=4)
    return {"bank": {"t": clear[here]}, "bureau": {"t": there}}


def _session(protocol: str, kernels: str) -> Iterator[mpc.DataFrame]:
    tables = _tables(CLEAR, SPLIT)
    with mpc.Session.local(tables, protocol=protocol, executor="threads", kernels=kernels) as session:  # type: ignore[arg-type]
        yield session.table("bank.t").merge(session.table("bureau.t"), on="customer_id")


SHARED = [pytest.param(("aby3", "auto"), marks=pytest.mark.slow), pytest.param(("aby3", "spu"), marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=[("plaintext", "auto"), *SHARED], ids=["plaintext", "native", "spu"])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    yield from _session(*request.param)


SIGNS = dict.fromkeys(NUMBERS, 1) | {"w0": 1, "w3": -1}
RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "forward": ({"direction": "forward", "max_steps": 6}, {"enter": Z05, "stay": 0.0, "turns": 6}),
    "stepwise with signs": ({"sign": SIGNS, "max_steps": 10}, {"enter": Z05, "stay": Z10, "turns": 10, "signs": SIGNS}),
    "backward": ({"direction": "backward", "p_remove": 0.05}, {"enter": None, "stay": Z05, "turns": 14}),
    "backward, fast": ({"direction": "backward", "fast": True}, {"enter": None, "stay": Z10, "turns": 14}),
    "stepwise, fast": ({"fast": True}, {"enter": Z05, "stay": Z10, "turns": 14}),
}
APART = [name for name in FEATURES if name not in ("w3", "w8")]
"""Without one category of each text: no linear combination of the others is constant."""


SLOW = ("backward", "stepwise, fast")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in RULES])
def test_the_chosen_set_is_that_of_the_same_rule_in_the_clear(joint: mpc.DataFrame, name: str) -> None:
    options, rule = RULES[name]
    features = FEATURES if name in ("forward", "stepwise with signs") else APART
    found = FeatureSelector(**options).fit(joint[features], joint["bad"]).reveal()
    assert list(found.chosen_) == stepwise(CLEAR[features], CLEAR["bad"], **rule)
    assert found.converged_
    assert found.get_support(indices=True).tolist() == [features.index(name) for name in found.chosen_]
    assert list(found.get_feature_names_out()) == list(found.chosen_)
    assert found.transform(joint).columns == list(found.chosen_)


def test_statistics_and_predictions_are_those_of_the_chosen_model(joint: mpc.DataFrame) -> None:
    features = APART[:8]
    selector = FeatureSelector(max_steps=3).fit(joint[features], joint["bad"])
    scored = joint[["customer_id"]].assign(p=selector.predict_proba(joint[features]))
    found, scores = mpc.collect(selector.to_frame(statistics=True), scored)
    fitted = sm.Logit(CLEAR["bad"], sm.add_constant(CLEAR[list(found.chosen_)])).fit(disp=False, tol=1e-10)
    table = found.statistics_
    np.testing.assert_allclose(table["z"][list(found.chosen_)], fitted.tvalues[1:], atol=2e-3)
    np.testing.assert_allclose(table["p"][list(found.chosen_)], fitted.pvalues[1:], atol=2e-3)
    assert sorted(table["step"]) == [0] * 5 + [1, 2, 3]
    assert (table["chosen"] == (table["step"] > 0)).all()
    got = scores.set_index("customer_id")["p"].loc[CLEAR["customer_id"]]
    assert np.abs(got.to_numpy() - np.asarray(fitted.predict())).max() < 3e-4


def test_of_a_linear_regression_on_some_of_the_rows(joint: mpc.DataFrame) -> None:
    first, age = NUMBERS[0], "age_in_years"
    target, features = NUMBERS[1], [first, *NUMBERS[2:], "w0", "w3"]
    some = joint[joint[first] + joint[age] > 48]  # columns of both: which rows stay is a secret
    clear = CLEAR[CLEAR[first] + CLEAR[age] > 48]
    selector = FeatureSelector(LinearRegression(), max_steps=5).fit(some[features], some[target])
    found = selector.reveal(statistics=True)
    want = stepwise(clear[features], clear[target], enter=Z05, stay=Z10, turns=5, linear=True)
    assert list(found.chosen_) == want
    assert found.statistics_ is not None
    fitted = sm.OLS(clear[target], sm.add_constant(clear[want])).fit()
    np.testing.assert_allclose(found.statistics_["z"][want], fitted.tvalues[1:], atol=1e-2)


def test_only_the_chosen_set_is_disclosed(joint: mpc.DataFrame) -> None:
    selector = FeatureSelector(max_steps=1).fit(joint[NUMBERS], joint["bad"])
    said = [str(line) for line in selector.to_frame().explain().disclosures if "result" in str(line)]
    assert said == ["result: the rows of chosen, converged, and how many there are -> requester (the result)"]
    assert list(selector.reveal().statistics_ or ()) == []


def test_screens_of_numbers(joint: mpc.DataFrame) -> None:
    features = [*NUMBERS, "w0", "w1"]
    x = CLEAR[features]
    strength = {name: abs(np.corrcoef(x[name], CLEAR["bad"])[0, 1]) for name in features}
    kept = below_inflation(x[uncorrelated(x, strength, 0.3)], 1.1)
    assert len(kept) < len(uncorrelated(x, strength, 0.3)) < len(features)
    selector = FeatureSelector(max_steps=4, max_correlation=0.3, max_vif=1.1).fit(joint[features], joint["bad"])
    assert list(selector.reveal().chosen_) == stepwise(x[kept], CLEAR["bad"], enter=Z05, stay=Z10, turns=4)


def test_screens_of_weights_of_evidence(joint: mpc.DataFrame) -> None:
    features = [*NUMBERS, "w0", "w1"]
    encoder = WoeEncoder(max_bins=5).fit(joint[features], joint["bad"])
    woe = encoder.transform(joint[features])
    rows = joint[["customer_id"]].assign(**{name: woe[name] for name in features}).collect()
    x, strength = rows.set_index("customer_id").loc[CLEAR["customer_id"]].reset_index(drop=True), encoder.reveal().iv_
    informed = [name for name in features if strength[name] >= 0.02]
    kept = uncorrelated(x[informed], strength, 0.3)
    assert len(kept) < len(informed) < len(features)
    selector = FeatureSelector(max_steps=4, min_iv=0.02, max_correlation=0.3, sign=-1).fit(woe, joint["bad"])
    signs = dict.fromkeys(features, -1)
    want = stepwise(x[kept], CLEAR["bad"], enter=Z05, stay=Z10, turns=4, signs=signs)
    assert list(selector.reveal().chosen_) == want


def test_twins_and_constants(joint: mpc.DataFrame) -> None:
    first = NUMBERS[0]
    wide = joint.assign(twin=lambda t: t[first] * 2, same=lambda t: t[first] * 0)
    found = FeatureSelector(max_steps=3).fit(wide[[first, "twin", "same"]], wide["bad"]).reveal()
    assert found.converged_
    assert found.support_.sum() == 1
    assert not found.support_[2]


def test_separable_classes_are_reported(joint: mpc.DataFrame) -> None:
    wide = joint.assign(told=lambda t: t["bad"] * 3)
    with pytest.warns(ConvergenceWarning, match="max_steps"):
        found = FeatureSelector(max_steps=2).fit(wide[["told", NUMBERS[0]]], wide["bad"]).reveal()
    assert not found.converged_


def test_correlations_and_inflation(joint: mpc.DataFrame) -> None:
    some = joint[joint[NUMBERS[0]] > 12]
    clear = CLEAR[CLEAR[NUMBERS[0]] > 12][APART]
    matrix, factors = mpc.collect(correlation_matrix(some[APART]), variance_inflation_factor(some[APART]))
    pd.testing.assert_frame_equal(matrix, clear.corr(), atol=1e-4, rtol=0)
    exog = sm.add_constant(clear)
    want = [clear_vif(exog.to_numpy(), at + 1) for at in range(len(APART))]
    np.testing.assert_allclose(factors, want, rtol=1e-3)
    assert list(factors.index) == APART
    assert np.isinf(variance_inflation_factor(joint[["w0", "w1", "w2", "w3"]]).collect()).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "best"}, "direction cannot be 'best'"),
        ({"p_enter": 0}, "p_enter must be a number"),
        ({"max_steps": 2.5}, "max_steps must be a whole number"),
        ({"p_enter": 0.1, "p_remove": 0.05}, "must not be below p_enter"),
        ({"min_iv": 0.1}, "weights of evidence"),
        ({"sign": 2}, "sign must be -1, 0 or 1"),
        ({"sign": {"other": 1}}, "'other', which is no feature"),
        ({"estimator": PoissonRegressor()}, "cannot be chosen for PoissonRegressor"),
        ({"estimator": LogisticRegression(alpha=1.0)}, "penalised"),
    ],
)
def test_what_is_refused(joint: mpc.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MpcError, match=message):
        FeatureSelector(**options).fit(joint[NUMBERS], joint["bad"])


def test_at_the_end_of_a_pipeline(joint: mpc.DataFrame) -> None:
    steps = [("scale", StandardScaler()), ("select", FeatureSelector(max_steps=1))]
    found = Pipeline(steps).fit(joint[NUMBERS], joint["bad"]).reveal()
    assert list(found.chosen_) == stepwise(CLEAR[NUMBERS], CLEAR["bad"], enter=Z05, stay=Z10, turns=1)
