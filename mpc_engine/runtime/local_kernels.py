"""What kernels do without a message: rearranging arrays of shares, adding, and what public operands make local."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.columns import Operand, as_bit, laid_out, number, packed, ring_of, shared, spread, taken
from mpc_engine.runtime.operation import Operation
from mpc_engine.runtime.products import public_product
from mpc_engine.runtime.replicated.arithmetic import add_public, neg, scale
from mpc_engine.runtime.replicated.bits import Bits, not_, xor
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.scan import prefix_sum
from mpc_engine.runtime.replicated.shuffle import Column
from mpc_engine.runtime.shares import FRACTION_BITS
from mpc_kernels.bits import rows_to_planes

__all__ = ["LOCAL"]

Params = Mapping[str, Any]
Array = NDArray[Any]
Local = Callable[[Replicated, Operation], Column]


def _rearranged(how: Callable[[Array, Params], Array]) -> Local:
    """A kernel that moves elements of one array; `how` gets it as [*shape, 2]."""

    def kernel(party: Replicated, operation: Operation) -> Column:
        (operand, *_) = operation.operands
        return packed(how(laid_out(taken(party, operand), operand.shape), operation.params))

    return kernel


def _summed(how: Callable[[Array, Params], Array]) -> Local:
    """The same for numbers; flags are made numbers."""

    def kernel(party: Replicated, operation: Operation) -> Column:
        (operand, *_) = operation.operands
        return packed(how(laid_out(number(party, taken(party, operand)), operand.shape), operation.params))

    return kernel


def _slice(whole: Array, params: Params) -> Array:
    first, last = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(first)
    return whole[tuple(slice(a, b, s) for a, b, s in zip(first, last, steps, strict=True))]


def _broadcast(whole: Array, params: Params) -> Array:
    at = dict(zip(params["broadcast_dimensions"], whole.shape[:-1], strict=True))
    spread_out = whole.reshape(*(at.get(axis, 1) for axis in range(len(params["shape"]))), 2)
    return np.broadcast_to(spread_out, (*params["shape"], 2))


def _places(whole: Array, params: Params) -> Array:
    positions = params["places"].positions
    flat = whole.reshape(-1, 2)
    picked: Array = flat[np.maximum(positions, 0)]
    return np.where(positions[..., None] >= 0, picked, flat.dtype.type(0))


def _cumsum(whole: Array, params: Params) -> Array:
    axis = params["axis"]
    turned = np.flip(whole, axis) if params["reverse"] else whole
    total: Array = np.cumsum(turned, axis=axis, dtype=np.uint64)
    return np.flip(total, axis) if params["reverse"] else total


def _alike(party: Replicated, operands: Sequence[Operand]) -> list[Array]:
    """Several arrays of one representation: if any flag is a number, all are."""
    columns = [taken(party, operand) for operand in operands]
    if not all(isinstance(column, Bits) for column in columns):
        columns = [number(party, column) for column in columns]
    return [laid_out(column, operand.shape) for column, operand in zip(columns, operands, strict=True)]


def _concatenate(party: Replicated, operation: Operation) -> Column:
    return packed(np.concatenate(_alike(party, operation.operands), axis=operation.params["dimension"]))


def _pad(party: Replicated, operation: Operation) -> Column:
    whole, filling = _alike(party, operation.operands)
    config = operation.params["padding_config"]
    wide = [max(0, (size - 1) * (inner + 1) + 1) for size, (_, _, inner) in zip(whole.shape, config, strict=False)]
    left = [max(0, low) for low, _, _ in config]
    right = [max(0, high) for _, high, _ in config]
    out = np.empty((*(a + w + b for a, w, b in zip(left, wide, right, strict=True)), 2), whole.dtype)
    out[...] = filling
    out[tuple(slice(a, a + w, inner + 1) for a, w, (_, _, inner) in zip(left, wide, config, strict=True))] = whole
    cuts = (slice(max(0, -low), size - max(0, -high)) for size, (low, high, _) in zip(out.shape, config, strict=False))
    return packed(out[tuple(cuts)])


def _add(party: Replicated, operation: Operation) -> Column:
    left, right = operation.operands
    if left.public is not None:
        left, right = right, left
    if right.public is not None:
        return add_public(party, number(party, left.secret()), ring_of(spread(right.public, operation.shape)))
    total: Pairs = number(party, left.secret()) + number(party, right.secret())
    return total


def _sub(party: Replicated, operation: Operation) -> Column:
    left, right = operation.operands
    if left.public is not None:
        given = ring_of(spread(left.public, operation.shape))
        return add_public(party, neg(number(party, right.secret())), given)
    if right.public is not None:
        given = np.uint64(0) - ring_of(spread(right.public, operation.shape))
        return add_public(party, number(party, left.secret()), given)
    total: Pairs = number(party, left.secret()) - number(party, right.secret())
    return total


def _logic(party: Replicated, operation: Operation) -> Column:
    """AND or OR of a secret and a public flag."""
    left, right = operation.operands
    if left.public is not None:
        left, right = right, left
    flag = as_bit(party, left.secret())
    assert right.public is not None
    if operation.name == "or":  # not (not flag and not public)
        return not_(party, _masked(party, not_(party, flag), ~right.public, operation.shape))
    return _masked(party, flag, right.public, operation.shape)


def _masked(party: Replicated, flag: Bits, public: Array, shape: tuple[int, ...]) -> Bits:
    """The flag where a public one is set, else 0."""
    flat = np.ascontiguousarray(spread(public, shape)).astype(np.uint64).reshape(-1, 1)
    mask = rows_to_planes(flat, 1)
    return Bits(flag.own & mask, flag.next & mask, flag.rows)


def _not(party: Replicated, operation: Operation) -> Column:
    flag = taken(party, operation.operands[0])
    return not_(party, flag) if isinstance(flag, Bits) else add_public(party, neg(flag), np.array(1))


def _xor(party: Replicated, operation: Operation) -> Column:
    left, right = (
        as_bit(party, taken(party, Operand(operand.column, operand.public, operation.shape)))
        for operand in operation.operands
    )
    return xor(left, right)


def _select(party: Replicated, operation: Operation) -> Column:
    """A choice by a public condition, or between two public flags."""
    which, *cases = operation.operands
    if which.public is None:
        other, chosen = (case.public for case in cases)
        assert other is not None
        assert chosen is not None
        differs = _masked(party, as_bit(party, which.secret()), np.not_equal(other, chosen), operation.shape)
        base = shared(party, other, operation.shape)
        assert isinstance(base, Bits)
        return xor(base, differs)
    other, chosen = _alike(party, [Operand(case.column, case.public, operation.shape) for case in cases])
    return packed(np.where(np.broadcast_to(which.public, operation.shape)[..., None], chosen, other))


def _convert(party: Replicated, operation: Operation) -> Column:
    (operand,) = operation.operands
    column = number(party, taken(party, operand)) if operation.dtype != "bool" else taken(party, operand)
    if operation.dtype == "float64" and operation.params["source"] != "float64":
        assert not isinstance(column, Bits)
        return scale(column, np.uint64(1 << FRACTION_BITS))
    return column


LOCAL: dict[str, Local] = {
    "slice": _rearranged(_slice),
    "reshape": _rearranged(lambda whole, _: whole),
    "squeeze": _rearranged(lambda whole, _: whole),
    "expand_dims": _rearranged(lambda whole, _: whole),
    "copy": _rearranged(lambda whole, _: whole),
    "broadcast_in_dim": _rearranged(_broadcast),
    "rev": _rearranged(lambda whole, params: np.flip(whole, params["dimensions"])),
    "transpose": _rearranged(lambda whole, params: whole.transpose(*params["permutation"], whole.ndim - 1)),
    "gather": _rearranged(_places),
    "dynamic_slice": _rearranged(_places),
    "concatenate": _concatenate,
    "pad": _pad,
    "reduce_sum": _summed(lambda whole, params: whole.sum(axis=params["axes"], dtype=np.uint64)),
    "neg": _summed(lambda whole, _: neg(whole)),
    "prefix_sum": _summed(lambda whole, _: prefix_sum(np.ascontiguousarray(whole))),
    "cumsum": _summed(_cumsum),
    "encode_fixed": _summed(lambda whole, _: whole),
    "decode_fixed": _summed(lambda whole, _: whole),
    "add": _add,
    "sub": _sub,
    "mul": public_product,
    "div": public_product,
    "shift_left": public_product,
    "and": _logic,
    "or": _logic,
    "not": _not,
    "xor": _xor,
    "select_n": _select,
    "convert_element_type": _convert,
    "dot_general": public_product,
    "ring_matmul": public_product,
}
"""By the name of jax's primitive, or ours."""
