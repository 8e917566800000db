"""Clusters of secret rows around means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Fit, Rel, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import PlannedEstimator, applied, applied_column, features_of, materialise, replaced
from mpc_engine.ml.linear import ranges_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KMeans", "KMeansResult"]

_KIND = "kmeans"
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class KMeansResult:
    """Revealed clusters, in scikit-learn's names.

    Attributes
    ----------
    feature_names_in_ : tuple of str
        Features in order.
    cluster_centers_ : ndarray [k, p]
    inertia_ : float
        Sum of squared distances of all rows to their centres.
    """

    feature_names_in_: tuple[str, ...]
    cluster_centers_: Vector
    inertia_: float

    def transform(self, rows: pd.DataFrame) -> Vector:
        """Distances of rows in the clear to each centre, float64 [n, k]."""
        x = rows[list(self.feature_names_in_)].to_numpy(np.float64)
        distances: Vector = np.sqrt(((x[:, None, :] - self.cluster_centers_) ** 2).sum(axis=2))
        return distances

    def predict(self, rows: pd.DataFrame) -> NDArray[np.int64]:
        """Numbers of the nearest centres of rows in the clear, int64 [n]."""
        nearest: NDArray[np.int64] = np.argmin(self.transform(rows), axis=1)
        return nearest


class KMeans(PlannedEstimator):
    """Clusters of secret rows by Lloyd's algorithm, as scikit-learn's ``KMeans`` finds them from the same start.

    Neither centres nor sizes of clusters nor which row is in which are opened on the way. A cluster that no row is
    nearest to keeps its centre.

    Parameters
    ----------
    n_clusters : int
        How many.
    init : {"k-means++"} or array of float [n_clusters, p]
        Seeds at rows that are drawn on shares, each with a chance as its squared distance to the seeds before (one
        candidate each, where scikit-learn takes the best of a few), by public random numbers: which rows they are
        stays secret, the place of the first apart. Or public centres, in the order of the features and within their
        public ranges.
    n_init : int
        Starts, computed at the same time; the one with the least inertia is kept. 1 if `init` is an array.
    max_iter : int
        Steps; all are taken, since when nothing moves any more is a secret. There is no ``tol``.
    random_state : int
        Public seed of the random numbers.

    Raises
    ------
    SchemaError
        By ``fit``, for parameters that are none of these, more clusters than rows, and for columns that are text or
        have missing values.

    Discloses
    ---------
    Nothing by ``fit``, ``predict`` and ``transform``; see :meth:`reveal`. Labels of the rows that were fitted are
    ``predict(X)``, and are not revealed with the model.

    Notes
    -----
    Lloyd 1982; seeds: Arthur and Vassilvitskii, SODA 2007. Values are rounded to about ``2**-20`` of the widest public
    range, and a row that close to the middle between two centres may go to either: clip extreme values, and put a
    ``StandardScaler`` first where units differ. Features are shared, not kept with their owners.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import KMeans
    >>> rows = pd.DataFrame({"x": [0, 1, 8, 9], "y": [2, 2, 4, 4]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     X = session.table("bank.t")[["x", "y"]]
    ...     model = KMeans(n_clusters=2, init=[[0, 2], [9, 4]], max_iter=3).fit(X)
    ...     found, labels = mpc.collect(model.to_frame(), model.predict(X))
    >>> found.cluster_centers_.tolist(), found.inertia_, labels.tolist()
    ([[0.5, 2.0], [8.5, 4.0]], 1.0, [0, 0, 1, 1])
    """

    _FIT = "fit(X)"

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike = "k-means++",
        n_init: int = 1,
        max_iter: int = 20,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def _params(self, names: Sequence[str], ranges: Sequence[tuple[float, float]]) -> dict[str, int | str]:
        for name, low in (("n_clusters", 1), ("n_init", 1), ("max_iter", 1), ("random_state", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
                raise SchemaError(f"{name} must be a whole number of at least {low}, not {value!r}", code="MPC-0120")
        params: dict[str, int | str] = {"clusters": int(self.n_clusters), "steps": int(self.max_iter)}
        start = self._start(names, ranges)
        restarts = 1 if start else int(self.n_init)
        return params | {"restarts": restarts, "seed": int(self.random_state)} | ({"start": start} if start else {})

    def _start(self, names: Sequence[str], ranges: Sequence[tuple[float, float]]) -> str:
        if isinstance(self.init, str):
            if self.init != "k-means++":
                raise SchemaError(
                    f"no init {self.init!r}", code="MPC-0120", hint='"k-means++", or an array of public centres'
                )
            return ""
        given = np.asarray(self.init, np.float64)
        if given.shape != (self.n_clusters, len(names)):
            raise SchemaError(
                f"init has the shape {given.shape}, and must have a row a cluster and a column a feature: "
                f"{(self.n_clusters, len(names))}",
                code="MPC-0120",
            )
        for name, column, (low, high) in zip(names, given.T, ranges, strict=True):
            if not ((column >= low) & (column <= high)).all():
                raise SchemaError(
                    f"init has a centre outside of the public range of {name!r}, {low:g} to {high:g}", code="MPC-0120"
                )
        return ";".join(",".join(repr(float(value)) for value in row) for row in given)

    @placed
    def fit(self, X: DataFrame, y: object = None) -> KMeans:
        """Plan the clusters of the rows of ``X``; nothing runs."""
        features = features_of(X)
        base, names = materialise(X._base, features)
        columns = tuple(names[name] for name in features)
        plain = Fit(base, _KIND, columns, None, (("clusters", 1),))
        self._plan(make(plain), X, features)  # says first what is wrong with the columns
        params = self._params(tuple(features), ranges_of(plain))
        self._plan(make(Fit(base, _KIND, columns, None, tuple(sorted(params.items())))), X, features)
        return self

    def _inputs(self, X: DataFrame) -> tuple[Rel, Rel, list[str]]:
        model = self._fitted()
        base, names = materialise(X._base, features_of(X, self.feature_names_in_))
        return model, base, [names[name] for name in self.feature_names_in_]

    @placed
    def predict(self, X: DataFrame) -> Series:
        """The number of each row's nearest centre, a secret column of X's frame."""
        model, base, features = self._inputs(X)
        return applied_column(X, model, _KIND, "predict", base, features, "cluster")

    def fit_predict(self, X: DataFrame, y: object = None) -> Series:
        """``fit(X).predict(X)``."""
        return self.fit(X).predict(X)

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """Distances to the centres: secret columns ``kmeans0``, ``kmeans1``, .. of a frame over X's rows."""
        model, base, features = self._inputs(X)
        outputs = self.get_feature_names_out()
        rel, made = applied(model, _KIND, "transform", base, features, outputs)
        return replaced(X, rel, dict(zip(outputs, made, strict=True)))

    def fit_transform(self, X: DataFrame, y: object = None) -> DataFrame:
        """``fit(X).transform(X)``."""
        return self.fit(X).transform(X)

    def get_feature_names_out(self) -> list[str]:
        """Names of the columns that `transform` makes."""
        fit = self._fitted()
        assert isinstance(fit, Fit)
        return [f"kmeans{at}" for at in range(int(dict(fit.params)["clusters"]))]

    def to_frame(self) -> DataFrame:
        """The centres as a lazy frame, a row a cluster, in internal units: collect it together with other frames."""
        return _Clusters(self, self._fitted())

    @placed
    def reveal(self, to: str | Sequence[str] | None = None) -> KMeansResult:
        """Run, and disclose the centres and the inertia to `to`."""
        result: KMeansResult = self.to_frame().collect(to)
        return result


class _Clusters(DataFrame):
    """Clusters as a relation whose collected form is a result object."""

    def __init__(self, estimator: KMeans, rel: Rel) -> None:
        super().__init__(estimator._session, rel, identity(rel))
        self._estimator: KMeans = estimator

    def _shape(self, data: pd.DataFrame) -> Any:
        from mpc_compiler.lower.kmeans import middles
        from mpc_compiler.ops.scaler import units

        assert isinstance(self._base, Fit)
        ranges = ranges_of(self._base)
        scale = units(ranges)
        names = [f"c{at}" for at in range(len(self._base.features))]
        centres = (data[names].to_numpy(np.float64) + middles(ranges)) / scale
        inertia = float(data["inertia"].iloc[0]) / float(scale.min()) ** 2
        return KMeansResult(self._estimator.feature_names_in_, centres, inertia)
