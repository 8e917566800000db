"""Windows and aggregates on shares, against the loops and pandas that the owners' SQL is held to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import Agg, Aggregate, Filter, Limit, Rel, Sort, SortBy, Win, Window, call, column, literal, make
from tests.oracle.test_local_nodes import (
    AGGREGATES,
    FRAMES,
    ORDERS,
    ROWS,
    collected,
    loop_window,
    plain,
    scan,
    whole,
)

TOLERANCE = 2.0**-14
PARTITIONS: tuple[tuple[str, ...], ...] = ((), ("g",), ("t", "b"))


def opened(protocol: str) -> mpc.Session:
    rows = whole(ROWS, "g", "o")
    kept = pd.concat([rows.assign(keep=True), rows[::2].assign(keep=False, n=100, g=1)])
    kept = kept.iloc[[10, 0, 1, 2, 11, 3, 4, 12, 5, 6, 7, 13, 8, 9, 14]].reset_index(drop=True)
    tables = {"a": {"rows": rows, "kept": kept}}
    return mpc.Session.local(tables, protocol=protocol, executor="threads", pushdown=False)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def session() -> Iterator[mpc.Session]:
    with opened("plaintext") as made:
        yield made


@pytest.fixture(scope="module")
def shares() -> Iterator[mpc.Session]:
    with opened("aby3") as made:
        yield made


def filtered(session: mpc.Session) -> Rel:
    """The same rows among others that a filter on shares drops."""
    return make(Filter(scan(session, "kept"), column("keep")))


def inputs(session: mpc.Session) -> dict[str, Rel]:
    return {"all rows": scan(session, "rows"), "filtered": filtered(session)}


def check(
    session: mpc.Session, rel: Rel, wins: list[Win], partition: tuple[str, ...], order: tuple[SortBy, ...]
) -> None:
    got = collected(session, Window(rel, partition, order, tuple(wins)))
    assert plain(got[list(ROWS)]) == plain(ROWS)
    for win in wins:
        values = [None if pd.isna(v) else v for v in got[win.name]]
        assert values == pytest.approx(loop_window(win, partition, order), abs=TOLERANCE), win


RANKS = [Win(f, f) for f in ("row_number", "rank", "dense_rank")]
SHIFTS = [Win(f"{f}{n}{c}", f, c, n) for f in ("lag", "lead") for c in ("x", "s") for n in (1, 2, -1, 0, 20)]
SUMS = [
    Win(f"{f}{at}{c}", f, None if f == "size" else c, 1, rows)
    for at, rows in enumerate(FRAMES)
    for f in ("sum", "mean", "count", "size", "min", "max")
    for c in ("x", "n", "b")
    if c != "b" or f != "mean"
]
PEERS = [Win(f"peers {f}{c}", f, c, 1, (None, 0), True) for f in ("sum", "mean", "count", "min", "max") for c in "nx"]
PEERS.append(Win("peers", "size", peers=True))


CHOICES = [
    (rows, order, partition) for rows in ("all rows", "filtered") for order in ORDERS for partition in PARTITIONS
]
SOON = {("filtered", "none", ()), ("filtered", "up", ("g",)), ("all rows", "two", ("t", "b")), ("filtered", "two", ())}


@pytest.mark.parametrize(
    ("rows", "order", "partition"), [pytest.param(*c, marks=[] if c in SOON else pytest.mark.slow) for c in CHOICES]
)
def test_windows(session: mpc.Session, rows: str, order: str, partition: tuple[str, ...]) -> None:
    check(session, inputs(session)[rows], [*RANKS, *SHIFTS, *SUMS, *PEERS], partition, ORDERS[order])


def test_longer_frames(session: mpc.Session) -> None:
    frames = [(5, 0), (0, 5), (4, 3), (7, -2), (-3, 6), (9, 9), (None, 3), (3, None), (None, -2), (-2, None), (40, 40)]
    wins = [Win(f"{f}{at}", f, "n", 1, rows) for at, rows in enumerate(frames) for f in ("sum", "count", "min", "max")]
    for rel in inputs(session).values():
        for partition in ((), ("t",)):
            check(session, rel, wins, partition, (SortBy("o"),))


@pytest.mark.parametrize(("partition", "order"), [((), "up"), (("g",), "two")], ids=str)
def test_windows_on_shares(shares: mpc.Session, order: str, partition: tuple[str, ...]) -> None:
    frames = [(None, 0), (None, None), (2, 0), (1, 1), (-1, 2)]
    wins = [w for w in SUMS if w.rows in frames and (w.function != "mean" or w.rows == (2, 0))]
    check(shares, filtered(shares), [*RANKS, *SHIFTS[:4], *wins, *PEERS[:4], *PEERS[-3:]], partition, ORDERS[order])


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_of_groups(session: mpc.Session, name: str) -> None:
    agg, theirs = AGGREGATES[name]
    key = "t" if agg.function == "any" else "g"
    want = plain(theirs(ROWS.groupby(key)).reset_index(name="y"))
    for rel in inputs(session).values():
        assert_close(plain(collected(session, Aggregate(rel, (key,), (agg,)))), want)


def assert_close(got: list[tuple[Any, ...]], want: list[tuple[Any, ...]]) -> None:
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a == b or (not isinstance(b, str) and a == pytest.approx(b, abs=TOLERANCE))


ALL = {name: pair for name, pair in AGGREGATES.items() if pair[0].function != "any"}


def all_aggregates() -> tuple[Agg, ...]:
    named = [Agg(name, agg.function, agg.column, agg.param) for name, (agg, _) in ALL.items()]
    return (*named, Agg("most", "max", "s"), Agg("least", "min", "s"), Agg("day", "max", "n"))


@pytest.mark.parametrize("keys", [("g",), ("t", "b"), ("s",), ()], ids=str)
@pytest.mark.parametrize("protocol", ["session", "shares"])
def test_several_aggregates_at_once(request: pytest.FixtureRequest, protocol: str, keys: tuple[str, ...]) -> None:
    held = request.getfixturevalue(protocol)
    got = collected(held, Aggregate(filtered(held), keys, all_aggregates()))
    groups = list(ROWS.groupby(list(keys))) if keys else [((), ROWS)]
    want = []
    for key, rows in groups:
        one = rows.groupby(lambda _: 0)
        row = [theirs(one).iloc[0] for _, theirs in ALL.values()]
        texts = sorted(rows["s"].dropna()) or [None]
        want.append((*key, *(None if pd.isna(v) else v for v in row), texts[-1], texts[0], rows["n"].max()))
    assert_close(plain(got), plain(pd.DataFrame(want, columns=list(got))))


def test_null_is_a_group_where_asked(session: mpc.Session, shares: mpc.Session) -> None:
    for held in (session, shares):
        for keys in (("g",), ("s", "g"), ("o", "b")):
            aggs = (Agg("n", "size"), Agg("x", "sum", "x"), Agg("m", "max", "n"))
            got = collected(held, Aggregate(filtered(held), keys, aggs, nulls=True))
            found = ROWS.groupby(list(keys), dropna=False)
            want = found.agg(n=("n", "size"), x=("x", "sum"), m=("n", "max")).reset_index()
            assert_close(plain(got), plain(want))
            rows = collected(held, Aggregate(filtered(held), keys, (), nulls=True))
            assert plain(rows) == plain(want[list(keys)])


def test_null_is_a_group_at_the_owner(session: mpc.Session) -> None:
    with mpc.Session.local({"a": {"rows": whole(ROWS, "g", "o")}}, protocol="plaintext", executor="threads") as held:
        got = collected(held, Aggregate(scan(held, "rows"), ("s", "g"), (Agg("n", "size"),), nulls=True))
    want = ROWS.groupby(["s", "g"], dropna=False).size().reset_index(name="n")
    assert plain(got) == plain(want)


def test_windows_over_windows_and_filters_and_sorts(session: mpc.Session, shares: mpc.Session) -> None:
    order = (SortBy("n"), SortBy("o", False))
    rows = whole(ROWS, "g", "o").assign(r=range(len(ROWS)))
    ranked = rows.sort_values(["t", "n"], kind="stable")
    ranked["place"] = ranked.groupby("t").cumcount() + 1
    first = ranked.sort_values("r").query("place < 3").drop(columns=["r"])
    ordered = first.sort_values(["t", "n"], kind="stable")
    ordered["before"] = ordered.groupby("t")["n"].shift(1)
    for held in (session, shares):
        window = make(Window(filtered(held), ("t",), (SortBy("n"),), (Win("place", "row_number"),)))
        kept = make(Filter(window, call("lt", column("place"), literal(3))))
        again = make(Window(kept, ("t",), (SortBy("n"),), (Win("before", "lag", "n"),)))
        assert plain(collected(held, again).drop(columns="keep")) == plain(ordered.sort_index())
        top = make(Limit(make(Sort(again, (SortBy("t"), SortBy("n")))), 3))
        assert plain(collected(held, top).drop(columns="keep")) == plain(ordered.head(3))
        groups = make(Aggregate(again, ("t",), (Agg("x", "sum", "n"), Agg("l", "last", "n"), Agg("d", "nunique", "s"))))
        found = first.groupby("t").agg(x=("n", "sum"), l=("n", "last"), d=("s", "nunique")).reset_index()
        assert plain(collected(held, groups)) == plain(found)
        by_two = make(Window(filtered(held), (), order, (Win("place", "rank"),)))
        assert collected(held, by_two)["place"].tolist() == loop_window(Win("place", "rank"), (), order)
