"""Secret radix sorts: numpy's stable order at the declared cost, and the choice between the two sorts."""

from typing import Any

import numpy as np
import pytest

from mpc_compiler.cost import Link
from mpc_engine.runtime.replicated import radix
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform
from tests.unit.test_replicated_extreme import check_cost

ROWS = [0, 1, 2, 63, 64, 65, 1000]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bits", [1, 2, 3, 8, 64])
def test_orders_like_numpy(rows: int, bits: int) -> None:
    some = edges(rows, bits)
    for key in (some, np.sort(some)[::-1].copy(), np.zeros_like(some)):
        keys, number = share(key, bits), np.arange(rows) - 5
        numbers, other = split(number, np.random.default_rng(1)), edges(rows, 6)
        others = share(other, 6)
        orders: list[Any] = [None] * 3

        def order(p: Replicated, keys: Any = keys, orders: Any = orders) -> None:
            orders[p.rank] = radix.radix_order(p, keys[p.rank])

        check_cost(run(order), radix.radix_cost(rows, bits))

        def move(p: Replicated, orders: Any = orders, numbers: Any = numbers, others: Any = others) -> Any:
            there = orders[p.rank].apply(p, [numbers[p.rank], others[p.rank]])
            return there, orders[p.rank].undo(p, there)

        there, back = zip(*run(move).results, strict=True)
        rank = np.argsort(key, kind="stable")
        np.testing.assert_array_equal(join([t[0] for t in there]), number[rank])
        np.testing.assert_array_equal(reveal([t[1] for t in there]), other[rank])
        np.testing.assert_array_equal(join([t[0] for t in back]), number)
        np.testing.assert_array_equal(reveal([t[1] for t in back]), other)


def test_transcripts_do_not_depend_on_keys() -> None:
    shapes = set()
    for key in (np.zeros(300), np.arange(300) % 8, np.arange(300)[::-1] % 8, uniform(300) % np.uint64(8)):
        keys = share(key.astype(np.uint64), 3)
        done = run(lambda p, keys=keys: radix.radix_order(p, keys[p.rank]))
        shapes.add(tuple(tuple(map(len, messages)) for messages in done.received))
    assert len(shapes) == 1


@pytest.mark.parametrize("rows", [1 << 16, 1 << 18])
def test_the_choice_is_what_was_measured(rows: int) -> None:
    """Three processes over loopback: radix is faster up to 4 bits, comparisons from 8; between they are close."""
    assert [radix.choose(rows, bits) for bits in (1, 2, 4)] == ["radix"] * 3
    assert [radix.choose(rows, bits) for bits in (8, 16, 32, 64)] == ["compare"] * 4
    assert radix.choose(rows, 8, Link(0.04, 1e-8)) == "radix"  # a wide-area network: few rounds
