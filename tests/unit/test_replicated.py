"""The replicated protocol: exact products, declared cost, uniform messages, and its place between two SPU programs."""

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import enable_x64

from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.replicated import Replicated, matmul_cost, setup_cost
from mpc_engine.runtime.replicated.core import SEED_BYTES
from mpc_engine.runtime.shares import FRACTION_BITS
from mpc_engine.runtime.spu_device import Sharer, SpuDevice, memory_link, runtime_config
from tests.parties import join, run, split

RNG = np.random.default_rng(11)
RUN_IDS = itertools.count()


class Answers:
    """Links to peers that send what a test prepared, or what they were sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, to: int, payload: bytes | memoryview) -> None:
        self.sent.append(bytes(payload))

    def recv(self, frm: int) -> bytes:
        return self.answers.pop(0) if self.answers else self.sent[-1]


def ring(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**64, shape, dtype=np.uint64)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 2), (0, 4, 2), (2, 0, 3), (10, 200, 7)])
def test_matmul_is_exact_and_costs_what_it_declares(m: int, k: int, n: int) -> None:
    a, b = ring(m, k), ring(k, n)
    shares_a, shares_b = split(a, RNG), split(b, RNG)
    done = run(lambda party: party.matmul(shares_a[party.rank], shares_b[party.rank]))
    np.testing.assert_array_equal(join(done.results).view(np.uint64), a @ b)
    declared = matmul_cost(m, n)
    assert done.cost == (declared.rounds, (declared.bytes_sent,) * 3)


def test_setup_costs_what_it_declares() -> None:
    done = run(Replicated.setup)  # once more
    assert done.cost == (setup_cost().rounds, (setup_cost().bytes_sent,) * 3)


def test_zero_parts_sum_to_zero_and_never_repeat() -> None:
    parts = run(lambda party: (party.zero(1000), party.zero(1000), party.zero(0))).results
    for index in range(2):
        assert not sum(part[index] for part in parts).any()
    assert not np.intersect1d(parts[0][0], parts[0][1]).size
    assert all(part[2].shape == (0,) for part in parts)


def test_messages_are_uniform() -> None:
    """Products of constant matrices: chi-square of every byte sent, p in [1e-6, 1-1e-6] over 1 MiB."""
    row = split(np.ones((1, 1 << 17), np.uint64), RNG)
    done = run(lambda party: party.matmul(np.zeros((1, 1, 2), np.uint64), row[party.rank]))
    for messages in done.received:
        (message,) = messages
        assert len(message) == 1 << 20
        counts = np.bincount(np.frombuffer(message, np.uint8), minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert 155.0 < statistic < 381.0  # quantiles 1e-7 and 1-1e-7 of chi-square with 255 degrees of freedom


def test_bad_messages_are_refused() -> None:
    with pytest.raises(ProtocolMismatchError, match="bad seed"):
        Replicated(0, Answers(b"short")).setup()
    with pytest.raises(ProtocolMismatchError, match="bad seed"):
        Replicated(0, Answers()).setup()  # its own seed
    party = Replicated(1, Answers(bytes(SEED_BYTES), bytes(7)))
    party.setup()
    with pytest.raises(ProtocolMismatchError, match="7 bytes arrived where 8 were due"):
        party.matmul(ring(1, 1, 2), ring(1, 1, 2))
    with pytest.raises(ValueError, match="rank 3"):
        Replicated(3, Answers())
    with pytest.raises(RuntimeError, match="setup"):
        Replicated(0, Answers()).zero(1)


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
    run_id = f"replicated-{next(RUN_IDS)}"

    def body(machine: Replicated) -> tuple[bytes, bytes]:
        rank = machine.rank
        device = SpuDevice(rank, lambda: memory_link(("a", "b", "c"), rank, run_id), runtime_config("aby3"))
        device.connect()
        for name, value in inputs.items():
            device.load(name, wires[name][rank], dtype=value.dtype, shape=value.shape)
        device.run(device.compile(before))
        hot = device.arithmetic("hot").reshape(groups, rows, 2)
        sums = machine.matmul(hot, device.arithmetic("values").reshape(rows, 2, 2))
        counts = machine.matmul(hot, device.arithmetic("count").reshape(rows, 1, 2))
        device.store("sums", sums, dtype="float64", shape=(groups, 2))
        device.store("counts", counts, dtype="int64", shape=(groups, 1))
        device.run(device.compile(after))
        exported = device.export("twice"), device.export("more")
        device.close()
        return exported

    twice, more = zip(*run(body).results, strict=True)
    hot = key[None, :] == np.arange(groups)[:, None]
    got = sharer.reconstruct(twice, dtype="float64", shape=(groups, 2))
    np.testing.assert_allclose(got, 2 * (hot @ money), atol=2 * rows * 2.0**-FRACTION_BITS, rtol=0)
    np.testing.assert_array_equal(sharer.reconstruct(more, dtype="int64", shape=(groups, 1)), (hot @ count) ** 2)
