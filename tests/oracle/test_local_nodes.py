"""What one owner computes alone in its DuckDB: joins, unions, windows and aggregates, against loops and pandas."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import Agg, Aggregate, Filter, Join, Rel, SortBy, Union, Win, Window, call, column, literal, make
from mpc_engine.frame.base import identity

NAN = float("nan")
LEFT = pd.DataFrame(
    {
        "k": [3, 1, None, 2, 1, 9, None],
        "w": ["x", "y", "x", None, "x", "y", None],
        "v": [10, 20, 30, 40, 50, 60, 70],
    }
)
RIGHT = pd.DataFrame({"k2": [1, None, 3, 1, 7], "w2": ["x", None, "x", "y", "x"], "u": [1.5, 2.5, None, 4.5, 5.5]})
ROWS = pd.DataFrame(
    {
        "g": [1, 2, 1, None, 2, 1, None, 1, 3, 1],
        "o": [5, 1, 3, 2, 1, 3, 9, None, 4, 3],
        "x": [4.0, None, -2.5, 1.0, 8.0, 0.25, None, 3.0, None, -2.5],
        "n": [7, 7, -1, 3, 5, 2, 8, 7, 0, -1],
        "b": [True, False, True, True, False, False, True, True, False, True],
        "s": ["b", "a", None, "c", "a", "b", None, "b", None, "a"],
        "t": [1, 1, 1, 1, 2, 2, 2, 2, 3, 3],
    }
)


def whole(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(names, "Int64"))


@pytest.fixture(scope="module")
def session() -> Iterator[mpc.Session]:
    tables = {
        "left": whole(LEFT, "k"),
        "right": whole(RIGHT, "k2"),
        "rows": whole(ROWS, "g", "o"),
        "more": whole(ROWS, "g", "o")[::-1].iloc[:4],
    }
    with mpc.Session.local({"a": tables}, protocol="plaintext", executor="threads") as made:
        yield made


def scan(session: mpc.Session, name: str) -> Rel:
    return session.table(f"a.{name}")._rel


def collected(session: mpc.Session, rel: Rel) -> pd.DataFrame:
    result: pd.DataFrame = mpc.DataFrame(session, make(rel), identity(rel)).collect()
    return result


def plain(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows as tuples; missing values are None, whole numbers integers."""
    return [tuple(map(_cell, row)) for row in frame.itertuples(index=False)]


def _cell(value: Any) -> Any:
    if pd.isna(value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- joins -----------------------------------------------------------------------------------------------------------


def loop_join(how: str, nulls: bool, on: list[tuple[str, str]]) -> list[tuple[Any, ...]]:
    """The rows of a join as its definition says, in its order."""
    left, right = plain(LEFT), plain(RIGHT)
    places = [(list(LEFT).index(a), list(RIGHT).index(b)) for a, b in on]

    def equal(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
        return all(a[i] == b[j] and (nulls or a[i] is not None) for i, j in places)

    matches = [[b for b in right if equal(a, b)] for a in left]
    if how in ("semi", "anti"):
        return [a for a, found in zip(left, matches, strict=True) if bool(found) == (how == "semi")]
    made = [a + b for a, found in zip(left, matches, strict=True) for b in found]
    if how in ("left", "outer"):
        nothing = [(None,) * 3]
        made = [a + b for a, found in zip(left, matches, strict=True) for b in found or nothing]
    if how in ("right", "outer"):
        made += [(None,) * 3 + b for b in right if not any(equal(a, b) for a in left)]
    return made


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("how", ["inner", "left", "right", "outer", "semi", "anti"])
def test_join(session: mpc.Session, how: str, keys: int, nulls: bool) -> None:
    on = [("k", "k2"), ("w", "w2")][:keys]
    left_on, right_on = tuple(a for a, _ in on), tuple(b for _, b in on)
    rel = Join(scan(session, "left"), scan(session, "right"), left_on, right_on, how, nulls, most=12)
    got = collected(session, rel)
    want = loop_join(how, nulls, on)
    assert plain(got) == want
    if nulls and how in ("inner", "left", "right", "outer"):
        theirs = LEFT.merge(RIGHT, left_on=list(left_on), right_on=list(right_on), how=how)
        assert sorted(map(repr, plain(theirs))) == sorted(map(repr, want))


def test_cross_join_with_one_row(session: mpc.Session) -> None:
    one = make(Aggregate(scan(session, "right"), (), (Agg("most", "max", "u"),)))
    rel = Join(scan(session, "left"), one, (), (), "cross")
    assert plain(collected(session, rel)) == [(*row, 5.5) for row in plain(LEFT)]


# --- unions ----------------------------------------------------------------------------------------------------------


def test_union_keeps_order_and_takes_the_wider_type(session: mpc.Session) -> None:
    frame = session.table("a.rows")
    first = frame.sort_values("n")[["n", "g", "s"]]._rel
    second = session.table("a.more")[["x", "g", "s"]].rename(columns={"x": "n"})._rel
    got = collected(session, Union(first, second))
    want = pd.concat(
        [
            ROWS.sort_values("n", kind="stable")[["n", "g", "s"]],
            ROWS[::-1].iloc[:4][["x", "g", "s"]].rename(columns={"x": "n"}),
        ]
    )
    assert plain(got) == plain(want)
    assert got["n"].dtype == float


# --- aggregates ------------------------------------------------------------------------------------------------------


AGGREGATES: dict[str, tuple[Agg, Callable[[Any], Any]]] = {
    "nunique": (Agg("y", "nunique", "x"), lambda c: c["x"].nunique()),
    "nunique of text": (Agg("y", "nunique", "s"), lambda c: c["s"].nunique()),
    "median": (Agg("y", "median", "x"), lambda c: c["x"].median()),
    "median of integers": (Agg("y", "median", "n"), lambda c: c["n"].median()),
    "quantile": (Agg("y", "quantile", "n", 0.9), lambda c: c["n"].quantile(0.9)),
    "quantile 0": (Agg("y", "quantile", "x", 0.0), lambda c: c["x"].quantile(0.0)),
    "median of booleans": (Agg("y", "median", "b"), lambda c: c["b"].median()),
    "first": (Agg("y", "first", "x"), lambda c: c["x"].first()),
    "last": (Agg("y", "last", "x"), lambda c: c["x"].last()),
    "first text": (Agg("y", "first", "s"), lambda c: c["s"].first()),
    "any": (Agg("y", "any", "t"), lambda c: c["t"].first()),
}


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_of_groups(session: mpc.Session, name: str) -> None:
    agg, theirs = AGGREGATES[name]
    key = "t" if agg.function == "any" else "g"
    got = collected(session, Aggregate(scan(session, "rows"), (key,), (agg,)))
    assert plain(got) == plain(theirs(ROWS.groupby(key)).reset_index(name="y"))


@pytest.mark.parametrize("name", ["nunique", "median", "quantile", "median of booleans", "nunique of text"])
def test_aggregates_of_all_rows(session: mpc.Session, name: str) -> None:
    agg, theirs = AGGREGATES[name]
    assert plain(collected(session, Aggregate(scan(session, "rows"), (), (agg,)))) == [(theirs(ROWS),)]


def test_first_and_last_follow_the_order_of_the_rows(session: mpc.Session) -> None:
    sorted_ = session.table("a.rows").sort_values(["n", "o"], ascending=[False, True])._rel
    aggs = (Agg("f", "first", "x"), Agg("l", "last", "x"))
    got = collected(session, Aggregate(sorted_, ("t",), aggs))
    theirs = ROWS.sort_values(["n", "o"], ascending=[False, True], kind="stable").groupby("t")["x"]
    assert plain(got) == plain(theirs.agg(["first", "last"]).reset_index())


def test_nothing_has_no_first_value_and_no_median(session: mpc.Session) -> None:
    nothing = make(Filter(scan(session, "rows"), call("gt", column("n"), literal(99))))
    aggs = tuple(Agg(f, f, "x", 0.5) for f in ("nunique", "median", "quantile", "first", "last", "any"))
    assert plain(collected(session, Aggregate(nothing, (), aggs))) == [(0, None, None, None, None, None)]
    assert plain(collected(session, Aggregate(nothing, ("g",), aggs))) == []


# --- windows ---------------------------------------------------------------------------------------------------------

FRAMES = [(None, 0), (None, None), (0, None), (2, 0), (1, 1), (0, 0), (None, 1), (3, -1), (-1, 2), (-1, None)]
ORDERS: dict[str, tuple[SortBy, ...]] = {
    "none": (),
    "up": (SortBy("o"),),
    "down": (SortBy("o", False),),
    "two": (SortBy("o"), SortBy("n", False)),
}


def ordering(order: tuple[SortBy, ...], rows: list[dict[str, Any]]) -> list[int]:
    """Positions of the rows in order; missing last, ties as they stand."""
    places = list(range(len(rows)))
    for by in reversed(order):
        sign = 1 if by.ascending else -1
        places.sort(
            key=lambda p, by=by, sign=sign: (  # type: ignore[misc]
                rows[p][by.column] is None,
                sign * (rows[p][by.column] or 0) if rows[p][by.column] is not None else 0,
            )
        )
    return places


def loop_window(win: Win, partition: tuple[str, ...], order: tuple[SortBy, ...]) -> list[Any]:
    rows = [dict(zip(ROWS, row, strict=True)) for row in plain(ROWS)]
    made: list[Any] = [None] * len(rows)
    for _, group in itertools.groupby(
        sorted(range(len(rows)), key=lambda p: repr([rows[p][n] for n in partition])),
        key=lambda p: repr([rows[p][n] for n in partition]),
    ):
        members = sorted(group)
        held = [rows[p] for p in members]
        places = ordering(order, held)
        ties = [tuple(held[p][by.column] for by in order) for p in places]
        for at, place in enumerate(places):
            made[members[place]] = loop_value(win, [held[p] for p in places], ties, at)
    return made


def loop_value(win: Win, rows: list[dict[str, Any]], ties: list[Any], at: int) -> Any:
    if win.function == "row_number":
        return at + 1
    if win.function == "rank":
        return ties.index(ties[at]) + 1
    if win.function == "dense_rank":
        return len(dict.fromkeys(ties[: at + 1]))
    if win.function in ("lag", "lead"):
        other = at + (win.param if win.function == "lead" else -win.param)
        return rows[other][win.column or ""] if 0 <= other < len(rows) else None
    before, after = win.rows
    first = 0 if before is None else max(at - before, 0)
    last = len(rows) - 1 if after is None else min(at + after, len(rows) - 1)
    if win.peers:
        first, last = 0, max(p for p, tie in enumerate(ties) if tie == ties[at])
    frame = rows[first : max(last, -1) + 1]
    if win.function == "size":
        return len(frame)
    values = [row[win.column or ""] for row in frame if row[win.column or ""] is not None]
    if win.function == "count":
        return len(values)
    if win.function == "sum":
        return sum(values)
    if not values:
        return None
    return {"min": min, "max": max, "mean": np.mean}[win.function](values)


@pytest.mark.parametrize("partition", [(), ("g",), ("t", "b")], ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_ranks_and_shifts(session: mpc.Session, order: str, partition: tuple[str, ...]) -> None:
    wins = [Win(f, f) for f in ("row_number", "rank", "dense_rank")]
    wins += [Win(f"{f}{n}", f, "x", n) for f in ("lag", "lead") for n in (1, 2, -1, 0, 20)]
    check(session, wins, partition, ORDERS[order])


@pytest.mark.parametrize("partition", [(), ("g",), ("t", "b")], ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_aggregates_of_frames(session: mpc.Session, order: str, partition: tuple[str, ...]) -> None:
    wins = [
        Win(f"{f}{at}{c}", f, None if f == "size" else c, 1, rows)
        for at, rows in enumerate(FRAMES)
        for f in ("sum", "mean", "count", "size", "min", "max")
        for c in ("x", "n")
    ]
    wins += [Win(f"peers {f}", f, "n", 1, (None, 0), True) for f in ("sum", "mean", "count", "min", "max")]
    check(session, wins, partition, ORDERS[order])


def check(session: mpc.Session, wins: list[Win], partition: tuple[str, ...], order: tuple[SortBy, ...]) -> None:
    got = collected(session, Window(scan(session, "rows"), partition, order, tuple(wins)))
    assert plain(got[list(ROWS)]) == plain(ROWS)
    for win in wins:
        values = [None if pd.isna(v) else v for v in got[win.name]]
        assert values == pytest.approx(loop_window(win, partition, order), abs=1e-12), win


def test_a_window_over_a_window_and_a_filter_on_it(session: mpc.Session) -> None:
    ranked = make(Window(scan(session, "rows"), ("g",), (SortBy("n"),), (Win("place", "row_number"),)))
    first = make(Filter(ranked, call("eq", column("place"), literal(1))))
    got = collected(session, Window(first, (), (SortBy("n"),), (Win("of", "lag", "n"),)))
    rows = whole(ROWS, "g", "o")
    want = duckdb.sql("""
        SELECT * EXCLUDE r FROM (
            SELECT *, lag(n) OVER (ORDER BY n, r) AS of FROM (
                SELECT *, row_number() OVER (PARTITION BY g ORDER BY n, r) AS place
                FROM (SELECT *, row_number() OVER () AS r FROM rows)
            ) WHERE place = 1
        ) ORDER BY r
    """).df()
    assert rows.shape == ROWS.shape
    assert plain(got) == plain(want)
