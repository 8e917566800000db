"""Principal components of secret columns, from their sums of products; nothing is opened."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ops import numeric
from mpc_compiler.ops.eigen import eigen
from mpc_compiler.ops.linalg import GUARD

__all__ = ["LEAST", "Components", "principal", "whitening"]

_LOW, _HIGH = -numeric.FRACTION // 2, 16
LEAST = 2.0**-20
"""A component with a smaller share of the variance has none: whitened, it is 0."""


class Components(NamedTuple):
    """Principal components of p columns; all secret."""

    values: jax.Array
    """float64 [p]: sums of squares along the components, from the largest down, times ``root ** 2``."""
    vectors: jax.Array
    """float64 [p, p], times ``2**GUARD``: one component a column."""
    total: jax.Array
    """float64: the sum of all squares, times ``root ** 2``; below ``2**GUARD``."""
    root: jax.Array
    """float64: a power of two."""
    shift: jax.Array
    """float64 [p]: means of the rows that count, which the sums were not yet centred by."""


def principal(gram: jax.Array, nobs: jax.Array, part: NDArray[np.float64], *, rows: int) -> Components:
    """Components of columns whose sums of products are known.

    Parameters
    ----------
    gram : Array
        float64 [p+1, p+1], of columns in their units and an intercept, which comes first; see `Design.gram`.
    nobs : Array
        int64, rows that count.
    part : ndarray
        float64 [p], public, at most 1: what brings each column from its own unit to that which all have in common.
    rows : int
        Public upper bound of `nobs`.

    Notes
    -----
    The sums are scaled by a secret power of two, so that the resolution is that of the variance that there is, not of
    the range that there may be. Shares of the variance below ``2**-22`` are not resolved.

    Examples
    --------
    >>> gram = jnp.array([[4.0, 0.0, 0.0], [0.0, 5.0, 3.0], [0.0, 3.0, 5.0]])
    >>> found = principal(gram, jnp.array(4), np.ones(2), rows=4)
    >>> (found.values / found.root**2).round(4), (found.vectors[:, 0] * 2.0**-GUARD).round(4)
    (Array([8., 2.], dtype=float64), Array([0.7071, 0.7071], dtype=float64))
    """
    sums = gram[0, 1:]
    shift = numeric.ratio(sums, jnp.broadcast_to(nobs, sums.shape), den_max=rows)
    centred = gram[1:, 1:] - shift[:, None] * sums[None, :]
    if (part != 1).any():
        centred = centred * part[:, None] * part[None, :]
    total = jnp.sum(jnp.diagonal(centred))
    exponents = range(_LOW, _HIGH)
    flags = numeric.at_least(total, [4.0**e for e in exponents[1:]], below=4.0**_HIGH)
    root = numeric.step_sum(flags, [2.0 ** (GUARD // 2 - 1 - e) for e in exponents])
    scaled = (centred * root) * root
    values, vectors = eigen(scaled)
    return Components(values, vectors, jnp.sum(jnp.diagonal(scaled)), root, shift)


def whitening(values: jax.Array, root: jax.Array, nobs: jax.Array, *, rows: int) -> jax.Array:
    """``1 / standard deviation`` of components, float64 [k]; 0 for one whose share of the variance is below `LEAST`.

    >>> whitening(jnp.array([8.0, 0.0]), jnp.array(1.0), jnp.array(3), rows=3).round(4)
    Array([0.5, 0. ], dtype=float64)
    """
    half = (rows.bit_length() + 1) // 2
    varies = values >= LEAST * 2.0**GUARD
    inverse = numeric.rsqrt(jnp.where(varies, values, 1.0), low=-numeric.FRACTION, high=GUARD + 2)
    degrees = jnp.maximum(nobs - 1, 1).astype(jnp.float64)
    spread = numeric.roots(degrees, low=0, gain=half)[1] * (root * 2.0**half)
    return jnp.where(varies, inverse, 0.0) * spread
