"""Preparing joint data, on real data of two owners: matches counted before a merge, texts as columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.preprocessing import OneHotEncoder as Theirs

import mpc_engine as mpc
from mpc_engine.cli.demo import load_example
from mpc_engine.errors import SchemaError
from mpc_engine.ml import LogisticRegression, OneHotEncoder, Pipeline, match_report

TABLES = load_example("german").tables()
APPLICATIONS, ACCOUNTS = TABLES["bank_a"]["applications"], TABLES["bank_b"]["accounts"]


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    ids = APPLICATIONS["customer_id"].astype("Int64")
    some = APPLICATIONS.assign(phone=ids.where(APPLICATIONS["telephone"] != "none"))
    few = ACCOUNTS.head(700).rename(columns={"customer_id": "number"})
    tables = {"bank_a": {"applications": some}, "bank_b": {"accounts": ACCOUNTS, "few": few}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as made:
        yield made


def test_match_report_of_the_banks_customers(session: mpc.Session) -> None:
    left, right = session.table("bank_a.applications"), session.table("bank_b.accounts")
    report = match_report(left, right, on="customer_id")
    found = report.collect()
    assert found.loc["left"].tolist() == [1000, 0, 1000, 950, 0.95]
    assert found.loc["right"].tolist() == [1030, 0, 1030, 950, 950 / 1030]
    said = [str(item) for item in report.explain().disclosures]
    assert not any("intersection" in item or "in common" in item for item in said)


def test_match_report_of_keys_with_other_names_that_may_be_missing(session: mpc.Session) -> None:
    left, right = session.table("bank_a.applications"), session.table("bank_b.few")
    found = match_report(left, right, left_on="phone", right_on="number").collect()
    phones = APPLICATIONS.loc[APPLICATIONS["telephone"] != "none", "customer_id"]
    matched = phones.isin(ACCOUNTS.head(700)["customer_id"]).sum()
    assert found.loc["left"].tolist() == [1000, 1000 - len(phones), len(phones), matched, matched / 1000]
    assert found.loc["right"].tolist() == [700, 0, 700, matched, matched / 700]


def test_few_matches_are_not_told(session: mpc.Session) -> None:
    left, right = session.table("bank_a.applications"), session.table("bank_b.accounts")
    hidden = match_report(left, right, on="customer_id", min_count=60).collect()  # 50 of the left have no match
    assert hidden["matched"].isna().tolist() == [True, False]
    assert hidden["match_rate"].isna().tolist() == [True, False]
    with pytest.raises(SchemaError, match="needs on="):
        match_report(left, right)
    with pytest.raises(SchemaError, match="min_count"):
        match_report(left, right, on="customer_id", min_count=-1)


def test_one_hot_columns_are_those_of_scikit_learn(session: mpc.Session) -> None:
    df = session.table("bank_a.applications")
    features = ["purpose", "age_in_years", "housing"]
    for drop in (None, "first"):
        encoder = OneHotEncoder(drop=drop).fit(df[features])
        made = encoder.transform(df[features])
        assert list(made.columns) == encoder.get_feature_names_out()
        assert made.owners == ("bank_a",)
        theirs = Theirs(drop=drop, sparse_output=False).fit(APPLICATIONS[["purpose", "housing"]])
        names = theirs.get_feature_names_out().tolist()
        want = theirs.transform(APPLICATIONS[["purpose", "housing"]])
        np.testing.assert_array_equal(made[names].collect().to_numpy(), want)
    with pytest.raises(SchemaError, match="drop cannot be"):
        OneHotEncoder(drop="last").fit(df[features])


def test_one_hot_in_a_pipeline(session: mpc.Session) -> None:
    df = session.table("bank_a.applications").assign(bad=lambda t: (t["creditability"] == "bad").astype(int))
    features = ["housing", "duration_in_month", "other_installment_plans"]
    model = Pipeline([("hot", OneHotEncoder(drop="first")), ("logit", LogisticRegression())])
    fitted = model.fit(df[features], df["bad"]).reveal()
    X = pd.get_dummies(APPLICATIONS[features], drop_first=True, dtype=float)[list(fitted.feature_names_in_)]
    want = sm.Logit((APPLICATIONS["creditability"] == "bad").astype(int), sm.add_constant(X)).fit(disp=0)
    assert (np.abs(fitted.params - want.params.to_numpy()) / want.bse.to_numpy()).max() < 0.05
