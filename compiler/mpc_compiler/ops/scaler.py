"""Mean and standard deviation of secret columns, and standardisation, in units that 18 fraction bits can hold.

Columns come with public value ranges. Each is first multiplied by a public power of two, its *unit*, that brings its
range into [-4, 4]: then sums of squares over ``2**21`` rows stay below ``2**26`` and nothing finer than a millionth of
the range is lost. Secret results are in those units; who receives them multiplies or divides by the unit in the clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ops import numeric

RANGE_BITS = 2
"""A column in its unit has magnitude at most ``2**RANGE_BITS``."""

ROWS_MAX = 1 << 21

Ranges = Sequence[tuple[float, float]]
"""Public (low, high) of every column."""


def units(ranges: Ranges) -> NDArray[np.float64]:
    """Public power of two of each column: ``max(|low|, |high|) * unit`` is in (2, 4].

    A coefficient of the column in its unit, times the unit, is the coefficient of the column itself; a mean or standard
    deviation in its unit, divided by the unit, is that of the column.

    >>> units([(0, 1), (18, 75), (-165580, 1664089)])
    array([4.00000000e+00, 3.12500000e-02, 1.90734863e-06])
    """
    largest = [max(abs(low), abs(high)) for low, high in ranges]
    return np.array([2.0 ** (RANGE_BITS - numeric.power_of_two_above(v)) if v else 1.0 for v in largest])


def prescale(X: jax.Array, ranges: Ranges) -> jax.Array:
    """Columns in their units, **feature-major**: float64[p, n] from float64[n, p].

    >>> prescale(jnp.array([[64.0], [-32.0]]), [(-64, 64)])
    Array([[ 4., -2.]], dtype=float64)
    """
    if X.ndim != 2 or X.shape[1] != len(ranges):
        raise ValueError(f"expected one range for each column, got shape {X.shape} and {len(ranges)} ranges")
    rows, left = X.T, units(ranges)[:, None]
    factor = np.maximum(left, 2.0**-numeric.FRACTION)  # a smaller one is not representable: several
    rows, left = rows * factor, left / factor
    while (left != 1).any():
        factor = np.maximum(left, 2.0**-numeric.FRACTION)
        # XLA would fold two constant factors into one, which rounds to 0; it does not see through the sum.
        rows, left = (rows + 1.0) * factor - factor, left / factor
    return rows


def even_bound(rows: int) -> int:
    """Smallest even k with ``2**k >= rows``: square roots of row counts are scaled by ``2**(k/2)``.

    >>> even_bound(1000), even_bound(30_000)
    (10, 16)
    """
    if not 1 <= rows <= ROWS_MAX:
        raise ValueError(f"rows must be in 1..2**21, got {rows}")
    k = (rows - 1).bit_length()
    return k + k % 2


class Moments(NamedTuple):
    """Secret moments of p columns in their units (all arrays float64[p] but for ``nobs``)."""

    mean: jax.Array
    scale: jax.Array
    """Standard deviation (divisor n), 1 for a column that does not vary, as scikit-learn has it."""
    inv_scale: jax.Array
    varies: jax.Array
    """bool[p]: the standard deviation is above ``2**-12`` of the unit."""
    nobs: jax.Array
    """int64 scalar: valid rows."""


def moments(x: jax.Array, *, rows: int, valid: jax.Array | None = None) -> Moments:
    """Moments of feature-major columns in their units.

    Parameters
    ----------
    x : array
        float64[p, n] from :func:`prescale`.
    rows : int
        Public upper bound of the number of valid rows, at most ``2**21``.
    valid : array or None
        bool[n], row validity.

    Notes
    -----
    Two passes: squares of centred values, one truncation for each column. 1/sd keeps a relative accuracy of 2e-5 for
    any sd above ``2**-12``, because it is taken from the *sum* of squares.

    >>> m = moments(jnp.array([[1.0, 3.0]]), rows=2)
    >>> m.mean, m.scale.round(6), m.inv_scale.round(6)
    (Array([2.], dtype=float64), Array([1.], dtype=float64), Array([1.], dtype=float64))
    """
    half = even_bound(rows) // 2
    if valid is None:
        count = jnp.full((), x.shape[1], jnp.int64)
    else:
        count = jnp.sum(valid.astype(jnp.int64))
        x = jnp.where(valid, x, 0.0)
    mean = numeric.ratio(jnp.sum(x, axis=1), jnp.broadcast_to(count, x.shape[:1]), den_max=rows)
    centred = x - mean[:, None]
    if valid is not None:
        centred = jnp.where(valid, centred, 0.0)
    squares: jax.Array = jax.lax.map(lambda c: c @ c, centred)
    inv_n, root_n = numeric.roots(count.astype(jnp.float64), low=0, gain=half)  # 2**half / sqrt(n) and inverse
    varies = squares >= (count.astype(jnp.float64) * 2.0**-12) * 2.0**-12 + 2.0**-16
    inv_root, root = numeric.roots(jnp.where(varies, squares, 1.0), low=-16, gain=half)
    return Moments(
        mean=mean,
        scale=jnp.where(varies, root * inv_n, 1.0),
        inv_scale=jnp.where(varies, inv_root * root_n, 1.0),
        varies=varies,
        nobs=count,
    )


def fit(
    X: jax.Array, *, ranges: Ranges, rows: int | None = None, valid: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, standard deviation and 1/sd of secret columns, **in their units** (see :func:`units`).

    Parameters
    ----------
    X : array
        float64[n, p].
    ranges : sequence of (float, float)
        Public value range of each column.
    rows : int or None
        Public upper bound of the number of valid rows; None: n.
    valid : array or None
        bool[n], row validity.

    Returns
    -------
    (array, array, array)
        mean, scale (1 where a column is constant) and 1/scale, float64[p] each.

    >>> mean, scale, _ = fit(jnp.array([[10.0], [30.0]]), ranges=[(0, 100)])
    >>> (mean / units([(0, 100)])).round(3), (scale / units([(0, 100)])).round(3)
    (Array([20.], dtype=float64), Array([10.], dtype=float64))
    """
    if X.shape[0] == 0:
        return jnp.zeros(len(ranges)), jnp.ones(len(ranges)), jnp.ones(len(ranges))
    m = moments(prescale(X, ranges), rows=X.shape[0] if rows is None else rows, valid=valid)
    return m.mean, m.scale, m.inv_scale


def transform(X: jax.Array, mean: jax.Array, inv_scale: jax.Array, *, ranges: Ranges) -> jax.Array:
    """``(X * unit - mean) * inv_scale``: standardised columns float64[n, p], from the results of :func:`fit`.

    >>> transform(jnp.array([[30.0]]), jnp.array([0.625]), jnp.array([3.2]), ranges=[(0, 100)])
    Array([[1.]], dtype=float64)
    """
    return ((prescale(X, ranges) - mean[:, None]) * inv_scale[:, None]).T
