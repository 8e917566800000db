"""What a query is said to cost before it runs is close to what is then measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpc_engine import Session


def test_the_estimate_of_a_joint_query_is_close_and_stands_in_the_report() -> None:
    rows = np.arange(500)
    loans = pd.DataFrame({"customer": rows, "amount": rows % 7})
    accounts = pd.DataFrame({"customer": rows + 250, "balance": rows % 11})
    with Session.local({"bank_a": {"loans": loans}, "bank_b": {"accounts": accounts}}, executor="threads") as session:
        joint = session.table("bank_a.loans").merge(session.table("bank_b.accounts"), on="customer")
        totals = joint[joint["amount"] > joint["balance"]].groupby("amount").agg(total=("balance", "sum"))
        said = totals.explain()
        totals.collect()
        run = session.last_run
        assert run is not None
        assert run.expected is not None
        expected = run.expected()
        assert (expected.rounds, expected.bytes) == (said.rounds, said.bytes)
        assert abs(run.total_bytes / expected.bytes - 1) < 0.1
        assert abs(run.rounds - expected.rounds) < 10
        assert f"rounds, estimated {expected.rounds}" in run._repr_html_()
        assert said.seconds < said.elsewhere["LAN"] < said.elsewhere["WAN"]
        assert said.elsewhere["WAN"] > said.rounds * 40e-3
        assert f"{said.elsewhere['WAN']:.1f} s over a WAN" in str(said)
