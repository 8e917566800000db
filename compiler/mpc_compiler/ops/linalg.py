"""Products and inverses of secret matrices in fixed point; nothing is opened, and every trip count is public."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ops import numeric
from mpc_compiler.ops.product import scaled_matmul

__all__ = [
    "CLOSE",
    "EXACT",
    "GUARD",
    "eye",
    "gram",
    "inverse",
    "inverse_spd",
    "newton_schulz",
    "residual",
    "scale_both",
]

GUARD = 8
"""Extra fraction bits that a scaled matrix carries while it is inverted (it is stored times ``2**GUARD``)."""


def gram(rows: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """``rows @ diag(weight) @ rows.T`` for rows float64[p, n].

    A loop of matrix-vector products: SPU 0.9.5 needs 7 s for a 24×30000 by 30000×24 product, 0.3 s for its 24 columns.

    >>> gram(jnp.array([[1.0, 2.0]]), jnp.array([1.0, 0.5]))
    Array([[3.]], dtype=float64)
    """
    weighted = rows if weight is None else rows * weight
    product: jax.Array = jax.lax.map(lambda row: rows @ row, weighted)
    return product


def newton_schulz(J: jax.Array, start: jax.Array, *, steps: int) -> jax.Array:
    """Inverse of ``J / 2**GUARD`` by ``X <- X + X(I - JX)`` from ``start``, which needs ``0 < eig(J start) < 2``.

    Schulz 1933. In residual form the truncation of JX costs ``2**-(18+GUARD)`` instead of ``2**-18``.

    >>> newton_schulz(eye(2) / 2, jnp.eye(2), steps=6)
    Array([[2., 0.],
           [0., 2.]], dtype=float64)
    """
    one = eye(J.shape[0])
    done: jax.Array = jax.lax.fori_loop(0, steps, lambda _, X: X + scaled_matmul(X, one - J @ X, shift=GUARD), start)
    return done


def residual(J: jax.Array, X: jax.Array) -> jax.Array:
    """``max |(J / 2**GUARD) X - I|``, a secret scalar: below 0.1 the inverse is good to a tenth.

    >>> residual(eye(2), jnp.eye(2) * 0.75)
    Array(0.25, dtype=float64)
    """
    error = J @ X - eye(J.shape[0])
    return jnp.max(jnp.where(error < 0, -error, error)) * 2.0**-GUARD


def eye(size: int) -> NDArray[np.float64]:
    """The identity as scaled matrices have it.

    >>> eye(1).tolist()
    [[256.0]]
    """
    return 2.0**GUARD * np.eye(size)


EXACT, CLOSE = 5, 3
"""Steps from a residual of 1/2 to one of 2**-32, and of 2**-8."""

_SIXTEENTHS = 4
"""Factors are whole when times ``2**4``: products with them are local."""


@cache
def _factors(least: float) -> NDArray[np.float64]:
    """Public factors, in sixteenths, that bring eigenvalues from ``[least, 1]`` to within 1/2 of 1."""
    factors = []
    while least <= 0.5:
        whole = np.floor(32.0 / (1.0 + least * (2.0 - least)))
        factors.append(whole)
        factor = whole / 16.0
        least = min(factor * least * (2.0 - least), 2.0 - factor)
    return np.asarray(factors)


def inverse(J: jax.Array, start: jax.Array, *, least: float, last: int = EXACT) -> jax.Array:
    """Inverse of ``J / 2**GUARD`` from ``start``, where eigenvalues of ``J start / 2**GUARD`` are in (0, 1].

    Parameters
    ----------
    J, start : Array
        float64 [p, p].
    least : float
        Public: the smallest eigenvalue that the number of steps is for. With a smaller one the result is no inverse,
        which :func:`residual` tells; it stays finite.
    last : int
        Steps from a residual of 1/2 on: :data:`EXACT`, or :data:`CLOSE`.

    Returns
    -------
    Array
        float64 [p, p].

    Notes
    -----
    First ``X <- f X (2I - JX)``: with f as large as keeps eigenvalues below 2, small ones grow by 4 a step, not by 2
    (Pan and Schreiber 1991, section 4). Then :func:`newton_schulz`. In all ``log4(1 / least) + last`` steps or so.

    >>> inverse(eye(2) / 2, jnp.eye(2), least=0.25)
    Array([[2., 0.],
           [0., 2.]], dtype=float64)
    """
    two = 2.0 * eye(J.shape[0])

    def scaled(X: jax.Array, factor: jax.Array) -> tuple[jax.Array, None]:
        return scaled_matmul(X, factor * (two - J @ X), shift=GUARD + _SIXTEENTHS), None

    near, _ = jax.lax.scan(scaled, start, jnp.asarray(_factors(least)))
    return newton_schulz(J, near, steps=last)


def scale_both(J: jax.Array, d: jax.Array, *, bound: int) -> jax.Array:
    """``2**GUARD D J D / 2**bound`` for D = diag(d) and even ``bound``, in an order that keeps the bits of a large J.

    >>> scale_both(jnp.array([[64.0]]), jnp.array([0.5]), bound=4) * 2.0**-GUARD
    Array([[1.]], dtype=float64)
    """
    half = 2.0 ** -(bound // 2)
    return ((J * d[:, None]) * half) * d[None, :] * (half * 2.0**GUARD)


def inverse_spd(
    J: jax.Array, *, bound: int = 0, least: float = 2.0**-13, last: int = EXACT
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Inverse of a symmetric positive definite secret matrix, never opened.

    Parameters
    ----------
    J : array
        float64[p, p], with diagonal in ``[2**-10, 2**26)``.
    bound : int
        Public even binary exponent near the diagonal's size (``2**bound`` for a Gram matrix of that many rows).
    least : float
        Public: the smallest eigenvalue, once the diagonal is 1, that the number of steps is for.
    last : int
        See :func:`inverse`.

    Returns
    -------
    (array, array, array)
        X float64[p, p], d float64[p], and ``max |(D J D / 2**bound) X - I|``, with inverse ``D X D / 2**bound`` for
        D = diag(d). X is kept apart from d because the product underflows in fixed point when J is large.

    Notes
    -----
    Scaled to unit diagonal by ``d = 2**(bound/2) / sqrt(diag J)``, started from I/p, whose product with the scaled
    matrix has eigenvalues in (0, 1] since the largest eigenvalue is at most the trace.

    >>> X, d, quality = inverse_spd(jnp.array([[4.0, 0.0], [0.0, 16.0]]))
    >>> (X * d[:, None] * d).round(4), bool(quality < 1e-6)
    (Array([[0.25  , 0.    ],
           [0.    , 0.0625]], dtype=float64), True)
    """
    d = numeric.rsqrt(jnp.diagonal(J), low=-10, gain=bound // 2)
    scaled = scale_both(J, d, bound=bound)
    X = inverse(scaled, jnp.eye(J.shape[0]) / J.shape[0], least=least / J.shape[0], last=last)
    return X, d, residual(scaled, X)
