"""Means of losses of secret probabilities, and the stability of a distribution over bands of a score."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric
from mpc_compiler.ops.primitives import one_hot, ring_matmul

__all__ = ["log_loss", "stability"]

_LEAST = 2.0**-17
_LIFT = 8  # the logarithm takes arguments from 2**-13, and is best around 1


def _counted(label: jax.Array, valid: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """(1 where a row counts, how many do)."""
    rows = label.shape[0]
    if valid is None:
        return jnp.ones(rows, jnp.int64), jnp.full((), rows, jnp.int64)
    ones = valid.astype(jnp.int64)
    return ones, jnp.sum(ones)


def log_loss(label: jax.Array, probability: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Mean of ``-log`` of the probability of each row's own label.

    Parameters
    ----------
    label : array
        int64[n], 0 or 1; from 1 to ``2**20`` rows.
    probability : array
        float64[n] in [0, 1], of label 1.
    valid : array or None
        bool[n]; rows that are not valid do not count.

    Returns
    -------
    array
        Secret float64 scalar; 0 without rows. Probabilities are held to ``2**-17`` from 0, so that a row adds 11.8 at
        most. Besides, an error of probabilities of ``2**-18`` and 2e-5 of logarithms, both unbiased.

    Notes
    -----
    One comparison, product and logarithm a row. Nothing is disclosed.

    >>> round(float(log_loss(jnp.array([1, 0]), jnp.array([0.8, 0.4]))), 4)
    0.367
    """
    own = (1.0 - probability) + label.astype(jnp.float64) * (2.0 * probability - 1.0)
    lifted = jnp.log(jnp.maximum(own, _LEAST) * 2.0**_LIFT)
    loss = _LIFT * math.log(2) - lifted
    ones, count = _counted(label, valid)
    total = jnp.sum(loss) if valid is None else jnp.dot(ones.astype(jnp.float64), loss)
    return numeric.ratio(total[None], count[None], den_max=label.shape[0])[0]


def stability(
    sample: jax.Array, code: jax.Array, valid: jax.Array | None = None, *, bands: int
) -> tuple[jax.Array, jax.Array]:
    """Population stability index of two samples, and the size of the smaller one.

    Parameters
    ----------
    sample : array
        int64[n]: 0 for the expected sample, 1 for the actual one; from 1 to ``2**20`` rows.
    code : array
        int64[n], the band of each row, in ``0..bands-1``.
    valid : array or None
        bool[n].
    bands : int
        Public.

    Returns
    -------
    (array, array)
        Secret float64 and int64 scalars: the sum over bands of ``(a - e) * log(a / e)``, where an empty band counts
        as one with half a row in its logarithm. Error about 1e-4; both are 0 if a sample is empty.

    Notes
    -----
    One-hot rows times the two samples, then everything is as long as there are bands. Nothing is disclosed.

    >>> psi, least = stability(jnp.array([0, 0, 0, 0, 1, 1]), jnp.array([0, 0, 0, 1, 0, 1]), bands=2)
    >>> round(float(psi), 4), int(least)
    (0.2747, 2)
    """
    rows = code.shape[0]
    hot = one_hot(code, bands, valid)
    count = ring_matmul(hot, jnp.stack([1 - sample, sample], axis=1))
    total = jnp.sum(count, axis=0)
    share = numeric.fraction(count, jnp.broadcast_to(total[None], count.shape), den_max=rows)
    logs = _logs(jnp.concatenate([count, total[None]]), rows)
    log_share = logs[:-1] - logs[-1:]
    change = (share[:, 1] - share[:, 0]) * (log_share[:, 1] - log_share[:, 0])
    least = jnp.minimum(total[0], total[1])
    return jnp.where(least > 0, jnp.sum(change), 0.0), least


def _logs(count: jax.Array, rows: int) -> jax.Array:
    """Logarithms of counts less a public constant; 0 is taken as one half."""
    scale = 2.0 ** -max(0, rows.bit_length() - 12)
    return jnp.log(jnp.where(count > 0, count.astype(jnp.float64) * scale, 0.5 * scale))
