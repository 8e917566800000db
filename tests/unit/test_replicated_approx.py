"""Functions by polynomials on replicated shares: errors within what is declared, cost exactly as declared."""

import numpy as np
import pytest

from mpc_engine.runtime.replicated import approx, arithmetic
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from tests.parties import join, run, split

ONE = 1 << approx.FRACTION
CASES = 100_000


def logistic(x: np.ndarray) -> np.ndarray:
    """The truth, without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def opened_top(party: Replicated, x: Pairs, width: int) -> Pairs:
    """A stand-in that opens what it compares: right, and not private."""
    opened = arithmetic.open_all(party, x)
    return arithmetic.from_public(party, (opened >> np.uint64(width - 1)) & np.uint64(1))


def test_the_tail_polynomial_is_as_good_as_it_says() -> None:
    t = np.linspace(-1.002, 1.002, 400_001)
    found = np.polynomial.chebyshev.chebval(t, np.array(approx.TAIL) / 2**approx.TAIL_BITS)
    assert np.abs(found - logistic(-5 * (t + 1))).max() < 4.4e-5
    assert sum(map(abs, approx.TAIL)) < 2**approx.TAIL_BITS  # bounds every partial sum, before the truncation


def test_blocks_are_the_same_polynomial() -> None:
    t = np.linspace(-1, 1, 1001)
    basis = np.polynomial.chebyshev.chebvander(t, 8)
    low, middle, high = (basis[:, :4] @ block for block in approx._blocks(approx.TAIL))
    whole = np.polynomial.chebyshev.chebval(t, approx.TAIL)
    np.testing.assert_allclose(low + basis[:, 4] * middle + basis[:, 8] * high, whole, atol=1e-8)


@pytest.mark.parametrize("magnitude", [5, 26])
@pytest.mark.parametrize("top", [approx.msb, opened_top])
def test_sigmoid(top: approx.Msb, magnitude: int) -> None:
    rng = np.random.default_rng(5)
    x = np.round(rng.normal(0, 5, CASES) * ONE).astype(np.int64)
    x[: CASES // 2] = np.linspace(-13 * ONE, 13 * ONE, CASES // 2).astype(np.int64)
    limit = (1 << (magnitude + approx.FRACTION)) - 1
    clips = [sign * (10 * ONE + step) for sign in (1, -1) for step in (-2048, -1, 0, 1, 2048)]
    edges = [0, 1, -1, limit, -limit, *clips]
    x[: len(edges)] = edges
    x = np.clip(x, -limit, limit)
    xs = split(x, rng)
    done = run(lambda p: approx.sigmoid(p, xs[p.rank], magnitude=magnitude, top=top))
    error = join(done.results) / ONE - logistic(x / ONE)
    assert np.abs(error).max() < 7e-5  # declared: 1e-4
    assert abs(error.mean()) < 1e-6  # by symmetry
    if top is approx.msb:
        rounds, sent = approx.sigmoid_cost(CASES, magnitude=magnitude)
        assert done.cost[1] == sent
        assert rounds - 1 <= done.cost[0] <= rounds  # parties do not all wait for the end of each step


def test_comparisons_are_blunt_but_never_far_off() -> None:
    rng = np.random.default_rng(6)
    x = rng.integers(-(2**44) + 1, 2**44, CASES)
    x[:2000] = np.arange(-1000, 1000)
    xs = split(x, rng)
    done = run(lambda p: opened_top(p, *approx.top_bits(xs[p.rank], magnitude=26)))
    wrong = join(done.results) != (x < 0)
    assert ((x[wrong] >= 0) & (x[wrong] < 2 << 10)).all()


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="magnitude must be in 4"):
        approx.sigmoid(Replicated(0, lambda to, payload, frm: b""), np.ones((1, 2), np.uint64), magnitude=27)
