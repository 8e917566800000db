"""Parties as processes: what crosses the border, who is blamed when one fails, and that the next run works."""

from __future__ import annotations

import os
import pickletools
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import MpcError, PeerError, PolicyError
from mpc_engine.runtime.cluster import LocalCluster, Pending, _private_folder
from mpc_engine.runtime.faults import blamed_party, encode_error, peer_error
from mpc_engine.runtime.host import PartyHost
from mpc_engine.runtime.procs import ProcessId, State
from mpc_engine.runtime.supervisor import Supervisor, Watch

NAMES = ("bank_a", "bank_b", "neutral")
# Ray leaves files and sockets of its services to the garbage collector.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[LocalCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        running = LocalCluster.acquire()
    with running:
        yield running


@pytest.fixture
def run(cluster: LocalCluster) -> Iterator[Supervisor]:
    with Supervisor(cluster, dict.fromkeys(NAMES, b"setup"), kind="probe", ping_timeout=3) as supervisor:
        supervisor.start()
        yield supervisor


def everyone(method: str, payload: bytes) -> dict[str, tuple[str, bytes]]:
    return dict.fromkeys(NAMES, (method, payload))


def test_every_party_is_a_process_and_answers_with_bytes(run: Supervisor) -> None:
    answers = run.run(everyone("echo", b"\x00\xff"), timeout=10)
    assert answers == {name: name.encode() + b" setup \x00\xff" for name in NAMES}
    assert len({os.getpid(), *run.pids().values()}) == 4
    assert run.run({"bank_b": ("echo", b"")}, timeout=10) == {"bank_b": b"bank_b setup "}


def test_only_listed_methods_can_be_called(run: Supervisor) -> None:
    for method in ("__init__", "setup", "nothing"):
        with pytest.raises(MpcError, match="is not a method that a party offers"):
            run.run({"bank_a": (method, b"")}, timeout=10)


def test_a_party_raises_its_own_error_and_the_next_run_works(run: Supervisor) -> None:
    before = run.pids()
    cause = PolicyError(
        "'salary' may not leave bank_b", code="MPC-0401", hint="ask for an aggregate", where="demo.py:7"
    )
    complaint = peer_error("bank_b", "the connection to party 'bank_b' is lost", code="MPC-0602")
    calls = {
        "bank_a": ("fail", encode_error(complaint)),
        "bank_b": ("fail", encode_error(cause)),
        "neutral": ("sleep", b"60000"),
    }
    start = time.monotonic()
    with pytest.raises(PolicyError) as caught:
        run.run(calls, timeout=60)
    assert str(caught.value) == str(cause)
    assert time.monotonic() - start < 4
    assert run.pids() == {}
    assert all(ProcessId.of(pid).state() is State.GONE for pid in before.values())
    assert len(run.run(everyone("echo", b""), timeout=10)) == 3
    assert not set(before.values()) & set(run.pids().values())


def test_an_exception_that_is_not_ours_keeps_its_text_at_home(run: Supervisor) -> None:
    with pytest.raises(
        MpcError, match=r"party 'neutral' failed with ValueError at mpc_engine/runtime/host\.py:\d+"
    ) as caught:
        run.run({"neutral": ("fail", b"")}, timeout=10)
    assert "private value" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "code", "seconds"),
    [(signal.SIGKILL, "MPC-0610", 3), (signal.SIGSEGV, "MPC-0610", 3), (signal.SIGSTOP, "MPC-0611", 6)],
)
def test_a_dead_or_stopped_party_is_named(run: Supervisor, number: int, code: str, seconds: float) -> None:
    pid = run.pids()["bank_b"]
    threading.Timer(0.5, os.kill, (pid, number)).start()
    start = time.monotonic()
    with pytest.raises(PeerError) as caught:
        run.run(everyone("sleep", b"60000"), timeout=60)
    assert (caught.value.code, blamed_party(caught.value)) == (code, "bank_b")
    assert time.monotonic() - start < seconds + 0.5
    assert len(run.run(everyone("echo", b""), timeout=10)) == 3


def test_a_dead_party_is_blamed_rather_than_those_who_complain(run: Supervisor) -> None:
    complaint = peer_error("neutral", "no answer from party 'neutral'", code="MPC-0601")
    calls = {**everyone("sleep", b"60000"), "bank_a": ("fail", encode_error(complaint))}
    os.kill(run.pids()["bank_b"], signal.SIGSTOP)
    with pytest.raises(PeerError, match="party 'bank_b' does not answer"):
        run.run(calls, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_party_that_fails_just_before_a_run_is_replaced(run: Supervisor, number: int) -> None:
    """The system may still call the process alive: it does not answer, which is what counts."""
    for _ in range(2):
        before = run.pids()
        os.kill(before["neutral"], number)
        run.start()
        assert len(run.run(everyone("echo", b""), timeout=10)) == 3
        assert not set(before.values()) & set(run.pids().values())


def test_a_step_that_takes_too_long_names_who_is_late(run: Supervisor) -> None:
    calls = {**everyone("echo", b""), "neutral": ("sleep", b"60000")}
    with pytest.raises(PeerError, match=r"party 'neutral' did not finish within 1 s") as caught:
        run.run(calls, timeout=1)
    assert caught.value.code == "MPC-0612"


def test_two_users_share_one_cluster(cluster: LocalCluster) -> None:
    with LocalCluster.acquire() as second:
        assert second is cluster
    with Supervisor(cluster, {"a": b""}, kind="probe") as still_up:
        assert still_up.run({"a": ("echo", b"")}, timeout=10) == {"a": b"a  "}


def test_the_cluster_is_private(cluster: LocalCluster, run: Supervisor, home: Path) -> None:
    assert stat.S_IMODE(cluster.folder.stat().st_mode) == 0o700
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert list(home.iterdir()) == []
    ours = {str(pid) for pid in run.pids().values()}
    assert {host for pid in ours for host in _listening(int(pid))} == {"127.0.0.1"}


def test_what_killed_sessions_left_is_removed_and_what_lives_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpc_engine.runtime.cluster._place", lambda: tmp_path)
    alive, lock = _private_folder()
    dead, unlocked = _private_folder()
    (dead / "joined_rows.csv").write_text("4711\n", "utf-8")
    (tmp_path / "mpc-of-somebody-else").mkdir()
    os.close(unlocked)
    fresh, another = _private_folder()
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, fresh.name, "mpc-of-somebody-else"}
    os.close(lock)
    os.close(another)


@pytest.mark.parametrize(
    "settings", [{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}]
)
def test_a_stranger_without_the_token_is_refused(cluster: LocalCluster, settings: dict[str, str]) -> None:
    import ray

    code = "import ray, sys; ray.init(sys.argv[1], logging_level='CRITICAL'); sys.stderr.write('inside\\n')"
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **settings}
    command = [sys.executable, "-c", code, ray.get_runtime_context().gcs_address]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as stranger:
        assert stranger.stderr is not None
        told = next(line for line in stranger.stderr if "InvalidAuthToken" in line or "inside" in line)
        stranger.kill()
    assert "InvalidAuthToken" in told


def test_the_actor_class_crosses_by_reference() -> None:
    from ray import cloudpickle

    pickled: bytes = cloudpickle.dumps(PartyHost)  # type: ignore[no-untyped-call]
    names = {argument for _, argument, _ in pickletools.genops(pickled)}
    assert {"mpc_engine.runtime.host", "PartyHost"} <= names
    assert len(pickled) < 100


class _Unresponsive:
    """A process that never answers a ping."""

    name = "bank_b"

    def __init__(self) -> None:
        self.process = ProcessId.of(os.getpid())

    def ping(self) -> Pending:
        import ray

        return Pending(self.name, ray.ObjectRef.from_random())


@pytest.mark.parametrize("computing", [True, False])
def test_a_party_is_hung_only_if_it_neither_answers_nor_computes(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, *, computing: bool
) -> None:
    clock = iter(range(1_000_000))
    monkeypatch.setattr(ProcessId, "cpu_ticks", lambda self: next(clock) if computing else 0)
    watch = Watch([_Unresponsive()], ping_timeout=0.3)
    watch.ping_now()
    found = None
    for _ in range(8):
        found = found or watch.look()
        time.sleep(0.1)
    assert (found is None) == computing


def _listening(pid: int) -> set[str]:
    """Return the addresses on which a process listens for TCP connections."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    hosts = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{name}").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                words = bytes.fromhex(fields[1].split(":")[0])
                packed = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                hosts.add(socket.inet_ntop(family, packed).removeprefix("::ffff:"))
    return hosts


@pytest.mark.ray
def test_a_session_over_tls() -> None:
    tables = {
        "a": {"t": pd.DataFrame({"k": [1, 2, 2], "x": [5, 6, 7]})},
        "b": {"u": pd.DataFrame({"k": [2, 3], "y": [1, 2]})},
    }
    with mpc.Session.local(tables, protocol="aby3", executor="ray", hide_joins=True, tls=True) as session:
        both = session.table("a.t").merge(session.table("b.u"), on="k")
        assert both.collect()["x"].tolist() == [6, 7]
