"""Random tables and odd values against pandas: NULLs, texts that need quoting, dates, one row, none at all."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc_engine as mpc

WORDS = ["", "a", "A", "it's", 'a "quoted" word', "größer", "日本", "x~1", "%_\\", "NULL", " a "]
TEXTS = st.sampled_from(WORDS)
LEFT = st.tuples(
    st.one_of(st.none(), st.integers(-3, 3)), st.one_of(st.none(), st.integers(-800, 800)), st.one_of(st.none(), TEXTS),
    st.one_of(st.none(), st.booleans()), st.booleans(),
)  # fmt: skip
RIGHT = st.tuples(st.integers(-5, 5), st.one_of(st.none(), st.integers(-64, 64)), st.one_of(st.none(), TEXTS))

Pair = tuple[pd.DataFrame, pd.DataFrame]
Build = Callable[[Any, Any], Any]


def left_of(rows: list[tuple[Any, ...]], keys: list[int]) -> pd.DataFrame:
    k, x, s, maybe, flag = zip(*rows, strict=True) if rows else ((),) * 5
    return pd.DataFrame(
        {
            "id": np.array(keys, np.int64),
            "k": pd.array(k, dtype="Int64"),
            "x": np.array([np.nan if v is None else v / 8 for v in x], float),
            "s": pd.Series(s, dtype="str"),
            "maybe": pd.array(maybe, dtype="boolean"),
            "flag": np.array(flag, bool),
        }
    )


def right_of(rows: list[tuple[Any, ...]], keys: list[int]) -> pd.DataFrame:
    v, w, t = zip(*rows, strict=True) if rows else ((),) * 3
    return pd.DataFrame(
        {
            "key": np.array(keys, np.int64),
            "v": np.array(v, np.int64),
            "w": np.array([np.nan if n is None else n / 4 for n in w], float),
            "t": pd.Series(t, dtype="str"),
        }
    )


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    sides = []
    for rows in (LEFT, RIGHT):
        made = draw(st.lists(rows, max_size=7))
        sides.append((made, draw(st.permutations(range(9)))[: len(made)]))
    return left_of(*sides[0]), right_of(*sides[1])


def numpy_types(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as pandas holds it without its own NA: integers with gaps as floats, booleans with gaps as objects."""
    made = frame.copy()
    for name, data in frame.items():
        if str(data.dtype) == "Int64":
            made[name] = data.astype("float64") if data.isna().any() else data.astype("int64")
        elif str(data.dtype) == "boolean":
            made[name] = data.astype(object).where(data.notna(), None) if data.isna().any() else data.astype(bool)
    return made


def joined(a: Any, b: Any) -> Any:
    return a.merge(b, left_on="id", right_on="key")


FRAMES: dict[str, Build] = {
    "all": joined,
    "compare": lambda a, b: joined(a, b).query("k > v or s == t or w <= 0.5"),
    "not": lambda a, b: (lambda t: t[~(t.x > t.w) & ~t.s.isin(["a", "it's", "NULL"])])(joined(a, b)),
    "texts": lambda a, b: joined(a, b).query("s != 'größer' and s >= 'A'")[["s", "t"]],
    "missing": lambda a, b: (lambda t: t[t.maybe.isna() | t.s.notna() | t.w.isna()])(joined(a, b)),
    "fill": lambda a, b: joined(a, b).assign(
        y=lambda t: t.k.fillna(0) * t.v + t.w.fillna(0.25), z=lambda t: t.s.fillna("?")
    ),
    "where": lambda a, b: joined(a, b).assign(y=lambda t: t.x.where(t.flag), z=lambda t: t.w.mask(t.x < t.w, -1.0)),
    "clip": lambda a, b: joined(a, b).assign(y=lambda t: t.x.clip(-2, 3.5), z=lambda t: abs(t.k) - t.v),
    "group": lambda a, b: (
        joined(a, b).groupby("s").agg(n=("v", "size"), c=("k", "count"), x=("x", "sum"), lo=("w", "min"))
    ),
    "group two": lambda a, b: (
        joined(a, b).groupby(["t", "flag"]).agg(total=("v", "sum"), hi=("k", "max"), any=("flag", "sum"))
    ),
    "group all": lambda a, b: joined(a, b).drop(columns=["s", "t", "maybe"]).groupby("v").max(),
    "group one": lambda a, b: joined(a, b).groupby("k")["v"].sum(),
    "sort": lambda a, b: joined(a, b).sort_values("s").head(4),
    "sort down": lambda a, b: joined(a, b).sort_values(["w", "id"], ascending=[False, True])[["w", "id"]],
    "first": lambda a, b: joined(a[a.flag], b[b.v != 0]).head(2),
    "local": lambda a, b: a[(a.x.notna()) & (a.k.fillna(0) < 2)].sort_values("id").assign(up=lambda t: t.x * 2),
    "local group": lambda a, b: a.groupby("s").agg(n=("x", "count"), m=("x", "max"), k=("k", "sum")),
}
SCALARS: dict[str, Build] = {
    "sum": lambda a, b: joined(a, b).x.sum(),
    "mean": lambda a, b: joined(a, b).w.mean(),
    "count": lambda a, b: joined(a, b).maybe.count(),
    "min": lambda a, b: joined(a, b).k.min(),
    "local mean": lambda a, b: a.x.mean(),
    "local max": lambda a, b: b.v.max(),
}


def cells(result: Any) -> list[list[Any]]:
    """A result as plain values, with None for everything missing."""
    if isinstance(result, pd.Series):
        result = result.to_frame()
    if isinstance(result, pd.DataFrame):
        result = result.reset_index(drop=result.index.names == [None])
        return [[None if pd.isna(v) else v for v in row] for row in result.astype(object).to_numpy().tolist()]
    return [[None if pd.isna(result) else result]]


def check(pair: Pair, protocol: str, tolerance: float, **options: Any) -> None:
    # Texts of two owners can be compared under one declared dictionary.
    sources = [mpc.Source(frame, dictionaries={name: WORDS}) for frame, name in zip(pair, "st", strict=True)]
    ours = {"a": {"t": sources[0]}, "b": {"u": sources[1]}}
    theirs = [numpy_types(frame) for frame in pair]
    builds = [*FRAMES.values(), *SCALARS.values()]
    with mpc.Session.local(ours, protocol=protocol, executor="threads", **options) as session:  # type: ignore[arg-type]
        results = mpc.collect(*(build(session.table("a.t"), session.table("b.u")) for build in builds))
    for name, build, got in zip([*FRAMES, *SCALARS], builds, results, strict=True):
        want = cells(build(*theirs))
        found = cells(got)
        assert len(found) == len(want), name
        for row, other in zip(found, want, strict=True):
            for value, reference in zip(row, other, strict=True):
                close = isinstance(reference, float) and value is not None and abs(value - reference) <= tolerance
                assert close or value == reference, (name, found, want)


@given(pair=pairs())
@settings(max_examples=4)
@pytest.mark.parametrize("pushdown", [True, False])
def test_random_tables_in_the_clear(pushdown: bool, pair: Pair) -> None:
    check(pair, "plaintext", 2.0**-16, pushdown=pushdown)


SAMPLES: list[Pair] = [  # none, one, all missing, mixed
    (left_of([], []), right_of([], [])),
    (left_of([(1, 12, "it's", None, True)], [4]), right_of([(3, -5, "")], [4])),
    (left_of([(None, None, None, None, False)] * 3, [1, 2, 3]), right_of([(0, None, None)] * 3, [3, 1, 7])),
    (
        left_of(
            [(2, 7, "a", True, True), (2, 7, "A", False, False), (None, -800, "日本", None, True)] * 2,
            [5, 3, 8, 1, 2, 0],
        ),
        right_of([(-5, 64, "a"), (5, None, "größer"), (2, -1, "x~1"), (2, 0, "a")], [8, 5, 2, 0]),
    ),
]


@pytest.mark.parametrize(("sample", "pushdown"), [(0, True), (1, False), (2, False), (3, True)])
def test_samples_on_shares(sample: int, pushdown: bool) -> None:
    """Multiples of 1/8 and whole numbers are exact in shares; only the mean is rounded (numeric.ratio: 2**-16)."""
    check(SAMPLES[sample], "aby3", 2.0**-16, pushdown=pushdown)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(pair=pairs())
@settings(max_examples=40, derandomize=False)
def test_random_tables_on_shares(pair: Pair) -> None:
    check(pair, "aby3", 2.0**-16, pushdown=False)


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
@pytest.mark.parametrize("pushdown", [True, False])
def test_dates_come_back_as_dates(protocol: str, pushdown: bool) -> None:
    day = datetime.date
    days = [day(2020, 2, 29), None, day(1969, 12, 31), day(2024, 12, 31)]
    left = pa.table({"id": [1, 2, 3, 4], "day": pa.array(days, pa.date32())})
    right = pd.DataFrame({"id": [4, 3, 2, 1], "at": pd.to_datetime(["2020-01-01 10:00:00.5"] * 4), "n": [1, 2, 3, 4]})
    tables = {"a": {"t": left}, "b": {"u": right}}
    with mpc.Session.local(tables, protocol=protocol, executor="threads", pushdown=pushdown) as session:  # type: ignore[arg-type]
        both = session.table("a.t").merge(session.table("b.u"), on="id")
        rows, late, top = mpc.collect(
            both,
            both[(both.day >= "2020-02-29") & (both["at"] > "2019-12-31")].id,
            both.agg(first=("day", "min"), last=("at", "max")),
        )
        if pushdown:
            parts = both.assign(
                y=lambda t: t.day.dt.year, m=lambda t: t.day.dt.month, d=lambda t: t.day.dt.day
            ).collect()
            assert cells(parts[["y", "m", "d"]]) == [[2020, 2, 29], [None] * 3, [1969, 12, 31], [2024, 12, 31]]
    assert [None if pd.isna(d) else d.date() for d in rows["day"]] == days
    assert (rows["at"] == pd.Timestamp("2020-01-01 10:00:00.5")).all()
    assert late.tolist() == [1, 4]
    assert top.iloc[0].tolist() == [pd.Timestamp("1969-12-31"), pd.Timestamp("2020-01-01 10:00:00.5")]


@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
def test_local_functions_equal_numpy_and_pandas(protocol: str) -> None:
    values = pd.DataFrame({"id": range(6), "x": [0.25, 1.0, -2.5, np.nan, 9.0, 0.0], "i": [7, -7, 0, 3, -3, 10]})
    words = pd.DataFrame({"id": range(6), "s": ["alpha", "beta", None, "a.c", "ALPHA", ""]})
    tables = {"a": {"t": values}, "b": {"u": words}}
    with mpc.Session.local(tables, protocol=protocol, executor="threads") as session:  # type: ignore[arg-type]
        both = session.table("a.t").merge(session.table("b.u"), on="id")
        with np.errstate(all="ignore"):
            for build in (
                lambda t: np.exp(t.x), lambda t: np.sqrt(t.x.clip(0)), lambda t: np.log(t.x.clip(0.5)),
                lambda t: t.i // 3, lambda t: t.i % 3,
                lambda t: t.i // -2, lambda t: t.i % -2, lambda t: t.x // 0.5, lambda t: 2 / (t.x.abs() + 1),
                lambda t: t.x.astype(bool), lambda t: t.s.str.startswith("al").astype(int),
                lambda t: t.s.str.contains("."  , regex=False).astype(int), lambda t: t.s.str.endswith("a").astype(int),
            ):  # fmt: skip
                if build(values.merge(words.fillna("-"), on="id")).dtype.kind in "iub":
                    want = build(values.merge(words.fillna("-"), on="id")).tolist()
                    assert build(both).collect().tolist() == want
                    continue
                want = build(values.merge(words, on="id")).replace([np.inf, -np.inf], np.nan)
                got = build(both).collect()
                assert got.isna().tolist() == want.isna().tolist()
                assert np.nanmax(np.abs(got - want)) <= 2.0**-18


@pytest.mark.parametrize("name", ['a "b"', "select", "ünï", "x y", "a.b", "count", "~x", "0"])
@pytest.mark.parametrize("pushdown", [True, False])
def test_column_names_are_only_names(name: str, pushdown: bool) -> None:
    left = pd.DataFrame({"id": [1, 2, 3], name: [5, 6, 7]})
    right = pd.DataFrame({name: [3, 2, 1], "v": [1, 1, 2]})
    tables = {"a": {"t": left}, "b": {"u": right}}
    with mpc.Session.local(tables, protocol="plaintext", executor="threads", pushdown=pushdown) as session:
        both = session.table("a.t").merge(session.table("b.u"), left_on="id", right_on=name)
        want = left.merge(right, left_on="id", right_on=name)
        pd.testing.assert_frame_equal(both.collect(), want)
        groups = both.groupby("v").agg(**{name: (f"{name}_x", "sum")})
        assert cells(groups.collect()) == cells(want.groupby("v").agg(**{name: (f"{name}_x", "sum")}))
