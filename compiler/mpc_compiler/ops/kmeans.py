"""K-means on secret rows: centres, nearest centres and seeds; nothing is opened, and every trip count is public.

Rows and centres are whole numbers of ``2**-18``, each column in its own public unit for means, and in one unit that
all have in common for distances. Squared distances are whole numbers of ``2**-36``: products in the ring are exact, and
cost one round. All restarts are computed at the same time.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ops import numeric
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.primitives import compare, ring_matmul

__all__ = ["Rows", "fit", "in_common", "least", "nearest", "squares", "to_centres"]

_GAIN = 4
"""Extra fraction bits of a mean before it is rounded."""


class Rows(NamedTuple):
    """What the rows are."""

    x: jax.Array
    """int64 [p, n]: columns in their units, times ``2**18``, **feature-major**."""
    part: NDArray[np.float64]
    """Public, float64 [p], at most 1: what brings each column to the unit that all have in common."""
    near: jax.Array
    """int64 [p, n]: columns in that unit, times ``2**18``."""
    valid: jax.Array | None
    """bool [n], secret: which rows count."""
    reach: float
    """Public: the largest squared distance of two points within the columns' ranges, in that unit."""

    @property
    def bits(self) -> int:
        """Of differences of squared distances; a centre may be a little beside the range."""
        return 2 * FRACTION + numeric.power_of_two_above(self.reach + 1.0) + 2


def least(values: jax.Array, flag: jax.Array | None, *, bits: int) -> tuple[jax.Array, jax.Array]:
    """Where along the first axis the smallest value is, the first of equals: a tournament.

    Parameters
    ----------
    values : Array
        int64 [k, ...].
    flag : Array or None
        bool [...]: elsewhere no place is marked.
    bits : int
        Of differences, see `mpc_compiler.ops.primitives.compare`.

    Returns
    -------
    (Array, Array)
        bool [k, ...], one mark at most, and int64 [...], the smallest values.

    Examples
    --------
    >>> marks, smallest = least(jnp.array([[3, 1], [2, 1], [9, 1]]), None, bits=8)
    >>> marks.astype(int).tolist(), smallest.tolist()
    ([[0, 1], [1, 0], [0, 0]], [2, 1])
    """
    count = values.shape[0]
    if count == 1:
        return (jnp.ones(values.shape, bool) if flag is None else flag[None]), values[0]
    pairs = count // 2
    first, second = values[0 : 2 * pairs : 2], values[1 : 2 * pairs : 2]
    less = compare(second, first, "lt", bits=bits)
    marks, smallest = least(jnp.concatenate([jnp.where(less, second, first), values[2 * pairs :]]), flag, bits=bits)
    right = marks[:pairs] & less
    both = jnp.stack([marks[:pairs] ^ right, right], axis=1).reshape(2 * pairs, *values.shape[1:])
    return jnp.concatenate([both, marks[pairs:]]), smallest


def squares(x: jax.Array) -> jax.Array:
    """Sums of squares along the first axis, exact: int64 [...] of int64 [p, ...]."""
    total: jax.Array = jnp.sum(x * x, axis=0)
    return total


def in_common(x: jax.Array, part: NDArray[np.float64]) -> jax.Array:
    """Columns int64 [p, n] in their units, in the unit that all have in common."""
    return x if (part == 1).all() else encode_fixed(decode_fixed(x) * part[:, None])


def to_centres(rows: Rows, centres: jax.Array) -> jax.Array:
    """Squared distances to centres less the squared length of the row: int64 [k, n] of centres int64 [k, p]."""
    common = in_common(centres.T, rows.part).T
    return squares(common.T)[:, None] - 2 * ring_matmul(common, rows.near)


def nearest(rows: Rows, centres: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The nearest centre of every row and restart.

    Parameters
    ----------
    rows : Rows
    centres : Array
        int64 [r, k, p].

    Returns
    -------
    (Array, Array)
        bool [k, r, n], one mark for a row that counts; int64 [r, n], squared distances less the row's squared length.
    """
    restarts, count, size = centres.shape
    distances = to_centres(rows, centres.reshape(restarts * count, size)).reshape(restarts, count, -1)
    flag = None if rows.valid is None else jnp.broadcast_to(rows.valid, (restarts, rows.x.shape[1]))
    return least(jnp.swapaxes(distances, 0, 1), flag, bits=rows.bits)


def _moved(rows: Rows, centres: jax.Array, bound: int) -> jax.Array:
    """Centres after one step of Lloyd's: the mean of the rows nearest to each; one without rows stays."""
    restarts, count, size = centres.shape
    marks = nearest(rows, centres)[0].astype(jnp.int64)
    chosen = jnp.swapaxes(marks, 0, 1).reshape(restarts * count, -1)
    sums, counts = ring_matmul(chosen, rows.x.T), jnp.sum(chosen, axis=1)[:, None]
    mean = numeric.ratio(decode_fixed(sums << _GAIN), counts, den_max=bound)
    mean = encode_fixed(mean * 2.0**-_GAIN)
    return jnp.where(counts > 0, mean, centres.reshape(-1, size)).reshape(centres.shape)


def _seeds(rows: Rows, count: int, restarts: int, bound: int, seed: int) -> jax.Array:
    """Centres at rows that are drawn as k-means++ does, each with a chance as its squared distance to those before.

    A public number says which part of the secret sum of all distances is passed at the row that is drawn; which row
    that is stays secret. The first is any of the rows: if all of them count, the place that is drawn is public.
    """
    lengths = squares(rows.near)
    width = FRACTION + numeric.power_of_two_above(max(rows.reach * bound, 1.0))
    room = max(min(20, 61 - width), 1)
    draws = np.random.default_rng(seed).integers(0, 1 << room, (count, restarts, 1))
    size, counted = rows.x.shape[1], None if rows.valid is None else rows.valid.astype(jnp.int64)
    if counted is None:
        centres = [jnp.stack([rows.x[:, at] for at in (draws[0, :, 0] * size) >> room])]
    else:
        centres = [_drawn(rows, jnp.broadcast_to(counted, (restarts, size)), draws[0], room, width + room)]
    apart = to_centres(rows, centres[0]) + lengths
    for turn in range(1, count):
        weights = encode_fixed(decode_fixed(apart) * 2.0**-FRACTION)
        weights = weights if counted is None else weights * counted
        centres.append(_drawn(rows, weights, draws[turn], room, width + room))
        if turn + 1 < count:
            distance = to_centres(rows, centres[-1]) + lengths
            apart = least(jnp.stack([apart, distance]), None, bits=rows.bits)[1]
    return jnp.stack(centres, axis=1)


def _drawn(rows: Rows, weights: jax.Array, draw: NDArray[np.int64], room: int, width: int) -> jax.Array:
    """The row of each restart at which the running sum of weights int64 [r, n] passes its part of all: int64 [r, p]."""
    running = jnp.cumsum(weights, axis=1)
    passed = compare(running << room, running[:, -1:] * draw, "gt", bits=width + 2).astype(jnp.int64)
    first = passed - jnp.concatenate([jnp.zeros((passed.shape[0], 1), jnp.int64), passed[:, :-1]], axis=1)
    return ring_matmul(first, rows.x.T)


def _inertia(rows: Rows, centres: jax.Array, bound: int) -> tuple[jax.Array, int]:
    """Sums of squared distances to the nearest centre, int64 [r], in units of ``2**-bits``, and these bits."""
    _, smallest = nearest(rows, centres)
    each = smallest + squares(rows.near)[None]
    if rows.valid is not None:
        each = each * rows.valid.astype(jnp.int64)
    lost = max(0, 2 * FRACTION + numeric.power_of_two_above(max(rows.reach * bound, 1.0)) - 60)
    if lost:
        each = encode_fixed(decode_fixed(each) * 2.0**-lost)
    return jnp.sum(each, axis=1), 2 * FRACTION - lost


def fit(
    rows: Rows,
    *,
    clusters: int,
    steps: int,
    restarts: int,
    bound: int,
    seed: int,
    start: NDArray[np.int64] | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Lloyd's algorithm (IEEE Trans. Inf. Theory 28, 1982) from seeds of k-means++ (Arthur and Vassilvitskii 2007).

    Parameters
    ----------
    rows : Rows
    clusters, steps, restarts : int
        Public. Every restart takes all steps; the one with the least inertia is kept.
    bound : int
        Public upper bound of the rows that count, at most ``2**21``.
    seed : int
        Of the public numbers by which seeds are drawn.
    start : ndarray, optional
        int64 [k, p]: public centres to start from instead.

    Returns
    -------
    (Array, Array)
        Centres int64 [k, p], as the columns are, and the inertia, float64, in the unit that all have in common.

    Examples
    --------
    >>> x = jnp.array([[0, 1, 8, 9]]) << 18
    >>> rows = Rows(x, np.ones(1), x, None, 81.0)
    >>> centres, inertia = fit(rows, clusters=2, steps=3, restarts=1, bound=4, seed=0)
    >>> sorted((centres[:, 0] / 2**18).tolist()), float(inertia)
    ([0.5, 8.5], 1.0)
    """
    if start is None:
        first = _seeds(rows, clusters, restarts, bound, seed)
    else:
        first = jnp.asarray(start)[None]
    centres = jax.lax.fori_loop(0, steps, lambda _, held: _moved(rows, held, bound), first)
    inertia, bits = _inertia(rows, centres, bound)
    found, smallest = centres[0], inertia[0]
    if centres.shape[0] > 1:
        best, smallest = least(inertia, None, bits=64)
        found = jnp.sum(best.astype(jnp.int64)[:, None, None] * centres, axis=0)
    return found, decode_fixed(smallest) * 2.0 ** (FRACTION - bits)
