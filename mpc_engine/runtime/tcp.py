"""Channels over TCP, plain or inside TLS 1.3: one full-duplex connection for each pair of parties.

Every party listens on a port that the system chose and that stays open; :mod:`mpc_engine.runtime.handshake` tells how
the connections are made and strangers kept out, :mod:`mpc_engine.runtime.tls` how they are encrypted. A plain channel
is for the processes of one machine; between machines it has to be TLS.

A frame is ``kind u8, tag length u16, depth u32, payload length u64`` (big endian), the tag, the payload. Lengths are
checked before anything is allocated. One thread for each peer empties its connection at all times, so two parties
that send large messages to each other at once cannot block one another. Large payloads are sent straight out of the
caller's memory and received straight into the object that :meth:`TcpChannel.recv` returns.

A party that has waited in vain asks the silent one whom that has been waiting for, so that the right one is blamed.
These frames carry no payload and are not counted.
"""

from __future__ import annotations

import io
import select
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from mpc_engine.errors import PeerError
from mpc_engine.runtime.channel import (
    DEFAULT_TIMEOUT,
    MAX_TAG_BYTES,
    Channel,
    Counters,
    Traffic,
    closed_here,
    left,
    not_sent,
    report_of,
    timed_out,
)
from mpc_engine.runtime.faults import MAX_ERROR_BYTES, decode_error, encode_error, peer_error
from mpc_engine.runtime.handshake import Address, Wire, connect_all, new_token
from mpc_engine.runtime.mailbox import Mailbox
from mpc_engine.runtime.tls import TlsLink, TlsSettings

__all__ = ["Address", "Listener", "TcpChannel", "new_token"]

MAX_FRAME = 1 << 30
MAX_BACKLOG = 4 << 30
_SMALL = 1 << 16
_HEADER = struct.Struct("!BHIQ")
_DATA, _BYE, _ASK, _WAITS = range(4)
_AT_ONCE, _MORE = int(socket.MSG_DONTWAIT), int(socket.MSG_MORE)


class Listener:
    """A listening socket on a port that the system chose; kept open, so that nobody can take the port.

    Attributes
    ----------
    address : tuple[str, int]
        Host and port to hand to the other parties.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_server((host, 0), backlog=64)
        name = self.socket.getsockname()
        self.address: Address = (name[0], name[1])

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


class TcpChannel(Channel):
    """A channel between processes, see the module.

    Parameters
    ----------
    me : str
    listener : Listener
        This party's own; it stays open and can serve later channels.
    addresses : Mapping[str, tuple[str, int]]
        Listeners of all parties, this one included, in the same order everywhere.
    token : bytes
        The run's 32 bytes, the same everywhere.
    timeout : float
        Seconds that a wait may take, the one for all connections included.
    max_frame : int
        Largest payload accepted, in bytes.
    tls : TlsSettings, optional
        Encrypt every connection, with the pinned certificates of all peers. All parties or none.

    Raises
    ------
    PeerError
        MPC-0603 if a peer cannot be reached, proves no knowledge of the token or does not connect in time; MPC-0607 if
        no encrypted connection with a peer comes about.
    """

    def __init__(
        self,
        me: str,
        listener: Listener,
        *,
        addresses: Mapping[str, Address],
        token: bytes,
        timeout: float = DEFAULT_TIMEOUT,
        max_frame: int = MAX_FRAME,
        tls: TlsSettings | None = None,
    ) -> None:
        super().__init__(me, tuple(addresses), timeout=timeout)
        self._max_frame = max_frame
        self._box = Mailbox()
        self._counters = Counters(self.peers)
        self._closed = False
        contexts = None if tls is None else tls.contexts(self.peers)
        self._links = connect_all(me, listener.socket, addresses=addresses, token=token, timeout=timeout, tls=contexts)
        self._locks = {peer: threading.Lock() for peer in self.peers}
        for peer, link in self._links.items():
            _ready(link)
            threading.Thread(target=self._read, args=(peer, link), name=f"mpc-{me}-{peer}", daemon=True).start()

    def send(self, to: str, tag: str, payload: bytes | bytearray | memoryview) -> None:
        """See :meth:`Channel.send`. Returns when the system has taken the last byte."""
        if self._closed:
            raise closed_here(self.me)
        content = memoryview(payload).cast("B")
        if content.nbytes > self._max_frame or len(tag) > MAX_TAG_BYTES:
            raise ValueError(f"message '{tag[:40]}' of {content.nbytes} bytes is over the limit of {self._max_frame}")
        stamp = self._counters.sending(to, content.nbytes)
        try:
            with self._box.waiting(to), self._locks[to]:
                _send_frame(self._links[to], _head(_DATA, tag, stamp, content.nbytes), content, self.timeout)
        except BlockingIOError:
            with suppress(OSError):  # half a frame may be out: nothing can follow it
                self._links[to].shutdown(socket.SHUT_WR)
            raise timed_out(to, f"it took nothing of '{tag}' for {self.timeout:g} s") from None
        except OSError:
            # The reader of that link, or of another, may be about to learn why.
            raise self._box.failure(to, wait=0.2) or _lost(to) from None

    def recv(self, frm: str, tag: str, timeout: float | None = None) -> bytes:
        """See :meth:`Channel.recv`."""
        if self._closed:
            raise closed_here(self.me)
        limit = self.timeout if timeout is None else timeout
        with self._box.waiting(frm):
            if (found := self._box.take(frm, tag, limit)) is None:
                raise self._silence(frm, tag, limit)
        stamp, payload = found
        self._counters.received(frm, len(payload), stamp)
        return payload

    def snapshot(self) -> Traffic:
        """See :meth:`Channel.snapshot`."""
        return self._counters.snapshot()

    def abort(self, error: BaseException) -> None:
        """See :meth:`Channel.abort`."""
        self._end(encode_error(report_of(error, me=self.me)))

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        self._end(b"")

    def _silence(self, frm: str, tag: str, timeout: float) -> PeerError:
        """Return the error of a message that did not come; blames whom `frm` has been waiting for all the time."""
        self._box.hear(frm, wait=0.0)  # nothing older than the question
        self._whisper(frm, _ASK)
        other, seconds = self._box.hear(frm, wait=min(1.0, timeout / 4))
        if other in self.peers and seconds >= timeout / 2:
            return timed_out(other, f"party '{frm}' has been waiting for it for {seconds:.1f} s")
        return not_sent(frm, tag, timeout)

    def _whisper(self, peer: str, kind: int, tag: str = "", stamp: int = 0) -> None:
        """Send a frame without payload if that can be done at once: a reader must never wait to send."""
        if not self._locks[peer].acquire(blocking=False):
            return  # something is being sent: this party does not wait to receive
        link, frame = self._links[peer], _head(kind, tag, stamp, 0)
        try:
            if link.send(frame, _AT_ONCE) < len(frame):
                raise BlockingIOError
        except OSError:
            with suppress(OSError):
                link.shutdown(socket.SHUT_WR)
        finally:
            self._locks[peer].release()

    def _end(self, last_words: bytes) -> None:
        if self._closed:
            return
        self._closed = True
        for peer, link in self._links.items():
            # The reader goes on until the peer has closed too: closing with unread bytes would reset the
            # connection, and the peer would lose what it has not read yet.
            if self._locks[peer].acquire(timeout=0.5):
                with suppress(OSError):
                    link.send(_head(_BYE, "", 0, len(last_words)) + last_words, _AT_ONCE)
                self._locks[peer].release()
            with suppress(OSError):
                link.shutdown(socket.SHUT_WR)
        self._box.fail(closed_here(self.me))

    def _read(self, peer: str, link: Wire) -> None:
        """Empty the connection to `peer` until its end; runs in its own thread."""
        with link:
            stream = cast(BinaryIO, io.BufferedReader(_Incoming(link), _SMALL))
            try:
                while self._read_frame(peer, stream):
                    pass
            except (OSError, EOFError):
                self._box.fail(_lost(peer))
            except (ValueError, MemoryError) as error:
                self._box.fail(peer_error(peer, f"party '{peer}' broke the protocol: {error}", code="MPC-0604"))
            finally:
                with suppress(OSError):  # closing alone would not wake a thread that waits to send
                    link.shutdown(socket.SHUT_RDWR)

    def _read_frame(self, peer: str, stream: BinaryIO) -> bool:
        """Take one frame; return whether another may follow."""
        kind, tag_size, stamp, size = _HEADER.unpack(_exactly(stream, _HEADER.size))
        limits = {_DATA: self._max_frame, _BYE: MAX_ERROR_BYTES, _ASK: 0, _WAITS: 0}
        if size > limits.get(kind, -1) or tag_size > MAX_TAG_BYTES:
            raise ValueError(f"a frame of kind {kind} and {size} bytes is not allowed")
        tag = str(_exactly(stream, tag_size), "utf-8")
        payload = _exactly(stream, size)
        if kind == _DATA:
            if not self._closed and self._box.put(peer, tag, stamp, payload) > MAX_BACKLOG:
                raise ValueError(f"more than {MAX_BACKLOG} bytes wait to be asked for")
        elif kind == _ASK:
            frm, seconds = self._box.longest_wait()
            if frm and not self._closed:
                self._whisper(peer, _WAITS, frm, int(seconds * 1000))
        elif kind == _WAITS:
            self._box.told(peer, tag, stamp / 1000)
        elif payload:
            self._box.fail(_as_peer_error(peer, payload))
        else:
            self._box.leave(peer, left(peer))
        return bool(kind != _BYE)


class _Incoming(io.RawIOBase):
    """What arrives on a connection, for a buffered reader: it fills large payloads in place."""

    def __init__(self, link: Wire) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._link.recv_into(buffer)


def _lost(peer: str) -> PeerError:
    hint = "its process has ended or the network is cut; look at its log"
    return peer_error(peer, f"the connection to party '{peer}' is lost", code="MPC-0602", hint=hint)


def _as_peer_error(peer: str, payload: bytes) -> PeerError:
    error = decode_error(payload)
    return error if isinstance(error, PeerError) else report_of(error, me=peer)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _head(kind: int, tag: str, stamp: int, size: int) -> bytes:
    name = tag.encode()
    return _HEADER.pack(kind, len(name), stamp, size) + name


def _send_frame(link: Wire, head: bytes, content: memoryview, timeout: float) -> None:
    if content.nbytes <= _SMALL:
        _push(link, head + content, timeout)
    else:
        _push(link, head, timeout, more=True)
        _push(link, content, timeout)


def _push(link: Wire, data: bytes | memoryview, timeout: float, *, more: bool = False) -> None:
    """Send everything; raises BlockingIOError if the peer takes nothing for `timeout` seconds."""
    bare, pieces = (link.socket, link.encrypted(data)) if isinstance(link, TlsLink) else (link, [data])
    flags = _AT_ONCE | _MORE if more else _AT_ONCE
    for piece in pieces:
        left = memoryview(piece)
        while left.nbytes:
            try:
                left = left[bare.send(left, flags) :]
            except BlockingIOError:
                if not _writable(bare, timeout):
                    raise


def _writable(bare: socket.socket, timeout: float) -> bool:
    """Wait until a connection takes data again, or is broken: the next call tells."""
    with suppress(ValueError):  # closed by its reader
        waiter = select.poll()
        waiter.register(bare, select.POLLOUT)
        return bool(waiter.poll(timeout * 1000))
    return True


def _ready(link: Wire) -> None:
    """Set a connection up for messages: its reader waits for as long as the peer lives, small frames go at once."""
    bare = link.socket if isinstance(link, TlsLink) else link
    bare.setblocking(True)
    bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
