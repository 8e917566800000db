"""Products with matrices that one party knows: right, at declared cost, with nothing but uniform messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import core, owned
from mpc_engine.runtime.replicated.core import Replicated, Substream
from tests.parties import join, run, split

SHAPES = [(0, 3, 1), (1, 1, 1), (7, 3, 2), (300, 5, 4)]
F = 18


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned, "_BLOCK", 256)


def _owned(party: Replicated, owner: int, x: np.ndarray) -> owned.OwnedMatrix:
    return owned.own(party, owner, x if party.rank == owner else None, x.shape)


@pytest.mark.parametrize("owner", [0, 1, 2])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize(("n", "p", "k"), SHAPES)
def test_integer_products_are_exact(owner: int, n: int, p: int, k: int, step: int) -> None:
    rng = np.random.default_rng(n)
    y, e = rng.integers(-(2**40), 2**40, (p, k)), rng.integers(-(2**62), 2**62, (-(-n // step), k))
    for x in (rng.integers(-128, 128, (n, p)).astype(np.int8), rng.integers(-(2**62), 2**62, (n, p))):
        ys, es = split(y, rng), split(e, rng)

        def party(p_: Replicated, x: np.ndarray = x, ys: list[np.ndarray] = ys, es: list[np.ndarray] = es) -> Any:
            matrix = _owned(p_, owner, x)
            return owned.times(p_, [matrix], ys[p_.rank]), owned.transposed_times(p_, [matrix], es[p_.rank], step=step)

        done = run(party)
        wide = x.astype(np.int64)
        np.testing.assert_array_equal(join([r[0] for r in done.results]), wide @ y)
        np.testing.assert_array_equal(join([r[1] for r in done.results]), wide[::step].T @ e)
        want = owned.own_cost(owner, n, p) + owned.product_cost(n * k) + owned.product_cost(p * k)
        assert done.cost[1] == want.bytes_sent
        assert done.cost[0] <= want.rounds


@pytest.mark.parametrize("owner", [0, 1, 2])
def test_fixed_point_products(owner: int) -> None:
    rng = np.random.default_rng(owner)
    x, y, e = rng.normal(size=(500, 4)), rng.normal(size=(4, 2)), rng.normal(size=(500, 1))
    fixed = [np.rint(v * 2**F).astype(np.int64) for v in (x, y, e)]
    ys, es = split(fixed[1], rng), split(fixed[2], rng)

    def party(p: Replicated) -> Any:
        matrix = _owned(p, owner, fixed[0].astype(np.int32))
        return owned.times(p, [matrix], ys[p.rank], bits=F), owned.transposed_times(p, [matrix], es[p.rank], bits=F)

    done = run(party)
    for found, truth in zip(zip(*done.results, strict=True), (fixed[0] @ fixed[1], fixed[0].T @ fixed[2]), strict=True):
        assert np.abs(join(list(found)) - truth / 2**F).max() <= 1
    cost = owned.own_cost(owner, 500, 4) + owned.product_cost(1000, bits=F) + owned.product_cost(4, bits=F)
    assert done.cost[1] == cost.bytes_sent


def test_matrices_of_several_owners_side_by_side() -> None:
    rng = np.random.default_rng(8)
    parts = [rng.integers(-100, 100, (150, width)) for width in (3, 1, 4)]
    y, e = rng.integers(-(2**40), 2**40, (8, 2)), rng.integers(-(2**40), 2**40, (150, 2))
    ys, es = split(y, rng), split(e, rng)

    def party(p: Replicated) -> Any:
        matrices = [_owned(p, owner, part) for owner, part in zip((2, 0, 2), parts, strict=True)]
        return owned.times(p, matrices, ys[p.rank]), owned.transposed_times(p, matrices, es[p.rank])

    done = run(party)
    whole = np.concatenate(parts, axis=1)
    np.testing.assert_array_equal(join([r[0] for r in done.results]), whole @ y)
    np.testing.assert_array_equal(join([r[1] for r in done.results]), whole.T @ e)
    sent = [owned.own_cost(owner, *part.shape) for owner, part in zip((2, 0, 2), parts, strict=True)]
    want = sent[0] + sent[1] + sent[2] + owned.product_cost(300) + owned.product_cost(16)
    assert done.cost[1] == want.bytes_sent


@pytest.mark.parametrize("step", [1, 3, 400])
def test_weighted_products_of_several_owners(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned, "_PANEL", 2)
    rng = np.random.default_rng(5)
    parts = [rng.normal(size=(400, 3)), rng.normal(size=(400, 2)), np.ones((400, 1))]
    weights = rng.uniform(0, 0.25, 400)
    fixed = [np.rint(v * 2**F).astype(np.int64) for v in parts]
    ws = split(np.rint(weights[::step] * 2**F), rng)

    def party(p: Replicated) -> Any:
        matrices = [_owned(p, owner, x) for owner, x in zip((0, 2, 0), fixed, strict=True)]
        return owned.gram(p, matrices, ws[p.rank], bits=F, step=step)

    done = run(party)
    whole = np.concatenate(parts, axis=1)[::step]
    error = np.abs(join(done.results) / 2**F - whole.T @ (whole * weights[::step, None]))
    assert error.max() <= 2.0**-F * (2 + np.abs(whole).sum(axis=0).max())
    costs = [owned.own_cost(o, 400, x.shape[1]) for o, x in zip((0, 2, 0), fixed, strict=True)]
    want = costs[0] + costs[1] + costs[2] + owned.gram_cost(len(whole), 6)
    assert done.cost[1] == want.bytes_sent


@pytest.mark.parametrize(("step", "limit"), [(1, 100.0), (1, 2.0**16), (3, 2.0**26)])
def test_weights_are_rounded_where_sums_have_a_limit(step: int, limit: float) -> None:
    rng = np.random.default_rng(9)
    parts = [rng.normal(size=(400, 3)), rng.normal(size=(400, 2)), np.ones((400, 1))]
    weights = rng.uniform(0, 0.25, len(parts[0][::step]))
    fixed = [np.rint(v * 2**F).astype(np.int64) for v in parts]
    whole = np.concatenate(fixed, axis=1)[::step] / 2.0**F

    def found(values: np.ndarray) -> np.ndarray:
        ws = split(np.rint(values * 2**F).astype(np.int64), rng)

        def party(p: Replicated) -> Any:
            matrices = [_owned(p, owner, x) for owner, x in zip((0, 2, 1), fixed, strict=True)]
            return owned.gram(p, matrices, ws[p.rank], bits=F, step=step, limit=limit)

        done = run(party)
        sent = [owned.own_cost(o, 400, x.shape[1]) for o, x in zip((0, 2, 1), fixed, strict=True)]
        cost = sent[0] + sent[1] + sent[2] + owned.gram_cost(len(whole), 6, limited=True)
        assert done.cost[1] == cost.bytes_sent
        return join(done.results) / 2**F

    unit = 2.0 ** -owned.weight_bits(limit, F)
    error = found(weights) - whole.T @ (whole * weights[:, None])
    assert (np.abs(error) <= 2.0**-F + (unit + 2.0**-F) * np.abs(whole).T @ np.abs(whole)).all()
    assert np.abs(error).max() > 2.0**-F  # what is rounded shows
    exact = np.floor(weights / unit) * unit
    assert np.abs(found(exact) - whole.T @ (whole * exact[:, None])).max() <= 2.0**-F


def test_rounded_weights_are_right_in_the_mean_and_not_below_zero() -> None:
    rng = np.random.default_rng(10)
    n, limit = 20_000, 2.0**21  # weights have 4 fraction bits
    ws = split(np.full(n, round(0.01 * 2**F)), rng)

    def party(p: Replicated) -> Any:
        return owned.gram(p, [_owned(p, 0, np.full((n, 1), 1 << F))], ws[p.rank], bits=F, limit=limit)

    total = join(run(party).results)[0, 0] / 2**F
    unit = 2.0**-4
    spread = np.sqrt(n * 0.01 * (unit - 0.01))
    assert abs(total - n * 0.01) < 6 * spread
    assert total > 0


def test_sums_too_large_for_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="leave no room for weights"):
        owned.weight_bits(2.0**40, F)


@pytest.mark.parametrize("step", [1, 3])
def test_products_of_columns_of_several_owners(step: int) -> None:
    rng = np.random.default_rng(6)
    parts = [rng.normal(size=(400, 3)), rng.normal(size=(400, 2)), rng.normal(size=(400, 2)), np.ones((400, 1))]
    fixed = [np.rint(v * 2**F).astype(np.int64) for v in parts]

    def party(p: Replicated) -> Any:
        matrices = [_owned(p, owner, x) for owner, x in zip((0, 2, 1, 0), fixed, strict=True)]
        return owned.gram(p, matrices, None, bits=F, step=step)

    done = run(party)
    whole = np.concatenate(fixed, axis=1)[::step].astype(object)
    assert np.abs(join(done.results) - (whole.T @ whole).astype(float) / 2**F).max() <= 1
    costs = [owned.own_cost(o, 400, x.shape[1]) for o, x in zip((0, 2, 1, 0), fixed, strict=True)]
    want = costs[0] + costs[1] + costs[2] + costs[3] + owned.gram_cost(len(whole), 8, weighted=False)
    assert done.cost[1] == want.bytes_sent


@pytest.mark.parametrize("native", [True, False])
def test_the_party_before_the_owner_keeps_a_seed_alone(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the same rows whenever it reads some, and the party after the owner holds the rest of the matrix."""
    monkeypatch.setattr(core, "_NATIVE_STREAMS", core._NATIVE_STREAMS and native)
    x = np.arange(3 * 301, dtype=np.int32).reshape(301, 3)

    def party(p: Replicated) -> Any:
        matrix = _owned(p, 1, x)
        parts = [matrix.rows(rows) for rows in (slice(None), slice(5, 205), slice(4, 301, 7))]
        return isinstance(matrix.part, Substream), parts

    before, owner, after = run(party).results
    assert [kept for kept, _ in (before, owner, after)] == [True, False, False]
    for rows, mask, clear, rest in zip((x, x[5:205], x[4::7]), before[1], owner[1], after[1], strict=True):
        np.testing.assert_array_equal(clear, rows.astype(np.uint64))
        np.testing.assert_array_equal(mask + rest, clear)


def test_what_arrives_is_uniform() -> None:
    """Chi-square of the bytes of all messages; the matrix and the vector are constant."""
    rows = 1 << 14
    x, ys = np.zeros((rows, 8), np.int64), split(np.zeros((8, 4), np.int64), np.random.default_rng(2))
    done = run(lambda p: owned.times(p, [_owned(p, 1, x)], ys[p.rank], bits=F))
    tested = 0
    for messages in done.received:
        octets = np.frombuffer(b"".join(m for m in messages if len(m) % 8 == 0), np.uint8)
        if len(octets) < 1 << 16:
            continue
        counts = np.bincount(octets, minlength=256)
        expected = len(octets) / 256
        statistic = ((counts - expected) ** 2 / expected).sum()
        assert 150 < statistic < 400, statistic  # 255 degrees of freedom; p about 1e-8 either way
        tested += 1
    assert tested >= 2
