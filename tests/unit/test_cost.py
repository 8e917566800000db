"""Cost algebra and the estimates for SPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import enable_x64

from mpc_compiler.cost import LAN, LOOPBACK, WAN, ZERO, Cost, native, seconds
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.spu import spu_cost
from mpc_compiler.ops.group import Agg, Key, group_by
from mpc_compiler.ops.order import SortKey, sort_values
from mpc_compiler.ops.primitives import PRIMITIVES, compact, ring_matmul, segment_scan, sort_rows
from mpc_compiler.ops.table import Column, Table, release
from mpc_compiler.partition import SpuRegion, partition
from mpc_engine.runtime.device import RunCost
from mpc_engine.runtime.spu_device import Sharer, SpuDevice, memory_link, runtime_config

COSTS = {name: info.cost for name, info in PRIMITIVES.items()}
ROWS = 600


def test_algebra() -> None:
    a, b = Cost(2, 10, 1), Cost(3, 5, 2, exact=False)
    assert a + b == Cost(5, 15, 3, exact=False)
    assert a | b == Cost(3, 15, 3, exact=False)
    assert 3 * a == a * 3 == a + a + a
    assert ZERO + a == a
    assert str(b) == "~3 rounds, ~5 B"
    assert str(Cost(1, 3 << 20)) == "1 rounds, 3.0 MiB"


def test_seconds_rank_links() -> None:
    deep, wide = Cost(1000, 1000), Cost(1, 100_000_000)
    assert seconds(deep, WAN) > seconds(deep, LAN) > seconds(deep, LOOPBACK)
    assert seconds(deep, WAN) > seconds(wide, WAN)
    assert seconds(deep, LAN) > seconds(wide, LAN)


def test_native_matmul_is_exact() -> None:
    assert native.ring_matmul_native(4, 1000, 3) == Cost(1, 288, 13 * 0 + 4 * 1000 * 3 // 8 + 7 * 1000)


def test_loops_count_their_trips() -> None:
    def fn(x: Any) -> Any:
        return jax.lax.fori_loop(0, 5, lambda _, v: v * x, x)

    cost = spu_cost(jax.make_jaxpr(fn)(np.arange(10)), "aby3", COSTS)
    assert cost == Cost(5, 5 * 240, 5 * 10, exact=False)


@pytest.mark.parametrize("method", ["aby3", "cheetah"])
def test_costs_grow_with_rows_and_bits(method: str) -> None:
    small, large = costs.sort_rows_spu(method, 100, 8, 2), costs.sort_rows_spu(method, 1000, 8, 2)
    assert large.bytes > small.bytes
    assert costs.sort_rows_spu("aby3", 100, 32, 2).rounds > costs.sort_rows_spu("aby3", 100, 8, 2).rounds
    assert costs.sort_rows_spu(method, 1, 8, 2) == ZERO


def _table(k: Any, v: Any, f: Any, b: Any) -> Table:
    return Table({"k": Column(k), "v": Column(v), "f": Column(f)}, b)


AGGS = [Agg("s", "sum", "v"), Agg("n", "size"), Agg("m", "min", "v", -50, 50)]
PROGRAMS: dict[str, Callable[..., Any]] = {
    "sort": lambda k, v, f, b: sort_rows((k,), (v, f), (12,))[1:],
    "sort one bit": lambda k, v, f, b: sort_rows((b,), (v,), (1,)),
    "compact": lambda k, v, f, b: compact(b, (v, f)),
    "scan": lambda k, v, f, b: segment_scan(b, v, "min"),
    "matmul": lambda k, v, f, b: ring_matmul(jnp.stack([k, v]), jnp.stack([f, f], axis=1)),
    "flags": lambda k, v, f, b: ((k < v) & b, jnp.where(b, k, v), k == v),
    "fixed point": lambda k, v, f, b: (f * f + 1.5 * f, f / 3.0, jnp.exp(f / 64)),
    "division": lambda k, v, f, b: 1.0 / (f * f + 1),
    "domain": lambda k, v, f, b: release(group_by(_table(k, v, f, b), [Key("k", 0, 9)], AGGS)),
    "groups": lambda k, v, f, b: release(group_by(_table(k, v, f, b), [Key("k", 0, 9999)], AGGS)),
    "sorted": lambda k, v, f, b: sort_values(_table(k, v, f, b), [SortKey("f", lo=-8, hi=8, nullable=False)]),
}


_runs = itertools.count()


def _measure(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[int, int]:
    """Bytes of all parties and rounds of the slowest, as SPU counts them."""
    config, names = runtime_config("aby3"), ("a", "b", "c")
    specs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in args]
    with enable_x64():
        cut = partition(fn, specs, protocol="aby3", kernels="spu")
    shares = [Sharer(config).share(a) for a in args]
    run = f"cost{next(_runs)}"

    def party(rank: int) -> RunCost:
        device = SpuDevice(rank, lambda: memory_link(names, rank, run), config)
        device.connect()
        for name, share, arg in zip(cut.inputs, shares, args, strict=True):
            device.load(name, share[rank], dtype=arg.dtype, shape=arg.shape)
        costs = [device.run(device.compile(region)) for region in cut.regions if isinstance(region, SpuRegion)]
        device.close()
        return sum(costs, RunCost())

    with ThreadPoolExecutor(3) as pool:
        spent = [future.result(120) for future in [pool.submit(party, rank) for rank in range(3)]]
    return sum(cost.bytes_sent for cost in spent), max(cost.rounds for cost in spent)


@pytest.mark.parametrize("name", PROGRAMS)
def test_estimates_are_close_to_what_spu_counts(name: str) -> None:
    rng = np.random.default_rng(3)
    args = (
        rng.integers(0, 10, ROWS),
        rng.integers(-50, 50, ROWS),
        rng.integers(-32, 32, ROWS) / 4,
        rng.random(ROWS) > 0.5,
    )
    size, rounds = _measure(PROGRAMS[name], args)
    cost = spu_cost(jax.make_jaxpr(PROGRAMS[name])(*args), "aby3", COSTS)
    assert not cost.exact
    assert 0.6 < (cost.bytes + 1000) / (size + 1000) < 1.6, (cost.bytes, size)
    assert 0.5 < (cost.rounds + 3) / (rounds + 3) < 2.0, (cost.rounds, rounds)
