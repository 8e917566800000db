"""The comparison with DuckDB notices what is wrong."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from mpc_engine.cli.clear import BOUND, Answer, Clear, difference

ANSWER = Answer(
    ("k", "total", "mean", "day"),
    [
        ("x", Decimal("2.50"), 1.25, date(1995, 3, 1)),
        ("y", Decimal("1.00"), None, date(1995, 3, 2)),
        ("z", Decimal("1.00"), 0.5, None),
    ],
    (False, False, True, False),
    ("total",),
)


def frame(**changes: list[object]) -> pd.DataFrame:
    columns = {
        "k": ["x", "y", "z"],
        "total": [Decimal("2.5"), Decimal("1.0"), Decimal("1.0")],
        "mean": [1.25, None, 0.5],
        "day": [pd.Timestamp(1995, 3, 1), pd.Timestamp(1995, 3, 2), pd.NaT],
    }
    return pd.DataFrame(columns | changes)


def test_equal() -> None:
    assert difference(frame(), ANSWER) == ""


def test_rows_that_tie_may_come_in_any_order() -> None:
    assert difference(frame().iloc[[0, 2, 1]], ANSWER) == ""


def test_means_within_the_bound() -> None:
    assert difference(frame(mean=[1.25 + BOUND / 2, None, 0.5 - BOUND / 2]), ANSWER) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": [1.25 + 2 * BOUND, None, 0.5]}, "row 0, mean"),
        ({"mean": [1.25, 0.0, 0.5]}, "row 1, mean"),
        ({"total": [Decimal("2.51"), Decimal("1.0"), Decimal("1.0")]}, "in the order of the query, row 0, total"),
        ({"day": [pd.Timestamp(1995, 3, 1), pd.NaT, pd.NaT]}, "row 1, day"),
        ({"k": ["x", "y", "y"]}, "row 2, k"),
    ],
)
def test_wrong_cells(changes: dict[str, list[object]], said: str) -> None:
    assert difference(frame(**changes), ANSWER).startswith(said)


def test_wrong_order() -> None:
    assert difference(frame().iloc[[1, 0, 2]], ANSWER).startswith("in the order of the query, row 0, total")


def test_wrong_rows_and_columns() -> None:
    assert difference(frame().head(2), ANSWER) == "2 rows are not 3"
    assert difference(frame()[["k", "total"]], ANSWER).startswith("columns")


def test_answer_knows_averages_and_order(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}).to_parquet(tmp_path / "t.parquet")
    clear = Clear({"t": tmp_path / "t.parquet"})
    found = clear.answer("SELECT a, AVG(b) AS m FROM t GROUP BY a ORDER BY m DESC")
    clear.close()
    assert found == Answer(("a", "m"), [(2, 1.5), (1, 0.5)], (False, True), ("m",))
