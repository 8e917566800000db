"""The lookup primitive in the clear against dictionaries, and in SPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import enable_x64

from mpc_compiler.ops.lookup import lookup_plain
from mpc_compiler.ops.primitives import PRIMITIVES, lookup
from mpc_compiler.partition.trace import trace
from tests.spu_threads import in_spu

RNG = np.random.default_rng(5)
Words = list[Any]
EDGES = np.array([-(2**63), 2**63 - 1, 0, -1, 1, 2**62, -(2**62)])


def expected(left: Words, right: Words, payload: Words) -> tuple[list[bool], list[list[set[Any]]]]:
    """Whether each right row is found, and what it may fetch."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for at, key in enumerate(zip(*(w.tolist() for w in left), strict=True)):
        rows.setdefault(key, []).append(at)
    hits = [rows.get(key, []) for key in zip(*(w.tolist() for w in right), strict=True)]
    return [bool(h) for h in hits], [[{p[at] for at in h} for h in hits] for p in payload]


def check(left: Words, right: Words, payload: Words, found: Any, fetched: Any) -> None:
    match, allowed = expected(left, right, payload)
    assert np.asarray(found).tolist() == match
    for column, source, choices in zip(fetched, payload, allowed, strict=True):
        assert column.dtype == source.dtype
        for value, choice in zip(np.asarray(column).tolist(), choices, strict=True):
            assert value in choice if choice else (value == 0 or value in source)


def for_spu(left: Words, right: Words, payload: Words, bits: list[int]) -> Any:
    """What SPU compiles, in the clear."""
    found, *columns = jax.jit(partial(lookup_plain, bits=tuple(bits), method="radix"))(*left, *right, *payload)
    return found, columns


WAYS = [lookup, for_spu]


def keys(rows: int, bits: int, *, unique: bool) -> Any:
    if bits == 64:
        pool = np.concatenate([EDGES, RNG.integers(-(2**63), 2**63 - 1, 40)])
        return RNG.choice(pool, rows, replace=not unique)
    return RNG.choice(1 << bits, rows, replace=not unique)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 9), (13, 1), (16, 60)])
@pytest.mark.parametrize("bits", [4, 64])
@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("look", WAYS)
def test_one_word(left: int, right: int, bits: int, unique: bool, look: Any) -> None:
    with enable_x64():
        a, b = keys(left, bits, unique=unique), keys(right, bits, unique=False)
        payload = [RNG.choice(EDGES, left), RNG.integers(-9, 9, left) / 4, RNG.random(left) > 0.5]
        check([a], [b], payload, *look([a], [b], payload, [bits]))


def test_equal_rows_keep_together() -> None:
    with enable_x64():
        key, at = RNG.integers(0, 5, 50), np.arange(50)
        right = RNG.integers(0, 9, 80)
        found, (one, two) = lookup([key], [right], [at, -at], [4])
    assert np.array_equal(one, -two)
    assert np.array_equal(key[one][np.asarray(found)], right[np.asarray(found)])


@pytest.mark.parametrize("look", WAYS)
def test_many_words_and_flags(look: Any) -> None:
    with enable_x64():
        left = [RNG.integers(0, 3, 40), RNG.random(40) > 0.5, RNG.choice(EDGES, 40), RNG.integers(0, 2, 40)]
        right = [RNG.integers(0, 4, 70), RNG.random(70) > 0.5, RNG.choice(EDGES, 70), RNG.integers(0, 2, 70)]
        payload = [np.arange(40)]
        check(left, right, payload, *look(left, right, payload, [2, 1, 64, 1]))


def test_payload_that_is_not_used_is_dropped() -> None:
    specs = [jax.ShapeDtypeStruct((5,), jnp.int64)] * 3
    with enable_x64():

        def program(a: Any, b: Any, p: Any) -> Any:
            return lookup([a], [b], [p, p + 1, p], [8])[1][2]

        closed = trace(program, specs, "aby3", unroll=True)
        (eqn,) = [e for e in closed.jaxpr.eqns if e.primitive.name == "lookup"]
        assert (len(eqn.invars), len(eqn.outvars)) == (3, 2)
        assert not trace(lambda a, b, p: (lookup([a], [b], [p], [8]), a)[1], specs, "aby3", unroll=True).jaxpr.eqns


def test_words_must_fit() -> None:
    with pytest.raises(ValueError, match="need as many words"):
        lookup([np.arange(3)], [np.arange(3)], [], [8, 8])
    with enable_x64(), pytest.raises(TypeError, match="int64 or bool, not float64, int64"):
        lookup([np.ones(3)], [np.arange(3)], [], [8])


@pytest.mark.parametrize("protocol", ["aby3", "cheetah"])
def test_in_spu(protocol: str) -> None:
    left = [np.array([3, 1, 4, 1, 2]), np.array([True, False, True, False, False]), np.array([2**61, 7, -1, 7, 5])]
    right = [
        np.array([4, 1, 3, 0, 1, 2]),
        np.array([True, False, False, True, True, False]),
        np.array([-1, 7, 7, 7, 7, 5]),
    ]
    payload = [
        np.array([10, -11, 12, -13, 14]),
        np.array([0.5, 1.25, -2, 1.25, 4]),
        np.array([True, False, True, False, True]),
    ]
    adapted = "radix" if protocol == "aby3" else "network"
    bind = partial(PRIMITIVES["lookup"].primitive.bind, bits=(3, 1, 64), method=adapted)
    with enable_x64():
        found, *columns = in_spu(lambda *arrays: tuple(bind(*arrays)), *left, *right, *payload, protocol=protocol)
    check(left, right, payload, found, columns)
