"""Watches the parties' processes from outside and says, within seconds, which one is to blame.

A rank of SPU whose peer dies may hang, raise, or take its own process down, so what a party reports is only a hint.
The supervisor looks for itself: a process that is gone, or stopped, or neither answers nor computes, is the cause;
else it is the first error of a party's own that counts, and complaints about a peer come last. After any failure all
processes of the run are killed: none of them is trusted to be in order, and the next run starts fresh ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol

from mpc_engine.errors import MpcError, PeerError
from mpc_engine.runtime.cluster import LocalCluster, PartyProcess, Pending, died, wait_any
from mpc_engine.runtime.faults import peer_error
from mpc_engine.runtime.host import Kind
from mpc_engine.runtime.procs import ProcessId, State

__all__ = ["Supervisor"]

START_SECONDS = 60.0
_LOOK_EVERY = 0.25
_PING_EVERY = 2.0
_STOPPED_SECONDS = 2.0
_SETTLE_SECONDS = 2.0


class _Watched(Protocol):
    """What the watch needs of a :class:`PartyProcess`."""

    name: str
    process: ProcessId

    def ping(self) -> Pending: ...


class Supervisor:
    """Runs the same step in all parties' processes at once.

    Parameters
    ----------
    cluster : LocalCluster
    parties : Mapping[str, bytes]
        Set-up bytes for the object that each party's process hosts.
    kind : {"party", "probe"}
    threads : int
        Threads of numerical libraries in each process.
    ping_timeout : float
        Seconds without an answer and without processor time used after which a party counts as hung.

    Examples
    --------
    >>> with LocalCluster.acquire() as cluster, Supervisor(cluster, {"a": b"", "b": b""}) as run:  # doctest: +SKIP
    ...     run.run({"a": ("echo", b"1"), "b": ("echo", b"2")}, timeout=10)
    """

    def __init__(
        self,
        cluster: LocalCluster,
        parties: Mapping[str, bytes],
        *,
        kind: Kind = "party",
        threads: int = 1,
        ping_timeout: float = 6.0,
    ) -> None:
        self._cluster = cluster
        self._setups = dict(parties)
        self._kind = kind
        self._threads = threads
        self._ping_timeout = ping_timeout
        self._processes: dict[str, PartyProcess] = {}

    def start(self) -> None:
        """Bring up the processes of all parties, in parallel; does nothing if all of them run and answer.

        Raises
        ------
        PeerError
            MPC-0613 or MPC-0610, naming a party whose process does not come up.
        """
        # A process that has just been killed looks alive until its memory is freed, so it must answer too.
        if self._processes and not self._all_answer():
            self.stop()
        if self._processes:
            return
        self._processes = {
            name: PartyProcess(self._cluster, self._kind, name, setup, threads=self._threads)
            for name, setup in self._setups.items()
        }
        try:
            for process in self._processes.values():
                process.started(START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def run(self, calls: Mapping[str, tuple[str, bytes]], *, timeout: float) -> dict[str, bytes]:
        """Call one method in each named party at once and return all answers.

        Parameters
        ----------
        calls : Mapping[str, tuple[str, bytes]]
            Method and payload by party. Starts the processes when there are none; :meth:`start` replaces failed ones.
        timeout : float
            Seconds for the whole step.

        Raises
        ------
        PeerError
            MPC-0610 a process died; MPC-0611 one does not answer; MPC-0612 the step took longer than `timeout`.
        MpcError
            A party's own error, of its own class.
        """
        if not self._processes:
            self.start()
        deadline = time.monotonic() + timeout
        try:
            pending = [self._processes[party].call(method, payload) for party, (method, payload) in calls.items()]
            return self._collect(pending, deadline, timeout)
        except BaseException:
            self.stop()
            raise

    def kill(self, party: str) -> None:
        """Kill one party's process, to see what follows."""
        self._processes[party].process.kill()

    def pids(self) -> dict[str, int]:
        """Return the process ids by party; empty if nothing runs."""
        return {name: process.process.pid for name, process in self._processes.items()}

    def memory(self) -> dict[str, int]:
        """Return the resident bytes by party."""
        return {name: process.process.memory() for name, process in self._processes.items()}

    def stop(self) -> None:
        """Kill all processes of this run, by their ids."""
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.kill()
        until = time.monotonic() + _SETTLE_SECONDS
        while any(p.process.state() is not State.GONE for p in processes.values()) and time.monotonic() < until:
            time.sleep(0.01)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _all_answer(self) -> bool:
        watch = Watch(list(self._processes.values()), ping_timeout=self._ping_timeout)
        pings = [process.ping() for process in self._processes.values()]
        try:
            while pings and not watch.look():
                for ping in wait_any(pings, _LOOK_EVERY):
                    pings.remove(ping)
                    ping.result()
        except PeerError:
            return False
        return not pings

    def _collect(self, pending: list[Pending], deadline: float, timeout: float) -> dict[str, bytes]:
        watch = Watch(list(self._processes.values()), ping_timeout=self._ping_timeout)
        answers: dict[str, bytes] = {}
        while pending:
            for call in wait_any(pending, _LOOK_EVERY):
                pending.remove(call)
                try:
                    answers[call.party] = call.result()
                except MpcError as error:
                    raise self._cause(error, pending, watch) from None
            if culprit := watch.look():
                raise culprit
            if pending and time.monotonic() > deadline:
                raise self._too_late(pending, timeout)
        return answers

    def _cause(self, first: MpcError, pending: list[Pending], watch: Watch) -> MpcError:
        """Return the error that explains `first`: look at all processes, and give the others a moment to fail."""
        errors, start = [first], time.monotonic()
        watch.ping_now()
        while not (culprit := watch.look()):
            waited = time.monotonic() - start
            settled = watch.all_answered() and (not pending or waited > _SETTLE_SECONDS)
            if settled or min(map(_distance, errors)) == 0 or waited > self._ping_timeout + _SETTLE_SECONDS:
                return min(errors, key=_distance)
            for call in wait_any(pending, _LOOK_EVERY) if pending else _pause():
                pending.remove(call)
                try:
                    call.result()
                except MpcError as error:
                    errors.append(error)
        return culprit

    def _too_late(self, pending: Sequence[Pending], timeout: float) -> MpcError:
        names = ", ".join(f"'{call.party}'" for call in pending)
        message = f"party {names} did not finish within {timeout:g} s"
        return peer_error(pending[0].party, message, code="MPC-0612", hint="allow the run more time, or less data")


def _pause() -> list[Pending]:
    time.sleep(_LOOK_EVERY)
    return []


def _distance(error: MpcError) -> int:
    """Return how far `error` is from a cause: a refusal, an exception that is not ours, a complaint about a peer."""
    if isinstance(error, PeerError):
        return 2
    return 1 if error.code == "MPC-0614" else 0


class Watch:
    """Looks at processes from outside; :meth:`look` returns the error of the first that has failed."""

    def __init__(self, processes: Sequence[_Watched], *, ping_timeout: float) -> None:
        self._all = [_Pulse(process, ping_timeout) for process in processes]
        self._next_ping = time.monotonic() + _PING_EVERY

    def look(self) -> MpcError | None:
        """Return the error of a party whose process is gone, stopped, or neither answers nor computes."""
        for pulse in self._all:
            if pulse.process.process.state() is State.GONE:
                return died(pulse.process.name)
        if time.monotonic() >= self._next_ping:
            self.ping_now()
        ended = wait_any([pulse.ping for pulse in self._all if pulse.ping], 0)
        for pulse in self._all:
            pulse.update(answered=pulse.ping in ended)
        return next((silent(pulse.process.name) for pulse in self._all if pulse.hung()), None)

    def ping_now(self) -> None:
        """Send a ping to every process that has answered the last one."""
        self._next_ping = time.monotonic() + _PING_EVERY
        for pulse in self._all:
            pulse.send()

    def all_answered(self) -> bool:
        """Return whether no ping is under way."""
        return all(pulse.ping is None for pulse in self._all)


class _Pulse:
    """Signs of life of one process."""

    def __init__(self, process: _Watched, ping_timeout: float) -> None:
        self.process = process
        self.ping: Pending | None = None
        self._timeout = ping_timeout
        self._sign = time.monotonic()
        self._running = self._sign
        self._ticks = process.process.cpu_ticks()

    def send(self) -> None:
        if self.ping is None:
            self.ping = self.process.ping()
            self._sign = time.monotonic()

    def update(self, *, answered: bool) -> None:
        """Take note of what :meth:`hung` needs."""
        # Native code may hold Python's lock for long and so delay a ping: using the processor is a sign of life too.
        now, ticks = time.monotonic(), self.process.process.cpu_ticks()
        if answered or self.ping is None or ticks != self._ticks:
            self._sign = now
        if answered:
            self.ping = None
        if self.process.process.state() is not State.STOPPED:
            self._running = now
        self._ticks = ticks

    def hung(self) -> bool:
        now = time.monotonic()
        return now - self._running > _STOPPED_SECONDS or (self.ping is not None and now - self._sign > self._timeout)


def silent(party: str) -> MpcError:
    """Return the error of a process that is there but does not answer."""
    hint = "it may be stopped, swapped out or deadlocked; its process has been ended, the next query starts a new one"
    return peer_error(party, f"party '{party}' does not answer", code="MPC-0611", hint=hint)
