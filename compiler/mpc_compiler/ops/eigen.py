"""Eigenvalues and eigenvectors of a symmetric secret matrix by Jacobi's method; nothing is opened.

A sweep rotates every pair of rows and columns once. Pairs that have no row in common are rotated at the same time: as
in a tournament, all players but perhaps one sit on a circle, those opposite each other meet, and the circle turns by
one place (Brent and Luk, SIAM J. Sci. Stat. Comput. 6, 1985). The number of sweeps is public and depends on the size
alone.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops import numeric
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.linalg import GUARD, eye
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.primitives import compare, one_hot, ring_matmul
from mpc_compiler.ops.winner import larger

__all__ = ["eigen", "sweeps_of"]

_CLOSE = GUARD - 12
"""Eigenvalues less than ``2**_CLOSE`` apart are almost equal."""
_REACH = GUARD + 2
"""Differences of entries, and twice an entry, have magnitude below ``2**_REACH``."""


def sweeps_of(size: int) -> int:
    """How many sweeps a matrix of a size takes until little enough is left beside the diagonal for one last step.

    >>> [sweeps_of(p) for p in (1, 2, 5, 24)]
    [0, 1, 4, 6]
    """
    return size - 1 if size <= 2 else 2 + math.ceil(math.log2(size) * 0.8)


def eigen(A: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues from the largest down, and their eigenvectors.

    Parameters
    ----------
    A : Array
        float64 [p, p], symmetric, not negative definite in any direction, with a trace of at most 1, times
        ``2**GUARD``.

    Returns
    -------
    (Array, Array)
        float64 [p] and float64 [p, p], one eigenvector a column, its component of the largest magnitude positive; both
        times ``2**GUARD``.

    Notes
    -----
    On shares eigenvalues are off by about ``2**-23``, and eigenvectors are orthonormal to ``2**-20``. Where two
    eigenvalues are less than ``2**-20`` apart their vectors are some basis of the plane that belongs to both.

    Examples
    --------
    >>> values, vectors = (x * 2.0**-GUARD for x in eigen(jnp.full((2, 2), 0.25) * 2.0**GUARD))
    >>> values.round(4), vectors.round(4)[:, 0]
    (Array([0.5, 0. ], dtype=float64), Array([0.7071, 0.7071], dtype=float64))
    """
    size = A.shape[0]
    both = jnp.concatenate([A, jnp.asarray(eye(size))])
    if turns := sweeps_of(size) * (size - 1 + size % 2):
        both = jax.lax.fori_loop(0, turns, lambda _, held: _turn(held, size), both)
    V = _ordered(A, _orthonormal(both[size:], steps=2))
    V = _orthonormal(_refined(_within(A, V), V), steps=1)
    return jnp.diagonal(_within(A, V)), _signed(V)


def _opposite(M: jax.Array) -> jax.Array:
    """Columns in the places of those that they meet: the circle is 0..q-1, and with an even number the last meets 0."""
    size = M.shape[1]
    circle = size - 1 + size % 2
    around = jnp.flip(M[:, 1:circle], axis=1)
    if size == circle:
        return jnp.concatenate([M[:, :1], around], axis=1)
    return jnp.concatenate([M[:, circle:], around, M[:, :1]], axis=1)


def _moved_on(M: jax.Array) -> jax.Array:
    """Columns after the circle has turned by one place."""
    size = M.shape[1]
    circle = size - 1 + size % 2
    return jnp.concatenate([M[:, 1:circle], M[:, :1], M[:, circle:]], axis=1)


def _turn(both: jax.Array, size: int) -> jax.Array:
    """One rotation of every pair: A above, the vectors below."""
    A = both[:size]
    circle = size - 1 + size % 2
    half, even = (circle - 1) // 2, size != circle
    first = slice(0 if even else 1, half + 1)
    diagonal, beside = jnp.diagonal(A), jnp.diagonal(_opposite(A)) + jnp.diagonal(_opposite(A.T))
    other = _opposite(diagonal[None])[0]
    cosine, sine = _rotations((diagonal - other)[first], beside[first])
    C, S = _spread(cosine, cosine, even), _spread(sine, -sine, even)
    both = both * C + _opposite(both) * S
    A = both[:size].T
    A = A * C + _opposite(A) * S
    return jnp.concatenate([_moved_on(_moved_on(A).T), _moved_on(both[size:])])


def _spread(near: jax.Array, far: jax.Array, even: bool) -> jax.Array:
    """A value for each place: of each pair's first, and of its second, which sits opposite."""
    if even:
        return jnp.concatenate([near, jnp.flip(far[1:]), far[:1]])
    alone = jnp.zeros_like(near[:1]) if near is not far else jnp.ones_like(near[:1])
    return jnp.concatenate([alone, near, jnp.flip(far)])


def _rotations(d: jax.Array, e: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine of the angle within 45 degrees whose double has the tangent ``e / d``.

    Squares are whole numbers in the ring, exact, and find the power of two that brings the pair to a length of 1 to 2.
    """
    whole, beside = encode_fixed(d), encode_fixed(e)
    square = whole * whole + beside * beside
    steps = _REACH + FRACTION
    shape = (steps, *d.shape)
    thresholds = jnp.broadcast_to(jnp.asarray([4**k for k in range(1, steps + 1)])[:, None], shape)
    left = jnp.concatenate([whole[None], jnp.broadcast_to(square, shape)])
    right = jnp.concatenate([jnp.zeros((1, *d.shape), jnp.int64), thresholds])
    flags = compare(left, right, "ge", bits=2 * steps + 3)
    scale = numeric.step_sum(flags[1:], [0.0, *(2.0 ** (FRACTION - k) for k in range(1, steps + 1))])
    signed = jnp.where(flags[0], scale, -scale)
    # a pair of nothing but rounding is not rotated
    x, y = d * signed + (1.0 - flags[1].astype(jnp.float64)), e * signed
    length = x * x + y * y
    inverse = 1.06640 - 0.15234 * length
    for _ in range(3):
        inverse = inverse * (1.5 - 0.5 * length * (inverse * inverse))
    square_cosine = 0.5 + 0.5 * (x * inverse)
    over = 1.7884 - 0.8104 * square_cosine
    for _ in range(2):
        over = over * (1.5 - 0.5 * square_cosine * (over * over))
    return square_cosine * over, (0.5 * (y * inverse)) * over


def _orthonormal(V: jax.Array, *, steps: int) -> jax.Array:
    """The nearest orthonormal columns: rounding has left those of V a little beside. All times ``2**GUARD``."""
    for _ in range(steps):
        beside = eye(V.shape[0]) - (V.T @ V) * 2.0**-GUARD
        V = V + (V @ beside) * 2.0 ** -(GUARD + 1)
    return V


def _within(A: jax.Array, V: jax.Array) -> jax.Array:
    """``V' A V``, whose diagonal is off by the square of what the vectors are off."""
    return (V.T @ ((A @ V) * 2.0**-GUARD)) * 2.0**-GUARD


def _ordered(A: jax.Array, V: jax.Array) -> jax.Array:
    """Columns by their eigenvalues, from the largest down."""
    size = V.shape[0]
    if size == 1:
        return V
    values = jnp.sum(V * ((A @ V) * 2.0**-GUARD), axis=0) * 2.0**-GUARD
    rank = jnp.sum(larger(values, bits=_REACH + FRACTION + 1).astype(jnp.int64), axis=0)
    return decode_fixed(ring_matmul(encode_fixed(V), one_hot(rank, size, None).T))


def _refined(S: jax.Array, V: jax.Array) -> jax.Array:
    """Vectors after one step of first-order perturbation, given ``S = V' A V`` and columns in order.

    Rotations have 18 fraction bits and leave errors of about ``2**-16``; this step and its matrices have more, and it
    squares what is left (Ogita and Aishima, Japan J. Indust. Appl. Math. 35, 2018). Between eigenvalues that are almost
    equal the step is short.
    """
    size = V.shape[0]
    upper = np.triu(np.ones((size, size), bool), 1)
    values = jnp.diagonal(S)
    gap = values[:, None] - values[None, :]
    gap = jnp.where(upper, gap, -gap) + np.eye(size)
    step = (0.5 * (S + S.T)) * numeric.reciprocal(gap, low=_CLOSE, high=GUARD + 1, gain=GUARD)
    step = jnp.where(upper, -step, jnp.where(upper.T, step, 0.0))
    return V + (V @ step) * 2.0**-GUARD


def _signed(V: jax.Array) -> jax.Array:
    """Columns whose component of the largest magnitude is positive, as scikit-learn has them."""
    ends = jnp.max(jnp.stack([V, -V]), axis=1)
    return jnp.where(ends[0] >= ends[1], V, -V)
