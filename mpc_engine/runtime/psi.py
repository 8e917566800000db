"""Private set intersection between two owners: which of my rows have a partner, in an order that both sides share.

RR22 (Raghuraman, Rindal: "Blazing Fast PSI from Improved OKVS and Subfield VOLE", CCS 2022) as libpsi implements it,
semi-honest, both sides get the result. Discloses to each owner: which of its own keys the other has too, and the
other's number of rows. Nothing to anyone else.

libpsi reads and writes CSV files, keeps temporaries in ``TMPDIR`` until the process ends, prints to the console and
leaves a trace in ``/tmp``. All of that is confined here: files live in a private folder that is removed in any case,
the console output goes to a file in memory, and the trace that it names is removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import spu.psi as libpsi
from numpy.typing import NDArray

from mpc_compiler.cost.psi import PSI_ROUNDS, psi_bytes
from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.links import Link

__all__ = ["DIGEST_BYTES", "PsiCost", "align", "clear_align"]

DIGEST_BYTES = 32
"""Length of a key digest: 128 bits in lower-case hexadecimal."""

Digests = NDArray[np.bytes_]
Rows = NDArray[np.int64]

# One line of a CSV file. The letters keep libpsi from taking digits for numbers.
_RECORD = np.dtype([("k", "S1"), ("key", "S32"), ("comma", "S1"), ("r", "S1"), ("row", "S10"), ("end", "S1")])
_HEADER = b"key,row\n"
_ROUNDS = PSI_ROUNDS - 2  # telling sizes and comparing results are counted where they are sent
_ENDED = re.compile(rb"Tracing session \d+ ended")
_TRACE = re.compile(rb"/tmp/psi_[A-Za-z0-9_-]+\.trace")


class PsiCost(NamedTuple):
    """What an intersection took at this owner.

    Attributes
    ----------
    rounds : int
        About how many one-way delays it lasts, found by delaying every message; hardly depends on the sizes.
    bytes_sent : int
        Over TCP what the kernel sent on this process's sockets meanwhile, headers included; over a memory link the
        payload by :func:`mpc_compiler.cost.psi.psi_bytes`.
    """

    rounds: int
    bytes_sent: int


def align(link: Link, digests: Digests, exchange: Callable[[bytes], bytes]) -> tuple[Rows, PsiCost]:
    """Intersect the keys of two owners. Both call this at about the same time.

    Parameters
    ----------
    link : Link
        Between the two owners; may be used again for the next intersection.
    digests : ndarray of S32, shape [n]
        A digest of each row's key, without repetitions: 32 lower-case hexadecimal characters.
    exchange : Callable[[bytes], bytes]
        Sends to the other owner and returns what it sent; to compare the results. Not the link's own `all_gather`: in
        spu 0.9.5 that reads past the end of its argument and can end the process.

    Returns
    -------
    rows : ndarray of int64, shape [m]
        Positions in `digests` of the keys that both have, in the order of the digests: the i-th row of one owner
        belongs to the i-th row of the other. Independent of the order of either table.
    cost : PsiCost

    Raises
    ------
    PeerError
        MPC-0620 if the other owner does not answer.
    ProtocolMismatchError
        MPC-0722 if the two sides do not come to the same keys.
    """
    if len(link.parties) != 2:
        raise ValueError("an intersection needs a link of two parties")
    digests = _checked(digests)
    before = _kernel_bytes_sent()
    with _SANDBOX as folder:
        name = folder / f"{link.rank}-{secrets.token_hex(8)}"
        source, target = Path(f"{name}.in"), Path(f"{name}.out")
        _write(source, digests)
        with link.errors("intersecting keys"):
            libpsi.psi_execute(_config(source, target), link.context)
        found, rows = _read(target, digests)
    order = np.argsort(found)
    rows = rows[order]
    theirs = _compare(exchange, found[order], len(digests))
    if link.kind == "tcp":
        return rows, PsiCost(_ROUNDS, _kernel_bytes_sent() - before)
    return rows, PsiCost(_ROUNDS, psi_bytes(link.rank, len(digests), theirs, len(rows)))


def clear_align(digests: Digests, exchange: Callable[[bytes], bytes]) -> Rows:
    """Do what :func:`align` does by showing each other all digests: for the ``plaintext`` executor only.

    Parameters
    ----------
    digests : ndarray of S32, shape [n]
    exchange : Callable[[bytes], bytes]
        Sends to the other owner and returns what it sent.

    Examples
    --------
    >>> mine = np.array([b"c" * 32, b"a" * 32, b"b" * 32])
    >>> clear_align(mine, lambda _: b"b" * 32 + b"c" * 32)
    array([2, 0])
    """
    digests = _checked(digests)
    received = exchange(digests.tobytes())
    if len(received) % DIGEST_BYTES:
        raise ProtocolMismatchError("the other owner sent no key digests", code="MPC-0722")
    theirs = _checked(np.frombuffer(received, f"S{DIGEST_BYTES}"))
    return np.intersect1d(digests, theirs, return_indices=True)[1].astype(np.int64)


def _checked(digests: Digests) -> Digests:
    out = np.ascontiguousarray(digests)
    if out.ndim != 1 or out.dtype != np.dtype(f"S{DIGEST_BYTES}"):
        raise ValueError(f"key digests must be S{DIGEST_BYTES}[n], not {out.dtype}{list(out.shape)}")
    if out.tobytes().translate(None, b"0123456789abcdef"):
        raise ValueError("key digests must be lower-case hexadecimal")
    return out


def _config(source: Path, target: Path) -> libpsi.PsiExecuteConfig:
    return libpsi.PsiExecuteConfig(
        protocol_conf=libpsi.PsiProtocolConfig(
            protocol=libpsi.PsiProtocol.PROTOCOL_RR22, receiver_rank=0, broadcast_result=True
        ),
        input_params=libpsi.InputParams(path=str(source), selected_keys=["key"], keys_unique=True),
        output_params=libpsi.OutputParams(path=str(target), disable_alignment=True),
    )


def _write(path: Path, digests: Digests) -> None:
    """Write keys and row numbers, and one more key that nobody has: libpsi fails on an empty file."""
    size = len(digests) + 1
    table = np.empty(size, _RECORD)
    table["k"], table["comma"], table["r"], table["end"] = b"k", b",", b"r", b"\n"
    table["key"][:-1] = digests
    table["key"][-1] = secrets.token_hex(DIGEST_BYTES // 2).encode()
    digits = np.arange(size)[:, None] // 10 ** np.arange(9, -1, -1) % 10 + ord("0")
    table["row"] = digits.astype(np.uint8).view("S10")[:, 0]
    with path.open("xb") as file:
        file.write(_HEADER)
        file.write(table.data)


def _read(path: Path, digests: Digests) -> tuple[Digests, Rows]:
    """Return the common keys and their row numbers, in the order of the file."""
    text = path.read_bytes()
    body = text[text.index(b"\n") + 1 :]
    if len(body) % _RECORD.itemsize:
        raise ProtocolMismatchError("the intersection came out in another form than expected", code="MPC-0722")
    table = np.frombuffer(body, _RECORD)
    digits = np.ascontiguousarray(table["row"]).view(np.uint8).reshape(-1, 10).astype(np.int64) - ord("0")
    rows = digits @ 10 ** np.arange(9, -1, -1)
    keep = rows < len(digests)
    rows, keys = rows[keep], table["key"][keep]
    if not np.array_equal(digests[rows], keys):
        raise ProtocolMismatchError("the intersection names rows that it was not given", code="MPC-0722")
    return keys, rows


def _compare(exchange: Callable[[bytes], bytes], keys: Digests, size: int) -> int:
    """Make sure that both owners hold the same keys in the same order; returns the other's number of rows."""
    digest = hashlib.sha256(np.ascontiguousarray(keys).tobytes()).hexdigest()
    other, _, theirs = exchange(f"{digest} {size}".encode()).partition(b" ")
    if other != digest.encode() or not theirs.isdigit() or len(theirs) > 12:
        raise ProtocolMismatchError("the two owners came to different intersections", code="MPC-0722")
    return int(theirs)


def _kernel_bytes_sent() -> int:
    """Bytes sent so far on the TCP sockets that this process has open (``tcpi_bytes_acked``); 0 where unknown."""
    total = 0
    if sys.platform != "linux":
        return total
    for entry in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry))) as held:
                if held.family in (socket.AF_INET, socket.AF_INET6) and held.type == socket.SOCK_STREAM:
                    info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    total += struct.unpack_from("<Q", info, 120)[0] if len(info) >= 128 else 0
        except OSError:
            continue
    return total


class _Sandbox:
    """Where libpsi may leave things, shared by the intersections that run at the same time in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._folder = Path()
        self._temporary: str | None = None
        self._console: tuple[int, int] = (-1, -1)
        self._printed = -1

    def __enter__(self) -> Path:
        with self._lock:
            if self._users == 0:
                self._open()
            self._users += 1
            return self._folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._close()

    def _open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mpc-engine-psi-"))  # mode 0700
        self._temporary = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(self._folder)
        _flush()
        self._console = os.dup(1), os.dup(2)
        self._printed = _scratch()
        os.dup2(self._printed, 1)
        os.dup2(self._printed, 2)

    def _close(self) -> None:
        _flush()
        printed = self._last_words()
        for number, saved in enumerate(self._console, start=1):
            os.dup2(saved, number)
            os.close(saved)
        if self._temporary is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = self._temporary
        os.close(self._printed)
        for name in set(_TRACE.findall(printed)):
            Path(os.fsdecode(name)).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_words(self) -> bytes:
        """Return what was printed; a thread of libpsi says good-bye a moment after the intersection has returned."""
        for _ in range(100):
            printed = os.pread(self._printed, os.fstat(self._printed).st_size, 0)
            if printed.count(b"Configured tracing session") <= len(_ENDED.findall(printed)):
                break
            time.sleep(0.005)
        return printed


_SANDBOX = _Sandbox()


def _scratch() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("psi-console", os.MFD_CLOEXEC)
    file, name = tempfile.mkstemp(prefix="mpc-engine-console-")
    os.unlink(name)
    return file


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
