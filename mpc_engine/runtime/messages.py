"""What crosses between the driver and the parties, and between parties: typed, bounded, never code."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from mpc_compiler.options import Options
from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.io.source import TableRef

__all__ = [
    "Fetch",
    "Measured",
    "OutputWire",
    "PartySetup",
    "Pledge",
    "Report",
    "RunRequest",
    "TableOut",
    "decode",
    "encode",
]

T = TypeVar("T")


class PartySetup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a party is told when its process starts: who takes part, and references to its own tables."""

    parties: tuple[str, ...]
    computing: tuple[str, ...]
    protocol: str
    tables: tuple[TableRef, ...]
    timeout: float
    tls: bool = False
    """Whether messages between processes are encrypted."""


class RunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: plan bytes and options; every party compiles for itself."""

    run: str
    plan: bytes
    options: Options


class Fetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for one piece of a result of ``run``, which the party then forgets; no ``piece``: forget all others."""

    run: str
    piece: str


class Pledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Digests that must be equal at all parties before the first message of a run."""

    plan: str
    options: str
    stages: str
    runtime: str
    versions: str

    def difference(self, other: Pledge) -> str:
        """The names of the parts that differ."""
        return ", ".join(n for n in self.__struct_fields__ if getattr(self, n) != getattr(other, n))


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one step took at one party."""

    what: str
    engine: str
    seconds: float
    rounds: int
    bytes_sent: int


class OutputWire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One computing party's share of one released array."""

    relation: str
    column: str
    valid: bool
    dtype: str
    shape: tuple[int, ...]
    wire: bytes
    word: int = 0


class TableOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that an owner releases in the clear, as Arrow IPC."""

    output: str
    arrow: bytes


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's answer to a run: its shares of the results, and what the steps took."""

    wires: tuple[OutputWire, ...]
    tables: tuple[TableOut, ...]
    steps: tuple[Measured, ...]
    partition: str
    peak_rss: int


for _kind in (PartySetup, RunRequest, Fetch, Pledge, Report):
    # msgspec completes its types at first use, which must not happen in two threads at once (it crashes).
    msgspec.msgpack.Decoder(_kind)


def encode(message: msgspec.Struct) -> bytes:
    """Canonical bytes of a message."""
    return msgspec.msgpack.encode(message, order="deterministic")


def decode(data: bytes, kind: type[T]) -> T:
    """A message of that kind, or a ProtocolMismatchError."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolMismatchError(f"malformed {kind.__name__}: {error}", code="MPC-0703") from error
