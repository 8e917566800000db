"""Maximum-likelihood logistic regression on secret columns, and probabilities from its coefficients."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops import glm, scaler
from mpc_compiler.ops.design import Design, secret_columns
from mpc_compiler.ops.families import family_of
from mpc_compiler.ops.glm import bse_scale
from mpc_compiler.ops.scaler import Ranges, units
from mpc_compiler.ops.sigmoid import sigmoid

__all__ = ["bse_scale", "fit", "predict", "units"]


def fit(
    X: jax.Array, y: jax.Array, valid: jax.Array | None = None, *, ranges: Ranges, rows: int
) -> dict[str, jax.Array]:
    """Fit ``P(y = 1) = sigmoid(intercept + X coef)`` by maximum likelihood, all columns secret.

    Parameters
    ----------
    X : array
        float64[n, p], secret columns without the intercept.
    y : array
        int64[n] (or bool, float64), 0 or 1.
    valid : array or None
        bool[n] (or 0/1), row validity.
    ranges : sequence of (float, float)
        Public value range of each column. Resolution is a millionth of the range.
    rows : int
        Public upper bound of the number of valid rows, at most ``2**21``.

    Returns
    -------
    dict of str to array
        See :func:`mpc_compiler.ops.glm.fit`. Nothing is disclosed.

    Notes
    -----
    >>> x = jnp.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> f = fit(x, jnp.array([0, 0, 1, 0, 1, 1]), ranges=[(0, 5)], rows=6)
    >>> (f["coef"][1] * units([(0, 5)])[0]).round(3), bool(f["converged"])
    (Array(1.214, dtype=float64), True)
    """
    if X.shape[0] == 0:
        return nothing(len(ranges))
    keep = None if valid is None else valid.astype(bool)
    columns, moments = secret_columns(X, ranges=ranges, rows=rows, valid=keep)
    design = Design((), columns, moments, X.shape[0])
    return glm.fit(design, y.astype(jnp.float64), keep, family=family_of("binomial"), rows=rows)


def nothing(features: int) -> dict[str, jax.Array]:
    """The result on no rows: not converged."""
    zero, terms = jnp.zeros(()), jnp.zeros(features + 1)
    counts = {"nobs": jnp.zeros((), jnp.int64), "converged": jnp.zeros((), bool)}
    sums = dict.fromkeys(("loglik", "loglik_null", "pearson", "saturated", "total", "weight"), zero)
    return {"coef": terms, "bse": terms} | sums | counts


def predict(X: jax.Array, coef: jax.Array, *, ranges: Ranges) -> jax.Array:
    """``P(y = 1)`` float64[n] for secret rows float64[n, p] and secret ``coef`` of :func:`fit`; nothing is disclosed.

    >>> predict(jnp.array([[2.0]]), jnp.array([-1.0, 0.25]), ranges=[(0, 4)]).round(4)
    Array([0.3775], dtype=float64)
    """
    if X.shape[0] == 0:
        return jnp.zeros(0)
    return sigmoid(coef[1:] @ scaler.prescale(X, ranges) + coef[0])
