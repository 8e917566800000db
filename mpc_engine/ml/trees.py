"""Released boosted trees: plain data that scores rows in the clear, where their receiver may know the bins' edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mpc_engine.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RevealedTrees", "TreeFeature"]


class TreeFeature(msgspec.Struct, frozen=True):
    """The bins of a feature, numbered from 0; one more than the last holds missing and unknown values.

    Attributes
    ----------
    name : str
    edges : tuple of float
        Of numbers: the bin is how many edges are not above the value.
    values : tuple of str
        Of texts, and of booleans as texts: the bin is the place here.
    """

    name: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    def codes(self, column: pd.Series[Any]) -> NDArray[np.int64]:
        """The bins of a column, int64 [n].

        Examples
        --------
        >>> import pandas as pd
        >>> TreeFeature("age", edges=(30.0, 40.0)).codes(pd.Series([20, 30, None])).tolist()
        [0, 1, 3]
        """
        gone = column.isna().to_numpy()
        if self.values:
            places = {value: at for at, value in enumerate(self.values)}
            found = [places.get(str(value), len(self.values)) for value in column]
            return np.where(gone, len(self.values), np.asarray(found, np.int64))
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(gone, len(self.edges) + 1, np.searchsorted(self.edges, numbers, side="right"))


@dataclass(frozen=True)
class RevealedTrees:
    """Trees that their receiver may see.

    Attributes
    ----------
    splits : DataFrame
        One row a split: tree, node (by the way to it: "", "L", "LR"...), feature, bin: rows of this bin and below go
        left. At a node without a split all rows go right.
    leaves : ndarray [trees, leaves]
        What leaves add to the score, leftmost first.
    feature_importances_ : ndarray [features]
        Parts of the summed gain.
    validation_ : ndarray [trees]
        Mean loss of the validation rows after each tree, over all rows; zeros without any.
    base_ : float
        Score before the first tree.
    names : tuple of str
        Features in order.
    classifier : bool
        Whether scores are log-odds of class 1; otherwise they are predicted values.
    features : tuple of TreeFeature
        What the bins are, if edges were revealed too; else empty.
    """

    splits: pd.DataFrame
    leaves: NDArray[np.float64]
    feature_importances_: NDArray[np.float64]
    validation_: NDArray[np.float64]
    base_: float
    names: tuple[str, ...]
    classifier: bool
    features: tuple[TreeFeature, ...] = ()

    @property
    def depth(self) -> int:
        """Levels of splits."""
        return int(self.leaves.shape[1]).bit_length() - 1

    def known_features(self) -> tuple[TreeFeature, ...]:
        """The features' bins.

        Raises
        ------
        SchemaError
            When only their numbers were revealed.
        """
        if not self.features:
            raise SchemaError(
                "the edges of these trees' bins were not revealed", code="MPC-0121", hint="model.reveal(edges=True)"
            )
        return self.features

    def nodes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Feature and bin of all splits, int64 [trees, 2^depth - 1] each, nodes in heap order; -1 without a split."""
        shape = self.leaves.shape[0], self.leaves.shape[1] - 1
        feature, cut = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
        for row in self.splits.to_dict("records"):
            at = int(row["tree"]), _place(row["node"])
            feature[at], cut[at] = self.names.index(row["feature"]), row["bin"]
        return feature, cut

    def decision_function(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Scores of rows in the clear, float64 [n]."""
        codes = np.stack([known.codes(rows[known.name]) for known in self.known_features()], axis=1)
        feature, cut = self.nodes()
        score = np.full(len(rows), self.base_)
        for tree, leaves in enumerate(self.leaves):
            node = np.zeros(len(rows), np.int64)
            for _ in range(self.depth):
                code = np.take_along_axis(codes, feature[tree, node][:, None], axis=1)[:, 0]
                node = 2 * node + 1 + (code > cut[tree, node])
            score += leaves[node - (len(leaves) - 1)]
        return score

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities of classes 0 and 1 in the clear, float64 [n, 2], as scikit-learn has them."""
        if not self.classifier:
            raise SchemaError("these trees predict no class", code="MPC-0113", hint="predict(rows)")
        event = 1 / (1 + np.exp(-self.decision_function(rows)))
        return np.stack([1 - event, event], axis=1)

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Predicted values in the clear, float64 [n]; of a classifier classes, int64 [n]."""
        score = self.decision_function(rows)
        return (score > 0).astype(np.int64) if self.classifier else score

    def to_onnx(self) -> bytes:
        """An ONNX model with the outputs ``score`` and ``probability``, of a regressor ``prediction``; all [n, 1].

        Inputs are named as the features, [n, 1]: numbers as float64, missing ones as NaN; texts and booleans as
        strings, missing ones empty.

        Raises
        ------
        ConfigError
            Without the package ``onnx``.
        SchemaError
            When edges were not revealed.
        """
        from mpc_engine.ml.onnx_models import trees_onnx

        return trees_onnx(self)


def _place(way: str) -> int:
    """The heap number of the node that a way leads to.

    Examples
    --------
    >>> [_place(way) for way in ("", "L", "R", "LR")]
    [0, 1, 2, 4]
    """
    node = 0
    for step in way:
        node = 2 * node + (1 if step == "L" else 2)
    return node
