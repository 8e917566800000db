"""Names that pandas has and this engine has not: which one, and what to do instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mpc_compiler.errors import UnsupportedError
from mpc_engine.frame.place import caller

__all__ = ["UnsupportedNameError", "missing"]


class UnsupportedNameError(UnsupportedError, AttributeError):
    """An attribute of pandas that is not offered; ``hasattr`` is False."""


_ROWS = "sort_values(...) and head(n), or a filter: rows have no public positions"
_HINTS = {
    "apply": "expressions over whole columns, assign(name=lambda t: t.a + t.b); or map_jax(fn, columns)",
    "applymap": "expressions over whole columns; or map_jax(fn, columns)",
    "iterrows": "collect() first",
    "itertuples": "collect() first",
    "items": "loop over df.columns",
    "loc": "df[mask], df[['a', 'b']]",
    "iloc": _ROWS,
    "at": _ROWS,
    "iat": _ROWS,
    "index": "reset_index() makes it columns",
    "values": "collect() first",
    "to_numpy": "collect() first",
    "tolist": "collect() first",
    "to_list": "collect() first",
    "to_dict": "collect() first",
    "to_csv": "save('party:path.csv')",
    "to_parquet": "save('party:path.parquet')",
    "plot": "collect() first",
    "hist": "cut(edges) and value_counts()",
    "sample": "mpc_engine.ml.train_test_split, or a filter on a key",
    "pivot": "groupby([...]).agg(...), then pivot what is collected",
    "pivot_table": "groupby([...]).agg(...), then pivot what is collected",
    "melt": "mpc.concat of one frame for each column",
    "stack": "mpc.concat of one frame for each column",
    "unstack": "collect() first",
    "explode": "let the owner do it before the session",
    "join": "merge(on=key)",
    "append": "mpc.concat([df, other])",
    "combine_first": "merge(on=key, how='left') and fillna(other column)",
    "mode": "value_counts().head(1)",
    "unique": "drop_duplicates() or value_counts()",
    "idxmax": "sort_values(column, ascending=False).head(1)",
    "idxmin": "sort_values(column).head(1)",
    "cumprod": "np.exp of cumsum of np.log, at one owner",
    "prod": "np.exp of the sum of np.log, at one owner",
    "skew": "sums of powers: (x ** 3).sum()",
    "kurt": "sums of powers: (x ** 4).sum()",
    "sem": "std and count",
    "pct_change": "x / x.shift(1) - 1, at one owner",
    "interpolate": "fillna(...)",
    "ffill": "fillna(...)",
    "bfill": "fillna(...)",
    "duplicated": "drop_duplicates(subset=, keep=)",
    "ewm": "rolling(n) or expanding()",
    "resample": "groupby over .dt.year, .dt.month",
    "filter": "transform(...) and a mask: df[df.groupby(k).c.transform('size') > 3]",
    "nth": "head(n) of the groups, or cumcount() and a filter",
    "get_group": "a filter: df[df.key == value]",
    "ngroup": "rank(method='dense') of the key",
    "isnull": "isna()",
    "notnull": "notna()",
    "to_datetime": "let the owner convert it before the session",
    "replace": "map({...}), where(...) or fillna(...)",
    "qcut": "cut(edges): quantiles of private data are no public edges",
    "T": "collect() first",
    "size": "len(df) where it is public, else agg(n=(column, 'size'))",
    "empty": "len(df) where it is public",
    "dot": "mpc_engine.ml, or a sum of products",
    "set_index": "columns stay columns; groupby(...) makes an index",
}


def missing(owner: object, name: str, known: Iterable[str]) -> AttributeError:
    """The error for an attribute that there is not: of pandas, or of nobody."""
    if not name.startswith("_"):
        kind = type(owner).__name__
        if name in _HINTS or _in_pandas(kind, name):
            shown = {"GroupBy": "groupby(...)", "SeriesGroupBy": "groupby(...)[column]"}.get(kind, kind)
            hint = _HINTS.get(name, "docs/guide/frames.md lists what is; or collect() first")
            return UnsupportedNameError(f"{shown}.{name} is not supported", code="MPC-0317", hint=hint, where=caller())
        near = difflib.get_close_matches(name, [*known, *dir(type(owner))], n=1)
        return AttributeError(f"no column or method {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return AttributeError(name)


def _in_pandas(kind: str, name: str) -> bool:
    import pandas as pd
    from pandas.core.groupby import DataFrameGroupBy
    from pandas.core.groupby import SeriesGroupBy as Grouped

    theirs = {"DataFrame": pd.DataFrame, "Series": pd.Series, "GroupBy": DataFrameGroupBy, "SeriesGroupBy": Grouped}
    return hasattr(theirs.get(kind, pd.DataFrame), name)
