"""Area under the ROC curve, its standard error and the Kolmogorov–Smirnov statistic of secret scores and labels.

All come from one sort by score and counts of positives and negatives below each group of tied scores. The counts are
exact integers; the only rounding is that of the scores to ``2**-18`` and of the final quotient to about 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric
from mpc_compiler.ops.primitives import encode_fixed, prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.scan import tree_reduce
from mpc_compiler.ops.segments import copied_back

__all__ = [
    "ROWS_MAX",
    "Below",
    "Sides",
    "below_of",
    "keys_of",
    "ks",
    "placed",
    "roc",
    "roc_auc",
    "roc_error",
    "sides_of",
]

ROWS_MAX = 1 << 20
"""More rows and products of counts might leave the range of the final division."""

_MARGIN = 1 << 10  # fixed-point noise may carry a probability just below 0 or above 1


class Below(NamedTuple):
    """Sorted by score; int64[n] but for the totals."""

    positive: jax.Array
    negative: jax.Array
    positives_below: jax.Array
    """Positives with a strictly lower score."""
    negatives_below: jax.Array
    total_positive: jax.Array
    total_negative: jax.Array
    positives_so_far: jax.Array
    """Positives up to this row, itself included."""
    negatives_so_far: jax.Array
    start: jax.Array
    """bool: the first row of a group of tied scores."""


def keys_of(score: jax.Array, bounds: tuple[float, float]) -> tuple[jax.Array, int]:
    """Score as an integer in ``[0, 2**bits)``, and bits."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds must be increasing, got {bounds}")
    if jnp.issubdtype(score.dtype, jnp.floating):
        raw, scale = encode_fixed(score), 2.0**numeric.FRACTION
    else:
        raw, scale = score.astype(jnp.int64), 1.0
    offset = round(low * scale) - _MARGIN
    return raw - offset, (round(high * scale) + _MARGIN - offset).bit_length()


class Sides(NamedTuple):
    """int64[n]: 1 where a row is positive, and where it is negative; None: where it is not positive."""

    positive: jax.Array
    negative: jax.Array | None


def sides_of(label: jax.Array, valid: jax.Array | None) -> Sides:
    """Rows of both classes; those that are not valid are of neither."""
    positive = label.astype(jnp.int64)
    if valid is None:
        return Sides(positive, None)
    counted = valid.astype(jnp.int64)
    return Sides(positive * counted, counted - positive * counted)


def _below(label: jax.Array, score: jax.Array, valid: jax.Array | None, bounds: tuple[float, float]) -> Below:
    if label.shape[0] > ROWS_MAX:
        raise ValueError(f"expected at most 2**20 rows, got {label.shape[0]}")
    if label.shape[0] == 0:
        nothing = jnp.zeros(1, jnp.int64)
        none = nothing[0]
        return Below(nothing, nothing, nothing, nothing, none, none, nothing, nothing, jnp.ones(1, bool))
    return below_of(*keys_of(score, bounds), sides_of(label, valid))[0]


def below_of(
    key: jax.Array, bits: int, sides: Sides, carried: Sequence[jax.Array] = ()
) -> tuple[Below, list[jax.Array]]:
    """Rows sorted by a key of so many bits, at least one: what lies below each, and ``carried`` in the same order."""
    flags = [flag for flag in sides if flag is not None]
    key, *rest = sort_rows((key,), (*flags, *carried), (bits,))
    positive, rest = rest[0], rest[1:]
    negative, rest = (1 - positive, rest) if sides.negative is None else (rest[0], rest[1:])
    above, below = prefix_sum(positive), prefix_sum(negative)
    start = jnp.concatenate([jnp.ones(1, bool), key[1:] != key[:-1]])
    made = Below(
        positive=positive,
        negative=negative,
        positives_below=segment_scan(start, above - positive, "copy"),
        negatives_below=segment_scan(start, below - negative, "copy"),
        total_positive=above[-1],
        total_negative=below[-1],
        positives_so_far=above,
        negatives_so_far=below,
        start=start,
    )
    return made, rest


def _auc_parts(c: Below) -> tuple[jax.Array, jax.Array]:
    """Twice the Mann–Whitney U, and twice the number of (positive, negative) pairs."""
    pairs = c.total_positive * c.total_negative
    won = c.positive * c.negatives_below - c.negative * c.positives_below
    return pairs + jnp.sum(won), 2 * pairs


def _ks_parts(c: Below) -> tuple[jax.Array, jax.Array]:
    """Twice the largest cross-multiplied distance of the two distribution functions, and its denominator."""
    gap = c.positives_below * c.total_negative - c.negatives_below * c.total_positive
    largest = tree_reduce(jnp.maximum, jnp.where(gap < 0, -gap, gap))
    return 2 * largest, 2 * c.total_positive * c.total_negative


def _divided(num: list[jax.Array], den: list[jax.Array], rows: int) -> jax.Array:
    return numeric.fraction(jnp.stack(num), jnp.stack(den), den_max=max(rows * rows // 2, 1))


def roc(
    label: jax.Array, score: jax.Array, valid: jax.Array | None = None, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[jax.Array, jax.Array]:
    """ROC AUC and KS of the same scores, from one sort.

    Parameters
    ----------
    label : array
        int64[n] (or bool), 1 for the positive class; at most ``2**20`` rows.
    score : array
        float64[n] or int64[n]; higher means more likely positive. Floats are compared at a resolution of ``2**-18``.
    valid : array or None
        bool[n]; rows that are not valid count nowhere.
    bounds : (float, float)
        Public range of the scores. Scores outside are ranked wrongly. Fewer bits sort faster.

    Returns
    -------
    (array, array)
        Secret float64 scalars, both 0 if only one class occurs. Ties count half, as in scikit-learn's
        ``roc_auc_score``; KS is scipy's two-sided ``ks_2samp`` statistic. Error at most 2e-5 for the given scores.

    Notes
    -----
    With P< and N< the positives and negatives strictly below a row's score, ``2 U = P N + sum over positives of N< -
    sum over negatives of P<`` (Hanley and McNeil 1982), and KS is the largest ``|P< N - N< P| / (P N)``. One sort, two
    segmented copies, n comparisons for the maximum. Nothing is disclosed.

    >>> [round(float(v), 4) for v in roc(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.4, 0.4, 0.8]))]
    [0.875, 0.5]
    """
    return _both(_below(label, score, valid, bounds), label.shape[0])


def _both(counts: Below, rows: int) -> tuple[jax.Array, jax.Array]:
    auc, distance = _auc_parts(counts), _ks_parts(counts)
    both = _divided([auc[0], distance[0]], [auc[1], distance[1]], rows)
    return both[0], both[1]


def roc_error(
    label: jax.Array, score: jax.Array, valid: jax.Array | None = None, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """ROC AUC, KS and the standard error of the AUC, from one sort; for the arguments see :func:`roc`.

    Returns
    -------
    (array, array, array)
        Secret float64 scalars. The standard error is within about 2e-4 of itself, and 0 if only one class occurs.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988 with the placements of Sun and Xu 2014: with V the share of negatives below
    each positive, ties counted half, and W the share of positives below each negative, the variance of the AUC is
    ``var(V) / P + var(W) / N``. Of a class with one row the variance is taken as 0. Nothing is disclosed.

    >>> [round(float(v), 4) for v in roc_error(jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.4, 0.35, 0.8]))]
    [0.75, 0.5, 0.3536]
    """
    rows = label.shape[0]
    counts = _below(label, score, valid, bounds)
    auc, distance = _both(counts, rows)
    return auc, distance, _error(counts, auc, max(rows, 1))


def placed(c: Below) -> jax.Array:
    """Twice the negatives, and twice the positives, below each row, ties counted half: int64[2, n]."""
    end = jnp.concatenate([c.start[1:], jnp.ones(1, bool)])
    below = jnp.stack([c.negatives_below, c.positives_below])
    return below + jnp.stack([copied_back(end, c.negatives_so_far), copied_back(end, c.positives_so_far)])


def _error(c: Below, auc: jax.Array, rows: int) -> jax.Array:
    twice = placed(c)
    own = jnp.stack([c.total_positive, c.total_negative])
    inverse = numeric.unit_inverse(2 * own[::-1], den_max=2 * rows)
    place = (twice.astype(jnp.float64) * inverse[0][:, None]) * inverse[1][:, None]
    off = place - jnp.stack([auc, 1.0 - auc])[:, None]
    mine = jnp.stack([c.positive, c.negative]).astype(jnp.float64) * off
    squares = jnp.stack([jnp.dot(mine[0], off[0]), jnp.dot(mine[1], off[1])])
    squares = jnp.where(own[::-1] > 0, squares, 0.0)
    half = rows.bit_length() // 2
    variance = numeric.ratio(squares, own - jnp.where(own > 0, 1, 0), den_max=rows)
    parts = numeric.ratio(variance * 4.0**half, own, den_max=rows)
    return numeric.roots(parts[0] + parts[1], high=2 * half + 2, gain=half)[1]


def roc_auc(
    label: jax.Array, score: jax.Array, valid: jax.Array | None = None, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> jax.Array:
    """Area under the ROC curve; see :func:`roc`.

    >>> round(float(roc_auc(jnp.array([0, 1, 1]), jnp.array([0.2, 0.9, 0.1]))), 4)
    0.5
    """
    num, den = _auc_parts(_below(label, score, valid, bounds))
    return _divided([num], [den], label.shape[0])[0]


def ks(
    label: jax.Array, score: jax.Array, valid: jax.Array | None = None, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> jax.Array:
    """Two-sample Kolmogorov–Smirnov statistic; see :func:`roc`.

    >>> round(float(ks(jnp.array([0, 1, 1]), jnp.array([0.2, 0.9, 0.1]))), 4)
    0.5
    """
    num, den = _ks_parts(_below(label, score, valid, bounds))
    return _divided([num], [den], label.shape[0])[0]
