"""Released rows as Arrow IPC bytes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_engine.errors import ProtocolMismatchError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_ipc", "to_ipc"]


def to_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


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
