"""Channels over TCP: one full-duplex connection for each pair of parties.

Every party listens on a port that the system chose and that stays open; of two parties the later in the list
connects. Both prove knowledge of a run-wide 32-byte token (HMAC-SHA-256 over both nonces, both names and the list
of parties) before either accepts a frame, so that another process of the machine is refused. The token keeps
strangers out; it does not encrypt: between machines this channel belongs inside TLS.

A frame is ``kind u8, tag length u16, depth u32, payload length u64`` (big endian), the tag, the payload. Lengths are
checked before anything is allocated. One thread for each peer empties its connection at all times, so two parties
that send large messages to each other at once cannot block one another.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO, cast

from mpc_engine.errors import PeerError
from mpc_engine.runtime.channel import (
    DEFAULT_TIMEOUT,
    MAX_TAG_BYTES,
    Channel,
    Counters,
    Mailbox,
    Traffic,
    closed_here,
    left,
    report_of,
    timed_out,
)
from mpc_engine.runtime.faults import MAX_ERROR_BYTES, decode_error, encode_error, peer_error

__all__ = ["Address", "Listener", "TcpChannel", "new_token"]

Address = tuple[str, int]

MAGIC = b"MPCCHN01"
TOKEN_BYTES = 32
MAX_FRAME = 1 << 30
MAX_BACKLOG = 4 << 30
_HANDSHAKE_SECONDS = 5.0
_MAX_STRANGERS = 32
_SMALL = 1 << 16
_HEADER = struct.Struct("!BHIQ")
_DATA, _BYE = 0, 1


def new_token() -> bytes:
    """Return a fresh run token: 32 bytes of the system's generator."""
    return secrets.token_bytes(TOKEN_BYTES)


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

    Raises
    ------
    PeerError
        MPC-0603 if a peer cannot be reached, proves no knowledge of the token or does not connect in time.
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
    ) -> None:
        super().__init__(me, tuple(addresses), timeout=timeout)
        self._max_frame = max_frame
        self._box = Mailbox()
        self._counters = Counters(self.peers)
        self._closed = False
        self._links = _connect_all(self.me, self.parties, listener, addresses, token, timeout)
        self._locks = {peer: threading.Lock() for peer in self.peers}
        for peer, link in self._links.items():
            _bound_sends(link, timeout)
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
            with self._locks[to]:
                _send_frame(self._links[to], _DATA, tag, stamp, content)
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
        stamp, payload = self._box.take(frm, tag, self.timeout if timeout is None else timeout)
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

    def _end(self, last_words: bytes) -> None:
        if self._closed:
            return
        self._closed = True
        for peer, link in self._links.items():
            # The reader goes on until the peer has closed too: closing with unread bytes would reset the
            # connection, and the peer would lose what it has not read yet.
            if self._locks[peer].acquire(timeout=0.5):
                with suppress(OSError):
                    link.send(_HEADER.pack(_BYE, 0, 0, len(last_words)) + last_words, socket.MSG_DONTWAIT)
                self._locks[peer].release()
            with suppress(OSError):
                link.shutdown(socket.SHUT_WR)
        self._box.fail(closed_here(self.me))

    def _read(self, peer: str, link: socket.socket) -> None:
        """Empty the connection to `peer` until its end; runs in its own thread."""
        with link, cast(BinaryIO, link.makefile("rb", buffering=_SMALL)) as stream:
            try:
                while self._read_frame(peer, stream):
                    pass
            except (OSError, EOFError):
                self._box.fail(_lost(peer))
            except (ValueError, MemoryError) as error:
                self._box.fail(peer_error(peer, f"party '{peer}' broke the protocol: {error}", code="MPC-0604"))

    def _read_frame(self, peer: str, stream: BinaryIO) -> bool:
        """Take one frame; return whether another may follow."""
        kind, tag_size, stamp, size = _HEADER.unpack(_exactly(stream, _HEADER.size))
        limit = MAX_ERROR_BYTES if kind == _BYE else self._max_frame
        if kind not in (_DATA, _BYE) or size > limit or tag_size > MAX_TAG_BYTES:
            raise ValueError(f"a frame of kind {kind} and {size} bytes is not allowed")
        tag = str(_exactly(stream, tag_size), "utf-8")
        payload = _exactly(stream, size)
        if kind == _BYE:
            if payload:
                self._box.fail(_as_peer_error(peer, payload))
            else:
                self._box.leave(peer, left(peer))
            return False
        if not self._closed and self._box.put(peer, tag, stamp, payload) > MAX_BACKLOG:
            raise ValueError(f"more than {MAX_BACKLOG} bytes wait to be asked for")
        return True


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


def _send_frame(link: socket.socket, kind: int, tag: str, stamp: int, content: memoryview) -> None:
    name = tag.encode()
    head = _HEADER.pack(kind, len(name), stamp, content.nbytes) + name
    if content.nbytes <= _SMALL:
        link.sendall(head + content)
    else:
        link.sendall(head, socket.MSG_MORE)
        link.sendall(content)


def _bound_sends(link: socket.socket, timeout: float) -> None:
    """Let one system call of a blocking send take at most `timeout` seconds; reads wait for the reader's end."""
    link.setblocking(True)
    seconds = int(timeout)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, int((timeout - seconds) * 1e6)))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connect_all(
    me: str,
    parties: tuple[str, ...],
    listener: Listener,
    addresses: Mapping[str, Address],
    token: bytes,
    timeout: float,
) -> dict[str, socket.socket]:
    """Return one authenticated connection for each peer: dial the earlier ones, let the later ones in."""
    if len(token) != TOKEN_BYTES:
        raise ValueError(f"a run token has {TOKEN_BYTES} bytes")
    rank = parties.index(me)
    deadline = time.monotonic() + timeout
    door = _Door(me, parties, token, expected=set(parties[rank + 1 :]))
    guard = threading.Thread(target=door.admit, args=(listener.socket, deadline), daemon=True)
    guard.start()
    links: dict[str, socket.socket] = {}
    try:
        for peer in parties[:rank]:
            links[peer] = _dial(me, parties, peer, addresses[peer], token, deadline)
        guard.join()
        return {**links, **door.result()}
    except BaseException:
        door.shut(deadline=0.0)
        guard.join()
        for link in (*links.values(), *door.links.values()):
            link.close()
        raise


def _proof(token: bytes, role: bytes, parties: tuple[str, ...], names: tuple[str, str], nonces: bytes) -> bytes:
    """Return the MAC over everything that both ends must agree on; lengths keep the fields apart."""
    fields = [MAGIC, role, nonces, *(name.encode() for name in (*names, *parties))]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in fields)
    return hmac.digest(token, message, hashlib.sha256)


def _receive(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = link.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


def _dial(
    me: str, parties: tuple[str, ...], peer: str, address: Address, token: bytes, deadline: float
) -> socket.socket:
    """Connect to an earlier party; it proves itself first, since it cannot know who calls."""
    refused = "it does not know the token of this run: another program may have taken its port"
    link: socket.socket | None = None
    try:
        link = socket.create_connection(address, timeout=max(0.01, deadline - time.monotonic()))
        link.settimeout(max(0.01, deadline - time.monotonic()))
        nonce = secrets.token_bytes(32)
        name = me.encode()
        link.sendall(MAGIC + nonce + bytes([len(name)]) + name)
        answer = _receive(link, len(MAGIC) + 64)
        nonces = nonce + answer[len(MAGIC) : -32]
        if not hmac.compare_digest(answer[-32:], _proof(token, b"server", parties, (me, peer), nonces)):
            raise _refused(peer, refused)
        link.sendall(_proof(token, b"client", parties, (me, peer), nonces))
        if _receive(link, 1) != b"\x01":
            raise _refused(peer, refused)
        return link
    except BaseException as error:
        if link is not None:
            link.close()
        if isinstance(error, TimeoutError):
            raise _refused(peer, "it did not take part in the handshake in time") from None
        if isinstance(error, OSError | EOFError):
            raise _refused(peer, "the connection was refused or closed") from None
        raise


def _refused(peer: str, why: str) -> PeerError:
    return peer_error(peer, f"no connection to party '{peer}': {why}", code="MPC-0603")


class _Door:
    """Lets the expected parties in and turns everyone else away."""

    def __init__(self, me: str, parties: tuple[str, ...], token: bytes, *, expected: set[str]) -> None:
        self._me, self._parties, self._token, self._expected = me, parties, token, expected
        self._lock = threading.Lock()
        self._places = threading.Semaphore(_MAX_STRANGERS)
        self._deadline = 0.0
        self._strangers = 0
        self.links: dict[str, socket.socket] = {}

    def shut(self, *, deadline: float) -> None:
        """Admit nobody after `deadline` (monotonic seconds)."""
        self._deadline = deadline

    def admit(self, server: socket.socket, deadline: float) -> None:
        """Accept until everyone expected is in or the deadline has passed."""
        self._deadline = deadline
        server.settimeout(0.05)
        while len(self.links) < len(self._expected) and time.monotonic() < self._deadline:
            with suppress(OSError):
                link, _ = server.accept()
                if self._places.acquire(blocking=False):
                    threading.Thread(target=self._greet, args=(link,), daemon=True).start()
                else:
                    link.close()

    def result(self) -> dict[str, socket.socket]:
        """Return the connections, or raise for the first party that is missing."""
        missing = [party for party in self._parties if party in self._expected and party not in self.links]
        if missing:
            turned_away = f" ({self._strangers} without the token of this run turned away)" if self._strangers else ""
            raise _refused(missing[0], f"it did not connect in time{turned_away}")
        return self.links

    def _greet(self, link: socket.socket) -> None:
        link.settimeout(_HANDSHAKE_SECONDS)
        try:
            name = self._check(link)
            with self._lock:
                if name in self.links or time.monotonic() > self._deadline:
                    raise ValueError("already connected, or too late")
                link.sendall(b"\x01")
                self.links[name] = link
        except (OSError, EOFError, ValueError):
            self._strangers += 1
            link.close()
        finally:
            self._places.release()

    def _check(self, link: socket.socket) -> str:
        """Return the name of a caller that has proved to know the token."""
        hello = _receive(link, len(MAGIC) + 33)
        if not hello.startswith(MAGIC):
            raise ValueError("not our protocol")
        name = str(_receive(link, hello[-1]), "utf-8")
        if name not in self._expected:
            raise ValueError("not expected")
        nonce = secrets.token_bytes(32)
        nonces = hello[len(MAGIC) : -1] + nonce
        names = (name, self._me)
        link.sendall(MAGIC + nonce + _proof(self._token, b"server", self._parties, names, nonces))
        if not hmac.compare_digest(_receive(link, 32), _proof(self._token, b"client", self._parties, names, nonces)):
            raise ValueError("wrong token")
        return name
