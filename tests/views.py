"""What one computing party sees of an operation, with fixed randomness, and whether that tells it anything."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated import compact, core, radix, sort
from mpc_engine.runtime.replicated.core import Replicated
from tests.columns import Values, draw, share
from tests.operation import Operation
from tests.parties import run

LOW, HIGH = 136.5, 425.9
"""Quantiles 1e-10 and 1 - 1e-10 of chi-square with 255 degrees of freedom: one operation takes up to 30,000 tests."""

ENOUGH = 1024
"""Bytes from which on a message is tested by itself."""


class View:
    """What a party sends, receives, draws and is shown.

    Attributes
    ----------
    events : list of (str, int, int)
        In order: to or from, the peer, bytes.
    received : list of bytes
    drawn : list of (int, bytes)
        Pseudo-random numbers, as they were taken, and whose generator they are from.
    opened : list of ndarray
        Opened comparisons and places.
    """

    def __init__(self, party: Replicated) -> None:
        self.events: list[tuple[str, int, int]] = []
        self.received: list[bytes] = []
        self.drawn: list[tuple[int, bytes]] = []
        self.opened: list[Values] = []
        self._send, self._recv, self._bytes = party.send, party.recv, party._bytes
        party.send, party.recv, party._bytes = self.send, self.recv, self.take  # type: ignore[method-assign]

    def send(self, to: int, payload: Any) -> None:
        self.events.append(("to", to, memoryview(payload).nbytes))
        self._send(to, payload)

    def recv(self, frm: int, size: int) -> bytes:
        content = self._recv(frm, size)
        self.events.append(("from", frm, len(content)))
        self.received.append(content)
        return content

    def take(self, component: int, size: int) -> Values:
        taken = self._bytes(component, size)
        self.drawn.append((component, taken.tobytes()))
        return taken

    @property
    def sent(self) -> list[int]:
        """Bytes of each message that was sent."""
        return [size for way, _, size in self.events if way == "to"]


@dataclass(frozen=True)
class Seen:
    """What all parties saw of an operation, and the rounds at each."""

    views: list[View]
    rounds: list[int]

    @property
    def transcript(self) -> tuple[Any, ...]:
        """Peers and sizes of all messages in order, at each party, and rounds."""
        return [view.events for view in self.views], self.rounds

    def known(self, rank: int) -> list[bytes]:
        """Pseudo-random numbers that a party can make: what any party took from the two generators that it has."""
        taken = [numbers for view in self.views for c, numbers in view.drawn if c in (rank, (rank + 1) % 3)]
        return list(dict.fromkeys(taken))


def reseed(party: Replicated, seed: Sequence[int]) -> None:
    """Replace the agreed seeds by fixed ones."""
    for component in party._streams:
        content = np.random.default_rng([*seed, component]).bytes(core.SEED_BYTES)
        party._streams[component] = core._Stream(content)


def observe(
    operation: Operation, kind: str, rows: int, *, seed: int = 1, shared: bool = True, repeat: int = 1
) -> Iterator[Seen]:
    """Run an operation on secrets of a kind, several times with other randomness.

    Parameters
    ----------
    operation : Operation
    kind : str
        See :func:`tests.columns.draw`.
    rows, seed : int
    shared : bool
        Whether the secrets are shared at random, or lie in component 0 as they are.
    repeat : int
        Every run has its own randomness; the secrets stay.
    """
    rng = np.random.default_rng([seed, rows])
    values = draw(operation.columns, kind, rows, rng)
    shares = [
        share(column, each, rng if shared else None) for column, each in zip(operation.columns, values, strict=True)
    ]

    def body(party: Replicated) -> list[View]:
        views = []
        methods = party.send, party.recv, party._bytes
        for time in range(repeat):
            reseed(party, [seed, time])
            party.send, party.recv, party._bytes = methods  # type: ignore[method-assign]
            view = SEEN[party] = View(party)
            operation.call(party, *(column[party.rank] for column in shares))
            views.append(view)
        del SEEN[party]
        return views

    done = run(body, timeout=600)
    for views in zip(*done.results, strict=True):
        yield Seen(list(views), [traffic.rounds for traffic in done.traffic])


SEEN: dict[Replicated, View] = {}
"""The view of each party that runs now."""


def show_openings(patch: pytest.MonkeyPatch) -> None:
    """Keep in the views what sorts, compaction and radix passes open."""

    def kept(true: Callable[..., Values]) -> Callable[..., Values]:
        def opening(party: Replicated, *arguments: Any) -> Values:
            opened = true(party, *arguments)
            SEEN[party].opened.append(opened)
            return opened

        return opening

    for module, name in ((sort, "_open_part"), (compact, "open_all"), (radix, "open_all"), (radix, "open_bits")):
        patch.setattr(module, name, kept(getattr(module, name)))


def statistic(octets: Values) -> float:
    """Chi-square of the bytes against equal counts."""
    counts = np.bincount(octets, minlength=256)
    return float(((counts - counts.mean()) ** 2).sum() / counts.mean())


def telling(seen: Seen, rank: int) -> list[str]:
    """What of a party's view is not noise to it.

    Every message is to be uniform, and so are its differences (mod 2^64 and by XOR) from every other one of its size
    and from all pseudo-random numbers of its size that the party can make: a mask that the party knows, or that was
    used before, would show.
    """
    found = []

    def test(name: str, octets: Values) -> None:
        if len(octets) >= ENOUGH and not LOW < statistic(octets) < HIGH:
            found.append(f"{name}: {statistic(octets)}")

    messages = [np.frombuffer(content, np.uint8) for content in seen.views[rank].received]
    test("all messages", np.concatenate([np.empty(0, np.uint8), *messages]))
    for at, message in enumerate(messages):
        test(f"message {at}", message)
    large = [(at, message) for at, message in enumerate(messages) if len(message) >= ENOUGH]
    for (at, one), (later, other) in itertools.combinations(large, 2):
        for way, difference in differences(one, other):
            test(f"messages {at} and {later} {way}", difference)
    for (at, message), (number, known) in itertools.product(large, enumerate(seen.known(rank))):
        for way, difference in differences(message, np.frombuffer(known, np.uint8)):
            test(f"message {at} and own numbers {number} {way}", difference)
    return found


def differences(one: Values, other: Values) -> list[tuple[str, Values]]:
    """XOR and difference of two messages of one size."""
    if len(one) != len(other):
        return []
    kind = np.uint64 if len(one) % 8 == 0 else np.uint32
    return [("by XOR", one ^ other), ("by subtraction", (one.view(kind) - other.view(kind)).view(np.uint8))]
