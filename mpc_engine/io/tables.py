"""Released rows as Arrow IPC bytes, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mpc_engine.errors import ProtocolMismatchError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_ipc", "in_pieces", "to_ipc"]


def to_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def in_pieces(data: bytes, rows: int) -> Iterator[bytes]:
    """An Arrow IPC stream as several of so many rows each; at least one."""
    table = from_ipc(data)
    for start in range(0, max(table.num_rows, 1), rows):
        yield to_ipc(table.slice(start, rows))


def from_ipc(data: bytes) -> pa.Table:
    """The table of an Arrow IPC stream.

    Raises
    ------
    ProtocolMismatchError
        When the bytes are malformed.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(data) as reader:
            return reader.read_all()
    except pa.ArrowException as error:
        raise ProtocolMismatchError(f"malformed table: {type(error).__name__}", code="MPC-0703") from error
