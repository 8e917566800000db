"""How secret columns hang together: correlations, variance inflation, and which columns can stay beside each other.

Everything works on the matrix of products of p columns, which took one pass over the rows; nothing is opened, and no
trip count depends on data.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops import linalg, numeric
from mpc_compiler.ops.linalg import GUARD, eye
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.winner import larger, winner

__all__ = ["RIDGE", "below_inflation", "correlations", "inflation", "uncorrelated"]

RIDGE = 2.0**-10
"""Added to the diagonal of the correlations before a column is dropped: without it there is no inverse to start at."""
_REFINED = 2
_BITS = FRACTION + 14


def correlations(gram: jax.Array, *, bound: int) -> tuple[jax.Array, jax.Array]:
    """Correlations from weighted products.

    Parameters
    ----------
    gram : Array
        float64 [p+1, p+1], of standardised columns and an intercept, which comes first; see `Design.gram`.
    bound : int
        Public, even: ``2**bound`` is at least the number of rows.

    Returns
    -------
    (Array, Array)
        float64 [p, p], times ``2**GUARD``: the correlations; bool [p]: which columns vary, others correlate with
        nothing, not even with themselves.

    Examples
    --------
    >>> gram = jnp.array([[4.0, 0.0, 4.0], [0.0, 4.0, 2.0], [4.0, 2.0, 8.0]])
    >>> (correlations(gram, bound=2)[0] * 2.0**-GUARD).round(3)
    Array([[1. , 0.5],
           [0.5, 1. ]], dtype=float64)
    """
    half = 2.0 ** -(bound // 2)
    sums = gram[0, 1:] * half
    inverse = numeric.reciprocal((gram[0, 0] * half) * half, low=-14, high=6)
    centred = gram[1:, 1:] - (sums[:, None] * sums[None, :]) * inverse
    variance = jnp.diagonal(centred)
    varies = (variance * half) * half >= 2.0**-14
    d = numeric.rsqrt(jnp.where(varies, variance, 1.0), low=-10, gain=bound // 2)
    d = jnp.where(varies, d, 0.0)
    return linalg.scale_both(centred, d, bound=bound), varies


def _within(R: jax.Array, kept: jax.Array) -> jax.Array:
    """R of the kept columns, and of the others the identity."""
    return jnp.where(kept[:, None] & kept[None, :], R, eye(R.shape[0]))


def inflation(R: jax.Array, varies: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Variance inflation factors: the diagonal of the inverse of the correlations.

    Parameters
    ----------
    R, varies : Array
        Of :func:`correlations`.

    Returns
    -------
    (Array, Array)
        float64 [p], 1 for a column that does not vary; bool []: whether they can be relied on. Columns that are
        collinear have none.

    Examples
    --------
    >>> R = jnp.array([[1.0, 0.6], [0.6, 1.0]]) * 2.0**GUARD
    >>> factors, sound = inflation(R, jnp.array([True, True]))
    >>> factors.round(4).tolist(), bool(sound)
    ([1.5625, 1.5625], True)
    """
    M = _within(R, varies)
    A = linalg.inverse(M, jnp.eye(R.shape[0]) / R.shape[0], least=2.0**-13 / R.shape[0])
    return jnp.diagonal(A), linalg.residual(M, A) < 2.0**-6


def uncorrelated(R: jax.Array, strength: jax.Array, alive: jax.Array, most: float) -> jax.Array:
    """Columns that stay when, of two with a correlation beyond ``most``, the weaker one goes.

    From the strongest column on, each stays unless it correlates beyond ``most`` with one that stays.

    Parameters
    ----------
    R : Array
        float64 [p, p], correlations times ``2**GUARD``.
    strength : Array
        float64 [p], below ``2**13``; of two equal ones the first is stronger.
    alive : Array
        bool [p]: columns that there are; the others neither stay nor push out any.
    most : float
        Public.

    Returns
    -------
    Array
        bool [p].

    Examples
    --------
    >>> R = jnp.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.8], [0.1, 0.8, 1.0]]) * 2.0**GUARD
    >>> uncorrelated(R, jnp.array([1.0, 3.0, 2.0]), jnp.ones(3, bool), 0.7).tolist()
    [False, True, False]
    >>> uncorrelated(R, jnp.array([3.0, 2.0, 1.0]), jnp.ones(3, bool), 0.7).tolist()
    [True, False, True]
    """
    limit = most * 2.0**GUARD
    close = (limit < R) | (-limit > R)
    pushes = close & larger(strength, bits=_BITS)

    def turn(_: int, kept: jax.Array) -> jax.Array:
        return alive & ~jnp.any(kept[:, None] & pushes, axis=0)

    done: jax.Array = jax.lax.fori_loop(0, R.shape[0], turn, alive)
    return done


def below_inflation(R: jax.Array, alive: jax.Array, most: float) -> jax.Array:
    """Columns that stay when the one with the largest variance inflation goes until none is above ``most``.

    Parameters
    ----------
    R : Array
        float64 [p, p], correlations times ``2**GUARD``; :data:`RIDGE` is added to their diagonal.
    alive : Array
        bool [p]: columns that there are, all of which vary.
    most : float
        Public, above 1.

    Returns
    -------
    Array
        bool [p].

    Notes
    -----
    The inverse without a column is the inverse less ``a a' / a_k``, for the column a of it (Sherman and Morrison 1950);
    two Newton-Schulz steps take away what the subtraction loses. The ridge makes a factor of 10 about 9.9, and one of
    infinity some hundreds.

    Examples
    --------
    >>> R = jnp.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.4], [0.1, 0.4, 1.0]]) * 2.0**GUARD
    >>> below_inflation(R, jnp.ones(3, bool), 3.0).tolist()
    [True, False, True]
    """
    count = R.shape[0]
    R = R + RIDGE * eye(count)
    A = linalg.inverse(_within(R, alive), jnp.eye(count) / count, least=RIDGE / count)

    def turn(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        kept, A = state
        inflated = jnp.where(kept, jnp.diagonal(A), 0.0)
        worst = winner(inflated, most, bits=_BITS)
        flag = worst.astype(jnp.float64)
        v = (flag @ A) * numeric.rsqrt(flag @ inflated, low=0, high=14)
        kept = kept & ~worst
        rest = jnp.where(kept[:, None] & kept[None, :], A - v[:, None] * v[None, :], jnp.eye(count))
        return kept, linalg.newton_schulz(_within(R, kept), rest, steps=_REFINED)

    done: jax.Array = jax.lax.fori_loop(0, count - 1, turn, (alive, A))[0]
    return done
