"""Merges, concatenation, windows and group-bys of frames against pandas, in the clear and among three parties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc

UNIT = 2.0**-18
A = pd.DataFrame(
    {
        "id": [4, 2, 9, 1, 7, 5],
        "k": [3, 1, None, 2, 1, None],
        "s": pd.Series(["b", "a", None, "c", "a", "b"], dtype="str"),
        "v": [10, -20, 30, 10, 50, 60],
        "x": [0.5, None, 2.25, -1.0, None, 0.5],
        "f": [True, False, True, True, False, False],
    }
)
B = pd.DataFrame(
    {
        "id": [1, 2, 4, 8],
        "k": [1, None, 3, 7],
        "s": pd.Series(["a", "b", None, "d"], dtype="str"),
        "u": [1.5, 2.5, None, 4.5],
        "v": [7, 8, 9, 10],
    }
)
C = pd.DataFrame({"id": [3, 1], "k": [None, 1], "s": pd.Series(["z", "a"], dtype="str"), "v": [5, 6]})
TABLES = {"a.t": A, "b.t": B, "c.t": C}


def held(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"k": "Int64"})


class Tables:
    def __init__(self, table: Callable[[str], Any]) -> None:
        self.a, self.b, self.c = (table(f"{owner}.t") for owner in "abc")


@pytest.fixture(scope="module", params=["plaintext", "aby3", "shares"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    """In the clear; among three parties; and there without what owners could compute alone."""
    protocol = "plaintext" if request.param == "plaintext" else "aby3"
    tables = {owner: {"t": held(frame)} for owner, frame in zip("abc", (A, B, C), strict=True)}
    with mpc.Session.local(tables, protocol=protocol, executor="threads", pushdown=request.param != "shares") as made:  # type: ignore[arg-type]
        yield made


def cells(result: Any) -> list[list[Any]]:
    """Values by row, with index; numbers as floats, missing ones as None."""
    if isinstance(result, pd.Series):
        result = result.to_frame()
    if not isinstance(result, pd.DataFrame):
        result = pd.DataFrame({"value": [result]})
    if result.index.names != [None] or not isinstance(result.index, pd.RangeIndex):
        result = result.reset_index() if result.index.names != [None] else result.reset_index(drop=True)
    return [[None if pd.isna(v) else _plain(v) for v in row] for row in result.itertuples(index=False)]


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int | float | np.number | bool | np.bool_) else value


def concat(frames: list[Any]) -> Any:
    return mpc.concat(frames) if isinstance(frames[0], mpc.DataFrame) else pd.concat(frames, ignore_index=True)


def below(t: Tables) -> Any:
    return concat([t.a[["id", "k", "s", "v"]], t.b[["id", "k", "s", "v"]], t.c])


def merge(left: Any, right: Any, **options: Any) -> Any:
    """Keys may repeat on both sides; on shares that takes a bound."""
    bound = {"max_rows": 12} if isinstance(left, mpc.DataFrame) else {}
    return left.merge(right, **bound, **options)


MERGES: dict[str, Callable[[Tables], Any]] = {
    f"{how} {name}": lambda t, how=how, options=options: merge(t.a, t.b, how=how, **options)  # type: ignore[misc]
    for how in ("inner", "left", "right", "outer")
    for name, options in {
        "id": {"on": "id"},
        "missing keys": {"on": "k"},
        "text": {"on": "s", "suffixes": ("_l", "_r")},
        "two keys": {"on": ["id", "k"]},
        "other names": {"left_on": "k", "right_on": "id", "indicator": True},
        "natural": {},
    }.items()
}
MERGES |= {
    "three": lambda t: t.a.merge(t.b, on="id", how="left").merge(t.c, on="id", how="outer"),
    "outer, then filter": lambda t: (lambda j: j[j.v_x > 9])(t.a.merge(t.b, on="id", how="outer")),
    "left of groups": lambda t: t.a.merge(t.b.groupby("s").agg(n=("v", "sum")), on="s", how="left"),
    "of a concatenation": lambda t: t.b.merge(below(t).groupby("id").agg(n=("v", "size")).reset_index(), on="id"),
    "indicator by name": lambda t: t.a.merge(t.b, on="id", how="left", indicator="from")[["id", "from"]],
}
ROWS: dict[str, Callable[[Tables], Any]] = {
    "concat": below,
    "concat, sorted": lambda t: below(t).sort_values(["v", "id"], ascending=[False, True]),
    "concat, groups": lambda t: below(t).groupby("s")["v"].sum(),
    "concat, missing first": lambda t: below(t).sort_values("k", na_position="first", kind="stable"),
    "concat, tail": lambda t: below(t).tail(3),
    "concat, first counted": lambda t: below(t).head(2).groupby(["s"], dropna=False).size(),
    "concat, distinct": lambda t: below(t).drop_duplicates(subset=["k"]),
    "distinct last": lambda t: below(t).drop_duplicates("s", keep="last"),
    "distinct none": lambda t: below(t).drop_duplicates(["s", "k"], keep=False),
    "distinct all": lambda t: below(t)[["k", "s"]].drop_duplicates(),
    "distinct values": lambda t: below(t)["k"].drop_duplicates(),
    "above the mean": lambda t: below(t)[below(t).v > below(t).v.mean()],
    "tail of a filter": lambda t: t.a[t.a.v > 5].tail(2),
    "over a merge": lambda t: t.a.merge(t.b, on="id").assign(c=lambda j: j.v_x.cumsum()),
}


def ranked(t: Any) -> Any:
    made = {m: t.x.rank(method=m) for m in ("average", "min", "max", "first", "dense")}
    return t[["id"]].assign(**made, down=t.v.rank(method="min", ascending=False), part=t.x.rank(pct=True))


def shifted(t: Any) -> Any:
    return t[["id"]].assign(
        a=t.v.shift(), b=t.x.shift(-2), c=t.v.shift(2, fill_value=-1), d=t.v.diff(), e=t.s.shift(1), f=t.v.shift(0)
    )


def running(t: Any) -> Any:
    return t[["id"]].assign(
        a=t.v.cumsum(), b=t.x.cumsum(), c=t.v.cummax(), d=t.x.cummin(), e=t.f.astype(int).cumsum(), g=t.v.cumsum() + t.x
    )


def sliding(t: Any) -> Any:
    made = {f"{how}{n}": getattr(t.v.rolling(n), how)() for how in ("sum", "mean", "min", "max") for n in (1, 3)}
    made |= {f"x{least}": t.x.rolling(3, min_periods=least).sum() for least in (0, 1, 2)}
    made |= {"centre": t.v.rolling(3, center=True).sum(), "wide": t.v.rolling(4, min_periods=1, center=True).max()}
    made |= {"all": t.x.expanding().mean(), "n": t.x.rolling(2, min_periods=0).count()}
    return t[["id"]].assign(**made)


def grouped(t: Any) -> Any:
    g = t.groupby("s")
    return t[["id"]].assign(
        a=g["v"].cumsum(), b=g["x"].shift(), c=g["v"].rank(method="min"), d=g.cumcount(), e=g["v"].transform("sum"),
        f=g["x"].transform("mean"), h=g["v"].diff(), i=g["x"].cummax(), j=g["v"].transform("size"),
        k=g.cumcount(ascending=False), m=t.groupby("f")["v"].shift(-1, fill_value=0),
    )  # fmt: skip


WINDOWS: dict[str, Callable[[Any], Any]] = {
    "ranks": ranked,
    "shifts": shifted,
    "running": running,
    "sliding": sliding,
    "groups": grouped,
    "sorted ranks": lambda t: ranked(t.sort_values("v")),
    "sorted running": lambda t: running(t.sort_values(["v", "id"], ascending=[False, True])),
    "sorted sliding": lambda t: sliding(t.sort_values("id")),
    "whole frames": lambda t: t[["id", "v"]].rolling(2).sum(),
    "whole frames, shifted": lambda t: t[["v", "x"]].shift(1),
    "frames of groups": lambda t: t.groupby("f")[["v", "x"]].cumsum(),
    "heads of groups": lambda t: t.sort_values("v").groupby("f").head(2),
    "tails of groups": lambda t: t.groupby("s").tail(1),
    "a filter on a rank": lambda t: t[t.v.rank(method="first") <= 2],
    "standardised": lambda t: t[["id"]].assign(z=(t.v - t.v.mean()) / 4, share=t.v / t.v.count()),
    "window of a window": lambda t: t[["id"]].assign(a=t.v.cumsum().shift(1).rolling(2).mean()),
}
_ALL = ("sum", "mean", "count", "min", "max", "var", "std", "median", "nunique", "first", "last")
GROUPS: dict[str, Callable[[Any], Any]] = {
    **{f"{how} of x": lambda t, how=how: t.groupby("f")["x"].agg(how) for how in _ALL},  # type: ignore[misc]
    **{f"{how} of v": lambda t, how=how: getattr(t.groupby("s")["v"], how)() for how in _ALL},  # type: ignore[misc]
    "quantile": lambda t: t.groupby("s")["v"].quantile(0.9),
    "quantile of all": lambda t: t.groupby("f")[["v", "x"]].quantile(0.25),
    "named": lambda t: t.groupby("f").agg(
        a=("v", "sum"), b=("x", "std"), c=("v", lambda c: c.quantile(0.75)), d=("s", "nunique"), e=("s", "first")
    ),
    "missing keys": lambda t: t.groupby("k", dropna=False).agg(n=("v", "size"), m=("v", "max")),
    "missing keys of two": lambda t: t.groupby(["s", "k"], dropna=False)["v"].sum(),
    "no order": lambda t: t.groupby("s", sort=False)["v"].sum(),
    "no order, missing": lambda t: t.groupby(["k"], sort=False, dropna=False).agg(a=("v", "first"), b=("x", "var")),
    "dictionary": lambda t: t.groupby("f").agg({"v": "sum", "x": "max"}),
    "dictionary of lists": lambda t: t.groupby("f").agg({"v": ["sum", "median"], "x": ["max"]}),
    "list": lambda t: t[["f", "v", "x"]].groupby("f").agg(["sum", "max"]),
    "list of one": lambda t: t.groupby("f")["v"].agg(["min", "last"]),
    "computed key": lambda t: t.groupby(t.v > 10)["x"].sum(),
    "not the index": lambda t: t.groupby("s", as_index=False)["v"].median(),
    "first in order": lambda t: (
        t.sort_values("v", ascending=False).groupby("f").agg(a=("x", "first"), b=("id", "last"))
    ),
    "nunique with missing": lambda t: t.groupby("f")["x"].nunique(dropna=False),
    "counts": lambda t: (
        t["k"].value_counts(dropna=False, sort=False).sort_index(na_position="last")
        if isinstance(t, pd.DataFrame)
        else t["k"].value_counts(dropna=False, sort=False)
    ),
    "parts": lambda t: t[t.v > 0].value_counts(["f"], normalize=True),
    "sizes": lambda t: t.groupby(["f", "s"]).size(),
    "then a filter": lambda t: (lambda g: g[g.n > 1])(t.groupby("s").agg(n=("v", "size"), m=("x", "mean"))),
}
TOTALS: dict[str, Callable[[Any], Any]] = {
    **{f"{how} of x": lambda t, how=how: getattr(t.x, how)() for how in _ALL[:-2]},  # type: ignore[misc]
    "quantile": lambda t: t.v.quantile(0.3),
    "quantiles": lambda t: t.x.quantile([0.1, 0.5]),
    "text": lambda t: t.s.nunique(),
    "nunique with missing": lambda t: t.x.nunique(dropna=False),
    "medians": lambda t: t[["v", "x"]].median(),
    "sums": lambda t: t[["v", "x"]].sum(),
    "range": lambda t: t.v.max() - t.v.min(),
    "ratio": lambda t: t.x.sum() / t.v.count(),
    "constants": lambda t: 2 * t.v.sum() - 1,
    "compared": lambda t: t.v.sum() > 3,
    "compared with a column": lambda t: (t.v.mean() < t.v).sum(),
    "compared with each other": lambda t: (t.v.max() >= t.x.max()) & (t.v.count() == t.v.count()),
    "several": lambda t: t.v.agg(["min", "max"]),
    "described": lambda t: t[["v", "x"]].describe(),
}


BATCH = 6


def check(session: mpc.Session, cases: dict[str, Callable[[Any], Any]], on: Callable[[Any], Any]) -> None:
    """Some cases at a time as one program."""
    ours, theirs = on(session.table), on(TABLES.__getitem__)
    problems = []
    if session._config.options.protocol != "plaintext":  # the lowering is the same; every third case shows the rest
        cases = dict(list(cases.items())[int(session._config.options.pushdown) :: 3])
    for at in range(0, len(cases), BATCH):
        batch = dict(list(cases.items())[at : at + BATCH])
        results = mpc.collect(*(build(ours) for build in batch.values()))
        problems += [differs(name, got, batch[name](theirs)) for name, got in zip(batch, results, strict=True)]
    assert not any(problems), "\n\n".join(filter(None, problems))


def differs(name: str, got: Any, want: Any) -> str:
    labels = [list(r.columns) if isinstance(r, pd.DataFrame) else None for r in (got, want)]
    if labels[0] != labels[1]:
        return f"{name}: columns {labels[0]} instead of {labels[1]}"
    return "" if same(cells(got), cells(want)) else f"{name}:\n{got}\npandas:\n{want}"


def same(got: list[list[Any]], want: list[list[Any]]) -> bool:
    """Equal, numbers within what quotients and roots of this data may be off."""
    if [len(row) for row in got] != [len(row) for row in want]:
        return False
    pairs = [pair for a, b in zip(got, want, strict=True) for pair in zip(a, b, strict=True)]
    return all(abs(a - b) <= 2.0**-7 if isinstance(a, float) and isinstance(b, float) else a == b for a, b in pairs)


def test_merges(session: mpc.Session) -> None:
    check(session, MERGES, Tables)


def test_rows(session: mpc.Session) -> None:
    check(session, ROWS, Tables)


def test_windows(session: mpc.Session) -> None:
    check(session, WINDOWS, lambda table: table("a.t"))


def test_groups(session: mpc.Session) -> None:
    check(session, GROUPS, lambda table: table("a.t"))


def test_totals(session: mpc.Session) -> None:
    check(session, TOTALS, lambda table: table("a.t"))
