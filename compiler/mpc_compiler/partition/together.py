"""Independent equations of one kind as one kernel call, in the same messages: which, in which order, at what cost."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from math import isqrt

import numpy as np

from mpc_compiler.cost import ZERO, Cost, Link, bits, native
from mpc_compiler.ops.define import FRACTION_BITS, RAW
from mpc_compiler.ops.primitives import PRIMITIVES
from mpc_compiler.partition.atoms import avals_of
from mpc_compiler.partition.kinds import NATIVE, TOGETHER, Call

__all__ = ["batches", "call_cost", "together_cost"]

_MOST = 1 << 22
"""Most elements that are put together: beyond, rounds do not count and copies do."""
_SPARED = 1 << 19
"""Bytes that a comparison of several widths may waste to save a second one."""


def call_cost(call: Call, link: Link) -> Cost:
    """Return what one call costs alone."""
    if call.kind in TOGETHER:
        return together_cost([call], link)
    if call.kind == "local":
        return Cost(0, 0, _work(call) // 4)
    name, size = call.primitive, call.size
    if call.kind == "low_bits":
        mask = next(operand for operand in call.operands if not isinstance(operand, str))
        return _low_bits(size, int(mask.reshape(-1)[0]).bit_length(), link)
    if call.kind == "floor":
        return _low_bits(size, FRACTION_BITS, link)
    if call.kind == "shift_right":
        count = next(int(operand.reshape(-1)[0]) for operand in call.operands if not isinstance(operand, str))
        kept = RAW if call.primitive == "shift_right_arithmetic" else RAW - count
        return bits.a2b_cost(bits.words_of(size), RAW, link) + bits.recompose_cost(size, kept, link)
    if call.kind == "shift":
        return Cost(2, 20 * size, 8 * size)
    if name in PRIMITIVES:
        return PRIMITIVES[name].cost("aby3", link, avals_of(call.eqn.invars), call.params)
    assert name in NATIVE
    return native.sigmoid_native(size)


def _low_bits(size: int, width: int, link: Link) -> Cost:
    if width == RAW:
        return ZERO
    return bits.a2b_cost(bits.words_of(size), width, link) + bits.recompose_cost(size, width, link)


def _work(call: Call) -> int:
    """What a product computes at one party: 8 for an element, or 1/8 for a term of a large sum."""
    if call.primitive not in ("dot_general", "ring_matmul", "scaled_matmul"):
        return 8 * call.size
    left, right = (int(np.prod(shape, dtype=np.int64)) for shape in call.shapes)
    inner = isqrt(left * right // max(1, call.size))
    return left + right + call.size * inner // 8


def together_cost(calls: Sequence[Call], link: Link) -> Cost:
    """Return what calls of one kind cost when they run together; exact."""
    kind, size = calls[0].kind, sum(call.size for call in calls)
    words = sum(bits.words_of(call.size) for call in calls)
    if kind == "multiply":
        return Cost(1, 24 * size, sum(map(_work, calls)))
    if kind == "fixed_multiply":
        return Cost(2, 36 * size, 2 * sum(map(_work, calls)))
    if kind == "scale":
        return Cost(2, 20 * size, 12 * size)
    if kind == "and":
        return Cost(1, 24 * words, words)
    if kind == "select":
        return _select(calls)
    width = max(call.params["bits"] for call in calls)
    return bits.less_cost(words, width, link) if kind == "less" else bits.equal_cost(words, width)


def _select(calls: Sequence[Call]) -> Cost:
    """Numbers of a flag: a message for the flag, three for each difference; a public difference comes with the flag."""
    flags: dict[str, tuple[int, int, bool]] = {}
    for call in calls:
        flag, *cases = call.operands
        assert isinstance(flag, str)
        secret = any(isinstance(case, str) for case in cases)
        size, count, public = flags.get(flag, (call.size, 0, False))
        flags[flag] = (size, count + secret, public or not secret)
    sent = sum(8 * size * (count + 1 + 2 * (count + public)) for size, count, public in flags.values())
    return Cost(2, sent, 12 * sum(call.size for call in calls))


def _class_of(call: Call, at: int) -> Hashable:
    if call.kind not in TOGETHER:
        return at
    return (call.kind, call.params["bits"]) if call.kind in ("scale", "fixed_multiply") else call.kind


def batches(calls: Sequence[Call], link: Link) -> Iterator[list[Call]]:
    """Order calls so that many of one kind stand together; every call comes after those that make its operands.

    Local calls run as soon as they can. Of the others that can run, a whole class runs, at best one that no other
    member could still join; else the class that the fewest could. Deterministic: all parties get the same order.
    """
    waits = _Waits(calls)
    for at in waits.start():
        yield [calls[at]]
    while waits.ready:
        chosen = min(waits.ready, key=lambda name: (waits.missed(name), waits.ready[name][0]))
        members = sorted(waits.ready.pop(chosen))
        yield from _chunks([calls[at] for at in members], link)
        for at in waits.done(chosen, members):
            yield [calls[at]]


class _Waits:
    """Which calls wait for which.

    A call that sends messages is *blocked within its class* while it waits for another member. The latest such member
    is remembered, and the call looked at again when that one is done, so that nothing is searched at every step.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        maker = {name: at for at, call in enumerate(calls) for name in call.outputs}
        needs = [{maker[v] for v in call.operands if isinstance(v, str) and v in maker} for call in calls]
        self._classes = [None if call.kind == "local" else _class_of(call, at) for at, call in enumerate(calls)]
        self._readers: list[list[int]] = [[] for _ in calls]
        self._left = [len(before) for before in needs]
        self._above = [0] * len(calls)  # bit i: waits for the call i that sends messages
        self._pending: dict[Hashable, int] = {}
        self._unblocked: dict[Hashable, int] = {}
        self._blocked: dict[int, list[int]] = {}
        self.ready: dict[Hashable, list[int]] = {}
        """Calls that send messages and can run, by class, the first of each in front."""
        for at, before in enumerate(needs):
            for other in before:
                self._readers[other].append(at)
                self._above[at] |= self._above[other] | (0 if self._classes[other] is None else 1 << other)
            name = self._classes[at]
            if name is not None:
                self._look(at, name)
                self._pending[name] = self._pending.get(name, 0) | 1 << at

    def _look(self, at: int, name: Hashable) -> None:
        """Remember what blocks a call within its class, or that nothing does."""
        before = self._above[at] & self._pending.get(name, 0)
        if before:
            self._blocked.setdefault(before.bit_length() - 1, []).append(at)
        else:
            self._unblocked[name] = self._unblocked.get(name, 0) + 1

    def missed(self, name: Hashable) -> int:
        """How many more of a class could run if it waited: those that wait for no member of it."""
        return self._unblocked[name] - len(self.ready[name])

    def start(self) -> list[int]:
        """Local calls that can run at first, in order."""
        return self._passed([at for at, count in enumerate(self._left) if not count])

    def done(self, name: Hashable, members: Sequence[int]) -> list[int]:
        """Local calls that can run once these members of a class are done, in order."""
        for at in members:
            self._pending[name] &= ~(1 << at)
        self._unblocked[name] -= len(members)
        for at in members:
            for other in self._blocked.pop(at, ()):
                self._look(other, name)
        return self._passed([free for at in members for free in self._freed(at)])

    def _freed(self, at: int) -> list[int]:
        for reader in self._readers[at]:
            self._left[reader] -= 1
        return [reader for reader in self._readers[at] if not self._left[reader]]

    def _passed(self, free: list[int]) -> list[int]:
        """Of calls that wait for nothing the local ones, and those that these set free; the others become ready."""
        local = []
        while free:
            at = free.pop()
            name = self._classes[at]
            if name is None:
                local.append(at)
                free += self._freed(at)
            else:
                others = self.ready.setdefault(name, [])
                others.insert(0 if others and at < others[0] else len(others), at)
        return sorted(local)


def _chunks(calls: Sequence[Call], link: Link) -> Iterator[list[Call]]:
    """Calls of one class in as few batches as size and width allow."""
    if calls[0].kind in ("less", "equal") and len(calls) > 1:
        whole = together_cost(calls, link).bytes
        groups: dict[int, list[Call]] = {}
        for call in calls:
            groups.setdefault((call.params["bits"] - 1).bit_length(), []).append(call)
        if whole - sum(together_cost(group, link).bytes for group in groups.values()) > _SPARED:
            for group in groups.values():
                yield from _sized(group)
            return
    yield from _sized(calls)


def _sized(calls: Sequence[Call]) -> Iterator[list[Call]]:
    batch: list[Call] = []
    for call in calls:
        if batch and sum(other.size for other in batch) + call.size > _MOST:
            yield batch
            batch = []
        batch.append(call)
    if batch:
        yield batch
