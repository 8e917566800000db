"""Channels: order, sizes, rounds, and what happens when a peer is slow, strange or dead."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mpc_engine.errors import MpcError, PeerError, SchemaError
from mpc_engine.runtime.channel import Channel, MemoryHub, Record, RecordingChannel, Traffic
from mpc_engine.runtime.faults import blamed_party, decode_error, encode_error, typed
from mpc_engine.runtime.handshake import MAGIC, dial
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from tests.channels import connect, connect_tls

PARTIES = ("a", "b", "c")


def in_memory(names: tuple[str, ...], *, timeout: float = 5.0) -> list[Channel]:
    hub = MemoryHub(names, timeout=timeout)
    return [hub.channel(name) for name in names]


Maker = Callable[..., list[Channel]]


@pytest.fixture(params=[in_memory, connect, connect_tls], ids=["memory", "tcp", "tls"])
def make(request: pytest.FixtureRequest) -> Iterator[Maker]:
    made: list[Channel] = []

    def maker(*args: tuple[str, ...], timeout: float = 5.0) -> list[Channel]:
        channels: list[Channel] = request.param(*args, timeout=timeout)
        made.extend(channels)
        return channels

    yield maker
    for channel in made:
        channel.close()


def test_messages_of_a_tag_keep_their_order_and_other_tags_wait(make: Maker) -> None:
    a, b, _ = make(PARTIES)
    for payload in (b"1", b"2"):
        a.send("b", "x", payload)
    a.send("b", "y", b"3")
    assert [b.recv("a", "y"), b.recv("a", "x"), b.recv("a", "x")] == [b"3", b"1", b"2"]


def test_counts_are_exact_and_rounds_are_causal_depth(make: Maker) -> None:
    a, b, c = make(PARTIES)
    before = a.snapshot()
    a.send("b", "x", b"12345")
    b.send("c", "x", memoryview(b.recv("a", "x")))
    c.send("a", "x", bytearray(c.recv("b", "x")))
    assert a.recv("c", "x") == b"12345"
    assert a.snapshot().since(before) == Traffic(1, {"b": 5, "c": 0}, {"b": 0, "c": 5}, 3)
    assert (b.snapshot().rounds, c.snapshot().rounds) == (1, 2)


def test_one_exchange_is_one_round(make: Maker) -> None:
    channels = make(PARTIES)
    around = {"a": "b", "b": "c", "c": "a"}
    back = {to: frm for frm, to in around.items()}
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            got = pool.map(lambda ch: ch.exchange(around[ch.me], back[ch.me], "s", ch.me.encode()), channels)
            assert list(got) == [b"c", b"a", b"b"]
    assert [(ch.snapshot().rounds, ch.snapshot().total_sent) for ch in channels] == [(2, 2)] * 3


def test_agree_returns_what_everyone_sent(make: Maker) -> None:
    channels = make(PARTIES)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda ch: ch.agree("plan", ch.me.encode() * 2), channels))
    assert answers == [{"a": b"aa", "b": b"bb", "c": b"cc"}] * 3


def test_a_wait_ends_and_names_party_and_tag(make: Maker) -> None:
    a, _, _ = make(PARTIES)
    start = time.monotonic()
    with pytest.raises(PeerError, match=r"party 'c': it did not send 'sum' within 0\.2 s") as caught:
        a.recv("c", "sum", timeout=0.2)
    assert (caught.value.code, blamed_party(caught.value)) == ("MPC-0601", "c")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("connected", [connect, connect_tls])
def test_a_party_that_only_waits_for_another_is_not_blamed(connected: Maker) -> None:
    a, b, c = connected(PARTIES, timeout=1.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(b.recv, "c", "x", 3.0)  # b gives up later than a, which waits for b
        with pytest.raises(PeerError, match="no answer from party 'c': party 'b' has been waiting for it") as caught:
            a.recv("b", "x")
        assert (caught.value.code, blamed_party(caught.value)) == ("MPC-0601", "c")
        a.abort(caught.value)
        with pytest.raises(PeerError, match="no answer from party 'c'"):
            waiting.result(timeout=2)
    for channel in (b, c):
        channel.close()


@pytest.mark.parametrize("connected", [connect, connect_tls])
def test_a_party_that_was_slow_itself_is_blamed(connected: Maker) -> None:
    a, b, c = connected(PARTIES, timeout=1.0)
    with ThreadPoolExecutor(1) as pool:
        threading.Timer(0.8, lambda: waiting.append(pool.submit(b.recv, "c", "x", 0.6))).start()
        waiting: list[Future[bytes]] = []
        with pytest.raises(PeerError, match="no answer from party 'b': it did not send 'x' within 1 s"):
            a.recv("b", "x")
        with pytest.raises(PeerError, match="no answer from party 'c': it did not send 'x' within"):
            waiting[0].result(timeout=2)
    for channel in (a, b, c):
        channel.close()


def test_abort_wakes_everyone_at_once_without_telling_the_text(make: Maker) -> None:
    a, b, c = make(PARTIES)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(a.recv, "b", "x"), pool.submit(c.recv, "a", "x")]
        c.abort(SchemaError("column 'salary' holds 12345", code="MPC-0102"))
        with pytest.raises(PeerError, match=r"party 'c' failed \(SchemaError MPC-0102\)") as caught:
            waits[0].result(timeout=2)
    assert (caught.value.code, blamed_party(caught.value)) == ("MPC-0606", "c")
    with pytest.raises(PeerError, match="party 'c' failed"):
        b.recv("a", "x")


def test_abort_passes_on_who_is_to_blame(make: Maker) -> None:
    a, b, _ = make(PARTIES)
    with pytest.raises(PeerError) as caught:
        a.recv("c", "x", timeout=0.1)
    a.abort(caught.value)
    with pytest.raises(PeerError, match="party 'c': it did not send 'x'") as second:
        b.recv("a", "x")
    assert blamed_party(second.value) == "c"


def test_closing_delivers_what_was_sent_and_stops_only_those_who_wait_for_more(make: Maker) -> None:
    a, b, c = make(PARTIES)
    a.send("b", "x", b"last")
    a.close()
    assert b.recv("a", "x") == b"last"
    with pytest.raises(PeerError, match="party 'a' has closed its channel"):
        b.recv("a", "x")
    c.send("b", "x", b"still here")
    assert b.recv("c", "x") == b"still here"
    with pytest.raises(PeerError, match="the channel of party 'a' is closed"):
        a.send("b", "x", b"")


def test_recording_keeps_direction_peer_tag_and_size(make: Maker) -> None:
    a, b, _ = make(PARTIES)
    recorded = RecordingChannel(a)
    recorded.send("b", "x", b"123")
    b.send("a", "y", b"4567")
    assert recorded.recv("b", "y") == b"4567"
    assert recorded.transcript == [Record("send", "b", "x", 3), Record("recv", "b", "y", 4)]
    assert recorded.snapshot() == a.snapshot()


def test_large_messages_both_ways_at_once() -> None:
    a, b = connect(("a", "b"), timeout=30)
    payload = os.urandom(1 << 20) * 64
    with ThreadPoolExecutor(2) as pool:
        got = [pool.submit(a.exchange, "b", "b", "big", payload), pool.submit(b.exchange, "a", "a", "big", payload)]
        assert all(future.result() == payload for future in got)
    assert a.snapshot() == Traffic(1, {"b": 64 << 20}, {"b": 64 << 20}, 1)
    a.close()
    b.close()


def test_a_party_with_another_token_is_refused_on_both_sides() -> None:
    listeners = {name: Listener() for name in ("a", "b")}
    addresses = {name: listener.address for name, listener in listeners.items()}

    def attempt(name: str) -> str:
        with pytest.raises(PeerError) as caught:
            TcpChannel(name, listeners[name], addresses=addresses, token=new_token(), timeout=1)
        return f"{caught.value.code} {caught.value.message}"

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(attempt, ("a", "b"))
    assert first.startswith("MPC-0603 no connection to party 'b': it did not connect in time (1 turned away, the ")
    assert second.startswith("MPC-0603 no connection to party 'a': it does not know the token of this run")
    for listener in listeners.values():
        listener.close()


def test_strangers_neither_get_in_nor_keep_the_parties_out() -> None:
    listeners = {name: Listener() for name in ("a", "b")}
    addresses = {name: listener.address for name, listener in listeners.items()}
    strangers = [socket.create_connection(addresses["a"]) for _ in range(4)]
    strangers[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b" " * 40)
    strangers[1].sendall(MAGIC + bytes(32) + b"\x01b")  # a name, but no proof
    token = new_token()
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(lambda me: TcpChannel(me, listeners[me], addresses=addresses, token=token), ("a", "b"))
    assert time.monotonic() - start < 2
    b.send("a", "x", b"ok")
    assert a.recv("b", "x") == b"ok"
    ends: list[Channel | socket.socket | Listener] = [a, b, *strangers, *listeners.values()]
    for end in ends:
        end.close()


def test_a_peer_that_breaks_the_protocol_is_named_before_anything_is_allocated() -> None:
    a, b = connect(("a", "b"))
    b._links["a"].sendall(b"\x00\x00\x01\x00\x00\x00\x01" + (1 << 62).to_bytes(8, "big") + b"x")  # type: ignore[attr-defined]
    with pytest.raises(PeerError, match="party 'b' broke the protocol: a frame of kind 0") as caught:
        a.recv("b", "x")
    assert caught.value.code == "MPC-0604"
    a.close()
    b.close()


PEER = """
import sys
from mpc_engine.runtime.tcp import Listener, TcpChannel
listener = Listener()
print(listener.address[1], flush=True)
addresses = {"a": ("127.0.0.1", int(sys.argv[1])), "b": listener.address}
TcpChannel("b", listener, addresses=addresses, token=bytes.fromhex(sys.argv[2])).recv("a", "never", timeout=60)
"""


def test_a_killed_peer_is_named_within_two_seconds() -> None:
    listener, token = Listener(), new_token()
    command = [sys.executable, "-c", PEER, str(listener.address[1]), token.hex()]
    peer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert peer.stdout is not None
    addresses = {"a": listener.address, "b": ("127.0.0.1", int(peer.stdout.readline()))}
    channel = TcpChannel("a", listener, addresses=addresses, token=token)
    threading.Timer(0.3, peer.kill).start()
    start = time.monotonic()
    with pytest.raises(PeerError, match="the connection to party 'b' is lost") as caught:
        channel.recv("b", "x")
    assert time.monotonic() - start < 2
    assert (caught.value.code, blamed_party(caught.value)) == ("MPC-0602", "b")
    with pytest.raises(PeerError, match="the connection to party 'b' is lost"):
        channel.send("b", "x", bytes(1 << 22))
    peer.wait()
    peer.stdout.close()
    channel.close()
    listener.close()


def test_a_peer_that_takes_nothing_ends_the_send() -> None:
    listener, token = Listener(), new_token()
    names = {"a": listener.address, "b": ("127.0.0.1", 1)}
    made: list[Channel] = []
    opener = threading.Thread(
        target=lambda: made.append(TcpChannel("a", listener, addresses=names, token=token, timeout=0.5))
    )
    opener.start()
    silent = dial("b", ("a", "b"), "a", listener.address, token=token, deadline=time.monotonic() + 2)
    opener.join()
    with pytest.raises(PeerError, match=r"party 'b': it took nothing of 'big' for 0\.5 s"):
        made[0].send("b", "big", bytes(64 << 20))
    made[0].close()
    silent.close()
    listener.close()


def test_reserved_ports_can_be_bound_by_a_server_that_reuses_addresses_only() -> None:
    with PortReservation(3) as reserved:
        for port in reserved.ports:
            with socket.socket() as plain, pytest.raises(OSError, match="in use"):
                plain.bind(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)) as server:  # sets SO_REUSEADDR, as brpc does
                assert server.getsockname()[1] == port


def test_errors_cross_as_bytes_and_keep_private_text_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPC_ENGINE_DEBUG", raising=False)
    sent = SchemaError("no column 'x'", code="MPC-0102", hint="did you mean 'y'?", where="demo.py:3")
    got = decode_error(encode_error(sent))
    assert isinstance(got, SchemaError)
    assert str(got) == str(sent)
    try:
        int("4711 private")
    except ValueError as error:
        told = typed(error, party="bank_a")
    assert isinstance(told, MpcError)
    assert "4711" not in str(told)
    assert told.message == "party 'bank_a' failed with ValueError at an unknown place"
    for bad in (b"", b"\xff", b"[]", b'{"kind":"MpcError"}', b'{"kind":"os","message":"","code":""}'):
        assert decode_error(bad).code == "MPC-0614"
