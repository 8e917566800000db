"""TLS 1.3 for the links between parties: identities, pinned certificates, and an encrypted connection.

A party makes its own key and self-signed certificate (:class:`Identity`), keeps the key, and gives the certificate to
the others by a way that they trust. There is no certificate authority: a connection stands only if each end presents
exactly the certificate that the other has pinned for it (:class:`TlsSettings`). Session tickets, compression and
renegotiation are off, so every connection has keys of its own that are gone with it.

An :class:`ssl.SSLSocket` must not be read and written by two threads at the same time. :class:`TlsLink` therefore lets
OpenSSL work on memory only, under a lock that nobody holds while waiting for the network; the socket itself is written
by one thread and read by another, which is safe.

Python cannot renew the keys of a connection. RFC 8446 (section 5.5) advises to do so after 2^24.5 records, some 360 GiB
in one direction: beyond that, open new channels.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Identity", "TlsContexts", "TlsLink", "TlsRefusal", "TlsSettings", "fingerprint_of"]

_CHUNK = 1 << 18
_RECORD = 1 << 14
_OPTIONS = ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


class TlsRefusal(ValueError):
    """A connection that this party, or its peer, will not have; the text says why."""


def fingerprint_of(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate in DER, in hexadecimal.

    Examples
    --------
    >>> fingerprint_of(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(certificate).hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """A party's private key (ECDSA P-256) and its self-signed certificate.

    Attributes
    ----------
    name : str
    key : EllipticCurvePrivateKey
        Stays with the party; never shown.
    certificate : bytes
        DER, for the peers to pin.

    Examples
    --------
    >>> bank = Identity.create("bank_a")
    >>> bank.fingerprint == fingerprint_of(bank.certificate)
    True
    """

    name: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)

    @classmethod
    def create(cls, name: str, *, days: int = 730) -> Identity:
        """Make a fresh key and a certificate that is good from yesterday, for clocks that differ, until `days` on."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        return cls(name, key, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal: what people compare over the telephone."""
        return fingerprint_of(self.certificate)

    @property
    def pem(self) -> str:
        """The certificate as text; without the key."""
        return ssl.DER_cert_to_PEM_cert(self.certificate)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give key and certificate to `context`.

        OpenSSL takes a key from a file only: this one is readable by its owner only, encrypted under a password that is
        used once, and removed at once.
        """
        password = secrets.token_bytes(32).hex().encode()
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        with tempfile.NamedTemporaryFile(prefix="mpc-") as file:
            file.write(key + self.pem.encode())
            file.flush()
            context.load_cert_chain(file.name, password=password)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Who this party is, and whom it talks to.

    Attributes
    ----------
    identity : Identity
    certificates : Mapping[str, bytes]
        The pinned certificate of every peer, in DER; others may be in it.
    """

    identity: Identity
    certificates: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if len(set(self.certificates.values())) != len(self.certificates):
            raise ValueError("two parties cannot have the same certificate")

    def contexts(self, peers: tuple[str, ...]) -> TlsContexts:
        """Return what connections with `peers` are made of."""
        missing = [peer for peer in peers if peer not in self.certificates]
        if missing:
            raise ValueError(f"no certificate is pinned for party '{missing[0]}'")
        pins = {peer: self.certificates[peer] for peer in peers}
        server = self._context(ssl.PROTOCOL_TLS_SERVER, pins)
        server.num_tickets = 0
        return TlsContexts(pins, server, self._context(ssl.PROTOCOL_TLS_CLIENT, pins))

    def _context(self, role: int, pins: Mapping[str, bytes]) -> ssl.SSLContext:
        context = ssl.SSLContext(role)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
        context.options |= _OPTIONS
        context.check_hostname = False  # the name is in the pin, see TlsContexts.connect
        context.verify_mode = ssl.CERT_REQUIRED
        for certificate in pins.values():
            context.load_verify_locations(cadata=certificate)
        self.identity.load_into(context)
        return context


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """Makes encrypted connections between pinned parties; see :meth:`TlsSettings.contexts`."""

    pins: Mapping[str, bytes]
    server: ssl.SSLContext
    client: ssl.SSLContext

    def connect(self, link: socket.socket, *, peer: str, deadline: float) -> TlsLink:
        """Return `link`, which this party opened, as an encrypted connection with `peer` and nobody else.

        Raises
        ------
        TlsRefusal
            If the other end is not `peer`, has no TLS 1.3, or refuses this party.
        """
        made = TlsLink(link, self.client, server_side=False)
        made.shake_hands(deadline)
        if (name := self._holder(made)) != peer:
            raise TlsRefusal(f"it showed the certificate of {name or 'a stranger'}")
        return made

    def accept(self, link: socket.socket, *, deadline: float) -> tuple[str, TlsLink]:
        """Return the pinned party that called, and the encrypted connection; raises :class:`TlsRefusal`."""
        made = TlsLink(link, self.server, server_side=True)
        made.shake_hands(deadline)
        if not (name := self._holder(made)):
            raise TlsRefusal("its certificate is not pinned here")
        return name, made

    def _holder(self, link: TlsLink) -> str:
        """Return the party for which the peer's certificate is pinned; looks at all pins in the same time."""
        shown = hashlib.sha256(link.peer_certificate()).digest()
        pinned = {name: hashlib.sha256(certificate).digest() for name, certificate in self.pins.items()}
        return "".join([name for name, digest in pinned.items() if hmac.compare_digest(digest, shown)])


class TlsLink:
    """An encrypted connection, for one thread that writes and one that reads; has what we use of a socket.

    Parameters
    ----------
    link : socket
        Connected; belongs to the new object.
    context : ssl.SSLContext
    server_side : bool
    """

    def __init__(self, link: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        self.socket = link
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=server_side)
        self._lock = threading.Lock()  # guards the three above; never held while waiting
        self._staged = memoryview(bytearray(_CHUNK))

    def shake_hands(self, deadline: float) -> None:
        """Agree on keys before `deadline` (monotonic seconds); raises :class:`TlsRefusal`, or OSError in time."""
        try:
            while True:
                self.socket.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    self._tls.do_handshake()
                    return self._flush()
                except ssl.SSLWantReadError:
                    self._flush()
                    self._fetch()
        except ssl.SSLError as error:
            with suppress(OSError):  # tell the other side
                self._flush()
                if _reason(error) == _NO_TLS:  # OpenSSL says nothing then
                    self.socket.sendall(_WRONG_VERSION)
            raise TlsRefusal(_reason(error)) from None
        except (EOFError, ConnectionError):
            raise TlsRefusal("it ended the TLS handshake: it may be set up without TLS") from None

    def peer_certificate(self) -> bytes:
        """Return what the peer has proved to hold the key of, in DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def encrypted(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Encrypt, 256 KiB at a time and straight out of `data`, what the caller has to send in this order."""
        content = memoryview(data)
        for start in range(0, content.nbytes, _CHUNK):
            yield self._encrypt(content[start : start + _CHUNK])

    def sendall(self, data: bytes) -> None:
        """Send everything, within the limit of :meth:`settimeout`; at most one thread at a time."""
        for piece in self.encrypted(data):
            self.socket.sendall(piece)

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send in one system call; raises BlockingIOError if that took only a part: nothing can follow it then."""
        record = self._encrypt(memoryview(data))
        if (sent := self.socket.send(record, flags)) < len(record):
            raise BlockingIOError
        return sent

    def recv_into(self, buffer: memoryview | bytearray) -> int:
        """Wait for data and return how many bytes of `buffer` are filled; 0 at the end. At most one thread at a time.

        Raises
        ------
        TlsRefusal
            If what arrived was not sent by the peer like that, or the peer refuses this party.
        """
        space = memoryview(buffer)
        while True:
            if count := self._decrypt(space):
                return count
            try:
                self._fetch()
            except EOFError:
                return 0

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end; see :meth:`recv_into`."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(buffer)])

    def settimeout(self, seconds: float | None) -> None:
        """Limit every system call."""
        self.socket.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        """End a direction, as a socket does."""
        self.socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> TlsLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encrypt(self, content: memoryview) -> bytes:
        with self._lock:
            done = 0
            while done < content.nbytes:
                done += self._tls.write(content[done : done + _RECORD])
            return self._leaving.read()

    def _decrypt(self, space: memoryview) -> int:
        """Fill `space` from what has arrived; returns the count, 0 if a whole record is not there yet."""
        count = 0
        with self._lock:
            try:
                while count < space.nbytes and (self._arrived.pending or self._tls.pending()):
                    # With a buffer it returns a count, whatever the stubs say.
                    count += cast(int, self._tls.read(space.nbytes - count, space[count:]))
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                raise TlsRefusal(_reason(error)) from None
        return count

    def _fetch(self) -> None:
        """Wait for bytes of the network."""
        count = self.socket.recv_into(self._staged)
        if not count:
            raise EOFError
        with self._lock:
            self._arrived.write(self._staged[:count])

    def _flush(self) -> None:
        """Send what OpenSSL has to say by itself: handshakes and alerts."""
        if words := self._leaving.read():
            self.socket.sendall(words)


_WRONG_VERSION = b"\x15\x03\x03\x00\x02\x02\x46"
"""A fatal alert, as a record in clear (RFC 8446, sections 5.1 and 6)."""

_NO_TLS = "it does not speak TLS"
_REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not pinned here, or has expired",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.3",
    "TLSV1_ALERT_UNKNOWN_CA": "it has not pinned this party's certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that this party's certificate has expired",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "a record was damaged on its way",
}


def _reason(error: ssl.SSLError) -> str:
    return _REASONS.get(error.reason or "", f"TLS failed ({error.reason or type(error).__name__})")
