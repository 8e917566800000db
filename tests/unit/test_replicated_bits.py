"""Bits of three parties: gates, comparisons, conversions: exact results at exactly the declared cost."""

import numpy as np
import pytest

from mpc_compiler.cost import Link
from mpc_engine.runtime.replicated import bit_cost, bits, compare, convert
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.compare import Plan, plan
from mpc_kernels.bits import planes_to_rows, rows_to_planes
from tests.parties import join, run, split

RNG = np.random.default_rng(17)
ROWS = [0, 1, 63, 64, 65, 700]
FEW_ROUNDS, FEW_BYTES = Link(1.0, 0.0), Link(0.0, 1.0)


def uniform(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**64, shape, dtype=np.uint64)


def edges(rows: int, width: int) -> np.ndarray:
    """Numbers of `width` bits, a third of them at the ends of the range."""
    top = 2**width - 1
    ends = np.array([0, 1, top, top - 1, top >> 1, (top >> 1) + 1], np.uint64) & np.uint64(top)
    return np.where(RNG.random(rows) < 0.3, RNG.choice(ends, rows), uniform(rows) & np.uint64(top))


def share(values: np.ndarray, width: int) -> list[Bits]:
    planes = rows_to_planes(values.astype(np.uint64).reshape(-1, 1), width)
    parts = [uniform(*planes.shape), uniform(*planes.shape)]
    parts.append(planes ^ parts[0] ^ parts[1])
    return [Bits(parts[rank], parts[(rank + 1) % 3], len(values)) for rank in range(3)]


def reveal(shares: list[Bits]) -> np.ndarray:
    for rank in range(3):
        np.testing.assert_array_equal(shares[rank].next, shares[(rank + 1) % 3].own)
    return planes_to_rows(shares[0].own ^ shares[1].own ^ shares[2].own, shares[0].rows)[:, 0]


def plans(width: int) -> list[Plan]:
    return [compare._built(width, rounds, True) for rounds, _ in compare.rounds_and_ands(width, True)]


@pytest.mark.parametrize("rows", ROWS)
def test_gates(rows: int) -> None:
    x, y, c = edges(rows, 9), edges(rows, 9), edges(rows, 1)
    xs, ys, cs = share(x, 9), share(y, 9), share(c, 1)
    done = run(lambda p: bits.and_(p, xs[p.rank], ys[p.rank]))
    np.testing.assert_array_equal(reveal(done.results), x & y)
    assert done.cost == bit_cost.and_cost(rows, 9)
    np.testing.assert_array_equal(reveal([bits.xor(a, b) for a, b in zip(xs, ys, strict=True)]), x ^ y)
    done = run(lambda p: bits.open_bits(p, bits.not_(p, xs[p.rank])))
    for opened in done.results:
        np.testing.assert_array_equal(opened[:, 0], x ^ np.uint64(511))
    assert done.cost == bit_cost.open_bits_cost(rows, 9)
    done = run(lambda p: compare.mux(p, cs[p.rank], xs[p.rank], ys[p.rank]))
    np.testing.assert_array_equal(reveal(done.results), np.where(c == 1, x, y))
    assert done.cost == bit_cost.and_cost(rows, 9)
    done = run(lambda p: bits.concat([bits.constant(p, y, 9), xs[p.rank]]))
    np.testing.assert_array_equal(reveal(done.results), y | (x << np.uint64(9)))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 2, 3, 17, 50, 64])
def test_comparisons(rows: int, width: int) -> None:
    x, y = edges(rows, width), edges(rows, width)
    y[::3] = x[::3]
    xs, ys = share(x, width), share(y, width)
    for how in plans(width):
        done = run(lambda p, how=how: compare.less_than(p, xs[p.rank], ys[p.rank], how=how))
        np.testing.assert_array_equal(reveal(done.results), x < y)
        assert done.cost == bit_cost.less_than_cost(rows, width, how)
    done = run(lambda p: compare.equal(p, xs[p.rank], ys[p.rank]))
    np.testing.assert_array_equal(reveal(done.results), x == y)
    assert done.cost == bit_cost.equal_cost(rows, width)
    signed = [(v << np.uint64(64 - width)).view(np.int64) for v in (x, y)]
    done = run(lambda p: compare.less_than(p, xs[p.rank], ys[p.rank], signed=True))
    np.testing.assert_array_equal(reveal(done.results), signed[0] < signed[1])


@pytest.mark.parametrize("rows", ROWS)
def test_select(rows: int) -> None:
    a, b, c = uniform(rows), uniform(rows), edges(rows, 1)
    shares = split(a, RNG), split(b, RNG)
    conditions = share(c, 1)
    done = run(lambda p: convert.select(p, conditions[p.rank], shares[0][p.rank], shares[1][p.rank]))
    np.testing.assert_array_equal(join(done.results).view(np.uint64), np.where(c == 1, a, b))
    assert done.cost == bit_cost.select_cost(rows)


def test_all_pairs_of_a_tiny_ring() -> None:
    x, y = (part.ravel().astype(np.uint64) for part in np.meshgrid(np.arange(32), np.arange(32)))
    xs, ys = share(x, 5), share(y, 5)
    for how in plans(5):
        done = run(lambda p, how=how: compare.less_than(p, xs[p.rank], ys[p.rank], how=how))
        np.testing.assert_array_equal(reveal(done.results), x < y)


def test_plans_trade_rounds_for_bytes() -> None:
    assert (plan(50, 1, FEW_BYTES).ands, plan(50, 1, FEW_BYTES).rounds) == (50, 10)
    assert plan(50, 1, FEW_BYTES, ties=False).ands == 49
    assert plan(50, 1, FEW_ROUNDS).rounds == 6
    assert plan(50, 1 << 12).rounds <= 12
    assert plan(50, 1 << 12).ands <= 65
    with pytest.raises(ValueError, match="no bits"):
        plan(0, 1)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 2, 7, 33, 64])
def test_conversions(rows: int, width: int) -> None:
    x = edges(rows, 64)
    low = x & np.uint64(2**width - 1)
    xs, lows = split(x, RNG), share(low, width)
    for link in (FEW_ROUNDS, FEW_BYTES):
        done = run(lambda p: convert.a2b(p, xs[p.rank], width), link=link)
        np.testing.assert_array_equal(reveal(done.results), low)
        assert done.cost == bit_cost.a2b_cost(rows, width, link)
    signed = (low << np.uint64(64 - width)).view(np.int64) >> np.int64(64 - width)
    numbers = split(signed, RNG)
    done = run(lambda p: convert.negative(p, numbers[p.rank], width))
    np.testing.assert_array_equal(reveal(done.results), signed < 0)
    assert done.cost == bit_cost.negative_cost(rows, width)
    done = run(lambda p: convert.is_zero(p, numbers[p.rank], width))
    np.testing.assert_array_equal(reveal(done.results), signed == 0)
    assert done.cost == bit_cost.is_zero_cost(rows, width)
    done = run(lambda p: convert.b2a(p, lows[p.rank], signed=True))
    np.testing.assert_array_equal(join(done.results), signed)
    assert done.cost == bit_cost.inject_cost(rows, width)
    done = run(lambda p: convert.b2a(p, lows[p.rank]))
    np.testing.assert_array_equal(join(done.results).view(np.uint64), low)


def test_many_random_cases() -> None:
    """1e5 comparisons of each width, and conversions there and back."""
    x, y = edges(100_000, 64), edges(100_000, 64)
    xs, ys = split(x, RNG), split(y, RNG)

    def party(p: object) -> tuple[Bits, np.ndarray]:
        a, b = (convert.a2b(p, part[p.rank]) for part in (xs, ys))  # type: ignore[arg-type,attr-defined]
        return compare.less_than(p, a, b), convert.b2a(p, a.planes(slice(0, 4)))  # type: ignore[arg-type]

    done = run(party)
    np.testing.assert_array_equal(reveal([r[0] for r in done.results]), x < y)
    np.testing.assert_array_equal(join([r[1] for r in done.results]), (x & np.uint64(15)).astype(np.int64))


def test_shapes_are_checked() -> None:
    one, two = share(edges(5, 3), 3)[0], share(edges(5, 4), 4)[0]
    with pytest.raises(ValueError, match="different shapes"):
        run(lambda p: bits.and_(p, one, two))
    with pytest.raises(ValueError, match="cannot compare 3 bits"):
        run(lambda p: compare.less_than(p, one, two))
    with pytest.raises(ValueError, match="1 to 64 bits"):
        run(lambda p: convert.a2b(p, np.zeros((1, 2), np.uint64), 65))
    with pytest.raises(ValueError, match="planes of 5 rows"):
        Bits(np.zeros((3, 2), np.uint64), np.zeros((3, 2), np.uint64), 5)
