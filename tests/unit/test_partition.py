"""Cutting programs into SPU regions and kernel calls: same results, same cut for every party."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import core, lax

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops import primitives as ops
from mpc_compiler.partition import KernelRegion, Partitioned, SpuRegion, partition

INT = jax.ShapeDtypeStruct((6,), np.dtype(np.int64))
FLOAT = jax.ShapeDtypeStruct((6,), np.dtype(np.float64))
BOOL = jax.ShapeDtypeStruct((6,), np.dtype(np.bool_))
RNG = np.random.default_rng(5)
ARGS = (RNG.integers(-9, 9, 6), RNG.integers(0, 64, 6) / 8, RNG.random(6) > 0.5)


def execute(parts: Partitioned, args: tuple[Any, ...]) -> list[Any]:
    """Run the regions in the clear, as an executor would on shares."""
    env = dict(zip(parts.inputs, args, strict=True))
    for region in parts.regions:
        ins = [env[name] for name in region.inputs]
        outs = core.jaxpr_as_fun(region.jaxpr)(*ins)
        env.update(zip(region.outputs, outs, strict=True))
    return [env[name] for name in parts.outputs]


def calls(parts: Partitioned, primitive: str) -> int:
    regions = (r for r in parts.regions if isinstance(r, KernelRegion))
    return sum(call.primitive == primitive for r in regions for call in r.calls)


def matmuls(x: Any, f: Any, b: Any) -> Any:
    hot = jnp.stack([b, ~b]).astype(jnp.int64)
    return ops.ring_matmul(hot, (x * x)[:, None]) + 1, ops.ring_matmul(hot, f[:, None])


def mixed(x: Any, f: Any, b: Any) -> Any:
    helper = jax.jit(lambda v: jax.nn.relu(v) + np.arange(6.0))
    first, *rest = ops.sort_rows((b,), (x, helper(f)), (1,))
    return {"sorted": rest, "flag": first, "same": x, "one": jnp.ones(3), "again": f, "two": x}


def looped(x: Any, f: Any, b: Any) -> Any:
    return lax.fori_loop(0, 3, lambda _, v: ops.ring_matmul(jnp.ones((6, 6), jnp.int64) * x[0], v), x[:, None])


PROGRAMS = [matmuls, mixed, looped]


@pytest.mark.parametrize("fn", PROGRAMS)
@pytest.mark.parametrize("kernels", ["auto", "native", "spu"])
@pytest.mark.parametrize("protocol", ["aby3", "cheetah", "plaintext"])
def test_regions_compute_what_the_program_does(fn: Any, kernels: Any, protocol: str) -> None:
    parts = partition(fn, [INT, FLOAT, BOOL], protocol=protocol, kernels=kernels)
    expected = jax.tree.leaves(jax.jit(fn)(*ARGS))
    got = execute(parts, ARGS)
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)


def test_native_cuts_only_under_aby3() -> None:
    for protocol, kernels, count in [("aby3", "native", 2), ("aby3", "spu", 0), ("cheetah", "native", 0)]:
        parts = partition(matmuls, [INT, FLOAT, BOOL], protocol=protocol, kernels=kernels)  # type: ignore[arg-type]
        assert calls(parts, "ring_matmul") == count
    none = partition(matmuls, [INT, FLOAT, BOOL], protocol="aby3", kernels="native", available=frozenset())
    assert all(isinstance(r, SpuRegion) for r in none.regions)


def test_auto_takes_the_kernel_for_large_products_only() -> None:
    def product(a: Any, b: Any, f: Any) -> Any:
        return ops.ring_matmul(a, b), jnp.tanh(f)  # SPU has a part

    for rows, count in [(8, 0), (1_000_000, 1)]:
        specs = [jax.ShapeDtypeStruct(s, np.dtype(np.int64)) for s in ((10, rows), (rows, 3))]
        parts = partition(product, [*specs, FLOAT], protocol="aby3")
        assert calls(parts, "ring_matmul") == count


def test_spu_has_no_part_where_kernels_can_do_everything() -> None:
    for kernels, spu in (("auto", 0), ("native", 0), ("spu", 1)):
        parts = partition(matmuls, [INT, FLOAT, BOOL], protocol="aby3", kernels=kernels)  # type: ignore[arg-type]
        assert sum(isinstance(r, SpuRegion) for r in parts.regions) == spu


def test_a_product_with_a_public_matrix_is_local() -> None:
    parts = partition(
        lambda x: ops.ring_matmul(jnp.ones((2, 6), jnp.int64), x[:, None]), [INT], protocol="aby3", kernels="native"
    )
    assert all(isinstance(r, KernelRegion) and r.local for r in parts.regions)


def test_loops_with_kernels_are_unrolled() -> None:
    parts = partition(looped, [INT, FLOAT, BOOL], protocol="aby3", kernels="native")
    assert calls(parts, "ring_matmul") == 3
    for got, want in zip(execute(parts, ARGS), jax.tree.leaves(jax.jit(looped)(*ARGS)), strict=True):
        np.testing.assert_array_equal(got, want)
    stays = partition(looped, [INT, FLOAT, BOOL], protocol="aby3", kernels="spu")
    assert [type(r) for r in stays.regions] == [SpuRegion]


def stacked(x: Any, f: Any, b: Any) -> Any:
    def turn(carry: Any, xs: Any) -> tuple[Any, Any]:
        moved = ops.sort_rows((carry + xs[0],), (f,), (8,))[0]
        return moved, (moved[0], xs[1])

    return lax.scan(turn, x + 9, (jnp.stack([x, x]) + 9, jnp.stack([f, f])), reverse=True)


def test_an_unrolled_scan_stacks_its_results() -> None:
    parts = partition(stacked, [INT, FLOAT, BOOL], protocol="aby3", kernels="native")
    assert calls(parts, "sort_rows") == 2
    for got, want in zip(execute(parts, ARGS), jax.tree.leaves(jax.jit(stacked)(*ARGS)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_independent_calls_of_one_kind_share_their_messages() -> None:
    def fn(x: Any, y: Any) -> Any:
        return [jnp.where((x * y + k < y * y) & (y > k), x, y) for k in range(2, 6)]

    parts = partition(fn, [INT, INT], protocol="aby3", kernels="native")
    sending = [r for r in parts.regions if isinstance(r, KernelRegion) and not r.local]
    assert [r.title for r in sending] == ["2 × mul", "4 × lt + 4 × gt", "4 × and", "4 × select_n"]
    assert parts.cost.exact
    alone = partition(lambda x, y: fn(x, y)[0], [INT, INT], protocol="aby3", kernels="native")
    assert alone.cost.rounds == parts.cost.rounds
    for got, want in zip(execute(parts, (ARGS[0], ARGS[0] + 1)), fn(ARGS[0], ARGS[0] + 1), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_class_waits_for_those_that_can_still_join() -> None:
    def fn(x: Any, y: Any) -> Any:
        early = x * y  # nothing waits for it
        late = jnp.where(x < y, x, y) * y
        return early, late

    parts = partition(fn, [INT, INT], protocol="aby3", kernels="native")
    assert [r.title for r in parts.regions if isinstance(r, KernelRegion)] == ["lt", "select_n", "2 × mul"]


def test_independent_kernels_share_the_regions_around_them() -> None:
    def fn(x: Any, y: Any) -> Any:
        f = jnp.tanh(x * 0.5)  # not for kernels
        return [jnp.tanh(jnp.where((f + k < y) & (y > k), f, y)) for k in range(2, 6)]

    parts = partition(fn, [INT, FLOAT], protocol="aby3", kernels="native")
    kinds = [type(r) for r in parts.regions]
    assert calls(parts, "lt") + calls(parts, "gt") == 8
    assert [kinds[0], kinds[-1], kinds.count(SpuRegion)] == [SpuRegion, SpuRegion, 2]


def test_what_costs_nothing_stays_with_its_operands() -> None:
    def fn(x: Any, y: Any) -> Any:
        first, second = ops.sort_rows((x - 2,), (y,), (8,))  # before the first kernel
        shifted = jnp.concatenate([first[1:], first[:1] + 3])  # between two kernels
        return ops.compact((first < shifted) | (first > second), (second, ops.prefix_sum(second)))

    parts = partition(fn, [INT, INT], protocol="aby3", kernels="native")
    assert not any(isinstance(r, SpuRegion) for r in parts.regions)
    args = (ARGS[0] + 12, ARGS[0])
    for got, want in zip(execute(parts, args), jax.tree.leaves(fn(*args)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_inputs_that_spu_reads_too_are_prepared_there() -> None:
    def fn(x: Any, y: Any) -> Any:
        less = x - 2
        return ops.sort_rows((less,), (y,), (8,))[1], jnp.tanh(less * y)

    parts = partition(fn, [INT, FLOAT], protocol="aby3", kernels="native")
    assert [type(r) for r in parts.regions] == [SpuRegion, KernelRegion]
    for got, want in zip(execute(parts, ARGS[:2]), fn(*ARGS[:2]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_public_values_are_made_where_they_are_read() -> None:
    def fn(x: Any, y: Any) -> Any:
        ones = jnp.arange(6) * 2 + 1
        moved = ops.sort_rows((x,), (ones,), (8,))[1]
        return jnp.tanh((jnp.where(x < y, ones, 0) + moved) * 0.01) * ones, ones

    parts = partition(fn, [INT, INT], protocol="aby3", kernels="native")
    *_, last = [r for r in parts.regions if isinstance(r, SpuRegion)]
    sort = next(r for r in parts.regions if isinstance(r, KernelRegion) and r.primitive == "sort_rows")
    assert not isinstance(sort.calls[0].operands[1], str)  # a constant of the call, which no region makes
    assert "iota" in {eqn.primitive.name for eqn in last.jaxpr.jaxpr.eqns}  # repeated where SPU reads it
    args = (ARGS[0] + 9, ARGS[0] + 10)
    for got, want in zip(execute(parts, args), fn(*args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_every_party_gets_the_same_cut() -> None:
    def text(parts: Partitioned) -> str:
        return str(parts) + "".join(str(r.jaxpr) for r in parts.regions if isinstance(r, SpuRegion))

    first = partition(matmuls, [INT, FLOAT, BOOL], protocol="aby3", kernels="native")
    jax.clear_caches()
    assert text(partition(matmuls, [INT, FLOAT, BOOL], protocol="aby3", kernels="native")) == text(first)


def test_reads_like_prose() -> None:
    parts = partition(matmuls, [INT, FLOAT, BOOL], protocol="aby3", kernels="native")
    assert "native  v7 <- ring_matmul(v4, v6): 1 rounds, 48 B" in str(parts)
    assert str(parts).startswith("aby3: in0, in1, in2 -> ")
    assert parts.cost.exact


def test_nested_calls_are_inlined() -> None:
    @jax.jit
    def inner(x: Any) -> Any:
        return jax.jit(lambda v: v * 2)(x) + 1

    parts = partition(lambda x: jax.nn.silu(inner(x)), [FLOAT], protocol="aby3", kernels="spu")
    (region,) = parts.regions
    assert isinstance(region, SpuRegion)
    assert not {e.primitive.name for e in region.jaxpr.jaxpr.eqns} & {"pjit", "custom_jvp_call"}


def test_outputs_that_no_equation_makes() -> None:
    parts = partition(lambda x, y: (y, 3.0, x, x, np.arange(2)), [INT, FLOAT], protocol="aby3")
    got = execute(parts, ARGS[:2])
    for g, e in zip(got, (ARGS[1], 3.0, ARGS[0], ARGS[0], np.arange(2)), strict=True):
        np.testing.assert_array_equal(g, e)
    assert not set(parts.outputs) & set(parts.inputs)
    assert parts.public == {parts.outputs[1], parts.outputs[4]}


def test_dead_code_and_unused_columns_are_dropped() -> None:
    def fn(x: Any, f: Any) -> Any:
        jnp.exp(f)
        _, first, _ = ops.sort_rows((x,), (f, f * 2), (8,))
        return first

    (region,) = partition(fn, [INT, FLOAT], protocol="aby3", kernels="spu").regions
    assert isinstance(region, SpuRegion)
    (sort,) = region.jaxpr.jaxpr.eqns
    assert sort.params["keep"] == (False,)
    assert len(sort.invars) == 2


def test_unused_inputs_are_kept_as_names_only() -> None:
    parts = partition(lambda x, y: x + 1, [INT, FLOAT], protocol="aby3")
    assert parts.inputs == ("in0", "in1")
    assert parts.regions[0].inputs == ("in0",)


@pytest.mark.parametrize("method", ["network", "radix"])
def test_sorts_know_their_protocol_even_in_loops(method: str) -> None:
    def fn(x: Any) -> Any:
        def step(v: Any, _: Any) -> tuple[Any, None]:
            return ops.sort_rows((v,), (), (8,))[0], None

        return lax.scan(step, x, None, length=2)[0]

    protocol = "cheetah" if method == "network" else "aby3"
    (region,) = partition(fn, [INT], protocol=protocol, kernels="spu").regions
    assert isinstance(region, SpuRegion)
    assert f"method={method}" in str(region.jaxpr)


def test_a_branch_on_a_secret_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="needs the value of a secret") as caught:
        partition(lambda x: x if x[0] > 0 else -x, [INT], protocol="aby3")
    assert caught.value.code == "MPC-0353"
    assert "jax.numpy.where" in caught.value.hint
