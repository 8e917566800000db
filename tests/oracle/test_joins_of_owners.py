"""Groups before joins, joins of one owner first, totals at owners: the same results as DuckDB over all tables."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.cli.clear import Answer, difference, order_of

QUERIES = {
    "columns of a group's partner": """
        SELECT o.c, name, SUM(price) AS total, COUNT(*) AS n FROM lines l JOIN orders o ON l.o = o.o
        JOIN customers c ON o.c = c.c GROUP BY o.c, name""",
    "groups by a foreign key": """
        SELECT l.o, day, SUM(price) AS total FROM lines l JOIN orders o ON l.o = o.o GROUP BY l.o, day
        ORDER BY total DESC, l.o LIMIT 7""",
    "partners that are filtered": """
        SELECT o.c, COUNT(*) AS n, MAX(price) AS most FROM lines l JOIN orders o ON l.o = o.o
        JOIN customers c ON o.c = c.c WHERE name < 'n3' AND day > 4 GROUP BY o.c HAVING COUNT(*) > 1""",
    "several owners between": """
        SELECT region, SUM(price) AS total, COUNT(price) AS n, MIN(price) AS least FROM lines l, suppliers s, orders o,
        customers c, nations n WHERE l.o = o.o AND l.s = s.s AND o.c = c.c AND s.n = n.n GROUP BY region""",
    "a comparison of both sides": """
        SELECT region, SUM(price) AS total FROM lines l, suppliers s, orders o, customers c, nations n
        WHERE l.o = o.o AND l.s = s.s AND o.c = c.c AND s.n = n.n AND c.n = s.n GROUP BY region""",
    "totals without groups": """
        SELECT SUM(price) AS total, COUNT(*) AS n, MIN(price) AS least FROM lines l JOIN suppliers s ON l.s = s.s
        WHERE rate > 3""",
    "totals of nothing": "SELECT SUM(price) AS total, COUNT(*) AS n FROM lines l JOIN suppliers s ON l.s = s.s "
    "WHERE rate > 300",
    "products of both sides": """
        SELECT region, SUM(price * rate) AS total, SUM(price) AS prices FROM lines l, suppliers s, nations n
        WHERE l.s = s.s AND s.n = n.n GROUP BY region""",
    "a part of a whole": """
        SELECT region, SUM(CASE WHEN o.day > 5 THEN price ELSE 0 END) AS late, SUM(price) AS total
        FROM lines l, orders o, suppliers s, nations n WHERE l.o = o.o AND l.s = s.s AND s.n = n.n GROUP BY region""",
}


def tables(seed: int) -> dict[str, pd.DataFrame]:
    """Lines with missing prices and keys, and keys that nobody has."""
    rng = np.random.default_rng(seed)
    lines = pd.DataFrame(
        {"o": rng.integers(0, 14, 60), "s": rng.integers(0, 9, 60), "price": rng.integers(-5, 50, 60)}
    ).astype({"price": "Int64", "s": "Int64"})
    lines.loc[rng.choice(60, 8, replace=False), "price"] = pd.NA
    lines.loc[rng.choice(60, 5, replace=False), "s"] = pd.NA
    return {
        "lines": lines,
        "orders": pd.DataFrame({"o": range(12), "c": rng.integers(0, 7, 12), "day": rng.integers(0, 10, 12)}),
        "customers": pd.DataFrame({"c": range(6), "name": [f"n{k}" for k in range(6)], "n": rng.integers(0, 4, 6)}),
        "suppliers": pd.DataFrame({"s": range(7), "n": rng.integers(0, 5, 7), "rate": rng.integers(0, 9, 7)}),
        "nations": pd.DataFrame({"n": range(4), "region": ["x", "y", "x", "z"]}),
    }


HELD = {"lines": "a", "orders": "a", "customers": "a", "suppliers": "b", "nations": "b"}


@pytest.fixture(scope="module", params=[True, False], ids=["pushdown", "secret"])
def sessions(request: pytest.FixtureRequest) -> Iterator[list[tuple[mpc.Session, dict[str, pd.DataFrame]]]]:
    made = []
    for seed in range(2):
        data = tables(seed)
        held: dict[str, dict[str, pd.DataFrame]] = {"a": {}, "b": {}}
        for name, table in data.items():
            held[HELD[name]][name] = table
        session = mpc.Session.local(held, protocol="plaintext", executor="threads", pushdown=request.param)
        made.append((session, data))
    yield made
    for session, _ in made:
        session.close()


@pytest.mark.parametrize("name", QUERIES)
def test_equal_to_duckdb(sessions: list[tuple[mpc.Session, dict[str, pd.DataFrame]]], name: str) -> None:
    for session, data in sessions:
        with duckdb.connect() as clear:
            for table, rows in data.items():
                clear.register(table, rows)
            found = clear.execute(QUERIES[name])
            names = tuple(column[0] for column in found.description)
            answer = Answer(names, found.fetchall(), (False,) * len(names), order_of(QUERIES[name]))
        assert difference(session.sql(QUERIES[name]).collect(), answer) == ""
