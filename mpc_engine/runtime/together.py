"""Kernels for many independent operations of one kind at once: one message carries them all.

Every function takes operations of one kind, of any sizes, and returns one column for each. What they cost together is
declared in :func:`mpc_compiler.partition.together.together_cost`; tests compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.columns import (
    Operand,
    as_bit,
    join_bits,
    number,
    ring_of,
    split_bits,
    spread,
    taken,
)
from mpc_engine.runtime.operation import Operation, Operations, numbers
from mpc_engine.runtime.products import fixed_products, products, public_product
from mpc_engine.runtime.replicated.arithmetic import add_public, scale
from mpc_engine.runtime.replicated.bits import Bits, and_, not_, xor
from mpc_engine.runtime.replicated.choose import Choice, choose_all
from mpc_engine.runtime.replicated.convert import is_zero, negative
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.shuffle import Column
from mpc_engine.runtime.replicated.truncate import truncate
from mpc_kernels.bits import plane_words

__all__ = ["TOGETHER_KERNELS"]


def _cut(pairs: Pairs, operations: Operations) -> list[Column]:
    ends = np.cumsum([operation.size for operation in operations])
    return [pairs[end - operation.size : end] for end, operation in zip(ends, operations, strict=True)]


def _join(parts: Sequence[Pairs]) -> Pairs:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _multiply(party: Replicated, operations: Operations) -> list[Column]:
    return _cut(products(party, operations), operations)


def _fixed_multiply(party: Replicated, operations: Operations) -> list[Column]:
    return _cut(fixed_products(party, operations, bits=operations[0].params["bits"]), operations)


def _scale(party: Replicated, operations: Operations) -> list[Column]:
    exact = [public_product(party, operation) for operation in operations]
    whole = exact[0] if len(exact) == 1 else np.concatenate(exact)
    return _cut(truncate(party, whole, bits=operations[0].params["bits"]), operations)


def _and(party: Replicated, operations: Operations) -> list[Column]:
    """AND, OR, and choices between flags: ``b ^ c & (a ^ b)``."""
    left: list[Bits] = []
    right: list[Bits] = []
    done: list[Bits | None] = []
    for operation in operations:
        flags = [
            as_bit(party, taken(party, Operand(operand.column, operand.public, operation.shape)))
            for operand in operation.operands
        ]
        if operation.name == "select_n":
            condition, other, chosen = flags
            left.append(condition)
            right.append(xor(chosen, other))
            done.append(other)
        else:
            invert = operation.name == "or"
            left.append(not_(party, flags[0]) if invert else flags[0])
            right.append(not_(party, flags[1]) if invert else flags[1])
            done.append(None)
    product = split_bits(and_(party, join_bits(left), join_bits(right)), [operation.size for operation in operations])
    results: list[Column] = []
    for operation, made, base in zip(operations, product, done, strict=True):
        if base is not None:
            results.append(xor(base, made))
        else:
            results.append(not_(party, made) if operation.name == "or" else made)
    return results


def _select(party: Replicated, operations: Operations) -> list[Column]:
    """Choices between numbers, and flags as numbers: those by one flag share the message about it."""
    choices: dict[int, Choice] = {}
    found: list[tuple[Choice, int | None, Operation]] = []
    for operation in operations:
        flag = operation.operands[0].secret()
        choice = choices.setdefault(id(flag), Choice(as_bit(party, flag)))
        cases = operation.operands[1:]
        if any(case.public is None for case in cases):
            other, chosen = numbers(party, Operation("", cases, {}, operation.shape, operation.dtype))
            found.append((choice, choice.between(chosen - other), operation))
        else:
            choice.wanted = True
            found.append((choice, None, operation))
    choose_all(party, list(choices.values()))
    results: list[Column] = []
    for choice, at, operation in found:
        results.append(_chosen(party, choice, at, operation))
    return results


def _chosen(party: Replicated, choice: Choice, at: int | None, operation: Operation) -> Pairs:
    cases = operation.operands[1:]
    if at is not None:
        other = number(party, taken(party, Operand(cases[0].column, cases[0].public, operation.shape)))
        total: Pairs = other + choice.products[at]
        return total
    ones = choice.number
    if not cases:  # a conversion: the number that stands for True
        return scale(ones, ring_of(np.ones(1, operation.dtype)))
    other, chosen = (ring_of(spread(case.public, operation.shape)) for case in cases if case.public is not None)
    return add_public(party, scale(ones, chosen - other), other)


def _differences(party: Replicated, operations: Operations) -> tuple[Pairs, int]:
    """Left less right of comparisons, or the other way round, each from a new word of 64 on; and the width."""
    words = [64 * plane_words(operation.size) for operation in operations]
    alone = len(operations) == 1
    whole = np.zeros((operations[0].size if alone else sum(words), 2), np.uint64)
    at = 0
    for operation, step in zip(operations, words, strict=True):
        left, right = (_side(operand, operation) for operand in operation.operands)
        if operation.params["op"] in ("gt", "le"):
            left, right = right, left
        part = whole[at : at + operation.size]
        _add(party, part, left, np.add)
        _add(party, part, right, np.subtract)
        at += step
    return whole, max(operation.params["bits"] for operation in operations)


def _side(operand: Operand, operation: Operation) -> Pairs | NDArray[np.uint64]:
    if operand.public is not None:
        return ring_of(spread(operand.public, operation.shape))
    column = operand.secret()
    assert not isinstance(column, Bits)
    return column


def _add(party: Replicated, to: Pairs, value: NDArray[np.uint64], join: Callable[..., Any]) -> None:
    """Add a secret or a public array in place."""
    if value.ndim == 2:
        join(to, value, out=to)
    elif party.rank != 1:
        side = to[:, 0] if party.rank == 0 else to[:, 1]
        join(side, value, out=side)


def _less(party: Replicated, operations: Operations) -> list[Column]:
    found = negative(party, *_differences(party, operations))
    return _inverted(party, found, operations, ("le", "ge"))


def _equal(party: Replicated, operations: Operations) -> list[Column]:
    found = is_zero(party, *_differences(party, operations))
    return _inverted(party, found, operations, ("ne",))


def _inverted(party: Replicated, found: Bits, operations: Operations, which: Sequence[str]) -> list[Column]:
    parts = split_bits(found, [operation.size for operation in operations])
    return [
        not_(party, part) if operation.params["op"] in which else part
        for part, operation in zip(parts, operations, strict=True)
    ]


TOGETHER_KERNELS: dict[str, Callable[[Replicated, Operations], list[Column]]] = {
    "and": _and,
    "select": _select,
    "multiply": _multiply,
    "fixed_multiply": _fixed_multiply,
    "scale": _scale,
    "less": _less,
    "equal": _equal,
}
"""By the kind of :func:`mpc_compiler.partition.kinds.kind_of`."""
