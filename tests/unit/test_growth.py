"""How bytes and time of the relational operators grow with the rows: hardly faster than the rows do."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc

Frame = mpc.DataFrame
MOST = 1.15
"""Largest exponent: n log n from 2**12 to 2**20 rows has 1.09."""

QUERIES: dict[str, Callable[[Frame, Frame], Frame]] = {
    "sort": lambda t, _: t.sort_values("key").head(10),
    "group": lambda t, _: t.groupby("key").agg(total=("x", "sum"), most=("x", "max")).head(10),
    "join": lambda t, u: t.merge(u, left_on="key", right_on="id").head(10),
}


def tables(rows: int) -> dict[str, dict[str, mpc.Source]]:
    rng = np.random.default_rng(rows)
    entries = pd.DataFrame({"key": rng.integers(0, rows, rows), "x": rng.integers(0, 1000, rows)})
    people = pd.DataFrame({"id": rng.permutation(rows)[: rows // 4], "y": rng.integers(0, 1000, rows // 4)})
    ranges = {"key": (0, (1 << 20) - 1), "id": (0, (1 << 20) - 1)}
    return {
        "a": {"entries": mpc.Source(entries, ranges={"key": ranges["key"]})},
        "b": {"people": mpc.Source(people, ranges={"id": ranges["id"]}, keys=[["id"]])},
    }


def measured(name: str, rows: int) -> tuple[float, float]:
    """Bytes of all parties, and seconds of processor time of all of them: other work beside does not count."""
    with mpc.Session.local(tables(rows), executor="threads", pushdown=False, hide_joins=True) as session:
        frame = QUERIES[name](session.table("a.entries"), session.table("b.people"))
        frame.collect()
        started = time.process_time()
        frame.collect()
        took = time.process_time() - started
        assert session.last_run is not None
        return float(session.last_run.total_bytes), took


def exponent(rows: list[int], values: list[float]) -> float:
    """Slope of a line through the logarithms."""
    return float(np.polyfit(np.log(rows), np.log(values), 1)[0])


@pytest.mark.parametrize("name", QUERIES)
def test_bytes(name: str) -> None:
    rows = [1 << 10, 1 << 12, 1 << 14]
    assert exponent(rows, [measured(name, n)[0] for n in rows]) <= MOST


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", QUERIES)
def test_bytes_and_seconds_of_many_rows(name: str) -> None:
    rows = [1 << k for k in range(12, 21, 2)]
    found = [measured(name, n) for n in rows]
    print(
        name,
        [
            f"2^{n.bit_length() - 1}: {size / n:.0f} bytes a row, {took:.2f} s"
            for n, (size, took) in zip(rows, found, strict=True)
        ],
    )
    assert exponent(rows, [size for size, _ in found]) <= MOST
    assert exponent(rows, [took for _, took in found]) <= MOST
