"""Released score cards as a scikit-learn pipeline. Imported only when it is asked for: scikit-learn is optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.pipeline import Pipeline

from mpc_engine.ml.released import CardBin, ReleasedCard

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CardPoints", "CardScore", "card_pipeline"]


class CardPoints(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Rows of a frame to the points of their bins, float64 [n, features]; nothing is fitted.

    Parameters
    ----------
    bins : sequence of CardBin
    """

    def __init__(self, bins: Sequence[CardBin]) -> None:
        self.bins = bins

    def fit(self, X: pd.DataFrame, y: Any = None) -> CardPoints:
        """Nothing to fit."""
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Points by feature."""
        import pandas as pd

        return ReleasedCard(tuple(self.bins), pd.DataFrame()).points(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The features in order."""
        return np.array(list(dict.fromkeys(b.variable for b in self.bins)), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class CardScore(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The sum of points; nothing is fitted."""

    def fit(self, X: Any, y: Any = None) -> CardScore:
        """Nothing to fit."""
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Scores, float64 [n]."""
        total: NDArray[np.float64] = np.asarray(X, np.float64).sum(axis=1)
        return total

    def __sklearn_is_fitted__(self) -> bool:
        return True


def card_pipeline(card: ReleasedCard) -> Pipeline:
    """``Pipeline`` of the steps ``points`` and ``score``.

    Examples
    --------
    >>> import pandas as pd
    >>> card = ReleasedCard((CardBin("age", 10.0, high=30.0), CardBin("age", 25.0, low=30.0)), pd.DataFrame())
    >>> card_pipeline(card).predict(pd.DataFrame({"age": [20, 30]})).tolist()
    [10.0, 25.0]
    """
    return Pipeline([("points", CardPoints(card.bins)), ("score", CardScore())])
