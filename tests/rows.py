"""Small secret tables: drawn by Hypothesis, as pandas holds them, and run through SPU among threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

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
