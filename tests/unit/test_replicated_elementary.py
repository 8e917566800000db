"""Reciprocal, inverse square root and logarithm on replicated shares: declared errors and costs."""

import numpy as np
import pytest

from mpc_engine.runtime.replicated import elementary
from mpc_engine.runtime.replicated.approx import FRACTION
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import join, run, split

ONE = 1 << FRACTION
CASES = 100_000
RANGES = [(-8, 18), (-18, 18), (-2, 4), (0, 26), (-10, 2)]


def numbers(low: int, high: int) -> np.ndarray:
    """Ring elements: log-uniform over the range, its ends, every power of two and its neighbours."""
    rng = np.random.default_rng(8)
    bottom, top = 1 << (low + FRACTION), (1 << (high + FRACTION)) - 1
    out = (np.exp2(rng.uniform(low, high, CASES)) * ONE).astype(np.int64)
    powers = 1 << np.arange(low + FRACTION, high + FRACTION)
    edges = np.concatenate([powers - 1, powers, powers + 1, [bottom, top]])
    out[: len(edges)] = edges
    return np.clip(out, bottom, top)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_leading_bits_are_one_hot(low: int, high: int) -> None:
    x = numbers(low, high)
    x[-1] = 0
    xs = split(x, np.random.default_rng(1))
    low, high = low + FRACTION, high + FRACTION
    done = run(lambda p: elementary.leading_bit(p, xs[p.rank], low=low, high=high))
    want = (x >> np.arange(low, high)[:, None]) == 1
    np.testing.assert_array_equal(join(done.results), want)
    rounds, sent = elementary.leading_bit_cost(CASES, low=low, high=high)
    assert done.cost[1] == sent
    assert rounds - 1 <= done.cost[0] <= rounds


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_reciprocals(low: int, high: int) -> None:
    x = numbers(low, high)
    xs = split(x, np.random.default_rng(2))
    done = run(lambda p: elementary.reciprocal(p, xs[p.rank], low=low, high=high))
    truth = ONE / x
    assert (np.abs(join(done.results) / ONE - truth) <= 2.0**-FRACTION + 2.0**-20 * truth).all()
    rounds, sent = elementary.reciprocal_cost(CASES, low=low, high=high)
    assert done.cost[1] == sent
    assert rounds - 3 <= done.cost[0] <= rounds


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_inverse_square_roots(low: int, high: int) -> None:
    x = numbers(low, high)
    xs = split(x, np.random.default_rng(3))
    done = run(lambda p: elementary.rsqrt(p, xs[p.rank], low=low, high=high))
    truth = (x / ONE) ** -0.5
    assert (np.abs(join(done.results) / ONE - truth) <= 2.0**-FRACTION + 2.0**-20 * truth).all()


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_logarithms(low: int, high: int) -> None:
    x = numbers(low, high)
    xs = split(x, np.random.default_rng(4))
    done = run(lambda p: elementary.log(p, xs[p.rank], low=low, high=high))
    assert np.abs(join(done.results) / ONE - np.log(x / ONE)).max() <= 2e-5


def test_starts_are_as_good_as_they_say() -> None:
    m = np.linspace(1, 2, 10_001)
    polynomial = np.polynomial.polynomial.polyval
    assert np.abs(polynomial(m, elementary._RECIPROCAL) * m - 1).max() < 0.0102
    m = np.linspace(1, 4, 10_001)
    assert np.abs(polynomial(m, elementary._RSQRT) * np.sqrt(m) - 1).max() < 0.0242


def test_the_logarithm_series_is_as_good_as_it_says() -> None:
    t = np.linspace(-1, 1, 10_001)
    low, high = (np.polynomial.chebyshev.chebval(t, block) for block in elementary._log_blocks())
    t4 = np.polynomial.chebyshev.chebval(t, [0, 0, 0, 0, 1])
    error = (low + t4 * high) / 2**elementary._LOG_BITS - np.log((3 + t) / 2)
    assert np.abs(error).max() < 3e-7 + 8 * 2.0 ** -(elementary._LOG_BITS + 1)  # the series, and eight rounded terms


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    with pytest.raises(ValueError, match="high - low <= 38, not -18 and 26"):
        elementary.reciprocal(party, np.ones((1, 2), np.uint64), low=-18, high=26)
    with pytest.raises(ValueError, match="must be even"):
        elementary.rsqrt(party, np.ones((1, 2), np.uint64), low=-3, high=4)
