"""Principal components against scikit-learn, features at two owners: in the clear, and on shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sklearn.decomposition
import sklearn.preprocessing

import mpc_engine as mpc
from mpc_compiler.ops.eigen import eigen
from mpc_compiler.ops.linalg import GUARD
from mpc_engine.errors import SchemaError
from mpc_engine.ml import PCA, LogisticRegression, PCAResult, Pipeline, StandardScaler
from mpc_engine.ml.base import NotFittedError
from tests.spu_threads import in_spu

DATA = Path(__file__).parents[2] / "examples" / "data"
GERMAN = pd.read_csv(DATA / "german_credit.csv")
AT_BANK = ["duration_in_month", "credit_amount", "age_in_years"]
AT_BUREAU = ["number_of_existing_credits_at_this_bank", "present_residence_since", "amount_twice"]
FEATURES = [*AT_BANK, *AT_BUREAU]
GERMAN["amount_twice"] = 2 * GERMAN["credit_amount"] + 40 * GERMAN["duration_in_month"]
GERMAN["bad"] = (GERMAN["creditability"] == "bad").astype(int)
GERMAN["same"] = 7
BOTH = GERMAN[["customer_id", *FEATURES, "same"]]


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    bureau = GERMAN[["customer_id", *AT_BUREAU, "same"]].sample(frac=1, random_state=1)
    tables = {
        "bank": {"loans": GERMAN[["customer_id", *AT_BANK, "purpose", "bad"]]},
        "bureau": {"files": bureau},
    }
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("bureau.files"), on="customer_id")


def _check(found: PCAResult, rows: pd.DataFrame, **options: Any) -> Any:
    """As scikit-learn's, where a component is apart from the next; signs included."""
    want = sklearn.decomposition.PCA(found.n_components_, **options).fit(rows.to_numpy(np.float64))
    assert np.abs(found.explained_variance_ratio_ - want.explained_variance_ratio_).max() < 4e-6
    assert found.mean_ == pytest.approx(want.mean_, abs=1e-4 * np.sqrt(want.explained_variance_[0]))
    assert found.n_samples_ == want.n_samples_
    assert np.abs(found.components_ @ found.components_.T - np.eye(found.n_components_)).max() < 1e-5
    ratios = np.append(want.explained_variance_ratio_, 0.0)
    for at in range(found.n_components_):
        gap = min(abs(ratios[at] - other) for j, other in enumerate(ratios) if j != at)
        if gap > 1e-3:
            assert np.abs(found.components_[at] - want.components_[at]).max() < 5e-6 / gap
            assert found.explained_variance_[at] == pytest.approx(want.explained_variance_[at], rel=1e-3)
            assert found.singular_values_[at] == pytest.approx(want.singular_values_[at], rel=1e-3)
    assert found.noise_variance_ == pytest.approx(want.noise_variance_, abs=1e-5 * found.total_variance_)
    return want


def test_raw_columns(joint: mpc.DataFrame) -> None:
    model = PCA(n_components=2).fit(joint[FEATURES])
    found, along, ids = mpc.collect(model.to_frame(), model.transform(joint[FEATURES]), joint["customer_id"])
    rows = BOTH.set_index("customer_id").loc[ids, FEATURES]
    want = _check(found, rows)
    assert list(along.columns) == ["pca0", "pca1"] == model.get_feature_names_out()
    made = want.transform(rows.to_numpy(np.float64))
    assert (np.abs(along.to_numpy() - made).max(axis=0) < 0.01 * made.std(axis=0)).all()
    np.testing.assert_allclose(found.transform(rows), made, atol=0.01 * made.std())
    text = str(joint._session.last_run)
    assert "mean, variance, total, root, v0, v1, nobs" in text


@pytest.mark.parametrize("whiten", [pytest.param(False, marks=pytest.mark.slow), True])
def test_standardised_columns(joint: mpc.DataFrame, whiten: bool) -> None:
    steps = Pipeline([("scale", StandardScaler()), ("components", PCA(3, whiten=whiten))]).fit(joint[FEATURES])
    found, along, ids = mpc.collect(
        steps["components"].to_frame(), steps.transform(joint[FEATURES]), joint["customer_id"]
    )
    rows = BOTH.set_index("customer_id").loc[ids, FEATURES]
    scaled = pd.DataFrame(sklearn.preprocessing.StandardScaler().fit_transform(rows), columns=FEATURES)
    made = _check(found, scaled, whiten=whiten).transform(scaled.to_numpy())
    assert (np.abs(along.to_numpy() - made).max(axis=0) < 0.005 * made.std(axis=0)).all()
    np.testing.assert_allclose(found.transform(scaled), made, atol=0.005 * made.std())


def test_all_components_of_a_filter(joint: mpc.DataFrame) -> None:
    some = joint[joint["age_in_years"] > 40]
    _check(PCA().fit(some[FEATURES]).reveal(to="bank"), BOTH[BOTH["age_in_years"] > 40][FEATURES])


def test_columns_that_do_not_vary(joint: mpc.DataFrame) -> None:
    features = ["age_in_years", "same", "duration_in_month"]
    found = PCA(whiten=True).fit(joint[features]).reveal()
    _check(found, BOTH[features], whiten=True)
    assert found.explained_variance_[2] == pytest.approx(0, abs=1e-4)
    last = PCA(whiten=True).fit(joint[features]).transform(joint[features])["pca2"].collect()
    assert np.abs(last).max() < 1e-3
    alone = PCA().fit(joint[["same"]]).reveal()
    assert alone.explained_variance_ratio_.tolist() == [0]
    assert alone.components_.tolist() == [[1]]


@pytest.mark.slow
def test_a_regression_on_components(joint: mpc.DataFrame) -> None:
    steps = [("scale", StandardScaler()), ("components", PCA(2)), ("logit", LogisticRegression())]
    found = Pipeline(steps).fit(joint[FEATURES], joint["bad"]).reveal()
    assert found.converged_
    assert found.feature_names_in_ == ("pca0", "pca1")


def test_what_is_refused(joint: mpc.DataFrame) -> None:
    few = joint[["age_in_years", "same"]]
    counts: list[tuple[Any, str]] = [
        (3, "3 components of 2 columns"),
        (0, "0 components of 2"),
        (0.9, "a whole number, not 0.9"),
    ]
    for count, message in counts:
        with pytest.raises(SchemaError, match=message) as caught:
            PCA(n_components=count).fit(few)
        assert caught.value.code == "MPC-0120"
    with pytest.raises(SchemaError, match="'purpose' is string"):
        PCA().fit(joint[["age_in_years", "purpose"]])
    missing = joint.assign(some=joint["age_in_years"].where(joint["age_in_years"] > 40))
    with pytest.raises(SchemaError, match=r"'some.*' has missing values"):
        PCA().fit(missing[["age_in_years", "some"]])
    with pytest.raises(NotFittedError):
        PCA().transform(few)


@pytest.mark.slow
def test_eigenvectors_in_spu() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    A = X.T @ X / np.sum(X**2)
    values, V = (np.asarray(x) * 2.0**-GUARD for x in in_spu(lambda M: eigen(M), A * 2.0**GUARD))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A)[::-1], atol=1e-6)
    np.testing.assert_allclose(A @ V, V * values, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, pytest.param(13, marks=pytest.mark.slow)])
def test_eigenvectors(size: int) -> None:
    rng = np.random.default_rng(size)
    X = rng.normal(size=(200, size)) @ rng.normal(size=(size, size))
    few = size // 2 + 1
    kinds = {
        "any": X,
        "equal": np.eye(size),
        "graded": rng.normal(size=(200, size)) * 2.0 ** -np.arange(size),
        "deficient": X[:, :few] @ rng.normal(size=(few, size)),
    }
    solve = jax.jit(lambda M: eigen(M))
    for kind, made in kinds.items():
        A = made.T @ made / np.sum(made**2)
        values, V = (np.asarray(x) * 2.0**-GUARD for x in solve(jnp.asarray(A * 2.0**GUARD)))
        np.testing.assert_allclose(values, np.linalg.eigvalsh(A)[::-1], atol=1e-7, err_msg=kind)
        np.testing.assert_allclose(A @ V, V * values, atol=1e-6, err_msg=kind)
        np.testing.assert_allclose(V.T @ V, np.eye(size), atol=1e-7, err_msg=kind)
        assert (V.max(axis=0) >= -V.min(axis=0)).all(), kind
