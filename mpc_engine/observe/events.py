"""One event stream for everything that takes time, and a progress line for what takes more than two seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TextIO

__all__ = ["Event", "EventStream", "Progress", "events"]

SHOW_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run. Carries names and times, never data.

    Attributes
    ----------
    kind : {"start", "step", "end", "failed"}
    run : str
        Title of the run.
    step : str
        What begins; empty for the run itself.
    seconds : float
        Since the run began.
    """

    kind: Literal["start", "step", "end", "failed"]
    run: str
    step: str = ""
    seconds: float = 0.0


class EventStream:
    """Hands every event to its subscribers, in the thread that emits it.

    Examples
    --------
    >>> stream = EventStream()
    >>> cancel = stream.subscribe(lambda event: print(event.kind, event.step))
    >>> stream.emit(Event("step", "query", "join"))
    step join
    >>> cancel()
    >>> stream.emit(Event("end", "query"))
    """

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], object]] = []

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Call `subscriber` with every event from now on; the returned function ends that."""
        self._subscribers.append(subscriber)

        def cancel() -> None:
            with suppress(ValueError):
                self._subscribers.remove(subscriber)

        return cancel

    def emit(self, event: Event) -> None:
        """Hand out `event`."""
        for subscriber in tuple(self._subscribers):
            subscriber(event)


events = EventStream()


class Progress:
    """Tells on a terminal which step a run is at, once the run has taken two seconds.

    Silent where nobody watches: no terminal, a dumb one, a test, or ``MPC_ENGINE_PROGRESS=0``.

    Parameters
    ----------
    title : str
    stream : EventStream
    file : TextIO, optional
        Where to show it; standard error by default.
    after : float
        Seconds before it is shown.

    Examples
    --------
    >>> with Progress("default rate by segment") as progress:
    ...     progress.update("join on customer_id")
    """

    def __init__(
        self,
        title: str,
        *,
        stream: EventStream = events,
        file: TextIO | None = None,
        after: float = SHOW_AFTER,
    ) -> None:
        self.title = title
        self._stream = stream
        self._file = file if file is not None else sys.stderr
        self._after = after
        self._step = ""
        self._began = 0.0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._status: Any = None
        self._over = False

    def update(self, step: str) -> None:
        """Say that `step` begins."""
        self._stream.emit(Event("step", self.title, step, self._elapsed()))
        with self._lock:
            self._step = step
            if self._status is not None:
                self._status.update(self._line())

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        self._stream.emit(Event("start", self.title))
        if _watched(self._file):
            self._timer = threading.Timer(self._after, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._over = True
            if self._status is not None:
                self._status.stop()
        self._stream.emit(Event("end" if error is None else "failed", self.title, "", self._elapsed()))

    def _show(self) -> None:
        from rich.console import Console
        from rich.status import Status

        with self._lock:
            if not self._over:
                self._status = Status(self._line(), console=Console(file=self._file))
                self._status.start()

    def _line(self) -> Any:
        from rich.text import Text

        return Text(f"{self.title}: {self._step}" if self._step else self.title)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0


def _watched(file: TextIO) -> bool:
    quiet = os.environ.get("MPC_ENGINE_PROGRESS") == "0" or "PYTEST_CURRENT_TEST" in os.environ
    return not quiet and os.environ.get("TERM") != "dumb" and file.isatty()
