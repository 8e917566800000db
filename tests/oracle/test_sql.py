"""SQL over shares against DuckDB on the same rows: the same names, types of gaps, and values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc_engine as mpc
from tests.conftest import SessionFor
from tests.tables import TABLES, nullable_integers

GERMAN = Path(__file__).resolve().parents[2] / "examples" / "data" / "german_credit.csv"
TOLERANCE = 2.0**-16  # numeric.ratio; sums and products of multiples of 1/8 are exact

LOCAL = [
    "SELECT id, i + 1, x * 2.5 AS y FROM a.plain WHERE x > 0",
    "SELECT * FROM a.nulls",
    "SELECT t.*, t.i - 1 AS less FROM a.plain AS t WHERE t.flag",
    "SELECT ID, plain.I, a.plain.x FROM A.Plain",
    "SELECT id FROM a.nulls WHERE NOT (x > 1)",
    "SELECT id FROM a.nulls WHERE NOT (x <> 0.5 AND m = 2)",
    "SELECT id FROM a.nulls WHERE x > 0 OR m >= 1 OR s = 'red'",
    "SELECT id FROM a.nulls WHERE NOT (x > 0 OR y < 0) AND s IS NOT NULL",
    "SELECT id FROM a.nulls WHERE s IN ('red', 'blue') AND m NOT IN (1, 2)",
    "SELECT id FROM a.nulls WHERE NOT (m IN (i, 3)) OR x NOT BETWEEN -2 AND m",
    "SELECT id FROM a.nulls WHERE (x > y) IS NULL OR (m = 1) IS NOT TRUE",
    "SELECT id FROM a.nulls WHERE m IS DISTINCT FROM 2 AND x IS NOT DISTINCT FROM y",
    "SELECT id, x > 1 AS more, m IN (1, 3) AS some, NOT (x > 1 AND m = 1) AS other FROM a.nulls",
    "SELECT id FROM a.nulls WHERE d >= DATE '2021-06-15' AND d < DATE '2021-06-15' + INTERVAL '3' YEAR",
    "SELECT id FROM a.nulls WHERE d BETWEEN '2020-01-01' AND '2021-06-15' OR d = TIMESTAMP '2024-02-29 00:00:00'",
    "SELECT id, EXTRACT(year FROM d) AS y, month(d) AS m, day(d) AS n FROM a.nulls",
    "SELECT id FROM a.nulls WHERE s LIKE 'b%' OR s LIKE '%e%' AND s NOT LIKE '%d' OR starts_with(s, 're')",
    "SELECT id, CASE WHEN x > 1 THEN 'high' WHEN x > 0 THEN 'low' ELSE s END AS c FROM a.nulls",
    "SELECT id, CASE m WHEN 1 THEN i WHEN 2 THEN -i END AS c, if(m > 1, 1, 2) AS e FROM a.nulls",
    "SELECT id, COALESCE(m, i), COALESCE(NULL, x, y, 0.5) AS c, NULLIF(i, 3) AS n FROM a.nulls",
    "SELECT i // 3, i % 3, i // -2 AS q, i % -2 AS r, i / 4, -i, abs(i) FROM a.plain",
    "SELECT CAST(flag AS INTEGER) AS f, CAST(i AS DOUBLE) AS g, CAST(TRUNC(y) AS BIGINT) AS h FROM a.plain",
    "SELECT CAST(m AS BOOLEAN) AS b, CAST(x > 0 AS INTEGER) AS c FROM a.nulls",
    "SELECT COUNT(*), COUNT(x), SUM(x), AVG(x), MIN(m), MAX(y) FROM a.nulls",
    "SELECT COUNT(*), SUM(i), AVG(i), MIN(i) FROM a.none",
    "SELECT SUM(i) FROM a.plain WHERE i > 100",
    "SELECT s, COUNT(*) AS n, SUM(x) AS t, SUM(m) AS u FROM a.nulls GROUP BY s",
    "SELECT m, s, MAX(x) FROM a.nulls GROUP BY m, s",
    "SELECT m FROM a.nulls GROUP BY m",
    "SELECT i % 2 AS odd, SUM(x * 2) + COUNT(*) AS v FROM a.plain GROUP BY odd HAVING COUNT(*) > 3",
    "SELECT d, COUNT(*) FROM a.nulls WHERE d IS NOT NULL GROUP BY 1",
    "SELECT s, SUM(i) FILTER (WHERE i > 0) AS t, COUNT(*) FILTER (WHERE x IS NULL) AS n FROM a.nulls GROUP BY ALL",
    "SELECT SUM(CASE WHEN flag THEN i ELSE 0 END) * 1.0 / COUNT(*) AS share FROM a.plain HAVING COUNT(*) > 1",
    "SELECT SUM(i) AS total, s FROM a.plain GROUP BY s HAVING total > 3 AND COUNT(*) > 0",
    "SELECT id FROM a.plain WHERE x * 2 + i > 3 AND -i < 2.5 AND 3 > i",
    "SELECT flag AND i > 0 AS f, flag OR x > 0 AS g FROM a.nulls",
    "SELECT COUNT(*) FROM (SELECT DISTINCT s FROM a.plain)",
    "SELECT MIN(d), MAX(d) FROM a.nulls WHERE x BETWEEN 0.06 - 0.01 - 5 AND 0.06 + 0.01",
    "SELECT id FROM a.plain WHERE i IN (SELECT m FROM a.nulls WHERE x < 0)",
    "SELECT DISTINCT s, flag FROM a.nulls",
    "SELECT COUNT(DISTINCT m) AS n, SUM(DISTINCT m), MAX(m) FROM a.nulls",
    "SELECT flag, COUNT(DISTINCT s) AS n FROM a.nulls GROUP BY flag HAVING COUNT(DISTINCT s) > 1",
    "SELECT s, COUNT(DISTINCT i % 2) AS n FROM a.nulls GROUP BY s",
    "SELECT DISTINCT m + 1 AS k FROM a.nulls ORDER BY k DESC",
    "SELECT id, x FROM a.nulls ORDER BY x DESC, id",
    "SELECT id FROM a.plain ORDER BY i, 1 DESC LIMIT 4",
    "SELECT s, SUM(i) FROM a.plain GROUP BY s ORDER BY SUM(i) DESC, s LIMIT 2",
    "WITH t AS (SELECT s, i FROM a.plain WHERE i > 0), u (k, n) AS (SELECT s, COUNT(*) FROM t GROUP BY s) "
    "SELECT k, n FROM u WHERE n > 1",
    "SELECT q.total * 2 AS twice FROM (SELECT SUM(i) AS total FROM a.plain) AS q",
    "SELECT id FROM (SELECT id, i FROM a.plain ORDER BY i, id LIMIT 3) WHERE i < 100",
    "SELECT x.id, y.bal FROM b.plain AS x JOIN b.plain AS y ON x.id = y.id WHERE y.bal > 0",
]
JOINT = [
    "SELECT p.id, q.id, p.x, q.x AS w FROM a.plain p JOIN b.plain q ON p.id = q.id",
    "SELECT * FROM a.plain JOIN b.plain USING (id)",
    "SELECT p.i + q.bal AS v FROM a.nulls p, b.nulls q WHERE p.id = q.id AND NOT (p.x > q.x)",
    "SELECT p.id FROM a.nulls p JOIN b.nulls q ON p.id = q.id AND p.i < q.bal WHERE q.t = 'yes' OR p.m IS NULL",
    "SELECT p.id FROM a.nulls p JOIN b.nulls q ON q.id = p.id WHERE NOT (p.x > q.x AND p.m IN (1, 2)) OR p.m <> q.n",
    "SELECT p.s, COUNT(*) AS n, SUM(q.x) AS t, AVG(q.bal) AS a FROM a.nulls p JOIN b.nulls q USING (id) GROUP BY p.s",
    "SELECT t, SUM(i * n) AS v, MIN(bal) FROM a.plain JOIN b.nulls USING (id) GROUP BY t HAVING COUNT(*) > 1",
    "SELECT SUM(p.x), COUNT(q.w), MAX(q.n) FROM a.plain p JOIN b.far q ON p.id = q.id",
    "SELECT q.t, SUM(CASE WHEN p.x > q.x THEN q.bal ELSE 0 END) / COUNT(*) AS m FROM a.plain p JOIN b.plain q "
    "ON p.id = q.id GROUP BY q.t",
    "SELECT p.id, COALESCE(q.x, p.x, 0) AS v, CASE WHEN q.bal > p.i THEN 'more' END AS c FROM a.nulls p "
    "JOIN b.nulls q ON p.id = q.id ORDER BY v DESC, p.id LIMIT 5",
    "SELECT p.id, c.score FROM a.plain p, b.plain q, c.plain c "
    "WHERE p.id = q.id AND c.person = q.id AND c.score > q.bal",
    "SELECT id FROM (SELECT p.id, p.x > q.x AS more FROM a.nulls p JOIN b.nulls q ON p.id = q.id) AS t WHERE NOT more",
    "SELECT p.id FROM a.plain p JOIN b.plain q ON p.id + 1 = q.id",
    "SELECT p.id, COALESCE(p.x > q.x, FALSE) AS f, CASE WHEN q.x > 0 THEN p.flag END AS g "
    "FROM a.nulls p JOIN b.nulls q ON p.id = q.id WHERE NOT COALESCE(p.m = 1, q.x > 0, p.flag)",
    "SELECT p.id FROM c.plain c, a.plain p JOIN b.plain q ON p.id = q.id WHERE c.person = p.id",
    "SELECT p.id FROM a.plain p JOIN b.plain q ON p.id + 1 = q.id + 1 AND p.i = q.bal",
    "SELECT x.id, p.i FROM b.plain x JOIN b.nulls y ON x.id = y.id JOIN a.plain p ON p.id = x.id AND p.i < y.bal",
    "SELECT sub.m, SUM(sub.v) AS t FROM (SELECT p.m, q.bal * 2 AS v FROM a.nulls p JOIN b.plain q ON p.id = q.id) sub "
    "GROUP BY sub.m ORDER BY t DESC LIMIT 3",
    "SELECT p.s, SUM(q.bal) / NULLIF(COUNT(q.x), 0) AS r FROM a.nulls p JOIN b.nulls q ON p.id = q.id GROUP BY p.s",
    "SELECT SUM(v) FROM (SELECT p.s, SUM(q.bal) AS v FROM a.plain p JOIN b.plain q USING (id) GROUP BY p.s "
    "HAVING SUM(q.bal) > 0) z",
    "SELECT p.i, q.t FROM a.plain p JOIN b.plain q USING (id) WHERE TRUE AND 1 = 1 ORDER BY q.bal * 2, 1 LIMIT 2",
    "SELECT 1 AS one, COUNT(*) AS n, SUM(p.x) FILTER (WHERE q.t = 'yes') AS f FROM a.nulls p JOIN b.nulls q USING (id)",
    "SELECT p.s, COUNT(DISTINCT q.t) AS n FROM a.nulls p JOIN b.nulls q USING (id) GROUP BY p.s",
    "SELECT id, x FROM a.nulls WHERE id IN (SELECT id FROM b.nulls WHERE w > 0) AND NOT flag",
    "SELECT p.s, SUM(q.bal) AS v FROM a.plain p JOIN b.plain q USING (id) WHERE q.id IN (SELECT person FROM c.plain) "
    "GROUP BY p.s",
    "SELECT * FROM a.plain WHERE id IN (SELECT DISTINCT id FROM b.plain GROUP BY id HAVING SUM(bal) > 0)",
    "SELECT DISTINCT q.t FROM a.plain p JOIN b.nulls q USING (id)",
    "WITH rich AS (SELECT id, bal FROM b.plain WHERE bal > 0) SELECT p.flag, SUM(rich.bal) AS total FROM a.plain AS p "
    "JOIN rich ON rich.id = p.id GROUP BY p.flag ORDER BY total DESC",
    "SELECT s, SUM(bal) AS v FROM (SELECT p.s, q.bal FROM a.plain p JOIN b.plain q ON p.id = q.id WHERE q.bal > p.i) "
    "GROUP BY s",
]
JOINS = [
    "SELECT p.id, q.bal FROM a.plain p LEFT JOIN b.plain q ON p.id = q.id",
    "SELECT p.id, q.bal FROM a.plain p LEFT JOIN b.plain q ON p.id = q.id AND q.bal > 0 AND p.i > 0",
    "SELECT p.id, q.bal, q.t FROM a.plain p LEFT JOIN b.nulls q ON p.id = q.id AND q.bal > p.i WHERE q.t "
    "IS NULL OR p.flag",
    "SELECT p.id, q.id AS other FROM a.plain p RIGHT JOIN b.plain q ON p.id = q.id",
    "SELECT p.id, q.id AS other, p.x, q.x AS y FROM a.plain p FULL JOIN b.plain q ON p.id = q.id",
    "SELECT * FROM a.plain p LEFT JOIN b.plain q USING (id)",
    "SELECT * FROM a.plain p RIGHT JOIN b.plain q USING (id)",
    "SELECT p.id FROM a.plain p SEMI JOIN b.plain q ON p.id = q.id AND q.bal > 0",
    "SELECT p.id FROM a.plain p ANTI JOIN b.plain q ON p.id = q.id AND p.flag",
    "SELECT p.id FROM a.plain p ANTI JOIN b.plain q USING (id)",
    "SELECT p.m, q.n FROM a.nulls p JOIN b.plain q ON p.m = q.id",
    "SELECT p.s, COUNT(q.id) AS n, COUNT(*) AS k, SUM(q.bal) AS b FROM a.nulls p LEFT JOIN b.nulls q ON "
    "p.id = q.id GROUP BY p.s",
    "SELECT COUNT(*) AS n FROM a.plain p JOIN b.plain q ON p.id = q.id LEFT JOIN c.plain c ON c.person = "
    "q.id AND c.score > q.bal",
    "SELECT p.id FROM a.plain p, b.plain q LEFT JOIN c.plain c ON c.person = q.id WHERE p.id = q.id AND "
    "(c.score > 0 OR c.score IS NULL)",
    "SELECT id, x FROM a.nulls ORDER BY x NULLS FIRST, id LIMIT 4",
    "SELECT p.id, 0.5 * x AS h, CAST(i AS DECIMAL(9, 2)) * 1.25 AS d, i + 0.1 AS e FROM a.plain p",
    "SELECT SUM(p.i * 0.25) AS d FROM a.plain p JOIN b.plain q USING (id) WHERE q.bal + 0.5 > -3.25",
    "SELECT id FROM a.plain WHERE (i > 2 AND flag AND s = 'red') OR (i > 2 AND s = 'blue')",
    "SELECT * FROM a.plain p FULL JOIN b.plain q USING (id)",
    "SELECT id, p.id AS a, q.id AS b FROM a.plain p RIGHT JOIN b.plain q USING (id) JOIN c.plain c ON c.person = id",
]
SUBQUERIES = [
    "SELECT id FROM a.plain WHERE EXISTS (SELECT 1 FROM b.plain WHERE b.plain.id = a.plain.id AND bal > 0)",
    "SELECT id FROM a.plain p WHERE NOT EXISTS (SELECT * FROM b.plain q WHERE q.id = p.id AND q.n > 3)",
    "SELECT id FROM a.plain p WHERE EXISTS (SELECT * FROM b.plain q WHERE q.n = p.i)",
    "SELECT id FROM a.plain p WHERE NOT EXISTS (SELECT * FROM b.plain q WHERE q.n = p.i AND q.bal <> p.id)",
    "SELECT id FROM a.nulls p WHERE EXISTS (SELECT * FROM b.nulls q WHERE q.n = p.m AND q.x <> p.x)",
    "SELECT id FROM a.nulls p WHERE NOT EXISTS (SELECT * FROM b.nulls q WHERE q.n = p.m AND q.x < p.x)",
    "SELECT id FROM a.nulls p WHERE NOT EXISTS (SELECT * FROM b.nulls q WHERE q.n = p.m AND q.x >= p.x) OR p.flag",
    "SELECT id FROM a.plain p WHERE EXISTS (SELECT * FROM b.plain q WHERE q.bal > p.id)",
    "SELECT id FROM a.plain WHERE EXISTS (SELECT * FROM b.none)",
    "SELECT id FROM a.plain WHERE NOT EXISTS (SELECT * FROM b.none) AND i > 0",
    "SELECT id FROM a.plain WHERE i IN (SELECT n FROM b.plain WHERE bal < 0)",
    "SELECT id FROM a.plain WHERE i NOT IN (SELECT n FROM b.plain WHERE bal < 0)",
    "SELECT id FROM a.nulls WHERE m NOT IN (SELECT n FROM b.plain WHERE bal < 0)",
    "SELECT id FROM a.nulls WHERE m NOT IN (SELECT n FROM b.none)",
    "SELECT id, m IN (SELECT n FROM b.plain) AS f FROM a.nulls",
    "SELECT id, m NOT IN (SELECT n FROM b.none) AS f, EXISTS (SELECT 1 FROM b.plain q WHERE q.id = p.id) "
    "AS e FROM a.nulls p",
    "SELECT id FROM a.nulls p WHERE flag OR i IN (SELECT n FROM b.plain q WHERE q.id = p.id)",
    "SELECT id FROM a.plain WHERE i > (SELECT AVG(bal) FROM b.plain)",
    "SELECT id, i - (SELECT MIN(bal) FROM b.plain) AS d FROM a.plain",
    "SELECT id FROM a.plain p WHERE i > (SELECT AVG(bal) FROM b.plain q WHERE q.n = p.i)",
    "SELECT id, (SELECT SUM(bal) FROM b.plain q WHERE q.n = p.i) AS v FROM a.plain p",
    "SELECT id, (SELECT COUNT(*) FROM b.plain q WHERE q.n = p.i) AS v FROM a.plain p",
    "SELECT id FROM a.plain p WHERE (SELECT COUNT(*) FROM b.plain q WHERE q.n = p.i) = 0",
    "SELECT id, (SELECT q.bal FROM b.plain q WHERE q.id = p.id) AS v FROM a.plain p",
    "SELECT s, SUM(i) AS t FROM a.plain GROUP BY s HAVING SUM(i) > (SELECT AVG(n) FROM b.plain) ORDER BY t",
    "SELECT s, SUM(i) * 2 > (SELECT SUM(n) FROM b.plain) AS f FROM a.plain GROUP BY s",
    "SELECT i, COUNT(*) AS c FROM a.plain p GROUP BY i HAVING EXISTS (SELECT 1 FROM b.plain q WHERE q.n = p.i)",
    "SELECT SUM(CASE WHEN EXISTS (SELECT 1 FROM b.plain q WHERE q.id = p.id) THEN 1 ELSE 0 END) AS n FROM a.plain p",
    "WITH t AS (SELECT n, SUM(bal) AS v FROM b.plain GROUP BY n) SELECT p.id, t.v FROM a.plain p JOIN t "
    "ON p.i = t.n WHERE t.v = (SELECT MAX(v) FROM t)",
    "SELECT p.id FROM a.plain p, (SELECT MAX(bal) AS top FROM b.plain) AS m WHERE p.i < m.top",
    "SELECT p.id, m.top FROM a.plain p CROSS JOIN (SELECT MAX(bal) AS top FROM b.plain) AS m",
    "SELECT q.id, (SELECT MAX(p.i) FROM a.plain p WHERE p.id = q.id) AS v FROM b.plain q WHERE q.id IN "
    "(SELECT person FROM c.plain WHERE score > (SELECT MIN(bal) FROM b.nulls))",
]
SETS = [
    "SELECT id FROM a.plain UNION ALL SELECT id FROM b.plain",
    "SELECT i, flag FROM a.plain UNION SELECT n, TRUE AS f FROM b.plain",
    "SELECT id FROM a.plain INTERSECT SELECT id FROM b.plain",
    "SELECT i AS k FROM a.plain EXCEPT SELECT n FROM b.plain ORDER BY k LIMIT 3",
    "SELECT m FROM a.nulls INTERSECT SELECT m FROM a.nulls WHERE i > 0",
    "SELECT id, s FROM a.nulls UNION ALL SELECT id, t FROM b.nulls ORDER BY id DESC, s LIMIT 5",
    "SELECT t.s, COUNT(*) AS n FROM (SELECT s FROM a.nulls UNION ALL SELECT t FROM b.nulls) AS t GROUP BY t.s",
]
WINDOWS = [
    "SELECT id, (SELECT bal FROM b.plain WHERE n > 100 LIMIT 1) AS v FROM a.plain p",
    "SELECT s, COUNT(DISTINCT i) AS d, SUM(x) AS t, COUNT(*) AS n FROM a.plain GROUP BY s",
    "SELECT p.s, COUNT(DISTINCT q.n) AS d, SUM(q.bal) AS t FROM a.plain p JOIN b.plain q USING (id) GROUP BY p.s",
    "SELECT id, ROW_NUMBER() OVER (ORDER BY i, id) AS r FROM a.plain",
    "SELECT id, RANK() OVER (PARTITION BY s ORDER BY i) AS r, DENSE_RANK() OVER (PARTITION BY s ORDER BY "
    "i) AS d FROM a.plain",
    "SELECT id, SUM(i) OVER (PARTITION BY flag ORDER BY id) AS r, SUM(i) OVER (PARTITION BY flag) AS t FROM a.plain",
    "SELECT id, SUM(m) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS r, COUNT(m) OVER "
    "(ORDER BY id) AS c FROM a.nulls",
    "SELECT id, LAG(i) OVER (ORDER BY id) AS r, LEAD(i, 2, 0) OVER (ORDER BY id) AS d FROM a.plain",
    "SELECT id, AVG(i) OVER (PARTITION BY flag ORDER BY id ROWS 2 PRECEDING) AS r, MIN(i) OVER w AS a, "
    "MAX(i) OVER w AS b FROM a.plain WINDOW w AS (PARTITION BY flag ORDER BY id)",
    "SELECT id FROM a.plain QUALIFY ROW_NUMBER() OVER (PARTITION BY s ORDER BY id) = 1",
    "SELECT id, RANK() OVER (ORDER BY s NULLS FIRST, id) AS r FROM a.nulls",
    "SELECT s, SUM(i) AS t, RANK() OVER (ORDER BY SUM(i) DESC) AS r FROM a.plain GROUP BY s",
    "SELECT q.t, SUM(p.i) OVER (PARTITION BY q.t ORDER BY p.id) AS r FROM a.plain p JOIN b.plain q USING (id)",
    "SELECT id FROM a.plain ORDER BY id LIMIT 3 OFFSET 2",
    "SELECT MEDIAN(i) AS m, QUANTILE_CONT(i, 0.25) AS q FROM a.plain",
    "SELECT s, MEDIAN(i) AS m, ANY_VALUE(s) AS v FROM a.plain GROUP BY s",
    "SELECT p.s, MEDIAN(q.bal) AS m FROM a.plain p JOIN b.plain q USING (id) GROUP BY p.s",
]
EXPRESSIONS = [
    "SELECT id, substring(s from 1 for 2), s || 'x', upper(s), lower(s), length(s), left(s, 1) FROM a.nulls",
    "SELECT id, trim(s), replace(s, 'e', 'EE') FROM a.plain",
    "SELECT id FROM a.nulls WHERE s LIKE 'r_d' OR s LIKE '%l%e'",
    "SELECT id FROM a.nulls WHERE s NOT LIKE '%e%n' AND s ILIKE 'G%'",
    "SELECT id, s LIKE '%e_n' AS k FROM a.nulls",
    "SELECT p.id, p.s LIKE '%e%n' AS k, q.t FROM a.nulls p JOIN b.plain q USING (id)",
    "SELECT substring(p.s from 1 for 1) AS k, SUM(q.bal) AS t FROM a.plain p JOIN b.plain q USING (id) "
    "GROUP BY substring(p.s from 1 for 1)",
    "SELECT id, CAST(i AS DECIMAL(9, 2)), round(CAST(i AS DECIMAL(9, 2)) * 0.125, 2) FROM a.plain",
    "SELECT id, i * 0.5, i / 7.0, 1 - 0.25 AS c, 1e1 * i AS f FROM a.plain",
    "SELECT id, i / NULLIF(m, 0) AS q, NULLIF(m, 0) AS n FROM a.nulls",
    "SELECT id, greatest(i, 2), least(i, 0, 3) FROM a.plain",
    "SELECT id, CASE WHEN i > 2 THEN 'a' ELSE 'b' END, if(i > 1, 2, 3), nullif(i, 2) FROM a.plain",
    "SELECT AVG(i), AVG(m) FROM a.nulls",
    "SELECT AVG(i) AS a FROM a.none",
    "SELECT s, AVG(m), AVG(i) FILTER (WHERE flag) FROM a.nulls GROUP BY s",
    "SELECT var_samp(i), var_pop(x), stddev_samp(x), stddev_pop(i), corr(i, x) FROM a.plain",
    "SELECT s, stddev_samp(x) AS a, var_pop(m) AS b, AVG(x) AS c, COUNT(*) AS n FROM a.nulls GROUP BY s",
    "SELECT p.s, stddev_samp(q.bal) AS a, corr(p.i, q.bal) AS b FROM a.plain p JOIN b.plain q USING (id) GROUP BY p.s",
    "SELECT q.t, AVG(p.i) AS a, SUM(CASE WHEN p.i > 0 THEN q.n ELSE 0 END) / SUM(q.n) AS r, 100.0 * "
    "SUM(CASE WHEN p.flag THEN q.n ELSE 0 END) / SUM(q.n) AS h FROM a.plain p JOIN b.plain q USING (id) "
    "GROUP BY q.t",
    "SELECT p.id FROM a.plain p JOIN b.plain q USING (id) WHERE q.bal > (SELECT AVG(i) FROM a.plain)",
    "SELECT id, d + INTERVAL '3' DAY AS a, d - INTERVAL 1 MONTH AS b, EXTRACT(quarter FROM d) AS q FROM a.nulls",
    "SELECT id FROM a.nulls WHERE d + INTERVAL '1' YEAR > DATE '2022-01-01'",
    "SELECT p.id, year(p.d) AS y FROM a.nulls p JOIN b.plain q USING (id) WHERE q.bal > 0",
    "SELECT COUNT(*) FILTER (WHERE i > 1), SUM(CASE WHEN i = 1 THEN x ELSE 0 END) FROM a.plain",
    "SELECT id, i = 1 AND x > 2 AND flag, NOT flag, i BETWEEN 1 AND 2, s <> 'red', i IN (1, 2), i NOT IN "
    "(1, 2), -i, i IS NOT NULL FROM a.plain",
    "SELECT ROW_NUMBER() OVER (ORDER BY id), SUM(i) OVER (), COUNT(*) OVER (), SUM(i) OVER (PARTITION BY "
    "s ORDER BY id DESC), lag(i, 2) OVER (ORDER BY id) FROM a.plain",
    "SELECT SUM(i) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM a.plain",
    "SELECT count(distinct i), median(i), quantile_cont(i, 0.5), any_value(s) IS NULL AS a FROM a.plain",
    "SELECT * FROM a.one NATURAL JOIN a.plain",
]
CREDIT = [
    "SELECT purpose, COUNT(*) AS n, AVG(amount) AS mean, SUM(CASE WHEN bad = 1 THEN amount ELSE 0 END) AS lost "
    "FROM bank.loans JOIN bureau.people USING (id) WHERE age BETWEEN 25 AND 60 GROUP BY purpose "
    "HAVING COUNT(*) >= 10 ORDER BY lost DESC, purpose",
    "SELECT housing, bad, COUNT(*), MAX(amount), MIN(age) FROM bank.loans l, bureau.people p WHERE l.id = p.id "
    "AND (amount > 2000 OR duration <= 12) GROUP BY housing, bad",
]


def rows(frame: pd.DataFrame, *, ordered: bool) -> list[tuple[Any, ...]]:
    """Plain values, None for everything missing; sorted where the query gives no order."""
    found = [tuple(None if pd.isna(v) else v for v in row) for row in frame.astype(object).to_numpy().tolist()]
    return found if ordered else sorted(found, key=lambda row: [(v is None, str(type(v)) * 0, _key(v)) for v in row])


def _key(value: Any) -> Any:
    if value is None:
        return 0.0
    return round(float(value), 3) if isinstance(value, int | float | bool) else str(value)


def agrees(query: str, got: pd.DataFrame, reference: duckdb.DuckDBPyConnection) -> None:
    """Assert DuckDB's names, and its values up to the engine's stated rounding."""
    want = reference.sql(query).df()
    assert list(got.columns) == list(want.columns), query
    outside, inner = "", query
    while outside != inner:
        outside, inner = inner, re.sub(r"\([^()]*\)", "", inner)
    ordered = "ORDER BY" in outside
    found, expected = rows(got, ordered=ordered), rows(want, ordered=ordered)
    assert len(found) == len(expected), (query, got, want)
    for row, other in zip(found, expected, strict=True):
        for value, wanted in zip(row, other, strict=True):
            close = isinstance(wanted, float) and value is not None and abs(value - wanted) <= TOLERANCE
            assert close or value == wanted, (query, got, want)


def clear(tables: dict[str, pd.DataFrame]) -> duckdb.DuckDBPyConnection:
    """DuckDB with the same tables; NaN is a missing value here."""
    made = duckdb.connect()
    for name, frame in tables.items():
        owner, table = name.split(".")
        made.execute(f"CREATE SCHEMA IF NOT EXISTS {owner}")
        made.register("held", pa.Table.from_pandas(nullable_integers(frame), preserve_index=False))
        made.execute(f"CREATE TABLE {owner}.{table} AS SELECT * FROM held")
        made.unregister("held")
    return made


@pytest.fixture(scope="module")
def reference() -> Iterator[duckdb.DuckDBPyConnection]:
    with clear(TABLES) as made:
        yield made


@pytest.mark.parametrize("pushdown", [True, False])
def test_joint_queries_in_the_clear(
    pushdown: bool, session_for: SessionFor, reference: duckdb.DuckDBPyConnection
) -> None:
    session = session_for("plaintext", "threads", pushdown=pushdown)
    chosen = JOINT if pushdown else JOINT[::2]
    for query, got in zip(chosen, mpc.collect(*map(session.sql, chosen)), strict=True):
        agrees(query, got, reference)


@pytest.mark.parametrize("pushdown", [True, False])
@pytest.mark.parametrize(
    "queries",
    [JOINS, SUBQUERIES, SETS, WINDOWS, EXPRESSIONS],
    ids=["joins", "subqueries", "sets", "windows", "expressions"],
)
def test_relational_queries_in_the_clear(
    queries: list[str], pushdown: bool, session_for: SessionFor, reference: duckdb.DuckDBPyConnection
) -> None:
    """With push-down, and with all rows on shares; there two of three, chosen by turns."""
    options = {} if pushdown else {"pushdown": False, "hide_joins": True}
    session = session_for("plaintext", "threads", **options)
    chosen = queries if pushdown else [query for k, query in enumerate(queries) if k % 3]
    for query, got in zip(chosen, mpc.collect(*map(session.sql, chosen)), strict=True):
        agrees(query, got, reference)


def test_queries_of_one_owner(session_for: SessionFor, reference: duckdb.DuckDBPyConnection) -> None:
    session = session_for("plaintext", "threads")
    for query, got in zip(LOCAL, mpc.collect(*map(session.sql, LOCAL)), strict=True):
        agrees(query, got, reference)


def test_queries_on_shares(session_for: SessionFor, reference: duckdb.DuckDBPyConnection) -> None:
    session = session_for("aby3", "threads")
    chosen = [JOINT[k] for k in (2, 4, 5, 8, 9)]
    for query, got in zip(chosen, mpc.collect(*map(session.sql, chosen)), strict=True):
        agrees(query, got, reference)


def literals(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


NUMBERS = st.one_of(
    literals("i", "m", "x", "m + 1", "-x", "i * m", "COALESCE(m, i)", "NULLIF(i, 3)", "CASE WHEN flag THEN m END"),
    literals("0", "1.5", "-2"),
)
SIMPLE = st.one_of(
    st.tuples(NUMBERS, literals("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"), NUMBERS).map(" ".join),
    st.builds("{} {}BETWEEN {} AND {}".format, NUMBERS, literals("", "NOT "), NUMBERS, NUMBERS),
    st.builds("{} {}IN ({}, {})".format, literals("m", "i", "x"), literals("", "NOT "), NUMBERS, NUMBERS),
    st.builds("{} IS {}NULL".format, literals("m", "x", "s"), literals("", "NOT ")),
    literals("flag", "s = 'red'", "s <> 'blue'", "s IN ('green', 'red')", "d > DATE '2021-01-01'", "TRUE"),
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, literals("AND", "OR"), inner),
        st.builds("NOT ({})".format, inner),
        st.builds("({}) IS {}{}".format, inner, literals("", "NOT "), literals("TRUE", "FALSE", "NULL")),
    ),
    max_leaves=6,
)


@given(conditions=st.lists(CONDITIONS, min_size=6, max_size=6))
@settings(max_examples=3)
@pytest.mark.parametrize("pushdown", [True, False])
def test_random_conditions(
    pushdown: bool, session_for: SessionFor, reference: duckdb.DuckDBPyConnection, conditions: list[str]
) -> None:
    """As values, where NULL shows, and as filters, where it counts as false."""
    session = session_for("plaintext", "threads", pushdown=pushdown)
    columns = ", ".join(f"{condition} AS c{k}" for k, condition in enumerate(conditions))
    queries = [f"SELECT id, {columns} FROM a.nulls", *(f"SELECT id FROM a.nulls WHERE {c}" for c in conditions)]
    for query, got in zip(queries, mpc.collect(*map(session.sql, queries)), strict=True):
        agrees(query, got, reference)


def test_credit_data_of_two_owners() -> None:
    """German Credit, split between a bank and a bureau, on shares."""
    data = pd.read_csv(GERMAN, keep_default_na=False)
    loans = pd.DataFrame(
        {
            "id": data["customer_id"],
            "amount": data["credit_amount"],
            "duration": data["duration_in_month"],
            "purpose": data["purpose"],
            "bad": (data["creditability"] == "bad").astype(int),
        }
    )
    people = pd.DataFrame({"id": data["customer_id"], "age": data["age_in_years"], "housing": data["housing"]})
    people = people.sample(frac=1, random_state=7)
    with (
        mpc.Session.local({"bank": {"loans": loans}, "bureau": {"people": people}}, executor="threads") as session,
        clear({"bank.loans": loans, "bureau.people": people}) as reference,
    ):
        for query, got in zip(CREDIT, mpc.collect(*map(session.sql, CREDIT)), strict=True):
            agrees(query, got, reference)
