"""Columns that their owner keeps in the clear for a model: standardised by its own moments, as fixed point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import FRACTION_BITS, Field
from mpc_compiler.lower.stages import Owned, code_sizes
from mpc_compiler.ops.scaler import units

__all__ = ["block_arrays"]

_LEAST = 2.0**-12
"""A standard deviation below this part of a column's unit counts as none, as for secret columns."""


def block_arrays(block: Owned, columns: Iterable[NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
    """What the owner of a block keeps and shares.

    Parameters
    ----------
    block : Owned
    columns : iterable of ndarray [rows]
        Values in the order of the block's columns; each is asked for when the one before is done with.
    rows : int
        At most ``2**21``.

    Returns
    -------
    dict
        ``__matrix``: integers [rows, p] with FRACTION_BITS fraction bits, which the owner keeps. ``__mean``,
        ``__inverse``: float64 [p], mean and inverse standard deviation in units, which it shares. A column that does
        not vary is all 0, with inverse 0: whatever its coefficient, the Hessian is singular there. Columns that are
        only centred have no ``__inverse``.
    """
    if block.how == "onehot":
        return {"__matrix": _one_hot(columns, code_sizes(block), rows)}
    matrix = np.empty((rows, len(block.columns)), np.int32)  # a standardised value is below the root of `rows`
    shared = np.zeros((2, len(block.columns)))
    scales = units([_limits(wanted.field) for wanted in block.columns])
    for at, (column, wanted, scale) in enumerate(zip(columns, block.columns, scales, strict=True)):
        x = _real(column, wanted.field) * scale
        if block.how != "units":
            mean, inverse = _moments(x)
            x = (x - mean) * (inverse if block.how == "standard" else 1.0)
            shared[:, at] = mean, inverse
        matrix[:, at] = np.rint(x * 2.0**FRACTION_BITS)
    if block.how == "units":
        return {"__matrix": matrix}
    mean, inverse = np.rint(shared * 2.0**FRACTION_BITS) / 2.0**FRACTION_BITS
    if block.how == "centred":
        return {"__matrix": matrix, "__mean": mean}
    return {"__matrix": matrix, "__mean": mean, "__inverse": inverse}


def _moments(x: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and inverse standard deviation, 0 if the column does not vary."""
    if not len(x):
        return 0.0, 0.0
    deviation = float(x.std())
    return float(x.mean()), 1.0 / deviation if deviation > _LEAST else 0.0


def _one_hot(columns: Iterable[NDArray[Any]], sizes: Sequence[int], rows: int) -> NDArray[np.int8]:
    """Codes as rows of zeros and a one, side by side."""
    made = np.zeros((rows, sum(sizes)), np.int8)
    start = 0
    for codes, size in zip(columns, sizes, strict=True):
        made[np.arange(rows), start + codes.astype(np.int64)] = 1
        start += size
    return made


def _real(column: NDArray[Any], field: Field) -> NDArray[np.float64]:
    return column.astype(np.float64) * 10.0**-field.dtype.scale


def _limits(field: Field) -> tuple[float, float]:
    lo, hi = field.dtype.limits
    return float(lo), float(hi)
