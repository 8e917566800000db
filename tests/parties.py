"""Three computing parties as threads over recorded memory channels, and shares made and joined in the clear."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.channel import MemoryHub, Traffic
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated

NAMES = ("a", "b", "c")


class Recorder:
    """Links that keep every payload that arrives."""

    def __init__(self, inner: ChannelLinks) -> None:
        self.inner = inner
        self.received: list[bytes] = []

    def send(self, to: int, payload: bytes | memoryview) -> None:
        self.inner.send(to, payload)

    def recv(self, frm: int) -> bytes:
        content = self.inner.recv(frm)
        self.received.append(content)
        return content


@dataclass
class Run:
    """What three parties returned, and what the operation (setup apart) cost and brought."""

    results: list[Any]
    traffic: list[Traffic]
    received: list[list[bytes]] = field(default_factory=list)

    @property
    def cost(self) -> tuple[int, tuple[int, ...]]:
        """Rounds, and bytes sent by each party."""
        return max(t.rounds for t in self.traffic), tuple(t.total_sent for t in self.traffic)


def run(body: Callable[[Replicated], Any], *, timeout: float = 60.0, link: Link = NEAR) -> Run:
    """Run `body` at three parties; raises the first error of a party."""
    hub = MemoryHub(NAMES, timeout=timeout)
    results: list[Any] = [None] * 3
    traffic: list[Any] = [None] * 3
    received: list[list[bytes]] = [[], [], []]
    errors: list[BaseException] = []
    gate = threading.Barrier(3)

    def call(rank: int) -> None:
        with hub.channel(NAMES[rank]) as channel:
            try:
                links = Recorder(ChannelLinks(channel, NAMES))
                party = Replicated(rank, links, link=link)
                party.setup()
                gate.wait(timeout)
                links.received.clear()
                before = channel.snapshot()
                results[rank] = body(party)
                traffic[rank] = channel.snapshot().since(before)
                received[rank] = links.received
            except BaseException as error:
                errors.append(error)
                gate.abort()
                raise

    def quiet(rank: int) -> None:
        with suppress(Exception):  # in `errors`, with those that follow from it
            call(rank)

    threads = [threading.Thread(target=quiet, args=(rank,), daemon=True) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout + 10)
    if errors:
        raise errors[0]
    return Run(results, traffic, received)


def split(secret: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Replicated pairs of integers, by party."""
    ring = np.asarray(secret)
    ring = ring if ring.dtype == np.uint64 else ring.astype(np.int64).view(np.uint64)
    first, second = (rng.integers(0, 2**64, ring.shape, dtype=np.uint64) for _ in range(2))
    parts = [first, second, ring - first - second]
    return [np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1) for rank in range(3)]


def join(pairs: list[np.ndarray]) -> np.ndarray:
    """The secret, as int64; checks that the shares are replicated."""
    for rank in range(3):
        np.testing.assert_array_equal(pairs[rank][..., 1], pairs[(rank + 1) % 3][..., 0])
    return (pairs[0][..., 0] + pairs[1][..., 0] + pairs[2][..., 0]).view(np.int64)
