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

from mpc_compiler.ops import linalg, numeric
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.linalg import GUARD, eye
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.primitives import compare, one_hot, ring_matmul
from mpc_compiler.ops.winner import larger

__all__ = ["eigen", "sweeps_of"]

_REACH = GUARD + 2
"""Differences of entries, and twice an entry, have magnitude below ``2**_REACH``."""


def sweeps_of(size: int) -> int:
    """How many sweeps a matrix of a size takes until what is left beside the diagonal is below the resolution.

    >>> [sweeps_of(p) for p in (1, 2, 5, 24)]
    [0, 2, 5, 7]
    """
    return 2 * (size - 1) if size <= 2 else 3 + math.ceil(math.log2(size) * 0.8)


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
    On shares eigenvalues are off by about ``2**-24``. Eigenvectors are orthonormal to ``2**-18``; where two
    eigenvalues are less than ``2**-20`` apart their vectors are some basis of the plane that belongs to both.

    Examples
    --------
    >>> values, vectors = (x * 2.0**-GUARD for x in eigen(jnp.full((2, 2), 0.25) * 2.0**GUARD))
    >>> values.round(4).tolist(), vectors.round(4)[:, 0].tolist()
    ([0.5, 0.0], [0.7071, 0.7071])
    """
    size = A.shape[0]
    both = jnp.concatenate([A, jnp.asarray(eye(size)) + 0.0 * A])
    turns = sweeps_of(size) * (size - 1 + size % 2)
    both = jax.lax.fori_loop(0, turns, lambda _, held: _turn(held, size), both)
    V = _orthonormal(both[size:])
    values = _diagonal(A, V)
    values, vectors = _sorted(values, V)
    return values, _signed(vectors)


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


def _orthonormal(V: jax.Array) -> jax.Array:
    """The nearest orthonormal columns: rounding has left those of V a little beside. All times ``2**GUARD``."""
    for _ in range(2):
        beside = eye(V.shape[0]) - (V.T @ V) * 2.0**-GUARD
        V = V + (V @ beside) * 2.0 ** -(GUARD + 1)
    return V


def _diagonal(A: jax.Array, V: jax.Array) -> jax.Array:
    """Rayleigh quotients: they are off by the square of what the vectors are off."""
    moved = (A @ V) * 2.0**-GUARD
    return jnp.sum(V * moved, axis=0) * 2.0**-GUARD


def _sorted(values: jax.Array, V: jax.Array) -> tuple[jax.Array, jax.Array]:
    size = values.shape[0]
    if size == 1:
        return values, V
    rank = jnp.sum(larger(values, bits=_REACH + FRACTION + 1).astype(jnp.int64), axis=0)
    places = one_hot(rank, size, None)
    held = decode_fixed(ring_matmul(encode_fixed(jnp.concatenate([values[None], V])), places.T))
    return held[0], held[1:]


def _signed(V: jax.Array) -> jax.Array:
    """Columns whose component of the largest magnitude is positive, as scikit-learn has them."""
    ends = jnp.max(jnp.stack([V, -V]), axis=1)
    return jnp.where(ends[0] >= ends[1], V, -V)
