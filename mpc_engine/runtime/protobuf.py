"""Just enough protobuf to read and write the two small messages that shares are made of.

Strict: unknown or repeated fields, other kinds of fields and lengths beyond the end are refused.
"""

from __future__ import annotations

from mpc_engine.errors import ProtocolMismatchError

__all__ = ["fields", "read_varint", "refusal", "varint"]


def refusal(reason: str) -> ProtocolMismatchError:
    """Return the error for a share that must not be used."""
    return ProtocolMismatchError(
        f"a share was refused: {reason}",
        code="MPC-0720",
        hint="all parties must run the same plan and the same version of the engine",
    )


def varint(value: int) -> bytes:
    """Write a number.

    Examples
    --------
    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at position `at` and the position after it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise refusal("a number in its header is cut off or too long")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data: bytes | memoryview, numbers: set[int], blobs: set[int]) -> dict[int, int | memoryview]:
    """Split a protobuf message; only the given fields, each at most once and of the right kind, are let through.

    Parameters
    ----------
    data : bytes-like
    numbers, blobs : set[int]
        Field numbers that may occur as a number, and as bytes.

    Raises
    ------
    ProtocolMismatchError
        MPC-0720.

    Examples
    --------
    >>> bytes(fields(bytes.fromhex("1a026869"), set(), {3})[3])
    b'hi'
    """
    view = memoryview(data)
    found: dict[int, int | memoryview] = {}
    at = 0
    while at < len(view):
        tag, at = read_varint(view, at)
        number, kind = tag >> 3, tag & 7
        if number in found or kind not in (0, 2) or number not in (numbers if kind == 0 else blobs):
            raise refusal("its header has an unknown or repeated field")
        value, at = read_varint(view, at)
        if kind == 0:
            found[number] = value
            continue
        if value > len(view) - at:
            raise refusal("its header promises more bytes than there are")
        found[number] = view[at : at + value]
        at += value
    return found
