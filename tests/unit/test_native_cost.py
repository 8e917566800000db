"""The compiler's costs of native kernels against what the kernels declare."""

from __future__ import annotations

import pytest

from mpc_compiler.cost import FAR, NEAR, Cost, Link, bits, native
from mpc_engine.runtime.replicated.approx import sigmoid_cost
from mpc_engine.runtime.replicated.bit_cost import (
    a2b_cost,
    compact_cost,
    is_zero_cost,
    negative_cost,
    sort_cost,
)
from mpc_engine.runtime.replicated.core import matmul_cost
from mpc_engine.runtime.replicated.cost import PartyCost, segment_scan_cost
from mpc_engine.runtime.replicated.lookup import lookup_cost
from mpc_engine.runtime.replicated.minmax_scan import segment_extreme_cost
from mpc_engine.runtime.replicated.one_hot import one_hot_cost
from mpc_engine.runtime.replicated.recompose import recompose_cost

SIZES = [2, 65, 1000, 100_000]
MANY = [1000, 10_000, 100_000, 1_000_000]


def same(cost: Cost, declared: PartyCost) -> None:
    assert (cost.rounds, cost.bytes, cost.exact) == (declared.rounds, declared.total, True)


def close(cost: Cost, declared: PartyCost, *, size: float, rounds: float) -> None:
    assert not cost.exact
    assert 1 / size < cost.bytes / declared.total < size, (cost.bytes, declared.total)
    assert 1 / rounds < cost.rounds / declared.rounds < rounds, (cost.rounds, declared.rounds)


@pytest.mark.parametrize("rows", SIZES)
def test_exact_ones_are_those_declared(rows: int) -> None:
    same(native.compact_native(rows, [64, 1, 64], inject=True), compact_cost(rows, [None, 1, None]))
    for width in (2, 12, 64):
        same(native.equal_native(rows, width), is_zero_cost(rows, width))
    rounds, sent = matmul_cost(rows, 3)
    same(native.ring_matmul_native(rows, 7, 3), PartyCost(rounds, (sent, sent, sent)))


@pytest.mark.parametrize("link", [NEAR, FAR])
@pytest.mark.parametrize("rows", [1, *SIZES, 1_000_000])
def test_costs_of_bits_are_those_declared(rows: int, link: Link) -> None:
    words = bits.words_of(rows)
    for width in (1, 2, 3, 5, 8, 12, 18, 31, 32, 33, 63, 64):
        same(bits.less_cost(words, width, link), negative_cost(rows, width, link=link))
        same(native.compare_native(rows, width, link), negative_cost(rows, width, link=link))
        same(bits.equal_cost(words, width), is_zero_cost(rows, width))
        same(bits.a2b_cost(words, width, link), a2b_cost(rows, width, link))
        same(bits.recompose_cost(rows, width, link), recompose_cost(rows, width, link))


@pytest.mark.parametrize("link", [NEAR, FAR])
@pytest.mark.parametrize("rows", MANY)
def test_expectations_are_close(rows: int, link: Link) -> None:
    for width in (12, 32, 64):
        declared = sort_cost(rows, width, [None, 1], link)
        close(native.sort_rows_native(rows, width, [64, 1], link=link), declared, size=1.5, rounds=2)
        for left in (3, rows // 5, rows):
            declared = lookup_cost(left, rows, width, [None, 1, None], link=link)
            expected = native.lookup_native(left, rows, width, [64, 1, 64], known=width, link=link)
            close(expected, declared, size=1.5, rounds=2.5)
    for op in ("sum", "copy"):
        declared = segment_scan_cost(rows, 1, copy=op == "copy")
        close(native.segment_scan_native(rows, op), declared, size=1.2, rounds=1.2)
    declared = segment_extreme_cost(rows, 1, bits=64, link=link)
    close(native.segment_scan_native(rows, "min", link=link), declared, size=2.5, rounds=2)
    for domain in (2, 9, 100):
        close(native.one_hot_native(rows, domain, flags=1), one_hot_cost(rows, domain, flag=True), size=1.1, rounds=2)
    close(native.sigmoid_native(rows), sigmoid_cost(rows), size=1.1, rounds=1.3)
