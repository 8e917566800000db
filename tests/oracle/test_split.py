"""Random splits against the hash that they are drawn by, in every placement; out-of-time splits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import MpcError, UnsupportedError
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


@pytest.fixture(scope="module", params=["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    with mpc.Session.local(TABLES, protocol=request.param, executor="threads") as session:
        yield session.table("bank.loans").merge(session.table("bureau.people"), on="id")


@pytest.mark.parametrize(("size", "classes"), [(0.25, "bad"), (0.3, "late"), (0.37, "city"), (0.005, "year")])
def test_each_class_has_its_share_of_both_parts(joint: mpc.DataFrame, size: float, classes: str) -> None:
    some = joint[joint["late"] + joint["bad"] > 0]  # columns of both: which rows there are is a secret
    train, test = train_test_split(some, test_size=size, random_state=4, stratify=some[classes])
    left, right = mpc.collect(train[["id", classes]], test[["id", classes]])
    want = LOANS.merge(PEOPLE, on="id")
    want = want[want["late"] + want["bad"] > 0]
    assert len(right) == math.ceil(size * len(want))
    assert sorted([*left["id"], *right["id"]]) == sorted(want["id"])
    got = right[classes].value_counts().reindex(want[classes].unique(), fill_value=0)
    assert (got - size * want[classes].value_counts()).abs().max() < 1


def test_another_seed_draws_other_rows_and_nothing_is_disclosed(joint: mpc.DataFrame) -> None:
    parts = [
        train_test_split(joint["id"], test_size=0.5, random_state=k, stratify=joint["late"] > 1)[1] for k in (1, 2)
    ]
    first, second = (set(part) for part in mpc.collect(*parts))
    assert len(first) == len(second)
    assert 0.3 < len(first & second) / len(first) < 0.7
    train, _ = train_test_split(joint, stratify=joint["late"] > 1)
    of_all, of_part = joint["late"].sum().explain(), train["late"].sum().explain()
    assert [str(line) for line in of_part.disclosures] == [str(line) for line in of_all.disclosures]


def test_classes_are_no_amounts(joint: mpc.DataFrame) -> None:
    with pytest.raises(UnsupportedError, match="'late', a float") as caught:
        train_test_split(joint, stratify=joint["late"] * 0.5)
    assert caught.value.hint


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
