"""Relational operators in the clear against pandas and numpy, and in SPU (aby3, cheetah) against the clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops import group
from mpc_compiler.ops import primitives as ops
from mpc_compiler.ops.group import Agg, Key, aggregate, group_by
from mpc_compiler.ops.order import SortKey, head, sort_values, value_counts
from mpc_compiler.ops.scan import prefix_sum, tree_reduce
from mpc_compiler.ops.table import Column, Table, both, either, filter_rows, release, select
from tests.rows import assert_same, frame_of, make, table_of, tables, visible
from tests.spu_threads import in_spu

TOLERANCE = 2.0**-14  # of a mean of values below 32: declared bound of numeric.ratio plus the encoding of its inputs

AGGS = [
    Agg("total", "sum", "v"),
    Agg("exposure", "sum", "f"),
    Agg("mean", "mean", "f", -32, 32),
    Agg("present", "count", "f"),
    Agg("size", "size"),
    Agg("low", "min", "f", -32, 32),
    Agg("high", "max", "v", -50, 50),
    Agg("any", "max", "b"),
    Agg("bads", "sum", "b"),
]
RANKED = [*AGGS, Agg("least", "min", "v", -50, 50)]
KEYS = [Key("k", -2, 3, nullable=True), Key("b")]
KINDS = {"k": "Int64", "v": "int64", "f": "Float64", "b": "bool"}


def programs() -> dict[str, Callable[..., Any]]:
    def grouped(*arrays: Any) -> Table:
        return release(group_by(table_of(arrays), KEYS, AGGS))

    def grouped_by_value(*arrays: Any) -> Table:
        return release(group_by(table_of(arrays), KEYS, RANKED, kernels=True))

    def summed(*arrays: Any) -> Table:
        return release(aggregate(table_of(arrays), AGGS))

    def by_values(*arrays: Any) -> Table:
        keys = [SortKey("f", False, -32, 32, nullable=True), SortKey("b"), SortKey("k", True, -2, 3, nullable=True)]
        return release(sort_values(table_of(arrays), keys))

    def by_wide_values(*arrays: Any) -> Table:
        return release(sort_values(table_of(arrays), [SortKey("f", nullable=True, ascending=False), SortKey("v")]))

    def first(*arrays: Any) -> Table:
        return release(head(table_of(arrays), 3))

    def filtered(*arrays: Any) -> Table:
        table = table_of(arrays)
        positive = Column(table.columns["f"].value > 0, table.columns["f"].valid)
        return release(select(filter_rows(table, positive), ["v", "f"]))

    def counted(*arrays: Any) -> Table:
        return release(value_counts(table_of(arrays), KEYS[0]))

    made = [grouped, grouped_by_value, summed, by_values, by_wide_values, first, filtered, counted]
    return {fn.__name__: fn for fn in made}


PROGRAMS = programs()


def expected_of(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    if name.startswith("grouped"):
        groups = frame.groupby(["k", "b"], sort=True)
        aggs = AGGS if name == "grouped" else RANKED
        out = groups.agg(**{a.out: (a.column or "v", a.fn) for a in aggs})
        return out.reset_index()
    if name == "summed":
        f, v, b = frame["f"], frame["v"], frame["b"]
        some = len(v) > 0
        row = [v.sum(), f.sum() if some else 0, f.mean(), f.count(), len(frame), f.min()]
        row += [v.max() if some else pd.NA, b.max() if some else pd.NA, b.sum()]
        return pd.DataFrame([row], columns=[a.out for a in AGGS])
    if name == "by_values":
        return frame.sort_values(["f", "b", "k"], ascending=[False, True, True], kind="stable")
    if name == "by_wide_values":
        return frame.sort_values(["f", "v"], ascending=[False, True], kind="stable")
    if name == "first":
        return frame.head(3)
    if name == "filtered":
        return frame[(frame["f"] > 0).fillna(False)][["v", "f"]]
    counts = frame.groupby("k").size().rename("count").reset_index()
    return counts.sort_values("count", ascending=False, kind="stable")


@partial(jax.jit, static_argnames=("name", "limit"))
def in_clear(arrays: tuple[Any, ...], *, name: str, limit: int) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "DOMAIN_LIMIT", limit)
        return PROGRAMS[name](*arrays)


@pytest.mark.parametrize(
    ("name", "limit"), [("grouped", 128), ("grouped", 0), ("grouped_by_value", 0)], ids=["domain", "sort", "value"]
)
@given(rows=tables())
@settings(max_examples=60, deadline=None)
def test_group_by_equals_pandas(name: str, limit: int, rows: list[tuple[Any, ...]]) -> None:
    arrays = make(rows)
    got = visible(in_clear(arrays, name=name, limit=limit))
    assert_same(got, expected_of(name, frame_of(arrays)), atol=1e-9)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if not name.startswith("grouped")])
@given(rows=tables())
@settings(max_examples=30, deadline=None)
def test_operators_equal_pandas(name: str, rows: list[tuple[Any, ...]]) -> None:
    arrays = make(rows)
    got = visible(in_clear(arrays, name=name, limit=128))
    assert_same(got, expected_of(name, frame_of(arrays)), atol=1e-9)


@given(rows=tables())
@settings(max_examples=30, deadline=None)
def test_nothing_of_a_dropped_row_is_released(rows: list[tuple[Any, ...]]) -> None:
    out = in_clear(make(rows), name="filtered", limit=128)
    assert out.order is None
    seen = int(np.sum(out.valid))
    assert np.all(np.asarray(out.valid)[:seen])
    for column in out.columns.values():
        assert not np.any(np.asarray(column.value)[seen:])
        assert column.valid is None or not np.any(np.asarray(column.valid)[seen:])


@given(rows=tables(), method=st.sampled_from(["radix", "network"]))
@settings(max_examples=40, deadline=None)
def test_row_movers_are_stable(rows: list[tuple[Any, ...]], method: str) -> None:
    k, _, v, f, _, b, keep, _ = make(rows)
    bound = partial(ops.PRIMITIVES["sort_rows"].primitive.bind, bits=(1, 3), keep=(False, True), method=method)
    key, moved, flags = bound(b, k + 2, f, keep)
    order = np.lexsort((k, b))
    for got, given_ in zip((key, moved, flags), (k + 2, f, keep), strict=True):
        np.testing.assert_array_equal(got, given_[order])
    (packed,) = ops.PRIMITIVES["compact"].primitive.bind(keep, v, method=method)
    np.testing.assert_array_equal(packed, np.concatenate([v[keep], v[~keep]]))


@given(rows=tables(), op=st.sampled_from(["sum", "min", "max", "copy"]))
@settings(max_examples=40, deadline=None)
def test_segment_scan(rows: list[tuple[Any, ...]], op: str) -> None:
    _, _, v, f, _, start, *_ = make(rows)
    for value in (v, f):
        series = pd.Series(value)
        groups = series.groupby(np.cumsum(start))
        expected = groups.transform("first") if op == "copy" else getattr(groups, f"cum{op}")()
        np.testing.assert_allclose(ops.segment_scan(start, value, op), expected.to_numpy(), atol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 4097])
def test_prefix_sum(n: int) -> None:
    rng = np.random.default_rng(n)
    whole = rng.integers(-(2**62), 2**62, n)
    np.testing.assert_array_equal(prefix_sum(jnp.asarray(whole)), np.cumsum(whole))
    parts = rng.normal(size=n)
    np.testing.assert_allclose(prefix_sum(jnp.asarray(parts)), np.cumsum(parts), atol=1e-9)
    if n:
        assert tree_reduce(jnp.minimum, jnp.asarray(whole)) == whole.min()


@pytest.mark.parametrize(("g", "n", "c"), [(2, 5, 3), (3, 0, 2), (0, 4, 1), (40, 90, 40), (90, 300, 3)])
def test_ring_matmul_wraps(g: int, n: int, c: int) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-(2**62), 2**62, (g, n)), rng.integers(-(2**62), 2**62, (n, c))
    np.testing.assert_array_equal(ops.ring_matmul(a, b), a @ b)
    flags, parts = a > 0, rng.normal(size=(n, c))
    np.testing.assert_allclose(ops.ring_matmul(flags, parts), flags @ parts, atol=1e-9)
    with pytest.raises(TypeError, match="int64 × float64"):
        ops.ring_matmul(parts, parts)


def test_flags() -> None:
    a, b = jnp.asarray([True, True, False, False]), jnp.asarray([True, False, True, False])
    conjunction, disjunction = both(a, b), either(a, b)
    assert conjunction is not None
    assert disjunction is not None
    assert conjunction.tolist() == [True, False, False, False]
    assert disjunction.tolist() == [True, True, True, False]
    assert both(None, a) is a
    assert either(None, a) is None


def test_column_order_survives_jit() -> None:
    table = Table({"z": Column(np.arange(3)), "a": Column(np.ones(3), np.ones(3, bool))}, order_bits=7, packed=True)
    out = jax.jit(lambda t: t)(table)
    assert list(out.columns) == ["z", "a"]
    assert (out.order_bits, out.packed, out.rows) == (7, True, 3)


def test_wide_and_many_keys() -> None:
    rng = np.random.default_rng(2)
    a, b, c = rng.integers(-(2**63), 2**63 - 1, 40), rng.integers(0, 2, 40) * 2**61, rng.integers(0, 3, 40)
    a[20:] = a[:20]
    keep = rng.random(40) > 0.3
    for valid in (None, keep):
        table = Table({"a": Column(a), "b": Column(b), "c": Column(c)}, valid)
        keys = [Key("a"), Key("b", 0, 2**61), Key("c", 0, 2)]
        got = visible(group_by(table, keys, [Agg("n", "size")]))
        expected = visible(table).groupby(["a", "b", "c"]).size().rename("n").reset_index()
        pd.testing.assert_frame_equal(got.astype("int64"), expected.astype("int64"))


def test_errors_say_what_to_do() -> None:
    table = Table({"f": Column(jnp.ones(2))})
    for key, aggs, code in [
        ("f", [], "MPC-0350"),
        (None, [Agg("x", "mode", "f")], "MPC-0351"),
        (None, [Agg("x", "quantile", "f", param=1.5)], "MPC-0351"),
        (None, [Agg("x", "sum", "g")], "MPC-0352"),
    ]:
        with pytest.raises(UnsupportedError) as caught:
            group_by(table, [Key(key)], aggs) if key else aggregate(table, aggs)
        assert caught.value.code == code
        assert caught.value.hint


# ---- the same programs on shares


@pytest.fixture(params=[128, 0], ids=["domain", "sort"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(group, "DOMAIN_LIMIT", request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


def sample(n: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    rows = [
        (
            None if rng.random() < 0.2 else int(rng.integers(-2, 4)),
            int(rng.integers(-50, 51)),
            None if rng.random() < 0.3 else float(rng.integers(-256, 257) / 8),
            bool(rng.random() < 0.5),
            bool(rng.random() < 0.7),
            2 * int(rank),
        )
        for rank in rng.permutation(min(n, 16))
    ]
    return make(rows)


@pytest.mark.parametrize("n", [1, 2, 15])
def test_group_by_on_shares(limit: int, n: int) -> None:
    arrays = sample(n, seed=n)
    got = visible(in_spu(PROGRAMS["grouped"], *arrays))
    assert_same(got, expected_of("grouped", frame_of(arrays)), atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "grouped"])
@pytest.mark.parametrize("n", [1, 15])
def test_operators_on_shares(name: str, n: int) -> None:
    arrays = sample(n, seed=n)
    got = visible(in_spu(PROGRAMS[name], *arrays))
    assert_same(got, expected_of(name, frame_of(arrays)), atol=TOLERANCE)


def test_primitives_on_shares() -> None:
    rng = np.random.default_rng(4)
    n = 130
    flag, key, value = rng.random(n) > 0.5, rng.integers(0, 200, n), rng.integers(-1000, 1000, n)
    parts = rng.integers(-(2**20), 2**20, n) / 2**10

    def fn(flag: Any, key: Any, value: Any, parts: Any) -> Any:
        return (
            *ops.sort_rows((flag,), (value,), (1,)),
            *ops.sort_rows((key & 255, flag), (value,), (8, 1)),
            *ops.sort_rows((value,), (parts,), (64,)),
            *ops.sort_rows((parts,), (value,), (64,)),
            *ops.compact(flag, (flag, value, parts)),
            *ops.compact(ops.compact(flag, (flag,))[0], (value,)),
            *(ops.segment_scan(flag, x, op) for x in (value, parts) for op in ("sum", "min", "max", "copy")),
            prefix_sum(value),
            prefix_sum(parts),
            ops.ring_matmul(jnp.stack([key, value]), jnp.stack([value] * 4, axis=1)),
            ops.ring_matmul(jnp.stack([key, value]), jnp.stack([parts] * 2, axis=1)),
            ops.encode_fixed(parts),
            ops.decode_fixed(value),
        )

    args = (flag, key, value, parts)
    for got, expected in zip(in_spu(fn, *args), jax.jit(fn)(*args), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=0)


def test_sums_of_fixed_point_numbers_carry_no_truncation_error() -> None:
    rng = np.random.default_rng(6)
    n = 5000
    flags, amounts = rng.integers(0, 2, (3, n)), rng.integers(0, 2**38, (n, 2)) / 2**18
    got = in_spu(lambda a, b: ops.ring_matmul(a, b), flags, amounts)
    np.testing.assert_array_equal(got, flags @ amounts)


def test_cheetah_sorts_stably() -> None:
    rng = np.random.default_rng(7)
    key, value = rng.integers(0, 3, 9), np.arange(9)
    sort = partial(ops.PRIMITIVES["sort_rows"].primitive.bind, bits=(2,), keep=(False,), method="network")
    pack = partial(ops.PRIMITIVES["compact"].primitive.bind, method="network")

    def fn(key: Any, value: Any) -> Any:
        return (*sort(key, value), *pack(key > 0, value))

    moved, packed = in_spu(fn, key, value, protocol="cheetah")
    np.testing.assert_array_equal(moved, value[np.argsort(key, kind="stable")])
    np.testing.assert_array_equal(packed, np.concatenate([value[key > 0], value[key == 0]]))
