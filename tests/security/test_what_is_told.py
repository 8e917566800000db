"""What parties and receivers are sent beyond results: profiles of what is read, and nothing of a refused run."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.serde import encode_plan
from mpc_engine.errors import RangeError
from mpc_engine.runtime import results

TEXT = pd.DataFrame({"k": [1, 1, 2], "x": [1, 2, 3], "d": ["mine", "mine", "both"], "unread": ["secret", "odd", "odd"]})
OTHER = pd.DataFrame({"k": [1, 1, 3], "x": [4, 5, 6], "d": ["theirs", "both", "both"]})


@pytest.fixture(params=["plaintext", "aby3"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    tables = {"a": {"t": TEXT, "u": TEXT}, "b": {"t": OTHER, "v": OTHER}}
    with mpc.Session.local(tables, protocol=request.param, executor="threads") as made:
        yield made


def told(session: mpc.Session, frame: mpc.DataFrame) -> bytes:
    """The plan as the parties get it."""
    return bytes(encode_plan(session._compile(session._plan([frame], None)).plan))


def test_columns_that_nothing_reads_stay_unknown(session: mpc.Session) -> None:
    frame = session.table("a.t").groupby("k", as_index=False).agg(total=("x", "sum"))
    assert b"secret" not in told(session, frame)
    assert b"unread" not in told(session, frame)
    assert b"mine" not in told(session, frame)
    assert b"secret" in told(session, session.table("a.t")[["unread"]])


def test_another_owners_values_are_told_only_where_its_table_is_read(session: mpc.Session) -> None:
    mine = session.table("a.t")[["d", "x"]]
    assert b"theirs" not in told(session, mine)
    whole = mpc.concat([mine, session.table("b.t")[["d", "x"]]])
    assert b"theirs" in told(session, whole)
    said = [str(item) for item in whole.explain().disclosures]
    assert any("distinct values of a.t.d" in line for line in said)
    assert any("distinct values of b.t.d" in line for line in said)
    found = whole.groupby("d", as_index=False).agg(total=("x", "sum")).collect()
    assert dict(zip(found["d"], found["total"], strict=True)) == {"mine": 3, "both": 14, "theirs": 4}


def test_every_count_of_rows_is_listed(session: mpc.Session) -> None:
    t, v = session.table("a.t"), session.table("b.v")
    low, high = t[t["x"] > 1], t[t["x"] > 2]
    pair = low.merge(v, on="k", max_rows=9).merge(high.rename(columns={"x": "z"}), on="k", max_rows=9)
    lines = [str(item) for item in pair[["x_x", "z"]].explain().disclosures]
    assert [line for line in lines if "how many rows a keeps" in line and "each of 2 results" in line]


def test_a_refused_run_releases_no_rows(session: mpc.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = session.table("a.u").merge(session.table("b.v"), on="k", max_rows=2)[["x_x", "x_y"]]
    with pytest.raises(RangeError, match="MPC-0209"):
        joined.collect()
    monkeypatch.setattr(results, "_complete", lambda arrays: None)
    assert len(joined.collect()) == 0


def test_who_keeps_a_result_learns_whether_its_bound_holds(session: mpc.Session) -> None:
    joined = session.table("a.u").merge(session.table("b.v"), on="k", max_rows=9)[["x_x", "x_y"]]
    joined.persist()
    assert session.last_run is not None
    (line,) = [str(item) for item in session.last_run.disclosed if "more than 9 pairs" in str(item)]
    assert "-> requester" in line
