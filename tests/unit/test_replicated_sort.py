"""Secret sorts, shuffles and compaction: what numpy gives, at the declared cost."""

from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import bit_cost, bits, sort
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.shuffle import Shuffle, permute_public
from tests.parties import Run, join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform

ROWS = [0, 1, 2, 63, 64, 65, 1000]


def sort_in_secret(key: np.ndarray, width: int, payload: np.ndarray) -> tuple[np.ndarray, np.ndarray, Run]:
    keys, payloads = share(key, width), split(payload, np.random.default_rng(1))

    def party(p: Replicated) -> tuple[Bits, Any]:
        done = sort.sort_rows(p, keys[p.rank], [payloads[p.rank]])
        return done.key, done.payload[0]

    done = run(party)
    return reveal([r[0] for r in done.results]), join([r[1] for r in done.results]), done


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 5, 32, 64])
@pytest.mark.parametrize("steps", ["one", "small"])
def test_sorts_like_numpy(rows: int, width: int, steps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if steps == "small":
        monkeypatch.setattr(sort, "spare_comparisons", lambda bits, link: 0)
    some = edges(rows, width)
    payload = np.arange(rows) - 7
    for key in (some, np.sort(some), np.sort(some)[::-1].copy(), np.zeros_like(some)):
        sorted_key, moved, done = sort_in_secret(key, width, payload)
        order = np.argsort(key, kind="stable")
        if rows < 400 and steps == "one":
            assert done.cost == bit_cost.sort_cost(rows, width, [None])
        np.testing.assert_array_equal(sorted_key, key[order])
        np.testing.assert_array_equal(moved, payload[order])  # stable: equal keys keep their order


def test_hundred_thousand_rows() -> None:
    key, payload = edges(100_000, 32), np.arange(100_000)
    sorted_key, moved, done = sort_in_secret(key, 32, payload)
    order = np.argsort(key, kind="stable")
    np.testing.assert_array_equal(sorted_key, key[order])
    np.testing.assert_array_equal(moved, payload[order])
    declared = bit_cost.sort_cost(100_000, 32, [None])
    assert sum(done.cost[1]) == pytest.approx(declared.total, rel=0.15)
    assert sum(done.cost[1]) < 700 * 100_000


def test_several_keys_and_descending() -> None:
    first, second = edges(500, 2), edges(500, 6)
    firsts, seconds = share(first, 2), share(second, 6)
    number = split(np.arange(500), np.random.default_rng(2))

    def party(p: Replicated) -> Any:
        key = bits.concat([bits.not_(p, seconds[p.rank]), firsts[p.rank]])  # second key descending
        return sort.sort_rows(p, key, [number[p.rank]]).payload[0]

    wanted = np.lexsort((np.arange(500), -second.astype(np.int64), first))
    np.testing.assert_array_equal(join(run(party).results), wanted)


def test_wide_and_empty_keys() -> None:
    first, second = edges(400, 1) * np.uint64(2**63), edges(400, 40)
    firsts, seconds = share(first, 64), share(second, 40)
    number = split(np.arange(400), np.random.default_rng(2))

    def wide(p: Replicated) -> Any:
        return sort.sort_rows(p, bits.concat([seconds[p.rank], firsts[p.rank]]), [number[p.rank]]).payload[0]

    np.testing.assert_array_equal(join(run(wide).results), np.lexsort((np.arange(400), second, first)))
    none = share(np.zeros(400, np.uint64), 0)
    done = run(lambda p: sort.sort_rows(p, none[p.rank], [number[p.rank]]).payload[0])
    np.testing.assert_array_equal(join(done.results), np.arange(400))


def test_an_order_moves_other_columns_and_back() -> None:
    key, other, flag = edges(300, 8), uniform(300), edges(300, 1)
    keys, others, flags_ = share(key, 8), split(other, np.random.default_rng(3)), share(flag, 1)

    def party(p: Replicated) -> Any:
        order = sort.sort_order(p, keys[p.rank])
        there = order.apply(p, [others[p.rank], flags_[p.rank]])
        return there, order.undo(p, there)

    there, back = zip(*run(party).results, strict=True)
    rank = np.argsort(key, kind="stable")
    np.testing.assert_array_equal(join([t[0] for t in there]).view(np.uint64), other[rank])
    np.testing.assert_array_equal(reveal([t[1] for t in there]), flag[rank])
    np.testing.assert_array_equal(join([t[0] for t in back]).view(np.uint64), other)
    np.testing.assert_array_equal(reveal([t[1] for t in back]), flag)


@pytest.mark.parametrize("rows", ROWS)
def test_shuffles(rows: int) -> None:
    x, flag = uniform(rows), edges(rows, 3)
    xs, flags_ = split(x, np.random.default_rng(4)), share(flag, 3)
    shuffles: list[Any] = [None] * 3

    def apply(p: Replicated) -> Any:
        shuffles[p.rank] = Shuffle.draw(p, rows)
        return shuffles[p.rank].apply(p, [xs[p.rank], flags_[p.rank]])

    done = run(apply)
    assert done.cost == bit_cost.shuffle_cost(rows, [None, 3])
    known = {c: perm for s in shuffles for c, perm in s.known.items()}
    for rank, shuffle in enumerate(shuffles):
        assert sorted(shuffle.known) == sorted((rank, (rank + 1) % 3))
        for c, perm in shuffle.known.items():
            np.testing.assert_array_equal(perm, known[c])
    total = known[1][known[2]][known[0]]
    np.testing.assert_array_equal(join([r[0] for r in done.results]).view(np.uint64), x[total])
    np.testing.assert_array_equal(reveal([r[1] for r in done.results]), flag[total])
    moved = done.results
    back = run(lambda p: shuffles[p.rank].undo(p, moved[p.rank]))
    assert back.cost[0] == bit_cost.shuffle_cost(rows, [None, 3]).rounds
    assert sum(back.cost[1]) == bit_cost.shuffle_cost(rows, [None, 3]).total
    np.testing.assert_array_equal(join([r[0] for r in back.results]).view(np.uint64), x)
    with pytest.raises(ValueError, match="every column must have"):
        run(lambda p: Shuffle.draw(p, rows + 1).apply(p, [xs[p.rank]]))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("flagged", ["some", "none", "all"])
def test_compaction(rows: int, flagged: str) -> None:
    flag = {"some": edges(rows, 1), "none": np.zeros(rows, np.uint64), "all": np.ones(rows, np.uint64)}[flagged]
    x = uniform(rows)
    flags_, xs = share(flag, 1), split(x, np.random.default_rng(5))
    done = run(lambda p: compact(p, flags_[p.rank], [xs[p.rank], flags_[p.rank]])[0])
    order = np.argsort(1 - flag.astype(np.int64), kind="stable")
    np.testing.assert_array_equal(join([r[0] for r in done.results]).view(np.uint64), x[order])
    np.testing.assert_array_equal(reveal([r[1] for r in done.results]), flag[order])
    if rows:
        assert done.cost == bit_cost.compact_cost(rows, [None, 1])


def bits_of(flags: np.ndarray) -> np.ndarray:
    packed = np.packbits(flags, bitorder="little")
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)


class Clear:
    """Comparisons in the clear, counted."""

    def __init__(self) -> None:
        self.comparisons = self.steps = 0

    def fix(self, rows: np.ndarray, right: np.ndarray) -> None:
        self.own, self.right = rows[:, 0], right

    def less(self, left: np.ndarray) -> np.ndarray:
        self.comparisons += len(left)
        self.steps += 1
        return bits_of(self.own[left] < self.own[self.right])


@pytest.mark.parametrize(("rows", "runs"), [(1000, 100), (20_000, 10), (200_000, 2)])
def test_comparisons_are_as_declared(rows: int, runs: int) -> None:
    rng = np.random.default_rng(rows)
    counts = []
    for _ in range(runs):
        key = rng.permutation(rows).astype(np.uint64).reshape(-1, 1)
        clear = Clear()
        np.testing.assert_array_equal(key[sort.rank_rows(clear, key), 0], np.arange(rows))
        counts.append(clear.comparisons)
        assert clear.comparisons < rows * (np.log2(rows) + 2)
        assert clear.steps < 3 * np.log2(rows)
    assert np.mean(counts) == pytest.approx(bit_cost.comparisons(rows), rel=0.1)


def test_every_order_of_few_rows() -> None:
    rng = np.random.default_rng(6)
    for rows in range(40):
        for _ in range(20):
            key = rng.permutation(rows).astype(np.uint64).reshape(-1, 1)
            np.testing.assert_array_equal(key[sort.rank_rows(Clear(), key), 0], np.arange(rows))


def test_public_permutation() -> None:
    x, y = uniform(70), edges(70, 2)
    index = np.random.default_rng(7).permutation(70).astype(np.uint32)
    moved = [
        permute_public([a, b], index) for a, b in zip(split(x, np.random.default_rng(8)), share(y, 2), strict=True)
    ]
    np.testing.assert_array_equal(join([m[0] for m in moved]).view(np.uint64), x[index])
    np.testing.assert_array_equal(reveal([m[1] for m in moved]), y[index])
