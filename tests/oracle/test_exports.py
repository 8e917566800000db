"""Exported models give the scores that were computed in secret: the German data, values missing and special too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import ConfigError, SchemaError
from mpc_engine.ml import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    ReleasedCard,
    RevealedTrees,
    ScoreCard,
    WoeEncoder,
)
from tests.exported import onnx_run, pmml_score

RATE = "installment_rate_in_percentage_of_disposable_income"
AT_BANK = ["duration_in_month", "credit_amount", RATE, "purpose"]
AT_BUREAU = ["age_in_years", "savings_account_and_bonds", "foreign_worker", "telephone"]
FEATURES = [*AT_BANK, *AT_BUREAU]
NUMBERS = ["duration_in_month", "credit_amount", RATE]
EXACT = 1e-9  # sums of the same float64 in another order
SHARES = 1e-3  # fixed point with 18 bits, a sigmoid within 2**-14


def german() -> pd.DataFrame:
    """The data with what it does not know as missing: ages of people without property, unknown savings."""
    rows = pd.read_csv(Path(__file__).parents[2] / "examples" / "data" / "german_credit.csv")
    savings = rows["savings_account_and_bonds"]
    return rows.assign(
        age_in_years=rows["age_in_years"].where(rows["property"] != "unknown / no property"),
        savings_account_and_bonds=savings.where(savings != "unknown/ no savings account"),
        foreign_worker=rows["foreign_worker"] == "yes",
        bad=(rows["creditability"] == "bad").astype(int),
    )


ROWS = german()


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    there = ROWS[["customer_id", *AT_BUREAU]].sample(frac=1, random_state=4)
    tables = {"bank": {"loans": ROWS[["customer_id", "bad", *AT_BANK]]}, "bureau": {"people": there}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("bureau.people"), on="customer_id")


def in_order(joint: mpc.DataFrame, values: mpc.Series) -> np.ndarray:
    """A secret column in the order of :data:`ROWS`."""
    got = joint[["customer_id"]].assign(value=values).collect().set_index("customer_id")["value"]
    return got.loc[ROWS["customer_id"]].to_numpy()


@pytest.fixture(scope="module")
def card(joint: mpc.DataFrame) -> ScoreCard:
    encoder = WoeEncoder(max_bins=5, min_count=30, special={RATE: [4]})
    return ScoreCard(encoder, pdo=40, base_score=500, base_odds=10).fit(joint[FEATURES], joint["bad"])


@pytest.fixture(scope="module")
def released(card: ScoreCard) -> ReleasedCard:
    return card.reveal()


def test_a_card_has_bins_of_every_kind(released: ReleasedCard) -> None:
    assert {b.variable for b in released.bins if b.missing} == {"age_in_years", "savings_account_and_bonds"}
    assert [b.values for b in released.bins_of(RATE) if b.values] == [("4",)]
    assert {value for b in released.bins_of("foreign_worker") for value in b.values} == {"True", "False"}
    assert len({b.points for b in released.bins}) > 15


def test_secret_scores_are_those_of_the_released_card(
    joint: mpc.DataFrame, card: ScoreCard, released: ReleasedCard
) -> None:
    np.testing.assert_array_equal(in_order(joint, card.score(joint[FEATURES])), released.score(ROWS))


def unseen() -> pd.DataFrame:
    """Rows with values that no bin was made for."""
    rows = ROWS.head(40).astype({"credit_amount": float, "duration_in_month": float})
    rows.loc[:9, "purpose"] = "never seen"
    rows.loc[5:14, "credit_amount"] = np.nan
    rows.loc[10:19, "duration_in_month"] = -1e9
    rows.loc[20:29, "duration_in_month"] = 1e9
    return rows


@pytest.mark.parametrize("rows", [ROWS, unseen()], ids=["german", "unseen"])
def test_five_forms_of_a_card_give_its_scores(released: ReleasedCard, rows: pd.DataFrame) -> None:
    want = released.score(rows)
    np.testing.assert_array_equal(ReleasedCard.from_json(released.to_json()).score(rows), want)
    sql = duckdb.sql(f"SELECT ({released.to_sql()})::DOUBLE AS score FROM rows").df()["score"]
    np.testing.assert_array_equal(sql, want)
    np.testing.assert_array_equal(released.to_sklearn().predict(rows), want)
    texts = rows.assign(foreign_worker=rows["foreign_worker"].astype(str))
    np.testing.assert_array_equal(pmml_score(released.to_pmml(), texts), want)
    for engine in ("onnxruntime", "reference"):
        found = onnx_run(released.to_onnx(), rows, engine)
        np.testing.assert_array_equal(found["score"], want)
        np.testing.assert_array_equal(found["points"], released.points(rows))


def test_forms_of_a_card_whose_points_are_not_rounded(joint: mpc.DataFrame) -> None:
    card = ScoreCard(WoeEncoder(max_bins=4), rounded=False).fit(joint[FEATURES], joint["bad"]).reveal()
    want = card.score(ROWS)
    sql = duckdb.sql(f"SELECT ({card.to_sql()})::DOUBLE AS score FROM ROWS").df()["score"]
    again = ReleasedCard.from_json(card.to_json())
    for got in (sql, again.score(ROWS), card.to_sklearn().predict(ROWS), onnx_run(card.to_onnx(), ROWS)["score"]):
        np.testing.assert_allclose(got, want, rtol=0, atol=EXACT)


def test_special_values_of_many_digits_and_a_category_called_missing() -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, 9999999.5] * 30, "c": ["missing", None, "b", "b"] * 30})
    rows["bad"] = [1, 0, 1, 0, 0, 0, 1, 1, 1, 0] * 12
    with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
        df = session.table("bank.t")
        card = ScoreCard(WoeEncoder(max_bins=2, special={"x": [9999999.5]})).fit(df[["x", "c"]], df["bad"])
        secret, released = card.score(df[["x", "c"]]).collect().to_numpy(), card.reveal()
    assert [b.values for b in released.bins_of("x") if b.values] == [("9999999.5",)]
    assert [(b.values, b.missing) for b in released.bins_of("c")] == [
        (("b",), False),
        (("missing",), False),
        ((), True),
    ]
    np.testing.assert_array_equal(released.score(rows), secret)
    np.testing.assert_array_equal(onnx_run(released.to_onnx(), rows)["score"], secret)


def test_logistic_regression(joint: mpc.DataFrame) -> None:
    model = LogisticRegression().fit(joint[NUMBERS], joint["bad"])
    fitted = model.reveal()
    chance = fitted.predict_proba(ROWS)
    np.testing.assert_allclose(in_order(joint, model.predict_proba(joint[NUMBERS])), chance[:, 1], rtol=0, atol=SHARES)
    np.testing.assert_allclose(chance.sum(axis=1), 1, rtol=0, atol=EXACT)
    assert (fitted.predict(ROWS) == (chance[:, 1] > 0.5)).all()
    for engine in ("onnxruntime", "reference"):
        found = onnx_run(fitted.to_onnx(), ROWS, engine)
        np.testing.assert_allclose(found["probability"], chance[:, 1], rtol=0, atol=EXACT)
        np.testing.assert_allclose(found["score"], fitted.decision_function(ROWS), rtol=0, atol=EXACT)


def test_linear_and_poisson_regression(joint: mpc.DataFrame) -> None:
    features = [RATE, "credit_amount"]
    for model in (LinearRegression(), PoissonRegressor()):
        fitted = model.fit(joint[features], joint["duration_in_month"]).reveal()
        want = fitted.predict(ROWS)
        got = in_order(joint, model.predict(joint[features]))
        np.testing.assert_allclose(got, want, rtol=SHARES, atol=SHARES)
        np.testing.assert_allclose(onnx_run(fitted.to_onnx(), ROWS)["prediction"], want, rtol=EXACT)
        with pytest.raises(SchemaError, match="predicts no class"):
            fitted.predict_proba(ROWS)


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, GradientBoostingRegressor])
def test_boosted_trees(
    joint: mpc.DataFrame, kind: type[GradientBoostingClassifier] | type[GradientBoostingRegressor]
) -> None:
    target = "bad" if kind is GradientBoostingClassifier else "duration_in_month"
    features = [name for name in FEATURES if name != target]
    model = kind(n_estimators=4, max_depth=3, max_bins=10).fit(joint[features], joint[target])
    score = model.decision_function(joint[features])
    trees = model.reveal(edges=True)
    assert {"age_in_years", "savings_account_and_bonds"} & set(trees.splits["feature"])
    want = trees.decision_function(ROWS)
    largest = 1 if trees.classifier else ROWS[target].max()
    np.testing.assert_allclose(in_order(joint, score), want, rtol=0, atol=SHARES * largest)
    for engine in ("onnxruntime", "reference"):
        for rows in (ROWS, unseen()):
            found = onnx_run(trees.to_onnx(), rows, engine)
            output = found["score" if trees.classifier else "prediction"]
            np.testing.assert_allclose(output, trees.decision_function(rows), rtol=EXACT, atol=EXACT)
    if trees.classifier:
        chance = onnx_run(trees.to_onnx(), ROWS)["probability"]
        np.testing.assert_allclose(chance, trees.predict_proba(ROWS)[:, 1], rtol=0, atol=EXACT)
        assert (trees.predict(ROWS) == (chance > 0.5)).all()


def test_trees_without_edges_do_not_score(joint: mpc.DataFrame) -> None:
    trees = GradientBoostingClassifier(n_estimators=1, max_depth=1).fit(joint[NUMBERS], joint["bad"]).reveal()
    assert isinstance(trees, RevealedTrees)
    for use in (lambda: trees.predict(ROWS), trees.to_onnx):
        with pytest.raises(SchemaError, match="edges of these trees' bins were not revealed"):
            use()


def test_without_onnx_it_is_said_what_to_install(released: ReleasedCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match="needs the package onnx") as caught:
        released.to_onnx()
    assert caught.value.hint == "pip install 'mpc-engine[onnx]'"


def test_a_feature_may_be_called_like_an_output() -> None:
    rows = pd.DataFrame({"score": [1.0, 2.0, 3.0, 4.0] * 10, "bad": [0, 1, 0, 1, 1] * 8})
    with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
        df = session.table("bank.t")
        fitted = LogisticRegression().fit(df[["score"]], df["bad"]).reveal()
    found = onnx_run(fitted.to_onnx(), rows)
    assert list(found) == ["score~1", "probability"]
    np.testing.assert_allclose(found["score~1"], fitted.decision_function(rows), rtol=0, atol=EXACT)
