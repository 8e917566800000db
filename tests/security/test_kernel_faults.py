"""A party fails in the middle of a native kernel: the other two get a typed error that names it, soon, and none hangs.

Run as a script this file is one party of three.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from mpc_engine.errors import PeerError
from mpc_engine.runtime.channel import MemoryHub
from mpc_engine.runtime.faults import blamed_party
from mpc_engine.runtime.replicated.arithmetic import from_public, multiply
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.compare import less_than
from mpc_engine.runtime.replicated.convert import a2b, b2a
from mpc_engine.runtime.replicated.core import ChannelLinks, Pairs, Replicated
from mpc_engine.runtime.replicated.scan import segment_scan
from mpc_engine.runtime.replicated.shuffle import Shuffle
from mpc_engine.runtime.replicated.sort import sort_rows
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from mpc_engine.runtime.tls import Identity, TlsSettings
from mpc_kernels.bits import plane_words

LIMIT = 15.0
NAMES = ("a", "b", "c")


def secret(party: Replicated, rows: int) -> Pairs:
    """Shares of uniform numbers that nobody knows; no message."""
    return np.stack([party.stream((party.rank + next_) % 3, rows) for next_ in range(2)], axis=-1)


def secret_bits(party: Replicated, rows: int, bits: int = 24) -> Bits:
    words = plane_words(rows)
    own, after = (party.stream((party.rank + next_) % 3, bits * words).reshape(bits, words) for next_ in range(2))
    return Bits(own, after, rows)


def flags(party: Replicated, rows: int) -> Pairs:
    return from_public(party, np.arange(rows) % 3 == 0)


OPERATIONS: dict[str, Callable[[Replicated, int], object]] = {
    "multiply": lambda party, rows: multiply(party, secret(party, 8 * rows), secret(party, 8 * rows)),
    "less_than": lambda party, rows: less_than(party, secret_bits(party, rows), secret_bits(party, rows)),
    "a2b": lambda party, rows: a2b(party, secret(party, rows)),
    "b2a": lambda party, rows: b2a(party, secret_bits(party, rows)),
    "shuffle": lambda party, rows: Shuffle.draw(party, rows).apply(party, [secret(party, rows)]),
    "sort": lambda party, rows: sort_rows(party, secret_bits(party, rows), [secret(party, rows)]),
    "compact": lambda party, rows: compact(party, flags(party, rows), [secret(party, rows)]),
    "segment_scan": lambda party, rows: segment_scan(party, flags(party, rows), secret(party, rows), op="sum"),
}


# threads over memory: the fault comes at an exact message


class Fault(RuntimeError):
    """What goes wrong inside a party; its text is private."""


class Counted(ChannelLinks):
    """Links that count messages, sent or asked for, and call `fault` before one of them."""

    def __init__(self, channel: Any, at: int, fault: Callable[[], None]) -> None:
        super().__init__(channel, NAMES)
        self.count = 0
        self._at, self._fault = at, fault

    def _step(self) -> None:
        if self.count == self._at:
            self._fault()
        self.count += 1

    def send(self, to: int, payload: bytes | memoryview) -> None:
        self._step()
        super().send(to, payload)

    def recv(self, frm: int) -> bytes:
        self._step()
        return super().recv(frm)


def in_memory(operation: str, victim: str, at: int, how: str) -> tuple[dict[str, Exception], int]:
    """The errors of all parties when `victim` fails at its message number `at`, and its count of messages."""
    hub = MemoryHub(NAMES, timeout=LIMIT)
    errors: dict[str, Exception] = {}
    counts: dict[str, int] = {}

    def call(name: str) -> None:
        channel = hub.channel(name)

        def fault() -> None:
            if how == "closes":
                channel.close()
            raise Fault("4711 private")

        links = Counted(channel, at if name == victim else -1, fault)
        try:
            with channel:
                party = Replicated(NAMES.index(name), links)
                party.setup()
                OPERATIONS[operation](party, 200)
                channel.agree("end", b"")
        except Exception as error:
            errors[name] = error
        counts[name] = links.count

    threads = [threading.Thread(target=call, args=(name,), daemon=True) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not any(thread.is_alive() for thread in threads)
    return errors, counts[victim]


def check_memory(operation: str, victim: str, at: int, how: str) -> None:
    start = time.monotonic()
    errors, _ = in_memory(operation, victim, at, how)
    assert time.monotonic() - start < 5
    assert isinstance(errors.pop(victim), Fault)
    assert set(errors) == set(NAMES) - {victim}
    for error in errors.values():
        assert isinstance(error, PeerError)
        assert blamed_party(error) == victim
        assert error.code == ("MPC-0602" if how == "closes" else "MPC-0606")
        assert "4711" not in str(error)


@pytest.mark.parametrize("how", ["raises", "closes"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_thread_that_fails_is_named(operation: str, how: str) -> None:
    for victim, place in zip(("a", "b", "c"), (0.0, 0.5, 1.0), strict=True):
        errors, messages = in_memory(operation, victim, -1, how)
        assert not errors
        check_memory(operation, victim, round(place * (messages - 1)), how)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_thread_that_fails_at_any_message_is_named(operation: str) -> None:
    for victim in NAMES:
        errors, messages = in_memory(operation, victim, -1, "")
        assert not errors
        for at in range(messages):
            check_memory(operation, victim, at, "raises")
            check_memory(operation, victim, at, "closes")


# processes over TCP: the fault comes from outside


class Trio:
    """Three processes that repeat an operation until one of them fails."""

    def __init__(self, operation: str, *, tls: bool, timeout: float = LIMIT) -> None:
        setting = json.dumps({"operation": operation, "tls": tls, "timeout": timeout})
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, __file__, name, setting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for name in NAMES
        }
        self._pool = ThreadPoolExecutor(3)

    def __enter__(self) -> Trio:
        known = {name: line.result(30) for name, line in self.lines().items()}
        token = new_token().hex()
        for process in self.processes.values():
            assert process.stdin
            process.stdin.write(json.dumps({"known": known, "token": token}) + "\n")
            process.stdin.flush()
        assert [line.result(30) for line in self.lines().values()] == ["running"] * 3
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate()
        self._pool.shutdown()

    def lines(self, *, but: str = "") -> dict[str, Future[Any]]:
        """The next line of every process, decoded."""

        def read(process: subprocess.Popen[str]) -> Any:
            assert process.stdout
            return json.loads(process.stdout.readline())

        return {name: self._pool.submit(read, process) for name, process in self.processes.items() if name != but}


def check_processes(
    operation: str, victim: str, *, tls: bool, number: int, seed: int = 1, timeout: float = LIMIT
) -> list[dict[str, Any]]:
    """Send a signal at some moment; returns what the other two tell, having checked that it is a PeerError in time."""
    with Trio(operation, tls=tls, timeout=timeout) as trio:
        waits = trio.lines(but=victim)
        time.sleep(random.Random(f"{operation} {victim} {tls} {seed}").uniform(0.0, 0.3))
        sent = time.monotonic()
        trio.processes[victim].send_signal(number)
        told = [wait.result(LIMIT) for wait in waits.values()]
        for one in told:
            assert one["class"] == "PeerError"
            assert 0 < one["at"] - sent < LIMIT
            one["seconds"] = one["at"] - sent
        return told


def check_killed(operation: str, victim: str, *, tls: bool, seed: int = 1) -> None:
    for told in check_processes(operation, victim, tls=tls, number=signal.SIGKILL, seed=seed):
        assert (told["blamed"], told["code"]) == (victim, "MPC-0602")
        assert told["message"] == f"the connection to party '{victim}' is lost"


@pytest.mark.parametrize(
    ("transport", "operation", "victim"),
    [
        ("tcp", "sort", "c"),
        ("tcp", "multiply", "b"),
        ("tcp", "compact", "a"),
        ("tls", "sort", "a"),
        ("tls", "less_than", "b"),
        ("tls", "shuffle", "c"),
        ("tls", "segment_scan", "a"),
    ],
)
def test_a_killed_process_is_named(transport: str, operation: str, victim: str) -> None:
    check_killed(operation, victim, tls=transport == "tls")


@pytest.mark.slow
@pytest.mark.parametrize("victim", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_processes_killed_at_many_moments_are_named(transport: str, operation: str, victim: str) -> None:
    for seed in range(2, 4):
        check_killed(operation, victim, tls=transport == "tls", seed=seed)


def check_silent(operation: str, victim: str, *, tls: bool) -> None:
    for told in check_processes(operation, victim, tls=tls, number=signal.SIGSTOP, timeout=2.0):
        assert (told["blamed"], told["code"]) == (victim, "MPC-0601")
        assert told["seconds"] < 2.0 + 2.0


@pytest.mark.parametrize(("transport", "operation"), [("tcp", "multiply"), ("tls", "sort")])
def test_a_silent_process_is_named_when_the_timeout_is_over(transport: str, operation: str) -> None:
    check_silent(operation, "c", tls=transport == "tls")


@pytest.mark.slow
@pytest.mark.parametrize("victim", NAMES)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_silent_processes_are_named(transport: str, operation: str, victim: str) -> None:
    check_silent(operation, victim, tls=transport == "tls")


def party_of_three(me: str, operation: str, *, tls: bool, timeout: float) -> None:
    """Repeat the operation until an error comes; tell it and wait for the parent."""
    identity, listener = Identity.create(me), Listener()
    print(json.dumps([identity.certificate.hex(), listener.address]), flush=True)
    setting = json.loads(sys.stdin.readline())
    addresses = {name: (host, port) for name, (_, (host, port)) in setting["known"].items()}
    certificates = {name: bytes.fromhex(certificate) for name, (certificate, _) in setting["known"].items()}
    token, secured = bytes.fromhex(setting["token"]), TlsSettings(identity, certificates) if tls else None
    try:
        with TcpChannel(me, listener, addresses=addresses, token=token, timeout=timeout, tls=secured) as channel:
            party = Replicated(NAMES.index(me), ChannelLinks(channel, NAMES))
            party.setup()
            OPERATIONS[operation](party, 20_000)
            print('"running"', flush=True)
            while True:
                OPERATIONS[operation](party, 20_000)
    except PeerError as error:
        told = {"code": error.code, "message": error.message, "blamed": blamed_party(error), "at": time.monotonic()}
        print(json.dumps({"class": type(error).__name__, **told}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    party_of_three(sys.argv[1], **json.loads(sys.argv[2]))
