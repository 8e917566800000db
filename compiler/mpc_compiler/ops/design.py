"""The design matrix of a linear model, whoever holds its columns: products with it are all that a fit needs.

Columns that computing parties own stay with them in the clear (`mpc_compiler.ops.owned`); the others are secret. All
are standardised, so that one set of fixed-point choices serves every data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mpc_compiler.ops import linalg, numeric, scaler
from mpc_compiler.ops.owned import owned_gram, owned_matmul, owned_rmatmul

__all__ = ["Design", "Moments", "centred_columns", "secret_columns"]


ROUNDED = 2.0**15
"""Sums of weighted squares up to which weights are rounded: they have at least ten fraction bits then, enough for
columns that are 0 but in a few dozen rows. Beyond, weighted rows are."""


@dataclass(frozen=True)
class Moments:
    """What standardised the columns, in their units: float64 [p] each, ``varies`` bool [p] or None (all do)."""

    mean: jax.Array
    inverse: jax.Array
    varies: jax.Array | None = None


@dataclass(frozen=True)
class Design:
    """Standardised columns of n rows.

    Parameters
    ----------
    owned : tuple of Array
        float64 [n, p_i]: inputs that a computing party knows.
    secret : Array or None
        float64 [q, n], **feature-major**, secret; 0 where a row does not count.
    moments : Moments
        Of all columns, the owned ones first.
    rows : int
        Public number of rows, valid or not.
    """

    owned: tuple[jax.Array, ...]
    secret: jax.Array | None
    moments: Moments
    rows: int

    @property
    def columns(self) -> int:
        """Number of columns, without the intercept."""
        return sum(x.shape[1] for x in self.owned) + (0 if self.secret is None else self.secret.shape[0])

    def times(self, beta: jax.Array) -> jax.Array:
        """``X beta`` float64 [n] of secret float64 [p]."""
        owned = beta.shape[0] - (0 if self.secret is None else self.secret.shape[0])
        parts = [owned_matmul(self.owned, beta[:owned, None])[:, 0]] if self.owned else []
        if self.secret is not None:
            parts.append(beta[owned:] @ self.secret)
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def back(self, e: jax.Array) -> jax.Array:
        """``X' e`` float64 [p] of secret float64 [n], truncated once a column."""
        return self._back(e, 1)

    def _back(self, e: jax.Array, step: int) -> jax.Array:
        parts = [owned_rmatmul(self.owned, e[:, None], step=step)[:, 0]] if self.owned else []
        if self.secret is not None:
            parts.append(_every(self.secret, step) @ e)
        return jnp.concatenate(parts)

    def gram(self, weights: jax.Array | None, *, step: int = 1, most: float | None = None) -> jax.Array:
        """The weighted products of all columns and the intercept, ``[1 X]' diag(w) [1 X]``: float64 [p+1, p+1].

        With a `step`, an estimate of them from the rows 0, step, 2 step .., `step` times what these come to. Without
        weights, which is cheaper, all are 1. It is cheaper, too, if none is larger than the public `most`.
        """
        kept = jnp.ones(-(-self.rows // step)) if weights is None else _every(weights, step)
        inner = self._inner(None if weights is None else kept, step, most)
        kept, inner = (kept * float(step), inner * float(step)) if step > 1 else (kept, inner)
        first = jnp.concatenate([jnp.sum(kept)[None], self._back(kept, step)])
        return jnp.concatenate([first[None], jnp.concatenate([first[1:, None], inner], axis=1)])

    def _inner(self, weights: jax.Array | None, step: int, most: float | None) -> jax.Array:
        # squares of a column that its owner standardised add up to the number of rows
        limit = None if most is None or most * self.rows > ROUNDED else most * self.rows
        if self.secret is None:
            return owned_gram(weights, self.owned, step=step, limit=limit)
        secret = _every(self.secret, step)
        below = linalg.gram(secret, weights)
        if not self.owned:
            return below
        weighted = secret.T if weights is None else (secret * weights).T
        cross = owned_rmatmul(self.owned, weighted, step=step)
        upper = jnp.concatenate([owned_gram(weights, self.owned, step=step, limit=limit), cross], axis=1)
        return jnp.concatenate([upper, jnp.concatenate([cross.T, below], axis=1)])


def _every(x: jax.Array, step: int) -> jax.Array:
    """Every `step`-th along the last axis."""
    return x if step == 1 else x[..., ::step]


def secret_columns(
    X: jax.Array, *, ranges: Sequence[tuple[float, float]], rows: int, valid: jax.Array | None
) -> tuple[jax.Array, Moments]:
    """Standardise secret columns float64 [n, q] by secret moments; returns float64 [q, n] and the moments.

    Examples
    --------
    >>> z, moments = secret_columns(jnp.array([[10.0], [30.0]]), ranges=[(0, 100)], rows=2, valid=None)
    >>> z.round(3)
    Array([[-1.,  1.]], dtype=float64)
    """
    x = scaler.prescale(X, ranges)
    found = scaler.moments(x, rows=rows, valid=valid)
    z = (x - found.mean[:, None]) * found.inv_scale[:, None]
    z = z if valid is None else jnp.where(valid, z, 0.0)
    return z, Moments(found.mean, found.inv_scale, found.varies)


def centred_columns(
    X: jax.Array, *, ranges: Sequence[tuple[float, float]], rows: int, valid: jax.Array | None
) -> tuple[jax.Array, Moments]:
    """Secret columns float64 [n, q] in their units, less their secret means; as :func:`secret_columns` returns them.

    Examples
    --------
    >>> z, moments = centred_columns(jnp.array([[16.0], [32.0]]), ranges=[(0, 64)], rows=2, valid=None)
    >>> z, moments.mean
    (Array([[-0.5,  0.5]], dtype=float64), Array([1.5], dtype=float64))
    """
    x = scaler.prescale(X, ranges)
    held = x if valid is None else jnp.where(valid, x, 0.0)
    count = jnp.full((), x.shape[1], jnp.int64) if valid is None else jnp.sum(valid.astype(jnp.int64))
    mean = numeric.ratio(jnp.sum(held, axis=1), jnp.broadcast_to(count, x.shape[:1]), den_max=rows)
    z = x - mean[:, None]
    return z if valid is None else jnp.where(valid, z, 0.0), Moments(mean, jnp.ones(x.shape[0]))
