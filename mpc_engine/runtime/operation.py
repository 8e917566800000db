"""An equation as kernels get it: operands, parameters, and what the result is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mpc_engine.runtime.columns import Operand, number, taken
from mpc_engine.runtime.replicated.core import Pairs, Replicated

__all__ = ["Operation", "Operations", "numbers"]


class Operation:
    """One equation.

    Parameters
    ----------
    name : str
        The primitive.
    operands : sequence of Operand
    params : mapping
        What a kernel needs to know besides.
    shape : tuple of int
    dtype : str
        Of the result.

    Attributes
    ----------
    size : int
        Elements of the result.
    """

    def __init__(
        self, name: str, operands: Sequence[Operand], params: Mapping[str, Any], shape: tuple[int, ...], dtype: str
    ) -> None:
        self.name, self.operands, self.params, self.shape, self.dtype = name, operands, params, shape, dtype
        self.size = math.prod(shape)


Operations = Sequence[Operation]


def numbers(party: Replicated, operation: Operation) -> list[Pairs]:
    """All operands as pairs, one element for each of the result."""
    return [
        number(party, taken(party, Operand(operand.column, operand.public, operation.shape)))
        for operand in operation.operands
    ]
