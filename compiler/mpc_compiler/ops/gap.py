"""Whether one secret score ranks better than another of the same rows: DeLong's test of two areas under the ROC curve.

Two sorts, the second of which carries along what the first found for each row. What is summed over rows are
differences of exact counts.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric
from mpc_compiler.ops.primitives import decode_fixed, encode_fixed
from mpc_compiler.ops.ranking import ROWS_MAX, below_of, keys_of, placed, sides_of

__all__ = ["GAIN", "roc_gap"]

GAIN = 2.0**11
"""Public factor of the results, which are small for scores that are alike."""

# Binary exponents: a variance of at most 8 times both of them, over at least 2 rows, stays below 2**24.
_MEAN, _VARIANCE, _PARTS = 11, 12, 10


def roc_gap(
    label: jax.Array,
    first: jax.Array,
    second: jax.Array,
    valid: jax.Array | None = None,
    *,
    bounds: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, 1.0)),
) -> tuple[jax.Array, jax.Array]:
    """Difference of two areas under the ROC curve, and its standard error; both times `GAIN`.

    Parameters
    ----------
    label : array
        int64[n] (or bool), 1 for the positive class; at most ``2**20`` rows.
    first, second : array
        float64[n] or int64[n]; higher means more likely positive. Floats are compared at a resolution of ``2**-18``.
    valid : array or None
        bool[n]; rows that are not valid count nowhere.
    bounds : ((float, float), (float, float))
        Public ranges of the scores.

    Returns
    -------
    (array, array)
        Secret float64 scalars; both 0 if only one class occurs. The difference is within ``2**-16`` of itself and 1e-6,
        its standard error within about 1e-3 of itself.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988 with the placements of Sun and Xu 2014: with d the difference between two
    scores of the share of negatives below each positive, ties counted half, and e that of the share of positives below
    each negative, the variance of the difference is ``var(d) / P + var(e) / N``. Nothing is disclosed.

    >>> label, one, other = jnp.array([0, 0, 1, 1]), jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0.1, 0.2, 0.3, 0.4])
    >>> [round(float(v) / GAIN, 3) for v in roc_gap(label, one, other)]
    [-0.25, 0.354]
    """
    rows = label.shape[0]
    if rows > ROWS_MAX:
        raise ValueError(f"expected at most 2**20 rows, got {rows}")
    if rows == 0:
        return jnp.zeros(()), jnp.zeros(())
    (key, bits), (key_of_second, bits_of_second) = (
        keys_of(score, bound) for score, bound in zip((first, second), bounds, strict=True)
    )
    one, (key_of_second,) = below_of(key, bits, sides_of(label, valid), (key_of_second,))
    own = one.positive * placed(one)[0] + (1 - one.positive) * placed(one)[1]
    both = sides_of(one.positive, None if valid is None else one.positive + one.negative > 0)
    other, (own,) = below_of(key_of_second, bits_of_second, both, (own,))
    difference = own[None] - placed(other)
    counts = jnp.stack([other.total_positive, other.total_negative])
    member = jnp.stack([other.positive, other.negative])
    return _gap_and_error(difference, member, counts, rows)


def _gap_and_error(
    difference: jax.Array, member: jax.Array, counts: jax.Array, rows: int
) -> tuple[jax.Array, jax.Array]:
    """From twice the differences of counts of the other class below each row, for both classes [2, n]."""
    small, inverse = numeric.unit_inverse(2 * counts[::-1], den_max=2 * rows)
    place = (difference.astype(jnp.float64) * small[:, None]) * inverse[:, None]
    flags = member.astype(jnp.float64)
    sums = jnp.stack([jnp.dot(flags[0], place[0]), jnp.dot(flags[1], place[1])])
    present = counts[::-1] > 0
    mean = numeric.ratio(_raised(jnp.where(present, sums, 0.0), _MEAN), counts, den_max=rows)
    off = place - mean[:, None] * 2.0**-_MEAN
    mine = flags * off
    squares = jnp.where(present, jnp.stack([jnp.dot(mine[0], off[0]), jnp.dot(mine[1], off[1])]), 0.0)
    others = counts - jnp.where(counts > 0, 1, 0)
    variance = numeric.ratio(_raised(squares, _VARIANCE), others, den_max=rows)
    parts = numeric.ratio(_raised(variance, _PARTS), counts, den_max=rows)
    error = numeric.roots(parts[0] + parts[1], high=numeric.HEADROOM)[1]
    return mean[0], error


def _raised(x: jax.Array, bits: int) -> jax.Array:
    """``x * 2**bits``, exactly: a product of fixed-point numbers would have to stay below ``2**HEADROOM``."""
    return decode_fixed(encode_fixed(x) * (1 << bits))
