"""Arithmetic on replicated shares: exact results, declared cost, uniform messages, typed errors when a peer dies."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from mpc_engine.errors import PeerError, ProtocolMismatchError
from mpc_engine.runtime.channel import Channel, MemoryHub
from mpc_engine.runtime.replicated import arithmetic, cost, histogram, scan, truncate
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from tests.parties import NAMES, join, run, split

CASES = 100_000
EDGES = np.array([0, 1, -1, 2**31, -(2**31), 2**32 - 1, 2**62, -(2**62), 2**63 - 1, -(2**63)])
U64 = np.uint64


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform over the ring, and every pair of its edges."""
    out = rng.integers(-(2**63), 2**63 - 1, shape, endpoint=True)
    flat = out.reshape(-1)
    flat[: min(100, flat.size)] = np.tile(EDGES, 10)[: flat.size]
    return out


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_products_are_exact_and_cost_24_bytes(rng: np.random.Generator) -> None:
    x, y = integers(rng, CASES), integers(rng, CASES)
    y[:100] = np.repeat(EDGES, 10)
    xs, ys = split(x, rng), split(y, rng)
    done = run(lambda p: arithmetic.multiply(p, xs[p.rank], ys[p.rank]))
    np.testing.assert_array_equal(join(done.results), x * y)
    assert done.cost == cost.multiply_cost(CASES)
    assert cost.multiply_cost(CASES).total == 24 * CASES


@pytest.mark.parametrize("shape", [(3, 50_000), (1, 7), (4, 5, 6), (0, 3), (2, 0)])
def test_dot_sums_before_the_message(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x, y = integers(rng, *shape), integers(rng, *shape)
    xs, ys = split(x, rng), split(y, rng)
    done = run(lambda p: arithmetic.dot(p, xs[p.rank], ys[p.rank]))
    np.testing.assert_array_equal(join(done.results), (x * y).sum(axis=0))
    assert done.cost == cost.multiply_cost(int(np.prod(shape[1:])))


def test_local_arithmetic(rng: np.random.Generator) -> None:
    x, y, k = integers(rng, 40, 3), integers(rng, 40, 3), integers(rng, 3)
    xs, ys = split(x, rng), split(y, rng)

    def body(p: Replicated) -> dict[str, np.ndarray]:
        a, b = xs[p.rank], ys[p.rank]
        return {
            "add": arithmetic.add(a, b),
            "sub": arithmetic.sub(a, b),
            "neg": arithmetic.neg(a),
            "scale": arithmetic.scale(a, k),
            "public": arithmetic.add_public(p, a, k),
            "constant": arithmetic.from_public(p, k),
            "sum": arithmetic.sum_rows(a),
            "last": arithmetic.sum_rows(a, axis=-1),
        }

    done = run(body)
    want = {
        "add": x + y,
        "sub": x - y,
        "neg": -x,
        "scale": x * k,
        "public": x + k,
        "constant": k,
        "sum": x.sum(axis=0),
        "last": x.sum(axis=-1),
    }
    for name, value in want.items():
        np.testing.assert_array_equal(join([result[name] for result in done.results]), value, err_msg=name)
    assert done.cost == (0, (0, 0, 0))


@pytest.mark.parametrize("owner", [0, 1, 2])
def test_sharing_and_opening(rng: np.random.Generator, owner: int) -> None:
    x = integers(rng, 1000, 2)

    def body(p: Replicated) -> np.ndarray:
        return arithmetic.share(p, owner, x if p.rank == owner else None, x.shape)

    shared = run(body)
    np.testing.assert_array_equal(join(shared.results), x)
    assert shared.cost == cost.share_cost(owner, x.size)
    opened = run(lambda p: arithmetic.open_all(p, shared.results[p.rank]))
    assert all((result.view(np.int64) == x).all() for result in opened.results)
    assert opened.cost == cost.open_cost(x.size)
    one = run(lambda p: arithmetic.open_to(p, owner, shared.results[p.rank]))
    assert [result is None for result in one.results] == [rank != owner for rank in range(3)]
    np.testing.assert_array_equal(one.results[owner].view(np.int64), x)
    assert one.cost == cost.open_to_cost(owner, x.size)


@pytest.mark.parametrize("bits", [1, 2, 17, 18, 31, 32])
def test_truncation_is_within_one_unit_exact_on_multiples_and_right_in_the_mean(
    rng: np.random.Generator, bits: int
) -> None:
    x = rng.integers(-(2**62), 2**62 - 2**bits, CASES, endpoint=True)
    x[:4] = -(2**62), 2**62 - 2**bits, 0, -1
    x[1000:5000] = x[1000:5000] >> bits << bits
    x[5000:9000] >>= 40
    xs = split(x, rng)
    done = run(lambda p: truncate.truncate(p, xs[p.rank], bits=bits))
    found, floor, cut = join(done.results), x >> bits, x & ((1 << bits) - 1)
    up = found - floor
    assert set(np.unique(up)) <= {0, 1}
    assert not up[cut == 0].any()
    # each is up with probability cut / 2^bits: the sum within 6 standard deviations
    chance = cut / 2.0**bits
    assert abs(up.sum() - chance.sum()) <= 6 * np.sqrt((chance * (1 - chance)).sum())
    assert done.cost == cost.truncate_cost(CASES)


def test_fixed_point_products_are_within_one_unit(rng: np.random.Generator) -> None:
    bits = 18
    x, y = (np.round(rng.normal(0, 2000, CASES) * 2**bits).astype(np.int64) for _ in range(2))
    x[:3], y[:3] = (2**40, -(2**40), 2**30), (2**21, 2**21, -(2**32) + 1)
    xs, ys = split(x, rng), split(y, rng)
    done = run(lambda p: truncate.fixed_multiply(p, xs[p.rank], ys[p.rank], bits=bits))
    assert np.isin(join(done.results) - ((x * y) >> bits), [0, 1]).all()
    assert done.cost == cost.fixed_multiply_cost(CASES)
    assert cost.fixed_multiply_cost(CASES).total == 36 * CASES


@pytest.mark.parametrize("terms", [1, 3])
def test_fixed_point_dot_products_are_rounded_once(rng: np.random.Generator, terms: int) -> None:
    x, y = rng.integers(-(2**29), 2**29, (2, terms, 40_000))
    xs, ys = split(x, rng), split(y, rng)
    done = run(lambda p: truncate.fixed_dot(p, xs[p.rank], ys[p.rank], bits=20))
    assert np.isin(join(done.results) - ((x * y).sum(axis=0) >> 20), [0, 1]).all()
    assert done.cost == cost.fixed_multiply_cost(40_000)


@pytest.mark.parametrize(("m", "k", "n"), [(30, 50, 20), (1, 1, 1), (3, 0, 2), (0, 4, 2)])
def test_fixed_point_matrix_products(rng: np.random.Generator, m: int, k: int, n: int) -> None:
    a, b = rng.integers(-(2**27), 2**27, (m, k)), rng.integers(-(2**27), 2**27, (k, n))
    as_, bs = split(a, rng), split(b, rng)
    done = run(lambda p: truncate.fixed_matmul(p, as_[p.rank], bs[p.rank], bits=18))
    assert np.isin(join(done.results) - ((a @ b) >> 18), [0, 1]).all()
    assert done.cost == cost.fixed_multiply_cost(m * n)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 1000, 50_001])
@pytest.mark.parametrize("op", ["sum", "copy"])
def test_segment_scans(rng: np.random.Generator, rows: int, op: Any) -> None:
    value, start = integers(rng, rows, 2), (rng.random(rows) < 0.2).astype(np.int64)
    values, starts = split(value, rng), split(start, rng)
    done = run(lambda p: scan.segment_scan(p, starts[p.rank], values[p.rank], op=op))
    first = np.maximum.accumulate(np.where(start != 0, np.arange(rows), 0))
    total = np.cumsum(value, axis=0)
    want = value[first] if op == "copy" else total - total[first] + value[first]
    np.testing.assert_array_equal(join(done.results), want)
    assert done.cost == cost.segment_scan_cost(rows, 2, copy=op == "copy")


def test_local_sums(rng: np.random.Generator) -> None:
    value = integers(rng, 10_000, 3)
    start, bins = rng.random(10_000) < 0.01, rng.integers(-1, 12, 10_000)
    values = split(value, rng)
    done = run(
        lambda p: (
            scan.prefix_sum(values[p.rank]),
            scan.public_segment_sum(values[p.rank], start),
            histogram.bincount_shares(values[p.rank], bins, size=10),
        )
    )
    running, segments, counts = (join(list(parts)) for parts in zip(*done.results, strict=True))
    total = np.cumsum(value, axis=0)
    first = np.maximum.accumulate(np.where(start, np.arange(10_000), 0))
    np.testing.assert_array_equal(running, total)
    np.testing.assert_array_equal(segments, total - total[first] + value[first])
    np.testing.assert_array_equal(counts, [value[bins == b].sum(axis=0) for b in range(10)])
    assert done.cost == (0, (0, 0, 0))


def constant_inputs(p: Replicated, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Worst shares: a constant, all of it in component 0."""
    return tuple(arithmetic.from_public(p, np.full(size, value)) for value in (0, 3 << 18))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "operation",
    [
        lambda p, x, y: arithmetic.multiply(p, x, y),
        lambda p, x, y: truncate.truncate(p, y, bits=18),
        lambda p, x, y: truncate.fixed_multiply(p, y, y, bits=18),
        lambda p, x, y: arithmetic.share(p, 1, np.zeros(len(x), np.int64) if p.rank == 1 else None, (len(x),)),
    ],
    ids=["multiply", "truncate", "fixed_multiply", "share"],
)
def test_what_arrives_is_uniform(operation: Callable[..., Any]) -> None:
    """Chi-square of the bytes of all messages to a party, p in [1e-6, 1-1e-6] over 1 MiB or more; inputs constant."""
    done = run(lambda p: operation(p, *constant_inputs(p, 1 << 18)))
    tested = 0
    for messages in done.received:
        for message in messages:
            counts = np.bincount(np.frombuffer(message, np.uint8), minlength=256)
            statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
            assert 155.0 < statistic < 381.0  # quantiles 1e-7 and 1-1e-7 of chi-square with 255 degrees of freedom
            tested += len(message) >= 1 << 20
    assert tested


def test_transcripts_do_not_depend_on_secrets(rng: np.random.Generator) -> None:
    shapes = set()
    for secret in (np.zeros(500, np.int64), np.arange(500), np.arange(500)[::-1].copy(), integers(rng, 500)):
        xs = split(secret, rng)

        def body(p: Replicated, xs: list[np.ndarray] = xs) -> None:
            x = truncate.truncate(p, xs[p.rank], bits=3)
            scan.segment_scan(p, x, truncate.fixed_multiply(p, x, x, bits=9), op="copy")

        shapes.add(tuple(tuple(map(len, messages)) for messages in run(body).received))
    assert len(shapes) == 1


OPERATIONS = {
    "multiply": lambda p, x: arithmetic.multiply(p, x, x),
    "fixed_multiply": lambda p, x: truncate.fixed_multiply(p, x, x, bits=9),
    "truncate": lambda p, x: truncate.truncate(p, x, bits=9),
    "open": lambda p, x: arithmetic.open_all(p, x),
    "scan": lambda p, x: scan.segment_scan(p, x, x, op="sum"),
}


@contextmanager
def channels(transport: str) -> Iterator[Callable[[int], Channel]]:
    """Give what makes the channel of a rank, in its own thread."""
    if transport == "memory":
        hub = MemoryHub(NAMES, timeout=5)
        yield lambda rank: hub.channel(NAMES[rank])
        return
    listeners = [Listener() for _ in NAMES]
    addresses = {name: listener.address for name, listener in zip(NAMES, listeners, strict=True)}
    token = new_token()
    with ExitStack() as stack:
        for listener in listeners:
            stack.callback(listener.close)
        yield lambda rank: TcpChannel(NAMES[rank], listeners[rank], addresses=addresses, token=token, timeout=5)


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("transport", ["memory", "tcp"])
def test_a_dead_peer_is_a_typed_error(name: str, victim: int, transport: str) -> None:
    """One party leaves for good after the set-up: the others end in a PeerError in seconds."""
    with channels(transport) as make:
        dead_peer(make, OPERATIONS[name], victim)


def dead_peer(make: Callable[[int], Channel], operation: Callable[..., Any], victim: int) -> None:
    """Run the operation at three parties, one of which dies."""
    errors: dict[int, BaseException] = {}

    def party(rank: int) -> None:
        try:
            with make(rank) as channel:
                p = Replicated(rank, ChannelLinks(channel, NAMES))
                p.setup()
                if rank == victim:
                    raise RuntimeError("killed")
                x = arithmetic.from_public(p, np.arange(100))
                operation(p, x)
                arithmetic.open_all(p, x)  # a party that only sends in the operation fails with its next wait
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=party, args=(rank,), daemon=True) for rank in range(3)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
        assert not thread.is_alive()
    assert time.monotonic() - started < 15
    for rank in {0, 1, 2} - {victim}:
        assert isinstance(errors.get(rank), PeerError), errors


def test_messages_of_another_size_are_refused() -> None:
    class Liar:
        def send(self, to: int, payload: bytes | memoryview) -> None:
            pass

        def recv(self, frm: int) -> bytes:
            return bytes(32)

    for rank in range(3):
        p = Replicated(rank, Liar())
        p.setup()
        pairs = np.ones((5, 2), U64)
        refused = pytest.raises(ProtocolMismatchError, match="32 bytes arrived where")
        with refused:
            arithmetic.multiply(p, pairs, pairs)
        with refused:
            arithmetic.open_all(p, pairs)
        with refused:
            truncate.fixed_multiply(p, pairs, pairs, bits=4)


def test_mistakes_are_refused() -> None:
    pairs = np.ones((2, 2), U64)
    p = Replicated(0, lambda to, payload, frm: b"")
    with pytest.raises(ValueError, match="pairs of one shape"):
        arithmetic.multiply(p, pairs, pairs[:1])
    with pytest.raises(ValueError, match="share pairs are uint64"):
        arithmetic.flat(np.ones((2, 2)))
    with pytest.raises(ValueError, match="encode floats"):
        arithmetic.scale(pairs, 0.5)
    with pytest.raises(ValueError, match="op must be"):
        scan.segment_scan(p, pairs, pairs, op="min")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins must be integers"):
        histogram.bincount_shares(pairs, [0.5, 1], size=2)  # type: ignore[list-item]
