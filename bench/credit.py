"""Measures joint credit modelling on real data against statsmodels, scikit-learn and scipy, and writes docs/credit.md.

    python bench/credit.py [--trees N] [--out FILE]

Half of the features of every data set are held by one owner, the others by another; a third party only computes. All
run under `aby3`, a process for each party on this machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.datasets import load_diabetes
from sklearn.metrics import roc_auc_score

import mpc_engine as mpc
from mpc_engine.ml import (
    GammaRegressor,
    GradientBoostingClassifier,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
    WoeEncoder,
    metrics,
    train_test_split,
)

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
LOG = sm.families.links.Log()
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A regression on real data.

    Attributes
    ----------
    rows : DataFrame
    features : list of str
        The first half is one owner's, the rest another's.
    target : str
        At the first owner.
    model : estimator
    family : statsmodels family
    """

    rows: pd.DataFrame
    features: list[str]
    target: str
    model: Any
    family: Any

    def tables(self) -> dict[str, dict[str, pd.DataFrame]]:
        """Each owner's table; the second has its rows in another order."""
        rows, half = self.rows.assign(row=np.arange(len(self.rows))), len(self.features) // 2
        other = rows[["row", *self.features[half:]]].sample(frac=1, random_state=1)
        return {"bank": {"left": rows[["row", self.target, *self.features[:half]]]}, "partner": {"right": other}}

    def clear(self) -> Any:
        """Return what statsmodels finds."""
        return sm.GLM(self.rows[self.target], sm.add_constant(self.rows[self.features]), family=self.family).fit()


def german() -> pd.DataFrame:
    """German Credit: who is bad, and a column for each but the first value of its texts."""
    rows = pd.read_csv(DATA / "german_credit.csv").drop(columns="customer_id")
    bad = (rows.pop("creditability") == "bad").astype(int)
    texts = list(rows.select_dtypes("str").columns)
    return pd.get_dummies(rows, columns=texts, drop_first=True, dtype=int).assign(bad=bad)


def taiwan() -> pd.DataFrame:
    """Default of Credit Card Clients."""
    return pd.read_parquet(DATA / "taiwan_credit.parquet")


def problems() -> dict[str, Callable[[], Problem]]:
    """Name regressions on data sets that come with this project, statsmodels or scikit-learn."""

    def of(rows: pd.DataFrame, target: str, model: Any, family: Any, leave: tuple[str, ...] = ()) -> Problem:
        features = [name for name in rows.columns if name not in (target, *leave)]
        return Problem(rows.reset_index(drop=True), features, target, model, family)

    def fair() -> pd.DataFrame:
        return sm.datasets.fair.load_pandas().data

    binomial = sm.families.Binomial()
    return {
        "logistic, German Credit": lambda: of(german(), "bad", LogisticRegression(), binomial),
        "logistic, Taiwan": lambda: of(taiwan(), "default", LogisticRegression(), binomial, ("customer_id",)),
        "logistic, Fair's affairs": lambda: of(
            fair().assign(any=lambda t: (t["affairs"] > 0).astype(int)), "any", LogisticRegression(), binomial,
            ("affairs",),
        ),
        "linear, diabetes": lambda: of(
            load_diabetes(as_frame=True, scaled=False).frame, "target", LinearRegression(), sm.families.Gaussian()
        ),
        "Poisson, RAND health insurance": lambda: of(
            sm.datasets.randhie.load_pandas().data, "mdvis", PoissonRegressor(), sm.families.Poisson()
        ),
        "gamma, Scottish vote": lambda: of(
            sm.datasets.scotland.load_pandas().data, "YES", GammaRegressor(), sm.families.Gamma(LOG)
        ),
        "gamma, limits in Taiwan": lambda: of(
            taiwan()[["limit_bal", "sex", "age", "marriage", "pay_status_0", "default"]], "limit_bal",
            GammaRegressor(), sm.families.Gamma(LOG),
        ),
        "Tweedie, Fair's affairs": lambda: of(
            fair(), "affairs", TweedieRegressor(power=1.5), sm.families.Tweedie(LOG, var_power=1.5)
        ),
    }  # fmt: skip


def difference(found: Any, want: Any) -> tuple[float, float, float]:
    """How far coefficients (in standard errors), standard errors (relatively) and p-values are apart at most."""
    return (
        float(np.abs((found.params - want.params.to_numpy()) / want.bse.to_numpy()).max()),
        float(np.abs(found.bse_ / want.bse.to_numpy() - 1).max()),
        float(np.abs(found.pvalues_ - want.pvalues.to_numpy()).max()),
    )


@contextmanager
def session(tables: Mapping[str, Mapping[str, Any]], **options: Any) -> Iterator[mpc.Session]:
    """Three processes."""
    with mpc.Session.local(tables, **{"protocol": "aby3", "executor": "ray", "timeout": 600, **options}) as made:
        yield made


def twice(made: mpc.Session, act: Callable[[], Any]) -> tuple[Any, float, float, Any]:
    """Return the second result, seconds of the first and second call, and the report of the last run."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        found = act()
        seconds.append(time.perf_counter() - began)
    return found, seconds[0], seconds[1], made.last_run


def regressions() -> Iterator[str]:
    """The table of regressions."""
    yield "| model | rows | features | first s | again s | coefficients | standard errors | p-values | MiB | rounds |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, make in problems().items():
        problem = make()
        with session(problem.tables()) as made:
            joint = made.table("bank.left").merge(made.table("partner.right"), on="row")
            model = problem.model.fit(joint[problem.features], joint[problem.target])
            found, first, again, run = twice(made, model.reveal)
        beta, errors, p = difference(found, problem.clear())
        yield (
            f"| {name} | {len(problem.rows):,} | {len(problem.features)} | {first:.1f} | {again:.1f} | {beta:.4f} se | "
            f"{100 * errors:.2f} % | {p:.5f} | {run.total_bytes / 2**20:.1f} | {run.rounds:,} |"
        )


def joint_taiwan(made: mpc.Session) -> tuple[mpc.DataFrame, list[str]]:
    """Five features of the bank beside eighteen of the partner."""
    joint = made.table("bank.clients").merge(made.table("partner.payments"), on="customer_id")
    return joint, [name for name in taiwan().columns if name not in ("customer_id", "default")]


def taiwan_tables() -> dict[str, dict[str, pd.DataFrame]]:
    """Each owner's table of the Taiwan data."""
    rows = taiwan()
    names = list(rows.columns.drop(["customer_id", "default"]))
    payments = rows[["customer_id", *names[5:]]].sample(frac=1, random_state=5)
    return {"bank": {"clients": rows[["customer_id", "default", *names[:5]]]}, "partner": {"payments": payments}}


def weighed(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Columns as the weights of evidence of released bins."""
    made = {}
    for name, bins in table.groupby("variable", sort=False):
        column = pd.Series(np.nan, rows.index)
        for row in bins.itertuples(index=False):
            column[(rows[name] >= row.low) & (rows[name] < row.high)] = row.woe
        made[str(name)] = column
    return pd.DataFrame(made)


def evidence() -> Iterator[str]:
    """Weights of evidence, then a regression of them; and what is disclosed."""
    rows = taiwan()
    with session(taiwan_tables()) as made:
        joint, features = joint_taiwan(made)

        def fit() -> tuple[Any, Any]:
            encoder = WoeEncoder(max_bins=10)
            columns = encoder.fit_transform(joint[features], joint["default"])
            model = LogisticRegression().fit(columns, joint["default"])
            score = model.predict_proba(columns)
            return encoder, mpc.collect(
                model.to_frame(),
                metrics.roc_auc_score(joint["default"], score),
                metrics.ks_score(joint["default"], score),
            )

        (encoder, (found, auc, ks)), first, again, run = twice(made, fit)
        table = encoder.reveal().bins
    columns = weighed(rows, table)[features]
    want = sm.Logit(rows["default"], sm.add_constant(columns)).fit(disp=0)
    p, y = want.predict(), rows["default"].to_numpy()
    beta, errors, values = difference(found, want)
    yield f"Coefficients differ by {beta:.4f} standard errors at most, standard errors by {100 * errors:.2f} %,"
    yield f"p-values by {values:.5f}; AUC {auc:.5f} against {roc_auc_score(y, p):.5f}, KS {ks:.5f} against"
    yield f"{ks_2samp(p[y == 1], p[y == 0]).statistic:.5f}. {first:.1f} s with compilation, {again:.1f} s again;"
    yield f"{run.total_bytes / 2**20:.0f} MiB and {run.rounds:,} rounds. Disclosed in that run:"
    yield ""
    yield from (f"- {what}" for what in run.disclosed)


def measures() -> Iterator[str]:
    """Measures of secret scores of 30,000 rows."""
    rows = taiwan()
    want = sm.Logit(rows["default"], sm.add_constant(rows[["limit_bal", "pay_status_0", "age"]] * [1e-5, 1, 0.1])).fit(
        disp=0
    )
    rows = rows.assign(score=want.predict().round(5), half=(rows["customer_id"] % 2))
    tables = {
        "bank": {"clients": rows[["customer_id", "default", "half"]]},
        "partner": {"scores": rows[["customer_id", "score"]]},
    }
    y, p = rows["default"].to_numpy(), rows["score"].to_numpy()
    bands = np.floor(p * 10).astype(int)
    expected, actual = (np.bincount(bands[rows["half"] == part], minlength=10) for part in (0, 1))
    log_ratio = np.log(np.maximum(actual, 0.5) / actual.sum()) - np.log(np.maximum(expected, 0.5) / expected.sum())
    reference = {
        "AUC": roc_auc_score(y, p),
        "standard error of the AUC (DeLong)": delong(y, p),
        "KS": ks_2samp(p[y == 1], p[y == 0]).statistic,
        "PSI of 10 bands": float(((actual / actual.sum() - expected / expected.sum()) * log_ratio).sum()),
    }
    yield "| measure | found | in the clear | first s | again s |"
    yield "|---|---:|---:|---:|---:|"
    with session(tables) as made:
        joint = made.table("bank.clients").merge(made.table("partner.scores"), on="customer_id")
        joint = joint.assign(band=lambda t: (t["score"] * 10).astype(int))
        old, new = joint[joint["half"] == 0], joint[joint["half"] == 1]
        acts: dict[str, Callable[[], float]] = {
            "AUC": lambda: metrics.roc_auc_score(joint["default"], joint["score"]).collect(),
            "standard error of the AUC (DeLong)": lambda: metrics.roc_auc_interval(
                joint["default"], joint["score"]
            ).collect()["se"],
            "KS": lambda: metrics.ks_score(joint["default"], joint["score"]).collect(),
            "PSI of 10 bands": lambda: metrics.population_stability_index(old["band"], new["band"]).collect(),
        }
        for name, act in acts.items():
            found, first, again, _ = twice(made, act)
            yield f"| {name} | {found:.5f} | {reference[name]:.5f} | {first:.1f} | {again:.1f} |"


def delong(y: NDArray[Any], p: Floats) -> float:
    """The standard error of an AUC by its definition."""
    good, bad = np.sort(p[y == 0]), np.sort(p[y == 1])
    share = [
        (np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")) / (2 * len(other))
        for own, other in ((bad, good), (good, bad))
    ]
    return float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in share)))


def trees(count: int) -> Iterator[str]:
    """Boosted trees on four fifths of the Taiwan data, and their AUC on the rest."""
    with session(taiwan_tables(), timeout=1800) as made:
        joint, features = joint_taiwan(made)
        train, test = train_test_split(joint, test_size=0.2, random_state=7, key="customer_id")
        model = GradientBoostingClassifier(n_estimators=count, max_depth=4, max_bins=16)
        began = time.perf_counter()
        model.fit(train[features], train["default"])
        auc = metrics.roc_auc_score(test["default"], model.predict_proba(test[features])).collect()
        seconds, run = time.perf_counter() - began, made.last_run
        assert run is not None
    yield f"{count} trees of depth 4 with 16 bins, 24,000 clients: AUC {auc:.4f} on the other 6,000; {seconds:.0f} s"
    yield f"with compilation, {run.total_bytes / 2**20 / count:.1f} MiB and {run.rounds / count:.0f} rounds a tree."


HEAD = """# Joint credit models

Made by `python bench/credit.py`: real data, of which half of the features are one owner's and half another's, protocol
`aby3`, three processes on one machine of two cores. Differences are those to statsmodels, scikit-learn and scipy on the
same rows in the clear: of coefficients in standard errors, of standard errors in percent. First times include
compilation, key matching and sharing; "again" is the same call once more. Bytes are those of all parties together.
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "credit.md")
    settings = parser.parse_args()
    lines = [HEAD]
    for title, part in (
        ("Regressions", regressions()),
        ("Weights of evidence and a regression of them, Taiwan, 30,000 clients", evidence()),
        ("Measures of 30,000 secret scores", measures()),
        ("Trees", trees(settings.trees)),
    ):
        lines += [f"## {title}", "", *shown(part), ""]
    settings.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def shown(lines: Iterator[str]) -> Iterator[str]:
    """Print lines as they come."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)
        yield line


if __name__ == "__main__":
    main()
