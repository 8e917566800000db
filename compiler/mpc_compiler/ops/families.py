"""Distributions of generalised linear models: fitted means, scores, weights and likelihoods from linear predictors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops.sigmoid import quick_sigmoid, sigmoid_and_softplus

__all__ = ["FAMILIES", "Family", "Fitted", "family_of"]

_LOW, _HIGH = -12.0, 6.0
"""Linear predictors of log links are clipped to this; targets are scaled to at most 4."""


class Fitted(NamedTuple):
    """What a step needs of each row, float64 [n] each.

    Attributes
    ----------
    mean : Array
    score : Array
        Derivative of the log-likelihood by the linear predictor.
    weight : Array
        Expected negative second derivative.
    likelihood : Array
        The part of the log-likelihood that depends on the fit.
    pearson : Array
        Squared residual over the variance function; its sum over the degrees of freedom estimates the dispersion.
    """

    mean: jax.Array
    score: jax.Array
    weight: jax.Array
    likelihood: jax.Array
    pearson: jax.Array


@dataclass(frozen=True)
class Family:
    """A distribution with its link.

    Parameters
    ----------
    name : str
    log_link : bool
        Whether the mean is the exponential of the linear predictor.
    dispersed : bool
        Whether a dispersion is estimated and scales the standard errors.
    fitted : callable
        (linear predictor, target) -> Fitted.
    saturated : callable
        Target -> what the deviance compares the likelihood with, up to what only the weights decide.
    curvature : callable
        Mean target -> weight of the model without features.
    fixed, newton : int
        Steps with the first Hessian, and the number of fresh ones. Two more steps are made with the last one.
    """

    name: str
    log_link: bool
    dispersed: bool
    fitted: Callable[[jax.Array, jax.Array], Fitted]
    saturated: Callable[[jax.Array], jax.Array]
    curvature: Callable[[jax.Array], jax.Array]
    fixed: int
    newton: int
    heaviest: float | None = None
    """Largest weight of a row; None: no bound that is of use."""
    quick: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]] | None = None
    """Score and weight of rows, less exactly than `fitted` and in less time; None: there is nothing faster."""

    def ahead(self, eta: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Score and weight of rows on the way, float64 [n] each; what the last steps need is in `fitted`."""
        if self.quick is not None:
            return self.quick(eta, y)
        rows = self.fitted(eta, y)
        return rows.score, rows.weight


def _binomial(eta: jax.Array, y: jax.Array) -> Fitted:
    mean, softplus = sigmoid_and_softplus(eta)
    score, weight = y - mean, mean * (1.0 - mean)
    return Fitted(mean, score, weight, y * eta - softplus, score * score)


def _binomial_step(eta: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = quick_sigmoid(eta)
    return y - mean, mean * (1.0 - mean)


def _gaussian(eta: jax.Array, y: jax.Array) -> Fitted:
    score = y - eta
    return Fitted(eta, score, jnp.ones_like(eta), -0.5 * score * score, score * score)


def _exp(eta: jax.Array) -> jax.Array:
    return jnp.exp(jnp.clip(eta, _LOW, _HIGH))


def _poisson(eta: jax.Array, y: jax.Array) -> Fitted:
    mean = _exp(eta)
    score = y - mean
    return Fitted(mean, score, mean, y * eta - mean, score * score * _exp(-eta))


def _gamma(eta: jax.Array, y: jax.Array) -> Fitted:
    ratio = y * _exp(-eta)
    score = ratio - 1.0
    return Fitted(_exp(eta), score, jnp.ones_like(eta), -(ratio + eta), score * score)


def _tweedie(power: float) -> Callable[[jax.Array, jax.Array], Fitted]:
    def fitted(eta: jax.Array, y: jax.Array) -> Fitted:
        a, b = _exp((1.0 - power) * eta), _exp((2.0 - power) * eta)
        score = y * a - b
        likelihood = y * a * (1.0 / (1.0 - power)) - b * (1.0 / (2.0 - power))
        return Fitted(_exp(eta), score, b, likelihood, score * score * _exp((power - 2.0) * eta))

    return fitted


def _log(y: jax.Array) -> jax.Array:
    """Of a positive target; a smaller one than fixed point resolves counts as the smallest."""
    return jnp.log(jnp.maximum(y, 2.0**-12))


def _tweedie_saturated(y: jax.Array, power: float) -> jax.Array:
    scale = 1.0 / ((1.0 - power) * (2.0 - power))
    return jnp.where(y > 2.0**-12, jnp.exp((2.0 - power) * _log(y)) * scale, 0.0)


FAMILIES = ("binomial", "gaussian", "poisson", "gamma", "tweedie")
"""Names of the families; ``tweedie`` has a power between 1 and 2. All but the first two have a log link."""


def family_of(name: str, power: float = 1.5) -> Family:
    """The family of that name.

    Examples
    --------
    >>> family_of("poisson").dispersed, family_of("gamma").dispersed
    (False, True)
    """
    if name == "binomial":
        return Family(
            name, False, False, _binomial, jnp.zeros_like, lambda p: p * (1.0 - p), 3, 3, 0.25, _binomial_step
        )
    if name == "gaussian":
        return Family(name, False, True, _gaussian, jnp.zeros_like, jnp.ones_like, 1, 0, 1.0)
    if name == "poisson":
        return Family(name, True, False, _poisson, lambda y: y * _log(y), lambda m: m, 3, 5)
    if name == "gamma":
        return Family(name, True, True, _gamma, _log, jnp.ones_like, 10, 0, 1.0)
    if name == "tweedie" and 1.0 < power < 2.0:
        return Family(
            name,
            True,
            True,
            _tweedie(power),
            lambda y: _tweedie_saturated(y, power),
            lambda m: jnp.exp((2.0 - power) * jnp.log(m)),
            2,
            4,
        )
    raise ValueError(f"no family {name!r} with power {power}")
