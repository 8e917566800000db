"""Programs whose kernels run natively on the shares that SPU's regions leave, and the other way round."""

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

from mpc_compiler.ops.owned import OWNED
from mpc_compiler.ops.primitives import (
    compact,
    compare,
    lookup,
    one_hot,
    prefix_sum,
    quick_sigmoid,
    ring_matmul,
    segment_scan,
    sort_rows,
)
from mpc_compiler.partition import NATIVE, KernelRegion, partition
from mpc_engine.runtime.channel import MemoryHub
from mpc_engine.runtime.kernels import Values, run_kernel
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.spu_device import Sharer, SpuDevice, memory_link, runtime_config

NAMES = ("a", "b", "c")
RNG = np.random.default_rng(11)
ROWS = 130
SMALL = RNG.integers(0, 16, ROWS)
WIDE = RNG.integers(-(2**60), 2**60, ROWS)
WIDE[:3] = [0, -1, 1]
FRACTION = RNG.integers(-(2**20), 2**20, ROWS) / 2**10
FLAG = RNG.random(ROWS) > 0.4
_runs = itertools.count()

Program = Callable[..., Any]
Array = np.ndarray[Any, Any]


def run(fn: Program, args: tuple[Array, ...]) -> tuple[list[Array], list[str]]:
    """Run a program among three threads; returns its results, and which kernels took part."""
    config = runtime_config("aby3")
    specs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in args]
    with enable_x64():
        cut = partition(fn, specs, protocol="aby3", kernels="native")
    sharer, hub, name = Sharer(config), MemoryHub(NAMES, timeout=60), f"kernels{next(_runs)}"
    shares = [sharer.share(a) for a in args]
    types = {n: (a.shape, a.dtype.name) for n, a in zip(cut.inputs, args, strict=True)}
    for region in cut.regions:
        outs = (v.aval for v in region.jaxpr.jaxpr.outvars)
        types.update(zip(region.outputs, [(tuple(o.shape), o.dtype.name) for o in outs], strict=True))

    def party(rank: int) -> list[bytes]:
        device = SpuDevice(rank, lambda: memory_link(NAMES, rank, name), config)
        device.connect()
        with hub.channel(NAMES[rank]) as channel:
            kernel_party = Replicated(rank, ChannelLinks(channel, NAMES))
            kernel_party.setup()
            for n, share, arg in zip(cut.inputs, shares, args, strict=True):
                device.load(n, share[rank], dtype=arg.dtype, shape=arg.shape)
            values = Values(device, types)
            values.made_by_device(cut.inputs)
            for region in cut.regions:
                if isinstance(region, KernelRegion):
                    sent = channel.snapshot().messages
                    run_kernel(kernel_party, region, values, types)
                    assert not region.local or channel.snapshot().messages == sent, region
                else:
                    values.hand_over(region.inputs)
                    device.run(device.compile(region))
                    values.made_by_device(region.outputs)
            values.hand_over(cut.outputs)
            wires = [device.export(n) for n in cut.outputs]
            values.forget()
        device.close()
        return wires

    with ThreadPoolExecutor(3) as pool:
        exported = [future.result(120) for future in [pool.submit(party, rank) for rank in range(3)]]
    results = []
    for n, *wires in zip(cut.outputs, *exported, strict=True):
        shape, dtype = types[n]
        results.append(np.asarray(sharer.reconstruct(list(wires), dtype=np.dtype(dtype), shape=shape)))
    return results, [r.primitive for r in cut.regions if isinstance(r, KernelRegion)]


def flags_then_movers(x: Any, w: Any, f: Any, b: Any) -> Any:
    seen = (x > 7) & ~b  # bits that SPU made, from bits that a kernel made
    kept = compact(seen, (x, seen, f, b, w))
    arithmetic = sort_rows((x,), (b,), (4,))[1]  # a flag that was moved is used again
    return [*kept, jnp.where(arithmetic, x, -x), arithmetic.astype(jnp.int64), *compact(arithmetic, (w,))]


def flags_as_numbers(x: Any, w: Any, f: Any, b: Any) -> Any:
    made = jnp.where(b, x > 3, False)  # SPU multiplies, and has a number where a flag stands
    known = jnp.arange(ROWS) % 3 == 0
    moved, public, again = compact(x > 7, (made, known, b))
    both, either = moved & public, moved | again
    kept = compact(moved, (w, x))
    return [both, either, ~moved, ~public, jnp.where(moved, f, -f), public.astype(jnp.int64), public == again, *kept]


def sorts(x: Any, w: Any, f: Any, b: Any) -> Any:
    one = sort_rows((w,), (x, b), (64,))
    two = sort_rows((b, f, x), (w,), (1, 64, 4))
    flag = sort_rows((b,), (x, f), (1,))
    small = sort_rows((x, x * 0), (f, jnp.arange(ROWS)), (4, 0))
    digits = sort_rows((x & 3, b), (f, w), (2, 1))
    return [*one, *two, *flag, small[0], *small[2:], *digits]


def lookups(x: Any, w: Any, f: Any, b: Any) -> Any:
    """Of parts of the same columns; the first word of the key comes as bits on one side and as numbers on the other."""
    moved = compact(w > 0, (b, x))
    low, high = slice(0, 40), slice(40, None)
    one = lookup([x[low]], [x[high]], [w[low], f[low], b[low]], [4])
    two = lookup([moved[0][low], x[low]], [b[high], x[high]], [x[low] + 0, b[low]], [1, 4])
    wide = lookup([w[low], x[low] * 0], [jnp.roll(w, 3)[high], x[high] * 0], [x[low]], [64, 0])
    few = lookup([x[:5], b[:5]], [x, b], [f[:5], w[:5], b[:5]], [4, 1])
    none = lookup([x[low]], [x[high] + 16], [], [5])
    known = lookup([jnp.arange(9)], [x], [jnp.arange(9) ** 2], [5])
    found = [one, two, wide, few, none, known]
    return [
        *(flag for flag, _ in found),
        *(jnp.where(flag, column, jnp.zeros((), column.dtype)) for flag, columns in found for column in columns),
    ]


def comparisons(x: Any, w: Any, f: Any, b: Any) -> Any:
    table = jnp.stack([x, x + 1]) >= jnp.asarray([[3], [9]])
    return [x < 9, f <= 0.25, w > x, x >= x[::-1], x == 3, f != f[::-1], w == w, table, jnp.where(table[0], f, -f)]


def narrow_comparisons(x: Any, w: Any, f: Any, b: Any) -> Any:
    pairs = [compare(x, x[::-1], op, bits=5) for op in ("lt", "le", "gt", "ge", "eq", "ne")]
    return [
        *pairs,
        compare(f, jnp.asarray(0.5), "le", bits=30),
        compare(x, jnp.asarray(7), "eq", bits=5),
        compare(w, jnp.asarray(0), "gt", bits=64),
    ]


def scans(x: Any, w: Any, f: Any, b: Any) -> Any:
    start = x < 5
    return [
        segment_scan(start, w, "sum"),
        segment_scan(b, f, "copy"),
        segment_scan(start, f, "min"),
        segment_scan(b, w, "max"),
    ]


def products(x: Any, w: Any, f: Any, b: Any) -> Any:
    hot = jnp.stack([b, x > 4]).astype(jnp.int64)
    return ring_matmul(hot, jnp.stack([w, x], axis=1)), ring_matmul(hot, f[:, None])


def on_the_way(x: Any, w: Any, f: Any, b: Any) -> Any:
    """What kernels do with the results of kernels without SPU in between, and with inputs before the first kernel."""
    table = jnp.stack([x + 3, 7 - x])  # for kernels only
    first, second = sort_rows((table[0], table[1]), (w, f, b), (5, 5))[:2]
    low, high = first < second, (first * 3 - second)[::-1]
    flag = (low | (high > 20)) & ~(second == 2)
    count = prefix_sum(flag.astype(jnp.int64))
    wide = jnp.broadcast_to(-count[:, None], (ROWS, 2))
    moved = compact(flag, (wide[:, 1], jnp.concatenate([count[5:], count[:5] - 1]), f))
    return [*moved, count[::3], wide.sum(axis=0), wide.reshape(-1)[7:9], prefix_sum(f), low]


def codes(x: Any, w: Any, f: Any, b: Any) -> Any:
    return [one_hot(x, 16, None), one_hot(x, 16, b), one_hot(x, 11, x < 11), one_hot(b.astype(jnp.int64), 2, x > 3)]


def loop(x: Any, w: Any, f: Any, b: Any) -> Any:
    def turn(_: Any, y: Any) -> Any:
        return sort_rows(((y * 5 + 3) & 15,), (y,), (4,))[1] + 1

    return jax.lax.fori_loop(0, 3, turn, x)


PROGRAMS = [
    *(flags_then_movers, flags_as_numbers, sorts, lookups, comparisons, narrow_comparisons),
    *(scans, products, on_the_way, codes, loop),
]


@pytest.mark.parametrize("fn", PROGRAMS)
def test_results_equal_those_in_the_clear(fn: Program) -> None:
    args = (SMALL, WIDE, FRACTION, FLAG)
    with enable_x64():
        expected = [np.asarray(v) for v in jax.tree.leaves(jax.jit(fn)(*args))]
    got, used = run(fn, args)
    assert used
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)


def test_every_kernel_is_used_by_these_programs() -> None:
    specs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (SMALL, WIDE, FRACTION, FLAG)]
    with enable_x64():
        cuts = [partition(fn, specs, protocol="aby3", kernels="native") for fn in PROGRAMS]
    regions = (r for cut in cuts for r in cut.regions if isinstance(r, KernelRegion))
    used = {call.primitive for r in regions for call in r.calls}
    # tests/unit/test_native_programs.py and beside
    elsewhere = {"logistic", "quick_sigmoid", "exp", "log", "eq", "ne", "scaled_matmul", *OWNED}
    assert used >= NATIVE - elsewhere


@pytest.mark.parametrize(("sigmoid", "name"), [(jax.nn.sigmoid, "logistic"), (quick_sigmoid, "quick_sigmoid")])
def test_sigmoid_is_within_its_bound(sigmoid: Callable[..., Any], name: str) -> None:
    x = np.linspace(-40, 40, 2001)
    (got,), used = run(sigmoid, (x,))
    assert used == [name]
    assert np.abs(got - 1 / (1 + np.exp(-x))).max() < 1e-4


def test_tables_of_one_row() -> None:
    args = (SMALL[:1], WIDE[:1], FRACTION[:1], FLAG[:1])
    with enable_x64():
        expected = [np.asarray(v) for v in jax.tree.leaves(flags_then_movers(*args))]
    got, _ = run(flags_then_movers, args)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)
