"""One party of `mpc-engine bench`'s operations: a process that the bench starts, with one thread for the arithmetic.

It says where it listens, is told what to measure by one line on its standard input, compares every side's opened result
with numpy's, runs the sides in turn, in step with its peers, and answers by one line: its sides. Errors go to standard
error. It ends when its input does.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mpc_engine.cli.kernel_table import KERNELS, Size, opened, shares
from mpc_engine.errors import MpcError
from mpc_engine.io.memory import keep_freed_memory
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.tcp import Listener, TcpChannel
from mpc_engine.runtime.tls import Identity, TlsSettings

if TYPE_CHECKING:
    from mpc_engine.cli.kernel_spu import SpuSide
    from mpc_engine.runtime.channel import Channel

__all__ = ["PARTIES", "Hello", "Order", "Run", "Side"]

PARTIES = ("p0", "p1", "p2")
SLOW = 20.0
"""Seconds after which SPU is not run again."""


class Hello(msgspec.Struct, frozen=True):
    """What a party says first: where it listens, and its certificate in DER."""

    address: tuple[str, int]
    certificate: bytes


class Order(msgspec.Struct, frozen=True):
    """What to measure, and how to reach the others.

    Attributes
    ----------
    rank : int
    channels : list of Hello
        Of every party.
    tls : bool
        Whether channels are encrypted.
    spu : list of str
        ``host:port`` of SPU's servers; empty without SPU.
    token : str
        Of this run, in hexadecimal digits.
    operation : str
    size : Size
    repeat : int
    sides : list of str
        ``ours`` first.
    timeout : float
        Seconds that a wait may take.
    """

    rank: int
    channels: list[Hello]
    tls: bool
    spu: list[str]
    token: str
    operation: str
    size: Size
    repeat: int
    sides: list[str]
    timeout: float


class Run(msgspec.Struct, frozen=True):
    """One timed run at one party.

    Attributes
    ----------
    seconds, cpu_seconds : float
        Wall and processor time.
    rounds, bytes_sent : int
    peak_rss_mb : float
        Largest resident memory of the process during the run.
    """

    seconds: float
    cpu_seconds: float
    rounds: int
    bytes_sent: int
    peak_rss_mb: float


class Side(msgspec.Struct):
    """A side's error against numpy, and its runs."""

    error: float
    runs: list[Run]


class Spent(NamedTuple):
    """What one run cost at this party."""

    seconds: float
    rounds: int
    bytes_sent: int


class Party:
    """The sides of one operation at one party."""

    def __init__(self, order: Order, channel: Channel) -> None:
        self.order, self.channel = order, channel
        self.kernel = KERNELS[order.operation]
        self.secrets = self.kernel.secrets(order.size)
        self.pairs = [shares(values, order.rank) for values in self.secrets]
        self.machine = Replicated(order.rank, ChannelLinks(channel, PARTIES))
        self.machine.setup()
        self.spu = self._connect() if "spu" in order.sides else None

    def _connect(self) -> SpuSide:
        from mpc_engine.cli.kernel_spu import SpuSide

        order = self.order
        side = SpuSide(
            order.operation,
            order.size,
            order.rank,
            addresses=order.spu,
            run=f"bench-{order.token[:8]}",
            timeout=order.timeout,
        )
        side.prepare(self.secrets, self.pairs)
        return side

    def measure(self) -> dict[str, Side]:
        """Compare all sides with numpy, then time them in turn."""
        sides = self._compare()
        acts: dict[str, Callable[[], Spent]] = {"ours": self._ours, "spu": self._spu, "plaintext": self._plain}
        for number in range(self.order.repeat):
            for name, side in sides.items():
                if not (name == "spu" and number and self._slow(side.runs[-1])):
                    side.runs.append(self._timed(f"{name} {number}", acts[name]))
        return sides

    def _compare(self) -> dict[str, Side]:
        truth = self.kernel.plain(self.secrets, self.order.size)
        found = {name: Side(0.0, []) for name in self.order.sides}
        for name, side in found.items():
            if name == "ours":
                results = self.kernel.ours(self.machine, self.pairs, self.order.size)
            elif name == "spu" and self.spu:
                self.spu.run()
                results = self.spu.results()
            else:
                continue
            side.error = self.kernel.error([opened(self.machine, column) for column in results], self.secrets, truth)
        return found

    def _slow(self, last: Run) -> bool:
        """Whether any party found the last run slow."""
        said = self.channel.agree("slow", b"\1" if last.seconds > SLOW else b"\0")
        return b"\1" in said.values()

    def _timed(self, tag: str, act: Callable[[], Spent]) -> Run:
        _forget_peak()
        self.channel.agree(tag, b"")
        self.channel.agree(tag, b"again")  # after it all parties count rounds from the same causal depth
        used = time.process_time()
        spent = act()
        return Run(spent.seconds, time.process_time() - used, spent.rounds, spent.bytes_sent, _peak())

    def _ours(self) -> Spent:
        before, began = self.channel.snapshot(), time.perf_counter()
        self.kernel.ours(self.machine, self.pairs, self.order.size)
        seconds = time.perf_counter() - began
        traffic = self.channel.snapshot().since(before)
        return Spent(seconds, traffic.rounds, traffic.total_sent)

    def _spu(self) -> Spent:
        assert self.spu is not None
        cost = self.spu.run()
        return Spent(cost.seconds, cost.rounds, cost.bytes_sent)

    def _plain(self) -> Spent:
        if self.order.rank:  # one process computes, the others wait for it
            return Spent(0.0, 0, 0)
        began = time.perf_counter()
        self.kernel.plain(self.secrets, self.order.size)
        return Spent(time.perf_counter() - began, 0, 0)


def _forget_peak() -> None:
    """Let the system count the peak of resident memory anew; without that it is the peak since the start."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _peak() -> float:
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _follow(order: Order, listener: Listener, identity: Identity) -> dict[str, Side]:
    known = dict(zip(PARTIES, order.channels, strict=True))
    tls = TlsSettings(identity, {name: hello.certificate for name, hello in known.items()}) if order.tls else None
    with TcpChannel(
        PARTIES[order.rank],
        listener,
        addresses={name: hello.address for name, hello in known.items()},
        token=bytes.fromhex(order.token),
        timeout=order.timeout,
        tls=tls,
    ) as channel:
        party = Party(order, channel)
        sides = party.measure()
        channel.agree("end", b"")
    if party.spu:
        party.spu.close()
    return sides


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Serve one order."""
    keep_freed_memory()  # as every party's process does
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # nothing else may write where answers go
    listener, identity = Listener(), Identity.create(f"bench {os.getpid()}")
    answers.write(msgspec.json.encode(Hello(listener.address, identity.certificate)) + b"\n")
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answers.write(msgspec.json.encode(_follow(order, listener, identity)) + b"\n")
    except MpcError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
