"""Random plans of all relational operations: pandas, DuckDB and the executors agree.

DuckDB runs each plan as one query over the tables of all owners, as it was asked for and after each pipeline of rules:
so a disagreement says whether frames, rules or an executor are wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mpc_engine as mpc
from mpc_compiler.check import schema_of
from mpc_compiler.ir import Item, Rel, column
from mpc_compiler.lower.sql_rel import to_sql
from mpc_compiler.rules import rewrite
from mpc_engine.io.local import connect
from mpc_engine.runtime.results import from_arrow
from tests.conftest import SessionFor
from tests.deep_strategies import deep_plans
from tests.strategies import Plan, compare
from tests.tables import TABLES

BATCH = 6


class Clear:
    """One DuckDB with the tables of all owners."""

    def __init__(self, session: mpc.Session) -> None:
        self._session = session
        self._connection = connect(ref for refs in session._refs.values() for ref in refs)

    def collect(self, frame: object, rel: Rel) -> object:
        """What ``frame`` gives if ``rel`` is computed here."""
        assert isinstance(frame, mpc.DataFrame | mpc.Series | mpc.Scalar)
        fields = tuple(schema_of(frame._rel))
        items = [Item(field.name, column(field.name)) for field in fields]
        found = self._connection.sql(to_sql(rel, items)).to_arrow_table()
        return frame._shape(from_arrow(found, fields))

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def clear(session_for: SessionFor) -> Iterator[Clear]:
    made = Clear(session_for("plaintext", "threads", pushdown=True))
    yield made
    made.close()


def wanted(plan: Plan) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas: means of nothing, keys that are floats for their gaps
        return plan.on(TABLES.__getitem__)


def in_duckdb(clear: Clear, plan: Plan) -> None:
    session = clear._session
    frame = plan.on(session.table)
    want = wanted(plan)
    asked = session._plan([frame], None)
    rels = {"as asked": asked.outputs[0].rel}
    for pushdown in (True, False):
        rels[f"push-down {pushdown}"] = rewrite(asked, pushdown=pushdown)[-1][1].outputs[0].rel
    for what, rel in rels.items():
        got = clear.collect(frame, rel)
        problem = compare(plan, got, want)
        assert not problem, f"{plan}\n{what}: {problem}\ngot\n{got}\npandas\n{want}"


@given(plan=deep_plans())
@settings(max_examples=60, phases=[Phase.generate])
def test_plans_in_duckdb_equal_pandas(clear: Clear, plan: Plan) -> None:
    in_duckdb(clear, plan)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
@given(plan=deep_plans())
@settings(max_examples=500, phases=[Phase.generate], derandomize=False)
def test_fresh_plans_in_duckdb_equal_pandas(clear: Clear, part: int, plan: Plan) -> None:
    in_duckdb(clear, plan)


def check(session: mpc.Session, batch: Sequence[Plan]) -> None:
    """Run all plans as one program and compare each with pandas."""
    results = mpc.collect(*(plan.on(session.table) for plan in batch))
    problems = []
    for plan, got in zip(batch, results, strict=True):
        problem = compare(plan, got, want := wanted(plan))
        if problem:
            problems.append(f"{plan}\n  {problem}\ngot\n{got}\npandas\n{want}")
    assert not problems, "\n\n".join(problems)


def test_rows_of_parts_without_columns_are_counted(session_for: SessionFor) -> None:
    """Found by random plans: a union of which nobody reads a column had no rows."""
    for pushdown in (True, False):
        table = session_for("plaintext", "threads", pushdown=pushdown).table
        both = mpc.concat([table("a.skew")[["id"]], table("c.plain")[["person"]].rename(columns={"person": "id"})])
        assert both.head(12).agg(n=("id", "size")).collect()["n"].tolist() == [12]


def test_keys_of_an_outer_merge_stay_whole_numbers(session_for: SessionFor) -> None:
    """Found by random plans: no row is without the key, so it is no nullable number."""
    for pushdown in (True, False):
        table = session_for("plaintext", "threads", pushdown=pushdown).table
        both = table("a.plain").merge(table("b.nulls"), on="id", how="outer")
        want = TABLES["a.plain"].merge(TABLES["b.nulls"], on="id", how="outer")["id"]
        got = both.assign(twice=lambda t: t.id.astype(int) * 2)[["id", "twice"]].collect()
        assert got["id"].dtype == want.dtype
        assert got["id"].tolist() == want.tolist()
        assert got["twice"].tolist() == (want * 2).tolist()


def test_windows_without_an_order_follow_the_merged_rows(session_for: SessionFor) -> None:
    """Found by random plans: the rank that orders merged rows was not looked at where a window names no order."""
    for pushdown in (True, False):
        table = session_for("plaintext", "threads", pushdown=pushdown).table
        both = table("a.nulls").merge(table("b.plain"), on="id")
        want = TABLES["a.nulls"].merge(TABLES["b.plain"], on="id")
        assert both.tail(2)["id"].collect().tolist() == want.tail(2)["id"].tolist()
        assert both.i.cumsum().collect().tolist() == want.i.cumsum().tolist()


def test_a_window_of_fewer_rows_is_another_column(session_for: SessionFor) -> None:
    """Found by random plans: a filter kept the row numbers of before it, and a second one read them."""
    table, want = session_for("plaintext", "threads", pushdown=True).table("a.skew"), TABLES["a.skew"]
    for frame in (table, want):
        last = frame.drop_duplicates(["s"], keep="last").drop_duplicates(["s"], keep="first")
        late = frame.assign(i=frame.i * 3)
        late = late.assign(new=(late.i + 1).cumsum()).assign(i=late.i * 2)
        late = late.assign(newer=(late.i + 1).cumsum())
        found = last.id, late[late.i > 0].newer.cumsum(), late.new
        if frame is table:
            got = [series.collect().tolist() for series in found]
    assert got == [series.tolist() for series in found]


def test_many_rows_may_match_where_a_side_is_empty(session_for: SessionFor) -> None:
    """Found by random plans: pairs of rows were looked for among none."""
    table = session_for("aby3", "threads", pushdown=True).table
    frames = []
    for left, right in (("a.skew", "b.none"), ("a.none", "b.nulls")):
        one, other = table(left).head(5), table(right).head(6)
        frames.append(one.merge(other, how="left", left_on="i", right_on="n", max_rows=30))
    assert [len(found) for found in mpc.collect(*frames)] == [5, 0]


def batches(size: int = BATCH) -> st.SearchStrategy[list[Plan]]:
    return st.lists(deep_plans(), min_size=size, max_size=size)


@given(batch=batches())
@settings(max_examples=5, phases=[Phase.generate])
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pushdown", [True, False])
def test_plans_in_the_clear_equal_pandas(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("plaintext", "threads", pushdown=pushdown), batch)


@given(batch=batches())
@settings(max_examples=6, phases=[Phase.generate])
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pushdown", [True, False])
def test_plans_on_shares_equal_pandas(session_for: SessionFor, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for("aby3", "threads", pushdown=pushdown), batch)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@given(batch=batches())
@settings(max_examples=100, phases=[Phase.generate], derandomize=False)
@pytest.mark.parametrize(
    ("protocol", "pushdown"), [("plaintext", True), ("plaintext", False), ("aby3", True), ("aby3", False)]
)
def test_fresh_plans_equal_pandas(session_for: SessionFor, protocol: str, pushdown: bool, batch: list[Plan]) -> None:
    check(session_for(protocol, "threads", pushdown=pushdown), batch)
