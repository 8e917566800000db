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
    if call.primitive not in ("dot_general", "ring_matmul"):
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
    return (call.kind, call.params["bits"]) if call.kind == "scale" else call.kind


def batches(calls: Sequence[Call], link: Link) -> Iterator[list[Call]]:
    """Order calls so that many of one kind stand together; every call comes after those that make its operands.

    Local calls run as soon as they can. Of the others that can run, a whole class runs, at best one that no other
    member could still join; else the class that the fewest could. Deterministic: all parties get the same order.
    """
    maker = {name: at for at, call in enumerate(calls) for name in call.outputs}
    needs = [{maker[v] for v in call.operands if isinstance(v, str) and v in maker} for call in calls]
    classes = [None if call.kind == "local" else _class_of(call, at) for at, call in enumerate(calls)]
    above = [0] * len(calls)  # bit i: waits for the call i that sends messages
    for at, before in enumerate(needs):
        for other in before:
            above[at] |= above[other] | (0 if classes[other] is None else 1 << other)
    members: dict[Hashable, int] = {}
    for at, name in enumerate(classes):
        if name is not None:
            members[name] = members.get(name, 0) | 1 << at
    pending = sum(members.values())
    waiting = list(range(len(calls)))
    while waiting:
        now = [at for at in waiting if not above[at] & pending]
        local = [at for at in now if classes[at] is None]
        if local:
            yield from ([calls[at]] for at in local)
            done = set(local)
            waiting = [at for at in waiting if at not in done]
            continue
        ready: dict[Hashable, list[int]] = {}
        for at in now:
            ready.setdefault(classes[at], []).append(at)
        chosen = min(ready, key=lambda name: (_missed(members[name] & pending, ready[name], above), ready[name][0]))
        yield from _chunks([calls[at] for at in ready[chosen]], link)
        for at in ready[chosen]:
            pending &= ~(1 << at)
        done = set(ready[chosen])
        waiting = [at for at in waiting if at not in done]


def _missed(members: int, ready: Sequence[int], above: Sequence[int]) -> int:
    """How many more of a class could run if it waited: those that wait for no member of it."""
    rest = members
    for at in ready:
        rest &= ~(1 << at)
    count = 0
    while rest:
        at = rest.bit_length() - 1
        rest ^= 1 << at
        count += not above[at] & members
    return count


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
