"""Frames of a TCP channel, and the part of a connection that puts them together from what has arrived.

A frame is ``kind u8, tag length u16, depth u32, payload length u64`` (big endian), the tag, the payload. Lengths are
checked before anything is allocated. Small frames come several at a time out of one system call; a large payload is
received straight into the object that its reader gets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from mpc_engine.runtime.channel import MAX_TAG_BYTES
from mpc_engine.runtime.faults import MAX_ERROR_BYTES
from mpc_engine.runtime.handshake import Wire

__all__ = ["ASK", "BYE", "DATA", "SMALL", "WAITS", "Frame", "Incoming", "head_of"]

SMALL = 1 << 16
"""Bytes of a payload that travels in one piece with its head."""
DATA, BYE, ASK, WAITS = range(4)
_AT_ONCE = int(socket.MSG_DONTWAIT)
_HEADER = struct.Struct("!BHIQ")


class Frame(NamedTuple):
    """One message, or a word about the connection."""

    kind: int
    tag: str
    stamp: int
    payload: bytes | bytearray


def head_of(kind: int, tag: str, stamp: int, size: int) -> bytes:
    """What precedes a payload of so many bytes."""
    name = tag.encode()
    return _HEADER.pack(kind, len(name), stamp, size) + name


class Incoming:
    """What arrives on a connection; for one thread at a time, which never waits.

    Parameters
    ----------
    link : socket or TlsLink
    max_frame : int
        Largest payload of a message that is accepted, in bytes.
    """

    def __init__(self, link: Wire, max_frame: int) -> None:
        self.link = link
        self._limits = {DATA: max_frame, BYE: MAX_ERROR_BYTES, ASK: 0, WAITS: 0}
        self._buffer = memoryview(bytearray(_HEADER.size + MAX_TAG_BYTES + SMALL))
        self._held = 0
        self._large: tuple[Frame, int] | None = None  # under way, and how many bytes of it are there

    def frames(self) -> Iterator[Frame]:
        """Every frame that is complete by now.

        Raises
        ------
        EOFError
            At the end of the connection.
        OSError
            When it is broken.
        ValueError
            For a frame that is not allowed.
        """
        more = True
        while more:
            space = self._space()
            try:
                count = self.link.recv_into(space, 0, _AT_ONCE)
            except BlockingIOError:
                return
            if not count:
                raise EOFError
            more = count == len(space)  # else there is no more by now
            yield from self._taken(count)

    def _space(self) -> memoryview:
        if self._large is None:
            return self._buffer[self._held :]
        frame, there = self._large
        return memoryview(frame.payload)[there:]

    def _taken(self, count: int) -> Iterator[Frame]:
        """The frames that so many more bytes complete."""
        if self._large is not None:
            frame, there = self._large
            self._large = frame, there + count
            if there + count == len(frame.payload):
                self._large = None
                yield frame
            return
        self._held += count
        start = 0
        while self._large is None and (found := self._first(start)) is not None:
            frame, start = found
            if self._large is None:
                yield frame
        if start < self._held:
            self._buffer[: self._held - start] = bytes(self._buffer[start : self._held])
        self._held -= start

    def _first(self, start: int) -> tuple[Frame, int] | None:
        """The frame that begins there, and where it ends; None before all of it is there, unless it is a large one."""
        body = start + _HEADER.size
        if body > self._held:
            return None
        kind, tag_size, stamp, size = _HEADER.unpack_from(self._buffer, start)
        if size > self._limits.get(kind, -1) or tag_size > MAX_TAG_BYTES:
            raise ValueError(f"a frame of kind {kind} and {size} bytes is not allowed")
        content = body + tag_size
        if content > self._held or (size <= SMALL and content + size > self._held):
            return None
        tag = str(self._buffer[body:content], "utf-8")
        if content + size <= self._held:
            return Frame(kind, tag, stamp, bytes(self._buffer[content : content + size])), content + size
        frame, there = Frame(kind, tag, stamp, bytearray(size)), self._held - content
        memoryview(frame.payload)[:there] = self._buffer[content : self._held]
        self._large = frame, there
        return frame, self._held
