"""Every operation of the replicated protocol, 1e5 random cases with ring edges: what numpy gives, at its cost."""

import numpy as np
import pytest

from tests.columns import draw
from tests.operations import OPERATIONS


@pytest.mark.parametrize("cases", [100_000, pytest.param(1 << 19, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_like_numpy_at_the_declared_cost(name: str, cases: int) -> None:
    operation, rng = OPERATIONS[name], np.random.default_rng(cases)
    values = draw(operation.columns, "random", cases, rng)
    done = operation.run(values, rng)
    operation.check(done, values)
    operation.check_cost(done, cases)


@pytest.mark.parametrize("kind", ["random", "extreme"])
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_few_rows(name: str, kind: str) -> None:
    """None, one, and the ends of words of 64 rows; bytes are exact even where comparisons are opened."""
    operation, rng = OPERATIONS[name], np.random.default_rng(7)
    for rows in (0, 1, 2, 63, 64, 65):
        values = draw(operation.columns, kind, rows, rng)
        done = operation.run(values, rng)
        operation.check(done, values)
        operation.check_cost(done, rows)
        assert done.cost[1] == operation.cost(rows).bytes_sent


def test_rounds_of_the_first_row_are_within_what_is_declared() -> None:
    """A sample of 1,024 rows is sorted in few steps, since enough comparisons may be spared."""
    operation, rng = OPERATIONS["top_k first"], np.random.default_rng(8)
    values = draw(operation.columns, "random", 100_000, rng)
    rounds = [operation.run(values, rng).cost[0] for _ in range(3)]
    assert np.median(rounds) == pytest.approx(operation.cost(100_000).rounds, rel=0.5)
