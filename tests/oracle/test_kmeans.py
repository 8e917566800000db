"""Clusters against scikit-learn, features at two owners: in the clear, and on shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.cluster
import sklearn.preprocessing

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import KMeans, Pipeline, StandardScaler
from mpc_engine.ml.base import NotFittedError

DATA = Path(__file__).parents[2] / "examples" / "data"
ROWS = 1500
BOTH = pd.read_parquet(DATA / "taiwan_credit.parquet").head(ROWS)
AT_BANK = ["limit_bal", "age"]
AT_PARTNER = ["pay_status_0", "bill_amt_1"]
FEATURES = [*AT_BANK, *AT_PARTNER]
X = BOTH[FEATURES].to_numpy(np.float64)
SCALED = sklearn.preprocessing.StandardScaler().fit_transform(X)
STEPS = 5


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    partner = BOTH[["customer_id", *AT_PARTNER]].sample(frac=1, random_state=2)
    tables = {
        "bank": {"clients": BOTH[["customer_id", *AT_BANK]].assign(word="a")},
        "partner": {"payments": partner},
    }
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.clients").merge(session.table("partner.payments"), on="customer_id")


def _theirs(rows: Any, start: Any) -> Any:
    count = len(start)
    return sklearn.cluster.KMeans(count, init=start, n_init=1, max_iter=STEPS, tol=0, algorithm="lloyd").fit(rows)


@pytest.mark.parametrize("scaled", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_same_start_leads_to_the_same_clusters(joint: mpc.DataFrame, scaled: bool) -> None:
    rows = SCALED if scaled else X
    chosen = rows[np.random.default_rng(1).choice(ROWS, 5, replace=False)]
    start = 0.7 * chosen + 0.3 * rows.mean(axis=0)  # at rows of whole numbers there would be ties
    want = _theirs(rows, start)
    ours = StandardScaler().fit(joint[FEATURES]).transform(joint[FEATURES]) if scaled else joint[FEATURES]
    model = KMeans(5, init=start, max_iter=STEPS).fit(ours)
    far = model.transform(ours)
    found, labels, distances, ids = mpc.collect(model.to_frame(), model.predict(ours), far, joint["customer_id"])
    at = pd.Index(BOTH["customer_id"]).get_indexer(ids)
    assert (labels.to_numpy() != want.predict(rows)[at]).sum() <= 1
    assert (np.abs(found.cluster_centers_ - want.cluster_centers_) / rows.std(axis=0)).max() < 1e-3
    assert found.inertia_ == pytest.approx(want.inertia_, rel=1e-4)
    assert list(distances.columns) == [f"kmeans{k}" for k in range(5)]
    frame = pd.DataFrame(rows[at], columns=FEATURES)
    apart = found.transform(frame)
    assert np.abs(distances.to_numpy() - apart).max() < 1e-3 * apart.mean()
    assert (found.predict(frame) != labels.to_numpy()).sum() <= 1


def test_seeds_are_drawn_on_shares(joint: mpc.DataFrame) -> None:
    steps = [("scale", StandardScaler()), ("clusters", KMeans(5, n_init=2, max_iter=STEPS, random_state=1))]
    found = Pipeline(steps).fit(joint[FEATURES]).reveal(to="bank")
    best = sklearn.cluster.KMeans(5, n_init=10, random_state=0).fit(SCALED)
    assert found.inertia_ < 1.05 * best.inertia_
    text = str(joint._session.last_run)
    assert "the rows of c0, c1, c2, c3, inertia" in text


def test_a_filter_and_an_empty_cluster(joint: mpc.DataFrame) -> None:
    some, rows = joint[joint["age"] > 40][["age"]], BOTH[BOTH["age"] > 40][["age"]]
    found = KMeans(3, init=[[21], [45], [60]], max_iter=4).fit(some).reveal()
    want = sklearn.cluster.KMeans(2, init=[[45], [60]], n_init=1, max_iter=4, tol=0).fit(rows.to_numpy(np.float64))
    assert found.cluster_centers_[0, 0] == pytest.approx(21, abs=1e-3)
    np.testing.assert_allclose(found.cluster_centers_[1:], want.cluster_centers_, atol=1e-3)
    assert found.inertia_ == pytest.approx(want.inertia_, rel=1e-4)


def test_fewer_different_rows_than_clusters(joint: mpc.DataFrame) -> None:
    same = joint.assign(one=joint["age"] * 0 + 3)[["one"]]
    found = KMeans(2, max_iter=2).fit(same).reveal()
    assert np.isfinite(found.cluster_centers_).all()
    assert found.cluster_centers_[0, 0] == pytest.approx(3, abs=1e-3)
    assert found.inertia_ == pytest.approx(0, abs=1e-3)


def test_what_is_refused(joint: mpc.DataFrame) -> None:
    few = joint[["age", "limit_bal"]]
    cases = [
        (KMeans(ROWS + 1), f"{ROWS + 1} clusters of at most {ROWS} rows"),
        (KMeans(0), "n_clusters must be a whole number of at least 1"),
        (KMeans(2, max_iter=0), "max_iter must be"),
        (KMeans(2, init="random"), "no init 'random'"),
        (KMeans(2, init=[[1, 2]]), r"init has the shape \(1, 2\)"),
        (KMeans(1, init=[[1e9, 1]]), "outside of the public range of 'age'"),
    ]
    for model, message in cases:
        with pytest.raises(SchemaError, match=message) as caught:
            model.fit(few)
        assert caught.value.code == "MPC-0120"
    with pytest.raises(SchemaError, match="'word' is string"):
        KMeans(2).fit(joint[["age", "word"]])
    missing = joint.assign(some=joint["age"].where(joint["age"] > 40))
    with pytest.raises(SchemaError, match=r"'some.*' has missing values"):
        KMeans(2).fit(missing[["age", "some"]])
    with pytest.raises(NotFittedError):
        KMeans(2).predict(few)
