"""Small secret tables: drawn by Hypothesis, as pandas holds them, and run through SPU among threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pandas as pd
import spu.api
import spu.utils.frontend as frontend
from hypothesis import strategies as st
from spu import libspu

from mpc_compiler.ops import primitives as ops
from mpc_compiler.ops.table import Column, Table

SIZES = (0, 1, 2, 3, 7, 16)


def make(rows: list[tuple[Any, ...]]) -> tuple[np.ndarray, ...]:
    """Arrays (k, k valid, v, f, f valid, b, row valid, order) from rows with None for NULL."""
    k, v, f, b, keep, order = (list(c) for c in zip(*rows, strict=True)) if rows else ([],) * 6
    return (
        np.array([x or 0 for x in k], np.int64),
        np.array([x is not None for x in k], bool),
        np.array(v, np.int64),
        np.array([x or 0 for x in f], np.float64),
        np.array([x is not None for x in f], bool),
        np.array(b, bool),
        np.array(keep, bool),
        np.array(order, np.int64),
    )


def table_of(arrays: tuple[Any, ...]) -> Table:
    k, k_valid, v, f, f_valid, b, keep, order = arrays
    columns = {"k": Column(k, k_valid), "v": Column(v), "f": Column(f, f_valid), "b": Column(b)}
    return Table(columns, keep, order, order_bits=5)


def frame_of(arrays: tuple[Any, ...]) -> pd.DataFrame:
    """What pandas would hold: rows in their order, without the dropped ones."""
    return visible(table_of(arrays), arrays[-1])


def visible(table: Table, order: np.ndarray | None = None) -> pd.DataFrame:
    data = {}
    for name, column in table.columns.items():
        values = pd.array(np.asarray(column.value))
        if column.valid is not None:
            values[~np.asarray(column.valid)] = pd.NA
        data[name] = values
    frame = pd.DataFrame(data, index=range(table.rows))
    if order is not None:
        frame = frame.iloc[np.argsort(order, kind="stable")]
    if table.valid is not None:
        frame = frame[np.asarray(table.valid)[frame.index]]
    return frame.reset_index(drop=True)


def assert_same(got: pd.DataFrame, expected: pd.DataFrame, atol: float = 0.0) -> None:
    assert list(got.columns) == list(expected.columns)
    wide = [f.astype("Float64").reset_index(drop=True) for f in (got, expected)]
    pd.testing.assert_frame_equal(*wide, rtol=0, atol=atol)


cell = st.tuples(
    st.none() | st.integers(-2, 3),
    st.integers(-50, 50),
    st.none() | st.integers(-256, 256).map(lambda i: i / 8),
    st.booleans(),
    st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    n = draw(st.sampled_from(SIZES))
    rows = draw(st.lists(cell, min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    return [(*row, 2 * rank) for row, rank in zip(rows, order, strict=True)]


def in_spu(fn: Callable[..., Any], args: tuple[Any, ...], protocol: str = "aby3") -> Any:
    """Run a program in SPU, one thread a party, and reconstruct what it returns."""
    parties = {"aby3": 3, "cheetah": 2}[protocol]
    config = libspu.RuntimeConfig(protocol=getattr(libspu.ProtocolKind, protocol.upper()), field=libspu.FieldType.FM64)
    config.fxp_fraction_bits = ops.FRACTION_BITS
    if protocol == "aby3":
        config.sort_method = libspu.RuntimeConfig.SortMethod.SORT_RADIX
    io, secret = spu.api.Io(parties, config), libspu.Visibility.VIS_SECRET
    names = [f"in{i}" for i in range(len(args))]
    code, shape = frontend.compile(
        frontend.Kind.JAX, fn, list(args), {}, names, [secret] * len(args), lambda o: [f"o{i}" for i in range(len(o))]
    )
    shares = [io.make_shares(a, secret) for a in args]
    link = libspu.link.Desc()
    for rank in range(parties):
        link.add_party(f"p{rank}", f"oracle{rank}")
    outs: list[list[Any]] = [[] for _ in range(parties)]

    def party(rank: int) -> None:
        runtime = spu.api.Runtime(libspu.link.create_mem(link, rank), config)
        for name, share in zip(names, shares, strict=True):
            runtime.set_var(name, share[rank])
        runtime.run(code)
        outs[rank] = [runtime.get_var(name) for name in code.output_names]

    threads = [threading.Thread(target=party, args=(rank,)) for rank in range(parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)
    leaves = [io.reconstruct(list(out)) for out in zip(*outs, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(shape), leaves)
