"""What the operating system knows about a party's process: alive, stopped, gone; busy or idle.

A process is identified by its pid and start time, so that a pid that the system has given to somebody else is never
mistaken for the party and never signalled.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

__all__ = ["ProcessId", "State"]


class State(Enum):
    """Condition of a process."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process of this machine.

    Attributes
    ----------
    pid : int
    started : str
        Start time in clock ticks since boot; empty where the system has no ``/proc``.

    Examples
    --------
    >>> me = ProcessId.of(os.getpid())
    >>> me.state()
    <State.RUNNING: 'running'>
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Return the identity of the process that has `pid` now."""
        fields = _stat(pid)
        return cls(pid, fields[19] if fields else "")

    def state(self) -> State:
        """Return the condition; a zombie, or another process under the same pid, counts as gone."""
        fields = _stat(self.pid)
        if fields is None:
            return State.GONE if Path("/proc/self/stat").exists() or not _signalled(self.pid, 0) else State.RUNNING
        if fields[0] in "ZXx" or (self.started and fields[19] != self.started):
            return State.GONE
        return State.STOPPED if fields[0] in "Tt" else State.RUNNING

    def cpu_ticks(self) -> int | None:
        """Return the processor time used so far in clock ticks, or None if the system does not tell."""
        fields = _stat(self.pid)
        return int(fields[11]) + int(fields[12]) if fields else None

    def memory(self) -> int:
        """Return the resident memory in bytes, 0 if unknown."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End the process at once, if it is still this one."""
        if self.state() is not State.GONE:
            _signalled(self.pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/pid/stat from the third (state) on; the second may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
