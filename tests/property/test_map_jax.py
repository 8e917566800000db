"""Random functions of the closed list give what JAX gives, within the ranges and error bounds that the plan states."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax.experimental import enable_x64

import mpc_engine as mpc
from tests.property.jax_functions import Function, functions, table
from tests.property.test_ranges import broken

LEFT, RIGHT = table(71).add_prefix("a_"), table(72).add_prefix("b_")
BOTH = LEFT.merge(RIGHT, left_on="a_id", right_on="b_id").astype({"a_m": float, "b_m": float})


def truth(function: Function) -> dict[str, np.ndarray]:
    with enable_x64():
        made = jax.vmap(function)(*(jnp.asarray(BOTH[name].to_numpy()) for name in function.columns))
    return {name: np.asarray(values) for name, values in made.items()}


def check(batch: list[Function], **options: Any) -> None:
    with mpc.Session.local({"a": {"t": LEFT}, "b": {"t": RIGHT}}, executor="threads", **options) as session:
        joint = session.table("a.t").merge(session.table("b.t"), left_on="a_id", right_on="b_id")
        frames = [joint.map_jax(function, function.columns) for function in batch]
        results = mpc.collect(*frames)
        run = session.last_run
    assert run is not None
    for at, (function, frame, got) in enumerate(zip(batch, frames, results, strict=True), 1):
        want, errors = truth(function), run.errors.get(f"result_{at}", {})
        for name, true in want.items():
            mine, theirs = got[name].to_numpy(float), true.astype(float)
            assert (np.isnan(mine) == np.isnan(theirs)).all(), (str(function), name, mine, theirs)
            off = np.nanmax(np.abs(mine - theirs), initial=0.0)
            limit = 0.0 if options["protocol"] == "plaintext" else errors.get(name, 0.0)
            assert off <= limit, (str(function), name, mine, theirs, errors)
            assert broken(pd.Series(theirs), frame.dtypes[name]) == "", (str(function), name)
            if not np.isnan(theirs).any():
                assert got[name].to_numpy().dtype.kind == true.dtype.kind, (str(function), name)


@given(batch=st.lists(functions(), min_size=25, max_size=25))
@settings(max_examples=4, phases=[Phase.generate])
def test_functions_in_the_clear(batch: list[Function]) -> None:
    check(batch, protocol="plaintext")


@given(batch=st.lists(functions(), min_size=12, max_size=12))
@settings(max_examples=2, phases=[Phase.generate])
@pytest.mark.parametrize("pushdown", [True, False])
def test_functions_on_shares(pushdown: bool, batch: list[Function]) -> None:
    check(batch, protocol="aby3", pushdown=pushdown)


@given(batch=st.lists(functions(14), min_size=20, max_size=20))
@settings(max_examples=60, phases=[Phase.generate])
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_functions(batch: list[Function]) -> None:
    check(batch, protocol="plaintext")
    check(batch, protocol="aby3", pushdown=False)
