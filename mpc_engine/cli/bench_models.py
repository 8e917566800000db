"""Models over two owners' columns: regressions, weight of evidence and boosted trees, against clear-text tools."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mpc_engine as mpc
from mpc_compiler.options import COMPUTING
from mpc_engine.cli import show
from mpc_engine.cli.bench import Figures, Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_EXECUTOR", "SIDES", "measure", "tables"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR = "ray"
KEY, TARGET = "id", "bad"
_COEFFICIENT, _PVALUE = 0.05, 0.005
_IV = 1e-3
_AUC = 0.002


def tables(rows: int, features: int, *, family: str = "binomial", seed: int = 0) -> dict[str, dict[str, pd.DataFrame]]:
    """Return two owners' tables of the same clients: half of the features each, the target at the first.

    Examples
    --------
    >>> made = tables(10, 3)
    >>> [list(table.columns) for held in made.values() for table in held.values()]
    [['id', 'x0', 'bad'], ['id', 'x1', 'x2']]
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).round(3).clip(-4, 4)
    weights = rng.normal(size=features) / np.sqrt(features)
    eta = x @ weights - 1.0
    target = (rng.random(rows) < 1 / (1 + np.exp(-eta))) if family == "binomial" else rng.poisson(np.exp(eta))
    names = [f"x{at}" for at in range(features)]
    half = features // 2
    left = pd.DataFrame({KEY: np.arange(rows), **{name: x[:, at] for at, name in enumerate(names[:half])}})
    left[TARGET] = target.astype(int)
    right = pd.DataFrame({KEY: np.arange(rows), **{name: x[:, half + at] for at, name in enumerate(names[half:])}})
    right = right.sample(frac=1, random_state=seed).reset_index(drop=True)
    return {"bank": {"clients": left}, "partner": {"behaviour": right}}


def _joint(data: dict[str, dict[str, pd.DataFrame]]) -> pd.DataFrame:
    return data["bank"]["clients"].merge(data["partner"]["behaviour"], on=KEY)


def measure(workload: str, settings: Settings) -> Figures:
    """Compare with the clear-text tool, then time all sides alternately."""
    family = "poisson" if workload == "glm" else "binomial"
    data = tables(settings.rows, settings.features, family=family)
    names = [f"x{at}" for at in range(settings.features)]
    clear, theirs = _CLEAR[workload](_joint(data), names, settings)
    sides: dict[str, dict[str, Any]] = {"ours": {"protocol": settings.protocol}}
    if "spu" in settings.against:
        sides["spu"] = {"protocol": settings.protocol, "kernels": "spu"}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with ExitStack() as stack:
        runs: dict[str, Callable[[], Any]] = {}
        sessions = {}
        for name, options in sides.items():
            made = mpc.Session.local(
                data, executor=settings.executor or "ray", timeout=600, tls=settings.tls, **options
            )
            sessions[name] = stack.enter_context(made)
            runs[name] = _OURS[workload](sessions[name], names, settings)
        began = time.perf_counter()
        found = runs["ours"]()
        first = time.perf_counter() - began
        correct, more = _COMPARE[workload](found, clear)
        for name in set(runs) - {"ours"}:
            runs[name]()
        for _ in range(settings.repeat):
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - began)
        report = sessions["ours"].last_run
    assert report is not None
    peaks = {party: round(peak / 2**20, 1) for party, peak in report.peak_rss.items()}
    computed = sum(step.seconds for step in report.steps if step.engine in ("native", "spu"))
    against = {name: {"seconds": median(found)} for name, found in times.items() if name != "ours"}
    if "plaintext" in settings.against:
        against["plaintext"] = {"seconds": median([theirs() for _ in range(settings.repeat)])}
    return Figures(
        correct=correct,
        seconds=median(times["ours"]),
        rounds=report.rounds,
        bytes_sent=report.total_bytes,
        peak_rss_mb=max(peaks.values(), default=None),
        parties=COMPUTING[settings.protocol],
        against=against,
        more={"first_seconds": first, "seconds_on_shares": computed, "features": settings.features, **more},
        notes=[show.steps(report)],
    )


# --- ours ------------------------------------------------------------------------------------------------------------


def _frame(session: mpc.Session) -> Any:
    return session.table("bank.clients").merge(session.table("partner.behaviour"), on=KEY)


def _regression(session: mpc.Session, names: list[str], settings: Settings) -> Callable[[], Any]:
    from mpc_engine.ml import LogisticRegression

    joint = _frame(session)
    return LogisticRegression().fit(joint[names], joint[TARGET]).reveal


def _poisson(session: mpc.Session, names: list[str], settings: Settings) -> Callable[[], Any]:
    from mpc_engine.ml import PoissonRegressor

    joint = _frame(session)
    return PoissonRegressor().fit(joint[names], joint[TARGET]).reveal


def _woe(session: mpc.Session, names: list[str], settings: Settings) -> Callable[[], Any]:
    from mpc_engine.ml import WoeEncoder

    joint = _frame(session)
    return WoeEncoder(max_bins=settings.bins, trend="none", min_count=1).fit(joint[names], joint[TARGET]).reveal


def _trees(session: mpc.Session, names: list[str], settings: Settings) -> Callable[[], Any]:
    from mpc_engine.ml import GradientBoostingClassifier
    from mpc_engine.ml.metrics import roc_auc_score

    joint = _frame(session)
    model = GradientBoostingClassifier(
        n_estimators=settings.trees, max_depth=settings.depth, max_bins=settings.bins, min_child_weight=0.0625
    )
    risk = model.fit(joint[names], joint[TARGET]).predict_proba(joint[names])
    return roc_auc_score(joint[TARGET], risk).collect


_OURS: dict[str, Callable[[mpc.Session, list[str], Settings], Callable[[], Any]]] = {
    "lr": _regression,
    "glm": _poisson,
    "woe": _woe,
    "gbdt": _trees,
}

# --- theirs ----------------------------------------------------------------------------------------------------------


def _timer(act: Callable[[], Any]) -> Callable[[], float]:
    def timed() -> float:
        began = time.perf_counter()
        act()
        return time.perf_counter() - began

    return timed


def _clear_regression(joint: pd.DataFrame, names: list[str], settings: Settings) -> tuple[Any, Callable[[], float]]:
    import statsmodels.api as sm

    exog = sm.add_constant(joint[names])

    def fit() -> Any:
        return sm.Logit(joint[TARGET], exog).fit(disp=0)

    return fit(), _timer(fit)


def _clear_poisson(joint: pd.DataFrame, names: list[str], settings: Settings) -> tuple[Any, Callable[[], float]]:
    import statsmodels.api as sm

    exog = sm.add_constant(joint[names])

    def fit() -> Any:
        return sm.GLM(joint[TARGET], exog, family=sm.families.Poisson()).fit()

    return fit(), _timer(fit)


def _codes(x: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    levels = np.arange(1, bins) / bins
    edges = np.quantile(x, levels, axis=0)
    return np.stack([(x[:, at, None] >= edges[:, at]).sum(axis=1) for at in range(x.shape[1])], axis=1)


def _clear_woe(joint: pd.DataFrame, names: list[str], settings: Settings) -> tuple[Any, Callable[[], float]]:
    def fit() -> dict[str, float]:
        y, bad = joint[TARGET].to_numpy(), int(joint[TARGET].sum())
        codes = _codes(joint[names].to_numpy(), settings.bins)
        found = {}
        for at, name in enumerate(names):
            event = np.bincount(codes[:, at], weights=y, minlength=settings.bins)
            other = np.bincount(codes[:, at], minlength=settings.bins) - event
            woe = np.log(np.maximum(other, 0.5) / (len(y) - bad)) - np.log(np.maximum(event, 0.5) / bad)
            found[name] = float(((other / (len(y) - bad) - event / bad) * woe).sum())
        return found

    return fit(), _timer(fit)


def _clear_trees(joint: pd.DataFrame, names: list[str], settings: Settings) -> tuple[Any, Callable[[], float]]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    codes, y = _codes(joint[names].to_numpy(), settings.bins), joint[TARGET]

    def fit() -> float:
        model = HistGradientBoostingClassifier(
            max_iter=settings.trees, max_depth=settings.depth, learning_rate=0.3, l2_regularization=1.0,
            min_samples_leaf=1, max_leaf_nodes=None, early_stopping=False,
        )  # fmt: skip
        return float(roc_auc_score(y, model.fit(codes, y).predict_proba(codes)[:, 1]))

    return fit(), _timer(fit)


_CLEAR: dict[str, Callable[[pd.DataFrame, list[str], Settings], tuple[Any, Callable[[], float]]]] = {
    "lr": _clear_regression,
    "glm": _clear_poisson,
    "woe": _clear_woe,
    "gbdt": _clear_trees,
}

# --- the same? -------------------------------------------------------------------------------------------------------


def _same_model(found: Any, clear: Any) -> tuple[bool, dict[str, Any]]:
    off = float(np.abs((found.params - clear.params.to_numpy()) / clear.bse.to_numpy()).max())
    tests = float(np.abs(found.pvalues_ - clear.pvalues.to_numpy()).max())
    return off < _COEFFICIENT and tests < _PVALUE and found.converged_, {"coefficient_se": off, "pvalue": tests}


def _same_iv(found: Any, clear: dict[str, float]) -> tuple[bool, dict[str, Any]]:
    off = max(abs(found.iv_[name] - value) for name, value in clear.items())
    return off < _IV, {"iv_error": off}


def _same_auc(found: float, clear: float) -> tuple[bool, dict[str, Any]]:
    return found > clear - _AUC, {"auc": found, "clear_auc": clear}


_COMPARE: dict[str, Callable[[Any, Any], tuple[bool, dict[str, Any]]]] = {
    "lr": _same_model,
    "glm": _same_model,
    "woe": _same_iv,
    "gbdt": _same_auc,
}
