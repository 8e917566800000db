"""Secret lookups against dictionaries, at the declared cost, by both methods."""

import itertools
from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import lookup as lookups
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import Run, join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform

SIZES = [(0, 0), (0, 5), (5, 0), (1, 1), (2, 1), (1, 64), (63, 65), (65, 2), (100, 120)]
METHODS = ["sort", "compare"]


def look_up(left: np.ndarray, right: np.ndarray, bits: int, payload: list[np.ndarray], **options: Any) -> Run:
    rng = np.random.default_rng(len(left) + 7 * len(right))
    keys, foreign = share(left, bits), share(right, bits)
    shared = [share(c, 5) if c.dtype == np.uint64 else split(c, rng) for c in payload]

    def party(p: Replicated) -> Any:
        return lookups.lookup(p, keys[p.rank], foreign[p.rank], [column[p.rank] for column in shared], **options)

    return run(party)


def check(left: np.ndarray, right: np.ndarray, bits: int, method: Any, payload: list[np.ndarray] | None = None) -> None:
    """Payload comes from the last row with the key, and from some row or nowhere if there is none."""
    numbers = uniform(len(left)).view(np.int64)
    columns = [numbers, edges(len(left), 5), -numbers] if payload is None else payload
    done = look_up(left, right, bits, columns, method=method)
    last = {key: at for at, key in enumerate(left.tolist())}
    match = np.array([key in last for key in right.tolist()], bool)
    np.testing.assert_array_equal(reveal([r.match for r in done.results]), match)
    source = np.array([last[key] for key in right[match].tolist()], np.intp)
    for at, column in enumerate(columns):
        held = [r.columns[at] for r in done.results]
        found = reveal(held) if column.dtype == np.uint64 else join(held)
        np.testing.assert_array_equal(found[match], column[source])
        assert set(found[~match].tolist()) <= {0, *column.tolist()}
    widths = [5 if column.dtype == np.uint64 else None for column in columns]
    declared = lookups.lookup_cost(len(left), len(right), bits, widths, method=method)
    if len(left) + len(right) < 400:
        assert done.cost == declared
    else:
        assert sum(done.cost[1]) == pytest.approx(declared.total, rel=0.15)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("left", "right"), SIZES)
def test_rows_find_the_last_one_with_their_key(left: int, right: int, method: str) -> None:
    rng = np.random.default_rng(left)
    keys = edges(left, 64)
    for foreign in (
        rng.choice(np.concatenate([keys, uniform(3)]), right),  # most match
        uniform(right),  # none does
        np.full(right, keys[0] if left else 9, np.uint64),
    ):
        check(keys, foreign, 64, method)
    check(np.full(left, 3, np.uint64), edges(right, 2), 2, method)


@pytest.mark.parametrize("method", METHODS)
def test_all_tables_of_few_rows(method: str) -> None:
    """Every way in which up to three left and two right rows can have keys of two bits."""
    numbers = np.array([2**63 - 1, -(2**63), 5])
    for left, right in itertools.product(range(1, 4), range(1, 3)):
        for keys in itertools.product(range(3), repeat=left + right):
            whole = np.array(keys, np.uint64)
            check(whole[:left], whole[left:], 2, method, [numbers[:left]])


@pytest.mark.parametrize("method", METHODS)
def test_without_payload_and_with_one_kind_only(method: str) -> None:
    left, right = edges(40, 4), edges(130, 4)
    check(left, right, 4, method, [])
    check(left, right, 4, method, [edges(40, 5), edges(40, 5)])
    check(left[:3] % 2, right % 2, 1, method, [np.array([-1, 2**63 - 1, -(2**63)])] * 2)


def test_twenty_thousand_rows() -> None:
    rng = np.random.default_rng(2)
    keys = rng.permutation(2**14)[:5_000].astype(np.uint64)
    check(keys, rng.integers(0, 2**14, 20_000).astype(np.uint64), 32, None)


def test_the_method_is_chosen_by_cost() -> None:
    slow, fast = lookups.Link(0.04, 1e-9), lookups.Link(0.0, 1e-7)
    assert lookups.choose(20, 60_000, 32, [None], link=slow) == "compare"
    assert lookups.choose(30, 60_000, 32, [None], link=fast) == "sort"
    assert lookups.choose(65, 10, 8) == lookups.choose(60, 1 << 20, 8, link=slow) == "sort"  # memory
    for left in (3, 65):
        done = look_up(edges(left, 9), edges(100, 9), 9, [])
        assert done.cost == lookups.lookup_cost(left, 100, 9)


@pytest.mark.parametrize("method", METHODS)
def test_transcripts_do_not_depend_on_secrets(method: str) -> None:
    shapes = set()
    keys = [uniform(150), np.zeros(150, np.uint64), np.arange(150, dtype=np.uint64), np.arange(150)[::-1] % 7]
    for key in keys:
        done = look_up(key[:50], key[50:], 64, [np.arange(50)], method=method)
        shapes.add(tuple(tuple(map(len, messages)) for messages in done.received))
    assert len(shapes) == 1


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    key = share(uniform(5), 64)[0]
    with pytest.raises(ValueError, match="keys of as many bits, not 64 and 9"):
        lookups.lookup(party, key, key.planes(slice(0, 9)))
    with pytest.raises(ValueError, match="payload of 5 rows"):
        lookups.lookup(party, key, key, [np.ones((4, 2), np.uint64)])
