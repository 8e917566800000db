"""What the checker promises about a result holds: ranges, missing values, row counts, owners."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import Phase, given, settings

from mpc_compiler.check import owners_of, rows_of, schema_of
from mpc_compiler.ir import DType
from mpc_compiler.rules import rewrite
from tests.conftest import SessionFor
from tests.strategies import Plan, plans
from tests.tables import TABLES


def codes(data: pd.Series, dtype: DType) -> pd.Series:
    """The values that would be shared."""
    if dtype.kind == "timestamp":
        return data.astype("datetime64[us]").astype("int64")
    return data.astype(float)


def broken(data: pd.Series, dtype: DType) -> str:
    """What the type promises and the values do not keep."""
    if not dtype.nullable and data.isna().any():
        return "a missing value where none can be"
    present = data.dropna()
    if dtype.kind == "string":
        return "" if dtype.domain is None or set(present) <= set(dtype.domain) else "a text outside the dictionary"
    if not len(present) or (dtype.kind != "bool" and dtype.lo is None):
        return ""
    lo, hi = dtype.bounds
    slack = 1e-9 * max(abs(lo), abs(hi), 1) if dtype.kind == "float" else 0
    found = codes(present, dtype)
    return (
        ""
        if found.min() >= lo - slack and found.max() <= hi + slack
        else f"{found.min()}..{found.max()} outside {lo}..{hi}"
    )


def framed(result: object) -> pd.DataFrame:
    if isinstance(result, pd.Series):
        result = result.to_frame()
    if isinstance(result, pd.DataFrame):
        return result.reset_index(drop=result.index.names == [None])
    return pd.DataFrame({"value": [result]})


@given(plan=plans(depth=4))
@settings(max_examples=400, phases=[Phase.generate, Phase.shrink])
def test_types_hold(session_for: SessionFor, plan: Plan) -> None:
    session = session_for("plaintext", "threads", pushdown=True)
    rel = plan.on(session.table)._rel
    want = framed(plan.on(TABLES.__getitem__))
    schema = schema_of(rel)
    assert len(schema) == want.shape[1]
    assert len(want) <= rows_of(rel)
    for at, field in enumerate(schema):
        assert broken(want.iloc[:, at], field.dtype) == "", (str(plan), field)
        assert set(field.owners) <= set(owners_of(rel))


@given(plan=plans(depth=4))
@settings(max_examples=200, phases=[Phase.generate, Phase.shrink])
def test_rewriting_keeps_the_promises(session_for: SessionFor, plan: Plan) -> None:
    """Ranges and row bounds may only become tighter on the way to the stages, and must still hold."""
    session = session_for("plaintext", "threads", pushdown=True)
    before = session._plan([plan.on(session.table)], None)
    want = framed(plan.on(TABLES.__getitem__))
    for pushdown in (True, False):
        after = rewrite(before, pushdown=pushdown)[-1][1].outputs[0].rel
        assert len(want) <= rows_of(after)
        for at, field in enumerate(schema_of(after)):
            assert broken(want.iloc[:, at], field.dtype) == "", (str(plan), field)


def test_the_test_sees_a_broken_promise() -> None:
    assert broken(pd.Series([1.0, np.nan]), DType("int", lo=0, hi=3)) == "a missing value where none can be"
    assert broken(pd.Series([1, 4]), DType("int", lo=0, hi=3)) == "1.0..4.0 outside 0..3"
    assert broken(pd.Series(["a", "c"]), DType("string", domain=("a", "b"))) == "a text outside the dictionary"
    assert broken(pd.Series([1, 3]), DType("int", lo=0, hi=3)) == ""
