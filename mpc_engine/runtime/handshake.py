"""How the TCP connections of one run are made: one for each pair of parties, both ends knowing who the other is.

Of two parties the later in the list connects. With TLS the connection is encrypted first, and the pinned certificates
say who is at its ends. Then both prove knowledge of a run-wide 32-byte token (HMAC-SHA-256 over both nonces, both names
and the list of parties) before either accepts a frame, so that strangers, and connections of another run, are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from mpc_engine.errors import PeerError
from mpc_engine.runtime.faults import peer_error
from mpc_engine.runtime.tls import TlsContexts, TlsLink, TlsRefusal

__all__ = ["MAGIC", "TOKEN_BYTES", "Address", "Wire", "connect_all", "dial", "new_token"]

Address = tuple[str, int]
Wire = socket.socket | TlsLink

MAGIC = b"MPCCHN02"
TOKEN_BYTES = 32
_HANDSHAKE_SECONDS = 5.0
_MAX_STRANGERS = 32
_LINGER_SECONDS = 0.5
_TLS_HELLO, _TLS_ALERT = b"\x16\x03", b"\x15\x03"


def new_token() -> bytes:
    """Return a fresh run token: 32 bytes of the system's generator."""
    return secrets.token_bytes(TOKEN_BYTES)


def connect_all(
    me: str,
    server: socket.socket,
    *,
    addresses: Mapping[str, Address],
    token: bytes,
    timeout: float,
    tls: TlsContexts | None = None,
) -> dict[str, Wire]:
    """Return one authenticated connection for each peer: dial the earlier ones, let the later ones in.

    Parameters
    ----------
    me : str
    server : socket
        Listening, this party's own.
    addresses : Mapping[str, tuple[str, int]]
        Of all parties, in the same order everywhere.
    token : bytes
    timeout : float
        Seconds for everything.
    tls : TlsContexts, optional
        Encrypts; without it connections are plain.

    Raises
    ------
    PeerError
        MPC-0603 if a peer cannot be reached, proves no knowledge of the token or does not connect in time; MPC-0607 if
        no encrypted connection with a peer comes about.
    """
    if len(token) != TOKEN_BYTES:
        raise ValueError(f"a run token has {TOKEN_BYTES} bytes")
    parties = tuple(addresses)
    rank = parties.index(me)
    deadline = time.monotonic() + timeout
    door = _Door(me, parties, token, expected=set(parties[rank + 1 :]), tls=tls)
    guard = threading.Thread(target=door.admit, args=(server, deadline), daemon=True)
    guard.start()
    links: dict[str, Wire] = {}
    try:
        for peer in parties[:rank]:
            links[peer] = dial(me, parties, peer, addresses[peer], token=token, deadline=deadline, tls=tls)
        guard.join()
        return {**links, **door.result()}
    except BaseException:
        door.shut(deadline=0.0)
        guard.join()
        for link in (*links.values(), *door.links.values()):
            link.close()
        raise


def dial(
    me: str,
    parties: tuple[str, ...],
    peer: str,
    address: Address,
    *,
    token: bytes,
    deadline: float,
    tls: TlsContexts | None = None,
) -> Wire:
    """Connect to an earlier party; it proves itself first, since it cannot know who calls."""
    link: Wire | None = None
    try:
        link = socket.create_connection(address, timeout=max(0.01, deadline - time.monotonic()))
        if tls is not None:
            link = tls.connect(link, peer=peer, deadline=deadline)
        _prove(link, parties, (me, peer), token, deadline)
        return link
    except BaseException as error:
        if link is not None:
            link.close()
        if isinstance(error, TlsRefusal):
            raise _refused(peer, str(error), code="MPC-0607") from None
        if isinstance(error, TimeoutError):
            raise _refused(peer, "it did not take part in the handshake in time") from None
        if isinstance(error, EOFError | OSError):
            raise _refused(peer, "the connection was refused or closed") from None
        if isinstance(error, ValueError):
            raise _refused(peer, str(error)) from None
        raise


def _prove(link: Wire, parties: tuple[str, ...], names: tuple[str, str], token: bytes, deadline: float) -> None:
    """Take the caller's part in the proof of the token; `names` are the caller's and the other's."""
    refused = "it does not know the token of this run: another program may have taken its port"
    nonce = secrets.token_bytes(32)
    name = names[0].encode()
    link.sendall(MAGIC + nonce + bytes([len(name)]) + name)
    answer = _receive(link, len(MAGIC), deadline)
    if answer.startswith(_TLS_ALERT):
        raise TlsRefusal("it speaks TLS, this party does not")
    answer += _receive(link, 64, deadline)
    nonces = nonce + answer[len(MAGIC) : -32]
    if not hmac.compare_digest(answer[-32:], _proof(token, b"server", parties, names, nonces)):
        raise ValueError(refused)
    link.sendall(_proof(token, b"client", parties, names, nonces))
    if _receive(link, 1, deadline) != b"\x01":
        raise ValueError(refused)


def _proof(token: bytes, role: bytes, parties: tuple[str, ...], names: tuple[str, str], nonces: bytes) -> bytes:
    """Return the MAC over everything that both ends must agree on; lengths keep the fields apart."""
    fields = [MAGIC, role, nonces, *(name.encode() for name in (*names, *parties))]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in fields)
    return hmac.digest(token, message, hashlib.sha256)


def _receive(link: Wire, size: int, deadline: float) -> bytes:
    """Return exactly `size` bytes, fewer only if they are an alert of TLS; raises EOFError at the end."""
    data = b""
    while len(data) < size:
        link.settimeout(max(0.01, deadline - time.monotonic()))
        if not (chunk := link.recv(size - len(data))):
            if data.startswith(_TLS_ALERT):
                break
            raise EOFError
        data += chunk
    return data


def _refused(peer: str, why: str, *, code: str = "MPC-0603") -> PeerError:
    return peer_error(peer, f"no connection to party '{peer}': {why}", code=code)


class _Door:
    """Lets the expected parties in and turns everyone else away."""

    def __init__(
        self, me: str, parties: tuple[str, ...], token: bytes, *, expected: set[str], tls: TlsContexts | None
    ) -> None:
        self._me, self._parties, self._token, self._expected, self._tls = me, parties, token, expected, tls
        self._lock = threading.Lock()
        self._places = threading.Semaphore(_MAX_STRANGERS)
        self._deadline = 0.0
        self._turned_away: list[str] = []
        self.links: dict[str, Wire] = {}

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

    def result(self) -> dict[str, Wire]:
        """Return the connections, or raise for the first party that is missing."""
        missing = [party for party in self._parties if party in self._expected and party not in self.links]
        if missing:
            why = "it did not connect in time"
            if self._turned_away:
                why += f" ({len(self._turned_away)} turned away, the last because {self._turned_away[-1]})"
            raise _refused(missing[0], why)
        return self.links

    def _greet(self, caller: socket.socket) -> None:
        """Let a caller in or turn it away; runs in its own thread."""
        deadline = time.monotonic() + _HANDSHAKE_SECONDS
        link: Wire = caller
        try:
            holder = ""
            if self._tls is not None:
                holder, link = self._tls.accept(caller, deadline=deadline)
            name = self._check(link, holder, deadline)
            with self._lock:
                if name in self.links or time.monotonic() > self._deadline:
                    raise ValueError("it came twice, or too late")
                link.sendall(b"\x01")
                self.links[name] = link
        except (OSError, EOFError, ValueError) as error:
            self._turned_away.append(str(error) if isinstance(error, ValueError) else "it did not prove itself in time")
            _turn_away(caller)
        finally:
            self._places.release()

    def _check(self, link: Wire, holder: str, deadline: float) -> str:
        """Return the name of a caller that has proved to know the token; with TLS it must be the certificate's."""
        hello = _receive(link, len(MAGIC) + 33, deadline)
        if not hello.startswith(MAGIC):
            raise ValueError("it speaks TLS" if hello.startswith(_TLS_HELLO) else "it speaks another protocol")
        name = str(_receive(link, hello[-1], deadline), "utf-8")
        if name not in self._expected or holder not in ("", name):
            raise ValueError("it gave a name that is not expected")
        nonce = secrets.token_bytes(32)
        nonces = hello[len(MAGIC) : -1] + nonce
        names = (name, self._me)
        link.sendall(MAGIC + nonce + _proof(self._token, b"server", self._parties, names, nonces))
        proof = _receive(link, 32, deadline)
        if not hmac.compare_digest(proof, _proof(self._token, b"client", self._parties, names, nonces)):
            raise ValueError("it does not know the token of this run")
        return name


def _turn_away(link: socket.socket) -> None:
    """Close a connection so that the last words arrive: closing with unread bytes would recall them."""
    deadline = time.monotonic() + _LINGER_SECONDS
    with link, suppress(OSError):
        link.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            link.settimeout(left)
            if not link.recv(1 << 16):
                break
