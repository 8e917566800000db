"""Principal components of secret columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import rows_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Fit, Rel, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.ml.base import PlannedEstimator, applied, features_of, materialise, replaced
from mpc_engine.ml.linear import ranges_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PCA", "PCAResult"]

_KIND = "pca"
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class PCAResult:
    """Revealed components, in scikit-learn's names.

    Attributes
    ----------
    feature_names_in_ : tuple of str
        Features in order.
    components_ : ndarray [k, p]
        Unit vectors, the one with the most variance first; of each the component of the largest magnitude is positive.
    explained_variance_ : ndarray [k]
        Variances along the components (divisor n - 1).
    total_variance_ : float
        Sum of the variances of all columns.
    mean_ : ndarray [p]
    n_samples_ : int
        Rows.
    whiten : bool
    """

    feature_names_in_: tuple[str, ...]
    components_: Vector
    explained_variance_: Vector
    total_variance_: float
    mean_: Vector
    n_samples_: int
    whiten: bool

    @property
    def n_components_(self) -> int:
        """Number of components."""
        return len(self.components_)

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return len(self.feature_names_in_)

    @property
    def explained_variance_ratio_(self) -> Vector:
        """Share of the variance of each component; 0 where nothing varies."""
        return self.explained_variance_ / self.total_variance_ if self.total_variance_ else 0 * self.explained_variance_

    @property
    def singular_values_(self) -> Vector:
        """Lengths of the columns that `transform` makes without whitening."""
        lengths: Vector = np.sqrt(self.explained_variance_ * (self.n_samples_ - 1))
        return lengths

    @property
    def noise_variance_(self) -> float:
        """Mean variance along the directions that were left out; 0 if there are none."""
        left = min(self.n_features_in_, self.n_samples_) - self.n_components_
        return max(self.total_variance_ - float(self.explained_variance_.sum()), 0.0) / left if left > 0 else 0.0

    def transform(self, rows: pd.DataFrame) -> Vector:
        """Rows in the clear along the components, float64 [n, k]."""
        centred = rows[list(self.feature_names_in_)].to_numpy(np.float64) - self.mean_
        along: Vector = centred @ self.components_.T
        return along / np.sqrt(np.maximum(self.explained_variance_, 1e-300)) if self.whiten else along


class PCA(PlannedEstimator):
    """Principal components of secret columns, as scikit-learn's ``PCA`` has them.

    The products of all columns are summed on shares (columns of computing parties stay with them), and their matrix is
    diagonalised on shares by Jacobi's method with a public number of rotations.

    Parameters
    ----------
    n_components : int, optional
        How many components; None: as many as there are columns, or rows if they are fewer.
    whiten : bool
        Components over their standard deviations. One with less than a millionth of the variance is 0.
    random_state : int, optional
        Taken as scikit-learn does; nothing here is random.

    Raises
    ------
    SchemaError
        By ``fit``, for an `n_components` that is no whole number or more than there are columns or rows, and for
        columns that are text or have missing values.

    Discloses
    ---------
    Nothing by ``fit`` and ``transform``; see :meth:`reveal`.

    Notes
    -----
    Jacobi 1846; rotations at the same time: Brent and Luk (SIAM J. Sci. Stat. Comput. 6, 1985). Columns are centred,
    not scaled: as in scikit-learn, one in large units outweighs the others. Shares of the variance are exact to about
    1e-6, so that a component with a smaller one is not resolved: put a ``StandardScaler`` first where units differ.
    Components whose shares are g apart are exact to about ``1e-6 / g``. A constant column has no part in any.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import PCA
    >>> rows = pd.DataFrame({"x": [0, 1, 2, 3], "y": [1.0, 2.0, 3.0, 4.0]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     found = PCA(n_components=1).fit(session.table("bank.t")[["x", "y"]]).reveal()
    >>> found.components_.round(3).tolist(), found.explained_variance_.round(3).tolist()
    ([[0.707, 0.707]], [3.333])
    """

    _FIT = "fit(X)"

    def __init__(
        self, n_components: int | None = None, *, whiten: bool = False, random_state: int | None = None
    ) -> None:
        super().__init__()
        self.n_components = n_components
        self.whiten = whiten
        self.random_state = random_state

    def _count(self, columns: int, rows: int) -> int:
        if self.n_components is None:
            return min(columns, max(rows, 1))
        if isinstance(self.n_components, bool) or not isinstance(self.n_components, int | np.integer):
            raise SchemaError(
                f"n_components must be a whole number, not {self.n_components!r}",
                code="MPC-0120",
                hint="how many components have a share of the variance is a secret: reveal() more, and choose",
            )
        return int(self.n_components)

    @placed
    def fit(self, X: DataFrame, y: object = None) -> PCA:
        """Plan the components of the columns of ``X``; nothing runs."""
        features = features_of(X)
        base, names = materialise(X._base, features)
        params = (("components", self._count(len(features), rows_of(base))),)
        self._plan(make(Fit(base, _KIND, tuple(names[name] for name in features), None, params)), X, features)
        return self

    def _planned(self) -> tuple[Fit, int]:
        fit = self._fitted()
        assert isinstance(fit, Fit)
        return fit, int(dict(fit.params)["components"])

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """The rows of X along the components: secret columns ``pca0``, ``pca1``, .. of a frame over X's rows."""
        model, _ = self._planned()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        features = [names[name] for name in self.feature_names_in_]
        outputs = self.get_feature_names_out()
        rel, made = applied(model, _KIND, "whiten" if self.whiten else "transform", base, features, outputs)
        return replaced(X, rel, dict(zip(outputs, made, strict=True)))

    def fit_transform(self, X: DataFrame, y: object = None) -> DataFrame:
        """``fit(X).transform(X)``."""
        return self.fit(X).transform(X)

    def get_feature_names_out(self) -> list[str]:
        """Names of the columns that `transform` makes."""
        return [f"pca{at}" for at in range(self._planned()[1])]

    def to_frame(self) -> DataFrame:
        """The components as a lazy frame, a row a feature, in internal units: collect it together with other frames."""
        return _Components(self, self._fitted())

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> PCAResult:
        """Run, and disclose components, their variances, the total variance, means and the number of rows to `to`."""
        result: PCAResult = self.to_frame().collect(to)
        return result


class _Components(DataFrame):
    """Components as a relation whose collected form is a result object."""

    def __init__(self, estimator: PCA, rel: Rel) -> None:
        super().__init__(estimator._session, rel, identity(rel))
        self._estimator: PCA = estimator

    def _shape(self, data: pd.DataFrame) -> Any:
        from mpc_compiler.ops.linalg import GUARD
        from mpc_compiler.ops.scaler import units

        assert isinstance(self._base, Fit)
        count = int(dict(self._base.params)["components"])
        scale = units(ranges_of(self._base))
        first = data.iloc[0]
        nobs = int(first["nobs"])
        squared = max(nobs - 1, 1) * (float(first["root"]) * scale.min()) ** 2
        vectors = data[[f"v{at}" for at in range(count)]].to_numpy(np.float64) * 2.0**-GUARD
        return PCAResult(
            feature_names_in_=self._estimator.feature_names_in_,
            components_=np.ascontiguousarray(vectors.T),
            explained_variance_=np.maximum(data["variance"].to_numpy(np.float64)[:count], 0.0) / squared,
            total_variance_=max(float(first["total"]), 0.0) / squared,
            mean_=data["mean"].to_numpy(np.float64) / scale,
            n_samples_=nobs,
            whiten=self._estimator.whiten,
        )
