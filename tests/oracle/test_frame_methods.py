"""Methods of frames and columns against pandas: rounding, powers, bins, text, moments, summaries, different rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import MpcError, SchemaError, UnsupportedError

ROWS = 24
UNIT = 2.0**-18


def _left() -> pd.DataFrame:
    rng = np.random.default_rng(41)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(ROWS),
            "g": rng.integers(0, 4, ROWS),
            "k": rng.integers(-4, 5, ROWS),
            "big": rng.integers(-900_000, 900_000, ROWS),
            "x": np.arange(-ROWS, ROWS, 2) / 4,
            "gap": np.where(rng.random(ROWS) < 0.3, np.nan, rng.integers(-40, 40, ROWS) / 8),
            "flag": rng.random(ROWS) < 0.5,
            "s": pd.Series(rng.choice(["Basel", "bern", "Zug"], ROWS), dtype="str"),
            "d": pd.to_datetime(["2024-02-29", "2021-12-31", "1999-01-01"] * (ROWS // 3)).astype("datetime64[us]"),
        }
    )
    frame.loc[frame.index[0], "g"] = 9  # a group of one row
    return frame


def _right() -> pd.DataFrame:
    rng = np.random.default_rng(42)
    return pd.DataFrame(
        {
            "id": rng.permutation(ROWS),
            "n": rng.integers(1, 9, ROWS),
            "rate": rng.uniform(0.0, 1.0, ROWS),
            "w": rng.integers(-64, 64, ROWS) / 8,
        }
    )


LEFT, RIGHT = _left(), _right()
Frame = Any
Protocol = Literal["plaintext", "aby3"]
Build = Callable[[Frame], Any]


@pytest.fixture(scope="module", params=["plaintext", "aby3", "shares"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    """In the clear; among three parties; and there without what owners could compute alone."""
    protocol: Protocol = "plaintext" if request.param == "plaintext" else "aby3"
    with mpc.Session.local(
        {"a": {"t": LEFT}, "b": {"u": RIGHT}},
        protocol=protocol,
        executor="threads",
        pushdown=request.param != "shares",
    ) as made:
        yield made


@functools.cache
def want() -> pd.DataFrame:
    return LEFT.merge(RIGHT, on="id")


def cut(series: Any, bins: list[float], **options: Any) -> Any:
    """``pandas.cut`` is a function, ours a method; its categories become plain values."""
    if isinstance(series, mpc.Series):
        return series.cut(bins, **options)
    made = pd.cut(series, bins, **options)
    return made if isinstance(options.get("labels"), bool) else made.astype(object).map(str, na_action="ignore")


def check(session: mpc.Session, builds: dict[str, tuple[Build, float]]) -> None:
    """Run all as one program; compare values, missing values, labels and order with pandas."""
    joint = session.table("a.t").merge(session.table("b.u"), on="id")
    results = mpc.collect(*(build(joint) for build, _ in builds.values()))
    for (name, (build, error)), got in zip(builds.items(), results, strict=True):
        same(name, got, build(want()), error)


def same(name: str, got: Any, true: Any, error: float) -> None:
    if not isinstance(true, pd.DataFrame | pd.Series):
        assert got == true or (pd.isna(got) and pd.isna(true)) or abs(got - true) <= error, (name, got, true)
        return
    if isinstance(true, pd.Series):
        assert isinstance(got, pd.Series), name
        got, true = got.to_frame("value"), true.to_frame("value")
    if isinstance(true.index, pd.RangeIndex) or (true.index.names == [None] and isinstance(got.index, pd.RangeIndex)):
        got, true = got.reset_index(drop=True), true.reset_index(drop=True)
    assert list(got.columns) == list(true.columns), name
    assert got.index.tolist() == true.index.tolist(), (name, got, true)
    for column in got.columns:
        gaps = true[column].isna().to_numpy()
        assert (got[column].isna().to_numpy() == gaps).all(), (name, got, true)
        values, reference = got[column][~gaps], true[column][~gaps]
        if reference.dtype.kind in "iuf":
            assert np.abs(values.to_numpy(float) - reference.to_numpy(float)).max(initial=0) <= error, (name, got, true)
        else:
            assert values.tolist() == reference.tolist(), (name, got, true)


# --- columns ---------------------------------------------------------------------------------------------------------

EXACT: dict[str, tuple[Build, float]] = {
    "round": (lambda t: t.x.round(), 0),
    "round negative": (lambda t: (t.x - 7).round(), 0),
    "round missing": (lambda t: (t.gap * 4 + t.w * 4).round(), 0),
    "round whole": (lambda t: t.n.round(2), 0),
    "rint": (lambda t: np.rint(t.x + t.w), 0),
    "square": (lambda t: np.square(t.k), 0),
    "cube": (lambda t: (t.k + t.n) ** 3, 0),
    "power 7": (lambda t: np.power(t.k, 7), 0),
    "power 1": (lambda t: t.x**1, 0),
    "power of a float": (lambda t: t.w**2, 0),
    "cut": (lambda t: cut(t.k + t.n, [-2, 0, 3, 9]), 0),
    "cut left": (lambda t: cut(t.gap, [-3.5, 0.0, 2.5, np.inf], right=False, labels=["low", "mid", "high"]), 0),
    "cut codes": (lambda t: cut(t.x, [-6, 0, 5.5], labels=False, include_lowest=True), 0),
    "cut everything": (lambda t: cut(t.w, [-np.inf, -1.5, np.inf], labels=["low", "high"]), 0),
    "isna": (lambda t: t[["gap", "n"]].isna(), 0),
    "notna": (lambda t: t[["gap", "s"]].notna(), 0),
    "fillna": (lambda t: t[["id", "gap", "w"]].fillna(0.5), 0),
    "fillna each": (lambda t: t[["gap", "n", "s"]].fillna({"gap": -1.0}), 0),
    "dropna": (lambda t: t[["id", "gap", "w"]].dropna(), 0),
    "dropna one": (lambda t: t.dropna(subset=["gap", "n"])[["id"]], 0),
    "dropna column": (lambda t: t.gap.dropna(), 0),
    "nlargest": (lambda t: t.nlargest(7, "n")[["id", "n"]], 0),
    "nsmallest": (lambda t: t.nsmallest(5, ["n", "k"])[["id", "n", "k"]], 0),
    "nlargest of a column": (lambda t: t.w.nlargest(4), 0),
    "nsmallest of a column": (lambda t: t.n.nsmallest(3), 0),
    "different rows": (lambda t: t[["n", "g"]].sort_values(["n", "g"]).drop_duplicates(), 0),
    "different rows down": (
        lambda t: t.sort_values(["flag", "n", "id"], ascending=[True, False, True])[["n", "flag"]].drop_duplicates(),
        0,
    ),
    "nunique": (lambda t: t.k.nunique(), 0),
    "nunique of texts": (lambda t: t[t.w > 0].s.nunique(), 0),
    "nunique by group": (lambda t: t.groupby("n")["g"].nunique(), 0),
    "agg": (lambda t: t.agg({"n": ["sum", "max"], "gap": ["count", "max"]}), 0),
    "agg one each": (lambda t: t.agg({"n": "sum", "gap": "min"}), 0),
    "agg all": (lambda t: t[["n", "w"]].agg(["min", "sum"]), 0),
    "column agg": (lambda t: t.groupby("n")["k"].agg(["sum", "min"]), 0),
}


EXACT |= {
    "sum beside missing": (lambda t: (t.gap + 1).sum(), 0),
    "sum of chosen rows": (lambda t: (t.w.where(t.k > 1) + 2).sum(), 0),
    "mean of two": (lambda t: (t.w.where(t.n > 3) - t.k).mean(), 2.0**-16),
    "sum of doubles": (lambda t: ((t.gap + 1) * 2).where(t.k > 0).sum(), 0),
    "groups beside missing": (lambda t: t.assign(y=lambda t: 3 - t.gap).groupby("n")["y"].sum(), 0),
}


def test_columns_and_rows(session: mpc.Session) -> None:
    check(session, EXACT)


LOCAL: dict[str, tuple[Build, float]] = {
    "places": (lambda t: t.rate.round(2), UNIT),
    "places of eighths": (lambda t: t.gap.round(1), UNIT),
    "sqrt": (lambda t: np.sqrt(t.x), UNIT),
    "log": (lambda t: np.log(t.rate + 0.5), UNIT),
    "exp": (lambda t: np.exp(t.w), 2.0**-17 + 4000 * UNIT),
    "floor": (lambda t: np.floor_divide(t.k, 3), 0),
    "rest": (lambda t: np.remainder(t.k, 3), 0),
    "lower": (lambda t: t.s.str.lower(), 0),
    "upper": (lambda t: t.s.str.upper(), 0),
    "len": (lambda t: t.s.str.len(), 0),
    "upper filter": (lambda t: t[(t.s.str.upper() == "BERN") & (t.w > 0)][["id", "s"]], 0),
    "year": (lambda t: t.d.dt.year + t.n, 0),
}


@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
def test_what_owners_compute(protocol: Protocol) -> None:
    tables = {"a": {"t": LEFT}, "b": {"u": RIGHT}}
    with mpc.Session.local(tables, protocol=protocol, executor="threads") as made, np.errstate(invalid="ignore"):
        check(made, LOCAL)


# --- moments ---------------------------------------------------------------------------------------------------------


def variance_bound(width: float) -> float:
    return width**2 * 2.0**-20 + width * 2.0**-16 + 2.0**-16


def std_bound(width: float, std: float) -> float:
    d = variance_bound(width)
    return min(d / std if std else np.inf, d**0.5) + std * 2.0**-15 + 2.0**-16


def width_of(session: mpc.Session, name: str) -> float:
    joint = session.table("a.t").merge(session.table("b.u"), on="id")
    low, high = joint.dtypes[name].bounds
    return float(high - low)


@pytest.mark.parametrize(
    ("protocol", "pushdown"),
    [
        ("plaintext", True),
        pytest.param("aby3", False, marks=pytest.mark.slow),
        pytest.param("plaintext", False, marks=pytest.mark.slow),
        pytest.param("aby3", True, marks=pytest.mark.slow),
    ],
)
def test_moments(protocol: Protocol, pushdown: bool) -> None:
    columns = ["big", "gap"]
    tables = {"a": {"t": LEFT}, "b": {"u": RIGHT}}
    true = want()
    with mpc.Session.local(tables, protocol=protocol, executor="threads", pushdown=pushdown) as made:
        joint = made.table("a.t").merge(made.table("b.u"), on="id")
        results = mpc.collect(
            *(joint[c].var() for c in columns),
            *(joint[c].std(ddof=0) for c in columns),
            *(joint.groupby("n")[c].var() for c in columns),
            *(joint.groupby("n").agg(s=(c, "std"), m=("w", "max"), rows=(c, "size")) for c in columns),
            joint[columns].describe(),
            joint[["big", "gap", "w", "flag"]].corr(),
            joint.gap.corr(joint.rate),
            joint.agg(v=("w", "var"), t=("n", "sum")),
            joint.w.describe(),
        )
        widths = {c: width_of(made, c) for c in [*columns, "rate", "w"]}
    parts = [results[2 * at : 2 * at + 2] for at in range(4)]
    for at, c in enumerate(columns):
        d, spread = variance_bound(widths[c]), float(true[c].std())
        same(f"var {c}", parts[0][at], true[c].var(), d)
        same(f"std {c}", parts[1][at], true[c].std(ddof=0), std_bound(widths[c], true[c].std(ddof=0)))
        same(f"var of groups {c}", parts[2][at], true.groupby("n")[c].var(), d)
        by_group = true.groupby("n").agg(s=(c, "std"), m=("w", "max"), rows=(c, "size"))
        for s, reference in zip(parts[3][at]["s"], by_group["s"], strict=True):
            same(f"std of a group {c}", s, reference, std_bound(widths[c], reference))
        same(f"beside {c}", parts[3][at][["m", "rows"]], by_group[["m", "rows"]], 0)
        described = true[columns].describe()
        assert results[8].index.tolist() == described.index.tolist()
        tolerances = [0, 2.0**-16, std_bound(widths[c], spread), UNIT, *[4 * UNIT] * 3, UNIT]
        for row, tolerance in zip(described.index, tolerances, strict=True):
            same(f"{row} of {c}", results[8].loc[row, c], described.loc[row, c], tolerance)
    numbers = ["big", "gap", "w"]
    share = min(float(true[c].std()) / widths[c] for c in (*numbers, "rate"))
    bound = 2.0**-13 + 2.0**-20 / share**2 * max(1.0, 8 / min(widths.values()))
    same("corr", results[9], true[numbers].corr(), bound)
    same("corr of two", results[10], true.gap.corr(true.rate), bound)
    same("agg", float(results[11].v.iloc[0]), true.w.var(), variance_bound(widths["w"]))
    assert results[11].t.tolist() == [true.n.sum()]
    assert results[12].index.tolist() == ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]


def test_moments_without_enough_rows_are_missing() -> None:
    few = pd.DataFrame({"x": [2.5], "c": [3], "gap": [np.nan]})
    with mpc.Session.local({"a": {"t": few}, "b": {"u": few}}, protocol="plaintext", executor="threads") as made:
        t = made.table("a.t")
        got = mpc.collect(t.x.var(), t.x.std(ddof=0), t[t.c > 3].x.std(), t.gap.var(), t.x.corr(t.c))
    assert [None if pd.isna(value) else value for value in got] == [None, 0.0, None, None, None]


# --- refusals --------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[type[MpcError], str, str, Build]] = [
    (UnsupportedError, "MPC-0301", "cannot raise a column to -1", lambda t: t.n**-1),
    (UnsupportedError, "MPC-0301", "cannot raise a column to 0.5", lambda t: np.power(t.n, 0.5)),
    (UnsupportedError, "MPC-0301", "round\\(-2\\) is not supported", lambda t: t.n.round(-2)),
    (UnsupportedError, "MPC-0301", "cannot round to 12 places", lambda t: t.x.round(12)),
    (UnsupportedError, "MPC-0302", "// needs a constant other than 0 on its right", lambda t: 7 // t.n),
    (UnsupportedError, "MPC-0301", "cut needs the edges of its bins", lambda t: t.x.cut(4)),
    (SchemaError, "MPC-0105", "the edges of cut must ascend", lambda t: t.x.cut([0, 3, 2])),
    (SchemaError, "MPC-0105", "2 intervals need 2 labels, not 1", lambda t: t.x.cut([0, 1, 2], labels=["a"])),
    (UnsupportedError, "MPC-0304", "aggregate 'mode' is not supported", lambda t: t.agg({"n": ["mode"]})),
    (UnsupportedError, "MPC-0304", "this function is no aggregate", lambda t: t.agg({"n": lambda c: 3})),
    (UnsupportedError, "MPC-0317", "DataFrame.pivot_table is not supported", lambda t: t.pivot_table()),
    (UnsupportedError, "MPC-0317", "DataFrame.iloc is not supported", lambda t: t.iloc[0]),
    (UnsupportedError, "MPC-0317", "Series.apply is not supported", lambda t: t.n.apply(abs)),
    (UnsupportedError, "MPC-0317", "groupby.* is not supported", lambda t: t.groupby("n").nth(1)),
    (UnsupportedError, "MPC-0317", "groupby.*column.*apply is not supported", lambda t: t.groupby("n")["x"].apply(abs)),
    (UnsupportedError, "MPC-0311", "cannot loop over groups", lambda t: list(t.groupby("n"))),
    (UnsupportedError, "MPC-0301", "groupby.*rolling is not supported", lambda t: t.groupby("n")["x"].rolling(2)),
    (
        UnsupportedError,
        "MPC-0301",
        "transform\\('median'\\) is not supported",
        lambda t: t.groupby("n").transform("median"),
    ),
    (UnsupportedError, "MPC-0301", "rank\\(method='odd'\\) is not supported", lambda t: t.n.rank(method="odd")),
    (UnsupportedError, "MPC-0301", "isin of a column", lambda t: t.n.isin(t.k)),
    (SchemaError, "MPC-0105", "rolling needs a number of rows, not '3D'", lambda t: t.n.rolling("3D")),
    (SchemaError, "MPC-0105", "min_periods must be 0 to 2", lambda t: t.n.rolling(2, min_periods=3)),
    (SchemaError, "MPC-0105", "a quantile's level is a number from 0 to 1", lambda t: t.n.quantile(90)),
    (SchemaError, "MPC-0105", "keep='any' is neither", lambda t: t.drop_duplicates(keep="any")),
    (SchemaError, "MPC-0105", "max_rows must be at least 1", lambda t: t.merge(t, on="id", max_rows=0)),
    (UnsupportedError, "MPC-0309", "merge\\(how='asof'\\) is not supported", lambda t: t.merge(t, on="id", how="asof")),
    (
        SchemaError,
        "MPC-0106",
        "the frames to concatenate have different columns: k, n",
        lambda t: mpc.concat([t[["n"]], t[["k"]]]),
    ),
    (
        SchemaError,
        "MPC-0103",
        "column 's' is string in one part and int in another",
        lambda t: mpc.concat([t[["s"]], t[["n"]].rename(columns={"n": "s"})]),
    ),
    (UnsupportedError, "MPC-0301", "concat\\(axis=1\\) is not supported", lambda t: mpc.concat([t, t], axis=1)),
    (UnsupportedError, "MPC-0310", "cannot branch on a secret", lambda t: bool(t.n.sum() == 3)),
    (UnsupportedError, "MPC-0310", "cannot branch on a secret", lambda t: 1 if t.n.sum() < 3 else 0),
    (UnsupportedError, "MPC-0310", "cannot branch on a secret", lambda t: t.n.sum() in (3, 4)),
    (SchemaError, "MPC-0106", "column 'g' appears twice", lambda t: t.groupby("g").agg(g=("n", "var"))),
    (SchemaError, "MPC-0102", "no column 'nn'", lambda t: t.agg({"nn": "sum"})),
    (SchemaError, "MPC-0115", "agg needs at least one aggregate", lambda t: t.agg({})),
    (SchemaError, "MPC-0103", "describe needs a numeric column", lambda t: t[["s"]].describe()),
    (UnsupportedError, "MPC-0301", "ddof=2 is not supported", lambda t: t.n.var(ddof=2)),
    (UnsupportedError, "MPC-0312", "the number of rows is not public", lambda t: t.shape),
    (SchemaError, "MPC-0103", "str.lower needs a text column, not int", lambda t: t.n.str.lower()),
]


@pytest.fixture(scope="module")
def unrun() -> Iterator[mpc.DataFrame]:
    """A joint frame that nobody collects."""
    with mpc.Session.local({"a": {"t": LEFT}, "b": {"u": RIGHT}}, protocol="plaintext", executor="threads") as made:
        yield made.table("a.t").merge(made.table("b.u"), on="id")


@pytest.mark.parametrize(("kind", "code", "message", "act"), REFUSED)
def test_what_is_refused(unrun: mpc.DataFrame, kind: type[MpcError], code: str, message: str, act: Build) -> None:
    with pytest.raises(kind, match=message) as caught:
        act(unrun)
    assert caught.value.code == code
    assert caught.value.where.startswith(__file__)


def test_the_shape_of_a_table_is_public() -> None:
    with mpc.Session.local({"a": {"t": LEFT}}, protocol="plaintext", executor="threads") as made:
        assert made.table("a.t").assign(more=1).sort_values("x").shape == (ROWS, LEFT.shape[1] + 1)


def test_the_largest_of_groups_on_shares() -> None:
    """Found by random plans: a descending sort of groups takes the place of empty ones for the first."""
    days = pd.to_datetime(["2020-01-31", "2021-06-15", "2021-06-16", "2024-02-29"] * 3).astype("datetime64[us]")
    rows = pd.DataFrame({"d": days, "flag": [True, False, True, True] * 3, "id": range(100, 112)})

    def build(t: Frame) -> Any:
        return t.groupby("d").agg(n=("flag", "sum"), m=("id", "mean")).reset_index().nlargest(1, "n")

    tables = {"a": {"t": rows}, "b": {"u": rows}}
    with mpc.Session.local(tables, protocol="plaintext", executor="threads", pushdown=False) as made:
        got = build(made.table("a.t")).collect()
    assert got["n"].tolist() == build(rows)["n"].tolist()
