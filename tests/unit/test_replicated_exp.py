"""The exponential on replicated shares, and what it and its relatives cost: declared errors, declared bytes."""

from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import elementary, exponential
from mpc_engine.runtime.replicated.approx import FRACTION
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.exponential import HIGHEST, exp, exp_cost
from tests.parties import Run, join, run, split

ONE = 1 << FRACTION
CASES = 100_000


def in_secret(x: np.ndarray, magnitude: int) -> Run:
    xs = split(x, np.random.default_rng(1))
    return run(lambda p: exp(p, xs[p.rank], magnitude=magnitude))


def check(x: np.ndarray, magnitude: int = 26) -> None:
    done = in_secret(x, magnitude)
    truth = np.exp(x / ONE)
    error = np.abs(join(done.results) / ONE - truth)
    assert (error <= 2.0**-FRACTION + 2.0**-20 * truth).all(), (x[error.argmax()] / ONE, error.max())
    rounds, sent = exp_cost(x.size, magnitude=magnitude)
    assert done.cost[1] == sent
    assert rounds - 3 <= done.cost[0] <= rounds


def test_over_the_whole_range() -> None:
    rng = np.random.default_rng(2)
    x = (rng.uniform(-14, HIGHEST, CASES) * ONE).astype(np.int64)
    whole = np.arange(-14, HIGHEST + 1) * ONE
    powers = np.round(np.arange(-19, 26) * np.log(2) * ONE).astype(np.int64)  # where the whole part of y changes
    edges = np.concatenate(
        [whole - 1, whole, powers - 1, powers, powers + 1, [-13 * ONE + d for d in range(-3000, 3000)]]
    )
    x[: len(edges)] = edges
    check(np.minimum(x, HIGHEST * ONE))


@pytest.mark.parametrize("magnitude", [5, 10, 26])
def test_very_small_arguments_give_nothing(magnitude: int) -> None:
    bottom = -(1 << (magnitude + FRACTION)) + 1
    x = np.random.default_rng(3).integers(bottom, -13 * ONE, 5000)
    x[:3] = bottom, bottom + 1, -13 * ONE
    check(x, magnitude)


def test_shapes_and_no_rows() -> None:
    x = np.arange(-6, 6).reshape(3, 4) * ONE
    found = join(in_secret(x, 26).results)
    np.testing.assert_allclose(found / ONE, np.exp(x / ONE), rtol=2.0**-20, atol=2.0**-18)
    assert join(in_secret(x[:0], 26).results).shape == (0, 4)


def test_the_polynomial_is_as_good_as_it_says() -> None:
    f = np.linspace(0, 1.033, 10_001)
    found = np.polynomial.polynomial.polyval(f, exponential._POWER) / 2**exponential._GUARD
    assert np.abs(found / 2**f - 1).max() < 1.1e-7


@pytest.mark.parametrize(
    ("function", "declared", "products"),
    [(elementary.rsqrt, elementary.rsqrt_cost, 11), (elementary.log, elementary.log_cost, 4)],
)
@pytest.mark.parametrize(("low", "high"), [(-8, 18), (-18, 18), (-2, 4), (0, 26), (-10, 2)])
def test_costs_of_the_others(function: Any, declared: Any, products: int, low: int, high: int) -> None:
    x = np.random.default_rng(4).integers(1 << (low + FRACTION), 1 << (high + FRACTION), 700)
    xs = split(x, np.random.default_rng(5))
    done = run(lambda p: function(p, xs[p.rank], low=low, high=high))
    rounds, sent = declared(700, low=low, high=high)
    assert done.cost[1] == sent
    assert rounds - products <= done.cost[0] <= rounds


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    with pytest.raises(ValueError, match="magnitude must be in 5"):
        exp(party, np.ones((1, 2), np.uint64), magnitude=4)
