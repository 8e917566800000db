"""A product of two secret integer matrices, exact in the ring: the native replicated kernel, SPU, numpy.

Three computing parties are threads of this process, linked in memory, so what is compared is work, not a network. Both
sides start and end with shares inside SPU: the native side's hand-over is part of its time.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpc_engine.cli.bench import Figures, Settings
from mpc_engine.errors import ConfigError

if TYPE_CHECKING:
    from mpc_engine.runtime.channel import MemoryChannel
    from mpc_engine.runtime.device import Compiled
    from mpc_engine.runtime.replicated import Replicated
    from mpc_engine.runtime.spu_device import SpuDevice

__all__ = ["DEFAULT_EXECUTOR", "SIDES", "measure"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR = "threads"
PARTIES = ("p0", "p1", "p2")
_runs = itertools.count()

Ring = NDArray[np.int64]
T = TypeVar("T")


class Party:
    """One computing party: an SPU with both matrices in it, and the native protocol beside it."""

    def __init__(self, rank: int, channel: MemoryChannel, device: SpuDevice, kernels: Replicated) -> None:
        self.rank = rank
        self.channel = channel
        self.device = device
        self.kernels = kernels
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.program: Compiled | None = None

    def load(self, name: str, wire: bytes, shape: tuple[int, ...]) -> None:
        """Take in a share of a matrix."""
        self.device.load(name, wire, dtype="int64", shape=shape)
        self.shapes[name] = shape

    def native(self) -> None:
        """Multiply by the native kernel; the result is ``native`` in SPU."""
        a, b = (self.device.arithmetic(name).reshape(*self.shapes[name], 2) for name in ("a", "b"))
        product = self.kernels.matmul(a, b)
        self.shapes["native"] = product.shape[:2]
        self.device.store("native", product.reshape(-1, 2), dtype="int64", shape=product.shape[:2])

    def spu(self) -> None:
        """Multiply by SPU; the result is ``spu``."""
        assert self.program is not None
        self.device.run(self.program)
        self.shapes["spu"] = (self.shapes["a"][0], self.shapes["b"][1])


def together(parties: Sequence[Party], act: Callable[[Party], T]) -> list[T]:
    """Let all parties act at once; the first error of any is raised."""
    found: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(party: Party) -> None:
        try:
            found[party.rank] = act(party)
        except BaseException as error:
            errors.append(error)
            party.channel.abort(error)

    threads = [threading.Thread(target=run, args=(party,), daemon=True) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [found[party.rank] for party in parties]


def measure(settings: Settings) -> Figures:
    """Compare with numpy, then time all sides alternately.

    Raises
    ------
    ConfigError
        For another executor or protocol than threads and aby3.
    """
    if (settings.executor, settings.protocol) != ("threads", "aby3"):
        raise ConfigError(
            "matmul compares kernels: its parties are threads under aby3",
            code="MPC-0833",
            hint="leave --executor and --protocol out",
        )
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, (settings.groups, settings.rows))
    b = rng.integers(-10_000, 10_000, (settings.rows, settings.columns))
    parties = _parties(a, b)
    sides: dict[str, Callable[[], object]] = {"ours": lambda: together(parties, Party.native)}
    if "spu" in settings.against:
        together(parties, lambda party: _compile(party, a.shape, b.shape))
        sides["spu"] = lambda: together(parties, Party.spu)
    if "plaintext" in settings.against:
        sides["plaintext"] = lambda: a @ b
    try:
        correct, bytes_sent, rounds = _check(parties, sides, a @ b)
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(settings.repeat):
            for name, run in sides.items():
                times[name].append(_timed(run))
    finally:
        for party in parties:
            party.device.close()
    return Figures(
        correct=correct,
        seconds=median(times["ours"]),
        rounds=rounds,
        bytes_sent=bytes_sent,
        peak_rss_mb=None,
        parties=len(PARTIES),
        against={name: {"seconds": median(found)} for name, found in times.items() if name != "ours"},
        more={"columns": settings.columns, "groups": settings.groups},
    )


def _parties(a: Ring, b: Ring) -> list[Party]:
    from mpc_engine.runtime.channel import MemoryHub
    from mpc_engine.runtime.replicated import Replicated
    from mpc_engine.runtime.spu_device import Sharer, SpuDevice, memory_link, runtime_config

    config = runtime_config("aby3")
    hub, run = MemoryHub(PARTIES, timeout=60), f"bench-matmul-{next(_runs)}"
    wires = {name: (Sharer(config).share(array), array.shape) for name, array in (("a", a), ("b", b))}

    def make(rank: int) -> Party:
        channel = hub.channel(PARTIES[rank])

        def exchange(to: int, payload: bytes | memoryview, frm: int) -> bytes:
            return channel.exchange(PARTIES[to], PARTIES[frm], "kernel", payload)

        device = SpuDevice(rank, lambda: memory_link(PARTIES, rank, run), config)
        return Party(rank, channel, device, Replicated(rank, exchange))

    def start(party: Party) -> None:
        party.device.connect()
        party.kernels.setup()
        for name, (shares, shape) in wires.items():
            party.load(name, shares[party.rank], shape)

    parties = [make(rank) for rank in range(len(PARTIES))]
    together(parties, start)
    return parties


def _compile(party: Party, *shapes: tuple[int, ...]) -> None:
    import jax
    from jax.experimental import enable_x64

    from mpc_compiler.ops.primitives import ring_matmul
    from mpc_compiler.partition import SpuRegion, partition

    with enable_x64():
        specs = [jax.ShapeDtypeStruct(shape, np.int64) for shape in shapes]
        (region,) = partition(ring_matmul, specs, protocol="aby3", kernels="spu").regions
    assert isinstance(region, SpuRegion)
    party.program = party.device.compile(replace(region, inputs=("a", "b"), outputs=("spu",)))


def _check(parties: Sequence[Party], sides: dict[str, Callable[[], object]], clear: Ring) -> tuple[bool, int, int]:
    """Run every side once and compare; return whether all are right, and what ours sent."""
    from mpc_engine.runtime.spu_device import Sharer, runtime_config

    before = [party.channel.snapshot() for party in parties]
    sides["ours"]()
    sent = [party.channel.snapshot().since(old) for party, old in zip(parties, before, strict=True)]
    if "spu" in sides:
        sides["spu"]()
    sharer = Sharer(runtime_config("aby3"))
    correct = True
    for side, name in (("ours", "native"), ("spu", "spu")):
        if side in sides:
            wires = [party.device.export(name) for party in parties]
            found = sharer.reconstruct(wires, dtype="int64", shape=clear.shape)
            correct = correct and np.array_equal(found, clear)
    return correct, sum(traffic.total_sent for traffic in sent), max(traffic.rounds for traffic in sent)


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
