"""Generalised linear models on secret rows by maximum likelihood: coefficients, standard errors, likelihoods.

What statsmodels' ``GLM`` computes, to a few hundredths of a standard error, without opening the Hessian or anything
else:

1. Start at the intercept-only model. There the Hessian is ``q K`` with K the weighted Gram matrix of the standardised
   columns; it is scaled to unit diagonal and inverted once (Newton-Schulz).
2. Steps with that fixed Hessian (Böhning and Lindsay 1988, with the null model's weights).
3. Steps with fresh Hessians (Fisher scoring), several with each: see `mpc_compiler.ops.newton`.

With many rows a feature the Hessian is only estimated, from every k-th row, for all steps but the last two: see
`mpc_compiler.ops.sampled`.

The fixed point of the iteration depends on the score alone: sums over rows truncated once, at full resolution. The
Hessian is only ever divided by the public power of four near the row count.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric, scaler
from mpc_compiler.ops.design import Design
from mpc_compiler.ops.families import Family
from mpc_compiler.ops.likelihood import null_model, problem_of
from mpc_compiler.ops.newton import maximise, maximise_penalised

__all__ = ["bse_scale", "fit", "in_units"]


def bse_scale(rows: int) -> float:
    """Public factor that turns the ``bse`` of :func:`fit` into standard errors: about ``1/sqrt(rows)``.

    >>> bse_scale(1000)
    0.03125
    """
    return 2.0 ** -(scaler.even_bound(rows) // 2)


def fit(
    design: Design,
    y: jax.Array,
    valid: jax.Array | None,
    *,
    family: Family,
    rows: int,
    weights: jax.Array | None = None,
    offset: jax.Array | None = None,
    penalty: jax.Array | None = None,
    unbiased: bool = False,
) -> dict[str, jax.Array]:
    """Fit a generalised linear model with an intercept by maximum likelihood.

    Parameters
    ----------
    design : Design
        n rows, p standardised columns.
    y : array
        float64 [n], the target: 0 or 1, or scaled by a public power of two to at most 4.
    valid : array or None
        bool [n], row validity.
    family : Family
    rows : int
        Public upper bound of the number of valid rows, at most ``2**21``.
    weights : array or None
        float64 [n], sample weights between 0 and 16.
    offset : array or None
        float64 [n], added to the linear predictor.
    penalty : array or None
        float64 [p], ridge penalty of each standardised coefficient.
    unbiased : bool
        Firth's penalty, of a binomial family whose columns are all secret; see `mpc_compiler.ops.firth`.

    Returns
    -------
    dict of str to array
        All secret; index 0 of the first two is the intercept. Nothing is disclosed; trip counts are public constants.

        - ``coef`` float64 [p+1]: coefficients of the columns in their units (see `mpc_compiler.ops.scaler.units`)
        - ``bse`` float64 [p+1]: their standard errors divided by :func:`bse_scale`, and by the square root of the
          dispersion where the family has one
        - ``loglik``, ``loglik_null`` float64: the parts that depend on the fit, and on the intercept alone
        - ``pearson``, ``saturated``, ``total``, ``weight`` float64: weighted sums of squared Pearson residuals, of what
          the deviance compares with, of the target and of 1; ``nobs`` int64: valid rows
        - ``converged`` bool: the one bit to release. False if the data are separable, a column is constant, or columns
          are collinear; the other results then mean nothing.
    """
    problem = problem_of(design, y, valid, family=family, rows=rows, weights=weights, offset=offset, penalty=penalty)
    intercept, q, varies = null_model(problem)
    last = (maximise_penalised if unbiased else maximise)(problem, intercept, q)
    coef, bse = in_units(last.beta, last.X, last.d, design)
    found, likelihood = problem.at(last.beta)
    # a tenth of a standard error squared is 2**-6.6, and the last step is already taken; Firth's converge linearly
    small = 2.0**-12 if unbiased else 2.0**-9
    solved = (last.decrement < small) & (last.decrement > -small) & (last.quality < 2.0**-4)
    sound = solved & varies
    if design.moments.varies is not None:
        sound = sound & jnp.all(design.moments.varies)
    return {
        "coef": coef,
        "bse": bse,
        "loglik": likelihood if unbiased else last.likelihood + 0.5 * last.decrement,
        "loglik_null": last.null,
        "pearson": jnp.sum(problem.weighted(found.pearson)),
        "saturated": jnp.sum(problem.weighted(family.saturated(problem.y))),
        "total": jnp.sum(problem.weighted(problem.y)),
        "weight": problem.nobs.astype(jnp.float64) if problem.weights is None else jnp.sum(problem.weights),
        "nobs": problem.nobs,
        "converged": sound,
    }


def in_units(beta: jax.Array, X: jax.Array, d: jax.Array, design: Design) -> tuple[jax.Array, jax.Array]:
    """Coefficients and scaled standard errors for the columns in their units, uncentred.

    The intercept is ``b0 - sum(m_j s_j b_j)``, with variance ``c'Vc``, ``c = (1, -m_j s_j ..)``.

    Parameters
    ----------
    beta : Array
        float64 [p+1], of the standardised columns.
    X, d : Array
        float64 [p+1, p+1] and [p+1]: the inverse of the Hessian is ``D X D / 2**bound``, D = diag(d).
    design : Design
    """
    inverse = design.moments.inverse
    shift = design.moments.mean * inverse
    slopes = beta[1:] * inverse
    intercept = beta[0] - shift @ beta[1:]
    c = jnp.concatenate([d[:1], -(shift * d[1:])])
    down, up = _normaliser(jnp.sum(jnp.where(c < 0, -c, c)))
    c = c * down
    deviations = numeric.sqrt(jnp.concatenate([(c @ (X @ c))[None], jnp.diagonal(X)[1:]]))
    errors = deviations * jnp.concatenate([up[None], d[1:] * inverse])
    return jnp.concatenate([intercept[None], slopes]), errors


def _normaliser(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(2**-e, 2**e) with e = floor(log2 x) clipped to 0..18."""
    flags = numeric.at_least(x, [2.0**e for e in range(1, 19)])
    powers = [2.0**e for e in range(19)]
    return numeric.step_sum(flags, [1 / v for v in powers]), numeric.step_sum(flags, powers)
