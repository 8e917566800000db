"""Every frame operation against pandas: random plans over fixed tables and fixed plans over random tables.

One program computes a whole batch of plans: compiling it is what takes the time. Each executor gets at least
200 plans in every run of the suite; ``slow`` looks at ten times as many, freshly drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

import mpc_engine as mpc
from tests.conftest import SessionFor
from tests.expressions import Column
from tests.strategies import Plan, compare, plans
from tests.tables import TABLES

BATCH = 20
EXAMPLES = 6  # times BATCH plans for each executor, half of them with push-down
# Ray leaves files and sockets of its services to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def batches(size: int = BATCH) -> st.SearchStrategy[list[Plan]]:
    return st.lists(plans(), min_size=size, max_size=size)


def check(session: mpc.Session, batch: Sequence[Plan]) -> None:
    """Run all plans as one program and compare each with pandas."""
    results = mpc.collect(*(plan.on(session.table) for plan in batch))
    problems = []
    for plan, got in zip(batch, results, strict=True):
        want = plan.on(TABLES.__getitem__)
        event(f"ends in {plan.steps[-1].name if plan.steps else 'the table'}")
        problem = compare(plan, got, want)
        if problem:
            problems.append(f"{plan}\n  {problem}\ngot\n{got}\npandas\n{want}")
    assert not problems, "\n\n".join(problems)


@given(batch=batches())
@settings(max_examples=EXAMPLES // 2, phases=[Phase.generate])
@pytest.mark.parametrize("pushdown", [True, False])
def test_plans_in_the_clear_equal_pandas(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("plaintext", "threads", pushdown=pushdown), batch)


@given(batch=batches())
@settings(max_examples=EXAMPLES // 2, phases=[Phase.generate])
@pytest.mark.parametrize(("pushdown", "kernels"), [(True, "native"), (False, "spu")])
def test_plans_on_shares_equal_pandas(session_for: SessionFor, pushdown: bool, kernels: str, batch: list[Plan]) -> None:
    check(session_for("aby3", "threads", pushdown=pushdown, kernels=kernels), batch)


@pytest.mark.ray
@pytest.mark.timeout(400)
@given(batch=batches())
@settings(max_examples=EXAMPLES // 2, phases=[Phase.generate])
@pytest.mark.parametrize("pushdown", [True, False])
def test_plans_among_processes_equal_pandas(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("aby3", "ray", pushdown=pushdown), batch)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(batch=batches())
@settings(max_examples=50, phases=[Phase.generate], derandomize=False)
@pytest.mark.parametrize(
    ("protocol", "pushdown"), [("plaintext", True), ("plaintext", False), ("aby3", True), ("aby3", False)]
)
def test_fresh_plans_equal_pandas(session_for: SessionFor, protocol: str, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for(protocol, "threads", pushdown=pushdown), batch)


def test_the_comparison_sees_a_difference() -> None:
    whole, rounded = Column("int", size=9), Column("float", size=9, error=2.0**-16)
    plan = Plan("a.plain", (), {"n": whole, "r": rounded, "s": Column("str", nullable=True)})
    want = pd.DataFrame({"n": [1, 2], "r": [0.5, 1.0], "s": pd.Series(["x", None], dtype="str")})
    assert compare(plan, want.assign(r=want.r + 2.0**-17), want) == ""
    for change in (
        want.assign(n=[1, 3]), want.assign(n=[1.0, 2.0]), want.assign(r=want.r + 2.0**-15),
        want.assign(r=[0.5, np.nan]), want.assign(s=pd.Series(["x", "x"], dtype="str")),
        want[::-1], want[:1], want[["n", "r"]], want.assign(t=1),
    ):  # fmt: skip
        assert compare(plan, change, want) != ""
    counts = Plan("a.plain", (), {"s": Column("str"), "count": whole}, ordered=False)
    frame = pd.DataFrame({"s": ["x", "y", "z"], "count": [3, 1, 1]})
    assert compare(counts, frame.iloc[[0, 2, 1]], frame) == ""
    assert compare(counts, frame.iloc[[1, 0, 2]], frame) != ""
