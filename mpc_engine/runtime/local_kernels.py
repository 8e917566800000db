"""What kernels do on the way at no cost to speak of: rearranging arrays of shares, adding, and flags as bits.

Everything is local but flags: AND and OR take one bit each in one round, a flag becomes a number for 24 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated.arithmetic import add_public, neg, scale
from mpc_engine.runtime.replicated.bits import Bits, and_, not_
from mpc_engine.runtime.replicated.convert import a2b, inject
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.scan import prefix_sum
from mpc_engine.runtime.replicated.shuffle import Column

__all__ = ["LOCAL", "Kernel", "Params", "as_bit", "number"]

Params = Mapping[str, Any]
"""Of the primitive; besides ``shapes`` of the operands, and ``literals``: whole constants by position, else None."""
Kernel = Callable[[Replicated, Sequence[Column], Params], Sequence[Column]]


def number(party: Replicated, column: Column) -> Pairs:
    """A column as pairs; flags become 0 and 1."""
    return inject(party, column)[0] if isinstance(column, Bits) else column


def as_bit(party: Replicated, column: Column) -> Bits:
    """A flag as one plane; numbers 0 and 1 are converted."""
    return column if isinstance(column, Bits) else a2b(party, column, 1)


def _rearranged(how: Callable[[NDArray[np.uint64], Params], NDArray[np.uint64]]) -> Kernel:
    """A kernel that moves elements of one array; `how` gets it as [*shape, 2]."""

    def kernel(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
        whole = number(party, inputs[0]).reshape(*params["shapes"][0], 2)
        return [np.ascontiguousarray(how(whole, params)).reshape(-1, 2)]

    return kernel


def _slice(whole: NDArray[np.uint64], params: Params) -> NDArray[np.uint64]:
    first, last = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(first)
    return whole[tuple(slice(a, b, s) for a, b, s in zip(first, last, steps, strict=True))]


def _broadcast(whole: NDArray[np.uint64], params: Params) -> NDArray[np.uint64]:
    at = dict(zip(params["broadcast_dimensions"], whole.shape[:-1], strict=True))
    spread = whole.reshape(*(at.get(axis, 1) for axis in range(len(params["shape"]))), 2)
    return np.broadcast_to(spread, (*params["shape"], 2))


def _concatenate(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    parts = [number(party, x).reshape(*shape, 2) for x, shape in zip(inputs, params["shapes"], strict=True)]
    return [np.concatenate(parts, axis=params["dimension"]).reshape(-1, 2)]


def _add(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    literals = [value for value in params.get("literals", ()) if value is not None]
    if literals:
        return [add_public(party, number(party, inputs[0]), literals[0])]
    return [number(party, inputs[0]) + number(party, inputs[1])]


def _sub(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    left, right = params.get("literals", (None, None))
    if left is not None:
        return [add_public(party, neg(number(party, inputs[0])), left)]
    if right is not None:
        return [add_public(party, number(party, inputs[0]), -right)]
    return [number(party, inputs[0]) - number(party, inputs[1])]


def _mul(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    (factor,) = (value for value in params["literals"] if value is not None)
    return [scale(number(party, inputs[0]), factor)]


def _and(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    left, right = (as_bit(party, x) for x in inputs)
    return [and_(party, left, right)]


def _or(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    left, right = (not_(party, as_bit(party, x)) for x in inputs)
    return [not_(party, and_(party, left, right))]


def _not(party: Replicated, inputs: Sequence[Column], params: Params) -> Sequence[Column]:
    (flag,) = inputs
    return [not_(party, flag) if isinstance(flag, Bits) else add_public(party, neg(flag), 1)]


LOCAL: dict[str, Kernel] = {
    "slice": _rearranged(_slice),
    "reshape": _rearranged(lambda whole, _: whole),
    "squeeze": _rearranged(lambda whole, _: whole),
    "broadcast_in_dim": _rearranged(_broadcast),
    "rev": _rearranged(lambda whole, params: np.flip(whole, params["dimensions"])),
    "reduce_sum": _rearranged(lambda whole, params: whole.sum(axis=params["axes"], dtype=np.uint64)),
    "neg": _rearranged(lambda whole, _: neg(whole)),
    "prefix_sum": lambda party, inputs, _: [prefix_sum(number(party, inputs[0]))],
    "concatenate": _concatenate,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "and": _and,
    "or": _or,
    "not": _not,
    "convert_element_type": lambda party, inputs, _: [number(party, inputs[0])],
}
"""By the name of jax's primitive, or ours."""
