"""Models over secret rows, in scikit-learn's shape. ``fit`` plans; ``reveal`` and ``collect`` run."""

from mpc_engine.ml import metrics
from mpc_engine.ml.base import ConvergenceWarning
from mpc_engine.ml.boosting import GradientBoostingClassifier, GradientBoostingRegressor
from mpc_engine.ml.evaluation import EvaluationReport, evaluate
from mpc_engine.ml.kmeans import KMeans, KMeansResult
from mpc_engine.ml.linear import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
)
from mpc_engine.ml.match import match_report
from mpc_engine.ml.onehot import OneHotEncoder
from mpc_engine.ml.pca import PCA, PCAResult
from mpc_engine.ml.pipeline import Pipeline
from mpc_engine.ml.released import ReleasedCard
from mpc_engine.ml.result import LinearResult
from mpc_engine.ml.scaler import ScalerResult, StandardScaler
from mpc_engine.ml.scorecard import ScoreCard
from mpc_engine.ml.selection import FeatureSelection, FeatureSelector
from mpc_engine.ml.split import train_test_split
from mpc_engine.ml.trees import RevealedTrees
from mpc_engine.ml.woe import BinTable, WoeEncoder

__all__ = [
    "PCA",
    "BinTable",
    "ConvergenceWarning",
    "EvaluationReport",
    "FeatureSelection",
    "FeatureSelector",
    "GammaRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "KMeans",
    "KMeansResult",
    "LinearRegression",
    "LinearResult",
    "LogisticRegression",
    "OneHotEncoder",
    "PCAResult",
    "Pipeline",
    "PoissonRegressor",
    "ReleasedCard",
    "RevealedTrees",
    "ScalerResult",
    "ScoreCard",
    "StandardScaler",
    "TweedieRegressor",
    "WoeEncoder",
    "evaluate",
    "match_report",
    "metrics",
    "train_test_split",
]
