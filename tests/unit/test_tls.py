"""Channels in TLS: what works as on plain ones, who is refused, and that nothing readable crosses."""

from __future__ import annotations

import gc
import os
import pickle
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mpc_engine.errors import PeerError
from mpc_engine.runtime.channel import Channel, Traffic
from mpc_engine.runtime.faults import blamed_party
from mpc_engine.runtime.handshake import MAGIC, dial
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from mpc_engine.runtime.tls import Identity, TlsLink, TlsSettings, fingerprint_of
from tests.channels import connect, connect_tls, settings

LIMIT = 1.0
PAIR = ("a", "b")


def swap(channel: Channel, payload: bytes, times: int) -> None:
    """Send to the other and receive, both at once."""
    (peer,) = channel.peers
    for number in range(times):
        assert channel.exchange(peer, peer, f"m{number % 3}", payload[number:]) == payload[number:]


def test_an_identity_shows_its_certificate_and_never_its_key() -> None:
    one, other = Identity.create("bank_a"), Identity.create("bank_a")
    assert one.fingerprint == fingerprint_of(ssl.PEM_cert_to_DER_cert(one.pem)) != other.fingerprint
    assert "key" not in repr(one)
    assert "PRIVATE" not in repr(one) + one.pem
    with pytest.raises(TypeError):
        pickle.dumps(one)


def test_the_key_reaches_no_file_in_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[bytes, int]] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, certfile: str, **more: Any) -> None:
        seen.append((Path(certfile).read_bytes(), os.stat(certfile).st_mode & 0o777))
        load(context, certfile, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings(PAIR)["a"].contexts(("b",))
    assert [mode for _, mode in seen] == [0o600, 0o600]
    for text, _ in seen:
        assert text.count(b"PRIVATE KEY") == text.count(b"ENCRYPTED PRIVATE KEY") == 2
    assert not list(tmp_path.iterdir())


def test_both_ends_settle_on_tls_13_and_no_ticket_is_given() -> None:
    a, b = connect_tls(PAIR)
    swap_at_both((a, b), b"x" * 100, 2)
    for channel in (a, b):
        (link,) = channel._links.values()  # type: ignore[attr-defined]
        assert isinstance(link, TlsLink)
        assert link._tls.version() == "TLSv1.3"
        assert not link._tls.session_reused
        assert link._tls.session is None or not link._tls.session.has_ticket
        assert link._tls.compression() is None
        channel.close()


def swap_at_both(channels: tuple[Channel, Channel], payload: bytes, times: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda channel: swap(channel, payload, times), channels))


def test_large_messages_both_ways_at_once_arrive_unchanged() -> None:
    a, b = connect_tls(PAIR, timeout=30)
    swap_at_both((a, b), os.urandom(1 << 20) * 24, 3)
    swap_at_both((a, b), os.urandom(1000), 300)
    a.close()
    b.close()


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 15, 1 << 14, 1 << 16, (1 << 16) + 1, (1 << 18) + 1, 3 << 18])
def test_sizes_around_records_and_chunks(size: int) -> None:
    a, b = connect_tls(PAIR)
    payload = os.urandom(size)
    a.send("b", "x", payload)
    a.send("b", "y", memoryview(payload))
    assert (b.recv("a", "y"), b.recv("a", "x")) == (payload, payload)
    a.close()
    b.close()


def test_threads_that_send_and_receive_at_the_same_time() -> None:
    a, b = connect_tls(PAIR, timeout=20)
    payload = os.urandom(100_000)

    def talk(number: int) -> bool:
        for channel, peer in ((a, "b"), (b, "a")):
            for size in range(0, 100_000, 5003):
                channel.send(peer, f"t{number}", payload[size:])
        return all(
            channel.recv(peer, f"t{number}") == payload[size:]
            for channel, peer in ((a, "b"), (b, "a"))
            for size in range(0, 100_000, 5003)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(talk, range(4)))
    a.close()
    b.close()


def test_traffic_is_counted_as_on_plain_tcp() -> None:
    def measured(make: Callable[..., list[Channel]]) -> list[Traffic]:
        channels = make(("a", "b", "c"))
        around, back = {"a": "b", "b": "c", "c": "a"}, {"a": "c", "b": "a", "c": "b"}

        def ring(channel: Channel) -> Traffic:
            for size in (0, 10, 100_000):
                channel.exchange(around[channel.me], back[channel.me], "s", bytes(size))
            channel.agree("digest", bytes(32))
            return channel.snapshot()

        with ThreadPoolExecutor(3) as pool:
            counts = list(pool.map(ring, channels))
        for channel in channels:
            channel.close()
        return counts

    assert measured(connect_tls) == measured(connect)


class Tap:
    """Passes the bytes of one connection on and keeps them; can damage one."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.heard = bytearray()
        self.damage = False
        self._to = address
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        caller, _ = self.listener.accept()
        with caller, socket.create_connection(self._to) as called:
            back = threading.Thread(target=self._pass, args=(called, caller), daemon=True)
            back.start()
            self._pass(caller, called)
            back.join(5)

    def _pass(self, frm: socket.socket, to: socket.socket) -> None:
        try:
            while data := bytearray(frm.recv(1 << 16)):
                self.heard += data
                if self.damage:
                    data[len(data) // 2] ^= 1
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def tapped(tls: Mapping[str, TlsSettings] | None) -> tuple[list[Channel], Tap]:
    listeners = {name: Listener() for name in PAIR}
    tap, token = Tap(listeners["a"].address), new_token()
    addresses = {"a": tap.address, "b": listeners["b"].address}

    def open_one(me: str) -> Channel:
        mine = tls[me] if tls else None
        return TcpChannel(me, listeners[me], addresses=addresses, token=token, timeout=5, tls=mine)

    with ThreadPoolExecutor(2) as pool:
        channels = list(pool.map(open_one, PAIR))
    for listener in listeners.values():
        listener.close()
    return channels, tap


@pytest.mark.parametrize("secure", [False, True])
def test_a_listener_on_the_line_reads_nothing(secure: bool) -> None:
    (a, b), tap = tapped(settings(PAIR) if secure else None)
    b.send("a", "salaries", b"4711 a month")
    assert a.recv("b", "salaries") == b"4711 a month"
    for secret in (b"4711", b"salaries", MAGIC):
        assert (secret in tap.heard) is not secure
    a.close()
    b.close()
    tap.listener.close()


def test_a_changed_byte_ends_the_connection() -> None:
    (a, b), tap = tapped(settings(PAIR))
    tap.damage = True
    b.send("a", "x", b"4711 a month")
    with pytest.raises(PeerError, match="party 'b' broke the protocol: a record was damaged") as caught:
        a.recv("b", "x")
    assert (caught.value.code, blamed_party(caught.value)) == ("MPC-0604", "b")
    with pytest.raises(PeerError):
        b.recv("a", "x")
    a.close()
    b.close()
    tap.listener.close()


def refused(a: TlsSettings | None, b: TlsSettings | None) -> tuple[str, str]:
    """What party a, which waits for b, and party b, which calls, are told; in time, and naming the other."""
    listeners = {name: Listener() for name in PAIR}
    addresses = {name: listener.address for name, listener in listeners.items()}
    token = new_token()

    def attempt(me: str, tls: TlsSettings | None) -> str:
        start = time.monotonic()
        with pytest.raises(PeerError) as caught:
            TcpChannel(me, listeners[me], addresses=addresses, token=token, timeout=LIMIT, tls=tls)
        assert time.monotonic() - start < LIMIT + 1
        assert blamed_party(caught.value) == ("b" if me == "a" else "a")
        return f"{caught.value.code} {caught.value.message}"

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(attempt, PAIR, (a, b))
    for listener in listeners.values():
        listener.close()
    return first, second


A_WAITED = "MPC-0603 no connection to party 'b': it did not connect in time (1 turned away, the last because "
B_FAILED = "MPC-0607 no connection to party 'a': "


def certificates(**who: Identity) -> dict[str, bytes]:
    return {name: identity.certificate for name, identity in who.items()}


def test_a_caller_with_another_certificate_is_refused() -> None:
    a, b, other = (Identity.create(name) for name in ("a", "b", "b"))
    pinned = certificates(a=a, b=b)
    assert refused(TlsSettings(a, pinned), TlsSettings(other, pinned)) == (
        A_WAITED + "its certificate is not pinned here, or has expired)",
        B_FAILED + "it has not pinned this party's certificate",
    )


def test_a_server_with_another_certificate_is_refused() -> None:
    a, b, other = (Identity.create(name) for name in ("a", "b", "a"))
    pinned = certificates(a=a, b=b)
    assert refused(TlsSettings(other, pinned), TlsSettings(b, pinned)) == (
        A_WAITED + "it has not pinned this party's certificate)",
        B_FAILED + "its certificate is not pinned here, or has expired",
    )


def test_an_expired_certificate_is_refused() -> None:
    a, b = Identity.create("a", days=0), Identity.create("b")
    pinned = certificates(a=a, b=b)
    time.sleep(1.1)  # certificates count whole seconds
    _, second = refused(TlsSettings(a, pinned), TlsSettings(b, pinned))
    assert second == B_FAILED + "its certificate is not pinned here, or has expired"


def three(a: TlsSettings, b: TlsSettings, c: TlsSettings) -> list[str]:
    """What three parties are told if not all can be connected; empty if a party was."""
    names = ("a", "b", "c")
    listeners = {name: Listener() for name in names}
    addresses = {name: listener.address for name, listener in listeners.items()}
    token = new_token()

    def attempt(me: str, tls: TlsSettings) -> str:
        try:
            channel = TcpChannel(me, listeners[me], addresses=addresses, token=token, timeout=LIMIT, tls=tls)
        except PeerError as error:
            return f"{blamed_party(error)}: {error.message}"
        channel.close()
        return ""

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(attempt, names, (a, b, c)))
    for listener in listeners.values():
        listener.close()
    return told


def test_a_pinned_party_cannot_stand_for_another() -> None:
    made = {name: Identity.create(name) for name in "abc"}
    pinned = certificates(**made)
    # Party c's process runs with b's certificate: it is pinned at a, but for another name.
    told = three(*(TlsSettings(made[who], pinned) for who in "abb"))
    assert told[0] == (
        "c: no connection to party 'c': it did not connect in time (1 turned away, the last because it gave a name "
        "that is not expected)"
    )
    # Party a's process runs with c's certificate: b and c turn away from it themselves.
    told = three(*(TlsSettings(made[who], pinned) for who in "cbc"))
    assert told[1] == "a: no connection to party 'a': it showed the certificate of c"


def test_two_parties_cannot_share_a_certificate_and_all_must_be_pinned() -> None:
    a = Identity.create("a")
    with pytest.raises(ValueError, match="two parties cannot have the same certificate"):
        TlsSettings(a, {"a": a.certificate, "b": a.certificate})
    with pytest.raises(ValueError, match="no certificate is pinned for party 'b'"):
        TlsSettings(a, {"a": a.certificate}).contexts(("b",))


def test_a_plain_caller_is_refused_by_a_party_in_tls() -> None:
    assert refused(settings(PAIR)["a"], None) == (
        A_WAITED + "it does not speak TLS)",
        B_FAILED + "it speaks TLS, this party does not",
    )


def test_a_caller_in_tls_is_refused_by_a_plain_party() -> None:
    assert refused(None, settings(PAIR)["b"]) == (
        A_WAITED + "it speaks TLS)",
        B_FAILED + "it ended the TLS handshake: it may be set up without TLS",
    )


def outsider(change: Callable[[ssl.SSLContext, Identity], None]) -> tuple[str, str]:
    """What party a and a caller with a context of its own, which knows a's certificate, are told."""
    known = settings(PAIR)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=known["b"].certificates["a"])
    change(context, known["b"].identity)
    listener = Listener()
    addresses = {"a": listener.address, "b": ("127.0.0.1", 1)}
    told = ""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            TcpChannel, "a", listener, addresses=addresses, token=new_token(), timeout=LIMIT, tls=known["a"]
        )
        try:
            with (
                socket.create_connection(listener.address, timeout=LIMIT) as link,
                context.wrap_socket(link) as wrapped,
            ):
                wrapped.recv(1)  # with TLS 1.3 a caller learns only now that it was refused
        except ssl.SSLError as error:
            told = error.reason or ""
        with pytest.raises(PeerError) as caught:
            waiting.result(LIMIT + 1)
    listener.close()
    gc.collect()
    return caught.value.message, told


def test_a_caller_without_a_certificate_is_refused() -> None:
    message, told = outsider(lambda context, identity: None)
    assert message.endswith("the last because it showed no certificate)")
    assert told == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_tls_12_is_refused_even_with_the_right_certificate() -> None:
    def old(context: ssl.SSLContext, identity: Identity) -> None:
        identity.load_into(context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    message, told = outsider(old)
    assert message.endswith("the last because it does not speak TLS 1.3)")
    assert told == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_a_server_that_speaks_only_tls_12_is_refused() -> None:
    known = settings(PAIR)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    known["a"].identity.load_into(context)
    listener, server = Listener(), Listener()

    def serve() -> None:
        link, _ = server.socket.accept()
        with link, pytest.raises(ssl.SSLError):
            context.wrap_socket(link, server_side=True)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(serve)
        addresses = {"a": server.address, "b": listener.address}
        with pytest.raises(PeerError, match=r"no connection to party 'a': it does not speak TLS 1\.3"):
            TcpChannel("b", listener, addresses=addresses, token=new_token(), timeout=LIMIT, tls=known["b"])
    listener.close()
    server.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_drips_bytes_is_left_in_time(tls: bool) -> None:
    """Each wait for a byte is short, all of them are not."""
    server, listener, over = Listener(), Listener(), threading.Event()

    def drip() -> None:
        link, _ = server.socket.accept()
        with link:
            word = iter(b"\x16\x03\x03\x40\x00" + bytes(1000) if tls else bytes(1000))
            while not over.wait(0.1):
                link.sendall(bytes([next(word)]))

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    addresses = {"a": server.address, "b": listener.address}
    start = time.monotonic()
    mine = settings(PAIR)["b"] if tls else None
    with pytest.raises(PeerError, match="no connection to party 'a': it did not take part in the handshake in time"):
        TcpChannel("b", listener, addresses=addresses, token=new_token(), timeout=0.7, tls=mine)
    assert time.monotonic() - start < 1.5
    over.set()
    thread.join(5)
    server.close()
    listener.close()


def test_a_peer_that_takes_nothing_ends_the_send() -> None:
    known, token, listener = settings(PAIR), new_token(), Listener()
    addresses = {"a": listener.address, "b": ("127.0.0.1", 1)}
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(TcpChannel, "a", listener, addresses=addresses, token=token, timeout=0.5, tls=known["a"])
        contexts, deadline = known["b"].contexts(("a",)), time.monotonic() + 2
        silent = dial("b", PAIR, "a", listener.address, token=token, deadline=deadline, tls=contexts)
        a = opening.result()
    with pytest.raises(PeerError, match=r"party 'b': it took nothing of 'big' for 0\.5 s"):
        a.send("b", "big", bytes(32 << 20))
    a.close()
    silent.close()
    listener.close()
