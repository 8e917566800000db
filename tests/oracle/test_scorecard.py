"""Score cards on real data against the same card computed in the clear, and the forms a released card takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import ReleasedCard, ScoreCard, WoeEncoder

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
