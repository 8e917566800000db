"""Random splits against the hash that they are drawn by, in every placement; out-of-time splits."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import MpcError
from mpc_engine.ml import LogisticRegression, train_test_split

ROWS = 400
RNG = np.random.default_rng(2)
LOANS = pd.DataFrame({"id": RNG.permutation(ROWS) + 1000, "bad": RNG.integers(0, 2, ROWS), "year": 2020})
LOANS["year"] += RNG.integers(0, 3, ROWS)
PEOPLE = pd.DataFrame({"id": RNG.permutation(ROWS) + 1010, "late": RNG.integers(0, 5, ROWS)})
PEOPLE["city"] = RNG.choice(["Oslo", "Århus", "Turku"], ROWS)
TABLES = {"bank": {"loans": LOANS}, "bureau": {"people": PEOPLE}}


def _in_test(key: Any, seed: int, share: float) -> bool:
    return int(hashlib.md5(f"{key}:{seed}".encode()).hexdigest()[:5], 16) < round(share * 2**20)


@pytest.mark.parametrize("options", [{}, {"hide_joins": True}, {"pushdown": False, "hide_joins": True}])
def test_parts_are_those_of_the_keys_hash_in_every_placement(options: dict[str, bool]) -> None:
    with mpc.Session.local(TABLES, protocol="plaintext", executor="threads", **options) as session:
        both = session.table("bank.loans").merge(session.table("bureau.people"), on="id")
        frame, label = both[["id", "late"]], both["bad"]
        parts = train_test_split(frame, label, test_size=0.3, random_state=11)
        recent = train_test_split(both[both["late"] > 1], test_size=0.3, random_state=11)[1]
        train, test, labels, more, some = mpc.collect(parts[0], parts[1], parts[2], parts[3].count(), recent["id"])
    want = LOANS.merge(PEOPLE, on="id")
    chosen = want["id"].map(lambda key: _in_test(key, 11, 0.3))
    assert sorted(train["id"]) == sorted(want["id"][~chosen])
    assert sorted(test["id"]) == sorted(want["id"][chosen])
    assert labels.sum() == want["bad"][~chosen].sum()
    assert more == chosen.sum()
    assert sorted(some) == sorted(want["id"][chosen & (want["late"] > 1)])


def test_a_model_of_one_part_scores_the_other() -> None:
    with mpc.Session.local(TABLES, protocol="plaintext", executor="threads") as session:
        both = session.table("bank.loans").merge(session.table("bureau.people"), on="id")
        train, test = train_test_split(both, key="city", test_size=0.5, random_state=3)
        model = LogisticRegression().fit(train[["late"]], train["bad"])
        scored = test.assign(p=model.predict_proba(test[["late"]]))
        late, early = both[both["year"] == 2022], both[both["year"] < 2022]
        cities, found, old, new = mpc.collect(
            train["city"], scored[["city", "p"]], early["id"].count(), late["bad"].count()
        )
    assert set(cities).isdisjoint(found["city"])
    assert set(cities) == {city for city in set(PEOPLE["city"]) if not _in_test(city, 3, 0.5)}
    assert found["p"].between(0, 1).all()
    assert old + new == len(LOANS.merge(PEOPLE, on="id"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"stratify": "bad"}, "MPC-0301"),
        ({"test_size": 1.5}, "MPC-0120"),
        ({"key": "nothing"}, "MPC-0102"),
        ({"key": "gap"}, "MPC-0103"),
        ({"random_state": 1.5}, "MPC-0105"),
        ({}, "MPC-0301"),
    ],
)
def test_what_is_refused(options: dict[str, Any], code: str) -> None:
    rows = pd.DataFrame({"bad": [0, 0, 1, 1], "gap": [1.0, 1.0, np.nan, 2.0]})
    if "random_state" in options:
        rows["id"] = [1, 2, 3, 4]
    with (
        mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session,
        pytest.raises(MpcError) as caught,
    ):
        train_test_split(session.table("bank.t"), **options)
    assert caught.value.code == code
