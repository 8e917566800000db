"""Columns that all but tell the classes apart: more Hessians where three do not suffice, against statsmodels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.datasets import load_breast_cancer

import mpc_engine as mpc
from mpc_engine.errors import MpcError
from mpc_engine.ml import ConvergenceWarning, FeatureSelector, LogisticRegression, ScoreCard, WoeEncoder

FEATURES = ["radius", "texture", "smoothness"]
FRAME = load_breast_cancer(as_frame=True).frame
ROWS = FRAME[[f"worst {name}" for name in FEATURES]].set_axis(FEATURES, axis=1).round(4)
ROWS = ROWS.assign(id=range(len(ROWS)), ill=1 - FRAME["target"])
TABLES = {"clinic": {"t": ROWS[["id", "radius", "ill"]]}, "laboratory": {"t": ROWS[["id", "texture", "smoothness"]]}}


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    with mpc.Session.local(TABLES, protocol=request.param, executor="threads") as session:
        yield session.table("clinic.t").merge(session.table("laboratory.t"), on="id")


def test_three_hessians_are_too_few_and_five_enough(joint: mpc.DataFrame) -> None:
    want = sm.Logit(ROWS["ill"], sm.add_constant(ROWS[FEATURES])).fit(disp=0)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=5"):
        assert not LogisticRegression().fit(joint[FEATURES], joint["ill"]).reveal().converged_
    found = LogisticRegression(max_iter=5).fit(joint[FEATURES], joint["ill"]).reveal()
    assert found.converged_
    assert np.abs((found.params - want.params.to_numpy()) / want.bse.to_numpy()).max() < 0.05
    assert np.abs(found.bse_ / want.bse.to_numpy() - 1).max() < 0.01
    assert np.abs(found.pvalues_ - want.pvalues.to_numpy()).max() < 0.005


@pytest.fixture(scope="module")
def rows() -> Iterator[mpc.DataFrame]:
    with mpc.Session.local(TABLES, protocol="plaintext", executor="threads") as session:
        yield session.table("clinic.t")


def test_a_score_card_takes_as_many(rows: mpc.DataFrame) -> None:
    card = ScoreCard(WoeEncoder(max_bins=4), max_iter=6).fit(rows[["radius"]], rows["ill"])
    assert dict(card.model_._fitted().params)["hessians"] == 6


def test_the_usual_number_leaves_plans_as_they_were(rows: mpc.DataFrame) -> None:
    usual = LogisticRegression(max_iter=3).fit(rows[["radius"]], rows["ill"])
    assert "hessians" not in dict(usual._fitted().params)


@pytest.mark.parametrize("count", [0, 21, 2.5, "many"])
def test_numbers_of_hessians_that_are_refused(rows: mpc.DataFrame, count: int) -> None:
    with pytest.raises(MpcError, match="max_iter must be") as raised:
        LogisticRegression(max_iter=count).fit(rows[["radius"]], rows["ill"])
    assert raised.value.code == "MPC-0120"


def test_fits_with_steps_of_their_own_refuse_others(rows: mpc.DataFrame) -> None:
    with pytest.raises(MpcError, match="without Firth's penalty"):
        LogisticRegression(penalty="firth", max_iter=5).fit(rows[["radius"]], rows["ill"])
    with pytest.raises(MpcError, match="another max_iter"):
        FeatureSelector(LogisticRegression(max_iter=5)).fit(rows[["radius"]], rows["ill"])
