"""Maximum-likelihood logistic regression on secret rows: coefficients, standard errors, log-likelihood.

What statsmodels' ``Logit`` computes, to a few hundredths of a standard error, without opening the Hessian or anything
else. Columns are scaled by public units, then centred and standardised by *secret* moments, so that one set of fixed
point choices serves every data set:

1. Start at the intercept-only model. There the Hessian is ``q K`` with ``q = mean(y)(1 - mean(y))`` and K the Gram
   matrix of the standardised columns; it is scaled to unit diagonal and inverted once (Newton-Schulz).
2. Two steps with that fixed Hessian (Böhning and Lindsay 1988, with the null model's weights instead of 1/4).
3. Exact Newton steps. Each Hessian J satisfies ``J <= K/4``, so ``4 q`` times the first inverse is a start from which
   Newton-Schulz always converges, in a few steps.

The fixed point of the iteration depends on the gradient alone: sums over rows truncated once, at full resolution, and a
sigmoid whose errors are unbiased. The Hessian is only ever divided by the public power of four near the row count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import numeric, scaler
from mpc_compiler.ops.scaler import Ranges, units

__all__ = ["bse_scale", "fit", "predict", "units"]

FIXED_STEPS = 2
NEWTON_STEPS = 4
INVERSE_STEPS = 22
REFRESH_STEPS = 12


def bse_scale(rows: int) -> float:
    """Public factor that turns the ``bse`` of :func:`fit` into standard errors: about ``1/sqrt(rows)``.

    >>> bse_scale(1000)
    0.03125
    """
    return 2.0 ** -(scaler.even_bound(rows) // 2)


@dataclass(frozen=True)
class _Problem:
    """Standardised rows, feature-major, with the intercept as row 0; invalid rows are 0 throughout."""

    Z: jax.Array
    """float64[p+1, n]."""
    y: jax.Array
    """float64[n], 0 or 1."""
    keep: jax.Array | None
    """bool[n] or None, row validity."""
    bound: int
    """Public, even: ``2**bound >= rows``."""

    def at(self, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Fitted probabilities float64[n] and the log-likelihood."""
        eta = beta @ self.Z
        probability, each = numeric.sigmoid_and_softplus(eta)
        if self.keep is not None:
            each = jnp.where(self.keep, each, 0.0)
        return probability, self.y @ eta - jnp.sum(each)

    def step(self, probability: jax.Array, X: jax.Array, d: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Newton step ``D X D g / 2**bound`` and its squared decrement ``g' D X D g / 2**bound``."""
        half = 2.0 ** -(self.bound // 2)
        g = ((self.Z @ (self.y - probability)) * half) * d
        move = X @ g
        return (move * d) * half, g @ move

    def hessian(self, probability: jax.Array, d: jax.Array) -> jax.Array:
        """The Hessian scaled by D on both sides, as :func:`numeric.newton_schulz` wants it."""
        return numeric.scale_both(numeric.gram(self.Z, probability * (1.0 - probability)), d, bound=self.bound)


class _State(NamedTuple):
    beta: jax.Array
    X: jax.Array
    """Inverse of the scaled Hessian used last."""
    quality: jax.Array
    """``max |JX - I|``."""
    decrement: jax.Array
    """Squared Newton decrement of the last step."""
    loglik: jax.Array
    """Before the last step."""
    loglik_null: jax.Array


def fit(
    X: jax.Array, y: jax.Array, valid: jax.Array | None = None, *, ranges: Ranges, rows: int
) -> dict[str, jax.Array]:
    """Fit ``P(y = 1) = sigmoid(intercept + X coef)`` by maximum likelihood.

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
        All secret; index 0 of the first two is the intercept. Nothing is disclosed; trip counts are public constants.

        - ``coef`` float64[p+1]: coefficients of ``x_j * units(ranges)[j]``
        - ``bse`` float64[p+1]: their standard errors divided by :func:`bse_scale`
        - ``loglik``, ``loglik_null`` float64: of the fit, and of the intercept alone
        - ``nobs`` int64: valid rows
        - ``converged`` bool: the one bit to release. False if the classes are separable or only one occurs, a column
          is constant, or columns are collinear; the other results then mean nothing.

    Notes
    -----
    Newton's method for maximum likelihood; standard errors from the inverse Hessian at the last step. The intercept and
    its error are those of the *uncentred* columns: ``b0 - sum(m_j s_j b_j)`` with variance ``c'Vc``,
    ``c = (1, -m_j s_j ..)``.

    >>> x = jnp.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> f = fit(x, jnp.array([0, 0, 1, 0, 1, 1]), ranges=[(0, 5)], rows=6)
    >>> (f["coef"][1] * units([(0, 5)])[0]).round(3), bool(f["converged"])
    (Array(1.214, dtype=float64), True)
    """
    if X.shape[0] == 0:
        return _nothing(len(ranges))
    x = scaler.prescale(X, ranges)
    keep = None if valid is None else valid.astype(bool)
    moments = scaler.moments(x, rows=rows, valid=keep)
    problem = _standardise(x, y, moments, keep, bound=scaler.even_bound(rows))
    intercept, q, two_classes = _null_model(problem.y, moments.nobs, rows=rows)
    d, last = _maximise(problem, intercept, q)
    coef, bse = _in_units(last.beta, last.X, d, moments)
    small = 2.0**-9  # a tenth of a standard error squared is 2**-6.6, and the last step is already taken
    solved = (last.decrement < small) & (last.decrement > -small) & (last.quality < 2.0**-4)
    return {
        "coef": coef,
        "bse": bse,
        "loglik": last.loglik + 0.5 * last.decrement,
        "loglik_null": last.loglik_null,
        "nobs": moments.nobs,
        "converged": solved & two_classes & jnp.all(moments.varies),
    }


def _nothing(features: int) -> dict[str, jax.Array]:
    """The result on no rows: not converged."""
    zero, terms = jnp.zeros(()), jnp.zeros(features + 1)
    nothing = {"nobs": jnp.zeros((), jnp.int64), "converged": jnp.zeros((), bool)}
    return {"coef": terms, "bse": terms, "loglik": zero, "loglik_null": zero} | nothing


def _standardise(
    x: jax.Array, y: jax.Array, moments: scaler.Moments, keep: jax.Array | None, *, bound: int
) -> _Problem:
    z = (x - moments.mean[:, None]) * moments.inv_scale[:, None]
    Z = jnp.concatenate([jnp.ones_like(z[:1]), z])
    target = y.astype(jnp.float64)
    if keep is not None:
        Z, target = jnp.where(keep, Z, 0.0), jnp.where(keep, target, 0.0)
    return _Problem(Z, target, keep, bound)


def _null_model(y: jax.Array, count: jax.Array, *, rows: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Intercept of the model without features, its p(1-p), and whether both classes occur."""
    ones = jnp.sum(y)
    share = jnp.clip(numeric.ratio(ones, count, den_max=rows), 2.0**-10, 1 - 2.0**-10)
    logs = jnp.log(jnp.stack([share, 1.0 - share]))
    return logs[0] - logs[1], share * (1.0 - share), (ones > 0.5) & (ones < count.astype(jnp.float64) - 0.5)


def _maximise(problem: _Problem, intercept: jax.Array, q: jax.Array) -> tuple[jax.Array, _State]:
    """The scaling D of the Hessian and the state after the last step."""
    size = problem.Z.shape[0]
    first, d, quality = numeric.inverse_spd(numeric.gram(problem.Z) * q, bound=problem.bound, steps=INVERSE_STEPS)
    safe = first * (4.0 * q)

    def refresh(probability: jax.Array, _: _State) -> tuple[jax.Array, jax.Array]:
        J = problem.hessian(probability, d)
        X = numeric.newton_schulz(J, safe, steps=REFRESH_STEPS)
        return X, numeric.residual(J, X)

    def step(i: jax.Array, state: _State) -> _State:
        probability, loglik = problem.at(state.beta)
        X, quality = jax.lax.cond(i < FIXED_STEPS, lambda _, s: (s.X, s.quality), refresh, probability, state)
        move, decrement = problem.step(probability, X, d)
        null = jnp.where(i == 0, loglik, state.loglik_null)
        return _State(state.beta + move, X, quality, decrement, loglik, null)

    beta = jnp.concatenate([intercept[None], jnp.zeros(size - 1)])
    start = _State(beta, first, quality, quality, quality, quality)
    return d, jax.lax.fori_loop(0, FIXED_STEPS + NEWTON_STEPS, step, start)


def _in_units(beta: jax.Array, X: jax.Array, d: jax.Array, moments: scaler.Moments) -> tuple[jax.Array, jax.Array]:
    """Coefficients and scaled standard errors for the columns in their units, uncentred."""
    shift = moments.mean * moments.inv_scale
    slopes = beta[1:] * moments.inv_scale
    intercept = beta[0] - shift @ beta[1:]
    c = jnp.concatenate([d[:1], -(shift * d[1:])])
    down, up = _normaliser(jnp.sum(jnp.where(c < 0, -c, c)))
    c = c * down
    deviations = numeric.sqrt(jnp.concatenate([(c @ (X @ c))[None], jnp.diagonal(X)[1:]]))
    errors = deviations * jnp.concatenate([up[None], d[1:] * moments.inv_scale])
    return jnp.concatenate([intercept[None], slopes]), errors


def _normaliser(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(2**-e, 2**e) with e = floor(log2 x) clipped to 0..18."""
    flags = numeric.at_least(x, [2.0**e for e in range(1, 19)])
    powers = [2.0**e for e in range(19)]
    return numeric.step_sum(flags, [1 / v for v in powers]), numeric.step_sum(flags, powers)


def predict(X: jax.Array, coef: jax.Array, *, ranges: Ranges) -> jax.Array:
    """``P(y = 1)`` float64[n] for secret rows float64[n, p] and secret ``coef`` of :func:`fit`; nothing is disclosed.

    >>> predict(jnp.array([[2.0]]), jnp.array([-1.0, 0.25]), ranges=[(0, 4)]).round(4)
    Array([0.3775], dtype=float64)
    """
    if X.shape[0] == 0:
        return jnp.zeros(0)
    return numeric.sigmoid(coef[1:] @ scaler.prescale(X, ranges) + coef[0])
