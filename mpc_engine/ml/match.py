"""How many rows of two tables belong together, before anybody joins them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, Rel, call, column, literal
from mpc_engine.frame.base import Lazy, beside
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.merge import keys_of
from mpc_engine.frame.place import mark, placed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["match_report"]

_SIDES = ("left", "right")
_COUNTS = ("rows", "missing_keys", "keys", "matched")


class MatchReport(Lazy):
    """Counts of two sides; ``collect()`` gives a frame with the rows ``left`` and ``right``."""

    def _shape(self, data: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        row = data.iloc[0]
        found = {side: [row[f"{side}_{name}"] for name in _COUNTS] for side in _SIDES}
        made = pd.DataFrame.from_dict(found, orient="index", columns=list(_COUNTS)).astype("Int64")
        made["match_rate"] = (made["matched"] / made["rows"]).astype("Float64")
        return made

    def __repr__(self) -> str:
        return f"<lazy match report; .collect() computes it; owners: {', '.join(self._owners)}>"


@placed
def match_report(
    left: DataFrame,
    right: DataFrame,
    *,
    on: str | Sequence[str] | None = None,
    left_on: str | Sequence[str] | None = None,
    right_on: str | Sequence[str] | None = None,
    min_count: int = 10,
) -> MatchReport:
    """Rows, keys and matches of both sides of a merge, counted on shares: nobody learns which rows match.

    Parameters
    ----------
    left, right : DataFrame
    on, left_on, right_on : str or sequence of str
        The keys, as :meth:`DataFrame.merge` takes them.
    min_count : int
        Least number of rows with a match, and of rows without one, for the number to be released; 0: always.

    Returns
    -------
    MatchReport
        Collected: a DataFrame with one row a side and the columns ``rows``, ``missing_keys`` (rows without a key),
        ``keys`` (different ones), ``matched`` (rows whose key the other side has; missing if too few do or do not) and
        ``match_rate`` (of all rows).

    Raises
    ------
    SchemaError
        When there are no keys, or ``min_count`` is no number of rows.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import match_report
    >>> tables = {"a": {"t": pd.DataFrame({"id": range(100)})}, "b": {"u": pd.DataFrame({"id": range(70, 300)})}}
    >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
    ...     match_report(session.table("a.t"), session.table("b.u"), on="id").collect()
           rows  missing_keys  keys  matched  match_rate
    left    100             0   100       30         0.3
    right   230             0   230       30    0.130435
    """
    if not isinstance(min_count, int) or isinstance(min_count, bool) or min_count < 0:
        raise SchemaError(f"min_count must be a number of rows, not {min_count!r}", code="MPC-0120")
    keys = keys_of(on, left_on), keys_of(on, right_on)
    if not keys[0] or len(keys[0]) != len(keys[1]):
        raise SchemaError("a match report needs on=, or left_on= and right_on= of equal length", code="MPC-0107")
    sides = [left[keys[0]], right[keys[1]].rename(columns=dict(zip(keys[1], keys[0], strict=True)))]
    parts = [
        _counts(name, own, other, keys[0]) for name, own, other in zip(_SIDES, sides, reversed(sides), strict=True)
    ]
    base = mark(beside(*parts))
    items: dict[str, Expr] = {}
    for name in _SIDES:
        rows = column(f"{name}_rows")
        items[f"{name}_rows"] = rows
        items[f"{name}_missing_keys"] = call("sub", rows, column(f"{name}_present"))
        items[f"{name}_keys"] = column(f"{name}_keys")
        items[f"{name}_matched"] = _released(name, min_count)
    return MatchReport(left._session, base, items)


def _counts(name: str, own: DataFrame, other: DataFrame, keys: list[str]) -> Rel:
    """One row: how many rows, rows without keys, different keys, and rows with a match."""
    present, known = own.dropna(subset=keys), other.dropna(subset=keys)
    size = (keys[0], "size")
    parts = [
        own.agg(**{f"{name}_rows": size}),
        present.agg(**{f"{name}_present": size}),
        present.drop_duplicates(keys).agg(**{f"{name}_keys": size}),
        present.merge(known, on=keys, how="semi").agg(**{f"{name}_found": size}),
    ]
    rels: list[Rel] = [part._rel for part in parts]
    return functools.reduce(beside, rels)


def _released(name: str, least: int) -> Expr:
    """The matched rows, missing where they or the others are too few."""
    found, rows = column(f"{name}_found"), column(f"{name}_rows")
    enough = call("ge", found, literal(least))
    enough = call("and", enough, call("ge", call("sub", rows, found), literal(least)))
    return call("where", enough, found, literal(None))
