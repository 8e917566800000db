"""Metrics of secret scores against scikit-learn, scipy and pandas: in the clear, and on shares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as clear
from scipy.stats import ks_2samp, norm

import mpc_engine as mpc
from mpc_engine.errors import MpcError, SchemaError
from mpc_engine.ml import metrics

ROWS = 1200
EDGES = [0.1, 0.2, 0.3, 0.5, 0.9]
TOLERANCE = 1e-3


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    chance = np.clip(rng.beta(1.5, 4, ROWS), 0, 1).round(3)
    left = pd.DataFrame({"id": np.arange(ROWS), "bad": (rng.random(ROWS) < chance).astype(int)})
    left["year"] = rng.integers(2022, 2024, ROWS)
    right = pd.DataFrame({"id": np.arange(ROWS), "p": np.clip(chance + rng.normal(0, 0.1, ROWS), 0, 1).round(4)})
    right["region"] = rng.choice(["east", "west"], ROWS)
    right["risk"] = np.where(rng.random(ROWS) < 0.1, np.nan, right["p"].round(2))
    return left, right.sample(frac=1, random_state=1)


LEFT, RIGHT = _tables()
BOTH = LEFT.merge(RIGHT, on="id")
NEW = BOTH["year"] == 2023


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    tables = {"bank": {"loans": LEFT}, "bureau": {"scores": RIGHT}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("bureau.scores"), on="id")


def _delong(label: np.ndarray, score: np.ndarray) -> float:
    """The standard error of the AUC from its definition."""
    good, bad = score[label == 0], score[label == 1]
    wins = (bad[:, None] > good[None]) + 0.5 * (bad[:, None] == good[None])
    return float(np.sqrt(wins.mean(1).var(ddof=1) / len(bad) + wins.mean(0).var(ddof=1) / len(good)))


def _delong_gap(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The difference of two AUCs and its standard error from the definition."""
    parts = []
    for score in (one, other):
        good, bad = score[label == 0], score[label == 1]
        wins = (bad[:, None] > good[None]) + 0.5 * (bad[:, None] == good[None])
        parts.append((wins.mean(1), wins.mean(0)))
    d, e = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    return float(d.mean()), float(np.sqrt(d.var(ddof=1) / len(d) + e.var(ddof=1) / len(e)))


def _psi(expected: pd.Series, actual: pd.Series, bands: int) -> float:
    e, a = (np.bincount(part, minlength=bands) for part in (expected, actual))
    logs = np.log(np.maximum(a, 0.5) / len(actual)) - np.log(np.maximum(e, 0.5) / len(expected))
    return float(((a / len(actual) - e / len(expected)) * logs).sum())


def test_single_numbers(joint: mpc.DataFrame) -> None:
    label, score = joint["bad"], joint["p"]
    got = mpc.collect(
        metrics.roc_auc_score(label, score),
        metrics.ks_score(label, score),
        metrics.gini(label, score),
        metrics.log_loss(label, score.clip(0.001, 0.999)),
        metrics.brier_score(label, score),
    )
    y, p = BOTH["bad"].to_numpy(), BOTH["p"].to_numpy()
    auc = clear.roc_auc_score(y, p)
    ks = ks_2samp(p[y == 1], p[y == 0]).statistic
    want = [auc, ks, 2 * auc - 1, clear.log_loss(y, p.clip(0.001, 0.999)), clear.brier_score_loss(y, p)]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_interval_of_the_area_under_the_curve(joint: mpc.DataFrame) -> None:
    old = joint[joint["year"] == 2022]
    coarse = (old["p"] * 20).astype(int)
    found, rough = mpc.collect(
        metrics.roc_auc_interval(old["bad"], old["p"], level=0.9), metrics.roc_auc_interval(old["bad"], coarse)
    )
    part = BOTH[~NEW]
    for got, score in ((found, part["p"]), (rough, np.floor(part["p"] * 20))):
        label, values = part["bad"].to_numpy(), np.asarray(score)
        assert got["auc"] == pytest.approx(clear.roc_auc_score(label, values), abs=1e-4)
        assert got["se"] == pytest.approx(_delong(label, values), rel=2e-3)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.644854 * found["se"], abs=1e-6)


def test_confusion_matrix(joint: mpc.DataFrame) -> None:
    one, other = mpc.collect(
        metrics.confusion_matrix(joint["bad"], joint["p"], threshold=0.25),
        metrics.confusion_matrix(joint[joint["year"] == 2023]["bad"], joint[joint["year"] == 2023]["p"]),
    )
    np.testing.assert_array_equal(one, clear.confusion_matrix(BOTH["bad"], BOTH["p"] >= 0.25))
    np.testing.assert_array_equal(other, clear.confusion_matrix(BOTH["bad"][NEW], BOTH["p"][NEW] >= 0.5))


def test_lift_leaves_out_small_bands(joint: mpc.DataFrame) -> None:
    got = metrics.lift_table(joint["bad"], joint["p"], bins=EDGES, min_count=10).collect()
    bands = pd.cut(BOTH["p"], [-np.inf, *EDGES, np.inf], right=False, labels=False)
    want = BOTH.groupby(5 - bands)["bad"].agg(["size", "sum"]).reindex(range(6))
    assert 0 < want["size"][0] < 10
    assert want["size"].tolist().index(want["size"][1:].min()) == 1
    # Everyone knows how many rows the merge has, so that one band would follow from the others: one more is left out.
    small = pd.Series([True, True, False, False, False, False])
    assert got.isna().all(axis=1).tolist() == small.tolist()
    kept, released = want[~small], got[~small.to_numpy()]
    np.testing.assert_array_equal(released[["count", "event"]], kept)
    rate = kept["sum"] / kept["size"]
    np.testing.assert_allclose(released["lift"], rate / (kept["sum"].sum() / kept["size"].sum()))
    np.testing.assert_allclose(released["cum_events"], kept["sum"].cumsum() / kept["sum"].sum())
    points = metrics.lift_table(joint["bad"], joint["p"], bins=4, descending=False).collect()
    assert points.index.tolist() == ["[-inf, 0.25)", "[0.25, 0.5)", "[0.5, 0.75)", "[0.75, inf)"]


def test_bands_that_are_left_out_are_enough_rows_together(joint: mpc.DataFrame) -> None:
    got = metrics.lift_table(joint["bad"], joint["p"], bins=EDGES, min_count=1).collect()
    bands = pd.cut(BOTH["p"], [-np.inf, *EDGES, np.inf], right=False, labels=False)
    np.testing.assert_array_equal(got["count"], np.bincount(5 - bands, minlength=6))
    least = int(got["count"].sort_values().iloc[1]) + 1  # two bands are too small, and large enough together
    again = metrics.lift_table(joint["bad"], joint["p"], bins=EDGES, min_count=least).collect()
    assert again["count"].isna().sum() == 2


def test_deciles_with_mean_scores(joint: mpc.DataFrame) -> None:
    coarse = (joint["p"] * 20).astype(int)
    fine, rough = mpc.collect(
        metrics.lift_table(joint["bad"], joint["p"], bins=10, binning="quantile", means=True),
        metrics.lift_table(joint["bad"], coarse, bins=4, binning="quantile", min_count=1, descending=False),
    )
    edges = np.quantile(BOTH["p"], np.arange(1, 10) / 10)
    band = 9 - np.searchsorted(edges, BOTH["p"], side="right")
    want = BOTH.groupby(band).agg(count=("bad", "size"), event=("bad", "sum"), mean_score=("p", "mean"))
    assert fine.index.tolist() == [f"{k} of 10" for k in range(10, 0, -1)]
    np.testing.assert_array_equal(fine[["count", "event"]], want[["count", "event"]])
    np.testing.assert_allclose(fine["mean_score"], want["mean_score"], rtol=0, atol=1e-4)
    whole = np.floor(BOTH["p"] * 20)
    edges = np.quantile(whole, [0.25, 0.5, 0.75])
    counts = np.bincount(np.searchsorted(edges, whole, side="right"), minlength=4)
    np.testing.assert_array_equal(rough["count"], counts)


def test_difference_of_two_areas(joint: mpc.DataFrame) -> None:
    coarse, old = (joint["p"] * 8).astype(int), joint[joint["year"] == 2022]
    found, part, same = mpc.collect(
        metrics.delong_test(joint["bad"], joint["p"], coarse),
        metrics.delong_test(old["bad"], old["p"], (old["p"] * 8).astype(int)),
        metrics.delong_test(joint["bad"], joint["p"], joint["p"]),
    )
    for got, rows in ((found, BOTH), (part, BOTH[~NEW])):
        gap, se = _delong_gap(rows["bad"].to_numpy(), rows["p"].to_numpy(), np.floor(rows["p"] * 8).to_numpy())
        assert got["difference"] == pytest.approx(gap, abs=5e-6)
        assert got["se"] == pytest.approx(se, rel=2e-3)
        assert got["pvalue"] == pytest.approx(2 * norm.sf(abs(gap / se)), abs=TOLERANCE)
    assert abs(same["difference"]) < 1e-6
    assert same["pvalue"] > 0.99


def test_stability_of_scores_and_of_columns_with_gaps(joint: mpc.DataFrame) -> None:
    old, new = joint[joint["year"] == 2022], joint[joint["year"] == 2023]
    psi, csi, gone, table = mpc.collect(
        metrics.population_stability_index(old["p"], new["p"] * 0.8, bins=EDGES),
        metrics.population_stability_index(old["risk"], new[new["region"] == "east"]["risk"], bins=EDGES[:3]),
        metrics.population_stability_index(old["p"], new["p"], bins=EDGES, min_count=5000),
        metrics.stability_table(old["p"], new["p"] * 0.8, bins=EDGES, min_count=1),
    )
    before, after = (np.digitize(part, EDGES) for part in (BOTH["p"][~NEW], BOTH["p"][NEW] * 0.8))
    want = _psi(before, after, 6)
    assert psi == pytest.approx(want, abs=TOLERANCE)
    assert np.bincount(after, minlength=6)[5] == 0  # an empty band counts as half a row, and is not released
    assert table["psi"].isna().tolist() == [False] * 5 + [True]
    np.testing.assert_array_equal(table["expected"][:5], np.bincount(before, minlength=6)[:5])
    risk = np.where(BOTH["risk"].isna(), 4, np.digitize(BOTH["risk"], EDGES[:3]))
    east = NEW & (BOTH["region"] == "east")
    assert csi == pytest.approx(_psi(risk[~NEW], risk[east], 5), abs=TOLERANCE)
    assert pd.isna(gone)
    tenths = metrics.population_stability_index(old["p"], new["p"] * 0.8, bins=10, binning="quantile").collect()
    edges = np.quantile(BOTH["p"][~NEW], np.arange(1, 10) / 10)
    parts = (np.searchsorted(edges, part, side="right") for part in (BOTH["p"][~NEW], BOTH["p"][NEW] * 0.8))
    assert tenths == pytest.approx(_psi(*parts, 10), abs=TOLERANCE)


def test_metrics_by_segment(joint: mpc.DataFrame) -> None:
    parts = metrics.by_segment(
        metrics.roc_auc_score, joint["bad"], joint["p"], by=joint["region"], values=["east", "west"]
    )
    for region, got in zip(parts, mpc.collect(*parts.values()), strict=True):
        part = BOTH[BOTH["region"] == region]
        assert got == pytest.approx(clear.roc_auc_score(part["bad"], part["p"]), abs=1e-4)


def test_what_is_refused(joint: mpc.DataFrame) -> None:
    with pytest.raises(SchemaError, match="takes probabilities"):
        metrics.log_loss(joint["bad"], joint["p"] * 3)
    with pytest.raises(SchemaError, match="must be 0 or 1"):
        metrics.roc_auc_interval(joint["year"], joint["p"])
    with pytest.raises(SchemaError, match="must ascend"):
        metrics.lift_table(joint["bad"], joint["p"], bins=[0.5, 0.5])
    with pytest.raises(SchemaError, match="bands cannot be"):
        metrics.lift_table(joint["bad"], joint["p"], binning="deciles")
    with pytest.raises(SchemaError, match="2 to 1000 bands"):
        metrics.lift_table(joint["bad"], joint["p"], bins=1, binning="quantile")
    with pytest.raises(SchemaError, match="min_count"):
        metrics.stability_table(joint["p"], joint["p"], min_count=0)
    with pytest.raises(SchemaError, match="level"):
        metrics.roc_auc_interval(joint["bad"], joint["p"], level=95)
    with pytest.raises(MpcError, match="without missing values"):
        metrics.roc_auc_score(joint["bad"], joint["risk"])
