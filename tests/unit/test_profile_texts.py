"""Which texts have a public dictionary."""

from __future__ import annotations

import pandas as pd

import mpc_engine as mpc
from mpc_compiler.ir import Scan, walk
from mpc_engine.io.profile import FEW


def domain(session: mpc.Session, table: str, name: str) -> tuple[str, ...] | None:
    return next(f for f in session._profiles[table].fields if f.name == name).dtype.domain


def test_names_are_nobodys_vocabulary() -> None:
    rows = FEW + 8
    table = pd.DataFrame(
        {
            "name": [f"n{k}" for k in range(rows)],
            "kind": [f"k{k % 30}" for k in range(rows)],
            "half": [f"h{k // 2}" for k in range(rows)],
        }
    )
    with mpc.Session.local({"a": {"t": table, "small": table.head(FEW)}}, executor="threads") as session:
        assert domain(session, "a.t", "name") is None
        assert len(domain(session, "a.t", "kind") or ()) == 30
        assert len(domain(session, "a.t", "half") or ()) == rows // 2
        assert len(domain(session, "a.small", "name") or ()) == FEW


def _told(session: mpc.Session, frame: mpc.DataFrame) -> dict[str, tuple[str, ...] | None]:
    """The dictionary of ``t`` in each table of a plan, as the parties get it."""
    (output,) = session._compile(session._plan([frame], None)).plan.outputs
    return {
        node.table: field.dtype.domain
        for node in walk(output.rel)
        if isinstance(node, Scan)
        for field in node.fields
        if field.name == "t"
    }


def test_parts_of_a_table_have_one_dictionary() -> None:
    halves = {"a": pd.DataFrame({"t": ["x", "y"]}), "b": pd.DataFrame({"t": ["z", "x"]})}
    tables = {owner: {"part": half, owner: half} for owner, half in halves.items()}
    with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
        assert domain(session, "a.part", "t") == domain(session, "a.a", "t") == ("x", "y")
        assert domain(session, "b.part", "t") == ("x", "z")
        whole = session.sql("SELECT t, COUNT(*) AS n FROM part GROUP BY t ORDER BY t")
        assert _told(session, whole) == {"a.part": ("x", "y", "z"), "b.part": ("x", "y", "z")}
        assert _told(session, session.table("a.part")) == {"a.part": ("x", "y")}
        found = whole.collect()
        assert found.to_dict("list") == {"t": ["x", "y", "z"], "n": [2, 1, 1]}
