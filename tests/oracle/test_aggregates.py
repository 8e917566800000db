"""Aggregates that depend on how the rows of a group lie (distinct values, quantiles, first, last) against pandas."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_compiler.ops.group import Agg, Key, aggregate, group_by
from mpc_compiler.ops.order import SortKey, sort_values
from mpc_compiler.ops.ranked import quantile_bits
from mpc_compiler.ops.table import Column, Table, release
from tests.rows import assert_same, frame_of, make, table_of, tables, visible
from tests.spu_threads import in_spu

V, F = {"lo": -50, "hi": 50}, {"lo": -32, "hi": 32}
RANKED = [
    Agg("values", "nunique", "v", **V), Agg("middle", "median", "v", **V), Agg("bottom", "min", "v", **V),
    Agg("fifth", "quantile", "v", param=0.2, **V), Agg("top", "max", "v", **V),
    Agg("amounts", "nunique", "f", **F), Agg("half", "median", "f", **F), Agg("most", "quantile", "f", param=1, **F),
    Agg("least", "quantile", "f", param=0.0, **F), Agg("flags", "nunique", "b"),
    Agg("low", "min", "f", **F), Agg("high", "max", "f", **F),
]  # fmt: skip
PLACED = [
    Agg("first", "first", "v"), Agg("last", "last", "v"), Agg("first amount", "first", "f"),
    Agg("last amount", "last", "f"), Agg("first flag", "first", "b"), Agg("last flag", "last", "b"),
    Agg("total", "sum", "f"), Agg("least", "min", "v", **V), Agg("most", "max", "f", **F),
]  # fmt: skip
MIXED = [*PLACED, Agg("middle", "median", "f", **F), Agg("values", "nunique", "v", **V), Agg("mean", "mean", "v")]
AGGS = {"ranked": RANKED, "placed": PLACED, "mixed": MIXED}
KEYS = [Key("k", -2, 3, nullable=True), Key("b")]
EXACT = 100 * 2.0**-18 + 2.0**-16  # levels of 18 fraction bits between values that are at most 100 apart; truncation


def grouped(*arrays: Any, aggs: str, by_value: bool, presorted: bool, nulls: bool = False) -> Table:
    table = table_of(arrays)
    keys = [Key(key.name, key.lo, key.hi, key.nullable, nulls=nulls) for key in KEYS]
    if presorted:
        table = sort_values(
            table, [SortKey("k", lo=-2, hi=3, nullable=True), SortKey("b"), SortKey("v", lo=-50, hi=50)]
        )
    return release(group_by(table, keys, AGGS[aggs], kernels=by_value))


def total(*arrays: Any, aggs: str) -> Table:
    return release(aggregate(table_of(arrays), AGGS[aggs]))


def cell(data: pd.Series, agg: Agg) -> Any:
    """What pandas makes of the column of one group."""
    if agg.fn in ("first", "last"):
        present = data.dropna()
        return pd.NA if present.empty else present.iloc[0 if agg.fn == "first" else -1]
    if agg.fn == "sum":
        return data.sum()
    if agg.fn == "nunique":
        return data.nunique()
    present = data.dropna().astype("float64")
    if present.empty:
        return pd.NA
    return present.quantile(agg.param) if agg.fn == "quantile" else getattr(present, agg.fn)()


def rows_of(frame: pd.DataFrame, aggs: list[Agg]) -> list[Any]:
    return [cell(frame[agg.column], agg) for agg in aggs]


def expected_groups(frame: pd.DataFrame, aggs: list[Agg], *, nulls: bool = False) -> pd.DataFrame:
    found = frame.groupby(["k", "b"], sort=True, dropna=not nulls)
    rows = [[*key, *rows_of(part, aggs)] for key, part in found]
    return pd.DataFrame(rows, columns=["k", "b", *(agg.out for agg in aggs)])


@partial(jax.jit, static_argnames=("aggs", "by_value", "presorted", "nulls"))
def in_clear(arrays: tuple[Any, ...], **choices: Any) -> Table:
    return grouped(*arrays, **choices)


@partial(jax.jit, static_argnames="aggs")
def total_in_clear(arrays: tuple[Any, ...], *, aggs: str) -> Table:
    return total(*arrays, aggs=aggs)


CHOICES = [
    ("ranked", True, False, False),
    ("ranked", False, True, True),
    ("placed", True, False, True),
    ("placed", False, True, False),
    ("mixed", False, False, False),
    ("mixed", True, True, True),
]


@pytest.mark.parametrize(("aggs", "by_value", "presorted", "nulls"), CHOICES)
@given(rows=tables())
@settings(max_examples=25, deadline=None)
def test_groups_equal_pandas(aggs: str, by_value: bool, presorted: bool, nulls: bool, rows: list[Any]) -> None:
    arrays = make(rows)
    frame = frame_of(arrays)
    if presorted:
        frame = frame.sort_values(["k", "b", "v"], kind="stable")
    got = visible(in_clear(arrays, aggs=aggs, by_value=by_value, presorted=presorted, nulls=nulls))
    assert_same(got, expected_groups(frame, AGGS[aggs], nulls=nulls), atol=EXACT)


@pytest.mark.parametrize("aggs", AGGS)
@given(rows=tables())
@settings(max_examples=30, deadline=None)
def test_totals_equal_pandas(aggs: str, rows: list[Any]) -> None:
    arrays = make(rows)
    want = pd.DataFrame([rows_of(frame_of(arrays), AGGS[aggs])], columns=[agg.out for agg in AGGS[aggs]])
    assert_same(visible(total_in_clear(arrays, aggs=aggs)), want, atol=EXACT)


def sample(n: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    rows = [
        (
            None if rng.random() < 0.2 else int(rng.integers(-1, 2)),
            int(rng.integers(-5, 6)),
            None if rng.random() < 0.3 else float(rng.integers(-32, 33) / 8),
            bool(rng.random() < 0.5),
            bool(rng.random() < 0.8),
            2 * int(rank) % 31,
        )
        for rank in rng.permutation(16)[:n]
    ]
    return make(rows)


@pytest.mark.parametrize(("aggs", "by_value", "presorted"), [("ranked", True, False), ("mixed", False, True)])
def test_groups_on_shares(aggs: str, by_value: bool, presorted: bool) -> None:
    arrays = sample(15, seed=3)
    frame = frame_of(arrays)
    if presorted:
        frame = frame.sort_values(["k", "b", "v"], kind="stable")
    got = visible(in_spu(partial(grouped, aggs=aggs, by_value=by_value, presorted=presorted), *arrays))
    assert_same(got, expected_groups(frame, AGGS[aggs]), atol=EXACT)


def test_totals_on_shares() -> None:
    arrays = sample(15, seed=5)
    want = pd.DataFrame([rows_of(frame_of(arrays), MIXED)], columns=[agg.out for agg in MIXED])
    assert_same(visible(in_spu(partial(total, aggs="mixed"), *arrays)), want, atol=EXACT)


@given(level=st.floats(0, 1), values=st.lists(st.integers(-50, 50), min_size=1, max_size=16))
@settings(max_examples=100, deadline=None)
def test_any_level(level: float, values: list[int]) -> None:
    table = Table({"v": Column(np.array(values))})
    for lo, hi in ((-50, 50), (None, None)):
        out = aggregate(table, [Agg("q", "quantile", "v", lo, hi, param=level)])
        assert abs(float(out.columns["q"].value[0]) - np.quantile(values, level)) <= 100 * 2.0**-18 + 2.0**-18


def test_levels_are_exact_where_they_can_be() -> None:
    assert quantile_bits(0.25, 10) == (1, 2)
    for level in (0.1, 0.9, 1 / 3):
        whole, bits = quantile_bits(level, 1 << 20)
        assert abs(whole / 2**bits - level) <= 2.0 ** -(bits + 1)
        assert whole * (1 << 20) < 1 << 62


def test_any_carries_what_a_group_shares() -> None:
    rng = np.random.default_rng(1)
    key = rng.integers(0, 40, 100)
    name, known = key * 7 - 3, key % 3 > 0
    keep = rng.random(100) < 0.8
    table = Table({"k": Column(key), "n": Column(np.where(known, name, 0), known), "v": Column(key % 5)}, keep)
    aggs = [Agg("n", "any", "n"), Agg("total", "sum", "v")]
    got = visible(group_by(table, [Key("k", 0, 1000)], aggs))
    want = visible(table).groupby("k").agg(n=("n", "first"), total=("v", "sum")).reset_index()
    assert_same(got, want)
    two = Table({"n": Column(np.array([9, 9])), "m": Column(np.array([1, 8]))}, np.array([False, True]))
    one = visible(aggregate(two, [Agg("n", "any", "n"), Agg("m", "any", "m")]))
    assert one.to_numpy().tolist() == [[9, 8]]
