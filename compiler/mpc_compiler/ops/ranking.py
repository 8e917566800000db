"""Area under the ROC curve and the Kolmogorov–Smirnov statistic of secret scores against secret labels.

Both come from one sort by score and counts of positives and negatives below each group of tied scores. The counts are
exact integers; the only rounding is that of the scores to ``2**-18`` and of the final quotient to about 1e-5.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric
from mpc_compiler.ops.primitives import encode_fixed, prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.scan import tree_reduce

__all__ = ["ROWS_MAX", "ks", "roc", "roc_auc"]

ROWS_MAX = 1 << 20
"""More rows and products of counts might leave the range of the final division."""

_MARGIN = 1 << 10  # fixed-point noise may carry a probability just below 0 or above 1


class _Below(NamedTuple):
    """Sorted by score; int64[n] but for the totals."""

    positive: jax.Array
    negative: jax.Array
    positives_below: jax.Array
    """Positives with a strictly lower score."""
    negatives_below: jax.Array
    total_positive: jax.Array
    total_negative: jax.Array


def _keys(score: jax.Array, bounds: tuple[float, float]) -> tuple[jax.Array, int]:
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


def _below(label: jax.Array, score: jax.Array, valid: jax.Array | None, bounds: tuple[float, float]) -> _Below:
    if label.shape[0] > ROWS_MAX:
        raise ValueError(f"expected at most 2**20 rows, got {label.shape[0]}")
    if label.shape[0] == 0:
        nothing = jnp.zeros(1, jnp.int64)
        return _Below(nothing, nothing, nothing, nothing, nothing[0], nothing[0])
    key, bits = _keys(score, bounds)
    positive = label.astype(jnp.int64)
    if valid is None:
        key, positive = sort_rows((key,), (positive,), (bits,))
        negative = 1 - positive
    else:
        counted = valid.astype(jnp.int64)
        positive = positive * counted
        key, positive, negative = sort_rows((key,), (positive, counted - positive), (bits,))
    above, below = prefix_sum(positive), prefix_sum(negative)
    start = jnp.concatenate([jnp.ones(1, bool), key[1:] != key[:-1]])
    return _Below(
        positive=positive,
        negative=negative,
        positives_below=segment_scan(start, above - positive, "copy"),
        negatives_below=segment_scan(start, below - negative, "copy"),
        total_positive=above[-1],
        total_negative=below[-1],
    )


def _auc_parts(c: _Below) -> tuple[jax.Array, jax.Array]:
    """Twice the Mann–Whitney U, and twice the number of (positive, negative) pairs."""
    pairs = c.total_positive * c.total_negative
    won = c.positive * c.negatives_below - c.negative * c.positives_below
    return pairs + jnp.sum(won), 2 * pairs


def _ks_parts(c: _Below) -> tuple[jax.Array, jax.Array]:
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
    counts = _below(label, score, valid, bounds)
    auc, distance = _auc_parts(counts), _ks_parts(counts)
    both = _divided([auc[0], distance[0]], [auc[1], distance[1]], label.shape[0])
    return both[0], both[1]


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
