"""What an observer of a sort sees does not depend on the rows: the same messages, or messages of the same distribution.

Sorting opens comparisons, so how many there are varies from run to run; it must vary alike for all secrets. A sort
without the row number that makes keys differ is the planted leak: it must be caught by the same tests.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mpc_engine.runtime.replicated import bits, compare, convert, sort
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import run, split
from tests.unit.test_replicated_bits import share

pytestmark = pytest.mark.slow  # tests/leakage/test_replicated_transcript.py looks at every operation

N, RUNS = 24, 200
RNG = np.random.default_rng(99)
KEYS = {
    "random": RNG.integers(0, 2**16, N).astype(np.uint64),
    "equal": np.full(N, 12345, np.uint64),
    "sorted": np.arange(N, dtype=np.uint64),
    "reversed": np.arange(N, dtype=np.uint64)[::-1].copy(),
}


class Counted:
    """A party whose messages are measured."""

    def __init__(self, party: Replicated) -> None:
        self.sizes: list[int] = []
        self._send = party.send
        party.send = self.send  # type: ignore[method-assign]

    def send(self, to: int, payload: Any) -> None:
        self.sizes.append(memoryview(payload).nbytes)
        self._send(to, payload)


def observe(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that party 0 sends, and the first row of the opened order, in many sorts of the same rows."""
    shares = share(key, 16)
    assert sort.spare_comparisons(21) == 0, "so few rows would be sorted in one step, always of the same size"

    def party(p: Replicated) -> list[tuple[int, int]]:
        counted = Counted(p)
        seen = []
        for _ in range(RUNS):
            counted.sizes.clear()
            order = sort.sort_order(p, shares[p.rank])
            seen.append((sum(counted.sizes), int(order.place[0])))
        return seen

    sizes, first = zip(*run(party).results[0], strict=True)
    return np.array(sizes), np.array(first)


def p_values(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """Whether traffic has one distribution, and whether the opened orders are uniform."""
    uniform = [float(stats.chisquare(np.bincount(first, minlength=N)).pvalue) for _, first in (one, other)]
    return [float(stats.ks_2samp(one[0], other[0]).pvalue), *uniform]


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sort, "spare_comparisons", lambda bits, link=None: 0)
        yield


@pytest.fixture(scope="module")
def random_rows() -> tuple[np.ndarray, np.ndarray]:
    return observe(KEYS["random"])


@pytest.mark.parametrize("kind", ["equal", "sorted", "reversed"])
def test_sorts_look_alike(kind: str, random_rows: tuple[np.ndarray, np.ndarray]) -> None:
    assert min(p_values(random_rows, observe(KEYS[kind]))) > 0.001 / 9  # nine comparisons in all


def test_a_sort_that_leaks_ties_is_caught(
    monkeypatch: pytest.MonkeyPatch, random_rows: tuple[np.ndarray, np.ndarray]
) -> None:
    true = sort.constant
    monkeypatch.setattr(sort, "constant", lambda p, values, width: true(p, np.zeros_like(values), width))
    assert min(p_values(random_rows, observe(KEYS["equal"]))) < 1e-6


def test_what_two_parties_learn_of_the_order_is_not_the_shuffle() -> None:
    """The opened order of sorted rows is the secret permutation; each party misses a factor of it."""
    shares = share(KEYS["sorted"], 16)
    done = run(lambda p: sort.sort_order(p, shares[p.rank]))
    known = {c: perm for order in done.results for c, perm in order.shuffle.known.items()}
    total = known[1][known[2]][known[0]]
    for order in done.results:
        np.testing.assert_array_equal(total[order.place], np.arange(N))  # all three together know it
        assert len(order.shuffle.known) == 2


OPERATIONS = {
    "and": lambda p, x, a: bits.and_(p, x, x),
    "less_than": lambda p, x, a: compare.less_than(p, x, bits.not_(p, x)),
    "equal": lambda p, x, a: compare.equal(p, x, bits.not_(p, x)),
    "mux": lambda p, x, a: compare.mux(p, x.planes(slice(0, 1)), x, x),
    "a2b": lambda p, x, a: convert.a2b(p, a, 20),
    "negative": lambda p, x, a: convert.negative(p, a, 20),
    "is_zero": lambda p, x, a: convert.is_zero(p, a, 20),
    "b2a": lambda p, x, a: convert.b2a(p, x),
    "select": lambda p, x, a: convert.select(p, x.planes(slice(0, 1)), a, a),
    "compact": lambda p, x, a: compact(p, x.planes(slice(0, 1)), [a, x]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_messages_of_other_operations_are_the_same_for_all_secrets(name: str) -> None:
    seen = []
    for key in KEYS.values():
        x, a = share(key, 16), split(key, RNG)

        def party(p: Replicated, x: list[Bits] = x, a: list[np.ndarray] = a) -> list[int]:
            counted = Counted(p)
            OPERATIONS[name](p, x[p.rank], a[p.rank])
            return counted.sizes

        seen.append(run(party).results)
    assert all(sizes == seen[0] for sizes in seen)


@pytest.mark.parametrize("name", ["sort", *OPERATIONS])
def test_what_arrives_is_uniform(name: str) -> None:
    """Chi-square of the bytes that each party receives, for constant rows."""
    rows = 1 << 14
    x, a = share(np.zeros(rows, np.uint64), 16), split(np.zeros(rows), RNG)

    def party(p: Replicated) -> None:
        for _ in range(3):
            if name == "sort":
                sort.sort_rows(p, x[p.rank], [a[p.rank]])
            else:
                OPERATIONS[name](p, x[p.rank], a[p.rank])

    for received in run(party).received:
        octets = np.frombuffer(b"".join(received), np.uint8)
        if len(octets):
            assert 1e-6 < stats.chisquare(np.bincount(octets, minlength=256)).pvalue < 1 - 1e-6
