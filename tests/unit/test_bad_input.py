"""Bad input: every mistake gets a typed error with a code, a hint and the user's line, and nothing is lost by it."""

from __future__ import annotations

import inspect
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mpc_engine as mpc
from mpc_engine.errors import (
    ConfigError,
    MpcError,
    PeerError,
    RangeError,
    SchemaError,
    SourceError,
    UnsupportedError,
)
from mpc_engine.ml import LogisticRegression, StandardScaler
from mpc_engine.ml.base import ConvergenceWarning
from mpc_engine.ml.metrics import roc_auc_score
from mpc_engine.runtime.faults import blamed_party
from mpc_engine.runtime.supervisor import Supervisor

LOANS = pd.DataFrame(
    {
        "id": [1, 2, 3, 4, 5, 6],
        "amount": [100, 250, -80, 40, 40, 7],
        "rate": [0.5, 1.25, np.nan, 2.0, 0.0, 0.25],
        "purpose": ["car", "house", None, "car", "car", "boat"],
        "bad": [0, 1, 0, 1, 1, 0],
        "ref": pd.array([1, 2, None, 4, 5, 6], dtype="Int64"),
        "twice": [1, 1, 2, 3, 4, 5],
        "since": pd.to_datetime(["2024-01-01"] * 6),
    }
)
SCORES = pd.DataFrame({"key": [3, 1, 9, 2, 5, 6], "score": [700, 640, 800, 10, 20, 30], "w": [0.5, 2.0, 1, 1, 3, -1]})
STRANGERS = pd.DataFrame({"key": [101, 102], "score": [1, 2]})
PARTIES = {"bank": {"loans": LOANS}, "bureau": {"scores": SCORES, "strangers": STRANGERS}}


def session(protocol: str = "plaintext", executor: str = "threads", **options: Any) -> mpc.Session:
    return mpc.Session.local(PARTIES, protocol=protocol, executor=executor, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["plaintext", "aby3"])
def shared(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    """A session that tests share: errors before the run must not harm it, nor may errors in a run."""
    with session(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def clear() -> Iterator[mpc.Session]:
    with session() as made:
        yield made


@pytest.fixture
def loans(clear: mpc.Session) -> mpc.DataFrame:
    return clear.table("bank.loans")


@pytest.fixture
def joint(clear: mpc.Session) -> mpc.DataFrame:
    return clear.table("bank.loans").merge(clear.table("bureau.scores"), left_on="id", right_on="key")


def works(made: mpc.Session) -> None:
    """The session still answers a joint query."""
    both = made.table("bank.loans").merge(made.table("bureau.scores"), left_on="id", right_on="key")
    assert (both["amount"] + both["score"]).sum().collect() == 1717


def refused(kind: type[MpcError], code: str, message: str, act: Callable[[], Any]) -> MpcError:
    """Assert class, code and message, that there is a hint, and that ``where`` is the line in this file."""
    with pytest.raises(kind, match=re.escape(message)) as caught:
        act()
    error = caught.value
    assert error.code == code
    assert error.where.startswith(__file__), error.where
    return error


# --- tables and columns ----------------------------------------------------------------------------------------------


def test_unknown_table(clear: mpc.Session) -> None:
    error = refused(SchemaError, "MPC-0101", "no table 'bank.loan'", lambda: clear.table("bank.loan"))
    assert error.hint == "did you mean 'bank.loans'?"
    error = refused(SchemaError, "MPC-0101", "no table 'x'", lambda: clear.table("x"))
    assert error.hint == "tables: bank.loans, bureau.scores, bureau.strangers"


def test_unknown_column(loans: mpc.DataFrame) -> None:
    for act in (
        lambda: loans["amuont"],
        lambda: loans[["id", "amuont"]],
        lambda: loans.groupby("amuont"),
        lambda: loans.sort_values("amuont"),
        lambda: loans.query("amuont > 3"),
        lambda: loans.rename(columns={"amuont": "x"}),
        lambda: loans.drop(columns="amuont"),
        lambda: loans.groupby("purpose").agg(x=("amuont", "sum")),
    ):
        error = refused(SchemaError, "MPC-0102", "no column 'amuont'", act)
        assert error.hint == "did you mean 'amount'?"
    with pytest.raises(AttributeError, match="no column or method 'amuont'; did you mean 'amount'"):
        _ = loans.amuont


def test_the_place_is_the_line_of_the_mistake(loans: mpc.DataFrame) -> None:
    with pytest.raises(SchemaError) as caught:
        loans["nothing"]  # this very line
    frame = inspect.currentframe()
    assert frame is not None
    assert caught.value.where == f'{__file__}:{frame.f_lineno - 3}: loans["nothing"]  # this very line'


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        (lambda t: t.purpose + 1, "MPC-0103", "cannot compute 'add' on a string value"),
        (lambda t: t.purpose > 3, "MPC-0103", "cannot compare a string with a int"),
        (lambda t: t.amount == "car", "MPC-0103", "cannot compare a int with a string"),
        (lambda t: t.amount & t.bad, "MPC-0103", "'&' needs booleans, not int"),
        (lambda t: t[t.amount], "MPC-0103", "a filter needs a boolean, not int"),
        (lambda t: t.purpose.sum(), "MPC-0103", "cannot take the sum of string 'value'"),
        (lambda t: t.groupby("rate").size(), "MPC-0103", "cannot group by the float 'rate'"),
        (lambda t: t.ref.astype(int), "MPC-0103", "cannot turn missing values into integers"),
        (lambda t: t.since > "soon", "MPC-0104", "'soon' is not an ISO timestamp"),
        (lambda t: t.amount == None, "MPC-0105", "nothing equals a missing value"),  # noqa: E711
        (lambda t: t.amount > float("inf"), "MPC-0105", "a constant must be finite"),
        (lambda t: t.amount / 0, "MPC-0105", "division by the constant 0"),
        (lambda t: t.head(-1), "MPC-0105", "head() needs a count of at least 0"),
        (lambda t: t.rename(columns={"id": "bad"}), "MPC-0106", "rename would give two columns one name"),
        (lambda t: t.merge(t[["id"]], left_on="id"), "MPC-0107", "merge needs on=, or left_on= and right_on= of equal"),
        (lambda t: t[["id"]].merge(t[["bad"]]), "MPC-0107", "or columns of the same name"),
        (lambda t: t.groupby("bad").agg(), "MPC-0115", "agg needs at least one aggregate"),
        (lambda t: t.query("amount >"), "MPC-0116", "cannot read the query 'amount >'"),
        (lambda t: t.query("amount > @nowhere"), "MPC-0116", "no variable 'nowhere' for '@nowhere'"),
        (lambda t: t.explain("sideways"), "MPC-0117", "no stage 'sideways'"),
        (lambda t: t["amount"] + t, "MPC-0103", "cannot combine a column with a DataFrame"),
        (lambda t: t[3], "MPC-0103", "cannot select by a int"),
    ],
)
def test_types_and_arguments(loans: mpc.DataFrame, act: Callable[[Any], Any], code: str, message: str) -> None:
    refused(SchemaError, code, message, lambda: act(loans))


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        (lambda t: t.groupby("bad").agg(x=("amount", "medain")), "MPC-0304", "aggregate 'medain' is not supported"),
        (lambda t: t.merge(t, on="id", how="cross"), "MPC-0309", "merge(how='cross') is not supported"),
        (lambda t: t.amount // t.bad, "MPC-0302", "// needs a constant other than 0 on its right"),
        (lambda t: np.sin(t.amount), "MPC-0301", "numpy.sin is not supported on secret columns"),
        (lambda t: t.purpose.str.contains("a.*", regex=True), "MPC-0301", "regular expressions are not supported"),
        (lambda t: t.query("amount.sum() > 3"), "MPC-0315", "'amount.sum()' is not supported in a query"),
        (lambda t: t.query("__import__('os')"), "MPC-0315", "is not supported in a query"),
        (lambda t: t.amount.astype("category"), "MPC-0301", "cannot cast to 'category'"),
        (lambda t: len(t[t.amount > 0]), "MPC-0312", "the number of rows is not public"),
        (lambda t: t.__setitem__("x", 1), "MPC-0313", "a frame is immutable"),
    ],
)
def test_what_is_not_supported(loans: mpc.DataFrame, act: Callable[[Any], Any], code: str, message: str) -> None:
    error = refused(UnsupportedError, code, message, lambda: act(loans))
    assert error.hint


def test_an_operation_over_two_owners_that_only_one_could_do(joint: mpc.DataFrame) -> None:
    message = "'upper' over columns of bank and bureau cannot be computed on secrets"
    refused(UnsupportedError, "MPC-0303", message, lambda: joint.purpose.where(joint.score > 50).str.upper())
    message = "cannot divide by the secret score with range"
    refused(UnsupportedError, "MPC-0306", message, lambda: (joint.amount / joint.score).collect())


def test_frames_that_do_not_belong_together(clear: mpc.Session, loans: mpc.DataFrame) -> None:
    scores = clear.table("bureau.scores")
    message = "these columns come from different frames, so their rows do not belong together"
    refused(SchemaError, "MPC-0114", message, lambda: loans.amount + scores.score)
    refused(SchemaError, "MPC-0114", message, lambda: loans[scores.score > 3])
    refused(SchemaError, "MPC-0114", message, lambda: loans.assign(x=scores.score))
    with session() as other:
        with pytest.raises(ConfigError, match="takes frames of one session"):
            mpc.collect(loans, other.table("bank.loans"))
        foreign = other.table("bureau.scores")
        refused(
            ConfigError,
            "MPC-0807",
            "frames of different sessions",
            lambda: loans.merge(foreign, left_on="id", right_on="key"),
        )


# --- branches on secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        (lambda t: bool(t.amount > 1), "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: 1 if t.amount.sum() else 0, "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: bool(t), "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: 0 < t.amount < 5, "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: (t.amount > 1) and (t.bad > 0), "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: float(t.amount.sum()), "MPC-0310", "the program cannot branch on a secret value"),
        (lambda t: [x for x in t.amount], "MPC-0311", "cannot loop over secret rows"),  # noqa: C416
    ],
)
def test_no_branch_on_a_secret(loans: mpc.DataFrame, act: Callable[[Any], Any], code: str, message: str) -> None:
    error = refused(UnsupportedError, code, message, lambda: act(loans))
    assert "collect()" in error.hint


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_that_repeat_on_both_sides(shared: mpc.Session) -> None:
    loans, scores = shared.table("bank.loans"), shared.table("bureau.scores")
    again = scores.assign(half=lambda t: (t.key > 3).astype(int))
    with pytest.raises(SchemaError, match=r"the merge key '(twice|half)' of \w+ is not unique") as caught:
        loans.merge(again, left_on="twice", right_on="half").collect()
    assert caught.value.code == "MPC-0108"
    assert caught.value.hint.startswith("group first: df.groupby('")
    works(shared)
    once = loans.merge(scores, left_on="twice", right_on="key")
    want = LOANS.merge(SCORES, left_on="twice", right_on="key")
    assert once.collect()["id"].tolist() == want["id"].tolist()
    grouped = loans.groupby("twice").agg(total=("amount", "sum")).reset_index()
    assert grouped.merge(scores, left_on="twice", right_on="key").total.sum().collect() == 350 - 80 + 40 + 7


def test_missing_merge_keys(shared: mpc.Session) -> None:
    loans, scores = shared.table("bank.loans"), shared.table("bureau.scores")
    """They match each other only."""
    every = loans.merge(scores, left_on="ref", right_on="key", how="left")
    assert sorted(every.id.collect().tolist()) == sorted(LOANS["id"].tolist())
    kept = loans[loans["ref"].notna()].merge(scores, left_on="ref", right_on="key")
    assert sorted(kept.id.collect().tolist()) == [1, 2, 5, 6]


def test_keys_of_different_types(loans: mpc.DataFrame, clear: mpc.Session) -> None:
    scores = clear.table("bureau.scores")
    message = "merge keys 'purpose' (string) and 'key' (int) differ in type"
    kept = loans[loans.purpose.notna()]
    refused(SchemaError, "MPC-0103", message, lambda: kept.merge(scores, left_on="purpose", right_on="key"))
    message = "merge key 'w' is a float"
    full = loans.assign(w=lambda t: t.rate.fillna(0.0))
    refused(SchemaError, "MPC-0103", message, lambda: full.merge(scores, on="w"))


@pytest.mark.parametrize("pushdown", [True, False])
@pytest.mark.parametrize("protocol", ["plaintext", "aby3"])
def test_an_empty_intersection_is_an_empty_result(protocol: str, pushdown: bool) -> None:
    with session(protocol, pushdown=pushdown) as made:
        both = made.table("bank.loans").merge(made.table("bureau.strangers"), left_on="id", right_on="key")
        found = mpc.collect(
            both,
            both[both.amount > both.score],
            both.sort_values("score").head(3),
            both.groupby("purpose").agg(n=("score", "size"), m=("score", "mean"), low=("amount", "min")),
            both.groupby("amount").score.sum(),
            both.value_counts("purpose"),
            both.score.sum(),
            both.score.count(),
            both.score.mean(),
            both.score.max(),
            both.agg(n=("score", "size"), total=("rate", "sum")),
        )
        *frames, total, count, mean, largest, row = found
        assert [len(frame) for frame in frames] == [0] * 6
        assert list(frames[0].columns) == [*LOANS.columns, *STRANGERS.columns]
        assert (total, count) == (0, 0)
        assert np.isnan(mean)
        assert np.isnan(largest)
        assert row.to_numpy().tolist() == [[0, 0.0]]
        with pytest.raises(SchemaError, match="there are no rows to fit or measure"):
            LogisticRegression().fit(both[["amount"]], both["bad"]).reveal()
        works(made)


# --- sources ---------------------------------------------------------------------------------------------------------


def opened(data: Any, **options: Any) -> mpc.Session:
    return mpc.Session.local({"bank": {"t": data}}, protocol="plaintext", executor="threads", **options)


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 nonsense")
    locked = tmp_path / "folder.csv"
    locked.mkdir()
    (tmp_path / "rows.txt").write_text("a\n1\n")
    cases: list[tuple[Any, str, str]] = [
        (tmp_path / "nowhere.parquet", "MPC-0501", "bank.t: there is no file"),
        (str(locked), "MPC-0501", "bank.t: there is no file"),
        (tmp_path / "rows.txt", "MPC-0502", "bank.t: cannot tell the format of 'rows.txt'"),
        (broken, "MPC-0504", "bank.t cannot be read"),
        ("duckdb:SELEC 1", "MPC-0504", "bank.t cannot be read"),
        ({"a": [1]}, "MPC-0503", "bank.t: dict is not a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "MPC-0503", "bank.t: "),
        (pd.DataFrame({"a": [1, "x"]}), "MPC-0503", "bank.t: "),
    ]
    for data, code, message in cases:
        with pytest.raises(SourceError, match=re.escape(message)) as caught:
            opened(data)
        assert caught.value.code == code
        assert caught.value.hint


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n2\n")
    with opened(path) as made:
        total = made.table("bank.t").a.sum()
        path.unlink()
        with pytest.raises(SourceError, match=r"bank\.t cannot be read"):
            total.collect()
        path.write_text("a\n1\n2\n")
        assert total.collect() == 3


def test_columns_that_cannot_be_used() -> None:
    rows = pa.table({"a": [1, 2], "pair": [[1], [2]], "raw": [b"x", b"y"]})
    with opened(rows) as made:
        frame = made.table("bank.t")
        assert frame.columns == ["a"]
        error = refused(SchemaError, "MPC-0102", "column 'pair' of bank.t has the type", lambda: frame["pair"])
        assert error.hint
        assert frame.a.sum().collect() == 3


def test_values_outside_their_declared_range(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,a\n1,5\n2,9\n")
    with pytest.raises(
        RangeError, match=re.escape("column 'a' of bank.t has values outside its declared range [0, 8]")
    ):
        opened(mpc.Source(path, ranges={"a": (0, 8)}))
    with pytest.raises(SchemaError, match=r"bank\.t has no column 'b' to declare a range for"):
        opened(mpc.Source(path, ranges={"b": (0, 8)}))
    parties = {"bank": {"t": mpc.Source(path, ranges={"a": (0, 10)})}, "bureau": {"scores": SCORES}}
    with mpc.Session.local(parties, protocol="plaintext", executor="threads") as made:
        both = made.table("bank.t").merge(made.table("bureau.scores"), left_on="id", right_on="key")
        total = (both.a + both.score).sum()
        assert total.collect() == 5 + 640 + 9 + 10
        path.write_text("id,a\n1,5\n2,99\n")
        with pytest.raises(
            RangeError, match=re.escape("column 'a' of bank has values outside its range [0, 10]")
        ) as caught:
            total.collect()
        assert caught.value.code == "MPC-0204"
        path.write_text("id,a\n1,5\n2,\n")
        with pytest.raises(RangeError, match="column 'a' of bank has missing values, but its profile says it has none"):
            total.collect()
        path.write_text("id,a\n1,5\n2,9\n")
        assert total.collect() == 5 + 640 + 9 + 10


def test_infinity_is_refused() -> None:
    with pytest.raises(RangeError, match=r"column 'a' of bank\.t holds infinity"):
        opened(pd.DataFrame({"a": [1.0, np.inf]}))


# --- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "code", "message"),
    [
        (lambda t: t.price * t.weight, "MPC-0203", "the product (price * weight) may reach"),
        (lambda t: t.huge * t.large, "MPC-0202", "'(huge * large)' may reach"),
        (lambda t: t.large * 1_000_000_000_000_000_000 + t.huge, "MPC-0202", "may reach"),
    ],
)
def test_what_may_overflow_is_refused_before_it_runs(build: Callable[[Any], Any], code: str, message: str) -> None:
    left = pd.DataFrame({"id": [1, 2], "price": [1e6, -2e6], "huge": [1 << 40, 5]})
    right = pd.DataFrame({"id": [2, 1], "weight": [9e7, 1.0], "large": [1 << 30, 1]})
    with mpc.Session.local({"a": {"t": left}, "b": {"u": right}}, protocol="aby3", executor="threads") as made:
        both = made.table("a.t").merge(made.table("b.u"), on="id")
        column = build(both)
        error = refused(RangeError, code, message, lambda: column.collect())
        assert error.hint


def test_a_sum_that_may_overflow_names_the_column() -> None:
    left = pd.DataFrame({"id": [1, 2], "huge": [1 << 61, 5]})
    right = pd.DataFrame({"id": [2, 1], "g": [0, 1]})
    with mpc.Session.local({"a": {"t": left}, "b": {"u": right}}, protocol="aby3", executor="threads") as made:
        both = made.table("a.t").merge(made.table("b.u"), on="id")
        totals = both.groupby("g").agg(total=("huge", "sum"))
        refused(RangeError, "MPC-0202", "the sum of 'huge' over 2 rows may reach", lambda: totals.collect())
        assert both.g.sum().collect() == 1


# --- models ----------------------------------------------------------------------------------------------------------


def test_models_refuse_what_they_cannot_use(joint: mpc.DataFrame) -> None:
    fit = LogisticRegression().fit
    cases: list[tuple[str, str, Callable[[], Any]]] = [
        ("MPC-0111", "feature 'purpose' is string, not a number", lambda: fit(joint[["purpose"]], joint["bad"])),
        ("MPC-0112", "feature 'rate' has missing values", lambda: fit(joint[["rate"]], joint["bad"])),
        ("MPC-0113", "target 'amount' must be 0 or 1", lambda: fit(joint[["score"]], joint["amount"])),
        ("MPC-0110", "a model needs at least one feature", lambda: fit(joint[[]], joint["bad"])),
        ("MPC-0103", "X must be a frame, not Series", lambda: fit(joint["score"], joint["bad"])),
    ]
    for code, message, act in cases:
        refused(SchemaError, code, message, act)
    for act in (LogisticRegression().reveal, lambda: StandardScaler().transform(joint[["score"]])):
        refused(SchemaError, "MPC-0119", "is not fitted", act)
    fitted = fit(joint[["score"]], joint["bad"])
    message = "X lacks the feature 'score' that the model was fitted on"
    refused(SchemaError, "MPC-0121", message, lambda: fitted.predict_proba(joint[["amount"]]))
    refused(SchemaError, "MPC-0113", "must be 0 or 1", lambda: roc_auc_score(joint["amount"], joint["score"]))


@pytest.mark.parametrize("protocol", ["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
def test_fits_that_cannot_converge_warn_and_give_no_nan(protocol: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 10, 40)
    left = pd.DataFrame({"id": range(40), "x": x, "bad": (rng.random(40) < 0.3).astype(int), "one": 1, "none": 0})
    right = pd.DataFrame({"id": range(40), "z": 2 * x, "same": 3})
    with mpc.Session.local({"a": {"t": left}, "b": {"u": right}}, protocol=protocol, executor="threads") as made:  # type: ignore[arg-type]
        both = made.table("a.t").merge(made.table("b.u"), on="id")
        for features, target in ((["x", "z"], "bad"), (["x", "same"], "bad"), (["x"], "one"), (["x"], "none")):
            model = LogisticRegression().fit(both[features], both[target])
            with pytest.warns(ConvergenceWarning, match="the fit did not converge"):
                result = model.reveal()
            assert not result.converged_
            assert np.isfinite([*result.params, *result.bse_, *result.pvalues_, result.llf]).all()
            assert "converged: False" in result.summary()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert LogisticRegression().fit(both[["x"]], both["bad"]).reveal().converged_


# --- sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "message", "hint"),
    [
        ({"protocol": "aby"}, "MPC-0804", "unknown protocol 'aby'", "did you mean 'aby3'?"),
        ({"executor": "thread"}, "MPC-0804", "unknown executor 'thread'", "did you mean 'threads'?"),
        ({"kernels": "cuda"}, "MPC-0804", "unknown kernels 'cuda'", "one of auto, native, spu"),
        (
            {"protocol": "aby3", "computing": ["bank", "bureau"]},
            "MPC-0801",
            "aby3 needs exactly 3 computing parties",
            "",
        ),
        (
            {"protocol": "cheetah", "computing": ["bank"] * 2},
            "MPC-0801",
            "cheetah needs exactly 2 computing parties",
            "",
        ),
        (
            {"protocol": "cheetah", "kernels": "native"},
            "MPC-0802",
            "native kernels work on aby3 shares, not cheetah",
            "",
        ),
        ({"timeout": 0}, "MPC-0806", "timeout must lie between 1 and 3600 seconds", ""),
        ({"policy": {}}, "MPC-0316", "policies are not supported yet", ""),
    ],
)
def test_settings(options: dict[str, Any], code: str, message: str, hint: str) -> None:
    with pytest.raises((ConfigError, UnsupportedError), match=message) as caught:
        session(**{"protocol": "plaintext", "executor": "threads"} | options)
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_a_session_without_tables() -> None:
    with pytest.raises(ConfigError, match="a session needs at least one owner with a table"):
        mpc.Session.local({"bank": {}}, protocol="plaintext", executor="threads")


def test_a_closed_session() -> None:
    made = session()
    total = made.table("bank.loans").amount.sum()
    made.close()
    made.close()
    with pytest.raises(ConfigError, match="the session is closed"):
        total.collect()


def test_an_unknown_receiver(loans: mpc.DataFrame) -> None:
    refused(ConfigError, "MPC-0808", "there is no party 'bnak' to receive a result", lambda: loans.collect(to="bnak"))


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_party_that_does_not_answer_is_named_and_the_next_query_works(
    ray_held: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A party that stops before a run is replaced by another process; one that stops in a run is named."""
    ray_held()
    run = Supervisor.run
    with session("aby3", "ray") as made:
        works(made)

        def stop_bureau_and_run(parties: Supervisor, *args: Any, **options: Any) -> dict[str, bytes]:
            monkeypatch.setattr(Supervisor, "run", run)
            os.kill(parties.pids()["bureau"], signal.SIGSTOP)
            return run(parties, *args, **options)

        monkeypatch.setattr(Supervisor, "run", stop_bureau_and_run)
        started = time.monotonic()
        both = made.table("bank.loans").merge(made.table("bureau.scores"), left_on="id", right_on="key")
        with pytest.raises(PeerError, match="party 'bureau' does not answer") as caught:
            both.score.sum().collect()
        assert time.monotonic() - started < 15
        assert blamed_party(caught.value) == "bureau"
        works(made)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("mpc-")]
