"""Bands of scores: event rates, lift and stability, small bands left out before anything opens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Item,
    Metric,
    Project,
    Rel,
    Union,
    call,
    column,
    literal,
    make,
)
from mpc_engine.frame.base import Lazy, common, identity, one_session
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Scalar, Series
from mpc_engine.ml.cuts import Edges, cuts_of
from mpc_engine.ml.suppress import least_of, without_small

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BandTable", "lift_table", "population_stability_index", "stability_table"]


class BandTable(Lazy):
    """Counts by band; ``collect()`` derives rates from the counts that were released.

    Bands with fewer rows than the least count, and empty ones, do not reach anybody: their cells are missing, and they
    are no part of sums over bands. See :func:`mpc_engine.ml.suppress.without_small`.
    """

    def __init__(self, of: Lazy, rel: Rel, names: Sequence[str], kind: str) -> None:
        self._names, self._kind = list(names), kind
        super().__init__(of._session, rel, identity(rel))

    def _shape(self, data: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        at = pd.Index(range(len(self._names)))
        counts = data.set_index("band").reindex(at).astype("float64")
        counts.index = pd.Index(self._names, name="band")
        return _lift(counts) if self._kind == "lift" else _stability(counts)

    def __repr__(self) -> str:
        return f"<lazy table of bands; .collect() computes it; owners: {', '.join(self._owners)}>"


def _lift(counts: pd.DataFrame) -> pd.DataFrame:
    rows, events = counts["count"], counts["event"]
    if "score" in counts:
        counts = counts.assign(score=counts["score"] / rows).rename(columns={"score": "mean_score"})
    rate = events.sum() / rows.sum() if rows.sum() else math.nan
    made = counts.assign(event_rate=events / rows)
    made["lift"] = made["event_rate"] / rate
    made["cum_rows"] = rows.cumsum() / rows.sum()
    made["cum_events"] = events.cumsum() / events.sum()
    made["cum_nonevents"] = (rows - events).cumsum() / (rows - events).sum()
    made["ks"] = (made["cum_events"] - made["cum_nonevents"]).abs()
    made["cum_lift"] = made["cum_events"] / made["cum_rows"]
    return made


def _stability(counts: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    share = counts / counts.sum()
    change = share["actual"] - share["expected"]
    logs = np.log(share["actual"] / share["expected"])
    return counts.assign(expected_share=share["expected"], actual_share=share["actual"], psi=change * logs)


@placed
def lift_table(
    y_true: Series,
    y_score: Series,
    *,
    bins: Edges = 10,
    binning: str = "uniform",
    min_count: int = 10,
    descending: bool = True,
    means: bool = False,
) -> BandTable:
    """Event rate, lift and gains by bands of the score.

    Discloses the rows and events of each band with at least ``min_count`` rows; everything else in the table follows
    from those. Where all bands that are left out have fewer rows together, one more is left out: none can be found by
    subtraction.

    Parameters
    ----------
    y_true, y_score : Series
        0/1 labels and scores.
    bins : sequence of number or int
        Public edges, ascending; or so many bands.
    binning : {"uniform", "quantile"}
        So many bands of equal width over the score's public range, or of equally many rows each (deciles for 10), whose
        edges stay secret. Rows of one score are in one band, so that some may be empty.
    min_count : int
        Least rows of a band that is released.
    descending : bool
        Whether the band of highest scores comes first, as for probabilities of the event; False for score points.
    means : bool
        Whether mean scores by band are released, too, to compare probabilities with event rates.

    Returns
    -------
    BandTable
        Collected: a frame by band with count, event, event_rate, lift, cumulative shares, ks and cum_lift; mean_score
        where it is asked for.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import lift_table
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 0, 1, 1], "score": [0.1, 0.4, 0.35, 0.2, 0.8, 0.7]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     table = lift_table(df["bad"], df["score"], bins=[0.5], min_count=2).collect()
    ...     table[["count", "event", "lift", "cum_events"]].round(3)
                 count  event  lift  cum_events
    band
    [0.5, inf)     2.0    2.0   2.0       0.667
    [-inf, 0.5)    4.0    1.0   0.5       1.000
    """
    one_session(y_true, y_score)
    least, cuts = least_of(min_count), cuts_of(y_score, bins, binning)
    (with_edges, code), missing = cuts.code(y_score), y_score.dtype.nullable
    names = cuts.labels(missing=missing)
    if descending:
        ordered = len(cuts.names)
        flipped = call("sub", literal(ordered - 1), code)
        code = call("where", call("isna", y_score._expr), literal(ordered), flipped) if missing else flipped
        names = [*reversed(cuts.names), *names[ordered:]]
    label = y_true.astype(int)
    base = common(label._base, with_edges)
    ranged = call("clip", code, literal(0), literal(len(names) - 1))
    items, sums = [Item("band", ranged), Item("event", label._expr)], [Agg("event", "sum", "event")]
    if means:
        items.append(Item("score", y_score._expr))
        sums.append(Agg("score", "sum", "score"))
    rows = make(Project(base, tuple(items)))
    counts = make(Aggregate(rows, ("band",), (Agg("count", "size"), *sums)))
    return BandTable(y_true, mark(without_small(y_true, counts, ("count",), least)), names, "lift")


def _two_samples(expected: Series, actual: Series, bins: Edges, binning: str) -> tuple[Rel, list[str]]:
    """Rows of both samples: ``sample`` 0 or 1, and ``band``."""
    one_session(expected, actual)
    cuts, missing = cuts_of(expected, bins, binning), expected.dtype.nullable or actual.dtype.nullable
    names, sides = cuts.labels(missing=missing), []
    for sample, part in enumerate((expected, actual)):
        base, code = cuts.code(part)
        band = call("clip", code, literal(0), literal(len(names) - 1))
        sides.append(make(Project(base, (Item("band", band), Item("sample", literal(sample))))))
    return mark(make(Union(*sides))), names


@placed
def population_stability_index(
    expected: Series, actual: Series, *, bins: Edges = 10, binning: str = "uniform", min_count: int = 10
) -> Scalar:
    """Population stability index: the sum over bands of ``(a - e) * log(a / e)`` of shares a and e of two samples.

    An empty band counts as one with half a row in its logarithm. Discloses one number; it is missing if a sample has
    fewer than ``min_count`` rows. Also known, of a characteristic instead of a score, as CSI.

    Parameters
    ----------
    expected, actual : Series
        The same score or characteristic in two samples: of two frames, or of two parts of one.
    bins : sequence of number or int
        Public edges, ascending; or so many bands. Missing values are a band of their own.
    binning : {"uniform", "quantile"}
        So many bands of equal width over the public range of ``expected``, or of equally many of its rows.
    min_count : int
        Least rows of a sample.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import population_stability_index
    >>> rows = pd.DataFrame({"score": [0.1, 0.4, 0.35, 0.8, 0.2, 0.9], "year": [1, 1, 1, 1, 2, 2]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     old, new = df[df.year == 1].score, df[df.year == 2].score
    ...     round(population_stability_index(old, new, bins=[0.5], min_count=2).collect(), 4)
    0.2747
    """
    least = least_of(min_count)
    both, _ = _two_samples(expected, actual, bins, binning)
    found = make(Metric(both, ("psi", "psi_least"), "sample", "band"))
    value = call("where", call("ge", column("psi_least"), literal(least)), column("psi"), literal(None))
    rel = mark(make(Project(found, (Item("psi", value),))))
    return Scalar(expected._session, rel, {"psi": column("psi")})


@placed
def stability_table(
    expected: Series, actual: Series, *, bins: Edges = 10, binning: str = "uniform", min_count: int = 10
) -> BandTable:
    """Rows of two samples by band, with each band's part of the population stability index.

    Discloses the two counts of each band that has at least ``min_count`` rows in both samples; shares are of the
    released bands. For the arguments see :func:`population_stability_index`.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml.metrics import stability_table
    >>> rows = pd.DataFrame({"score": [0.1, 0.4, 0.35, 0.8, 0.2, 0.9], "year": [1, 1, 1, 1, 2, 2]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     old, new = df[df.year == 1].score, df[df.year == 2].score
    ...     stability_table(old, new, bins=[0.5], min_count=1).collect()["psi"].round(4).tolist()
    [0.1014, 0.1733]
    """
    least = least_of(min_count)
    both, names = _two_samples(expected, actual, bins, binning)
    aggs = (Agg("count", "size"), Agg("actual", "sum", "sample"))
    counts = make(Aggregate(both, ("band",), aggs))
    items = (
        Item("band", column("band")),
        Item("expected", call("sub", column("count"), column("actual"))),
        Item("actual", column("actual")),
    )
    kept = without_small(expected, make(Project(counts, items)), ("expected", "actual"), least)
    return BandTable(expected, mark(kept), names, "stability")
