"""Generalised linear models on secret rows by maximum likelihood: coefficients, standard errors, likelihoods.

What statsmodels' ``GLM`` computes, to a few hundredths of a standard error, without opening the Hessian or anything
else:

1. Start at the intercept-only model. There the Hessian is ``q K`` with K the weighted Gram matrix of the standardised
   columns; it is scaled to unit diagonal and inverted once (Newton-Schulz).
2. Steps with that fixed Hessian (Böhning and Lindsay 1988, with the null model's weights).
3. Exact Newton steps (Fisher scoring), each with its own Hessian and inverse.

The fixed point of the iteration depends on the score alone: sums over rows truncated once, at full resolution. The
Hessian is only ever divided by the public power of four near the row count.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import firth, linalg, numeric, scaler
from mpc_compiler.ops.design import Design
from mpc_compiler.ops.families import Family, Fitted
from mpc_compiler.ops.likelihood import Problem, null_model, problem_of

__all__ = ["bse_scale", "fit", "in_units"]

REFRESHED = 2.0**-10
"""Smallest ratio of a weight to 1/4 that the number of steps of a fresh inverse is for."""


def bse_scale(rows: int) -> float:
    """Public factor that turns the ``bse`` of :func:`fit` into standard errors: about ``1/sqrt(rows)``.

    >>> bse_scale(1000)
    0.03125
    """
    return 2.0 ** -(scaler.even_bound(rows) // 2)


class _State(NamedTuple):
    beta: jax.Array
    X: jax.Array
    """Inverse of the scaled Hessian used last."""
    d: jax.Array
    """Its scaling."""
    quality: jax.Array
    """``max |JX - I|``."""
    decrement: jax.Array
    """Squared Newton decrement of the last step."""
    likelihood: jax.Array
    """Before the last step."""
    null: jax.Array


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
    last = _maximise(problem, intercept, q, unbiased=unbiased)
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


def _maximise(problem: Problem, intercept: jax.Array, q: jax.Array, *, unbiased: bool) -> _State:
    ones = jnp.ones(problem.design.rows)
    first, d, quality = linalg.inverse_spd(problem.hessian(problem.weighted(ones) * q), bound=problem.bound)
    beta = jnp.concatenate([intercept[None], jnp.zeros(problem.design.columns)])
    start = _State(beta, first, d, quality, quality, quality, quality)

    def fixed(number: jax.Array, state: _State) -> _State:
        fitted, likelihood = problem.at(state.beta)
        moved = _moved(problem, state, fitted, likelihood)
        return moved._replace(null=jnp.where(number == 0, likelihood, state.null))

    def penalised(number: jax.Array, state: _State) -> _State:
        fitted, likelihood = problem.at(state.beta)
        fresh = _refreshed(problem, state, fitted, first, q)
        g = problem.gradient(state.beta, fitted) + firth.correction(problem, fitted, fresh.X, fresh.d)
        move, decrement = _step(problem, fresh, g)
        null = jnp.where(number == 0, likelihood, state.null)
        return fresh._replace(beta=state.beta + move, decrement=decrement, null=null)

    def newton(_: jax.Array, state: _State) -> _State:
        fitted, likelihood = problem.at(state.beta)
        return _moved(problem, _refreshed(problem, state, fitted, first, q), fitted, likelihood)

    if unbiased:
        done: _State = jax.lax.fori_loop(0, firth.STEPS, penalised, start)
        return done
    state = jax.lax.fori_loop(0, problem.family.fixed, fixed, start)
    last: _State = jax.lax.fori_loop(0, problem.family.newton, newton, state)
    return last


def _moved(problem: Problem, state: _State, fitted: Fitted, likelihood: jax.Array) -> _State:
    """The state after one step, given what rows need before it."""
    move, decrement = _step(problem, state, problem.gradient(state.beta, fitted))
    return state._replace(beta=state.beta + move, decrement=decrement, likelihood=likelihood)


def _step(problem: Problem, state: _State, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Newton step ``D X D g / 2**bound`` and its squared decrement ``g' D X D g / 2**bound``."""
    half = 2.0 ** -(problem.bound // 2)
    scaled = (g * half) * state.d
    move = state.X @ scaled
    return (move * state.d) * half, scaled @ move


def _refreshed(problem: Problem, state: _State, fitted: Fitted, first: jax.Array, q: jax.Array) -> _State:
    """The same with the Hessian of this step."""
    J = problem.hessian(problem.weighted(fitted.weight))
    if problem.family.name == "binomial":  # J <= K/4, so 4q times the first inverse always converges
        scaled = linalg.scale_both(J, state.d, bound=problem.bound)
        X = linalg.inverse(scaled, first * (4.0 * q), least=REFRESHED)
        return state._replace(X=X, quality=linalg.residual(scaled, X))
    X, d, quality = linalg.inverse_spd(J, bound=problem.bound)
    return state._replace(X=X, d=d, quality=quality)


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
