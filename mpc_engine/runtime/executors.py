"""Executors: how the parties of a session run. All of them run the same worker over the same stages."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from mpc_engine.errors import MpcError
from mpc_engine.runtime.faults import peer_error
from mpc_engine.runtime.messages import Fetch, PartySetup, Report, RunRequest, decode, encode

__all__ = ["Executor", "RayExecutor", "ThreadsExecutor", "executor_for"]


class Executor(ABC):
    """Runs plans among the parties of one session.

    Parameters
    ----------
    setups : mapping of str to PartySetup
        What each party is told, by name.
    """

    def __init__(self, setups: Mapping[str, PartySetup]) -> None:
        self._setups = dict(setups)
        self._timeout = max(setup.timeout for setup in setups.values())

    @abstractmethod
    def start(self) -> None:
        """Bring up the parties; does nothing when they run."""

    @abstractmethod
    def run(self, request: RunRequest) -> dict[str, Report]:
        """Run a plan; returns every party's report.

        Raises
        ------
        MpcError
            The error of the party that failed first; PeerError when one died or does not answer.
        """

    @abstractmethod
    def fetch(self, request: Fetch) -> dict[str, Report]:
        """A piece of a result from every party that has it.

        Raises
        ------
        PeerError
            When the parties do not run any more.
        """

    @abstractmethod
    def close(self) -> None:
        """End all parties."""


class ThreadsExecutor(Executor):
    """Every party is a thread of this process, linked in memory: for unit tests and notebooks."""

    _runtimes = itertools.count()

    def __init__(self, setups: Mapping[str, PartySetup]) -> None:
        super().__init__(setups)
        self._workers: dict[str, object] = {}

    def start(self) -> None:
        """Make the parties."""
        if self._workers:
            return
        from mpc_engine.runtime.channel import MemoryHub
        from mpc_engine.runtime.connections import MemoryConnections
        from mpc_engine.runtime.worker import Worker

        run = f"threads{next(self._runtimes)}"
        names = next(iter(self._setups.values())).parties
        hub = MemoryHub(names, timeout=self._timeout)
        self._workers = {
            name: Worker(name, setup, MemoryConnections(name, hub, run, self._timeout))
            for name, setup in self._setups.items()
        }

    def run(self, request: RunRequest) -> dict[str, Report]:
        """Run all parties at once; the first failure wakes the others."""
        from mpc_engine.runtime.worker import Worker

        self.start()
        reports: dict[str, Report] = {}
        errors: list[BaseException] = []

        def walk(name: str, worker: Worker) -> None:
            try:
                reports[name] = worker.run(request)
            except BaseException as error:
                errors.append(error)

        threads = []
        for name, worker in self._workers.items():
            assert isinstance(worker, Worker)
            threads.append(threading.Thread(target=walk, args=(name, worker), name=f"mpc-{name}", daemon=True))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _RUN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if errors:
            self.close()
            raise _cause(errors)
        late = [name for name in self._workers if name not in reports]
        if late:
            self.close()
            message = f"party {late[0]!r} did not finish within the time limit"
            raise peer_error(late[0], message, code="MPC-0612", hint="allow the run more time, or less data")
        return reports

    def fetch(self, request: Fetch) -> dict[str, Report]:
        """Ask every party for a piece."""
        from mpc_engine.runtime.worker import Worker

        return {name: worker.fetch(request) for name, worker in self._workers.items() if isinstance(worker, Worker)}

    def close(self) -> None:
        """Let the parties go."""
        from mpc_engine.runtime.worker import Worker

        workers, self._workers = self._workers, {}
        for worker in workers.values():
            assert isinstance(worker, Worker)
            worker.close()


def _cause(errors: list[BaseException]) -> BaseException:
    """The error that the others are only echoes of: complaints about peers come last."""
    from mpc_engine.errors import PeerError

    own = [error for error in errors if not isinstance(error, PeerError)]
    return next((error for error in own if isinstance(error, MpcError)), own[0] if own else errors[0])


class RayExecutor(Executor):
    """Every party is a process of its own, hosted by Ray on this machine, linked by TCP."""

    def __init__(self, setups: Mapping[str, PartySetup]) -> None:
        super().__init__(setups)
        self._cluster: object | None = None
        self._supervisor: object | None = None
        self._connected = False
        self._lock = threading.RLock()

    def start(self) -> None:
        """Bring up the parties' processes and connect them."""
        from mpc_engine.runtime.cluster import LocalCluster
        from mpc_engine.runtime.supervisor import Supervisor

        with self._lock:
            if self._supervisor is None:
                self._cluster = LocalCluster.acquire()
                setups = {name: encode(setup) for name, setup in self._setups.items()}
                self._supervisor = Supervisor(self._cluster, setups)
            assert isinstance(self._supervisor, Supervisor)
            before = self._supervisor.pids()
            self._supervisor.start()
            if self._connected and self._supervisor.pids() == before:
                return
            self._connected = False
            self._connect(self._supervisor)
            self._connected = True

    def _connect(self, supervisor: object) -> None:
        from mpc_engine.runtime.party import Address, Roster
        from mpc_engine.runtime.supervisor import Supervisor
        from mpc_engine.runtime.tcp import new_token

        assert isinstance(supervisor, Supervisor)
        told = supervisor.run(dict.fromkeys(self._setups, ("listen", b"")), timeout=90)
        roster = Roster({name: decode(data, Address) for name, data in told.items()}, new_token())
        supervisor.run({name: ("connect", encode(roster)) for name in self._setups}, timeout=90)

    def run(self, request: RunRequest) -> dict[str, Report]:
        """Run all parties at once, watched from outside."""
        from mpc_engine.runtime.supervisor import Supervisor

        with self._lock:
            self.start()
            assert isinstance(self._supervisor, Supervisor)
            calls = {name: ("run", encode(request)) for name in self._setups}
            try:
                told = self._supervisor.run(calls, timeout=_RUN_SECONDS)
            except BaseException:
                self._connected = False
                raise
            return {name: decode(data, Report) for name, data in told.items()}

    def fetch(self, request: Fetch) -> dict[str, Report]:
        """Ask every party for a piece."""
        from mpc_engine.runtime.supervisor import Supervisor

        with self._lock:
            if not isinstance(self._supervisor, Supervisor):
                return {}
            calls = {name: ("fetch", encode(request)) for name in self._setups}
            told = self._supervisor.run(calls, timeout=self._timeout)
            return {name: decode(data, Report) for name, data in told.items()}

    def pids(self) -> dict[str, int]:
        """Process ids by party."""
        from mpc_engine.runtime.supervisor import Supervisor

        return self._supervisor.pids() if isinstance(self._supervisor, Supervisor) else {}

    def close(self) -> None:
        """End the parties and, with the last session, Ray."""
        from mpc_engine.runtime.cluster import LocalCluster
        from mpc_engine.runtime.supervisor import Supervisor

        with self._lock:
            supervisor, self._supervisor, cluster, self._cluster = self._supervisor, None, self._cluster, None
            if isinstance(supervisor, Supervisor):
                supervisor.stop()
            if isinstance(cluster, LocalCluster):
                cluster.release()


_RUN_SECONDS = 24 * 3600.0


def executor_for(kind: str, setups: Mapping[str, PartySetup]) -> Executor:
    """The executor of that name."""
    return RayExecutor(setups) if kind == "ray" else ThreadsExecutor(setups)
