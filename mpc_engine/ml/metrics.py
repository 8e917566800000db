"""Metrics of secret scores against secret labels; each is a lazy value or small table that ``collect()`` computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Agg, Aggregate, Expr, Item, Metric, Project, Rel, call, column, literal, make
from mpc_engine.frame.base import Lazy, common, one_session
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Scalar, Series
from mpc_engine.ml.bands import lift_table, population_stability_index, stability_table
from mpc_engine.ml.base import materialise
from mpc_engine.ml.collinearity import correlation_matrix, variance_inflation_factor
from mpc_engine.ml.comparison import delong_test

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "brier_score",
    "brier_score_loss",
    "by_segment",
    "confusion_matrix",
    "correlation_matrix",
    "delong_test",
    "gini",
    "ks_score",
    "lift_table",
    "log_loss",
    "population_stability_index",
    "roc_auc_interval",
    "roc_auc_score",
    "stability_table",
    "variance_inflation_factor",
]

_RANKED = ("roc_auc", "ks")


def _rows(y_true: Series, y_score: Series) -> tuple[Rel, str, str]:
    """The rows of both columns, and where label and score are."""
    one_session(y_true, y_score)
    base, names = materialise(common(y_true._base, y_score._base), {"~label": y_true._expr, "~score": y_score._expr})
    return base, names["~label"], names["~score"]


def _metric(name: str, y_true: Series, y_score: Series) -> Scalar:
    base, label, score = _rows(y_true, y_score)
    both = make(Metric(base, _RANKED if name in _RANKED else (name,), label, score))
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


@placed
def gini(y_true: Series, y_score: Series) -> Scalar:
    """Gini coefficient, or accuracy ratio: ``2 * AUC - 1``."""
    base, label, score = _rows(y_true, y_score)
    both = make(Metric(base, _RANKED, label, score))
    value = call("sub", call("mul", column("roc_auc"), literal(2.0)), literal(1.0))
    rel = mark(make(Project(both, (Item("gini", value),))))
    return Scalar(y_true._session, rel, {"gini": column("gini")})


class RocAucInterval(Lazy):
    """An area under the curve with its standard error; ``collect()`` gives a Series ``auc se low high``."""

    def __init__(self, of: Lazy, rel: Rel, level: float) -> None:
        self._level = level
        super().__init__(of._session, rel, {"auc": column("roc_auc"), "se": column("roc_auc_se")})

    def _shape(self, data: pd.DataFrame) -> pd.Series[float]:
        import pandas as pd

        auc, se = (float(value) for value in data.iloc[0])
        reach = NormalDist().inv_cdf(0.5 + self._level / 2) * se
        return pd.Series({"auc": auc, "se": se, "low": max(auc - reach, 0.0), "high": min(auc + reach, 1.0)})

    def __repr__(self) -> str:
        return f"<lazy interval of an AUC; .collect() computes it; owners: {', '.join(self._owners)}>"


@placed
def roc_auc_interval(y_true: Series, y_score: Series, *, level: float = 0.95) -> RocAucInterval:
    """Area under the ROC curve with the interval of DeLong, DeLong and Clarke-Pearson (1988).

    Discloses the area and its standard error; the ends of the interval follow from them.

    Parameters
    ----------
    y_true, y_score : Series
        0/1 labels and scores; at least two rows of each class.
    level : float
        Confidence, between 0 and 1.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import roc_auc_interval
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 0, 1, 1], "score": [0.1, 0.4, 0.35, 0.2, 0.8, 0.7]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     roc_auc_interval(df["bad"], df["score"]).collect().round(3).to_dict()
    {'auc': 0.889, 'se': 0.157, 'low': 0.581, 'high': 1.0}
    """
    if not 0 < level < 1:
        raise SchemaError(f"level must lie between 0 and 1, not {level!r}", code="MPC-0120")
    base, label, score = _rows(y_true, y_score)
    return RocAucInterval(y_true, mark(make(Metric(base, ("roc_auc", "roc_auc_se"), label, score))), level)


@placed
def log_loss(y_true: Series, y_prob: Series) -> Scalar:
    """Mean negative log-likelihood of 0/1 labels under probabilities, which are held to ``2**-17`` from 0 and 1.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import brier_score, log_loss
    >>> rows = pd.DataFrame({"bad": [0, 1], "p": [0.4, 0.8]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     [round(v, 4) for v in mpc.collect(log_loss(df["bad"], df["p"]), brier_score(df["bad"], df["p"]))]
    [0.367, 0.1]
    """
    return _metric("log_loss", y_true, y_prob)


@placed
def brier_score(y_true: Series, y_prob: Series) -> Scalar:
    """Mean squared difference of probabilities and 0/1 labels."""
    one_session(y_true, y_prob)
    return ((y_prob - y_true.astype(int)) ** 2).mean()


brier_score_loss = brier_score
"""Its name in scikit-learn."""


class ConfusionMatrix(Lazy):
    """Counts by label and prediction; ``collect()`` gives int64 [2, 2], ``[[tn, fp], [fn, tp]]`` as scikit-learn."""

    def _shape(self, data: pd.DataFrame) -> NDArray[np.int64]:
        import numpy as np

        return np.array([int(value) for value in data.iloc[0]], np.int64).reshape(2, 2)

    def __repr__(self) -> str:
        return f"<lazy confusion matrix; .collect() computes it; owners: {', '.join(self._owners)}>"


@placed
def confusion_matrix(y_true: Series, y_score: Series, *, threshold: float = 0.5) -> ConfusionMatrix:
    """How many rows of each label have a score of at least ``threshold``; discloses the four counts.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import confusion_matrix
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 1], "score": [0.1, 0.6, 0.5, 0.2]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     confusion_matrix(df["bad"], df["score"]).collect().tolist()
    [[1, 1], [1, 1]]
    """
    one_session(y_true, y_score)
    label = y_true.astype(int)
    chosen = (y_score >= threshold).astype(int)
    hit = label * chosen
    base = common(common(label._base, chosen._base), hit._base)
    items = (Item("label", label._expr), Item("chosen", chosen._expr), Item("hit", hit._expr))
    sums = tuple(Agg(name, "sum", name) for name in ("label", "chosen", "hit"))
    totals = mark(make(Aggregate(make(Project(base, items)), (), (*sums, Agg("rows", "size")))))
    total: dict[str, Expr] = {name: call("fillna", column(name), literal(0)) for name in ("label", "chosen", "hit")}
    either = call("sub", call("add", total["label"], total["chosen"]), total["hit"])
    cells = {
        "tn": call("sub", column("rows"), either),
        "fp": call("sub", total["chosen"], total["hit"]),
        "fn": call("sub", total["label"], total["hit"]),
        "tp": total["hit"],
    }
    return ConfusionMatrix(y_true._session, totals, cells)


def by_segment(
    metric: Callable[..., Any], y_true: Series, y_score: Series, *, by: Series, values: Iterable[Any], **options: Any
) -> dict[Any, Any]:
    """A metric of the rows of each segment: lazy values by the segment's value.

    Parameters
    ----------
    metric : callable
        One of this module, called with the segment's labels and scores.
    y_true, y_score, by : Series
        Columns of one frame.
    values : iterable
        Public values of ``by``.
    **options
        What ``metric`` takes besides.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import by_segment, roc_auc_score
    >>> rows = pd.DataFrame({"bad": [0, 1, 1, 0], "score": [0.1, 0.4, 0.3, 0.8], "region": ["n", "n", "s", "s"]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     found = by_segment(roc_auc_score, df["bad"], df["score"], by=df["region"], values=["n", "s"])
    ...     [round(value, 3) for value in mpc.collect(*found.values())]
    [1.0, 0.0]
    """
    from mpc_engine.frame.dataframe import DataFrame

    for other in (y_score, by):
        one_session(y_true, other)
    base = common(common(y_true._base, y_score._base), by._base)
    frame = DataFrame(y_true._session, base, {"~label": y_true._expr, "~score": y_score._expr})
    parts = {value: frame[Series(y_true._session, base, by._expr, "~by") == value] for value in values}
    return {value: metric(part["~label"], part["~score"], **options) for value, part in parts.items()}
