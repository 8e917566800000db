"""Measures the steps of a run at one party: seconds, rounds and bytes, the channel's and the engines'."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mpc_engine.runtime.channel import Channel
from mpc_engine.runtime.messages import Measured

__all__ = ["StepCost", "Steps"]


class StepCost:
    """Traffic that did not go through the channel: SPU's and PSI's own links."""

    def __init__(self) -> None:
        self.rounds = 0
        self.bytes_sent = 0

    def add(self, cost: tuple[int, int]) -> None:
        """Count (rounds, bytes)."""
        self.rounds += cost[0]
        self.bytes_sent += cost[1]


class Steps:
    """Collects measurements in order."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.done: list[Measured] = []

    @contextmanager
    def step(self, what: str, engine: str) -> Iterator[StepCost]:
        """Measure the block; yields where to add traffic of other links."""
        cost = StepCost()
        before, started = self._channel.snapshot(), time.perf_counter()
        yield cost
        spent = self._channel.snapshot().since(before)
        self.done.append(
            Measured(
                what,
                engine,
                time.perf_counter() - started,
                cost.rounds + spent.rounds,
                cost.bytes_sent + spent.total_sent,
            )
        )
