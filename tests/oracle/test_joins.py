"""Joins of every kind on shares against DuckDB: keys that repeat, are missing, of several columns and dictionaries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import JOINS, Join, Union, make
from mpc_engine.errors import RangeError, UnsupportedError
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame

WORDS = ("ant", "bee", "cat", "dog", "eel")


@dataclass(frozen=True)
class Pair:
    """Two tables with key columns k (integer), w (text); ``unique``: the sides on which (k, w) does not repeat."""

    left: pd.DataFrame
    right: pd.DataFrame


def _table(rng: np.random.Generator, rows: int, side: str, *, unique: bool, nulls: bool) -> pd.DataFrame:
    words = WORDS[: 4 if side == "l" else 5] if side == "l" else WORDS[1:]
    if unique:
        pairs = rng.permutation([(k, w) for k in range(-3, 9) for w in range(len(words))])[:rows]
    else:
        pairs = np.stack([rng.integers(-3, 5, rows), rng.integers(0, len(words), rows)], axis=1)
    table = pd.DataFrame(
        {
            f"{side}k": pd.array(pairs[:, 0], dtype="Int64"),
            f"{side}w": pd.array([words[w] for w in pairs[:, 1]], dtype="str"),
            f"{side}v": rng.integers(0, 100, len(pairs)),
            f"{side}f": rng.normal(size=len(pairs)).round(3),
            f"{side}b": rng.integers(0, 2, len(pairs)).astype(bool),
        }
    )
    if nulls and rows:
        table.loc[rng.random(len(pairs)) < 0.3, f"{side}k"] = pd.NA
        table.loc[rng.random(len(pairs)) < 0.3, f"{side}v"] = np.nan
    return table


def _pair(seed: int, n: int, m: int, *, left: bool, right: bool, nulls: bool) -> Pair:
    rng = np.random.default_rng(seed)
    return Pair(
        _table(rng, n, "l", unique=left, nulls=nulls and not left),
        _table(rng, m, "r", unique=right, nulls=nulls and not right),
    )


CASES = {
    "both unique": _pair(1, 13, 9, left=True, right=True, nulls=False),
    "right unique": _pair(2, 20, 11, left=False, right=True, nulls=True),
    "left unique": _pair(3, 12, 19, left=True, right=False, nulls=True),
    "neither": _pair(4, 14, 11, left=False, right=False, nulls=True),
    "one row": _pair(5, 1, 1, left=True, right=True, nulls=False),
    "empty right": _pair(6, 4, 0, left=False, right=True, nulls=False),
    "empty left": _pair(7, 0, 4, left=True, right=False, nulls=False),
}


@pytest.fixture(scope="module", params=["plaintext", "aby3"])
def sessions(request: pytest.FixtureRequest) -> Iterator[dict[str, mpc.Session]]:
    names = CASES if request.param == "plaintext" else [name for name in CASES if "empty" not in name]
    made = {
        name: mpc.Session.local(
            {
                "a": {
                    "l": mpc.Source(CASES[name].left, keys=[["lk", "lw"]] if "left" in name or "both" in name else [])
                },
                "b": {
                    "r": mpc.Source(CASES[name].right, keys=[["rk", "rw"]] if "right" in name or "both" in name else [])
                },
            },
            protocol=request.param,
            executor="threads",
            hide_joins=True,
            timeout=20,
        )
        for name in names
    }
    yield made
    for session in made.values():
        session.close()


SQL = {
    "inner": "JOIN",
    "left": "LEFT JOIN",
    "right": "RIGHT JOIN",
    "outer": "FULL JOIN",
    "semi": "SEMI JOIN",
    "anti": "ANTI JOIN",
}


def _joined(session: mpc.Session, on: tuple[str, ...], how: str, *, nulls: bool, most: int) -> DataFrame:
    left, right = session.table("a.l"), session.table("b.r")
    keys = tuple("l" + name for name in on), tuple("r" + name for name in on)
    rel = make(Join(left._base, right._base, *keys, how, nulls=nulls, most=most))
    return DataFrame(session, rel, identity(rel))


def _rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Rows as texts, in any order; floats to the resolution of the fixed point."""

    def cell(value: object) -> str:
        if pd.isna(value):  # type: ignore[call-overload]
            return "-"
        return (
            f"{value:.4f}"
            if isinstance(value, float) and value != int(value)
            else str(int(value) if not isinstance(value, str) else value)
        )  # type: ignore[call-overload]

    return sorted(tuple(cell(value) for value in row) for row in table.itertuples(index=False, name=None))


@pytest.mark.parametrize("how", [how for how in JOINS if how != "cross"])
@pytest.mark.parametrize("nulls", [False, True], ids=["", "nulls match"])
def test_joins(sessions: dict[str, mpc.Session], how: str, nulls: bool) -> None:
    for name, session in sessions.items():
        pair = CASES[name]
        on = ("k", "w")
        test = " AND ".join(f"l{k} IS NOT DISTINCT FROM r{k}" if nulls else f"l{k} = r{k}" for k in on)
        columns = "l.*" if how in ("semi", "anti") else "l.*, r.*"
        with duckdb.connect() as clear:
            clear.register("l", pair.left)
            clear.register("r", pair.right)
            want = clear.sql(f"SELECT {columns} FROM l {SQL[how]} r ON {test}").df()
        got = _joined(session, on, how, nulls=nulls, most=60 if name in ("neither", "one row") else 0).collect()
        assert _rows(got) == _rows(want), name


def test_order_is_that_of_the_left_rows(sessions: dict[str, mpc.Session]) -> None:
    for name, session in sessions.items():
        pair = CASES[name]
        for how in ("inner", "left"):
            got = _joined(
                session, ("k", "w"), how, nulls=True, most=60 if name in ("neither", "one row") else 0
            ).collect()
            want = pair.left.merge(pair.right, left_on=["lk", "lw"], right_on=["rk", "rw"], how=how)
            assert [str(v) for v in got["lv"]] == [str(v) for v in want["lv"].astype(got["lv"].dtype)], (name, how)
            assert got["rf"].round(3).fillna(9).tolist() == want["rf"].fillna(9).tolist(), (name, how)


def test_a_bound_that_is_too_small(sessions: dict[str, mpc.Session]) -> None:
    session = sessions["neither"]
    frame = _joined(session, ("k",), "inner", nulls=False, most=4)
    assert any("whether more than 4 pairs" in str(line) for line in frame.explain().disclosures)
    with pytest.raises(RangeError, match="more rows match") as caught:
        frame.collect()
    assert caught.value.code == "MPC-0209"
    with pytest.raises(UnsupportedError, match="neither lk nor rk is known to be unique") as refused:
        _joined(session, ("k",), "inner", nulls=False, most=0).collect()
    assert refused.value.code == "MPC-0332"


def test_unions(sessions: dict[str, mpc.Session]) -> None:
    for name, session in sessions.items():
        pair = CASES[name]
        sides = []
        for table, side in (("a.l", "l"), ("b.r", "r")):
            frame = session.table(table).rename(columns={f"{side}{c}": c for c in "kwvfb"})
            sides.append(frame[list("kwvfb")])
        rels = [frame.head(100)._rel for frame in sides]
        rel = make(Union(rels[0], rels[1]))
        got = DataFrame(session, rel, identity(rel)).collect()
        want = pd.concat([pair.left.set_axis(list("kwvfb"), axis=1), pair.right.set_axis(list("kwvfb"), axis=1)])
        assert _rows(got) == _rows(want), name
        assert got["f"].round(3).tolist() == want["f"].tolist(), name
