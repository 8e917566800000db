"""Merges against pandas: keys of several columns and kinds, three owners, tables of one owner, order, suffixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mpc_engine as mpc
from mpc_engine.errors import SchemaError

DAYS = pd.to_datetime(["2020-01-01", "2020-01-02", "2021-05-05", "1969-01-01", "2020-01-03"]).astype("datetime64[us]")
A = pd.DataFrame(
    {
        "id": [5, 3, -9, 7, 1],
        "word": ["über", "it's", "", "a", "b"],
        "day": DAYS,
        "big": [2**40, 5, -(2**41), 7, 0],
        "v": [1, 2, 3, 4, 5],
        "mgr": [3, 3, 5, 5, 7],
    }
)
MORE = pd.DataFrame({"pid": [7, -9, 2, 5], "extra": [70, 90, 20, 50]})
B = pd.DataFrame(
    {
        "id": [7, -9, 11, 5, 3],
        "word": ["a", "", "zzz", "über", "other"],
        "day": DAYS[[3, 2, 0, 4, 1]],
        "big": [7, -(2**41), 2**40 + 1, 2**40, 5],
        "w": [0.5, -1.25, 3.0, 2.0, 8.0],
    }
)
C = pd.DataFrame({"person": [-9, 5, 7, 100], "z": [1, 2, 3, 4]})
TABLES = {"a.t": A, "a.more": MORE, "b.u": B, "c.w": C}


class Tables:
    """All tables, as pandas frames or as lazy ones."""

    def __init__(self, table: Callable[[str], Any]) -> None:
        self.a, self.b, self.c, self.more = (table(name) for name in ("a.t", "b.u", "c.w", "a.more"))


@pytest.fixture(scope="module", params=["plaintext", "aby3", "no push-down"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    tables = {"a": {"t": A, "more": MORE}, "b": {"u": B}, "c": {"w": C}}
    protocol = "plaintext" if request.param == "plaintext" else "aby3"
    with mpc.Session.local(
        tables, protocol=protocol, executor="threads", pushdown=request.param != "no push-down", timeout=10
    ) as made:  # type: ignore[arg-type]
        yield made


MERGES: dict[str, Callable[[Tables], Any]] = {
    "text key": lambda t: t.a.merge(t.b, on="word"),
    "time key": lambda t: t.a.merge(t.b, on="day"),
    "large key": lambda t: t.a.merge(t.b, on="big"),
    "two keys": lambda t: t.a.merge(t.b, on=["id", "word"]),
    "two keys by other names": lambda t: t.a.merge(t.b, left_on=["word", "id"], right_on=["word", "id"]),
    "other names": lambda t: t.a.merge(t.c, left_on="id", right_on="person"),
    "suffixes": lambda t: t.a.merge(t.b, on="id", suffixes=("_left", "_right")),
    "the right order": lambda t: t.b.merge(t.a, on="id").head(2),
    "sorted before": lambda t: t.a.sort_values("v", ascending=False).merge(t.b, on="id"),
    "sorted right": lambda t: t.a.merge(t.b.sort_values("w"), on="id"),
    "three owners": lambda t: t.a.merge(t.b, on="id").merge(t.c, left_on="id", right_on="person"),
    "three owners, right first": lambda t: t.c.merge(t.a.merge(t.b, on="id"), left_on="person", right_on="id"),
    "two tables of one owner": lambda t: t.a.merge(t.more, left_on="id", right_on="pid"),
    "one owner, then another": lambda t: t.a.merge(t.more, left_on="id", right_on="pid").merge(t.b, on="id"),
    "another owner between": lambda t: t.a.merge(t.b, on="id").merge(t.more, left_on="id", right_on="pid"),
    "two owners between": lambda t: (
        t.a.merge(t.b, on="id")
        .merge(t.c, left_on="id", right_on="person")
        .merge(t.more.assign(half=lambda m: m.extra / 2), left_on="person", right_on="pid")
    ),
    "filter over two below a third": lambda t: (lambda j: j[j.v > j.w])(t.a.merge(t.b, on="id")).merge(
        t.c, left_on="id", right_on="person"
    ),
    "column over two below a third": lambda t: (
        t.a.merge(t.b, on="id").assign(s=lambda j: j.v + j.w).merge(t.c, left_on="id", right_on="person")
    ),
    "grouped before": lambda t: (
        t.a.groupby("mgr").agg(n=("v", "size"), v=("v", "sum")).reset_index().merge(t.b, left_on="mgr", right_on="id")
    ),
    "managers": lambda t: t.a[["id", "mgr", "v"]].merge(t.a[["id", "v"]], left_on="mgr", right_on="id"),
}


@pytest.mark.parametrize("name", MERGES)
def test_merges(session: mpc.Session, name: str) -> None:
    want = MERGES[name](Tables(TABLES.__getitem__))
    got = MERGES[name](Tables(session.table)).collect()
    pd.testing.assert_frame_equal(got, want.reset_index(drop=True), check_dtype=False, atol=2.0**-18, rtol=0)
    assert list(got.columns) == list(want.columns)


def test_a_table_merged_again(session: mpc.Session) -> None:
    """Rows of one table stand for two different rows of a result."""

    def build(t: Tables) -> Any:
        both = t.a[["id", "mgr", "v"]].merge(t.b[["id", "w"]], on="id")
        return both.merge(t.a[["id", "v"]], left_on="mgr", right_on="id")

    got = build(Tables(session.table)).collect()
    pd.testing.assert_frame_equal(got, build(Tables(TABLES.__getitem__)), check_dtype=False, atol=2.0**-18, rtol=0)


JOINT: dict[str, Callable[[Tables, Any], Any]] = {
    "first rows": lambda t, both: both.head(2).merge(t.c, left_on="id", right_on="person"),
    "groups": lambda t, both: (
        both.groupby("id").agg(n=("v", "sum")).reset_index().merge(t.c, left_on="id", right_on="person")
    ),
    "sorted": lambda t, both: both.sort_values("w").head(3).merge(t.c, left_on="id", right_on="person"),
    "keys of two owners": lambda t, both: both.merge(t.c, left_on=["v", "id"], right_on=["z", "person"]),
}


@pytest.mark.parametrize("name", JOINT)
def test_merges_with_joint_results(session: mpc.Session, name: str) -> None:
    want, got = (JOINT[name](t, t.a.merge(t.b, on="id")) for t in (Tables(TABLES.__getitem__), Tables(session.table)))
    found = got.collect()
    pd.testing.assert_frame_equal(found, want.reset_index(drop=True), check_dtype=False, atol=2.0**-18, rtol=0)


def test_a_date_is_the_same_key_however_it_is_stored(session: mpc.Session) -> None:
    days = pa.table({"day": pa.array([d.date() for d in DAYS], pa.date32()), "n": pa.array(np.arange(5))})
    tables = {"a": {"t": A}, "b": {"u": days}}
    with (
        mpc.Session.local(tables, protocol="plaintext", executor="threads") as made,
        pytest.raises(SchemaError, match="differ in type"),
    ):
        made.table("a.t").merge(made.table("b.u"), on="day")


def test_a_join_inside_one_owner_that_multiplies_rows_is_refused(session: mpc.Session) -> None:
    left = pd.DataFrame({"k": [1, 1, 2], "x": [1, 2, 3]})
    right = pd.DataFrame({"k": [1, 1, 2], "y": [1, 2, 3]})
    with mpc.Session.local({"a": {"t": left, "u": right}}, protocol="plaintext", executor="threads") as made:
        both = made.table("a.t").merge(made.table("a.u"), on="k")
        with pytest.raises(SchemaError, match="keys repeat on both sides") as caught:
            both.collect()
        assert caught.value.code == "MPC-0108"
        one = made.table("a.t").merge(made.table("a.u").groupby("k").agg(y=("y", "sum")).reset_index(), on="k")
        assert one.collect()["y"].tolist() == [3, 3, 3]
