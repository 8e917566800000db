"""What crosses the links depends on public shapes only: same plan, same shapes, different secrets, same transcript.

The tables lie in files that are rewritten between runs, so all runs use one compiled program. Ranges, dictionaries and
the matching keys are public facts of the plan and stay the same; all else is drawn, constant, sorted, or missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import Agg, Aggregate, Rel, SortBy, Win, Window, make
from mpc_engine.frame.base import Lazy, identity
from mpc_engine.ml import PCA, KMeans, LogisticRegression, StandardScaler
from mpc_engine.ml.metrics import log_loss, population_stability_index, roc_auc_interval, roc_auc_score
from mpc_engine.runtime import worker as worker_module
from mpc_engine.runtime.messages import Report
from tests.workers import Parties

ROWS = 16
SECRETS = ("drawn", "drawn again", "all equal", "sorted", "missing", "largest")
Frame = mpc.DataFrame


def _values(secret: str, lo: int, hi: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng([seed, *secret.encode()])
    drawn = rng.integers(lo, hi + 1, ROWS)
    return {"all equal": np.full(ROWS, lo + 1), "sorted": np.sort(drawn), "largest": np.full(ROWS, hi)}.get(
        secret, drawn
    )


def write(folder: Path, secret: str) -> None:
    """Both owners' tables with other contents of the same public shape."""
    texts = np.array(["blue", "green", "red"])
    for owner, seed in (("a", 1), ("b", 2)):
        frame = pd.DataFrame(
            {
                "id": np.arange(ROWS),
                "i": _values(secret, -20, 20, seed),
                "n": _values(secret, 1, 9, seed + 10),
                "big": _values(secret, 0, 100_000, seed + 20),
                "x": _values(secret, -64, 64, seed + 30) / 8,
                "s": texts[_values(secret, 0, 2, seed + 40) % 3],
                "y": _values(secret, 0, 1, seed + 50),
                "m": pd.array(_values(secret, 0, 9, seed + 60), dtype="Int64"),
            }
        )
        # Whether a column may hold NULLs is public, so every variant has one.
        frame.loc[frame.index[: ROWS - 1 if secret == "missing" else 1], "m"] = pd.NA
        frame.to_parquet(folder / f"{owner}.parquet")


def source(path: Path) -> mpc.Source:
    ranges = {"i": (-20, 20), "n": (1, 9), "big": (0, 100_000), "x": (-8, 8), "y": (0, 1), "m": (0, 9), "id": (0, ROWS)}
    return mpc.Source(path, ranges=ranges, dictionaries={"s": ("blue", "green", "red")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    write(made, "drawn")
    return made


def opened(folder: Path, **options: Any) -> mpc.Session:
    tables = {owner: {"t": source(folder / f"{owner}.parquet")} for owner in "ab"}
    return mpc.Session.local(tables, protocol="aby3", executor="threads", **options)


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[mpc.Session]:
    with opened(folder, pushdown=False) as made:
        yield made


@pytest.fixture
def parties(session: mpc.Session) -> Iterator[Parties]:
    made = Parties(session)
    yield made
    made.close()


def joint(session: mpc.Session) -> Frame:
    return session.table("a.t").merge(session.table("b.t"), on="id")


def _node(frame: Frame, build: Callable[[Rel], Rel]) -> Frame:
    rel = make(build(frame._rel))
    return mpc.DataFrame(frame._session, rel, identity(rel))


OPERATORS: dict[str, Callable[[Frame], Lazy]] = {
    "arithmetic": lambda t: (t.i_x * t.i_y - t.x_x * t.x_y + abs(t.i_x) * 3).rename("r"),
    "divide": lambda t: (t.x_x / t.n_y + t.i_x / 7).rename("r"),
    "choose": lambda t: t.i_x.where(t.x_x > t.x_y, 0).clip(-5, 5).fillna(1).rename("r"),
    "compare": lambda t: ((t.i_x > t.i_y) | (t.s_x == "red") & t.m_x.isna() | t.i_y.isin([1, 2, 3])).rename("r"),
    "cast": lambda t: (t.x_x.astype(int) + (t.x_y > 0.5).astype(int)).rename("r"),
    "filter": lambda t: t[(t.i_x > t.i_y) & (t.x_x < 3)][["i_x", "x_y", "m_x"]],
    "head": lambda t: t[t.i_x > t.i_y][["i_x", "x_y"]].head(5),
    "total": lambda t: t[t.i_x > 0].agg(a=("i_y", "sum"), b=("x_x", "mean"), c=("m_x", "count"), d=("i_y", "size")),
    "extremes": lambda t: t.agg(a=("i_y", "min"), b=("x_x", "max"), c=("m_x", "max")),
    "group, small keys": lambda t: t.groupby("s_x").agg(a=("i_y", "sum"), b=("x_y", "mean"), c=("m_y", "count")),
    "group, small keys, extremes": lambda t: t.groupby("s_x").agg(a=("i_y", "min"), b=("m_y", "max")),
    "group, large keys": lambda t: t.groupby("big_x").agg(a=("i_y", "sum"), b=("x_y", "mean"), c=("m_y", "min")),
    "sort": lambda t: t.sort_values(["m_x", "i_x"], ascending=[False, True])[["i_x", "x_y", "m_x"]],
    "value counts": lambda t: t.value_counts("s_x"),
    "windows": lambda t: _node(
        t,
        lambda rel: Window(
            rel,
            ("s_x",),
            (SortBy("m_x"),),
            (
                *(Win(name, name) for name in ("row_number", "rank", "dense_rank")),
                Win("before", "lag", "m_y"),
                Win("sliding", "sum", "i_y", rows=(2, 1)),
                Win("running", "min", "m_y"),
                Win("widest", "max", "i_y", rows=(5, 0)),
                Win("peers", "count", "m_y", peers=True),
                Win("whole", "mean", "i_y", rows=(None, None)),
            ),
        ),
    ),
    "windows over all rows": lambda t: _node(
        t,
        lambda rel: Window(
            rel,
            (),
            (SortBy("i_x", False),),
            (
                Win("rank", "rank"),
                Win("after", "lead", "i_y"),
                Win("running", "sum", "i_y"),
                Win("least", "min", "m_y"),
            ),
        ),
    ),
    "order in groups": lambda t: _node(t, lambda rel: Aggregate(rel, ("big_x",), PLACED)),
    "order in all": lambda t: _node(t[t.i_x > 0], lambda rel: Aggregate(rel, (), PLACED)),
    "missing keys": lambda t: _node(t, lambda rel: Aggregate(rel, ("m_x", "s_y"), (Agg("n", "size"),), nulls=True)),
    "groups of sorted rows": lambda t: _node(
        t.sort_values(["big_x", "m_x"]).query("i_x > 0"), lambda rel: Aggregate(rel, ("big_x",), PLACED)
    ),
}
PLACED = (
    *(Agg(name, name, "m_y") for name in ("nunique", "median", "first", "last", "max")),
    Agg("ninth", "quantile", "x_y", 0.9),
)
MODELS: dict[str, Callable[[Frame], Lazy]] = {
    "scaler": lambda t: StandardScaler().fit(t[["i_x", "x_y"]]).transform(t[["i_x", "x_y"]]),
    "clusters": lambda t: KMeans(2, max_iter=2).fit(t[["i_x", "x_y"]]).to_frame(),
    "components": lambda t: PCA(whiten=True).fit(t[["i_x", "x_y"]]).transform(t[["i_x", "x_y"]]),
    "metric": lambda t: roc_auc_score(t["y_x"], t["x_y"]),
    "area with its error": lambda t: roc_auc_interval(t["y_x"], t["x_y"]),
    "log loss": lambda t: log_loss(t["y_x"], t["x_y"].clip(0.0, 1.0)),
    "stability": lambda t: population_stability_index(t["x_y"], t[t["i_x"] > 0]["x_y"], bins=[0.0, 1.0]),
    "logistic regression": lambda t: LogisticRegression().fit(t[["i_x", "x_y"]], t["y_x"]).to_frame(),
}


def spu_traffic(reports: dict[str, Report]) -> tuple[tuple[str, int], ...]:
    """Bytes that the engines' own links carried in each step, of all parties together.

    Ranks that are threads of one process share SPU's counters: what is exact is their sum.
    """
    steps = [[s for s in report.steps if s.engine in ("spu", "native")] for report in reports.values() if report.wires]
    return tuple((same[0].what, sum(step.bytes_sent for step in same)) for same in zip(*steps, strict=True))


def observe(
    parties: Parties, folder: Path, frame: Lazy, secret: str
) -> tuple[dict[str, Any], tuple[tuple[str, int], ...]]:
    write(folder, secret)
    reports = parties.reports(parties.request(frame))
    return {name: parties.transcript(name) for name in parties.names}, spu_traffic(reports)


def differences(parties: Parties, folder: Path, frame: Lazy) -> dict[str, list[str]]:
    """By secret: the parties whose transcript differs from that of the first secret, and "spu" if its traffic does."""
    parties.reports(parties.request(frame))  # the first run of all links the parties
    expected, engine = observe(parties, folder, frame, SECRETS[0])
    found = {}
    for secret in SECRETS[1:]:
        seen, spent = observe(parties, folder, frame, secret)
        changed = [name for name in seen if seen[name] != expected[name]] + ["spu"] * (spent != engine)
        if changed:
            found[secret] = changed
    return found


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_tell_nothing_by_their_messages(parties: Parties, folder: Path, name: str) -> None:
    assert differences(parties, folder, OPERATORS[name](joint(parties.session))) == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MODELS)
def test_models_tell_nothing_by_their_messages(parties: Parties, folder: Path, name: str) -> None:
    assert differences(parties, folder, MODELS[name](joint(parties.session))) == {}


def test_with_push_down_only_declared_counts_differ(folder: Path) -> None:
    """An owner's own filter decides with how many rows it enters, as the plan says: equal counts, equal messages."""
    with opened(folder) as session:
        parties = Parties(session)
        both = session.table("a.t").merge(session.table("b.t")[lambda_free(session)], on="id")
        frame = both.groupby("s_x").agg(total=("i_y", "sum"))
        assert any("keeps of b.t" in item.what for item in frame.explain().disclosures)
        parties.reports(parties.request(frame))
        seen = {secret: observe(parties, folder, frame, secret) for secret in ("drawn", "drawn again", "largest")}
        assert len({str(transcripts) for transcripts, _ in seen.values()}) == 1
        parties.close()


def lambda_free(session: mpc.Session) -> mpc.Series:
    """A filter that keeps as many rows whatever the secrets are."""
    return session.table("b.t")["id"] < ROWS // 2


def test_a_planted_leak_is_caught(parties: Parties, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that packs its shares as tightly as the values allow tells how large they are."""
    deliver = worker_module._Walk._deliver
    array = worker_module._Walk._array
    held: dict[str, int] = {}

    def look(self: Any, compute: Any, slot: Any) -> Any:
        values = array(self, compute, slot)
        held[self.name] = int(values.sum()) % 251
        return values

    def leak(self: Any, party: str, tag: str, wire: bytes) -> None:
        if party != self.name:
            self._channel.send(party, "padding", bytes(held[self.name]))
        deliver(self, party, tag, wire)

    monkeypatch.setattr(worker_module._Walk, "_array", look)
    monkeypatch.setattr(worker_module._Walk, "_deliver", leak)
    assert set(differences(parties, folder, OPERATORS["compare"](joint(parties.session)))) == set(SECRETS[1:])


def test_what_is_disclosed_is_what_was_announced(folder: Path) -> None:
    write(folder, "drawn")
    with opened(folder) as session:
        for build in (OPERATORS["filter"], OPERATORS["group, small keys"], lambda t: t[t.i_x > 3][["i_x"]]):
            frame = build(joint(session))
            announced = frame.explain().disclosures
            frame.collect(to="a")
            assert session.last_run is not None
            text = [str(item) for item in session.last_run.disclosed]
            assert Counter(text) == Counter(str(item).replace("-> requester", "-> a") for item in announced)
            assert any("how many keys" in line for line in text)
        # What one owner computes alone and keeps for itself to release says nothing to the others.
        frame = session.table("a.t")[["i"]]
        frame.collect()
        assert session.last_run is not None
        assert not [line for line in map(str, session.last_run.disclosed) if "keys" in line]


def test_matching_rows_are_told_to_their_owners_only(parties: Parties, folder: Path) -> None:
    """Positions of the intersection travel nowhere: the two owners get them from the protocol itself."""
    write(folder, "drawn")
    parties.reports(parties.request(OPERATORS["filter"](joint(parties.session))))
    assert "run/align1" not in parties.tags()
    received = {record.tag for record in parties.transcript("neutral") if record.direction == "recv"}
    assert not [tag for tag in received if tag.startswith("run/align1/psi")]
