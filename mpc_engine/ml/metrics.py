"""Metrics of secret scores against secret labels; each is a lazy scalar."""

from __future__ import annotations

from mpc_compiler.check.models import METRICS
from mpc_compiler.ir import Item, Metric, Project, column, make
from mpc_engine.frame.base import common
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Scalar, Series
from mpc_engine.ml.base import materialise

__all__ = ["ks_score", "roc_auc_score"]


def _metric(name: str, y_true: Series, y_score: Series) -> Scalar:
    base, names = materialise(common(y_true._base, y_score._base), {"~label": y_true._expr, "~score": y_score._expr})
    both = make(Metric(base, METRICS, names["~label"], names["~score"]))
    rel = mark(make(Project(both, (Item(name, column(name)),))))
    return Scalar(y_true._session, rel, {name: column(name)})


@placed
def roc_auc_score(y_true: Series, y_score: Series) -> Scalar:
    """Area under the ROC curve, ties counted half, as scikit-learn has it.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import roc_auc_score
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 1], "score": [0.1, 0.4, 0.35, 0.8]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     round(roc_auc_score(df["bad"], df["score"]).collect(), 3)
    0.75
    """
    return _metric("roc_auc", y_true, y_score)


@placed
def ks_score(y_true: Series, y_score: Series) -> Scalar:
    """Kolmogorov-Smirnov statistic: the largest distance between the score distributions of the two classes."""
    return _metric("ks", y_true, y_score)
