"""Programs that native kernels run from end to end: results, and rounds and bytes as declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import enable_x64

from mpc_compiler.ops.primitives import compare, decode_fixed, encode_fixed, scaled_matmul
from mpc_compiler.partition import EITHER, TOGETHER, KernelRegion, partition
from mpc_engine.runtime.kernels import Values, run_kernel
from mpc_engine.runtime.on_demand import OnDemand
from mpc_engine.runtime.sharing import ReplicatedSharer
from tests import parties

RNG = np.random.default_rng(3)
ROWS = 150
X = RNG.integers(-1000, 1000, ROWS)
Y = RNG.integers(-(2**40), 2**40, ROWS)
Y[:5] = X[:5]
F = RNG.integers(-(2**20), 2**20, ROWS) / 2**12
F[:4] = [0.0, 3.0, -3.0, 0.5]
A, B = RNG.random(ROWS) > 0.4, RNG.random(ROWS) > 0.7
PUBLIC = RNG.integers(-5, 5, ROWS)
KNOWN = RNG.random(ROWS) > 0.5
UNIT = 2.0**-18

Program = Callable[..., list[Any]]


def no_device() -> Any:
    raise AssertionError("a native program asked for SPU")


def run(fn: Program, args: tuple[Any, ...]) -> tuple[list[Any], list[tuple[KernelRegion, tuple[int, int]]]]:
    """Results of a program among three parties, and its regions with what each cost alone."""
    with enable_x64():
        cut = partition(fn, [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in args], protocol="aby3")
    regions = [region for region in cut.regions if isinstance(region, KernelRegion)]
    assert len(regions) == len(cut.regions)
    types = {name: (a.shape, a.dtype.name) for name, a in zip(cut.inputs, args, strict=True)}
    for region in regions:
        made = [(tuple(v.aval.shape), v.aval.dtype.name) for v in region.jaxpr.jaxpr.outvars]
        types.update(zip(region.outputs, made, strict=True))
    sharer = ReplicatedSharer()
    wires = [sharer.share(a) for a in args]
    states = [Values(OnDemand(rank, 3, b"", no_device), types) for rank in range(3)]
    for rank, state in enumerate(states):
        for name, wire in zip(cut.inputs, wires, strict=True):
            state.arrived(name, wire[rank])
    measured = []
    for region in regions:
        rounds, sent = parties.run(lambda p, region=region: run_kernel(p, region, states[p.rank], types)).cost
        measured.append((region, (rounds, sum(sent))))
    exported = zip(*([state.export(name) for name in cut.outputs] for state in states), strict=True)
    found = [
        sharer.reconstruct(list(parts), dtype=types[name][1], shape=types[name][0])
        for name, parts in zip(cut.outputs, exported, strict=True)
    ]
    return found, measured


def integers(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    return [
        *(x + y, x - 3, 5 - x, x * 7, x * PUBLIC, x + PUBLIC, PUBLIC - x, -y, x * x, x * y, jnp.square(x), x**3),
        *(jnp.maximum(x, y), jnp.minimum(x, PUBLIC), jnp.abs(y), jnp.sign(x), jnp.clip(x, -5, 100)),
        *(x & 15, x.sum(), y.max(), x.min(), jnp.cumsum(x), jnp.dot(x, y), jnp.outer(x[:3], y[:4])),
        *(x << 5, y >> 3, lax.shift_right_logical(y, jnp.int64(60)), y >> 0),
        *(PUBLIC[None, :7] @ x[:14].reshape(7, 2), x[:6].reshape(2, 3) @ y[:12].reshape(3, 4), x.astype(bool)),
    ]


def flags(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    return [
        *(a & b, a | b, ~a, a ^ b, a & KNOWN, a | KNOWN, a == b, a != KNOWN, jnp.where(a, b, False), a.any(), b.all()),
        *(jnp.where(a, b, KNOWN), jnp.where(a, KNOWN, True), jnp.where(KNOWN, a, b), jnp.where(a, b, ~b)),
        *(a.astype(int), a.astype(float), a.sum(), jnp.maximum(a, b), jnp.concatenate([a[:3], KNOWN[:2], b[5:]])),
        *(a[::-1], a[3:70:2], jnp.broadcast_to(a[:2, None], (2, 3)), jnp.pad(a[:5], (2, 1))),
    ]


def choices(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    return [
        *(jnp.where(a, x, y), jnp.where(a, x, 0), jnp.where(a, 3, -4), jnp.where(b, f, 0.5), jnp.where(b, 0.25, 1.5)),
        *(jnp.where(KNOWN, x, y), a * x, x * b, a * f, jnp.where(a, x, y) * b, jnp.where(a[0], x, y)),
        *(a * 0.3, jnp.where(a, PUBLIC, x)),
    ]


def comparisons(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    tests = ("lt", "le", "gt", "ge", "eq", "ne")
    return [
        *(compare(x, jnp.asarray(PUBLIC * 100), op, bits=12) for op in tests),
        *(compare(x, x[::-1], op, bits=12) for op in tests),
        *(x < y, x <= y, x < 3, x >= 0, x == y, y != x, f < 0.5, f == 3.0, f >= f[::-1], x[:, None] < PUBLIC[:3]),
    ]


def shapes(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    table = x[:12].reshape(3, 4)
    return [
        *(table.T, jnp.pad(table, ((1, 2), (0, 3)), constant_values=9), lax.pad(table, 7, ((-1, 0, 0), (1, -1, 2)))),
        *(x[jnp.array([3, 1, 1])], lax.dynamic_slice(x, (5,), (4,)), table[:, 1], table[1], jnp.stack([x, y])),
        *(jnp.concatenate([x, PUBLIC]), table.sum(axis=1), table.max(axis=0), jnp.flip(table, 1), x[:0], x[:0].sum()),
        *(table + 0, jnp.repeat(x[:3], 2), jnp.roll(x, 3), jnp.diff(x), jnp.ones(3)),
    ]


def fixed_point(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
    small = f / 256 * 1.0
    return [
        *(f + 1.5, f - f[::-1], -f, f * 3, f * 0.5, f * 2.0**-20, x.astype(float), encode_fixed(f), decode_fixed(y)),
        *(f.sum(), jnp.maximum(f, 0.25), jnp.abs(f), jnp.floor(f), jnp.ceil(f), f.astype(int), jnp.round(f)),
        *(f * small, f * 0.1, f * np.linspace(-1, 1, ROWS), small @ small, small[:6].reshape(2, 3) @ small[:3]),
        *(jnp.linspace(0, 1, 3) @ small[:6].reshape(3, 2), small**2, jnp.sign(f)),
    ]


PROGRAMS = [integers, flags, choices, comparisons, shapes]


@pytest.mark.parametrize("fn", [*PROGRAMS, fixed_point])
def test_results_and_costs(fn: Program) -> None:
    args = (X, Y, F, A, B)
    with enable_x64():
        expected = [np.asarray(v) for v in jax.jit(fn)(*args)]
    got, measured = run(fn, args)
    exact = fn is not fixed_point
    for at, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert (g.shape, g.dtype) == (e.shape, e.dtype)
        # two factors below 2^8 that are off by a unit, sums of 150 products, a constant cut to 18 bits
        bound = 0 if e.dtype != float else 2 * UNIT if exact else 2**9 * UNIT
        np.testing.assert_allclose(g, e, rtol=0, atol=bound, err_msg=str(at))
    for region, spent in measured:
        composed = region.calls[0].kind in (
            "low_bits",
            "floor",
            "shift_right",
        )  # two chains of messages, which may overlap by one
        assert 0 <= region.cost.rounds - spent[0] <= composed, str(region)
        assert spent[1] == region.cost.bytes, str(region)
        assert region.cost.exact


@pytest.mark.parametrize("rows", [1, 2, 64, 65])
@pytest.mark.parametrize("fn", [choices, comparisons, flags])
def test_sizes_around_a_word(fn: Program, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "KNOWN", KNOWN[:rows])
    monkeypatch.setitem(globals(), "PUBLIC", PUBLIC[:rows])
    args = (X[:rows], Y[:rows], F[:rows], A[:rows], B[:rows])
    with enable_x64():
        expected = [np.asarray(v) for v in fn(*args)]
    got, _ = run(fn, args)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=0, atol=2 * UNIT if e.dtype == float else 0)


def test_no_rows() -> None:
    args = tuple(a[:0] for a in (X, Y, F, A, B))

    def fn(x: Any, y: Any, f: Any, a: Any, b: Any) -> list[Any]:
        return [jnp.where(a & (x < y), x * y, 0), f * f, a.sum(), jnp.concatenate([x, jnp.arange(2)])]

    got, measured = run(fn, args)
    assert [g.tolist() for g in got] == [[], [], 0, [0, 1]]
    assert not any(spent[1] for _, spent in measured)


def test_every_kind_and_every_local_primitive_has_been_run() -> None:
    specs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (X, Y, F, A, B)]
    with enable_x64():
        cuts = [partition(fn, specs, protocol="aby3") for fn in (*PROGRAMS, fixed_point)]
    calls = [
        call for cut in cuts for region in cut.regions if isinstance(region, KernelRegion) for call in region.calls
    ]
    assert {call.kind for call in calls} >= TOGETHER | {"low_bits", "floor", "shift", "shift_right", "local"}
    assert {call.primitive for call in calls} >= EITHER - {"prefix_sum", "expand_dims"}


def test_scaled_products_are_truncated_once() -> None:
    known = F[40:52].reshape(3, 4)

    def fn(x: Any) -> list[Any]:
        a, b = x[:12].reshape(3, 4), x[20:28].reshape(4, 2)
        return [scaled_matmul(a, b, shift=8), scaled_matmul(a, b, shift=14), a @ b, scaled_matmul(known, b, shift=8)]

    found, measured = run(fn, (F,))
    exact = F[:12].reshape(3, 4) @ F[20:28].reshape(4, 2)
    by_known = known @ F[20:28].reshape(4, 2) / 2**8
    for got, want in zip(found, (exact / 2**8, exact / 2**14, exact, by_known), strict=True):
        assert np.abs(got - want).max() <= UNIT
    assert [cost[1] for region, cost in measured if region.calls[0].kind == "fixed_multiply"] == [36 * 6] * 3
