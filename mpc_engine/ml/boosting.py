"""Gradient-boosted trees over secret rows, on bins that owners make of their own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Fit, Rel, make
from mpc_engine.frame.base import common, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import PlannedEstimator, applied_column, features_of, materialise
from mpc_engine.ml.bins import Bins, attached, bins_of, edges_of_each
from mpc_engine.ml.trees import RevealedTrees, TreeFeature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GradientBoostingClassifier", "GradientBoostingRegressor"]

B = TypeVar("B", bound="Boosting")


class Boosting(PlannedEstimator):
    """What classifier and regressor share; names and defaults of parameters are scikit-learn's and xgboost's.

    Parameters
    ----------
    n_estimators, max_depth : int
        Trees, and levels of splits.
    learning_rate : float
    max_bins : int
        Bins of each feature.
    binning : {"quantile", "uniform"}
    reg_lambda : float
        L2 penalty of leaves.
    min_child_weight : float
        Least sum of second derivatives in a child.
    min_split_gain : float
        Least gain of a split.
    subsample, colsample : float
        Parts of rows and features that each tree sees, chosen by `random_state`, which is public.
    random_state : int
    """

    _LOGISTIC: ClassVar[bool]

    def __init__(
        self,
        *,
        n_estimators: int = 50,
        max_depth: int = 4,
        learning_rate: float = 0.3,
        max_bins: int = 16,
        binning: str = "quantile",
        reg_lambda: float = 1.0,
        min_child_weight: float = 1.0,
        min_split_gain: float = 0.0,
        subsample: float = 1.0,
        colsample: float = 1.0,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.max_bins = max_bins
        self.binning = binning
        self.reg_lambda = reg_lambda
        self.min_child_weight = min_child_weight
        self.min_split_gain = min_split_gain
        self.subsample = subsample
        self.colsample = colsample
        self.random_state = random_state

    def _params(self, bins: int) -> dict[str, bool | int | float | str]:
        limits: dict[str, tuple[float, float]] = {
            "n_estimators": (1, 1000), "max_depth": (1, 8), "learning_rate": (2.0**-10, 2.0),
            "reg_lambda": (2.0**-6, 2.0**16), "min_child_weight": (2.0**-4, 2.0**17), "min_split_gain": (0.0, 2.0**16),
            "subsample": (2.0**-10, 1.0),
            "colsample": (2.0**-10, 1.0), "random_state": (0, 2**32 - 1),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise SchemaError(f"{name} must lie between {low:g} and {high:g}, not {value!r}", code="MPC-0120")
        return {
            "bins": bins,
            "columns": float(self.colsample),
            "depth": int(self.max_depth),
            "gain": float(self.min_split_gain),
            "least": float(self.min_child_weight),
            "logistic": self._LOGISTIC,
            "penalty": float(self.reg_lambda),
            "rate": float(self.learning_rate),
            "rows": float(self.subsample),
            "seed": int(self.random_state),
            "trees": int(self.n_estimators),
        }

    def _cut(self, name: str, expr: Any, base: Rel) -> Bins:
        return bins_of(name, expr, base, how=self.binning, bins=self.max_bins, special=())

    @placed
    def fit(self: B, X: DataFrame, y: Series, *, validation: Series | None = None) -> B:
        """Plan trees of ``y`` on the columns of ``X``; nothing runs.

        Parameters
        ----------
        X : DataFrame
            Columns of one owner each; numbers are cut at their owners, texts by category, missing values apart.
        y : Series
        validation : Series, optional
            True for rows that are kept from training: trees after the one with the least loss on them count for
            nothing.

        Raises
        ------
        SchemaError, UnsupportedError
            For a column that cannot be cut, or a target of the wrong kind.
        """
        features = features_of(X)
        base = common(X._base, y._base)
        base = base if validation is None else common(base, validation._base)
        self._bins = tuple(self._cut(name, expr, base) for name, expr in features.items())
        exprs = {f"~bin:{b.name}": b.code for b in self._bins} | {"~target": y._expr}
        exprs |= {} if validation is None else {"~check": validation._expr}
        whole, names = materialise(attached(base, self._bins), exprs)
        chosen = tuple(names[f"~bin:{b.name}"] for b in self._bins)
        roles = () if validation is None else (("check", names["~check"]),)
        params = self._params(max(b.size for b in self._bins))
        model = make(Fit(whole, "gbdt", chosen, names["~target"], tuple(sorted(params.items())), roles))
        self._plan(model, X, features)
        return self

    def _applied(self, X: DataFrame, method: str, name: str) -> Series:
        model = self._fitted()
        features = features_of(X, self.feature_names_in_)
        codes = {f"~bin:{name}": self._cut(name, expr, X._base).code for name, expr in features.items()}
        base, names = materialise(attached(X._base, self._bins), codes)
        return applied_column(X, model, "gbdt", method, base, [names[code] for code in codes], name)

    @placed
    def decision_function(self, X: DataFrame) -> Series:
        """The score of each row, a secret column of X's frame."""
        return self._applied(X, "decision_function", "score")

    def to_frame(self) -> DataFrame:
        """The model as a lazy frame: collect it together with other frames."""
        return _Model(self, self._fitted())

    @placed
    def reveal(self, to: str | Sequence[str] | None = None, *, edges: bool = False) -> RevealedTrees:
        """Run the fit and disclose all trees to the receiver ``to``.

        Parameters
        ----------
        to : str or sequence of str, optional
        edges : bool
            Also the edges of all bins, which are quantiles of the owners' columns: with them the trees score rows in
            the clear and can be written as ONNX. Without, splits have the numbers of their bins only.
        """
        frames: list[DataFrame] = [self.to_frame()]
        if edges:
            rels = edges_of_each(self._bins)
            frames += [DataFrame(self._session, mark(rel), identity(rel)) for rel in rels]
        found, *cuts = self._session.collect_frames(frames, to=to)
        result: RevealedTrees = found
        return replace(result, features=_features(self._bins, cuts)) if edges else result


class GradientBoostingClassifier(Boosting):
    """Boosted trees for classes 0 and 1, as xgboost's histogram method grows them on the same bins.

    Notes
    -----
    Neither a split nor a sum nor a leaf is opened by ``fit``. See `mpc_compiler.ops.gbdt`.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import GradientBoostingClassifier
    >>> rows = pd.DataFrame({"x": range(8), "bad": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     model = GradientBoostingClassifier(n_estimators=2, max_depth=1, max_bins=4, min_child_weight=0.25)
    ...     (model.fit(df[["x"]], df["bad"]).predict_proba(df[["x"]]) > 0.5).collect().tolist()
    [False, False, False, False, True, True, True, True]
    """

    _LOGISTIC = True

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of class 1, a secret column of X's frame."""
        return self._applied(X, "predict_proba", "probability")

    @placed
    def predict(self, X: DataFrame) -> Series:
        """1 where the probability is above one half, a secret column."""
        return (self.predict_proba(X) > 0.5).astype(int).rename("prediction")


class GradientBoostingRegressor(Boosting):
    """Boosted trees for squared error."""

    _LOGISTIC = False

    @placed
    def predict(self, X: DataFrame) -> Series:
        """The predicted value, a secret column of X's frame."""
        return self._applied(X, "predict", "prediction")


class _Model(DataFrame):
    def __init__(self, estimator: Boosting, rel: Rel) -> None:
        super().__init__(estimator._session, rel, identity(rel))
        self._estimator: Boosting = estimator

    def _shape(self, data: pd.DataFrame) -> Any:
        assert isinstance(self._base, Fit)
        return _revealed(data, self._base, self._estimator.feature_names_in_)


def _features(bins: Sequence[Bins], cuts: Sequence[pd.DataFrame]) -> tuple[TreeFeature, ...]:
    """What bins are, from the edges of those that have computed ones."""
    left = iter(cuts)
    return tuple(
        TreeFeature(b.name, edges=tuple(float(edge) for edge in next(left).iloc[0]))
        if b.side is not None
        else TreeFeature(b.name, values=tuple(label for at, label in enumerate(b.labels) if at != b.missing))
        for b in bins
    )


def _revealed(data: pd.DataFrame, fit: Fit, names: Sequence[str]) -> RevealedTrees:
    import pandas as pd

    from mpc_compiler.lower.gbdt import unit_of

    params: Mapping[str, Any] = dict(fit.params)
    trees, depth, bins, features = params["trees"], params["depth"], params["bins"], len(names)
    nodes, leaves = 2**depth - 1, 2**depth
    size = trees * nodes * features * bins
    left = data["left"].to_numpy()[:size].reshape(trees, nodes, features, bins)
    value = data["value"].to_numpy()
    leaf, gain, loss = (value[a:b] for a, b in _ranges(trees * leaves, features, trees))
    rows = []
    for tree, node, feature in np.argwhere(left.any(axis=3)):
        cut = int(left[tree, node, feature].sum()) - 1
        rows.append({"tree": tree, "node": _way(node), "feature": names[feature], "bin": cut})
    total, unit = gain.sum(), unit_of(fit)
    return RevealedTrees(
        splits=pd.DataFrame(rows, columns=["tree", "node", "feature", "bin"]),
        leaves=leaf.reshape(trees, leaves) / unit,
        feature_importances_=gain / total if total > 0 else gain,
        validation_=loss / unit**2,
        base_=float(value[trees * leaves + features + trees]) / unit,
        names=tuple(names),
        classifier=bool(params["logistic"]),
    )


def _ranges(*sizes: int) -> list[tuple[int, int]]:
    ends = np.cumsum(sizes)
    return [(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]


def _way(node: int) -> str:
    """The way to a node in heap order."""
    way = ""
    while node:
        way = ("L" if node % 2 else "R") + way
        node = (node - 1) // 2
    return way
