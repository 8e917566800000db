"""Running minima and maxima within secret segments, rows of planes, and bits put together: exact, at declared cost."""

from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import bit_rows, minmax_scan, recompose
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost
from tests.parties import Run, join, run, split
from tests.unit.test_replicated_bits import FEW_BYTES, FEW_ROUNDS, edges, reveal, share, uniform

ROWS = [0, 1, 2, 3, 63, 64, 65, 130, 1000]


def running(value: np.ndarray, start: np.ndarray, op: str) -> np.ndarray:
    """Row by row in the clear."""
    out = value.copy()
    pick = np.minimum if op == "min" else np.maximum
    for row in range(1, len(value)):
        if not start[row]:
            out[row] = pick(out[row - 1], value[row])
    return out


def check_cost(done: Run, declared: PartyCost) -> None:
    """Bytes are exact; one-way messages of the conversions at both ends may pass together with others."""
    assert done.cost[1] == declared.bytes_sent
    assert declared.rounds - 2 <= done.cost[0] <= declared.rounds


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("op", ["min", "max"])
@pytest.mark.parametrize(("bits", "low"), [(1, 0), (9, -200), (32, 5), (64, -(2**63))])
def test_segments(rows: int, op: Any, bits: int, low: int) -> None:
    rng = np.random.default_rng(rows)
    # modulo 2^64 the offset may leave int64 and come back
    value = (edges(2 * rows, bits).reshape(rows, 2) + np.uint64(low % 2**64)).view(np.int64)
    start = (rng.random(rows) < 0.15).astype(np.uint64)
    values, starts, numbers = split(value, rng), share(start, 1), split(start, rng)
    done = run(lambda p: minmax_scan.segment_extreme(p, starts[p.rank], values[p.rank], op=op, bits=bits, low=low))
    want = running(value, start, op)
    np.testing.assert_array_equal(join(done.results), want)
    check_cost(done, minmax_scan.segment_extreme_cost(rows, 2, bits=bits))
    first = [pairs[:, 0] for pairs in values]
    one = run(lambda p: minmax_scan.segment_extreme(p, numbers[p.rank], first[p.rank], op=op, bits=bits, low=low))
    np.testing.assert_array_equal(join(one.results), want[:, 0])
    check_cost(one, minmax_scan.segment_extreme_cost(rows, 1, bits=bits, start_is_arithmetic=True))


@pytest.mark.parametrize("starts", ["none", "all"])
def test_several_columns_of_planes(starts: str) -> None:
    wide, narrow = edges(300, 17), edges(300, 4)
    start = np.full(300, starts == "all", np.uint64)
    wides, narrows, flags = share(wide, 17), share(narrow, 4), share(start, 1)

    def party(p: Replicated) -> list[Bits]:
        columns = [wides[p.rank], narrows[p.rank], narrows[p.rank]]
        return minmax_scan.extreme_scan(p, flags[p.rank], columns, ["max", "min", "max"])

    done = run(party, link=FEW_BYTES)
    for at, (value, op) in enumerate([(wide, "max"), (narrow, "min"), (narrow, "max")]):
        np.testing.assert_array_equal(reveal([r[at] for r in done.results]), running(value, start, op))
    assert done.cost == minmax_scan.extreme_scan_cost(300, [17, 4, 4], FEW_BYTES)


@pytest.mark.parametrize("rows", [0, 1, 64, 65, 700])
@pytest.mark.parametrize("bits", [1, 2, 7, 32, 63, 64])
def test_bits_become_numbers(rows: int, bits: int) -> None:
    x = edges(rows, bits)
    xs = share(x, bits)
    for link in (FEW_ROUNDS, FEW_BYTES):
        done = run(lambda p: recompose.recompose(p, xs[p.rank]), link=link)
        np.testing.assert_array_equal(join(done.results).view(np.uint64), x)
        assert done.cost == recompose.recompose_cost(rows, bits, link)


def test_what_arrives_is_uniform() -> None:
    """Chi-square of the bytes of all messages to a party over 256 KiB or more; inputs constant."""
    xs = share(np.zeros(1 << 16, np.uint64), 20)
    tested = 0
    for messages in run(lambda p: recompose.recompose(p, xs[p.rank])).received:
        for message in messages:
            counts = np.bincount(np.frombuffer(message, np.uint8), minlength=256)
            statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
            assert 155.0 < statistic < 381.0  # quantiles 1e-7 and 1-1e-7 of chi-square with 255 degrees of freedom
            tested += len(message) >= 1 << 18
    assert tested >= 2


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_rows_of_planes(rows: int) -> None:
    x, y = edges(rows, 5), edges(3, 5)
    xs, ys = share(x, 5), share(y, 5)
    np.testing.assert_array_equal(reveal([bit_rows.next_row(s) for s in xs])[:-1], x[1:])
    np.testing.assert_array_equal(
        reveal([bit_rows.previous_row(s, t) for s, t in zip(xs, ys, strict=True)]), np.concatenate([y[:1], x[:-1]])
    )
    cleared = x.copy()
    cleared[rows // 2] = 0
    np.testing.assert_array_equal(reveal([bit_rows.clear_row(s, rows // 2) for s in xs]), cleared)
    np.testing.assert_array_equal(reveal([bit_rows.head_rows(s, rows // 2) for s in xs]), x[: rows // 2])
    stacked = [bit_rows.stack_rows([s, t, s]) for s, t in zip(xs, ys, strict=True)]
    np.testing.assert_array_equal(reveal(stacked), np.concatenate([x, y, x]))
    twice = [bit_rows.unstack_rows(bit_rows.stack_rows([s, s]), 2)[1] for s in xs]
    np.testing.assert_array_equal(reveal(twice), x)


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    plane, pairs = share(uniform(5) & np.uint64(1), 1)[0], np.ones((5, 2), np.uint64)
    with pytest.raises(ValueError, match="one bit of 4 rows, not 1 of 5"):
        minmax_scan.segment_extreme(party, plane, pairs[:4], op="min", bits=3)
    with pytest.raises(ValueError, match="op must be 'min' or 'max' for each of 1"):
        minmax_scan.extreme_scan(party, plane, [plane], ["sum"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="1 to 64 bits, not 0"):
        recompose.recompose(party, share(np.zeros(5, np.uint64), 0)[0])
    with pytest.raises(ValueError, match="there are 5 rows, not 6"):
        bit_rows.head_rows(plane, 6)
