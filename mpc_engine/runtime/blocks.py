"""Columns that their owner keeps in the clear for a model: standardised by its own moments, as fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import FRACTION_BITS, Field
from mpc_compiler.lower.stages import Owned, code_sizes
from mpc_compiler.ops.scaler import units

__all__ = ["block_arrays"]

_LEAST = 2.0**-12
"""A standard deviation below this part of a column's unit counts as none, as for secret columns."""


def block_arrays(block: Owned, columns: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What the owner of a block keeps and shares.

    Parameters
    ----------
    block : Owned
    columns : sequence of ndarray [n]
        Values in the order of the block's columns.

    Returns
    -------
    dict
        ``__matrix``: integers [n, p] with FRACTION_BITS fraction bits, which the owner keeps. ``__mean``,
        ``__inverse``: float64 [p], mean and inverse standard deviation in units, which it shares. A column that does
        not vary is all 0, with inverse 0: whatever its coefficient, the Hessian is singular there. Columns that are
        only centred have no ``__inverse``.
    """
    if block.how == "onehot":
        return {"__matrix": _one_hot(columns, code_sizes(block))}
    x = np.stack([_real(column, wanted.field) for column, wanted in zip(columns, block.columns, strict=True)], axis=1)
    x *= units([_limits(wanted.field) for wanted in block.columns])
    if block.how == "units":
        return {"__matrix": _fixed(x)}
    mean, deviation = (x.mean(axis=0), x.std(axis=0)) if len(x) else (np.zeros(x.shape[1]), np.zeros(x.shape[1]))
    if block.how == "centred":
        return {"__matrix": _fixed(x - mean), "__mean": _nearest(mean)}
    varies = deviation > _LEAST
    inverse = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
    return {"__matrix": _fixed((x - mean) * inverse), "__mean": _nearest(mean), "__inverse": _nearest(inverse)}


def _one_hot(columns: Sequence[NDArray[Any]], sizes: Sequence[int]) -> NDArray[np.int8]:
    """Codes as rows of zeros and a one, side by side."""
    made = np.zeros((len(columns[0]), sum(sizes)), np.int8)
    start = 0
    for codes, size in zip(columns, sizes, strict=True):
        made[np.arange(len(codes)), start + codes.astype(np.int64)] = 1
        start += size
    return made


def _real(column: NDArray[Any], field: Field) -> NDArray[np.float64]:
    return column.astype(np.float64) * 10.0**-field.dtype.scale


def _limits(field: Field) -> tuple[float, float]:
    lo, hi = field.dtype.limits
    return float(lo), float(hi)


def _nearest(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest numbers that fixed point has."""
    nearest: NDArray[np.float64] = np.rint(x * 2.0**FRACTION_BITS) / 2.0**FRACTION_BITS
    return nearest


def _fixed(x: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
    """Fixed point in the smallest type that holds it."""
    whole = np.rint(x * 2.0**FRACTION_BITS).astype(np.int64)
    small = len(whole) == 0 or np.abs(whole).max() < 1 << 31
    fixed: NDArray[np.integer[Any]] = whole.astype(np.int32) if small else whole
    return fixed
