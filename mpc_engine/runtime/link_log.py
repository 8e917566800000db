"""How many bytes and messages SPU sent, read from SPU's own log.

With profiling on, every run of an executable appends to the process-wide log of SPU, among other lines, ``SPU execution
NAME completed`` and then ``Link details: total send bytes …, recv bytes …, send actions …, recv actions …``: exactly
the payload of that run at that rank. Both are written and flushed before the run returns. The log goes to an anonymous
file in memory, so that nothing is left on disk.

When several ranks share a process their lines may interleave, and the second kind does not say whose it is. Then the
run that was completed first takes the line that comes first: the sum over the ranks is right, the attribution to one
of them need not be.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from typing import NamedTuple

from mpc_engine.errors import MpcError

__all__ = ["LinkCount", "LinkLog"]

_LINE = re.compile(
    rb"SPU execution (\S+) completed"
    rb"|Link details: total send bytes (\d+), recv bytes (\d+), send actions (\d+), recv actions (\d+)"
)
_PATIENCE = 5.0  # seconds until another rank, whose line this one was given, must have written its own


class LinkCount(NamedTuple):
    """Payload of one run at one rank; `exact` is False if it may be that of another rank of the process."""

    bytes_sent: int
    bytes_received: int
    sends: int
    receives: int
    exact: bool


class LinkLog:
    r"""The log file, and what its lines say of runs that nobody has asked for yet.

    Attributes
    ----------
    path : str
        Where SPU has to write its log.

    Examples
    --------
    >>> log = LinkLog()
    >>> log.begin()
    >>> with open(log.path, "a") as file:
    ...     _ = file.write("SPU execution run-1 completed, total time 1s.\n")
    ...     _ = file.write("Link details: total send bytes 80, recv bytes 40, send actions 2, recv actions 1\n")
    >>> log.end("run-1")
    LinkCount(bytes_sent=80, bytes_received=40, sends=2, receives=1, exact=True)
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("spu-log", os.MFD_CLOEXEC)
            self.path = f"/proc/self/fd/{self._file}"
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="mpc-engine-log-")
            self.path = os.path.join(self._folder.name, "spu.log")
            self._file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        self._lock = threading.Lock()
        self._active = 0
        self._read = 0
        self._completed: list[str] = []
        self._mixed: set[str] = set()
        self._counts: dict[str, LinkCount] = {}

    def begin(self) -> None:
        """Say that a run starts."""
        with self._lock:
            self._active += 1

    def end(self, name: str) -> LinkCount:
        """Say that the run of the executable `name` has returned, and take its count.

        Parameters
        ----------
        name : str
            Unique in this process, without blanks.
        """
        patience = time.monotonic() + _PATIENCE
        while True:
            with self._lock:
                self._collect()
                if name in self._counts:
                    count = self._counts.pop(name)
                    self._leave()
                    return count
                if time.monotonic() > patience:
                    self._leave()
                    raise MpcError(
                        "SPU did not log its traffic",
                        code="MPC-0326",
                        hint="did something else in this process call libspu.logging.setup_logging?",
                    )
            time.sleep(0.001)

    def abandon(self) -> None:
        """Say that a run failed; it logs nothing."""
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        self._active -= 1
        if self._active == 0:  # nobody is writing: the file can be emptied without losing a line
            os.ftruncate(self._file, 0)
            self._read = 0
            self._completed.clear()
            self._mixed.clear()
            self._counts.clear()

    def _collect(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for match in _LINE.finditer(whole):
            if match[1]:
                self._completed.append(match[1].decode())
            else:
                self._assign(*(int(match[group]) for group in (2, 3, 4, 5)))

    def _assign(self, sent: int, received: int, sends: int, receives: int) -> None:
        if len(self._completed) > 1:
            self._mixed.update(self._completed)
        if self._completed:
            name = self._completed.pop(0)
            self._counts[name] = LinkCount(sent, received, sends, receives, name not in self._mixed)
