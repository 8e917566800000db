"""Models over secret rows, in scikit-learn's shape. ``fit`` plans; ``reveal`` and ``collect`` run."""

from mpc_engine.ml import metrics
from mpc_engine.ml.base import ConvergenceWarning
from mpc_engine.ml.logistic import LogisticRegression
from mpc_engine.ml.result import LogisticResult
from mpc_engine.ml.scaler import ScalerResult, StandardScaler

__all__ = ["ConvergenceWarning", "LogisticRegression", "LogisticResult", "ScalerResult", "StandardScaler", "metrics"]
