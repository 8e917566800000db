"""What runs inside a party's process: an object of a fixed kind, called by listed methods, with bytes in and out.

Free of ray, so that it can be tested without it. Nothing that arrives is unpickled, evaluated or imported, and no
exception leaves as an object: the first byte of an answer tells a result from an encoded error.
"""

from __future__ import annotations

import os
import tempfile
import threading
import traceback
from typing import ClassVar, Literal, Protocol

from mpc_engine.errors import MpcError
from mpc_engine.io.memory import keep_freed_memory
from mpc_engine.runtime.faults import decode_error, encode_error, typed
from mpc_engine.runtime.procs import ProcessId

__all__ = ["ERROR", "OK", "Kind", "PartyHost", "Probe"]

Kind = Literal["party", "probe"]
OK, ERROR = b"\x00", b"\x01"


class Hosted(Protocol):
    """An object that a party's process can host."""

    REMOTE: ClassVar[frozenset[str]]


class Probe:
    """A tiny object to host instead of a party: tests use it, and ``mpc-engine doctor``."""

    REMOTE: ClassVar[frozenset[str]] = frozenset({"echo", "sleep", "fail", "import_stack"})

    def __init__(self, name: str, setup: bytes) -> None:
        self.name = name
        self.setup = setup

    def echo(self, payload: bytes) -> bytes:
        """Return name, set-up and payload."""
        return b" ".join((self.name.encode(), self.setup, payload))

    def sleep(self, payload: bytes) -> bytes:
        """Wait for the given number of milliseconds."""
        threading.Event().wait(int(payload) / 1000)
        return b"awake"

    def fail(self, payload: bytes) -> bytes:
        """Raise the error in the payload, or one that is not ours if it is empty."""
        if payload:
            raise decode_error(payload)
        raise ValueError("a private value")

    def import_stack(self, payload: bytes) -> bytes:
        """Import what a party imports, and return the process's resident bytes."""
        import jax  # noqa: F401 - the import is the point

        return str(ProcessId.of(os.getpid()).memory()).encode()


class PartyHost:
    """The actor: one process that hosts one party and answers ``ping`` while it works.

    Parameters
    ----------
    kind : {"party", "probe"}
        What to host; nothing else can be named.
    name : str
    setup : bytes
        Handed to the hosted object, which decodes it itself.
    folder : str
        Private folder for temporary files (libpsi writes joined rows to one).
    threads : int
        Threads of numerical libraries in this process.
    """

    def __init__(self, kind: Kind, name: str, setup: bytes, folder: str, threads: int) -> None:
        self._name = name
        self._hosted: Hosted | None = None
        self._failed = b""
        _limit_threads(threads)
        keep_freed_memory()
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = folder
        try:
            self._hosted = _hosted(kind, name, setup)
        except Exception as error:
            # Raising here would cross as a pickled exception; the first call tells it as bytes instead.
            self._failed = _error_bytes(error, name)

    def pid(self) -> int:
        """Return the process id."""
        return os.getpid()

    def ready(self) -> bytes:
        """Return OK, or the error that the hosted object was built with."""
        return self._failed or OK

    def ping(self) -> bytes:
        """Return OK."""
        return OK

    def call(self, method: str, payload: bytes) -> bytes:
        """Call an allowed method of the hosted object; the first byte of the answer tells result from error."""
        if self._failed:
            return self._failed
        try:
            if method not in type(self._hosted).REMOTE:  # type: ignore[union-attr]
                raise MpcError(f"'{method}' is not a method that a party offers", code="MPC-0615")
            return OK + bytes(getattr(self._hosted, method)(payload))
        except Exception as error:
            return _error_bytes(error, self._name)


def _hosted(kind: Kind, name: str, setup: bytes) -> Hosted:
    if kind == "probe":
        return Probe(name, setup)
    if kind == "party":
        from mpc_engine.runtime.party import Party

        return Party(name, setup)
    raise MpcError(f"'{kind}' is not something that a process can host", code="MPC-0615")


def _limit_threads(threads: int) -> None:
    os.environ["JAX_PLATFORMS"] = "cpu"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def _error_bytes(error: Exception, party: str) -> bytes:
    if not isinstance(error, MpcError):
        traceback.print_exception(error)  # into the log of this process, in the private folder
    return ERROR + encode_error(typed(error, party=party))
