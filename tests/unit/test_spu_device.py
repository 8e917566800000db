"""SPU as a device: sharing, running, its measured traffic, and what happens when things go wrong."""

import itertools
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax._src.lax.lax as lax_internals
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import enable_x64

from mpc_engine.errors import ConfigError, MpcError, PeerError, ProtocolMismatchError, RangeError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.device import ClearDevice, Device
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.spu_device import (
    PARTIES,
    LinkTimeouts,
    Sharer,
    SpuDevice,
    memory_link,
    runtime_config,
    tcp_link,
)

PARTY_NAMES = ("bank_a", "bank_b", "regulator")
RUN_IDS = itertools.count()


@dataclass(frozen=True)
class Piece:
    """A region as the partitioner makes it."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: Any


def piece(function: Callable[..., Any], inputs: dict[str, Any], outputs: Sequence[str]) -> Piece:
    with enable_x64():
        jaxpr = jax.make_jaxpr(function)(*inputs.values())
    return Piece(tuple(inputs), tuple(outputs), jaxpr)


def run_parties(count: int, body: Callable[[int], Any]) -> list[Any]:
    """Run `body(rank)` in one thread a rank; the first error is raised here."""
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def call(rank: int) -> None:
        try:
            results[rank] = body(rank)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
    return results


def on_devices(protocol: str, body: Callable[[SpuDevice], Any], *, timeouts: LinkTimeouts | None = None) -> list[Any]:
    config = runtime_config(protocol, insecure_for_tests=True)
    run_id = f"device-{next(RUN_IDS)}"
    names = PARTY_NAMES[: PARTIES[protocol]]

    def party(rank: int) -> Any:
        device = SpuDevice(rank, lambda: memory_link(names, rank, run_id, timeouts=timeouts), config)
        device.connect()
        try:
            return body(device)
        finally:
            device.close()

    return run_parties(PARTIES[protocol], party)


def evaluate(
    function: Callable[..., Any], inputs: dict[str, np.ndarray], *, protocol: str = "aby3"
) -> list[np.ndarray]:
    """Share, run, reconstruct."""
    with enable_x64():
        avals = jax.eval_shape(function, *inputs.values())
    region = piece(function, inputs, [f"out{index}" for index in range(len(avals))])
    sharer = Sharer(runtime_config(protocol))
    wires = {name: sharer.share(value) for name, value in inputs.items()}

    def body(device: SpuDevice) -> list[bytes]:
        for name, value in inputs.items():
            device.load(name, wires[name][device.rank], dtype=value.dtype, shape=value.shape)
        device.run(device.compile(region))
        return [device.export(name) for name in region.outputs]

    parts = on_devices(protocol, body)
    return [
        sharer.reconstruct(column, dtype=aval.dtype, shape=aval.shape)
        for column, aval in zip(zip(*parts, strict=True), avals, strict=True)
    ]


# configuration


def test_configuration_is_explicit_and_canonical() -> None:
    config = runtime_config("aby3")
    text = str(config)
    for line in ("protocol: ABY3", "field: FM64", "fxp_fraction_bits: 18", "sort_method: RADIX", "exp_mode: PADE"):
        assert line in text
    assert "sigmoid_mode: REAL" in text
    assert "sort_method: NETWORK" in str(runtime_config("cheetah"))
    assert not config.trunc_allow_msb_error
    assert config.SerializeToString() == runtime_config("aby3").SerializeToString()
    assert config.SerializeToString() != runtime_config("aby3", threads=2).SerializeToString()
    assert config.SerializeToString() != runtime_config("cheetah").SerializeToString()


def test_insecure_protocols_are_not_offered() -> None:
    for protocol in ("semi2k", "ref2k", "plaintext"):
        with pytest.raises(ConfigError, match=f"protocol '{protocol}' is not offered"):
            runtime_config(protocol)


# sharing


@pytest.mark.parametrize("protocol", ["aby3", "cheetah"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3)])
@pytest.mark.parametrize("dtype", ["bool", "int64", "float64"])
def test_share_and_reconstruct(protocol: str, shape: tuple[int, ...], dtype: str) -> None:
    array = np.random.default_rng(1).integers(-3, 3, shape).astype(dtype)
    sharer = Sharer(runtime_config(protocol))
    wires = sharer.share(array)
    assert len(wires) == PARTIES[protocol]
    back = sharer.reconstruct(wires, dtype=dtype, shape=shape)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_extreme_integers_are_exact() -> None:
    array = np.array([np.iinfo(np.int64).min, -1, 0, np.iinfo(np.int64).max])
    sharer = Sharer(runtime_config("aby3"))
    np.testing.assert_array_equal(sharer.reconstruct(sharer.share(array), dtype="int64", shape=(4,)), array)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**44, -(2.0**44)])
def test_floats_that_do_not_fit_are_refused(value: float) -> None:
    with pytest.raises(RangeError) as caught:
        Sharer(runtime_config("aby3")).share(np.array([1.0, value]))
    assert caught.value.code == "MPC-0220"
    assert str(value) not in str(caught.value).replace("2^44", "")


def test_mixed_shares_are_refused() -> None:
    sharer = Sharer(runtime_config("aby3"))
    integers, floats = sharer.share(np.arange(3)), sharer.share(np.arange(3.0))
    with pytest.raises(ProtocolMismatchError):
        sharer.reconstruct([integers[0], integers[1], floats[2]], dtype="int64", shape=(3,))
    with pytest.raises(UnsupportedError):
        sharer.share(np.array(["a"]))


def test_shares_are_uniform() -> None:
    """One party's bytes of a constant array are uniform: chi-square over 256 values, p in [1e-6, 1-1e-6]."""
    wires = Sharer(runtime_config("aby3")).share(np.zeros(1 << 15, np.int64))
    for wire in wires:
        share = shares.decode(wire, dtype="int64", shape=(1 << 15,), protocol="aby3")
        counts = np.bincount(np.frombuffer(shares.content(share, shares.parse_meta(share.meta)), np.uint8))
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert 155.0 < statistic < 381.0  # quantiles 1e-7 and 1-1e-7 of chi-square with 255 degrees of freedom


# running


def program(x: Any, y: Any) -> Any:
    table = jnp.asarray([2, 3, 5])  # a constant of the jaxpr
    return (
        x * 2 + table,
        y * y,
        x > 1,
        (x > 1).astype(jnp.int64),
        x,
        jnp.arange(4),
        jnp.float64(2.5),
        jnp.sum(y),
        jnp.zeros((0, 2)),
        jax.jit(lambda v: v + 1)(x),
    )


@pytest.mark.parametrize("protocol", ["aby3", "cheetah"])
def test_region_equals_jax(protocol: str) -> None:
    inputs = {"x": np.array([0, 1, 2]), "y": np.array([2.5, -1.0, 0.25])}
    with enable_x64():
        wanted = jax.jit(program)(*inputs.values())
    got = evaluate(program, inputs, protocol=protocol)
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, atol=2**-14, rtol=0)


def test_public_outputs_feed_secret_inputs() -> None:
    first = piece(lambda x: (jnp.arange(3) + 1, x), {"x": np.arange(3)}, ["c", "y"])
    second = piece(lambda c, y: (jnp.dot(c, y), jnp.sort(c)), {"c": np.arange(3), "y": np.arange(3)}, ["d", "s"])
    sharer = Sharer(runtime_config("aby3"))
    wires = sharer.share(np.array([5, 7, 9]))

    def body(device: SpuDevice) -> list[bytes]:
        device.load("x", wires[device.rank], dtype="int64", shape=(3,))
        device.run(device.compile(first))
        device.run(device.compile(second))
        return [device.export("d"), device.export("s")]

    dots, sorts = zip(*on_devices("aby3", body), strict=True)
    assert sharer.reconstruct(dots, dtype="int64", shape=()) == 5 + 14 + 27
    np.testing.assert_array_equal(sharer.reconstruct(sorts, dtype="int64", shape=(3,)), [1, 2, 3])


def test_sort_is_stable() -> None:
    keys = np.random.default_rng(3).integers(0, 3, 60)
    got = evaluate(lambda k, p: jax.lax.sort((k, p), num_keys=1), {"k": keys, "p": np.arange(60)})
    np.testing.assert_array_equal(got[1], np.argsort(keys, kind="stable"))


def test_sort_of_distinct_keys_under_cheetah() -> None:
    keys = np.array([1, 0, 1, 0])
    got = evaluate(
        lambda k, p: jax.lax.sort((k * 4 + jnp.arange(4), p), num_keys=1),
        {"k": keys, "p": np.arange(4)},
        protocol="cheetah",
    )
    np.testing.assert_array_equal(got[1], np.argsort(keys, kind="stable"))


def test_sort_traffic_does_not_depend_on_ties() -> None:
    """The default sort method opens comparisons and then runs differently when keys tie."""
    region = piece(lambda k: jnp.sort(k), {"k": np.arange(64)}, ["s"])
    sharer = Sharer(runtime_config("aby3"))
    totals = set()
    for keys in (np.zeros(64, np.int64), np.arange(64), np.arange(64)[::-1].copy()):
        wires = sharer.share(keys)

        def body(device: SpuDevice, wires: list[bytes] = wires) -> tuple[int, int]:
            device.load("k", wires[device.rank], dtype="int64", shape=(64,))
            cost = device.run(device.compile(region))
            return cost.bytes_sent, cost.messages

        totals.add(tuple(np.sum(on_devices("aby3", body), axis=0)))
    assert len(totals) == 1


def test_digest_covers_code_names_and_types() -> None:
    config = runtime_config("aby3")
    device = SpuDevice(0, lambda: pytest.fail("compiling must not link"), config)
    x = {"x": np.arange(3)}
    base = device.compile(piece(lambda x: (x + 1,), x, ["y"]))
    same = SpuDevice(1, lambda: pytest.fail("no link"), config).compile(piece(lambda x: (x + 1,), x, ["y"]))
    assert base.digest == same.digest
    others = [
        piece(lambda x: (x + 2,), x, ["y"]),
        piece(lambda x: (x + 1,), x, ["z"]),
        piece(lambda x: (x + 1,), {"w": np.arange(3)}, ["y"]),
        piece(lambda x: (x + 1,), {"x": np.arange(4)}, ["y"]),
        piece(lambda x: (x + 1,), {"x": np.arange(3.0)}, ["y"]),
    ]
    assert len({base.digest, *(device.compile(other).digest for other in others)}) == 6


def test_what_spu_cannot_compile() -> None:
    before = {name: getattr(lax_internals, name) for name in dir(lax_internals) if "for_sort" in name}
    device = SpuDevice(0, lambda: pytest.fail("no link"), runtime_config("aby3"))
    with pytest.raises(UnsupportedError) as caught:
        device.compile(piece(lambda x: (jnp.linalg.svd(x)[1],), {"x": np.eye(2)}, ["y"]))
    assert caught.value.code == "MPC-0320"
    assert {name: getattr(lax_internals, name) for name in before} == before


def test_regions_must_name_everything_once() -> None:
    device = SpuDevice(0, lambda: pytest.fail("no link"), runtime_config("aby3"))
    good = piece(lambda x: (x, x + 1), {"x": np.arange(3)}, ["a", "b"])
    for inputs, outputs in (((), ("a", "b")), (("x",), ("a",)), (("x",), ("a", "a"))):
        with pytest.raises(ValueError, match="a region must"):
            device.compile(Piece(inputs, outputs, good.jaxpr))


# traffic


def test_traffic_of_a_product_is_exact() -> None:
    """An integer product under aby3 is one round of 8 bytes an element (Araki et al., 2016)."""
    n = 1000
    region = piece(lambda x: (x * x,), {"x": np.zeros(n, np.int64)}, ["y"])
    wires = Sharer(runtime_config("aby3")).share(np.arange(n))

    def body(device: SpuDevice) -> Any:
        device.load("x", wires[device.rank], dtype="int64", shape=(n,))
        compiled = device.compile(region)
        first = device.run(compiled)
        second = device.run(compiled)
        assert device.spent == first + second
        return first

    for cost in on_devices("aby3", body):
        assert (cost.rounds, cost.messages, cost.bytes_sent) == (1, 1, 8 * n)
        assert cost.seconds > 0


def test_local_work_sends_nothing() -> None:
    got = []
    region = piece(lambda x: (x * 3 + 1,), {"x": np.arange(4)}, ["y"])
    wires = Sharer(runtime_config("aby3")).share(np.arange(4))

    def body(device: SpuDevice) -> None:
        device.load("x", wires[device.rank], dtype="int64", shape=(4,))
        got.append(device.run(device.compile(region)))

    on_devices("aby3", body)
    assert [(cost.rounds, cost.bytes_sent) for cost in got] == [(0, 0)] * 3


# arithmetic shares


def test_arithmetic_of_every_representation() -> None:
    x = np.array([0, 3, 1, 3])

    def makes(x: Any) -> Any:
        hit = x == 3
        return (x, x * 0.5, hit, hit.astype(jnp.int64), hit.astype(jnp.float64), jnp.arange(4), jnp.zeros((0, 2)))

    region = piece(makes, {"x": x}, [f"v{index}" for index in range(7)])
    wires = Sharer(runtime_config("aby3")).share(x)

    def body(device: SpuDevice) -> list[np.ndarray]:
        device.load("x", wires[device.rank], dtype="int64", shape=(4,))
        device.run(device.compile(region))
        return [device.arithmetic(name) for name in region.outputs]

    held = on_devices("aby3", body)
    hit = x == 3
    scale = 1 << shares.FRACTION_BITS
    wanted = [x, x * scale // 2, hit, hit, hit * scale, np.arange(4), np.zeros(0)]
    for index, value in enumerate(wanted):
        parts = [held[rank][index] for rank in range(3)]
        assert all(part.shape == (value.size, 2) and part.dtype == np.uint64 for part in parts)
        for rank in range(3):  # the second of a party is the first of the next
            np.testing.assert_array_equal(parts[rank][:, 1], parts[(rank + 1) % 3][:, 0])
        total = (parts[0][:, 0] + parts[1][:, 0] + parts[2][:, 0]).view(np.int64)
        np.testing.assert_allclose(total, value.astype(np.int64), atol=1 if index == 1 else 0, rtol=0)


def test_conversion_is_counted() -> None:
    region = piece(lambda x: (x == 3,), {"x": np.arange(4)}, ["hit"])
    wires = Sharer(runtime_config("aby3")).share(np.arange(4))

    def body(device: SpuDevice) -> tuple[int, int]:
        device.load("x", wires[device.rank], dtype="int64", shape=(4,))
        before = device.run(device.compile(region))
        device.arithmetic("hit")
        return before.bytes_sent, device.spent.bytes_sent

    before, after = np.sum(on_devices("aby3", body), axis=0)
    assert after > before > 0


def test_store_comes_back() -> None:
    values = np.arange(6).reshape(2, 3)
    raw = values.astype(np.uint64).reshape(-1)
    zero = np.zeros_like(raw)
    split = [np.stack(pair, axis=1) for pair in ((raw, zero), (zero, zero), (zero, raw))]
    region = piece(lambda v: (v @ jnp.ones((3,), jnp.int64),), {"v": values}, ["w"])

    def body(device: SpuDevice) -> bytes:
        device.store("v", split[device.rank].reshape(2, 3, 2), dtype="int64", shape=(2, 3))
        device.run(device.compile(region))
        return device.export("w")

    parts = on_devices("aby3", body)
    got = Sharer(runtime_config("aby3")).reconstruct(parts, dtype="int64", shape=(2,))
    np.testing.assert_array_equal(got, values.sum(axis=1))


def test_only_aby3_has_pairs() -> None:
    wires = Sharer(runtime_config("cheetah")).share(np.arange(3))

    def body(device: SpuDevice) -> None:
        device.load("x", wires[device.rank], dtype="int64", shape=(3,))
        with pytest.raises(UnsupportedError):
            device.arithmetic("x")
        with pytest.raises(UnsupportedError):
            device.store("y", np.zeros((3, 2), np.uint64), dtype="int64", shape=(3,))

    on_devices("cheetah", body)


# when things go wrong


def test_delete_and_unknown_names() -> None:
    wires = Sharer(runtime_config("aby3")).share(np.arange(3))

    def body(device: SpuDevice) -> None:
        device.load("x", wires[device.rank], dtype="int64", shape=(3,))
        device.delete("x", "never there")
        with pytest.raises(MpcError, match="reading variable 'x'"):
            device.export("x")

    on_devices("aby3", body)


def test_needs_connect() -> None:
    device = SpuDevice(0, lambda: pytest.fail("no link"), runtime_config("aby3"))
    with pytest.raises(MpcError, match="is not connected"):
        device.export("x")
    device.close()


def test_a_wrong_link_is_refused() -> None:
    def party(rank: int) -> None:
        device = SpuDevice(rank, lambda: memory_link(("a", "b"), rank, "wrong"), runtime_config("aby3"))
        with pytest.raises(ConfigError, match="aby3 needs a link of 3 parties"):
            device.connect()
        device.close()

    run_parties(2, party)


TCP_PARTY = """
    import os, socket, struct, sys, time
    import jax, numpy as np
    from mpc_engine.errors import MpcError, PeerError
    from mpc_engine.runtime.spu_device import LinkTimeouts, Sharer, SpuDevice, runtime_config, tcp_link
    from dataclasses import make_dataclass

    jax.config.update("jax_enable_x64", True)
    rank, ports, n = int(sys.argv[1]), sys.argv[2].split(","), 50_000
    config = runtime_config("aby3")
    addresses = [f"127.0.0.1:{port}" for port in ports]
    wait = LinkTimeouts(receive=8.0)
    device = SpuDevice(rank, lambda: tcp_link(addresses, rank, "run", timeouts=wait), config)
    Region = make_dataclass("Region", ["inputs", "outputs", "jaxpr"])
    region = Region(("x",), ("y",), jax.make_jaxpr(lambda x: x * x)(np.arange(n)))

    def sent():  # tcpi_bytes_acked of every TCP socket of this process
        total = 0
        for entry in os.listdir("/proc/self/fd"):
            try:
                if not os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                    continue
                with socket.socket(fileno=os.dup(int(entry))) as held:
                    if held.family == socket.AF_INET and held.type == socket.SOCK_STREAM:
                        info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                        total += struct.unpack_from("<Q", info, 120)[0] if len(info) >= 128 else 0
            except OSError:
                continue
        return total

    device.connect()
    device.store("x", np.zeros((n, 2), np.uint64), dtype="int64", shape=(n,))
    compiled = device.compile(region)
    before = sent()
    cost = device.run(compiled)
    device.run(compiled)
    time.sleep(0.5)  # a run returns when it has received all; what it sent may still be under way
    print(cost.bytes_sent, sent() - before, flush=True)
    if sys.argv[3] == "close":
        device.close()
    elif rank == 1:  # the party that falls silent
        sys.stdin.read()
    else:
        started = time.perf_counter()
        try:
            while True:
                device.run(compiled)
        except PeerError as error:
            print(error.code, time.perf_counter() - started, error.message, flush=True)
        try:
            device.run(compiled)
        except MpcError as error:
            print(error.message, flush=True)
        device.close()
    os._exit(0)
"""


def tcp_parties(folder: Path, mode: str) -> list[list[str]]:
    """Run three processes and return the lines that each printed."""
    script = folder / "party.py"
    script.write_text(textwrap.dedent(TCP_PARTY))
    pipe = subprocess.PIPE
    with PortReservation(3) as reserved:
        ports = ",".join(map(str, reserved.ports))
        parties = [
            subprocess.Popen([sys.executable, str(script), str(rank), ports, mode], stdin=pipe, stdout=pipe, text=True)
            for rank in range(3)
        ]
        try:
            outputs = [parties[rank].communicate(timeout=60)[0] for rank in (0, 2, 1)]
        finally:
            for party in parties:
                party.kill()
                party.communicate()
    assert [party.returncode for party in parties] == [0, 0, 0]
    return [outputs[index].splitlines() for index in (0, 2, 1)]


def test_tcp_processes_and_their_real_traffic(tmp_path: Path) -> None:
    """SPU's own count equals what the kernel counts on the sockets, plus headers."""
    for lines in tcp_parties(tmp_path, "close"):
        counted, on_the_wire = map(int, lines[0].split())
        assert counted == 8 * 50_000
        assert on_the_wire == 0 or 2 * counted <= on_the_wire <= 2 * counted * 1.01 + 2000


def test_a_silent_party_is_an_error_in_time(tmp_path: Path) -> None:
    outputs = tcp_parties(tmp_path, "silent")
    blamed = set()
    for rank in (0, 2):
        _, fault, after = outputs[rank]
        code, seconds, message = fault.split(maxsplit=2)
        assert code == "MPC-0620"
        assert float(seconds) < 13
        blamed.add(message)
        assert after == f"the SPU device of rank {rank} failed before"
    assert "party 'rank1' did not answer while running a program" in blamed


def test_nobody_there() -> None:
    with PortReservation(2) as reserved:
        addresses = {name: f"127.0.0.1:{port}" for name, port in zip(PARTY_NAMES[:2], reserved.ports, strict=True)}
        with pytest.raises(PeerError, match="party 'bank_b' did not answer while connecting"):
            tcp_link(addresses, 0, "alone", timeouts=LinkTimeouts(connect=0.2))


# the clear device


def test_clear_device_is_a_device_and_equals_jax() -> None:
    device: Device = ClearDevice()
    device.connect()
    inputs = {"x": np.array([0, 1, 2]), "y": np.array([2.5, -1.0, 0.25])}
    for name, value in inputs.items():
        device.load(name, shares.encode_clear(value), dtype=value.dtype, shape=value.shape)
    with enable_x64():
        wanted = jax.jit(program)(*inputs.values())
    region = piece(program, inputs, [f"out{index}" for index in range(len(wanted))])
    compiled = device.compile(region)
    assert compiled.digest == device.compile(region).digest
    cost = device.run(compiled)
    assert (cost.rounds, cost.bytes_sent) == (0, 0)
    for name, value in zip(region.outputs, wanted, strict=True):
        got = shares.decode_clear(device.export(name), dtype=value.dtype, shape=value.shape)
        np.testing.assert_array_equal(got, value)
    with pytest.raises(UnsupportedError, match="the plaintext device has no shares"):
        device.arithmetic("out0")
    device.delete("x", "never there")
    with pytest.raises(MpcError, match="no variable 'x'"):
        device.export("x")
    device.close()


def test_spu_device_is_a_device() -> None:
    device: Device = SpuDevice(2, lambda: pytest.fail("no link"), runtime_config("aby3"))
    assert (device.rank, device.parties) == (2, 3)
    assert struct.calcsize("Q") == shares.RING_BYTES
