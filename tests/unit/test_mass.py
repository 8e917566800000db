"""Bounds of what a column's values can be all together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.check.mass import mass_of
from mpc_compiler.ir import Agg, Aggregate, DType, Field, Join, Scan, make

ROWS = 4000
LARGEST = (1 << 19) - 1
SQUARES = "SELECT SUM(x * x) AS total FROM (SELECT k, SUM(x) AS x FROM t GROUP BY k) AS sums"


def _session(largest: int) -> mpc.Session:
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"k": rng.integers(0, ROWS, ROWS), "x": rng.integers(-largest, largest, ROWS)})
    source = mpc.Source(table, ranges={"x": (-largest, largest)})
    return mpc.Session.local({"a": {"t": source}}, protocol="plaintext", executor="threads", pushdown=False)


def test_squares_of_group_sums_are_exact_where_all_rows_together_fit() -> None:
    with _session(LARGEST) as session:
        sums = session.sql("SELECT k, SUM(x) AS x FROM t GROUP BY k").collect()["x"]
        assert session.sql(SQUARES).collect()["total"].tolist() == [int((sums.astype(int) ** 2).sum())]


def test_squares_of_group_sums_are_refused_one_bit_later() -> None:
    with _session(LARGEST * 2 + 1) as session, pytest.raises(mpc.RangeError) as error:
        session.sql(SQUARES).collect()
    assert error.value.code == "MPC-0202"


def test_rows_that_a_join_repeats_count_as_often() -> None:
    fields = tuple(Field(name, DType("int", lo=0, hi=9), ("a",)) for name in ("id", "x"))
    one = make(Scan("a.t", "a", fields, 10, keys=(("id",),)))
    many = make(Scan("b.u", "b", (Field("key", DType("int", lo=0, hi=9), ("b",)),), 1000))
    joined = make(Join(one, many, ("id",), ("key",)))
    assert mass_of(one, "x") == 90
    assert mass_of(joined, "x") == 9000
    assert mass_of(make(Aggregate(joined, ("id",), (Agg("x", "sum", "x"),))), "x") == 9000
