"""The three processes that `mpc-engine bench` measures operations in: started, waited for, and ended."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from mpc_engine.errors import MpcError

__all__ = ["Processes"]

_LAST_WORDS = 400
_OTHERS = 0.5  # seconds that the others have to say why they ended
_COMMAND = (sys.executable, "-P", "-m", "mpc_engine.cli.kernel_party")


class Processes:
    """Party processes that answer by lines; as a context manager it ends them, whatever happened.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self._lines: queue.Queue[tuple[int, bytes]] = queue.Queue()
        self._said = [b""] * count
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._held = [subprocess.Popen(_COMMAND, env=environment, **pipes) for _ in range(count)]
        self._readers = [
            threading.Thread(target=read, args=(rank,), daemon=True)
            for read in (self._read_answers, self._read_errors)
            for rank in range(count)
        ]
        for reader in self._readers:
            reader.start()

    def _read_answers(self, rank: int) -> None:
        for line in self._held[rank].stdout or ():
            self._lines.put((rank, line))
        self._lines.put((rank, b""))

    def _read_errors(self, rank: int) -> None:
        for line in self._held[rank].stderr or ():
            self._said[rank] = (self._said[rank] + line)[-_LAST_WORDS:]

    def tell(self, rank: int, line: bytes) -> None:
        """Send a line to one process; the news of one that is gone comes from :meth:`hear`."""
        pipe = self._held[rank].stdin
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.write(line + b"\n")
            pipe.flush()

    def hear(self, timeout: float) -> list[bytes]:
        """Return the next line of each process, by rank.

        Raises
        ------
        MpcError
            MPC-0834 if a process ends or is silent for `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        found: dict[int, bytes] = {}
        while len(found) < len(self._held):
            try:
                rank, line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                silent = next(rank for rank in range(len(self._held)) if rank not in found)
                raise MpcError(f"party {silent} of the bench said nothing for {timeout:g} s", code="MPC-0834") from None
            if line:
                found[rank] = line
            elif rank not in found:
                raise MpcError(f"party {rank} of the bench ended early", code="MPC-0834", hint=self._last_words())
        return [found[rank] for rank in range(len(self._held))]

    def _last_words(self) -> str:
        """What each process complained of: one may have ended because another did."""
        time.sleep(_OTHERS)
        texts = (" ".join(said.decode("utf-8", "replace").split()) for said in self._said)
        return "; ".join(f"party {rank}: {text}" for rank, text in enumerate(texts) if text)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._held:
            process.kill()
        for process in self._held:
            process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for process in self._held:
            for pipe in (process.stdin, process.stdout, process.stderr):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
