"""Clear-text answers that the demo puts beside those from shares: logistic regression, AUC, KS."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mpc_engine.ml.result import LinearResult

__all__ = ["Difference", "Reference", "clear_auc", "clear_ks", "clear_logistic", "difference"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """A logistic regression fitted in the clear.

    Attributes
    ----------
    source : str
        Who fitted it.
    params, bse, pvalues : ndarray [p + 1]
        Intercept first.
    scores : ndarray [n]
        Fitted probabilities.
    """

    source: str
    params: Vector
    bse: Vector
    pvalues: Vector
    scores: Vector


@dataclass(frozen=True)
class Difference:
    """How far a model is from the reference.

    Attributes
    ----------
    coefficient : float
        Largest coefficient error, in standard errors of the reference.
    pvalue : float
        Largest difference of p-values.
    """

    coefficient: float
    pvalue: float


def clear_logistic(X: pd.DataFrame, y: pd.Series) -> Reference:
    """Fit with statsmodels, or with Newton's method here where that is not installed.

    Parameters
    ----------
    X : DataFrame [n, p]
        Numbers, without an intercept.
    y : Series [n]
        0 or 1.
    """
    design = np.column_stack([np.ones(len(X)), X.to_numpy(np.float64)])
    target = y.to_numpy(np.float64)
    if importlib.util.find_spec("statsmodels") is None:
        return newton(design, target)
    import statsmodels.api as sm

    fitted = sm.Logit(target, design).fit(disp=0)
    return Reference("statsmodels", fitted.params, fitted.bse, fitted.pvalues, fitted.predict())


def newton(design: Vector, target: Vector, *, steps: int = 50) -> Reference:
    """Maximum likelihood by Newton's method on standardised columns.

    Parameters
    ----------
    design : ndarray [n, p + 1]
        Ones first.
    target : ndarray [n]

    Examples
    --------
    >>> x = np.array([0.0, 1, 2, 3, 4, 5])
    >>> found = newton(np.column_stack([np.ones(6), x]), np.array([0.0, 0, 1, 0, 1, 1]))
    >>> found.params.round(2).tolist()
    [-3.04, 1.21]
    """
    scale = np.abs(design).max(axis=0)
    scaled = design / scale
    beta = np.zeros(design.shape[1])
    for _ in range(steps):
        mean = 1 / (1 + np.exp(-scaled @ beta))
        hessian = scaled.T @ (scaled * (mean * (1 - mean))[:, None])
        step = np.linalg.solve(hessian, scaled.T @ (target - mean))
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    bse = np.sqrt(np.diag(np.linalg.inv(hessian)))
    pvalues = np.array([math.erfc(abs(z) / math.sqrt(2)) for z in beta / bse])
    scores = 1 / (1 + np.exp(-scaled @ beta))
    source = "Newton's method in numpy (statsmodels is not installed)"
    return Reference(source, beta / scale, bse / scale, pvalues, scores)


def difference(model: LinearResult, reference: Reference) -> Difference:
    """Compare a revealed model with the reference."""
    errors = np.abs(model.params - reference.params) / reference.bse
    return Difference(float(errors.max()), float(np.abs(model.pvalues_ - reference.pvalues).max()))


def clear_auc(target: Vector, scores: Vector) -> float:
    """Area under the ROC curve, ties counted half (Mann and Whitney 1947).

    Examples
    --------
    >>> clear_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    _, at, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    bad = target > 0
    n1, n0 = int(bad.sum()), int((~bad).sum())
    return float((middle[at][bad].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def clear_ks(target: Vector, scores: Vector) -> float:
    """Largest distance between the score distributions of the two classes.

    Examples
    --------
    >>> clear_ks(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.5
    """
    values, at = np.unique(scores, return_inverse=True)
    bad = np.bincount(at, weights=target > 0, minlength=len(values))
    good = np.bincount(at, weights=target <= 0, minlength=len(values))
    return float(np.abs(np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum()).max())
