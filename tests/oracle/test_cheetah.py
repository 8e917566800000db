"""``cheetah``: two computing parties, no native kernels, the same small suite. A third owner only shares columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings

import mpc_engine as mpc
from mpc_engine.ml import LogisticRegression
from tests.conftest import SessionFor
from tests.oracle.test_frames import batches, check
from tests.strategies import Plan

# Ray leaves files and sockets of its services to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@given(batch=batches(10))
@settings(max_examples=4, phases=[Phase.generate])
@pytest.mark.parametrize("pushdown", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_plans_equal_pandas(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("cheetah", "threads", pushdown=pushdown), batch)


@pytest.fixture(scope="module")
def session(ray_held: Callable[[], None]) -> Iterator[mpc.Session]:
    ray_held()
    rng = np.random.default_rng(3)
    left = pd.DataFrame({"id": range(60), "x": rng.integers(0, 20, 60), "g": rng.choice(["n", "o"], 60)})
    left["bad"] = (rng.random(60) < 0.2 + 0.03 * left["x"]).astype(int)
    right = pd.DataFrame({"id": rng.permutation(60), "z": rng.normal(0, 1, 60)})
    with mpc.Session.local({"a": {"t": left}, "b": {"u": right}}, protocol="cheetah", executor="ray") as made:
        yield made


@pytest.mark.ray
def test_two_processes_compute(session: mpc.Session) -> None:
    both = session.table("a.t").merge(session.table("b.u"), on="id")
    size, groups, kept = mpc.collect(
        both.id.count(),
        both.groupby("g").agg(rate=("bad", "mean"), low=("z", "min"), n=("z", "size")),
        both[both.x > both.z * 3].sort_values("x", ascending=False).head(4)[["id", "x"]],
    )
    assert size == 60
    assert groups["n"].sum() == 60
    assert kept["x"].is_monotonic_decreasing
    assert session._config.computing == ("a", "b")
    assert session.last_run is not None
    assert set(session.last_run.bytes_sent) == {"a", "b"}


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_model_between_two(session: mpc.Session) -> None:
    import statsmodels.api as sm

    both = session.table("a.t").merge(session.table("b.u"), on="id")
    found = LogisticRegression().fit(both[["x", "z"]], both["bad"]).reveal()
    rows = both.collect()
    reference = sm.Logit(rows["bad"], sm.add_constant(rows[["x", "z"]].astype(float))).fit(disp=0)
    assert found.converged_
    assert np.abs((found.params - reference.params.to_numpy()) / reference.bse.to_numpy()).max() < 0.1
    assert np.abs(found.pvalues_ - reference.pvalues.to_numpy()).max() < 0.01
