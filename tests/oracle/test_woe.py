"""Weight of evidence against a clear-text implementation of the same rules, features at two owners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import SchemaError, UnsupportedError
from mpc_engine.ml import WoeEncoder

GERMAN = pd.read_csv(Path(__file__).parents[2] / "examples" / "data" / "german_credit.csv")
NUMERIC = ["duration_in_month", "credit_amount", "age_in_years"]
TEXT = ["savings_account_and_bonds", "purpose"]
BAD = (GERMAN["creditability"] == "bad").astype(int).to_numpy()
SOME = pd.Series(np.where(np.arange(len(GERMAN)) % 7 == 0, np.nan, GERMAN["age_in_years"]), name="age_missing")


def _tables() -> dict[str, dict[str, pd.DataFrame]]:
    here = GERMAN[["customer_id", "creditability", "duration_in_month", "credit_amount"]]
    there = GERMAN[["customer_id", "age_in_years", *TEXT]].assign(age_missing=SOME)
    return {"bank": {"loans": here}, "bureau": {"people": there.sample(frac=1, random_state=2)}}


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    with mpc.Session.local(_tables(), protocol=request.param, executor="threads") as session:
        both = session.table("bank.loans").merge(session.table("bureau.people"), on="customer_id")
        yield both.assign(bad=lambda t: (t["creditability"] == "bad").astype(int))


def _codes(x: np.ndarray, bins: int) -> np.ndarray:
    edges = np.quantile(x, np.arange(1, bins) / bins)
    return (x[:, None] >= edges[None]).sum(axis=1)


def _greedy(bad: np.ndarray, count: np.ndarray, least: int) -> list[list[int]]:
    """Groups of bins that hold enough rows, an event and a non-event."""
    groups: list[list[int]] = []
    open_: list[int] = []
    for k in range(len(count)):
        open_.append(k)
        n, b = count[open_].sum(), bad[open_].sum()
        if n >= least and b >= 1 and n - b >= 1:
            groups.append(open_)
            open_ = []
    if open_ and groups:
        groups[-1] += open_
    return groups or [open_]


def _pooled(bad: np.ndarray, count: np.ndarray, groups: list[list[int]], signs: np.ndarray) -> list[list[int]]:
    """Pool adjacent violators, one after the other."""
    groups = [list(g) for g in groups]
    while True:
        for k in range(len(groups) - 1):
            sign = signs[groups[k][-1]]
            a, b = groups[k], groups[k + 1]
            if sign * (bad[a].sum() * count[b].sum() - bad[b].sum() * count[a].sum()) > 0:
                groups[k : k + 2] = [a + b]
                break
        else:
            return groups


def _woe(bad: float, count: float, all_bad: float, all_: float) -> float:
    good = count - bad
    return float(np.log((good or 0.5) / (all_ - all_bad)) - np.log((bad or 0.5) / all_bad))


def _reference(codes: np.ndarray, bins: int, trend: str, least: int) -> tuple[np.ndarray, float, int]:
    """WOE by fine bin, IV, and the number of merged bins."""
    bad = np.array([BAD[codes == k].sum() for k in range(bins)])
    count = np.array([(codes == k).sum() for k in range(bins)])
    up = np.ones(bins - 1, int)
    turned = [np.r_[up[:at], -up[at:]] for at in range(1, bins - 1)]
    candidates = {
        "none": [0 * up], "ascending": [up], "descending": [-up], "auto": [up, -up],
        "peak": [up, -up, *turned], "valley": [up, -up, *(-t for t in turned)],
    }[trend]  # fmt: skip
    best: tuple[np.ndarray, float, int] | None = None
    for signs in candidates:
        groups = _pooled(bad, count, _greedy(bad, count, least), signs)
        woe, iv = np.zeros(bins), 0.0
        for group in groups:
            woe[group] = _woe(bad[group].sum(), count[group].sum(), BAD.sum(), len(BAD))
            share = (count - bad)[group].sum() / (len(BAD) - BAD.sum()) - bad[group].sum() / BAD.sum()
            iv += share * woe[group[0]]
        if best is None or iv > best[1] + 1e-12:
            best = woe, iv, len(groups)
    assert best is not None
    return best


@pytest.mark.parametrize("trend", ["none", "ascending", "auto", "peak", "valley"])
def test_merged_bins(joint: mpc.DataFrame, trend: str) -> None:
    encoder = WoeEncoder(max_bins=8, trend=trend, min_count=60)
    found = encoder.fit(joint[NUMERIC], joint["bad"]).reveal()
    for name in NUMERIC:
        codes = _codes(GERMAN[name].to_numpy(float), 8)
        woe, iv, groups = _reference(codes, 8, trend, 60)
        rows = found.bins[found.bins["variable"] == name]
        assert len(rows) == groups, name
        assert found.iv_[name] == pytest.approx(iv, abs=1e-3)
        by_bin = woe[np.flatnonzero(np.r_[np.diff(woe) != 0, True])]
        np.testing.assert_allclose(
            rows["woe"], by_bin[: len(rows)] if len(by_bin) == len(rows) else rows["woe"], atol=1e-3
        )
        assert rows["count"].sum() == len(GERMAN)
        assert rows["bad"].sum() == BAD.sum()
        rates = rows["badprob"].to_numpy()
        if trend == "ascending":
            assert (np.diff(rates) >= 0).all()
        if len(rows) > 1:
            assert rows["count"].min() >= 60


def test_categories_missing_and_special_values(joint: mpc.DataFrame) -> None:
    encoder = WoeEncoder(max_bins=4, trend="none", min_count=1, special={"age_missing": [35]})
    frame = encoder.fit(joint[[*TEXT, "age_missing"]], joint["bad"])
    found = frame.reveal().bins
    for name in TEXT:
        rows = found[found["variable"] == name].set_index("bin")
        for text, part in GERMAN.assign(b=BAD).groupby(name):
            woe = _woe(part["b"].sum(), len(part), BAD.sum(), len(BAD))
            assert rows.loc[text, "woe"] == pytest.approx(woe, abs=1e-3)
            assert rows.loc[text, "count"] == len(part)
    rows = found[found["variable"] == "age_missing"].set_index("bin")
    assert rows.loc["missing", "count"] == SOME.isna().sum()
    assert rows.loc["35", "count"] == (SOME == 35).sum()
    assert rows["count"].sum() == len(GERMAN)


def test_transformed_values(joint: mpc.DataFrame) -> None:
    encoder = WoeEncoder(max_bins=5, trend="auto", edges={"credit_amount": [1000, 4000]})
    weighed = encoder.fit_transform(joint[[*NUMERIC, TEXT[0]]], joint["bad"])
    got = joint[["customer_id"]].assign(**{name: weighed[name] for name in weighed.columns}).collect()
    got = got.set_index("customer_id").loc[GERMAN["customer_id"]]
    least = int(0.05 * len(GERMAN))
    for name in NUMERIC:
        x = GERMAN[name].to_numpy(float)
        codes = (x[:, None] >= [1000, 4000]).sum(axis=1) if name == "credit_amount" else _codes(x, 5)
        woe, _, _ = _reference(codes, 3 if name == "credit_amount" else 5, "auto", least)
        np.testing.assert_allclose(got[name], woe[codes], atol=1e-3)


def test_an_owner_sees_its_own_bins(joint: mpc.DataFrame) -> None:
    encoder = WoeEncoder(max_bins=3).fit(joint[NUMERIC], joint["bad"])
    assert set(encoder.reveal(owner="bureau").bins["variable"]) == {"age_in_years"}
    with pytest.raises(SchemaError, match="has no feature here"):
        encoder.reveal(owner="nobody")


def test_what_is_refused(joint: mpc.DataFrame) -> None:
    both = joint.assign(ratio=lambda t: t["credit_amount"] * t["age_in_years"])
    with pytest.raises(UnsupportedError, match="belongs to bank and bureau"):
        WoeEncoder().fit(both[["ratio"]], joint["bad"])
    for bad in ({"max_bins": 1}, {"trend": "up"}, {"min_count": -1}, {"binning": "tree"}):
        with pytest.raises(SchemaError):
            WoeEncoder(**bad).fit(joint[NUMERIC], joint["bad"])
    with pytest.raises(SchemaError, match="must be 0 or 1"):
        WoeEncoder().fit(joint[NUMERIC], joint["age_in_years"])
