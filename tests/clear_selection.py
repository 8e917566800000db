"""Feature selection in the clear: the rules of `mpc_engine.ml.FeatureSelector`, with statsmodels' fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import statsmodels.api as sm

from mpc_compiler.ops.collinear import RIDGE
from mpc_compiler.ops.stepwise import TOLERANCE

Evidence = Callable[[str, float], float]


def stepwise(
    X: pd.DataFrame,
    y: pd.Series,
    *,
    enter: float | None,
    stay: float,
    turns: int,
    signs: dict[str, int] | None = None,
    linear: bool = False,
) -> list[str]:
    """Return the chosen columns. ``enter`` and ``stay`` are critical values of z; ``enter`` None: backward."""
    X = (X - X.mean()) / X.std(ddof=0)
    given = signs or {}
    chosen = [] if enter is not None else list(X.columns)

    def evidence(name: str, z: float) -> float:
        return z * given[name] if given.get(name) else abs(z)

    def leave() -> None:
        worth = {name: evidence(name, z) for name, z in _wald(X[chosen], y, linear=linear).items()}
        worst = min(worth, key=lambda name: worth[name], default=None)
        if worst is not None and worth[worst] < stay:
            chosen.remove(worst)

    removes = stay > 0 or bool(given)
    for _ in range(turns):
        if removes:
            leave()
        worth = {name: evidence(name, z) for name, z in _scores(X, chosen, y, linear=linear).items()}
        best = max(worth, key=lambda name: worth[name], default=None)
        if enter is not None and best is not None and worth[best] > enter:
            chosen.append(best)
    for _ in range(2 if removes else 0):
        leave()
    return [name for name in X.columns if name in chosen]


def _fit(X: pd.DataFrame, y: pd.Series, *, linear: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Coefficients, residuals, weights of rows, dispersion."""
    exog = np.c_[np.ones(len(X)), X]
    if linear:
        fitted = sm.OLS(y.to_numpy(float), exog).fit()
        return fitted.params, fitted.resid, np.ones(len(X)), float(fitted.scale)
    model = sm.Logit(y.to_numpy(), exog).fit(disp=False, tol=1e-12, maxiter=100)
    p = model.predict()
    return model.params, y.to_numpy() - p, p * (1 - p), 1.0


def _wald(X: pd.DataFrame, y: pd.Series, *, linear: bool) -> dict[str, float]:
    beta, _, weight, scale = _fit(X, y, linear=linear)
    exog = np.c_[np.ones(len(X)), X]
    variance = np.diag(np.linalg.inv(exog.T @ (exog * weight[:, None]))) * scale
    return dict(zip(X.columns, (beta / np.sqrt(variance))[1:], strict=True))


def _scores(X: pd.DataFrame, chosen: Sequence[str], y: pd.Series, *, linear: bool) -> dict[str, float]:
    """Score statistics of the columns that are not chosen; of those that the chosen ones do not explain."""
    _, residual, weight, scale = _fit(X[list(chosen)], y, linear=linear)
    exog = np.c_[np.ones(len(X)), X[list(chosen)]]
    inverse = np.linalg.inv(exog.T @ (exog * weight[:, None]))
    found = {}
    for name in X.columns.difference(list(chosen), sort=False):
        x = X[name].to_numpy()
        shared = exog.T @ (weight * x)
        whole = (weight * x * x).sum()
        left = whole - shared @ inverse @ shared
        if left >= TOLERANCE * whole:
            found[name] = float(x @ residual / np.sqrt(left * scale))
    return found


def uncorrelated(X: pd.DataFrame, strength: dict[str, float], most: float) -> list[str]:
    """Return the columns that stay: from the strongest on, those that correlate with none that stays by more."""
    correlations, kept = X.corr().abs(), list[str]()
    for name in sorted(X.columns, key=lambda name: -strength[name]):
        if all(correlations.loc[name, other] <= most for other in kept):
            kept.append(name)
    return [name for name in X.columns if name in kept]


def below_inflation(X: pd.DataFrame, most: float) -> list[str]:
    """Return the columns that stay when the most inflated one goes until none is above."""
    kept = list(X.columns)
    while True:
        R = X[kept].corr().to_numpy()
        factors = np.diag(np.linalg.inv(R + RIDGE * np.eye(len(kept))))
        if factors.max() <= most:
            return kept
        del kept[int(factors.argmax())]
