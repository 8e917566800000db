"""Keys of tables that owners divide among them: declared by all, followed through plans, never of one part twice."""

from __future__ import annotations

import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import UnsupportedError

LOANS = pd.DataFrame({"loan": range(8), "client": [3, 1, 2, 9, 3, 5, 4, 4], "sum": range(10, 18)})
CLIENTS = pd.DataFrame({"client": [1, 2, 3, 4, 5, 6], "age": [20, 31, 42, 53, 64, 75]})
QUERY = "SELECT l.loan, c.age FROM loans l JOIN clients c ON l.client = c.client ORDER BY l.loan"


def session(protocol: str, *, declared: tuple[bool, bool]) -> mpc.Session:
    parts = [mpc.Source(CLIENTS[CLIENTS.client % 2 == k], keys=["client"], disjoint=declared[k]) for k in range(2)]
    tables = {"a": {"loans": LOANS, "clients": parts[0]}, "b": {"clients": parts[1]}}
    return mpc.Session.local(tables, protocol=protocol, executor="threads")  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
def test_a_union_is_looked_up_by_its_declared_key(protocol: str) -> None:
    with session(protocol, declared=(True, True)) as made:
        got = made.sql(QUERY).collect()
    want = LOANS.merge(CLIENTS, on="client").sort_values("loan")
    assert got.values.tolist() == want[["loan", "age"]].values.tolist()


@pytest.mark.parametrize("declared", [(True, False), (False, True), (False, False)])
def test_every_owner_has_to_say_so(declared: tuple[bool, bool]) -> None:
    with session("plaintext", declared=declared) as made, pytest.raises(UnsupportedError) as caught:
        made.sql(QUERY)
    assert caught.value.code == "MPC-0332"


def test_one_part_twice_has_no_key() -> None:
    twice = "WITH t AS (SELECT client, age FROM a.clients UNION ALL SELECT client, age FROM a.clients) "
    with session("plaintext", declared=(True, True)) as made, pytest.raises(UnsupportedError) as caught:
        made.sql(twice + "SELECT l.loan FROM loans l JOIN t ON l.client = t.client")
    assert caught.value.code == "MPC-0332"
