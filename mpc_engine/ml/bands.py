"""Bands of scores between public edges: event rates, lift and stability, small bands left out before anything opens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Expr,
    Filter,
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
from mpc_engine.frame.constants import constant, exact_constant
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Scalar, Series

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BandTable", "band_code", "edges_of", "lift_table", "population_stability_index", "stability_table"]

Edges = Sequence[float] | int


def edges_of(score: Series, bins: Edges) -> tuple[float, ...]:
    """The inner edges of bands: public ones, or those that divide the score's public range evenly.

    Raises
    ------
    SchemaError
        When edges do not ascend, or are none.
    """
    if isinstance(bins, int):
        if not 2 <= bins <= 1000:
            raise SchemaError(f"there can be 2 to 1000 bands, not {bins}", code="MPC-0120")
        low, high = (float(end) for end in score.dtype.limits)
        return tuple(low + (high - low) * k / bins for k in range(1, bins))
    inner = tuple(float(edge) for edge in bins if math.isfinite(edge))
    if not inner or any(low >= high for low, high in itertools.pairwise(inner)):
        raise SchemaError("the edges of bands must ascend", code="MPC-0105", hint="[400, 500, 600]")
    return inner


def band_code(score: Series, edges: Sequence[float]) -> Expr:
    """The number of the band of each score, from 0: how many edges are not above it; missing ones get the last."""
    edge = exact_constant if score.dtype.kind == "decimal" else constant
    total: Expr = literal(0)
    for value in edges:
        total = call("add", total, call("int", call("ge", score._expr, edge(value))))
    if score.dtype.nullable:
        total = call("where", call("isna", score._expr), literal(len(edges) + 1), total)
    return total


def band_names(edges: Sequence[float], *, missing: bool) -> list[str]:
    """``"[400, 500)"`` and so on, in the order of :func:`band_code`.

    Examples
    --------
    >>> band_names([0.5], missing=True)
    ['[-inf, 0.5)', '[0.5, inf)', 'missing']
    """
    ends = [-math.inf, *edges, math.inf]
    made = [f"[{low:g}, {high:g})" for low, high in itertools.pairwise(ends)]
    return [*made, "missing"] if missing else made


class BandTable(Lazy):
    """Counts by band; ``collect()`` derives rates from the counts that were released.

    Bands with fewer rows than the least count, and empty ones, do not reach anybody: their cells are missing, and they
    are no part of sums over bands.
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


def _least(min_count: int) -> int:
    if not isinstance(min_count, int) or isinstance(min_count, bool) or min_count < 1:
        raise SchemaError(f"min_count must be a number of rows, not {min_count!r}", code="MPC-0120")
    return min_count


def _kept(rel: Rel, counts: Sequence[str], least: int) -> Rel:
    """Bands with enough rows; the others are dropped on shares, so that small and empty ones look alike."""
    keep = call("ge", column(counts[0]), literal(least))
    for name in counts[1:]:
        keep = call("and", keep, call("ge", column(name), literal(least)))
    return mark(make(Filter(rel, keep)))


@placed
def lift_table(
    y_true: Series, y_score: Series, *, bins: Edges = 10, min_count: int = 10, descending: bool = True
) -> BandTable:
    """Event rate, lift and gains by bands of the score.

    Discloses the rows and events of each band with at least ``min_count`` rows; everything else in the table follows
    from those, so that a band that was left out cannot be found by subtraction.

    Parameters
    ----------
    y_true, y_score : Series
        0/1 labels and scores.
    bins : sequence of number or int
        Public edges, ascending; or so many bands of equal width over the score's public range.
    min_count : int
        Least rows of a band that is released.
    descending : bool
        Whether the band of highest scores comes first, as for probabilities of the event; False for score points.

    Returns
    -------
    BandTable
        Collected: a frame by band with count, event, event_rate, lift, cumulative shares, ks and cum_lift.

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
    edges, least = edges_of(y_score, bins), _least(min_count)
    code, names = band_code(y_score, edges), band_names(edges, missing=y_score.dtype.nullable)
    if descending:
        ordered = len(edges) + 1
        flipped = call("sub", literal(ordered - 1), code)
        missing = y_score.dtype.nullable
        code = call("where", call("isna", y_score._expr), literal(ordered), flipped) if missing else flipped
        names = [*reversed(names[:ordered]), *names[ordered:]]
    label = y_true.astype(int)
    base = common(label._base, y_score._base)
    ranged = call("clip", code, literal(0), literal(len(names) - 1))
    rows = make(Project(base, (Item("band", ranged), Item("event", label._expr))))
    counts = make(Aggregate(rows, ("band",), (Agg("count", "size"), Agg("event", "sum", "event"))))
    return BandTable(y_true, _kept(counts, ("count",), least), names, "lift")


def _two_samples(expected: Series, actual: Series, bins: Edges) -> tuple[Rel, list[str]]:
    """Rows of both samples: ``sample`` 0 or 1, and ``band``."""
    one_session(expected, actual)
    edges = edges_of(expected, bins)
    missing = expected.dtype.nullable or actual.dtype.nullable
    last = literal(len(edges) + missing)
    sides = [
        make(
            Project(
                part._base,
                (
                    Item("band", call("clip", band_code(part, edges), literal(0), last)),
                    Item("sample", literal(sample)),
                ),
            )
        )
        for sample, part in enumerate((expected, actual))
    ]
    return mark(make(Union(*sides))), band_names(edges, missing=missing)


@placed
def population_stability_index(expected: Series, actual: Series, *, bins: Edges = 10, min_count: int = 10) -> Scalar:
    """Population stability index: the sum over bands of ``(a - e) * log(a / e)`` of shares a and e of two samples.

    An empty band counts as one with half a row in its logarithm. Discloses one number; it is missing if a sample has
    fewer than ``min_count`` rows. Also known, of a characteristic instead of a score, as CSI.

    Parameters
    ----------
    expected, actual : Series
        The same score or characteristic in two samples: of two frames, or of two parts of one.
    bins : sequence of number or int
        Public edges, ascending; or so many bands of equal width over the public range of ``expected``. Missing values
        are a band of their own.
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
    least = _least(min_count)
    both, _ = _two_samples(expected, actual, bins)
    found = make(Metric(both, ("psi", "psi_least"), "sample", "band"))
    value = call("where", call("ge", column("psi_least"), literal(least)), column("psi"), literal(None))
    rel = mark(make(Project(found, (Item("psi", value),))))
    return Scalar(expected._session, rel, {"psi": column("psi")})


@placed
def stability_table(expected: Series, actual: Series, *, bins: Edges = 10, min_count: int = 10) -> BandTable:
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
    least = _least(min_count)
    both, names = _two_samples(expected, actual, bins)
    aggs = (Agg("count", "size"), Agg("actual", "sum", "sample"))
    counts = make(Aggregate(both, ("band",), aggs))
    items = (
        Item("band", column("band")),
        Item("expected", call("sub", column("count"), column("actual"))),
        Item("actual", column("actual")),
    )
    return BandTable(expected, _kept(make(Project(counts, items)), ("expected", "actual"), least), names, "stability")
