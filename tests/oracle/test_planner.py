"""Queries that the planner rewrites most, against DuckDB: groups with carried columns, sums below joins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc

SETTINGS: dict[str, dict[str, Any]] = {
    "owners": {},
    "hidden": {"hide_joins": True},
    "secret": {"pushdown": False, "hide_joins": True},
}


def _tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(7)
    people = pd.DataFrame(
        {
            "person": np.arange(3, 33),
            "name": [f"n{k % 7}" for k in range(30)],
            "town": pd.array(rng.integers(0, 8, 30), dtype="Int64"),
        }
    )
    people.loc[[4, 9], "town"] = pd.NA
    entries = pd.DataFrame(
        {
            "entry": np.arange(400),
            "who": rng.integers(0, 40, 400),
            "day": rng.integers(0, 20, 400),
            "amount": pd.array(rng.integers(-50, 100, 400), dtype="Int64"),
            "kind": rng.choice(["x", "y"], 400),
        }
    )
    entries.loc[::17, "amount"] = pd.NA
    days = pd.DataFrame({"date": np.arange(18), "week": np.arange(18) // 7})
    towns = pd.DataFrame({"code": np.arange(6), "title": list("abcabc"), "size": rng.integers(1, 99, 6)})
    return {"entries": entries, "days": days, "people": people, "towns": towns}


TABLES = _tables()
QUERIES = {
    "carried": """
        SELECT who, name, t.title, SUM(amount) AS total, COUNT(*) AS n
        FROM entries JOIN people ON who = person JOIN towns AS t ON town = code GROUP BY who, name, t.title""",
    "carried over a left join": """
        SELECT who, name, town, SUM(amount) AS total, MAX(amount) AS most
        FROM entries LEFT JOIN people ON who = person GROUP BY who, name, town""",
    "carried and filtered": """
        SELECT who, name, COUNT(amount) AS n FROM entries JOIN people ON who = person
        WHERE day > 4 AND town < 5 GROUP BY who, name HAVING SUM(amount) > 10 ORDER BY n DESC, who LIMIT 5""",
    "groups of the other owner": """
        SELECT name, SUM(amount) AS total, COUNT(*) AS n, MIN(amount) AS least, MAX(amount) AS most, COUNT(amount) AS c
        FROM entries JOIN people ON who = person GROUP BY name""",
    "groups of both": """
        SELECT kind, t.title, SUM(amount * 2 - 1) AS total, COUNT(*) AS n
        FROM entries JOIN days ON day = date JOIN people ON who = person JOIN towns AS t ON town = code
        WHERE week < 2 GROUP BY kind, t.title""",
    "a condition of the other owner": """
        SELECT kind, SUM(CASE WHEN size > 40 THEN day ELSE 0 END) AS large, SUM(day) AS total
        FROM entries JOIN people ON who = person JOIN towns AS t ON town = code GROUP BY kind""",
    "columns of both compared": """
        SELECT title, SUM(day) AS total FROM entries JOIN people ON who = person JOIN towns AS t ON town = code
        WHERE day > town GROUP BY title""",
    "no groups": """
        SELECT SUM(CASE WHEN title = 'a' THEN day ELSE 0 END) AS a, SUM(amount) AS total, COUNT(*) AS n,
               MIN(amount) AS least
        FROM entries JOIN people ON who = person JOIN towns AS t ON town = code""",
    "no rows": """
        SELECT name, SUM(amount) AS total, COUNT(*) AS n FROM entries JOIN people ON who = person
        WHERE town > 100 GROUP BY name""",
    "only those who match": """
        SELECT who, SUM(amount) AS total FROM entries
        WHERE who IN (SELECT person FROM people WHERE town < 4) GROUP BY who""",
    "all of the other side": """
        SELECT person, COUNT(entry) AS n, SUM(amount) AS total, MAX(amount) AS most, COUNT(*) AS c, AVG(day) AS d
        FROM people LEFT JOIN entries ON person = who AND day < 9 GROUP BY person""",
    "counts of counts": """
        SELECT n, COUNT(*) AS people FROM (
            SELECT person, COUNT(entry) AS n FROM people LEFT JOIN entries ON person = who AND kind = 'x'
            GROUP BY person) AS found
        GROUP BY n ORDER BY people DESC, n DESC""",
    "semi joins of what is looked up": """
        SELECT week, SUM(CASE WHEN name = 'n3' THEN amount ELSE 0 END) AS some, COUNT(*) AS n
        FROM entries JOIN days ON day = date JOIN people ON who = person
        WHERE town IN (SELECT code FROM towns WHERE size > 20) GROUP BY week""",
    "rows in their order": """
        SELECT entry, title, week FROM entries JOIN people ON who = person JOIN towns AS t ON town = code
        JOIN days ON day = date WHERE amount > 60""",
    "means": """
        SELECT name, AVG(day) AS mean, SUM(day) AS total FROM entries JOIN people ON who = person GROUP BY name""",
    "medians are not of parts": """
        SELECT name, MEDIAN(day) AS m, SUM(day) AS total FROM entries JOIN people ON who = person GROUP BY name""",
}


@pytest.fixture(scope="module")
def sessions() -> Iterator[dict[str, mpc.Session]]:
    keys = {"entries": ["entry"], "days": ["date"], "people": ["person"], "towns": ["code"]}
    held = {name: mpc.Source(table, keys=[keys[name]]) for name, table in TABLES.items()}
    tables = {"a": {n: held[n] for n in ("entries", "days")}, "b": {n: held[n] for n in ("people", "towns")}}
    made = {
        f"{protocol} {name}": mpc.Session.local(tables, protocol=protocol, executor="threads", **options)  # type: ignore[arg-type]
        for protocol in ("plaintext", "aby3")
        for name, options in SETTINGS.items()
    }
    yield made
    for session in made.values():
        session.close()


def rows_of(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    rows = [tuple(None if pd.isna(v) else v for v in row) for row in frame.astype(object).itertuples(index=False)]
    return sorted(rows, key=repr)


def truth(query: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        for name, table in TABLES.items():
            connection.register(name, table)
        result: pd.DataFrame = connection.sql(query).df()
    return result


def check(session: mpc.Session, query: str) -> None:
    got, want = session.sql(query).collect(), truth(query)
    assert list(got.columns) == list(want.columns)
    for ours, theirs in zip(rows_of(got), rows_of(want), strict=True):
        assert ours == pytest.approx(theirs, abs=2.0**-14)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", QUERIES)
def test_in_the_clear(sessions: dict[str, mpc.Session], name: str, setting: str) -> None:
    check(sessions[f"plaintext {setting}"], QUERIES[name])


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("carried", "secret"),
        ("all of the other side", "secret"),
        ("groups of both", "owners"),
        ("a condition of the other owner", "owners"),
    ],
)
def test_on_shares(sessions: dict[str, mpc.Session], name: str, setting: str) -> None:
    check(sessions[f"aby3 {setting}"], QUERIES[name])


def lines(session: mpc.Session, name: str) -> list[str]:
    return [line.strip() for line in session.sql(QUERIES[name]).explain("choose_joins").text.splitlines()]


def first(found: list[str], start: str) -> int:
    return next(k for k, line in enumerate(found) if line.startswith(start))


def test_what_the_planner_does(sessions: dict[str, mpc.Session]) -> None:
    """Joins stand above the groups that carry their columns, and owners add up what is theirs."""
    found = lines(sessions["plaintext secret"], "carried")
    assert first(found, "join") < first(found, "aggregate") < first(found, "local to a")
    assert sum("join" in line for line in found) == 2
    for name in ("all of the other side", "counts of counts"):
        found = lines(sessions["plaintext secret"], name)
        assert first(found, "left join") < first(found, "local to b")
        assert any(line.startswith("aggregate") for line in found[first(found, "left join") :])
    for name in ("groups of the other owner", "groups of both", "a condition of the other owner", "no groups"):
        found = lines(sessions["plaintext owners"], name)
        local = first(found, "local to a")
        assert found[local + 1].startswith(("aggregate", "project")), name
        assert any(line.startswith("aggregate") for line in found[local : local + 3]), name
    found = lines(sessions["plaintext owners"], "medians are not of parts")
    assert sum(line.startswith("aggregate") for line in found) == 1


def test_what_owners_add_up_is_announced(sessions: dict[str, mpc.Session]) -> None:
    explained = sessions["plaintext owners"].sql(QUERIES["groups of the other owner"]).explain()
    assert any("how many rows a keeps of a.entries" in item.what for item in explained.disclosures)
