"""The stated error of every float is kept, and is not stated where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mpc_engine as mpc
from mpc_compiler.check import schema_of
from mpc_compiler.ir import Agg, Aggregate, DType, Field, Item, Project, Shared, call, column, literal, make
from mpc_compiler.lower.error_bound import error_bound
from tests.conftest import SessionFor
from tests.property.test_ranges import framed
from tests.strategies import Plan, plans
from tests.tables import TABLES

DOUBLE = 2.0**-50
"""What doubles are off themselves, in pandas and where a share becomes one."""


def check(session: mpc.Session, batch: list[Plan]) -> None:
    frames = [plan.on(session.table) for plan in batch]
    outputs = session._plan(frames, None)
    errors = session._compile(outputs).errors
    results = mpc.collect(*frames)
    for plan, output, result in zip(batch, outputs.outputs, results, strict=True):
        got, want = framed(result), framed(plan.on(TABLES.__getitem__))
        for at, field in enumerate(schema_of(output.rel)):
            if field.dtype.kind != "float" or not len(want):
                continue
            bound = errors.get(output.name, {}).get(field.name, 0.0)
            mine, theirs = (pd.to_numeric(frame.iloc[:, at]).to_numpy(float) for frame in (got, want))
            both = ~(np.isnan(mine) | np.isnan(theirs))
            off = np.abs(mine - theirs)[both]
            assert (off <= bound + DOUBLE * np.abs(theirs[both])).all(), (str(plan), field, bound, off.max())


@given(batch=st.lists(plans(depth=4), min_size=20, max_size=20))
@settings(max_examples=2, phases=[Phase.generate])
@pytest.mark.parametrize("pushdown", [True, False])
def test_errors_are_within_their_bounds(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("aby3", "threads", pushdown=pushdown), batch)


@given(batch=st.lists(plans(depth=5), min_size=20, max_size=20))
@settings(max_examples=50, phases=[Phase.generate])
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_errors_of_many_plans_are_within_their_bounds(session_for: SessionFor, batch: list[Plan]) -> None:
    check(session_for("aby3", "threads", pushdown=False), batch)


def test_what_is_stated(session_for: SessionFor) -> None:
    session = session_for("aby3", "threads", pushdown=False)
    a, b = session.table("a.plain"), session.table("b.plain")
    joint = a.merge(b, on="id")
    made = joint.assign(p=lambda t: t.y * t.w, q=lambda t: t.i + t.bal, m=lambda t: t.y / 3)[["p", "q", "m"]]
    text = str(made.explain())
    assert "the error of p is at most" in text
    assert "the error of m is at most" in text
    assert "error of q" not in text
    made.collect()
    bounds = session.last_run.errors["result"]  # type: ignore[union-attr]
    assert set(bounds) == {"p", "m"}
    assert 2**-19 < bounds["m"] < 2**-16


def test_what_has_no_bound_is_said_to_have_none() -> None:
    """Found by random programs: 0 times infinity was stated as an error of nan."""
    fields = (Field("n", DType("int", lo=0, hi=10**10), ("a",)), Field("x", DType("float", lo=0.0, hi=4.0), ("a",)))
    shares = make(Shared("s", fields, ("n", "x"), 100))
    unbounded = call("log", call("log", column("n")))
    products = (call("mul", *pair) for pair in ((column("n"), unbounded), (unbounded, column("x"))))
    logs = call("mul", call("log", column("x")), column("n"))  # by what is exact
    for expr in (unbounded, *products, logs):
        made = make(Project(shares, (Item("y", expr),)))
        assert error_bound(made)["y"] == np.inf
        total = make(Aggregate(made, (), (Agg("y", "sum", "y"),)))
        assert error_bound(total)["y"] == np.inf


def test_a_constant_that_is_no_short_fraction_may_decide_otherwise() -> None:
    """Found by random programs: 1/3 stands for what a double makes of it, and a remainder may be any then."""
    shares = make(Shared("s", (Field("n", DType("int", lo=0, hi=3 * 10**12), ("a",)),), ("n",), 100))
    rest = [call("mod", call("div", column("n"), literal(by)), literal(7)) for by in (1 / 3, 0.5, 0.1)]
    bounds = error_bound(make(Project(shares, tuple(Item(f"y{at}", expr) for at, expr in enumerate(rest)))))
    assert bounds["y0"] > 7
    assert bounds["y1"] == bounds["y2"] == 0.0
