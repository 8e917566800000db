"""A revealed logistic regression: scikit-learn's attributes, statsmodels' table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LogisticResult", "logistic_result"]

Vector = NDArray[np.float64]
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class LogisticResult:
    """A logistic regression that its receiver may see.

    Attributes
    ----------
    names : tuple of str
        ``const`` and the features.
    params : ndarray [p + 1]
        Coefficients, intercept first.
    bse_ : ndarray [p + 1]
        Standard errors.
    llf, llnull : float
        Log-likelihood of the model, and of the intercept alone.
    nobs : int
        Rows.
    converged_ : bool
        False: separable or collinear data, a constant column, or one class only; nothing else means anything.
    target : str
        Name of the target.
    """

    names: tuple[str, ...]
    params: Vector
    bse_: Vector
    llf: float
    llnull: float
    nobs: int
    converged_: bool
    target: str

    @property
    def coef_(self) -> Vector:
        """Coefficients [1, p], without the intercept."""
        return self.params[None, 1:]

    @property
    def intercept_(self) -> Vector:
        """Intercept [1]."""
        return self.params[:1]

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """Features in order."""
        return self.names[1:]

    @property
    def zvalues_(self) -> Vector:
        """Coefficients over standard errors."""
        return np.divide(self.params, self.bse_, out=np.zeros_like(self.params), where=self.bse_ > 0)

    @property
    def pvalues_(self) -> Vector:
        """Two-sided Wald p-values."""
        return np.array([math.erfc(abs(z) / math.sqrt(2)) for z in self.zvalues_])

    @property
    def conf_int_(self) -> Vector:
        """95 % intervals [p + 1, 2]."""
        return np.stack([self.params - _Z95 * self.bse_, self.params + _Z95 * self.bse_], axis=1)

    @property
    def prsquared(self) -> float:
        """McFadden's pseudo R-squared."""
        return 1 - self.llf / self.llnull if self.llnull else 0.0

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
        head = f"{'':<{width}}{'coef':>10}{'std err':>11}{'z':>10}{'P>|z|':>10}{'[0.025':>11}{'0.975]':>11}"
        rule = "=" * len(head)
        facts = [
            (f"Dep. Variable: {self.target}", f"No. Observations: {self.nobs:>10}"),
            ("Model: Logit", f"Df Model: {len(self.params) - 1:>10}"),
            ("Method: MLE on secret shares", f"Pseudo R-squ.: {self.prsquared:>10.4f}"),
            (f"converged: {self.converged_}", f"Log-Likelihood: {self.llf:>10.2f}"),
            ("", f"LL-Null: {self.llnull:>10.2f}"),
        ]
        half = len(head) // 2
        lines = ["Logit Regression Results".center(len(head)), rule]
        lines += [f"{left:<{half}}{right:>{len(head) - half}}" for left, right in facts]
        lines += [rule, head, "-" * len(head)]
        for name, row in self.to_frame().iterrows():
            digits = (4, 3, 3, 3, 3, 3)
            b, se, z, p, low, high = (round(float(v), k) + 0.0 for v, k in zip(row, digits, strict=True))  # no -0.000
            lines.append(f"{name:<{width}}{b:>10.4f}{se:>11.3f}{z:>10.3f}{p:>10.3f}{low:>11.3f}{high:>11.3f}")
        return "\n".join([*lines, rule])

    def __str__(self) -> str:
        return self.summary()


def logistic_result(
    data: pd.DataFrame, *, features: Sequence[str], target: str, ranges: Sequence[tuple[float, float]], rows: int
) -> LogisticResult:
    """A collected model relation in the users' units.

    Parameters
    ----------
    data : DataFrame
        One row a term, in internal units.
    ranges : sequence of (lo, hi)
        Public ranges of the features, which fix the units.
    rows : int
        Public bound of the number of rows, which fixes the scale of the standard errors.
    """
    from mpc_compiler.ops import logistic

    factor = np.concatenate([[1.0], logistic.units(ranges)])
    first = data.iloc[0]
    return LogisticResult(
        names=("const", *features),
        params=data["coef"].to_numpy() * factor,
        bse_=data["bse"].to_numpy() * factor * logistic.bse_scale(rows),
        llf=float(first["loglik"]),
        llnull=float(first["loglik_null"]),
        nobs=int(first["nobs"]),
        converged_=bool(first["converged"]),
        target=target,
    )
