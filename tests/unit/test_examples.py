"""The examples: right in the clear, right on shares, their data as described."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from mpc_engine.cli.demo import Outcome, load_example, run_example
from mpc_engine.cli.reference import difference
from tests.notebooks import run_notebook

# What issue and README promise for real data under aby3.
COEFFICIENT = 0.1  # standard errors
PVALUE = 0.01
METRIC = 0.0005  # equal to three decimals
MEAN = 2.0**-16  # declared bound of a division by a secret count


def check(found: Outcome) -> None:
    """Counts and sums exactly, means and the model within their bounds."""
    assert list(found.segments.index) == list(found.clear_segments.index)
    for name in found.clear_segments.columns:
        bound = MEAN if name.endswith("_rate") else 0
        assert (found.segments[name] - found.clear_segments[name]).abs().max() <= bound, name
    assert found.model.converged_
    assert found.reference.source == "statsmodels"
    off = difference(found.model, found.reference)
    assert off.coefficient < COEFFICIENT
    assert off.pvalue < PVALUE
    assert abs(found.auc - found.clear_auc) < METRIC
    assert abs(found.ks - found.clear_ks) < METRIC


def test_german_in_the_clear() -> None:
    check(run_example("german", protocol="plaintext", executor="threads"))


@pytest.mark.ray
def test_german_on_shares() -> None:
    check(run_example("german", protocol="aby3", executor="ray"))


def test_taiwan_in_the_clear() -> None:
    check(run_example("taiwan", protocol="plaintext", executor="threads"))


@pytest.mark.slow
@pytest.mark.ray
def test_taiwan_on_shares() -> None:
    check(run_example("taiwan", protocol="aby3", executor="ray"))


def test_german_split_has_customers_of_one_bank_only() -> None:
    tables = load_example("german").tables()
    a, b = (set(table["customer_id"]) for held in tables.values() for table in held.values())
    assert (len(a), len(b), len(a & b)) == (1000, 1030, 950)
    assert "creditability" not in tables["bank_b"]["accounts"]
    assert not set(tables["bank_a"]["applications"]) & (set(tables["bank_b"]["accounts"]) - {"customer_id"})


def test_taiwan_split_shares_only_the_key() -> None:
    tables = load_example("taiwan").tables()
    assert set(tables["bank"]["clients"]) & set(tables["partner"]["payments"]) == {"customer_id"}
    assert len(tables["bank"]["clients"]) == len(tables["partner"]["payments"]) == 30_000


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
def test_champion_and_challenger(protocol: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = str(tmp_path / "report.html")
    found = run_notebook(
        "credit_risk/taiwan_challenger.py", monkeypatch, protocol=protocol, CLIENTS=3000, TREES=4, REPORT=page
    )
    measures = found["report"].metrics
    assert measures.index.tolist() == ["score card", "trees"]
    assert (measures["auc"] > 0.7).all()
    assert (measures["ks"] > 0.25).all()
    gap = found["report"].differences.loc[("score card", "trees")]
    assert gap["difference"] == pytest.approx(
        measures.loc["score card", "auc"] - measures.loc["trees", "auc"], abs=1e-4
    )
    assert 0 < gap["pvalue"] < 1
    text = Path(page).read_text("utf-8")
    assert text.count("<svg") == 5 + len(found["FEATURES"])  # ROC, lift, calibration, two KS; a feature's bins each


@pytest.mark.parametrize("protocol", ["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def test_the_german_card(protocol: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = str(tmp_path / "report.html")
    found = run_notebook("credit_risk/german_card.py", monkeypatch, protocol=protocol, REPORT=page)
    assert set(found["points"]["bank_a"]["variable"]) == set(found["AT_BANK_A"])
    assert set(found["points"]["bank_b"]["variable"]) == set(found["AT_BANK_B"])
    measures = found["report"].metrics.loc["score card"]
    assert measures["auc"] > 0.75
    assert measures["auc_low"] < measures["auc"] < measures["auc_high"]
    rows = found["applications"].merge(found["accounts"], on="customer_id")
    scores = duckdb.sql(f"SELECT {found['query']} AS score FROM rows").df()["score"]
    np.testing.assert_array_equal(scores, found["released"].score(rows))
    assert "ROC" in Path(page).read_text("utf-8")


@pytest.mark.parametrize("protocol", ["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def test_bad_anywhere(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_notebook("bad_anywhere/bad_anywhere.py", monkeypatch, protocol=protocol)
    held = found["tables"]()
    a, b = held["bank_a"]["accounts"], held["bank_b"]["accounts"]
    assert not set(a["customer_id"] * 12 + a["month"]) & set(b["customer_id"] * 12 + b["month"])
    customers = held["bank_a"]["applications"]["customer_id"]
    here, there = (
        t[t["month"] > 6].groupby("customer_id")["months_late"].max().reindex(customers) >= 2 for t in (a, b)
    )
    rates = found["rates"]
    assert rates["customers"].item() == len(customers) == 4800
    assert rates["bad_here"].item() == pytest.approx(here.mean(), abs=MEAN)
    assert rates["bad_anywhere"].item() == pytest.approx((here | there).mean(), abs=MEAN)
    assert found["report"].loc["left", "matched"] == customers.isin(b["customer_id"]).sum()
    alone, together = found["quality"]["alone"], found["quality"]["together"]
    assert together["AUC"] > alone["AUC"] > 0.78
    assert together["log loss"] < alone["log loss"]
    assert set(found["points"]["bank_b"]["variable"]) == {"late_at_b", "balance_at_b", "paid_at_b"}
