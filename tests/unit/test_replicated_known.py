"""Rows moved and summed by what one party knows: exact, at declared cost, with nothing but uniform messages."""

from typing import Any

import numpy as np
import pytest

from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.replicated import histogram, known
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform

ROWS = [0, 1, 2, 63, 64, 65, 1000]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("owner", [0, 1, 2])
def test_an_owners_permutation(rows: int, owner: int) -> None:
    rng = np.random.default_rng(rows)
    x, y, index = uniform(rows), edges(rows, 5), rng.permutation(rows).astype(np.uint32)
    xs, ys = split(x, rng), share(y, 5)

    def party(p: Replicated) -> Any:
        mine = index if p.rank == owner else None
        return known.permute_known(p, owner, mine, [xs[p.rank], ys[p.rank]], rows=rows)

    done = run(party)
    np.testing.assert_array_equal(join([r[0] for r in done.results]).view(np.uint64), x[index])
    np.testing.assert_array_equal(reveal([r[1] for r in done.results]), y[index])
    assert done.cost == known.permute_known_cost(owner, rows, [None, 5])


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("owner", [0, 1, 2])
def test_bins_of_an_owner(rows: int, owner: int) -> None:
    rng = np.random.default_rng(rows)
    x = uniform(2 * rows).reshape(rows, 2).view(np.int64)
    xs = split(x, rng)
    for bins in (rng.integers(-2, 12, rows), np.full(rows, 4), np.full(rows, 99)):

        def party(p: Replicated, bins: np.ndarray = bins) -> np.ndarray:
            return histogram.bincount_known(p, owner, bins if p.rank == owner else None, xs[p.rank], size=10)

        done = run(party)
        np.testing.assert_array_equal(join(done.results), [x[bins == b].sum(axis=0) for b in range(10)])
        assert done.cost == histogram.bincount_known_cost(owner, rows, size=10, columns=2)
    one = run(lambda p: histogram.bincount_known(p, owner, np.zeros(rows, int), xs[p.rank][:, 0], size=1))
    np.testing.assert_array_equal(join(one.results), [x[:, 0].sum()])


def test_what_arrives_is_uniform() -> None:
    """Chi-square of the bytes of messages over 256 KiB to each party; places: the low byte. Inputs are constant."""
    rows = 1 << 16
    xs = split(np.zeros(rows, np.int64), np.random.default_rng(1))
    bins = np.zeros(rows, np.int64)
    done = run(lambda p: histogram.bincount_known(p, 0, bins if p.rank == 0 else None, xs[p.rank], size=1 << 15))
    tested = 0
    for messages in done.received:
        for message in messages:
            places = len(message) in (4 * (rows + (1 << 15)), 4 << 15)
            octets = np.frombuffer(message, np.uint8)[:: 4 if places else 1]
            counts = np.bincount(octets, minlength=256)
            statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
            assert statistic < 381.0  # quantile 1 - 1e-7 of chi-square with 255 degrees of freedom
            tested += 1
    assert tested == 6


def test_lies_and_mistakes_are_refused() -> None:
    class Liar:
        def send(self, to: int, payload: bytes | memoryview) -> None:
            pass

        def recv(self, frm: int) -> bytes:
            return bytes(8 if frm == 0 else 16)

    pairs = np.ones((2, 2), np.uint64)
    for rank in (0, 2):
        p = Replicated(rank, Liar())
        p._streams = dict.fromkeys(range(3), _Zeros())  # type: ignore[assignment]
        if rank == 2:
            with pytest.raises(ProtocolMismatchError, match="no permutation"):
                known.permute_known(p, 0, None, [pairs], rows=2)
            continue
        for index in (None, np.zeros(2, np.uint32), np.array([0, 2], np.uint32), np.zeros(1, np.uint32)):
            with pytest.raises(ValueError, match="2 distinct rows of 2"):
                known.permute_known(p, 0, index, [pairs], rows=2)
        with pytest.raises(ValueError, match="integer bins of shape"):
            histogram.bincount_known(p, 0, np.zeros(2), pairs, size=3)  # type: ignore[arg-type]


class _Zeros:
    def take(self, size: int) -> np.ndarray:
        return np.zeros(-(-size // 8), np.uint64).view(np.uint8)[:size]

    def place(self, size: int) -> None:
        """Not a stream that kernels know."""
