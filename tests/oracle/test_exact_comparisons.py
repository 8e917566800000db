"""Comparisons of numbers with averages and other quotients: exact, where fixed point would be off by its last bit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import Agg, Aggregate, Filter, Item, Join, Output, Plan, Project, Rel, call, column, literal, make
from mpc_compiler.rules import rewrite

OPERATORS = ("lt", "le", "gt", "ge", "eq", "ne")


@pytest.fixture(scope="module", params=[("plaintext", True), ("plaintext", False), ("aby3", False)], ids=str)
def session(request: pytest.FixtureRequest) -> Any:
    protocol, pushdown = request.param
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"k": rng.integers(0, 6, 60), "id": np.arange(60)})
    units = rng.integers(0, 40, 60)  # few values: many equal their average, or a third of it
    sold = pa.table(
        {"k": rows.k, "id": rows.id, "q": pa.array([Decimal(int(u)).scaleb(-1) for u in units], pa.decimal128(9, 1))}
    )
    keys = pd.DataFrame({"key": np.arange(6), "name": [1, 2, 3, 4, 5, 6]})
    with mpc.Session.local(
        {"a": {"sold": sold}, "b": {"keys": keys}}, protocol=protocol, executor="threads", pushdown=pushdown
    ) as made:
        made.units = units.astype(object)  # type: ignore[attr-defined]
        made.rows = rows  # type: ignore[attr-defined]
        yield made


@pytest.mark.parametrize("factor", [(1, 1), (1, 3), (-1, 2)], ids=str)
def test_numbers_beside_the_average_of_their_group(session: Any, factor: tuple[int, int]) -> None:
    sold = session.table("a.sold")._base
    below = make(Project(sold, (Item("g", column("k")), Item("x", column("q")))))
    sums = make(Aggregate(below, ("g",), (Agg("s", "sum", "x"), Agg("n", "size"))))
    mean = call("div", column("s"), call("nonzero", column("n")))
    scaled = call("div", call("mul", mean, literal(factor[0])), literal(factor[1]))
    both = make(Join(sold, make(Project(sums, (Item("g", column("g")), Item("m", scaled)))), ("k",), ("g",)))
    rels: list[Rel] = []
    for op in OPERATORS:
        kept = make(Filter(both, call(op, column("q"), column("m"))))
        rels.append(make(Project(kept, (Item("id", column("id")),))))
    frames = [mpc.DataFrame(session, rel, {"id": column("id")}) for rel in rels]
    found = mpc.collect(*frames)
    units, groups = session.units, session.rows.k
    total = {g: sum(units[groups == g]) for g in set(groups)}
    count = {g: int((groups == g).sum()) for g in set(groups)}
    for op, rows in zip(OPERATORS, found, strict=True):
        sides = [(u * count[g] * factor[1], factor[0] * total[g]) for u, g in zip(units, groups, strict=True)]
        want = [i for i, (a, b) in enumerate(sides) if getattr(a, f"__{op}__")(b)]
        assert sorted(rows["id"]) == want, op


def test_what_would_leave_the_ring_is_left_alone() -> None:
    from mpc_compiler.ir import DType, Field, Scan

    wide = make(Scan("a.t", "a", tuple(Field(n, DType("int", lo=1, hi=1 << 40), ("a",)) for n in "xsn"), 5))
    kept = make(Filter(wide, call("lt", column("x"), call("div", column("s"), column("n")))))
    plan = Plan((Output("result", kept, ("a",)),))
    after = dict(rewrite(plan, pushdown=False))["compare_exactly"]
    assert after == plan
