"""SQL that is refused: class, code, message, a hint, and line and column of the SQL; and the plans that SQL makes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ir.show import show
from mpc_engine.errors import MpcError, SchemaError, UnsupportedError

LOANS = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "amount": [100, 250, 80],
        "rate": [0.5, None, 2.0],
        "bad": [True, False, True],
        "since": pd.to_datetime(pd.Series(["2024-01-01", None, "2024-03-01"])),
        "purpose": ["car", None, "house"],
    }
)
SCORES = pd.DataFrame({"id": [3, 1, 9], "score": [700, 640, 800], "amount": [1, 2, 3]})
EVENTS = pd.DataFrame({"id": [1, 1, 3, 3], "kind": ["x", "y", "x", None], "at": [5, 6, None, 8]})


@pytest.fixture(scope="module")
def session() -> Iterator[mpc.Session]:
    tables = {
        "bank": {"loans": LOANS, "same": SCORES, "other": LOANS},
        "bureau": {"scores": SCORES, "same": SCORES, "other": SCORES, "events": EVENTS},
    }
    with mpc.Session.local(tables, protocol="plaintext", executor="threads") as made:
        yield made


def refused(session: mpc.Session, query: str, kind: type[MpcError], code: str, message: str, place: str) -> str:
    with pytest.raises(kind) as caught:
        session.sql(query)
    error = caught.value
    assert (error.code, error.message) == (code, message)
    assert error.where.startswith(__file__), error.where
    assert error.where.endswith(f"{place} of the SQL" if place else "session.sql(query)"), error.where
    return error.hint


@pytest.mark.parametrize(
    ("query", "code", "message", "place", "hint"),
    [
        ("SELECT id\nFORM bank.loans x", "MPC-0122", "cannot read the SQL at 'bank' (line 2, column 6)",
         "line 2, column 6", "DuckDB's syntax"),
        ("SELECT 'abc FROM bank.loans", "MPC-0122", "cannot read the SQL: a text or a bracket is not closed", "", ""),
        ("", "MPC-0122", "expected one SQL query, not 0", "", "SELECT ... FROM ..."),
        ("SELECT id FROM loans; SELECT 1", "MPC-0122", "expected one SQL query, not 2", "", "SELECT ... FROM ..."),
        (f"SELECT {'(' * 2000}1{')' * 2000} AS x FROM loans", "MPC-0122", "the SQL is nested too deeply", "", "CTEs"),
        ("SELECT id FROM loans WHERE " + " OR ".join(["amount = 3"] * 2000), "MPC-0122", "the SQL is nested too deeply",
         "", "IN (...)"),
        ("SELECT id FROM bank.loan", "MPC-0101", "no table 'bank.loan'", "line 1, column 16",
         "did you mean 'bank.loans'?"),
        ("SELECT s.id FROM loans l", "MPC-0101", "no table 's' in FROM", "line 1, column 8", "tables in FROM: l"),
        ("SELECT id,\n  amuont + 1\nFROM loans", "MPC-0102", "no column 'amuont'", "line 2, column 3",
         "did you mean 'amount'?"),
        ("SELECT l.ratee FROM loans l", "MPC-0102", "no column 'l.ratee'", "line 1, column 8", "did you mean 'rate'?"),
        ("SELECT amount FROM loans JOIN scores USING (id)", "MPC-0123",
         "column 'amount' is ambiguous: loans.amount and scores.amount", "line 1, column 8", "put the table's name"),
        ("SELECT id FROM other", "MPC-0123",
         "several owners have a table 'other', with different columns: bank.other, bureau.other", "line 1, column 16",
         "put the owner's name"),
        ("SELECT same.id FROM bank.same JOIN bureau.same USING (id)", "MPC-0123", "FROM has two tables named 'same'",
         "line 1, column 8", "put the owner's name before it: bank.same.id"),
        ("SELECT 1 AS x FROM loans l, scores l", "MPC-0123", "FROM has two tables named 'l'", "line 1, column 29",
         "give one another name"),
        ("SELECT amount, COUNT(*) FROM loans GROUP BY bad", "MPC-0124",
         "column 'amount' is neither in GROUP BY nor in an aggregate", "line 1, column 8", "add it to GROUP BY"),
        ("SELECT id FROM loans WHERE SUM(amount) > 3", "MPC-0124", "the function SUM stands where no aggregate may",
         "line 1, column 28", "HAVING"),
        ("SELECT SUM(MAX(id)) FROM loans", "MPC-0124", "an aggregate inside an aggregate", "line 1, column 8",
         "use a subquery"),
        ("SELECT id FROM loans ORDER BY 2", "MPC-0125", "ORDER BY 2: the select list has 1 columns",
         "line 1, column 31", "a position from 1 to 1"),
        ("SELECT purpose + 1 FROM loans", "MPC-0103", "cannot compute 'add' on a string value", "line 1, column 8", ""),
        ("SELECT id FROM loans WHERE amount = 'car'", "MPC-0103", "cannot compare a int with a string",
         "line 1, column 28", ""),
        ("SELECT id FROM loans WHERE amount", "MPC-0103", "a condition needs a boolean, not int",
         "line 1, column 28", "compare"),
        ("SELECT id FROM loans WHERE amount > DATE '2024-01-01'", "MPC-0103",
         "cannot compare a int with the date 2024-01-01", "line 1, column 28", ""),
        ("SELECT id FROM loans WHERE since > DATE '2024-02-30'", "MPC-0104", "'2024-02-30' is not an ISO date",
         "line 1, column 28", ""),
        ("SELECT id FROM loans WHERE id IN (SELECT id, score FROM scores)", "MPC-0105",
         "IN takes a subquery of one column, not 2", "line 1, column 42", "select one column"),
        ("SELECT DISTINCT id, rate FROM loans", "MPC-0103", "cannot group by the float 'rate'", "", "CASE"),
        ("SELECT COUNT(*) FROM loans GROUP BY rate * 2", "MPC-0103", "cannot group by the float 'rate * 2'",
         "line 1, column 37", "CASE"),
        ("SELECT id FROM loans WHERE amount = NULL", "MPC-0105", "nothing equals NULL", "line 1, column 28", "IS NULL"),
    ],
)  # fmt: skip
def test_mistakes(session: mpc.Session, query: str, code: str, message: str, place: str, hint: str) -> None:
    assert hint in refused(session, query, SchemaError, code, message, place)


@pytest.mark.parametrize(
    ("query", "what", "place"),
    [
        ("DELETE FROM loans", "DELETE", "line 1, column 13"),
        ("SELECT l.id FROM loans l, scores s", "a join without an equality", "line 1, column 27"),
        ("SELECT id FROM loans LIMIT 1 + 1", "LIMIT of other than a whole number", "line 1, column 28"),
        ("SELECT COUNT(DISTINCT bad, id) FROM loans", "the function COUNT of several columns", "line 1, column 8"),
        ("SELECT COUNT(id), SUM(DISTINCT amount) FROM loans",
         "DISTINCT in an aggregate beside aggregates of other values", "line 1, column 19"),
        ("SELECT l.id FROM loans l LEFT JOIN scores s ON l.id < s.id", "LEFT JOIN without an equality",
         "line 1, column 36"),
        ("SELECT l.id FROM loans l LEFT JOIN events e ON l.id = e.id AND l.amount > e.at",
         "a condition over both sides of a LEFT JOIN", "line 1, column 64"),
        ("SELECT id FROM loans WHERE id NOT IN (SELECT at FROM events)",
         "NOT IN of a subquery whose column may be NULL, which is never true beside a NULL,", "line 1, column 28"),
        ("SELECT (SELECT score FROM scores) AS m FROM loans",
         "a subquery in an expression that may give several rows", "line 1, column 16"),
        ("SELECT (SELECT e.at FROM events e WHERE e.id = l.id) AS m FROM loans l",
         "a subquery in an expression that may give several rows", "line 1, column 16"),
        ("SELECT id FROM loans l WHERE EXISTS (SELECT 1 FROM events e WHERE e.id = l.id AND e.at < l.amount AND "
         "e.at > l.id)", "a second comparison with the outer query that is no equality", "line 1, column 110"),
        ("SELECT id FROM loans l WHERE EXISTS (SELECT 1 FROM events e WHERE e.id = l.id OR e.at = 3)",
         "a condition that relates a subquery to the outer query by other than a comparison", "line 1, column 67"),
        ("SELECT id FROM loans INTERSECT ALL SELECT id FROM scores", "INTERSECT ALL", "line 1, column 8"),
        ("SELECT SUM(id) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM loans",
         "a frame in RANGE", "line 1, column 8"),
        ("SELECT NTILE(3) OVER (ORDER BY id) AS s FROM loans", "the function NTILE OVER", "line 1, column 8"),
        ("SELECT SUM(amount ORDER BY id) FROM loans", "ORDER BY inside an aggregate", "line 1, column 12"),
        ("SELECT reverse(purpose) FROM loans", "the function REVERSE", "line 1, column 8"),
        ("SELECT frobnicate(id) FROM loans", "the function FROBNICATE", "line 1, column 8"),
        ("SELECT id FROM loans WHERE purpose LIKE 'c\\_r'", "LIKE with such a pattern", "line 1, column 28"),
        ("SELECT id FROM loans WHERE amount BETWEEN SYMMETRIC 3 AND 1", "BETWEEN with SYMMETRIC", "line 1, column 28"),
        ("SELECT TRY_CAST(amount AS BIGINT) AS a FROM loans", "TRY_CAST", "line 1, column 17"),
        ("SELECT CAST(rate AS INTEGER) AS r FROM loans", "rounding to a whole number", "line 1, column 13"),
        ("SELECT CAST(amount AS VARCHAR) AS r FROM loans", "CAST of int AS TEXT", "line 1, column 13"),
        ("SELECT DATE '2024-01-01' AS d FROM loans", "a date constant outside a comparison", "line 1, column 13"),
        ("SELECT id FROM loans WHERE id IN (1, NULL)", "NULL in an IN list", "line 1, column 28"),
        ("SELECT amount // rate AS q FROM loans", "// of other than a whole number by a constant", "line 1, column 8"),
        ("SELECT DISTINCT ON (bad) id FROM loans", "DISTINCT ON", "line 1, column 21"),
        ("SELECT bad, COUNT(*) FROM loans GROUP BY ROLLUP (bad)", "ROLLUP", "line 1, column 50"),
        ("SELECT * EXCLUDE (id) FROM loans", "* with EXCLUDE, REPLACE or RENAME", "line 1, column 8"),
        ("SELECT id FROM loans TABLESAMPLE 10%", "TABLE with SAMPLE", "line 1, column 16"),
        ("WITH RECURSIVE t AS (SELECT id FROM loans) SELECT id FROM t", "WITH RECURSIVE", "line 1, column 16"),
        ("(SELECT id FROM loans) LIMIT 1", "a subquery in an expression with LIMIT", "line 1, column 9"),
        ("SELECT id FROM loans LIMIT 10%", "LIMIT with LIMIT OPTIONS", "line 1, column 28"),
        ("SELECT COUNT(*) FROM loans GROUP BY 'x'", "GROUP BY of a constant", "line 1, column 37"),
        ("SELECT kind FROM events NATURAL JOIN (SELECT score AS s FROM scores) t",
         "a NATURAL JOIN without a common column", "line 1, column 46"),
        ("SELECT id FROM loans POSITIONAL JOIN scores", "POSITIONAL JOIN", "line 1, column 38"),
        ("SELECT 1 AS one", "SELECT without FROM", "line 1, column 8"),
    ],
)  # fmt: skip
def test_what_is_not_supported(session: mpc.Session, query: str, what: str, place: str) -> None:
    message = f"SQL: {what} is not supported"
    assert refused(session, query, UnsupportedError, "MPC-0330", message, place)


def test_joins_of_keys_that_repeat_on_both_sides(session: mpc.Session) -> None:
    message = "SQL: in a JOIN b neither id nor id is known to be unique: how many rows match is a secret"
    query = "SELECT a.at FROM events a JOIN events b ON a.id = b.id"
    assert "GROUP BY" in refused(session, query, UnsupportedError, "MPC-0332", message, "line 1, column 32")


def test_null_is_a_group_of_its_own(session: mpc.Session) -> None:
    found = session.sql("SELECT since, COUNT(*) AS n FROM loans GROUP BY since ORDER BY since").collect()
    assert found["n"].tolist() == [1, 1, 1]
    assert found["since"].isna().tolist() == [False, False, True]


def test_the_plan_is_that_of_the_frame_api(session: mpc.Session) -> None:
    loans = session.table("bank.loans")
    frame = loans[(loans.amount > 90) & loans.bad].assign(twice=lambda t: t.amount * 2)[["id", "twice"]]
    query = session.sql("SELECT id, amount * 2 AS twice FROM bank.loans WHERE amount > 90 AND bad")
    assert str(query.explain()) == str(frame.explain())


def test_conditions_filter_their_table_before_the_join(session: mpc.Session) -> None:
    query = session.sql(
        "SELECT l.id FROM loans l, scores s WHERE l.id = s.id AND s.score > 650 AND l.amount < s.amount"
    )
    plan = show(query._rel)
    assert plan.index("filter (l.amount < s.amount)") < plan.index("join on l.id = s.id")
    assert plan.index("join on l.id = s.id") < plan.index("filter (s.score > 650)")
