"""Whether one secret score ranks better than another of the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_compiler.ir import Metric, column, make
from mpc_engine.frame.base import Lazy, common, one_session
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import materialise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["delong_test"]

_NAMES = ("roc_auc_gap", "roc_auc_gap_se")


class AucDifference(Lazy):
    """A difference of two areas under the curve; ``collect()`` gives a Series ``difference se z pvalue``."""

    def _shape(self, data: pd.DataFrame) -> pd.Series[float]:
        import pandas as pd
        from scipy import stats

        from mpc_compiler.ops.gap import GAIN

        gap, se = (float(value) / GAIN for value in data.iloc[0])
        z = gap / se if se > 0 else 0.0
        return pd.Series({"difference": gap, "se": se, "z": z, "pvalue": 2 * float(stats.norm.sf(abs(z)))})

    def __repr__(self) -> str:
        return f"<lazy difference of two AUCs; .collect() computes it; owners: {', '.join(self._owners)}>"


@placed
def delong_test(y_true: Series, first: Series, second: Series) -> AucDifference:
    """Difference of the areas under the ROC curve of two scores of the same rows, and whether it is chance.

    DeLong, DeLong and Clarke-Pearson (1988), as R's ``pROC::roc.test`` computes it. Discloses the difference and its
    standard error, which is 0 where the scores rank all rows alike; z and the two-sided p-value follow from them.

    Parameters
    ----------
    y_true, first, second : Series
        0/1 labels and two scores; at least two rows of each class.

    Returns
    -------
    AucDifference
        Collected: a Series with difference (of ``first`` less ``second``), se, z and pvalue.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import delong_test
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 0, 1, 1], "a": [1, 4, 3, 2, 8, 7], "b": [1, 8, 7, 2, 3, 4]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     delong_test(df["bad"], df["a"], df["b"]).collect().round(3).to_dict()
    {'difference': 0.222, 'se': 0.248, 'z': 0.894, 'pvalue': 0.371}
    """
    one_session(y_true, first)
    one_session(y_true, second)
    base = common(common(y_true._base, first._base), second._base)
    columns = {"~label": y_true._expr, "~score": first._expr, "~other": second._expr}
    base, names = materialise(base, columns)
    metric = make(Metric(base, _NAMES, names["~label"], names["~score"], names["~other"]))
    return AucDifference(y_true._session, mark(metric), {name: column(name) for name in _NAMES})
