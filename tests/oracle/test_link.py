"""Parties that are far apart: fewer rounds, more bytes, the same answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mpc_compiler.cost import LINKS
from mpc_compiler.ops.group import strategy
from mpc_engine import ConfigError, Session

ROWS = np.arange(3000)
TABLES = {
    "bank_a": {"a": pd.DataFrame({"key": ROWS * 37 % 101, "amount": ROWS * ROWS % 1009})},
    "bank_b": {"b": pd.DataFrame({"key": ROWS * 41 % 101, "amount": ROWS * 7 % 997})},
}


def _run(link: str) -> tuple[pd.DataFrame, int, int, int, int]:
    with Session.local(TABLES, executor="threads", kernels="native", link=link) as session:  # type: ignore[arg-type]
        both = session.sql("SELECT * FROM bank_a.a UNION ALL SELECT * FROM bank_b.b")
        ranked = both.sort_values(["amount", "key"], ascending=[False, True]).head(50)
        query = ranked[ranked["amount"] * 4096 > ranked["key"] * 100_003]
        said = query.explain()
        found = query.collect()
        run = session.last_run
        assert run is not None
        return found, run.rounds, run.total_bytes, said.rounds, said.bytes


def test_the_link_decides_between_rounds_and_bytes_and_not_what_comes_out() -> None:
    near, near_rounds, near_bytes, _, _ = _run("lan")
    far, far_rounds, far_bytes, said_rounds, said_bytes = _run("wan")
    both = pd.concat([TABLES["bank_a"]["a"], TABLES["bank_b"]["b"]])
    ranked = both.sort_values(["amount", "key"], ascending=[False, True]).head(50)
    expected = ranked[ranked["amount"] * 4096 > ranked["key"] * 100_003].reset_index(drop=True)
    assert 0 < len(expected) < 50
    pd.testing.assert_frame_equal(near.reset_index(drop=True), expected, check_dtype=False)
    pd.testing.assert_frame_equal(far.reset_index(drop=True), expected, check_dtype=False)
    assert far_rounds < near_rounds
    assert far_bytes > near_bytes
    assert said_rounds == pytest.approx(far_rounds, rel=0.5)
    assert said_bytes == pytest.approx(far_bytes, rel=0.5)


def test_plans_are_chosen_for_the_link() -> None:
    choices = {
        name: [strategy(100_000, domain, [], 2, kernels=True, link=link) for domain in (2, 16, 64, 256)]
        for name, link in LINKS.items()
    }
    assert choices["lan"] != choices["wan"]
    assert choices["lan"][-1] == "sort"


def test_an_unknown_link_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown link 'wam'") as caught:
        Session.local(TABLES, link="wam")  # type: ignore[arg-type]
    assert "did you mean 'wan'" in caught.value.hint
