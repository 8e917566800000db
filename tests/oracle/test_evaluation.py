"""Evaluation reports: measures of two models of the Taiwan data as scikit-learn has them; pages that show no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as clear
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mpc_engine as mpc
from mpc_engine.errors import SchemaError
from mpc_engine.ml import EvaluationReport, ReleasedCard, ScoreCard, WoeEncoder, evaluate

ROWS = 4000


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probabilities of two models that were fitted in the clear on half of the rows; labels elsewhere."""
    path = Path(__file__).parents[2] / "examples" / "data" / "taiwan_credit.parquet"
    rows = pd.read_parquet(path).head(ROWS)
    X, y = rows.drop(columns=["customer_id", "default"]).to_numpy(float), rows["default"].to_numpy()
    logit = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[::2], y[::2])
    trees = HistGradientBoostingClassifier(max_iter=30, max_depth=4, early_stopping=False).fit(X[::2], y[::2])
    scores = pd.DataFrame({"customer_id": rows["customer_id"]})
    for name, model in (("logit", logit), ("trees", trees)):
        scores[name] = model.predict_proba(X)[:, 1].round(5)
    labels = rows[["customer_id", "default", "limit_bal"]].assign(new=np.arange(ROWS) % 2)
    return labels, scores.sample(frac=1, random_state=3)


LABELS, SCORES = _tables()
BOTH = LABELS.merge(SCORES, on="customer_id")
NEW = BOTH[BOTH["new"] == 1]


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    tables = {"bank": {"loans": LABELS}, "vendor": {"scores": SCORES}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("vendor.scores"), on="customer_id")


@pytest.fixture(scope="module")
def report(joint: mpc.DataFrame) -> EvaluationReport:
    old, new = joint[joint["new"] == 0], joint[joint["new"] == 1]
    names = ("logit", "trees")
    evaluation = evaluate(
        new["default"], {name: new[name] for name in names}, expected={name: old[name] for name in names}
    )
    assert "logit, trees" in repr(evaluation)
    return evaluation.collect(to="bank")


@pytest.mark.parametrize("model", ["logit", "trees"])
def test_measures_are_those_of_scikit_learn(report: EvaluationReport, model: str) -> None:
    y, p = NEW["default"].to_numpy(), NEW[model].to_numpy()
    got = report.metrics.loc[model]
    fpr, tpr, _ = clear.roc_curve(y, p)
    assert got["auc"] == pytest.approx(clear.roc_auc_score(y, p), abs=1e-4)
    assert got["auc_low"] < got["auc"] < got["auc_high"]
    assert got["gini"] == pytest.approx(2 * got["auc"] - 1)
    assert got["ks"] == pytest.approx((tpr - fpr).max(), abs=1e-4)
    assert got["log_loss"] == pytest.approx(clear.log_loss(y, p), abs=1e-4)
    assert got["brier"] == pytest.approx(clear.brier_score_loss(y, p), abs=1e-4)
    assert 0 <= got["psi"] < 0.1


def test_the_difference_is_that_of_the_areas(report: EvaluationReport) -> None:
    (pair,) = report.differences.index
    assert pair == ("logit", "trees")
    row = report.differences.loc[pair]
    assert row["difference"] == pytest.approx(report.metrics["auc"].diff().iloc[1] * -1, abs=1e-4)
    assert row["z"] == pytest.approx(row["difference"] / row["se"])
    assert row["pvalue"] < 0.05  # trees are better than a logit of the raw columns


def test_bands_are_the_released_counts(report: EvaluationReport) -> None:
    edges = np.quantile(NEW["trees"], np.arange(1, 20) / 20)
    band = 19 - np.searchsorted(edges, NEW["trees"], side="right")
    want = NEW.groupby(band).agg(count=("default", "size"), event=("default", "sum"), mean_score=("trees", "mean"))
    got = report.bands["trees"]
    np.testing.assert_array_equal(got[["count", "event"]], want[["count", "event"]])
    np.testing.assert_allclose(got["mean_score"], want["mean_score"], rtol=0, atol=1e-4)


class _Page(HTMLParser):
    """Elements by name, and everything that is said."""

    VOID = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def _read(path: Path) -> _Page:
    text = path.read_text("utf-8")
    assert not re.search(r"https?://|url\(|@import|<script|<img|<link", text)
    parser = _Page()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_a_page_of_curves_that_screen_readers_can_read(report: EvaluationReport, tmp_path: Path) -> None:
    page = _read(report.to_html(tmp_path / "report.html", title="logit < trees"))
    drawn = [attrs for tag, attrs in page.found if tag == "svg"]
    assert len(drawn) == 5  # ROC, lift, calibration, two KS
    ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
    assert len(ids) == 2 * len(drawn)
    for attrs in drawn:
        assert attrs["role"] == "img"
        assert set((attrs["aria-labelledby"] or "").split()) <= ids
    for said in ("logit < trees", "ROC", "Lift", "Calibration", "KS of trees", "Disclosed", "pvalue", "logit – trees"):
        assert said in page.text, said
    assert f"trees has an area under the curve of {report.metrics.loc['trees', 'auc']:.4f}" in page.text


def test_small_bands_are_nowhere_on_the_page(joint: mpc.DataFrame, tmp_path: Path) -> None:
    high = 0.8  # rows above: few
    few = int((BOTH["trees"] >= high).sum())
    assert few > 0
    least = few + 1
    found = evaluate(joint["default"], joint["trees"], bins=[0.1, 0.2, 0.4, high], min_count=least).collect()
    missing = found.bands["model"]["count"].isna()
    assert missing.tolist() == [True, True, False, False, False]  # the smallest that is large enough goes, too
    page = _read(found.to_html(tmp_path / "report.html"))
    assert "Bands with too few rows are left out: 2 of model" in page.text
    sections = found.sections()
    table, curves = sections["Bands of model"], sections["Curves"]
    assert [set(row[1:]) == {""} for row in table.rows] == missing.tolist()
    lines = {line.name.split(":")[0]: line for chart in curves for line in chart.lines if not line.reference}
    assert {name: len(line.points) for name, line in lines.items()} == {"model": 3, "events": 4, "non-events": 4}
    kept = BOTH[BOTH["trees"] < 0.4]
    assert found.bands["model"]["event"].sum() == kept["default"].sum()


def test_scores_that_are_no_probabilities(joint: mpc.DataFrame) -> None:
    found = evaluate(joint["default"], {"limit": -1 * joint["limit_bal"]}, bins=4).collect()
    assert found.metrics[["log_loss", "brier"]].isna().all(axis=None)
    want = clear.roc_auc_score(BOTH["default"], -BOTH["limit_bal"])
    assert found.metrics.loc["limit", "auc"] == pytest.approx(want, abs=1e-4)
    assert [chart.title for chart in found.sections()["Curves"]][:2] == ["ROC", "Lift"]
    assert len(found.differences) == 0
    assert "<svg" in found._repr_html_()


def test_weights_of_evidence_by_bin(joint: mpc.DataFrame, report: EvaluationReport, tmp_path: Path) -> None:
    card = ScoreCard(WoeEncoder(max_bins=4)).fit(joint[["limit_bal", "trees"]], joint["default"]).reveal()
    page = _read(report.to_html(tmp_path / "card.html", more=card.sections()))
    assert len([tag for tag, _ in page.found if tag == "svg"]) == 7
    for label in card.table["bin"]:
        assert label in page.text
    assert "weight of evidence" in page.text
    (tree, limit) = (chart.title.split(":")[0] for chart in card.sections()["Weight of evidence by bin"])
    assert (tree, limit) == ("trees", "limit_bal")  # by information value
    hidden = card.sections(min_count=ROWS)["Score card"]
    assert {row[2] for row in hidden.rows} == {""}
    assert set(ReleasedCard.from_json(card.to_json()).sections()) == {"Score card"}


def test_what_is_refused(joint: mpc.DataFrame) -> None:
    with pytest.raises(SchemaError, match="no score"):
        evaluate(joint["default"], {})
    with pytest.raises(SchemaError, match="earlier scores of each model"):
        evaluate(joint["default"], {"trees": joint["trees"]}, expected={"logit": joint["logit"]})
