"""Charts of what was released: bands of scores, bins of features. Nothing here sees rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mpc_engine.observe.chart import Axis, BarChart, Line, LineChart
from mpc_engine.observe.report import Section, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bin_sections", "calibration_chart", "ks_chart", "lift_chart", "roc_chart", "table_of", "woe_charts"]

Bands = Mapping[str, "pd.DataFrame"]
_SHOWN = ("variable", "bin", "count", "badprob", "woe", "bin_iv", "points")
_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def _pairs(table: pd.DataFrame, x: str, y: str) -> list[tuple[float, float]]:
    """Two columns of the bands that were released."""
    kept = table[[x, y]].dropna()
    return [(float(a), float(b)) for a, b in kept.itertuples(index=False)]


def _left_out(bands: Bands) -> str:
    """How many bands are missing, in words."""
    parts = [f"{int(table['count'].isna().sum())} of {name}" for name, table in bands.items()]
    missing = [part for part in parts if not part.startswith("0 ")]
    return f" Bands with too few rows are left out: {', '.join(missing)}." if missing else ""


def roc_chart(bands: Bands, areas: Mapping[str, float]) -> LineChart:
    """Share of events found against share of non-events taken for events, at the edges of bands."""
    lines = [
        Line(f"{name}: AUC {areas[name]:.4f}", [(0.0, 0.0), *_pairs(table, "cum_nonevents", "cum_events")])
        for name, table in bands.items()
    ]
    said = ", ".join(f"{name} has an area under the curve of {areas[name]:.4f}" for name in bands)
    axes = Axis("non-events taken for events", percent=True), Axis("events found", percent=True)
    return LineChart("ROC", f"{said}.{_left_out(bands)}", *axes, [*lines, Line("chance", _DIAGONAL, reference=True)])


def ks_chart(name: str, table: pd.DataFrame, distance: float) -> LineChart:
    """Shares of events and of non-events among the rows of highest scores."""
    lines = [
        Line(label, [(0.0, 0.0), *_pairs(table, "cum_rows", column)])
        for label, column in (("events", "cum_events"), ("non-events", "cum_nonevents"))
    ]
    said = f"The two distributions of the score of {name} are {distance:.4f} apart at most.{_left_out({name: table})}"
    axes = Axis("rows, highest scores first", percent=True), Axis("share of class", percent=True)
    return LineChart(f"KS of {name}: {distance:.4f}", said, *axes, lines)


def lift_chart(bands: Bands) -> LineChart:
    """How many times the mean event rate the rows of highest scores have."""
    lines = [Line(name, _pairs(table, "cum_rows", "cum_lift")) for name, table in bands.items()]
    highest = max([1.0, *(y for line in lines for _, y in line.points)])
    parts = [f"{name} {line.points[0][1]:.2f}" for name, line in zip(bands, lines, strict=True) if line.points]
    said = f"Times the mean event rate in the band of highest scores: {', '.join(parts) or 'none'}."
    axes = Axis("rows, highest scores first", percent=True), Axis("cumulative lift", 0.0, 1.05 * highest)
    none = Line("no model", ((0.0, 1.0), (1.0, 1.0)), reference=True)
    return LineChart("Lift", said + _left_out(bands), *axes, [*lines, none])


def calibration_chart(bands: Bands) -> LineChart:
    """Event rates against mean probabilities, band by band."""
    lines = [Line(name, sorted(_pairs(table, "mean_score", "event_rate"))) for name, table in bands.items()]
    high = max([0.0, *(value for line in lines for point in line.points for value in point)])
    high = min(1.0, math.ceil(high * 10 + 0.5) / 10)
    parts = [f"{line.name} {max(abs(y - x) for x, y in line.points):.3f}" for line in lines if line.points]
    said = f"Largest distance of event rate and mean probability in a band: {', '.join(parts) or 'none'}."
    axes = Axis("mean probability", 0.0, high, percent=True), Axis("event rate", 0.0, high, percent=True)
    perfect = Line("as predicted", ((0.0, 0.0), (high, high)), reference=True)
    return LineChart("Calibration", said + _left_out(bands), *axes, [*lines, perfect])


def woe_charts(table: pd.DataFrame) -> Sequence[BarChart]:
    """Weight of evidence by bin, one chart a feature, features of highest information value first.

    Parameters
    ----------
    table : DataFrame
        With variable, bin, woe and total_iv, as `BinTable.bins` and `ReleasedCard.table` have it.
    """
    made = []
    for name, rows in table.groupby("variable", sort=False):
        value = float(rows["total_iv"].iloc[0])
        bars = [(str(row["bin"]), float(row["woe"])) for row in rows.to_dict("records")]
        said = f"{len(bars)} bins of {name} with an information value of {value:.4f}."
        made.append((value, BarChart(f"{name}: IV {value:.4f}", said, "weight of evidence", bars)))
    return [chart for _, chart in sorted(made, key=lambda pair: -pair[0])]


def bin_sections(table: pd.DataFrame, title: str, min_count: int) -> dict[str, Section]:
    """A table of bins, and charts of their weights of evidence; bins of fewer rows are shown without what they hold."""
    hidden = table["count"] < min_count
    kept = table[[name for name in _SHOWN if name in table]].mask(hidden, axis=0)
    kept = kept.assign(variable=table["variable"], bin=table["bin"])
    if "points" in kept:
        kept = kept.assign(points=table["points"])
    weights = table.assign(woe=table["woe"].mask(hidden))
    return {title: table_of(kept), "Weight of evidence by bin": woe_charts(weights)}


def table_of(frame: pd.DataFrame, names: Mapping[str, str] | None = None) -> Table:
    """The columns of a frame, some under other names; missing values are empty."""
    rows = [["" if value != value else value for value in row] for row in frame.itertuples(index=False)]
    return Table([(names or {}).get(name, name) for name in map(str, frame.columns)], rows)
