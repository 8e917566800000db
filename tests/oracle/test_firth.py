"""Firth's penalised likelihood against the same method in numpy, and against what tables of counts give exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import mpc_engine as mpc
from mpc_engine.errors import MpcError
from mpc_engine.ml import ConvergenceWarning, FeatureSelector, LogisticRegression

DATA = Path(__file__).parents[2] / "examples" / "data"
GERMAN = pd.read_csv(DATA / "german_credit.csv", keep_default_na=False)
NUMBERS = list(GERMAN.select_dtypes("number").columns.drop("customer_id"))
BAD = (GERMAN["creditability"] == "bad").astype(int)
RNG = np.random.default_rng(1)
RARE = ((RNG.random(1000) < 0.02) & (BAD == 1)).astype(int)
"""Set in a few rows, all of them bad: the ordinary fit has no finite coefficient."""
CLEAR = GERMAN[["customer_id", *NUMBERS]].assign(bad=BAD, rare=RARE, w=RNG.integers(0, 4, 1000))
HERE = ["customer_id", *NUMBERS[:3], "bad", "w"]
TABLES = {
    "bank": {"t": CLEAR[HERE], "few": pd.DataFrame({"x": [0] * 7 + [1] * 5, "bad": [0] * 6 + [1] * 6})},
    "bureau": {"t": CLEAR.drop(columns=HERE[1:]).sample(frac=1, random_state=4)},
}


def firth(X: pd.DataFrame, y: pd.Series[int], weights: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and standard errors, intercept first, by Newton steps of at most 5 as R's logistf takes them."""
    A, w, target = np.column_stack([np.ones(len(X)), X.to_numpy(float)]), np.broadcast_to(weights, len(X)), y.to_numpy()
    beta = np.zeros(A.shape[1])
    for _ in range(500):
        p = 1 / (1 + np.exp(-A @ beta))
        V = np.linalg.inv(A.T @ (A * (w * p * (1 - p))[:, None]))
        h = w * p * (1 - p) * np.einsum("ij,jk,ik->i", A, V, A)
        step = V @ (A.T @ (w * (target - p) + h * (0.5 - p)))
        beta += step * min(1.0, 5 / np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            return beta, np.sqrt(np.diag(V))
    raise AssertionError("the reference did not converge")


SHARED = [pytest.param(("aby3", "auto"), marks=pytest.mark.slow), pytest.param(("aby3", "spu"), marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=[("plaintext", "auto"), *SHARED], ids=["plaintext", "native", "spu"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    protocol, kernels = request.param
    with mpc.Session.local(TABLES, protocol=protocol, executor="threads", kernels=kernels) as opened:
        yield opened


@pytest.fixture(scope="module")
def joint(session: mpc.Session) -> mpc.DataFrame:
    return session.table("bank.t").merge(session.table("bureau.t"), on="customer_id")


def _check(found: Any, want: tuple[np.ndarray, np.ndarray]) -> None:
    beta, bse = want
    assert found.converged_
    assert np.abs((found.params - beta) / bse).max() < 0.01
    assert np.abs(found.bse_ / bse - 1).max() < 0.005
    assert np.abs(found.pvalues_ - 2 * norm.sf(np.abs(beta / bse))).max() < 0.003


def test_of_a_rare_flag_that_only_bad_rows_have(joint: mpc.DataFrame) -> None:
    features = [*NUMBERS, "rare"]
    model = LogisticRegression(penalty="firth").fit(joint[features], joint["bad"])
    found, scored = mpc.collect(model.to_frame(), joint[["customer_id"]].assign(p=model.predict_proba(joint[features])))
    want = firth(CLEAR[features], CLEAR["bad"])
    _check(found, want)
    logit = want[0][0] + CLEAR[features].to_numpy(float) @ want[0][1:]
    got = scored.set_index("customer_id")["p"].loc[CLEAR["customer_id"]]
    assert np.abs(got.to_numpy() - 1 / (1 + np.exp(-logit))).max() < 1e-3
    likelihood = (CLEAR["bad"] * logit - np.logaddexp(0, logit)).sum()
    assert found.llf == pytest.approx(likelihood, rel=1e-4)
    share = BAD.mean()
    assert found.llnull == pytest.approx(1000 * (share * np.log(share) + (1 - share) * np.log(1 - share)), rel=1e-4)


def test_separated_rows_that_the_ordinary_fit_reports(joint: mpc.DataFrame) -> None:
    wide = joint.assign(told=lambda t: t["bad"] * 3)
    with pytest.warns(ConvergenceWarning):
        assert not LogisticRegression().fit(wide[["told"]], wide["bad"]).reveal().converged_
    found = LogisticRegression(penalty="firth").fit(wide[["told"]], wide["bad"]).reveal()
    good, bad = np.log((700 + 0.5) / 0.5), np.log((300 + 0.5) / 0.5)
    assert found.converged_
    assert np.abs(found.params - [-good, (good + bad) / 3]).max() < 0.05 * found.bse_.min()


def test_of_weighted_rows_that_a_secret_chooses(joint: mpc.DataFrame) -> None:
    first, features = NUMBERS[0], [*NUMBERS[1:], "rare"]
    some = joint[joint[first] + joint["age_in_years"] > 48]
    clear = CLEAR[CLEAR[first] + CLEAR["age_in_years"] > 48]
    found = LogisticRegression(penalty="firth").fit(some[features], some["bad"], sample_weight=some["w"]).reveal()
    _check(found, firth(clear[features], clear["bad"], clear["w"].to_numpy()))


def test_a_table_of_counts_gives_what_half_a_row_more_in_each_cell_gives(session: mpc.Session) -> None:
    few = session.table("bank.few")
    found = LogisticRegression(penalty="firth").fit(few[["x"]], few["bad"]).reveal()
    zero, one = np.log(1.5 / 6.5), np.log(5.5 / 0.5)
    assert found.converged_
    np.testing.assert_allclose(found.params, [zero, one - zero], atol=0.01)


def test_only_the_model_is_disclosed(joint: mpc.DataFrame) -> None:
    plain = LogisticRegression().fit(joint[NUMBERS], joint["bad"]).to_frame().explain()
    found = LogisticRegression(penalty="firth").fit(joint[NUMBERS], joint["bad"]).to_frame().explain()
    assert [str(line) for line in found.disclosures] == [str(line) for line in plain.disclosures]
    assert found.bytes >= plain.bytes


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda j: LogisticRegression(penalty="l1").fit(j[NUMBERS], j["bad"]), "MPC-0120"),
        (lambda j: LogisticRegression(penalty="firth", alpha=1.0).fit(j[NUMBERS], j["bad"]), "MPC-0301"),
        (lambda j: FeatureSelector(LogisticRegression(penalty="firth")).fit(j[NUMBERS], j["bad"]), "MPC-0301"),
    ],
)
def test_what_is_refused(joint: mpc.DataFrame, act: Any, code: str) -> None:
    with pytest.raises(MpcError) as caught:
        act(joint)
    assert caught.value.code == code
