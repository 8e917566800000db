"""Ray, on this machine: a private cluster, and one actor (one process) for each party.

The only module that imports ray, and it does so inside functions: importing the runtime stays light. What crosses
the border between driver and party is a method name from a fixed list, and bytes.

The cluster is private to this process: its services listen on the loopback interface only, every call needs a token
made for this session and kept in memory, and its files lie in a folder that nobody else can open. Inside one Ray
cluster everybody can run any code, so a cluster never spans organisations; this one simulates them on one machine.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import secrets
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mpc_engine.errors import ConfigError, MpcError
from mpc_engine.runtime.faults import decode_error, peer_error
from mpc_engine.runtime.host import OK, Kind, PartyHost
from mpc_engine.runtime.procs import ProcessId

__all__ = ["LocalCluster", "PartyProcess", "Pending", "died", "wait_any"]

_LOG = logging.getLogger("mpc_engine.ray")

OBJECT_STORE_BYTES = 128 << 20
_LOGICAL_CPUS = 64
_SOCKET_PATH = 107 - len("/r/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store.0")
_LOCK_NAME = "in-use"
# Read when ray is imported or started, and inherited by its services.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # else a call after the end would start another Ray, with default settings
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the switch that makes ray bind to 127.0.0.1, on any system
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_UNSET = ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_RUNTIME_ENV_HOOK")


@dataclass(frozen=True, slots=True)
class Pending:
    """A call under way."""

    party: str
    ref: Any

    def result(self) -> bytes:
        """Return the answer of a call that has ended, or raise the party's own error.

        Raises
        ------
        PeerError
            MPC-0610 if the process has died.
        MpcError
            What the party raised.
        """
        import ray

        try:
            answer: bytes = ray.get(self.ref, timeout=5.0)
        except ray.exceptions.RayError as error:
            raise died(self.party, type(error).__name__) from None
        if answer[:1] == OK:
            return answer[1:]
        raise decode_error(answer[1:])


def died(party: str, how: str = "") -> MpcError:
    """Return the error of a process that is gone."""
    detail = f" ({how})" if how else ""
    hint = "the next query starts fresh processes; if it happens again, look for memory limits and the party's log"
    return peer_error(party, f"the process of party '{party}' has died{detail}", code="MPC-0610", hint=hint)


def wait_any(pending: Sequence[Pending], timeout: float) -> list[Pending]:
    """Return the calls that have ended, after at most `timeout` seconds; at once when one has."""
    import ray

    if not pending:
        return []
    refs = [call.ref for call in pending]
    first, _ = ray.wait(refs, num_returns=1, timeout=timeout)
    if not first:
        return []
    ended = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0])
    return [call for call in pending if call.ref in ended]


class PartyProcess:
    """The driver's handle on one party's process.

    Attributes
    ----------
    name : str
    process : ProcessId
        Known after :meth:`started`.
    """

    def __init__(self, cluster: LocalCluster, kind: Kind, name: str, setup: bytes, *, threads: int = 1) -> None:
        import ray

        self.name = name
        self.process = ProcessId(0, "")
        self._folder = cluster.folder_for(name)
        # No logical processors: a party never waits for a slot. Four threads: ping answers while call runs.
        actor: Any = ray.remote(PartyHost)
        options = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 4}
        self._actor = actor.options(**options).remote(kind, name, setup, str(self._folder), threads)
        self._pid = self._actor.pid.remote()
        self._ready = self._actor.ready.remote()

    def started(self, timeout: float) -> None:
        """Wait until the process is up and hosts its object.

        Raises
        ------
        PeerError
            MPC-0613 if it does not start in time, MPC-0610 if it dies.
        MpcError
            What the hosted object raised when it was built.
        """
        import ray

        try:
            self.process = ProcessId.of(ray.get(self._pid, timeout=timeout))
            ray.get(self._ready, timeout=timeout)
        except ray.exceptions.GetTimeoutError:
            what = f"the process of party '{self.name}' did not start within {timeout:g} s"
            raise peer_error(self.name, what, code="MPC-0613", hint="is the machine overloaded?") from None
        except ray.exceptions.RayError as error:
            raise died(self.name, type(error).__name__) from None
        Pending(self.name, self._ready).result()

    def call(self, method: str, payload: bytes) -> Pending:
        """Start a call."""
        return Pending(self.name, self._actor.call.remote(method, payload))

    def ping(self) -> Pending:
        """Start a ping, which a process answers while it works."""
        return Pending(self.name, self._actor.ping.remote())

    def kill(self) -> None:
        """End the process at once and remove its temporary files."""
        import ray

        if self.process.pid:
            self.process.kill()
        if ray.is_initialized():
            with suppress(Exception):  # ray may be shutting down; the process is dead either way
                ray.kill(self._actor, no_restart=True)
        shutil.rmtree(self._folder, ignore_errors=True)


class LocalCluster:
    """The Ray of this process: started by the first user, shared, and stopped by the last.

    Use :meth:`acquire` and :meth:`release`, or ``with LocalCluster.acquire() as cluster``. If this process has
    already initialised ray itself, that one is joined, and left running.

    Attributes
    ----------
    folder : pathlib.Path
        Private (0700) folder of this cluster, removed at the end.
    """

    _lock = threading.RLock()
    _current: LocalCluster | None = None

    def __init__(self, object_store_bytes: int) -> None:
        self._users = 0
        self._owns_ray = False
        self.folder, self._lock_file = _private_folder()
        self._owns_ray = _start_ray(self.folder / "r", object_store_bytes)

    @classmethod
    def acquire(cls, *, object_store_bytes: int = OBJECT_STORE_BYTES) -> LocalCluster:
        """Return the running cluster, or start it (2 to 3 seconds).

        Raises
        ------
        ConfigError
            MPC-0811 if Ray does not start.
        """
        with cls._lock:
            if cls._current is None:
                cls._current = cls(object_store_bytes)
                atexit.register(cls._current._stop)
            cls._current._users += 1
            return cls._current

    def release(self) -> None:
        """Give up one use; the last one stops the cluster."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                atexit.unregister(self._stop)
                self._stop()

    def folder_for(self, party: str) -> Path:
        """Return a fresh private folder for the temporary files of one process of `party`."""
        safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in party)[:24]
        return Path(tempfile.mkdtemp(prefix=f"{safe}-", dir=self.folder))

    def _stop(self) -> None:
        with self._lock:
            if LocalCluster._current is self:
                LocalCluster._current = None
            if self._owns_ray:
                import ray

                self._owns_ray = False
                ray.shutdown()
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock_file)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _place() -> Path:
    """Return where temporary folders go, or /tmp if that leaves no room for Ray's socket names (107 bytes on Unix)."""
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) + len("/mpc-12345678") < _SOCKET_PATH else "/tmp")


def _private_folder() -> tuple[Path, int]:
    """Return a new 0700 folder and the open lock file in it that marks it as in use.

    Ray makes its own folder readable and writable by everyone, so it gets one inside this.
    """
    place = _place()
    _sweep(place)
    folder = Path(tempfile.mkdtemp(prefix="mpc-", dir=place))
    lock = os.open(folder / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _sweep(place: Path) -> None:
    """Remove what killed sessions of this user left behind: their parties' temporary files may hold plain rows."""
    for mark in place.glob(f"mpc-*/{_LOCK_NAME}"):
        with suppress(OSError):
            if mark.parent.stat().st_uid != os.getuid() or mark.is_symlink():
                continue
            lock = os.open(mark, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its session lives
                shutil.rmtree(mark.parent, ignore_errors=True)
            finally:
                os.close(lock)


def _start_ray(folder: Path, object_store_bytes: int) -> bool:
    """Start a private Ray; return False if this process already runs one of its own."""
    with _environment({**_ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(32)}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imported_before = "ray" in sys.modules
        import ray

        if ray.is_initialized():
            return False
        if imported_before:
            _forget_cached_settings()
        try:
            with _essentials_only():
                context: Any = ray.init(
                    address="local",
                    num_cpus=_LOGICAL_CPUS,
                    object_store_memory=object_store_bytes,
                    include_dashboard=False,
                    configure_logging=False,
                    log_to_driver=False,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder),
                )
        except Exception as error:
            raise ConfigError(f"Ray did not start: {error}", code="MPC-0811", hint="mpc-engine doctor") from error
        if context.address_info["node_ip_address"] != "127.0.0.1":
            ray.shutdown()
            raise ConfigError("Ray would listen beyond this machine", code="MPC-0811", hint="check the ray version")
        _keep_notices_in_log()
        return True


def _forget_cached_settings() -> None:
    """Make an already imported ray read the environment again: token, mode and the loopback switch."""
    from ray import _raylet
    from ray._private import ray_constants

    native: Any = _raylet  # a compiled module without annotations
    ray_constants.ENABLE_RAY_CLUSTER = False
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _essentials_only() -> Iterator[None]:
    """Start Ray without autoscaler, dashboard and log monitor, which it has no option to leave out.

    Nobody uses them here. Measured on two cores: 2 to 3 s instead of 4 to 6 s to start, 250 MiB less memory.
    """
    from ray._private.node import Node

    spare = {name: getattr(Node, name) for name in ("start_monitor", "start_log_monitor", "start_api_server")}
    for name in spare:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, method in spare.items():
            setattr(Node, name, method)


def _keep_notices_in_log() -> None:
    """Send the notices of Ray's services ("a worker died ...") to our log: Ray prints them and has no option for it.

    Whoever runs a query gets a :class:`PeerError` instead, which names the party.
    """
    from ray._private import worker

    def note(data: Any, ignore_prefix: bool) -> None:
        _LOG.info("%s: %s", data.get("pid"), "\n".join(map(str, data.get("lines", ()))))

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = note


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the start of Ray's services only: the token does not stay in this process's environment."""
    before = {name: os.environ.pop(name, None) for name in (*values, *_UNSET)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
