"""Typed messages between parties: one interface, carried by memory, TCP or a recorder.

A channel sends raw bytes under a tag. Messages of one (sender, tag) arrive in the order they were sent; messages of
other tags wait in a queue. Nothing that arrives is unpickled, evaluated or imported. Every wait is finite and ends
in a :class:`PeerError` that names the party waited for.

Rounds are measured, not guessed: every message carries the sender's causal depth plus one, and a receiver takes the
larger of its own depth and that of the message (Lamport, "Time, clocks, and the ordering of events", 1978). The
depth is therefore the length of the longest chain of dependent messages so far, which is what a round count is.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, NamedTuple

from mpc_engine.errors import MpcError, PeerError
from mpc_engine.runtime.faults import blamed_party, peer_error
from mpc_engine.runtime.mailbox import Mailbox

__all__ = ["Channel", "MemoryChannel", "MemoryHub", "Record", "RecordingChannel", "Traffic"]

DEFAULT_TIMEOUT = 10.0
MAX_TAG_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one party has sent and received so far.

    Attributes
    ----------
    messages : int
        Messages sent.
    bytes_sent : Mapping[str, int]
        Payload bytes sent, by receiving party. Frame headers (15 bytes and the tag, on TCP) are not counted.
    bytes_received : Mapping[str, int]
        Payload bytes taken out of the channel, by sending party.
    rounds : int
        Length of the longest chain of dependent messages that ends at this party.
    """

    messages: int = 0
    bytes_sent: Mapping[str, int] = field(default_factory=dict)
    bytes_received: Mapping[str, int] = field(default_factory=dict)
    rounds: int = 0

    @property
    def total_sent(self) -> int:
        """Payload bytes sent to all peers."""
        return sum(self.bytes_sent.values())

    def since(self, earlier: Traffic) -> Traffic:
        """Return the difference to an earlier snapshot of the same channel.

        Examples
        --------
        >>> Traffic(3, {"b": 50}, {}, 2).since(Traffic(1, {"b": 10}, {}, 1))
        Traffic(messages=2, bytes_sent={'b': 40}, bytes_received={}, rounds=1)
        """
        return Traffic(
            self.messages - earlier.messages,
            {peer: count - earlier.bytes_sent.get(peer, 0) for peer, count in self.bytes_sent.items()},
            {peer: count - earlier.bytes_received.get(peer, 0) for peer, count in self.bytes_received.items()},
            self.rounds - earlier.rounds,
        )


class Channel(ABC):
    """Links of one party to all the others.

    Parameters
    ----------
    me : str
        The name of this party.
    parties : Sequence[str]
        All parties, this one included, in the same order everywhere.
    timeout : float
        Seconds that a wait may take unless the call says otherwise.
    """

    def __init__(self, me: str, parties: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> None:
        if me not in parties or len(set(parties)) != len(parties):
            raise ValueError(f"'{me}' must be one of distinct parties, not of {list(parties)}")
        self.me = me
        self.parties = tuple(parties)
        self.peers = tuple(party for party in parties if party != me)
        self.timeout = timeout

    @abstractmethod
    def send(self, to: str, tag: str, payload: bytes | bytearray | memoryview) -> None:
        """Send `payload` to party `to`; returns once the message is on its way.

        Raises
        ------
        PeerError
            MPC-0601 if the peer takes nothing for `timeout` seconds, MPC-0602 if its connection is gone.
        """

    @abstractmethod
    def recv(self, frm: str, tag: str, timeout: float | None = None) -> bytes:
        """Return the next message of party `frm` under `tag`.

        Raises
        ------
        PeerError
            MPC-0601 after `timeout` seconds (default: the channel's) and at most one more, in which a TCP channel
            finds out whether the party itself waits for another; MPC-0602 at once if a connection is gone, MPC-0606
            at once if a party has reported a failure.
        """

    @abstractmethod
    def snapshot(self) -> Traffic:
        """Return the counters; the difference of two snapshots is the traffic between them."""

    @abstractmethod
    def abort(self, error: BaseException) -> None:
        """Tell all peers that this party gives up because of `error`, so that none waits for a timeout.

        A :class:`PeerError` is passed on with the party that it blames; of any other error the peers learn the
        class and code, never the text. Closes the channel.
        """

    @abstractmethod
    def close(self) -> None:
        """End the channel in good order; messages already sent still arrive."""

    def exchange(self, to: str, frm: str, tag: str, payload: bytes | bytearray | memoryview) -> bytes:
        """Send to one party and receive from one (the step of a ring protocol): one round."""
        self.send(to, tag, payload)
        return self.recv(frm, tag)

    def agree(self, tag: str, digest: bytes, timeout: float | None = None) -> dict[str, bytes]:
        """Send `digest` to everyone and return everyone's, this party's included: one round.

        With a `timeout` others may take longer than for a message: they work before they answer.

        Comparing them is up to the caller, who can say what differs.
        """
        for peer in self.peers:
            self.send(peer, tag, digest)
        return {party: digest if party == self.me else self.recv(party, tag, timeout) for party in self.parties}

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort(error)


class Counters:
    """Thread-safe counters behind :meth:`Channel.snapshot`."""

    def __init__(self, peers: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._messages = 0
        self._sent = dict.fromkeys(peers, 0)
        self._received = dict.fromkeys(peers, 0)
        self._depth = 0

    def sending(self, to: str, size: int) -> int:
        """Count a message and return the depth to stamp on it."""
        with self._lock:
            self._messages += 1
            self._sent[to] += size
            return self._depth + 1

    def received(self, frm: str, size: int, stamp: int) -> None:
        """Count a message taken out of the channel."""
        with self._lock:
            self._received[frm] += size
            self._depth = max(self._depth, stamp)

    def snapshot(self) -> Traffic:
        """Return a copy."""
        with self._lock:
            return Traffic(self._messages, dict(self._sent), dict(self._received), self._depth)


def timed_out(party: str, what: str) -> PeerError:
    """Return the error of a wait for `party` that took too long."""
    hint = "the party may be stopped, overloaded or cut off; look at its log"
    return peer_error(party, f"no answer from party '{party}': {what}", code="MPC-0601", hint=hint)


def not_sent(party: str, tag: str, timeout: float) -> PeerError:
    """Return the error of a message that did not come."""
    return timed_out(party, f"it did not send '{tag}' within {timeout:g} s")


def report_of(error: BaseException, *, me: str) -> PeerError:
    """Return what the peers may learn of `error`: who is to blame and the code, not the text."""
    if isinstance(error, PeerError) and blamed_party(error) not in ("", me):
        return error
    what = f"{type(error).__name__} {error.code}" if isinstance(error, MpcError) else type(error).__name__
    return peer_error(me, f"party '{me}' failed ({what})", code="MPC-0606", hint="the cause is reported by that party")


def left(party: str) -> PeerError:
    """Return the error of waiting for a party that has closed its channel in good order."""
    return peer_error(party, f"party '{party}' has closed its channel", code="MPC-0602")


def closed_here(me: str) -> PeerError:
    """Return the error of using a channel after closing it."""
    return PeerError(f"the channel of party '{me}' is closed", code="MPC-0605")


class MemoryHub:
    """Connects the threads of one process.

    Examples
    --------
    >>> hub = MemoryHub(("a", "b"))
    >>> a, b = hub.channel("a"), hub.channel("b")
    >>> a.send("b", "x", b"12")
    >>> b.recv("a", "x")
    b'12'
    """

    def __init__(self, parties: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.parties = tuple(parties)
        self.timeout = timeout
        self.boxes = {party: Mailbox() for party in self.parties}

    def channel(self, me: str) -> MemoryChannel:
        """Return the channel of party `me`."""
        return MemoryChannel(me, self)

    def fail(self, party: str, error: BaseException) -> None:
        """Mark the hub as failed: every waiting thread wakes with the first failure's name."""
        report = report_of(error, me=party)
        for box in self.boxes.values():
            box.fail(report)


class MemoryChannel(Channel):
    """A channel between threads."""

    def __init__(self, me: str, hub: MemoryHub) -> None:
        super().__init__(me, hub.parties, timeout=hub.timeout)
        self._hub = hub
        self._box = hub.boxes[me]
        self._counters = Counters(self.peers)
        self._closed = False

    def send(self, to: str, tag: str, payload: bytes | bytearray | memoryview) -> None:
        """See :meth:`Channel.send`. The payload is copied, as a network would."""
        if self._closed:
            raise closed_here(self.me)
        if (failure := self._box.failure(to)) is not None:
            raise failure
        content = bytes(payload)
        self._hub.boxes[to].put(self.me, tag, self._counters.sending(to, len(content)), content)

    def recv(self, frm: str, tag: str, timeout: float | None = None) -> bytes:
        """See :meth:`Channel.recv`."""
        if self._closed:
            raise closed_here(self.me)
        limit = self.timeout if timeout is None else timeout
        if (found := self._box.take(frm, tag, limit)) is None:
            raise not_sent(frm, tag, limit)
        stamp, payload = found
        self._counters.received(frm, len(payload), stamp)
        return payload

    def snapshot(self) -> Traffic:
        """See :meth:`Channel.snapshot`."""
        return self._counters.snapshot()

    def abort(self, error: BaseException) -> None:
        """See :meth:`Channel.abort`."""
        if not self._closed:
            self._closed = True
            self._hub.fail(self.me, error)

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        if not self._closed:
            self._closed = True
            for peer in self.peers:
                self._hub.boxes[peer].leave(self.me, left(self.me))


class Record(NamedTuple):
    """One line of a transcript: what an observer of the links sees, without the content."""

    direction: Literal["send", "recv"]
    peer: str
    tag: str
    size: int


class RecordingChannel(Channel):
    """Wraps a channel and keeps its transcript, in the order in which this party sent and received.

    Attributes
    ----------
    transcript : list[Record]
    """

    def __init__(self, inner: Channel) -> None:
        super().__init__(inner.me, inner.parties, timeout=inner.timeout)
        self.inner = inner
        self.transcript: list[Record] = []

    def send(self, to: str, tag: str, payload: bytes | bytearray | memoryview) -> None:
        """See :meth:`Channel.send`."""
        self.inner.send(to, tag, payload)
        self.transcript.append(Record("send", to, tag, memoryview(payload).nbytes))

    def recv(self, frm: str, tag: str, timeout: float | None = None) -> bytes:
        """See :meth:`Channel.recv`."""
        payload = self.inner.recv(frm, tag, timeout)
        self.transcript.append(Record("recv", frm, tag, len(payload)))
        return payload

    def snapshot(self) -> Traffic:
        """See :meth:`Channel.snapshot`."""
        return self.inner.snapshot()

    def abort(self, error: BaseException) -> None:
        """See :meth:`Channel.abort`."""
        self.inner.abort(error)

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        self.inner.close()
