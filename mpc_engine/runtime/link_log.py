"""How many bytes and messages SPU sent, read from SPU's own log.

With profiling on, every run of an executable appends ``Link details: total send bytes …, recv bytes …, send actions
…, recv actions …`` to the process-wide log of SPU: exactly the payload of that run at that rank. The line is written
and flushed before the run returns. The log goes to an anonymous file in memory, so that nothing is left on disk.

One process has one such log and a line does not say which rank wrote it. When several ranks share a process, each
takes one line when its run ends: the sum over the ranks is right, the attribution to a rank need not be.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections import deque
from typing import NamedTuple

from mpc_engine.errors import MpcError

__all__ = ["LinkCount", "LinkLog"]

_LINE = re.compile(rb"Link details: total send bytes (\d+), recv bytes (\d+), send actions (\d+), recv actions (\d+)")


class LinkCount(NamedTuple):
    """Payload of one run at one rank; `exact` is False if another rank of the process ran at the same time."""

    bytes_sent: int
    bytes_received: int
    sends: int
    receives: int
    exact: bool


class LinkLog:
    r"""The log file and the lines in it that no run has claimed yet.

    Attributes
    ----------
    path : str
        Where SPU has to write its log.

    Examples
    --------
    >>> log = LinkLog()
    >>> log.begin()
    >>> with open(log.path, "a") as file:
    ...     _ = file.write("Link details: total send bytes 80, recv bytes 40, send actions 2, recv actions 1\n")
    >>> log.end()
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
        self._alone = True
        self._read = 0
        self._unclaimed: deque[LinkCount] = deque()

    def begin(self) -> None:
        """Say that a run starts."""
        with self._lock:
            self._active += 1
            self._alone = self._alone and self._active == 1

    def end(self) -> LinkCount:
        """Say that a run has returned, and take its count."""
        with self._lock:
            self._collect()
            if not self._unclaimed:
                raise MpcError("SPU did not log its traffic", code="MPC-0625", hint="is its logging set up elsewhere?")
            count = self._unclaimed.popleft()._replace(exact=self._alone)
            self._leave()
            return count

    def abandon(self) -> None:
        """Say that a run failed; it logs nothing."""
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        self._active -= 1
        if self._active == 0:  # nobody is writing: the file can be emptied without losing a line
            os.ftruncate(self._file, 0)
            self._read = 0
            self._alone = True
            self._unclaimed.clear()

    def _collect(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for match in _LINE.finditer(whole):
            sent, received, sends, receives = map(int, match.groups())
            self._unclaimed.append(LinkCount(sent, received, sends, receives, exact=True))
