"""A revealed linear model: scikit-learn's attributes, statsmodels' table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LinearResult", "linear_result"]

Vector = NDArray[np.float64]
_TITLES = {"binomial": "Logit", "gaussian": "OLS", "poisson": "Poisson", "gamma": "Gamma", "tweedie": "Tweedie"}


@dataclass(frozen=True)
class LinearResult:
    """A generalised linear model that its receiver may see.

    Attributes
    ----------
    family : str
        ``binomial``, ``gaussian``, ``poisson``, ``gamma`` or ``tweedie``.
    names : tuple of str
        ``const`` and the features.
    params : ndarray [p + 1]
        Coefficients, intercept first.
    bse_ : ndarray [p + 1]
        Standard errors.
    llf, llnull : float
        Log-likelihood of the model, and of the intercept alone; for all families but ``binomial`` and ``gaussian``
        without the terms that do not depend on the fit.
    deviance : float
        As statsmodels' ``GLM`` has it.
    dispersion : float
        Pearson's estimate; 1 for ``binomial`` and ``poisson``.
    nobs : int
        Rows.
    converged_ : bool
        False: separable or collinear data, a constant column, or one class only; nothing else means anything.
    target : str
        Name of the target.
    """

    family: str
    names: tuple[str, ...]
    params: Vector
    bse_: Vector
    llf: float
    llnull: float
    deviance: float
    dispersion: float
    nobs: int
    converged_: bool
    target: str

    @property
    def coef_(self) -> Vector:
        """Coefficients without the intercept: [1, p] for a classifier, [p] otherwise, as scikit-learn has them."""
        return self.params[None, 1:] if self.family == "binomial" else self.params[1:]

    @property
    def intercept_(self) -> Vector:
        """Intercept [1]."""
        return self.params[:1]

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """Features in order."""
        return self.names[1:]

    def decision_function(self, rows: pd.DataFrame) -> Vector:
        """Linear predictors of rows in the clear, float64 [n]; without the offset that a fit may have had."""
        matrix = rows[list(self.feature_names_in_)].to_numpy(np.float64)
        return np.asarray(matrix @ self.params[1:] + self.params[0], np.float64)

    def predict_proba(self, rows: pd.DataFrame) -> Vector:
        """Probabilities of classes 0 and 1 in the clear, float64 [n, 2], as scikit-learn has them."""
        if self.family != "binomial":
            raise SchemaError("this model predicts no class", code="MPC-0113", hint="predict(rows)")
        event = 1 / (1 + np.exp(-self.decision_function(rows)))
        return np.stack([1 - event, event], axis=1)

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Means of rows in the clear, float64 [n]; of a classifier classes, int64 [n]."""
        score = self.decision_function(rows)
        if self.family == "binomial":
            return (score > 0).astype(np.int64)
        return score if self.family == "gaussian" else np.exp(score)

    def to_onnx(self) -> bytes:
        """An ONNX model with the outputs ``score``, the linear predictor, and ``probability`` or ``prediction``.

        Inputs are named as the features, float64 [n, 1]; outputs are float64 [n, 1].

        Raises
        ------
        ConfigError
            Without the package ``onnx``.
        """
        from mpc_engine.ml.onnx_models import linear_onnx

        return linear_onnx(self)

    @property
    def df_resid(self) -> int:
        """Rows less parameters."""
        return self.nobs - len(self.params)

    @property
    def zvalues_(self) -> Vector:
        """Coefficients over standard errors; t-values for least squares."""
        return np.divide(self.params, self.bse_, out=np.zeros_like(self.params), where=self.bse_ > 0)

    @property
    def pvalues_(self) -> Vector:
        """Two-sided Wald p-values: of the normal distribution, of Student's t for least squares."""
        from scipy import stats

        size = np.abs(self.zvalues_)
        exact = self.family == "gaussian" and self.df_resid > 0
        tails = stats.t.sf(size, self.df_resid) if exact else stats.norm.sf(size)
        return np.asarray(2 * tails, np.float64)

    @property
    def conf_int_(self) -> Vector:
        """95 % intervals [p + 1, 2]."""
        from scipy import stats

        exact = self.family == "gaussian" and self.df_resid > 0
        width = float(stats.t.ppf(0.975, self.df_resid) if exact else stats.norm.ppf(0.975)) * self.bse_
        return np.stack([self.params - width, self.params + width], axis=1)

    @property
    def prsquared(self) -> float:
        """McFadden's pseudo R-squared; R-squared for least squares."""
        if self.family == "gaussian":
            gain = 2 * (self.llf - self.llnull) / max(self.nobs, 1)
            return 1 - math.exp(-gain)
        return 1 - self.llf / self.llnull if self.llnull else 0.0

    @property
    def llr(self) -> float:
        """Likelihood-ratio statistic against the intercept alone (over the dispersion)."""
        return 2 * (self.llf - self.llnull) / (1.0 if self.family == "gaussian" else self.dispersion)

    @property
    def llr_pvalue(self) -> float:
        """Its chi-square p-value with p degrees of freedom."""
        from scipy import stats

        return float(stats.chi2.sf(self.llr, max(len(self.params) - 1, 1)))

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return 2 * len(self.params) - 2 * self.llf

    @property
    def bic(self) -> float:
        """Bayesian information criterion."""
        return math.log(max(self.nobs, 1)) * len(self.params) - 2 * self.llf

    def to_frame(self) -> pd.DataFrame:
        """The coefficient table."""
        import pandas as pd

        low, high = self.conf_int_.T
        columns = {"coef": self.params, "std err": self.bse_, "z": self.zvalues_, "P>|z|": self.pvalues_}
        return pd.DataFrame({**columns, "[0.025": low, "0.975]": high}, index=list(self.names))

    def summary(self) -> str:
        """The table as statsmodels prints it."""
        width = max(12, *(len(name) for name in self.names)) + 2
        letter = "t" if self.family == "gaussian" else "z"
        test = f"P>|{letter}|"
        head = f"{'':<{width}}{'coef':>10}{'std err':>11}{letter:>10}{test:>10}{'[0.025':>11}{'0.975]':>11}"
        rule = "=" * len(head)
        title = _TITLES[self.family]
        fit = "R-squared:" if self.family == "gaussian" else "Pseudo R-squ.:"
        facts = [
            (f"Dep. Variable: {self.target}", f"No. Observations: {self.nobs:>10}"),
            (f"Model: {title}", f"Df Model: {len(self.params) - 1:>10}"),
            ("Method: MLE on secret shares", f"{fit} {self.prsquared:>10.4f}"),
            (f"converged: {self.converged_}", f"Log-Likelihood: {self.llf:>10.2f}"),
            (f"Deviance: {self.deviance:.5g}", f"LL-Null: {self.llnull:>10.2f}"),
        ]
        half = len(head) // 2
        lines = [f"{title} Regression Results".center(len(head)), rule]
        lines += [f"{left:<{half}}{right:>{len(head) - half}}" for left, right in facts]
        lines += [rule, head, "-" * len(head)]
        for name, row in self.to_frame().iterrows():
            digits = (4, 3, 3, 3, 3, 3)
            b, se, z, p, low, high = (round(float(v), k) + 0.0 for v, k in zip(row, digits, strict=True))  # no -0.000
            lines.append(f"{name:<{width}}{b:>10.4f}{se:>11.3f}{z:>10.3f}{p:>10.3f}{low:>11.3f}{high:>11.3f}")
        return "\n".join([*lines, rule])

    def __str__(self) -> str:
        return self.summary()


def linear_result(
    data: pd.DataFrame,
    *,
    features: Sequence[str],
    target: str,
    ranges: Sequence[tuple[float, float]],
    target_range: tuple[float, float],
    rows: int,
    params: Mapping[str, Any],
) -> LinearResult:
    """A collected model relation in the users' units.

    Parameters
    ----------
    data : DataFrame
        One row a term, in internal units.
    ranges : sequence of (lo, hi)
        Public ranges of the features, which fix their units.
    target_range : (lo, hi)
        Public range of the target, which fixes its unit.
    rows : int
        Public bound of the number of rows, which fixes the scale of the standard errors.
    params : mapping
        ``family`` and ``power``.
    """
    from mpc_compiler.lower.glm import target_unit
    from mpc_compiler.ops.families import family_of
    from mpc_compiler.ops.glm import bse_scale
    from mpc_compiler.ops.scaler import units

    name, power = str(params["family"]), float(params.get("power", 1.5))
    family = family_of(name, power)
    unit = target_unit(family, target_range)
    factor = np.concatenate([[1.0], units(ranges)])
    first = data.iloc[0]
    nobs, terms = int(first["nobs"]), len(features) + 1
    coef = data["coef"].to_numpy() * factor
    bse = data["bse"].to_numpy() * factor * bse_scale(rows)
    spread = float(first["pearson"]) / max(nobs - terms, 1) if family.dispersed else 1.0
    bse = bse * math.sqrt(max(spread, 0.0))
    if family.log_link:
        coef[0] -= math.log(unit)
    if name == "poisson":
        bse *= math.sqrt(unit)
    if name == "gaussian":
        coef, bse = coef / unit, bse / unit
    degree = {"gaussian": 2.0, "poisson": 1.0, "tweedie": 2.0 - power}.get(name, 0.0)
    scale = unit**-degree
    found = {key: float(first[key]) for key in ("loglik", "loglik_null", "saturated", "total", "weight")}
    llf, llnull = _likelihoods(name, found, unit, scale, nobs)
    return LinearResult(
        family=name,
        names=("const", *features),
        params=coef,
        bse_=bse,
        llf=llf,
        llnull=llnull,
        deviance=_deviance(name, found) * scale,
        dispersion=spread * (scale if family.dispersed else 1.0),
        nobs=nobs,
        converged_=bool(first["converged"]),
        target=target,
    )


def _deviance(name: str, found: Mapping[str, float]) -> float:
    """In internal units of the target."""
    if name in ("binomial", "gaussian"):
        return -2 * found["loglik"]
    if name == "poisson":
        return 2 * (found["saturated"] - found["loglik"] - found["total"])
    if name == "gamma":
        return 2 * (-found["loglik"] - found["saturated"] - found["weight"])
    return 2 * (found["saturated"] - found["loglik"])


def _likelihoods(name: str, found: Mapping[str, float], unit: float, scale: float, nobs: int) -> tuple[float, float]:
    pair = found["loglik"], found["loglik_null"]
    if name == "gaussian":  # concentrated over the variance
        fitted, null = (
            -nobs / 2 * (math.log(2 * math.pi * max(-2 * value * scale, 1e-300) / max(nobs, 1)) + 1) for value in pair
        )
        return fitted, null
    if name == "poisson":  # of the target itself: y log(mu) - mu
        fitted, null = (value * scale - math.log(unit) * found["total"] * scale for value in pair)
        return fitted, null
    return pair[0] * scale, pair[1] * scale
