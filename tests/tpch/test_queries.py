"""All 22 queries of TPC-H from SQL as the specification has it, equal to DuckDB."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mpc_engine.cli.clear import Clear, difference
from mpc_engine.cli.tpch import PLACEMENTS, Placement, query_text
from tests.tpch.conftest import Open

NUMBERS = range(1, 23)
SMALL = 0.01


def check(open_session: Open, clear: Callable[[float], Clear], number: int, *where: object) -> None:
    scale, placement, protocol = where
    session = open_session(scale, placement, protocol)  # type: ignore[arg-type]
    found = session.sql(query_text(number)).collect()
    assert difference(found, clear(scale).answer(query_text(number))) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("number", NUMBERS)
def test_in_the_clear(open_session: Open, clear: Callable[[float], Clear], number: int) -> None:
    check(open_session, clear, number, SMALL, "secret", "plaintext")


@pytest.mark.parametrize("placement", ["owners", "rows"])
@pytest.mark.parametrize("number", [3, 13, 16, 22])
def test_in_the_clear_elsewhere(
    open_session: Open, clear: Callable[[float], Clear], number: int, placement: Placement
) -> None:
    check(open_session, clear, number, SMALL, placement, "plaintext")


@pytest.mark.parametrize("number", [1, 4, 6])
def test_on_shares(open_session: Open, clear: Callable[[float], Clear], number: int) -> None:
    check(open_session, clear, number, SMALL, "secret", "aby3")


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("number", NUMBERS)
def test_on_shares_at_a_hundredth(
    open_session: Open, clear: Callable[[float], Clear], number: int, placement: Placement
) -> None:
    check(open_session, clear, number, 0.01, placement, "aby3")
