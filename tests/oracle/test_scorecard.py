"""Score cards on real data against the same card computed in the clear, and the forms a released card takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.base import clone

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import ConvergenceWarning, ReleasedCard, ScoreCard, WoeEncoder
from mpc_engine.ml.released import CardBin
from tests.exported import onnx_run, pmml_score

GERMAN = pd.read_csv(Path(__file__).parents[2] / "examples" / "data" / "german_credit.csv")
FEATURES = ["duration_in_month", "credit_amount", "age_in_years", "savings_account_and_bonds"]
BAD = (GERMAN["creditability"] == "bad").astype(int)


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    here = GERMAN[["customer_id", "creditability", *FEATURES[:2]]]
    there = GERMAN[["customer_id", *FEATURES[2:]]].sample(frac=1, random_state=4)
    tables = {"bank": {"loans": here}, "bureau": {"people": there}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        both = session.table("bank.loans").merge(session.table("bureau.people"), on="customer_id")
        yield both.assign(bad=lambda t: (t["creditability"] == "bad").astype(int))


@pytest.fixture(scope="module")
def card(joint: mpc.DataFrame) -> ScoreCard:
    encoder = WoeEncoder(max_bins=6, min_count=50)
    return ScoreCard(encoder, pdo=40, base_score=500, base_odds=10).fit(joint[FEATURES], joint["bad"])


@pytest.fixture(scope="module")
def released(card: ScoreCard) -> ReleasedCard:
    return card.reveal()


def _points(table: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Points of the same bins in the clear, from statsmodels on the released WOE values."""
    weighed = pd.DataFrame(index=GERMAN.index)
    for name, rows in table.groupby("variable", sort=False):
        column = pd.Series(np.nan, GERMAN.index)
        for row in rows.itertuples(index=False):
            if row.values:
                column[GERMAN[name].isin(row.values)] = row.woe
            else:
                column[(GERMAN[name] >= row.low) & (GERMAN[name] < row.high)] = row.woe
        weighed[name] = column
    fit = sm.Logit(BAD, sm.add_constant(weighed[FEATURES])).fit(disp=0)
    factor = 40 / np.log(2)
    offset = 500 - factor * np.log(10)
    share = (offset - factor * fit.params["const"]) / len(FEATURES)
    want = [share - factor * fit.params[row.variable] * row.woe for row in table.itertuples(index=False)]
    return table.assign(want=want), float(np.abs(fit.params / fit.bse).max())


def test_points_are_those_of_the_clear_card(released: ReleasedCard) -> None:
    table, _ = _points(released.table)
    assert np.abs(table["points"] - table["want"]).max() <= 0.5 + 0.05
    assert (table["points"] == table["points"].round()).all()


def test_a_feature_merged_into_one_bin_changes_nothing_else(joint: mpc.DataFrame) -> None:
    encoder = WoeEncoder(max_bins=3, edges={"credit_amount": [100_000.0]})
    card = ScoreCard(encoder, rounded=False).fit(joint[FEATURES[:3]], joint["bad"]).reveal()
    (one,) = card.bins_of("credit_amount")
    assert (one.low, one.high) == (None, None)
    kept = [FEATURES[0], FEATURES[2]]
    without = ScoreCard(WoeEncoder(max_bins=3), rounded=False).fit(joint[kept], joint["bad"]).reveal()
    np.testing.assert_allclose(card.score(GERMAN), without.score(GERMAN), rtol=0, atol=0.05)


def test_a_card_of_collinear_features_warns(joint: mpc.DataFrame) -> None:
    twice = joint.assign(again=lambda t: t["age_in_years"])
    card = ScoreCard(WoeEncoder(max_bins=3)).fit(twice[["age_in_years", "again"]], twice["bad"])
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        card.reveal()
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        card.points()


def test_secret_scores_are_the_released_cards(joint: mpc.DataFrame, card: ScoreCard, released: ReleasedCard) -> None:
    got = joint[["customer_id"]].assign(score=card.score(joint[FEATURES])).collect().set_index("customer_id")["score"]
    want = pd.Series(released.score(GERMAN), GERMAN["customer_id"])
    assert (got.loc[want.index].to_numpy() == want.to_numpy()).all()


def test_an_owner_gets_the_points_of_its_own_bins(card: ScoreCard, released: ReleasedCard) -> None:
    mine = card.points(to="bureau")
    assert set(mine["variable"]) == set(FEATURES[2:])
    both = released.table[released.table["variable"].isin(FEATURES[2:])]
    assert mine["points"].tolist() == both["points"].tolist()
    with pytest.raises(SchemaError, match="has no feature"):
        card.points(owner="nobody")


def test_forms_of_a_released_card(released: ReleasedCard) -> None:
    want = released.score(GERMAN)
    sql = duckdb.sql(f"SELECT {released.to_sql()} AS score FROM GERMAN").df()["score"]
    np.testing.assert_array_equal(sql, want)
    again = ReleasedCard.from_json(released.to_json())
    np.testing.assert_array_equal(again.score(GERMAN), want)
    unknown = GERMAN.head(3).assign(savings_account_and_bonds="never seen", credit_amount=np.nan)
    assert np.isfinite(released.score(unknown)).all()


def _bands(edges: list[float]) -> list[str]:
    return [f"[{low}, {high})" for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)]


def test_bands_of_secret_scores(joint: mpc.DataFrame, card: ScoreCard, released: ReleasedCard) -> None:
    edges = [480.0, 500.0, 520.0]
    frame = joint[["customer_id"]].assign(band=card.bands(joint[FEATURES], edges))
    named = joint[["customer_id"]].assign(band=card.bands(joint[FEATURES], edges, labels=["D", "C", "B", "A"]))
    got, short = (part.set_index("customer_id")["band"] for part in mpc.collect(frame, named))
    at = np.digitize(released.score(GERMAN), edges)
    assert got.loc[GERMAN["customer_id"]].tolist() == [_bands(edges)[i] for i in at]
    assert short.loc[GERMAN["customer_id"]].tolist() == ["DCBA"[i] for i in at]
    assert len(set(at)) == 4


def test_scikit_learn_pipeline_of_a_released_card(released: ReleasedCard) -> None:
    want = released.score(GERMAN)
    pipeline = released.to_sklearn()
    np.testing.assert_array_equal(pipeline.predict(GERMAN), want)
    copied = clone(pipeline).fit(GERMAN, BAD)
    np.testing.assert_array_equal(copied.predict(GERMAN[FEATURES[::-1]]), want)
    np.testing.assert_array_equal(copied[:1].transform(GERMAN).sum(axis=1), want)
    assert copied[:1].get_feature_names_out().tolist() == FEATURES


def test_pmml_scores_as_the_card_does(released: ReleasedCard) -> None:
    rows = GERMAN.copy()
    rows["credit_amount"] = rows["credit_amount"].astype(float)
    rows.loc[:5, "credit_amount"] = np.nan
    rows.loc[3:8, "savings_account_and_bonds"] = "never seen"
    assert pmml_score(released.to_pmml(), rows) == released.score(rows).tolist()


def test_forms_of_special_values_and_odd_names() -> None:
    bins = (
        CardBin('a "<b>', 1.25, high=3.0),
        CardBin('a "<b>', 10.123456789, low=3.0),
        CardBin('a "<b>', -4.0, values=("-1", "99")),
        CardBin('a "<b>', 7.5, missing=True),
        CardBin("c", 2.0, values=('say "x"', "o'clock")),
        CardBin("c", 3.0, values=("other",)),
    )
    card = ReleasedCard(bins, pd.DataFrame())
    texts = ['say "x"', "o'clock", "other", None, "new"]
    rows = pd.DataFrame({'a "<b>': [-1.0, 99, 2.5, 3, np.nan], "c": texts})
    want = [-2.0, -2.0, 4.25, 10.123456789, 7.5]
    assert card.score(rows).tolist() == want
    assert pmml_score(card.to_pmml(), rows) == want
    assert card.to_sklearn().predict(rows).tolist() == want
    assert ReleasedCard.from_json(card.to_json()).score(rows).tolist() == want
    for engine in ("onnxruntime", "reference"):
        assert onnx_run(card.to_onnx(), rows, engine)["score"].tolist() == want
    assert duckdb.sql(f"SELECT ({card.to_sql()})::DOUBLE AS score FROM rows").df()["score"].tolist() == want
