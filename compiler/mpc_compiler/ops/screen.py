"""Which features are worth a test at all: enough information, not too close to a stronger one, not too inflated."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ops import collinear, numeric
from mpc_compiler.ops.likelihood import Problem, mean_target, null_model

__all__ = ["Screen", "screened"]


@dataclass(frozen=True)
class Screen:
    """Limits, all public; None where there is none.

    Parameters
    ----------
    iv : float or None
        Least information value of a weight of evidence.
    correlation : float or None
        Of two features with a larger correlation, in size, the weaker one goes.
    inflation : float or None
        The feature with the largest variance inflation factor goes until none is larger.
    by_iv : bool
        What makes a feature strong: its information value, or else the statistic of its own score test.
    """

    iv: float | None = None
    correlation: float | None = None
    inflation: float | None = None
    by_iv: bool = False


def screened(problem: Problem, screen: Screen, units: NDArray[np.float64]) -> jax.Array | None:
    """The features that pass, one limit after the other: bool [p]; None where all do.

    Parameters
    ----------
    problem : Problem
        n rows, p columns.
    screen : Screen
    units : ndarray
        float64 [p], public: columns times their unit are what the design standardised.

    Returns
    -------
    Array or None
        Secret; nothing is disclosed.

    Notes
    -----
    The information value of a weight of evidence is the difference of its means among non-events and events,
    ``sum_b (g_b - e_b) woe_b`` for the parts g_b and e_b of the classes in bin b. So it follows from one product of the
    columns with the centred target, and so does a score statistic: that product over ``sqrt(n q)`` times the standard
    deviation.

    Examples
    --------
    >>> from mpc_compiler.ops.design import Design, secret_columns
    >>> from mpc_compiler.ops.families import family_of
    >>> from mpc_compiler.ops.likelihood import problem_of
    >>> x, y = jnp.array([[0.7, 0.6], [0.7, -0.6], [-1.1, -0.6]]), jnp.array([0.0, 0.0, 1.0])
    >>> columns, moments = secret_columns(x, ranges=[(-2, 2), (-2, 2)], rows=3, valid=None)
    >>> problem = problem_of(Design((), columns, moments, 3), y, None, family=family_of("binomial"), rows=3)
    >>> screened(problem, Screen(iv=1.0, by_iv=True), np.array([2.0, 2.0])).tolist()
    [True, False]
    """
    if screen.iv is None and screen.correlation is None and screen.inflation is None:
        return None
    half = 2.0 ** -(problem.bound // 2)
    each = problem.weighted(jnp.ones(problem.design.rows))
    kept = jnp.ones(problem.design.columns, jnp.bool_)
    strength = _strength(problem, screen, half)
    if screen.iv is not None:
        _, weight, _ = null_model(problem)
        kept = kept & (strength >= ((jnp.sum(each) * half) * weight) * (screen.iv * units))
    if screen.correlation is None and screen.inflation is None:
        return kept
    R, varies = collinear.correlations(problem.hessian(each), bound=problem.bound)
    kept = kept & varies
    if screen.correlation is not None:
        kept = collinear.uncorrelated(R, strength * _per_unit(screen, units), kept, screen.correlation)
    if screen.inflation is not None:
        kept = collinear.below_inflation(R, kept, screen.inflation)
    return kept


def _per_unit(screen: Screen, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Public factors that make strengths of columns in different units comparable, at most 1."""
    return units.min() / units if screen.by_iv else np.ones_like(units)


def _strength(problem: Problem, screen: Screen, half: float) -> jax.Array:
    """Size of the score of each column alone, over ``2**(bound/2)``; times its standard deviation for IV."""
    score = problem.design.back(problem.weighted(problem.y - mean_target(problem))) * half
    size = jnp.where(score < 0, -score, score)
    return size * numeric.reciprocal(problem.design.moments.inverse, low=-4, high=13) if screen.by_iv else size
