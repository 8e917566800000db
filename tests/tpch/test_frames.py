"""Queries of TPC-H in pandas' way, equal to DuckDB's answers to the SQL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from mpc_engine.cli.clear import Answer, Clear, difference
from mpc_engine.cli.tpch import PLACEMENTS, Placement, query_text
from tests.tpch.conftest import Open

NUMBERS = (1, 3, 4, 5, 6, 12, 14, 18)
SMALL = 0.01


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "tpch.py"
    spec = importlib.util.spec_from_file_location("example_tpch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flat(found: pd.DataFrame) -> pd.DataFrame:
    """Group keys as columns, as SQL has them."""
    return found.reset_index() if found.index.names != [None] else found


def renamed(found: pd.DataFrame, answer: Answer) -> pd.DataFrame:
    """The columns in SQL's order, under the names that SQL gives them: `sum(l_quantity)` in query 18."""
    names = {"sum(l_quantity)": "quantity"}
    chosen = found[[names.get(name, name) for name in answer.names]]
    return chosen.set_axis(list(answer.names), axis=1)


def check(
    example: ModuleType, open_session: Open, clear: Callable[[float], Clear], number: int, *where: object
) -> None:
    scale, placement, protocol = where
    tables = example.tables_of(open_session(scale, placement, protocol))  # type: ignore[arg-type]
    answer = clear(scale).answer(query_text(number))  # type: ignore[arg-type]
    found = renamed(flat(example.QUERIES[number](tables).collect()), answer)
    assert difference(found, answer) == ""


@pytest.mark.parametrize("number", NUMBERS)
def test_in_the_clear(example: ModuleType, open_session: Open, clear: Callable[[float], Clear], number: int) -> None:
    check(example, open_session, clear, number, SMALL, "secret", "plaintext")


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("number", NUMBERS)
def test_on_shares_at_a_hundredth(
    example: ModuleType, open_session: Open, clear: Callable[[float], Clear], number: int, placement: Placement
) -> None:
    check(example, open_session, clear, number, 0.01, placement, "aby3")
