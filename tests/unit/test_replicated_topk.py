"""The k largest and smallest secret rows: what a stable sort in the clear gives, at the declared cost."""

from typing import Any

import numpy as np
import pytest

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated import bit_cost, topk
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import Run, join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform
from tests.unit.test_replicated_sort import Clear

ROWS = [0, 1, 2, 63, 64, 65, 400]
FEW_BYTES = Link(0.0, 1e-9)


def check(key: np.ndarray, bits: int, k: int, *, largest: bool, link: Link = NEAR) -> Run:
    keys, number = share(key, bits), np.arange(len(key)) - 3
    numbers, flag = split(number, np.random.default_rng(1)), edges(len(key), 2)
    flags = share(flag, 2)

    def party(p: Replicated) -> Any:
        payload = [numbers[p.rank], flags[p.rank]]
        return topk.top_k(p, keys[p.rank], payload, k=k, largest=largest)

    done = run(party, link=link)
    ranked = ~key if largest else key
    first = np.argsort(ranked, kind="stable")[:k]
    np.testing.assert_array_equal(reveal([r.key for r in done.results]), key[first])
    np.testing.assert_array_equal(reveal([r.row for r in done.results]), first)
    np.testing.assert_array_equal(join([r.payload[0] for r in done.results]), number[first])
    np.testing.assert_array_equal(reveal([r.payload[1] for r in done.results]), flag[first])
    return done


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 64, 1000])
def test_like_a_stable_sort(rows: int, largest: bool, k: int) -> None:
    for key, bits in ((edges(rows, 64), 64), (np.full(rows, 3, np.uint64), 2), (uniform(rows) >> np.uint64(31), 33)):
        done = check(key, bits, k, largest=largest)
        assert done.cost == topk.top_k_cost(rows, bits, [None, 2], k=k)
        check(key, bits, k, largest=largest, link=FEW_BYTES)


@pytest.mark.parametrize(("k", "rows"), [(10, 100_000), (2_000, 20_000), (20_000, 20_000)])
def test_many_rows(k: int, rows: int) -> None:
    key = edges(rows, 32)
    done = check(key, 32, k, largest=True)
    declared = topk.top_k_cost(rows, 32, [None, 2], k=k)
    assert sum(done.cost[1]) == pytest.approx(declared.total, rel=0.3)
    assert done.cost[0] == pytest.approx(declared.rounds, rel=0.4)
    assert declared.total < bit_cost.sort_cost(rows, 32, [None, 2]).total or k == rows


@pytest.mark.parametrize(("rows", "k", "runs"), [(1000, 1, 60), (1000, 500, 25), (50_000, 100, 20)])
def test_comparisons_are_as_declared(rows: int, k: int, runs: int) -> None:
    """In the clear, without spare comparisons: a comparison a row and what the k rows need; rare misses still right."""
    rng = np.random.default_rng(rows + k)
    counts = []
    for _ in range(runs):
        key = rng.permutation(rows).astype(np.uint64).reshape(-1, 1)
        clear = Clear()
        np.testing.assert_array_equal(key[topk._first(clear, key, k, 0), 0], np.arange(k))
        counts.append(clear.comparisons)
    left, declared = rows, 0.0
    while (split_ := topk._sample(left, k, 0)) is not None:
        declared += bit_cost.comparisons(split_[0]) + left - split_[0]
        left = round(topk._left(left, *split_))
    declared += bit_cost.comparisons(left)
    assert np.mean(counts) == pytest.approx(declared, rel=0.1)
    if k == 1:
        assert np.mean(counts) < 1.5 * rows


def test_a_pivot_among_the_first_rows_is_no_error() -> None:
    """Sorted rows: the sample holds the first rows only, so that the pivot is too small."""
    key = np.arange(1000, dtype=np.uint64).reshape(-1, 1)
    np.testing.assert_array_equal(topk._first(Clear(), key, 300, 0), np.arange(300))


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        topk.top_k(party, share(uniform(5), 64)[0], k=0)
