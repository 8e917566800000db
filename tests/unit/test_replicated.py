"""The replicated protocol: exact products, declared cost, uniform messages, and its place between two SPU programs."""

import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import enable_x64

from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.replicated import Cost, Replicated, matmul_cost, setup_cost
from mpc_engine.runtime.shares import FRACTION_BITS
from mpc_engine.runtime.spu_device import Sharer, SpuDevice, memory_link, runtime_config

RNG = np.random.default_rng(11)
RUN_IDS = itertools.count()


@dataclass
class Wire:
    """Queues between three threads that count what each sends."""

    queues: dict[tuple[int, int], queue.Queue[bytes]] = field(
        default_factory=lambda: {pair: queue.Queue() for pair in itertools.permutations(range(3), 2)}
    )
    sent: list[list[bytes]] = field(default_factory=lambda: [[], [], []])

    def exchange(self, rank: int) -> Callable[[int, bytes | memoryview, int], bytes]:
        def call(to: int, payload: bytes | memoryview, frm: int) -> bytes:
            self.sent[rank].append(bytes(payload))
            self.queues[rank, to].put(bytes(payload))
            return self.queues[frm, rank].get(timeout=20)

        return call


def three(body: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * 3
    errors: list[BaseException] = []

    def call(rank: int) -> None:
        try:
            results[rank] = body(rank)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(rank,), daemon=True) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


def ring(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**64, shape, dtype=np.uint64)


def split(secret: np.ndarray) -> list[np.ndarray]:
    """Replicated pairs of a secret, by party."""
    parts = [ring(*secret.shape), ring(*secret.shape)]
    parts.append(secret - parts[0] - parts[1])
    return [np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1) for rank in range(3)]


def join(pairs: list[np.ndarray]) -> np.ndarray:
    for rank in range(3):  # replicated: the second of a party is the first of the next
        np.testing.assert_array_equal(pairs[rank][..., 1], pairs[(rank + 1) % 3][..., 0])
    return pairs[0][..., 0] + pairs[1][..., 0] + pairs[2][..., 0]


def ready(wire: Wire, rank: int) -> Replicated:
    party = Replicated(rank, wire.exchange(rank))
    party.setup()
    return party


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 2), (0, 4, 2), (2, 0, 3), (10, 200, 7)])
def test_matmul_is_exact_and_costs_what_it_declares(m: int, k: int, n: int) -> None:
    a, b = ring(m, k), ring(k, n)
    shares_a, shares_b = split(a), split(b)
    wire = Wire()
    products = three(lambda rank: ready(wire, rank).matmul(shares_a[rank], shares_b[rank]))
    np.testing.assert_array_equal(join(products), a @ b)
    for rank in range(3):
        setup, product = wire.sent[rank]
        assert Cost(1, len(setup)) == setup_cost()
        assert Cost(1, len(product)) == matmul_cost(m, n)


def test_zero_parts_sum_to_zero_and_never_repeat() -> None:
    wire = Wire()

    def party(rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        machine = ready(wire, rank)
        return machine.zero(1000), machine.zero(1000), machine.zero(0)

    parts = three(party)
    for index in range(2):
        assert not sum(part[index] for part in parts).any()
    assert not np.intersect1d(parts[0][0], parts[0][1]).size
    assert all(part[2].shape == (0,) for part in parts)


def test_messages_are_uniform() -> None:
    """Products of constant matrices: chi-square of every byte sent, p in [1e-6, 1-1e-6] over 1 MiB."""
    ones = split(np.ones((1, 1), np.uint64))
    row = split(np.ones((1, 1 << 17), np.uint64))
    fixed_a = [np.zeros_like(part) for part in ones]
    wire = Wire()
    three(lambda rank: ready(wire, rank).matmul(fixed_a[rank], row[rank]))
    for rank in range(3):
        message = wire.sent[rank][1]
        assert len(message) == 1 << 20
        counts = np.bincount(np.frombuffer(message, np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert 155.0 < statistic < 381.0  # quantiles 1e-7 and 1-1e-7 of chi-square with 255 degrees of freedom


def test_bad_messages_are_refused() -> None:
    with pytest.raises(ProtocolMismatchError, match="bad seed"):
        Replicated(0, lambda to, payload, frm: b"short").setup()
    with pytest.raises(ProtocolMismatchError, match="bad seed"):
        Replicated(0, lambda to, payload, frm: bytes(payload)).setup()
    answers = iter([bytes(32), bytes(7)])
    party = Replicated(1, lambda to, payload, frm: next(answers))
    party.setup()
    with pytest.raises(ProtocolMismatchError, match="7 bytes arrived where 8 were due"):
        party.matmul(ring(1, 1, 2), ring(1, 1, 2))
    with pytest.raises(ValueError, match="rank 3"):
        Replicated(3, lambda to, payload, frm: b"")
    with pytest.raises(RuntimeError, match="setup"):
        Replicated(0, lambda to, payload, frm: b"").zero(1)


@dataclass(frozen=True)
class Piece:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: Any


def test_between_two_spu_programs() -> None:
    """Group sums: SPU makes the one-hot rows, the native product adds up, SPU goes on with the sums."""
    groups, rows = 4, 60
    key, money = RNG.integers(0, groups, rows), np.round(RNG.normal(0, 50, (rows, 2)), 3)
    count = RNG.integers(-1000, 1000, (rows, 1))
    with enable_x64():
        before = Piece(
            ("key", "money"),
            ("hot", "values"),
            jax.make_jaxpr(lambda k, m: ((k[None, :] == jnp.arange(groups)[:, None]).astype(jnp.int64), m * 1.0))(
                key, money
            ),
        )
        after = Piece(
            ("sums", "counts"),
            ("twice", "more"),
            jax.make_jaxpr(lambda s, c: (s + s, c * c))(np.zeros((groups, 2)), np.zeros((groups, 1), np.int64)),
        )
    sharer = Sharer(runtime_config("aby3"))
    inputs = {"key": key, "money": money, "count": count}
    wires = {name: sharer.share(value) for name, value in inputs.items()}
    run_id, wire = f"replicated-{next(RUN_IDS)}", Wire()

    def party(rank: int) -> tuple[bytes, bytes]:
        device = SpuDevice(rank, lambda: memory_link(("a", "b", "c"), rank, run_id), runtime_config("aby3"))
        device.connect()
        for name, value in inputs.items():
            device.load(name, wires[name][rank], dtype=value.dtype, shape=value.shape)
        device.run(device.compile(before))
        machine = ready(wire, rank)
        hot = device.arithmetic("hot").reshape(groups, rows, 2)
        sums = machine.matmul(hot, device.arithmetic("values").reshape(rows, 2, 2))
        counts = machine.matmul(hot, device.arithmetic("count").reshape(rows, 1, 2))
        device.store("sums", sums, dtype="float64", shape=(groups, 2))
        device.store("counts", counts, dtype="int64", shape=(groups, 1))
        device.run(device.compile(after))
        exported = device.export("twice"), device.export("more")
        device.close()
        return exported

    twice, more = zip(*three(party), strict=True)
    hot = key[None, :] == np.arange(groups)[:, None]
    got = sharer.reconstruct(twice, dtype="float64", shape=(groups, 2))
    np.testing.assert_allclose(got, 2 * (hot @ money), atol=2 * rows * 2.0**-FRACTION_BITS, rtol=0)
    np.testing.assert_array_equal(sharer.reconstruct(more, dtype="int64", shape=(groups, 1)), (hot @ count) ** 2)
