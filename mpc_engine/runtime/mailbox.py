"""Where the messages of a channel wait until they are asked for."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from types import TracebackType

from mpc_engine.errors import PeerError

__all__ = ["Mailbox"]


class Mailbox:
    """Messages that have arrived and were not asked for yet, and the news of failed peers."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._queues: defaultdict[tuple[str, str], deque[tuple[int, bytes]]] = defaultdict(deque)
        self._waiting_bytes: defaultdict[str, int] = defaultdict(int)
        self._gone: dict[str, PeerError] = {}
        self._failure: PeerError | None = None
        self._waits: list[tuple[str, float]] = []
        self._told: dict[str, tuple[str, float]] = {}

    def put(self, frm: str, tag: str, stamp: int, payload: bytes) -> int:
        """Queue a message; return the bytes of this sender that wait in the box."""
        with self._arrived:
            self._queues[frm, tag].append((stamp, payload))
            self._waiting_bytes[frm] += len(payload)
            self._arrived.notify_all()
            return self._waiting_bytes[frm]

    def fail(self, error: PeerError) -> None:
        """Wake every waiter with `error`; only the first failure counts, later ones follow from it."""
        with self._arrived:
            self._failure = self._failure or error
            self._arrived.notify_all()

    def leave(self, party: str, error: PeerError) -> None:
        """Note that `party` will send nothing more; only who waits for it is woken with `error`."""
        with self._arrived:
            self._gone.setdefault(party, error)
            self._arrived.notify_all()

    def failure(self, party: str, *, wait: float = 0.0) -> PeerError | None:
        """Return a copy of the first failure, or of the news that `party` has left; waits up to `wait` seconds."""
        with self._arrived:
            error = self._arrived.wait_for(lambda: self._failure or self._gone.get(party), wait)
            return _fresh(error) if error else None

    def take(self, frm: str, tag: str, timeout: float) -> tuple[int, bytes] | None:
        """Return stamp and payload of the next message, None after `timeout` seconds; raises what prevents it."""
        deadline = time.monotonic() + timeout
        with self._arrived:
            while not (queue := self._queues.get((frm, tag))):
                error = self._failure or self._gone.get(frm)
                if error is not None:
                    raise _fresh(error)
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._arrived.wait(left)
            stamp, payload = queue.popleft()
            if not queue:
                del self._queues[frm, tag]
            self._waiting_bytes[frm] -= len(payload)
            return stamp, payload

    def waiting(self, frm: str) -> _Wait:
        """Let :meth:`longest_wait` know that the block waits for `frm`."""
        return _Wait(self._waits, frm)

    def longest_wait(self) -> tuple[str, float]:
        """Return whom this party has been waiting for longest, and the seconds; no name if for nobody."""
        frm, since = min(self._waits.copy(), key=lambda wait: wait[1], default=("", time.monotonic()))
        return frm, time.monotonic() - since

    def told(self, party: str, waits_for: str, seconds: float) -> None:
        """Note that `party` says that it has been waiting for another."""
        with self._arrived:
            self._told[party] = waits_for, seconds
            self._arrived.notify_all()

    def hear(self, party: str, *, wait: float) -> tuple[str, float]:
        """Return, once, what `party` has said about its own waiting; no name if nothing in `wait` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: party in self._told, wait)
            return self._told.pop(party, ("", 0.0))


class _Wait:
    """A block that waits, in the list of all that do; single operations on a list need no lock."""

    __slots__ = ("_mine", "_waits")

    def __init__(self, waits: list[tuple[str, float]], frm: str) -> None:
        self._waits, self._mine = waits, (frm, time.monotonic())

    def __enter__(self) -> None:
        self._waits.append(self._mine)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waits.remove(self._mine)


def _fresh(error: PeerError) -> PeerError:
    """Return a copy, since one instance raised in several threads would mix their tracebacks."""
    return PeerError(error.message, code=error.code, hint=error.hint, where=error.where)
