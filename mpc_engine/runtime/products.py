"""Products of any shape: of elements and of matrices, many in one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.columns import number, ring_of, spread
from mpc_engine.runtime.operation import Operation, Operations, numbers
from mpc_engine.runtime.replicated.arithmetic import Part, multiply, scale
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.truncate import fixed_multiply, fixed_parts

__all__ = ["fixed_products", "products", "public_product"]

_MATMUL = (((1,), (0,)), ((), ()))


def products(party: Replicated, operations: Operations) -> Pairs:
    """Products of secrets, flat, one after another: one round, 24 bytes an element of the results in all."""
    if _elements(operations):
        return multiply(party, *_sides(party, operations))
    return party.reshare(np.concatenate([_part(party, operation) for operation in operations]))


def fixed_products(party: Replicated, operations: Operations, *, bits: int) -> Pairs:
    """The same of fixed-point numbers, which lose as many bits: two rounds, 36 bytes an element in all."""
    if _elements(operations):
        return fixed_multiply(party, *_sides(party, operations), bits=bits)
    return fixed_parts(party, np.concatenate([_part(party, operation) for operation in operations]), bits=bits)


def _elements(operations: Operations) -> bool:
    return all(operation.name == "mul" for operation in operations)


def _sides(party: Replicated, operations: Operations) -> tuple[Pairs, Pairs]:
    pairs = [numbers(party, operation) for operation in operations]
    if len(pairs) == 1:
        return pairs[0][0], pairs[0][1]
    return np.concatenate([left for left, _ in pairs]), np.concatenate([right for _, right in pairs])


def _part(party: Replicated, operation: Operation) -> Part:
    """Return this party's summand of a product, not masked; local."""
    if operation.name == "mul":
        left, right = (np.ascontiguousarray(x)[None] for x in numbers(party, operation))
        out = np.empty(operation.size, np.uint64)
        return mpc_kernels.replicated_dot_local(left, right, plus=None, minus=None, out=out, threads=party.threads)
    left, right = _matrices(party, operation)
    part: Part = mpc_kernels.replicated_matmul_local(left, right, threads=party.threads).reshape(-1)
    return part


def _matrices(party: Replicated, operation: Operation) -> list[NDArray[np.uint64]]:
    """Both factors as matrices: pairs [m, k, 2] and [k, n, 2], or ring elements without the 2 if public."""
    ((left, right), _) = operation.params.get("dimension_numbers", _MATMUL)
    a, b = (operand.shape for operand in operation.operands)
    rows = tuple(axis for axis in range(len(a)) if axis not in left)
    columns = tuple(axis for axis in range(len(b)) if axis not in right)
    inner = _size(a, left)
    orders = (*rows, *left), (*right, *columns)
    shapes = (_size(a, rows), inner), (inner, _size(b, columns))
    found = []
    for operand, order, shape in zip(operation.operands, orders, shapes, strict=True):
        if operand.public is not None:
            whole = ring_of(np.broadcast_to(operand.public, operand.shape))
            found.append(np.ascontiguousarray(whole.transpose(order).reshape(shape)))
        else:
            pairs = number(party, operand.secret()).reshape(*operand.shape, 2)
            found.append(np.ascontiguousarray(pairs.transpose(*order, len(order)).reshape(*shape, 2)))
    return found


def _size(shape: Sequence[int], axes: Sequence[int]) -> int:
    return int(np.prod([shape[axis] for axis in axes], dtype=np.int64))


def public_product(party: Replicated, operation: Operation) -> Pairs:
    """A product of a secret and something public, exactly in the ring; local."""
    if operation.name in ("mul", "div", "shift_left"):
        secret = next(operand for operand in operation.operands if operand.public is None)
        factor = next(operand.public for operand in operation.operands if operand.public is not None)
        return scale(number(party, secret.secret()), ring_of(spread(factor, operation.shape)))
    left, right = _matrices(party, operation)
    made = [mpc_kernels.matmul64(_side(left, side), _side(right, side), threads=party.threads) for side in (0, 1)]
    return np.stack(made, axis=-1).reshape(-1, 2)


def _side(matrix: NDArray[Any], side: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(matrix[..., side]) if matrix.ndim == 3 else matrix
