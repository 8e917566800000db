"""Bounds of what a column's values can be all together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.check import schema_of
from mpc_compiler.check.mass import mass_of
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    DType,
    Field,
    Item,
    Join,
    Output,
    Plan,
    Project,
    Scan,
    call,
    column,
    literal,
    make,
)
from mpc_compiler.lower.plan import compile_plan
from mpc_compiler.options import Options
from mpc_compiler.rules import rewrite

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


def test_what_a_condition_chooses_and_what_owners_add_up_stay_bounded() -> None:
    """Sums of parts that an owner made, where another owner's column says so: all parts together hold what rows did."""
    number = DType("int", lo=0, hi=99)
    entries = make(Scan("a.entries", "a", (Field("who", number, ("a",)), Field("x", number, ("a",))), 1000))
    fields = (Field("id", number, ("b",)), Field("ok", DType("bool"), ("b",)))
    people = make(Scan("b.people", "b", fields, 100, (("id",),)))
    chosen = call("where", column("ok"), column("x"), literal(0))
    joined = make(Join(entries, people, ("who",), ("id",)))
    total = make(Aggregate(make(Project(joined, (Item("x", chosen),))), (), (Agg("x", "sum", "x"),)))
    for pushdown in (True, False):
        after = rewrite(Plan((Output("r", total, ("a",)),)), pushdown=pushdown)[-1][1].outputs[0].rel
        assert schema_of(after)[0].dtype.hi == 99_000
    compiled = compile_plan(Plan((Output("r", total, ("a",)),)), Options(computing=("a", "b", "c")))
    compute = compiled.compute
    assert compute is not None
    assert schema_of(compute.rels[0])[0].dtype.hi == 99_000
