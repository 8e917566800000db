"""A computing party or owner dies at any moment of a run: a typed error names it in time, and the next query works."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import MpcError, PeerError
from mpc_engine.runtime.cluster import LocalCluster
from mpc_engine.runtime.faults import blamed_party

LIMIT = 15.0
ROWS = 3000
# Ray leaves files and sockets of its services to the garbage collector.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]
LEFT = pd.DataFrame({"id": np.arange(ROWS), "g": np.arange(ROWS) % 7, "x": np.arange(ROWS) % 100})
RIGHT = pd.DataFrame({"id": np.arange(ROWS)[::-1], "y": np.arange(ROWS) % 50})
PARTIES = ("bank_a", "bank_b", "neutral")


@pytest.fixture(scope="module")
def session(ray_held: Callable[[], None]) -> Iterator[mpc.Session]:
    ray_held()
    tables = {"bank_a": {"t": LEFT}, "bank_b": {"u": RIGHT}}
    with mpc.Session.local(tables, protocol="aby3", executor="ray") as made:
        yield made


def query(session: mpc.Session) -> mpc.DataFrame:
    both = session.table("bank_a.t").merge(session.table("bank_b.u"), on="id")
    kept = both[both.x > both.y]
    return kept.groupby("g").agg(n=("x", "size"), total=("y", "sum"), mean=("x", "mean"))


def expected() -> pd.DataFrame:
    both = LEFT.merge(RIGHT, on="id")
    return both[both.x > both.y].groupby("g").agg(n=("x", "size"), total=("y", "sum"), mean=("x", "mean"))


def works(session: mpc.Session) -> float:
    """The query gives the right answer; returns how long it took."""
    started = time.monotonic()
    got, want = query(session).collect(), expected()
    assert got.index.tolist() == want.index.tolist()
    assert (got[["n", "total"]] == want[["n", "total"]]).all(axis=None)
    assert np.allclose(got["mean"], want["mean"], atol=2.0**-16, rtol=0)
    return time.monotonic() - started


def injected(session: mpc.Session, party: str, number: int, after: float) -> None:
    """Send a signal in the middle of a run. The run fails with a named error in time, or it had ended before."""
    pids = session._executor.pids()  # type: ignore[union-attr]
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(pids[party], number)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        got = query(session).collect()
    except MpcError as error:
        ended, failure = time.monotonic(), error
    else:
        assert len(got) == len(expected())  # never a part of a result
        return
    finally:
        timer.cancel()
        timer.join()
    assert sent, "failed before the fault"
    assert ended - sent[0] < LIMIT
    assert isinstance(failure, PeerError)
    assert blamed_party(failure) == party
    assert failure.code in ("MPC-0610", "MPC-0611")
    assert failure.hint


def check(session: mpc.Session, seed: int, party: str, number: int) -> None:
    works(session)
    seconds = works(session)  # everything compiled and linked
    injected(session, party, number, random.Random(f"{seed} {party}").uniform(0, seconds))
    works(session)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("party", PARTIES)
def test_a_party_killed_in_a_run_is_named_and_the_next_query_works(session: mpc.Session, party: str) -> None:
    check(session, 1, party, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("seed", range(2, 8))
def test_faults_at_many_moments(session: mpc.Session, seed: int, party: str, number: int) -> None:
    check(session, seed, party, number)


def test_an_idle_party_that_died_is_replaced(session: mpc.Session) -> None:
    works(session)
    before = session._executor.pids()  # type: ignore[union-attr]
    os.kill(before["bank_b"], signal.SIGKILL)
    time.sleep(0.2)
    works(session)
    after = session._executor.pids()  # type: ignore[union-attr]
    assert not set(before.values()) & set(after.values())


def test_nothing_of_a_killed_party_stays_on_disk(session: mpc.Session) -> None:
    """Rows that an intersection writes to its private folder go with the process."""
    works(session)
    seconds = works(session)
    cluster = session._executor._cluster  # type: ignore[union-attr]
    assert isinstance(cluster, LocalCluster)
    before = {path.name for path in Path(cluster.folder).iterdir()}
    injected(session, "bank_a", signal.SIGKILL, 0.3 * seconds)  # in the intersection, which comes first
    works(session)
    stale = {path.name for path in Path(cluster.folder).iterdir()} & before
    assert not [name for name in stale if name.startswith(PARTIES)]
