"""Newton's method for the likelihood of a generalised linear model on secret rows, whose Hessians are never opened.

Steps are as long as a secant of the likelihood's slope along them says, at most twice Newton's: neither a Hessian from
far away, as the null model's of rare events, nor one of a sample of the rows lets them overshoot, and one that is too
large is made up for. That takes the scores at the step's end, for rows only, and no product with the columns. Several
steps are made with every Hessian, since its inverse costs more than they do.

Where the iteration ends depends on the score alone; the last Hessian is of all rows, and gives the standard errors.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import firth, linalg, numeric, sampled
from mpc_compiler.ops.families import Fitted
from mpc_compiler.ops.likelihood import Problem

__all__ = ["State", "maximise", "maximise_penalised"]

REFRESHED = 2.0**-10
"""Smallest ratio of a weight to 1/4 that the number of steps of a fresh inverse is for."""
MOVES = 3
"""Steps with every fresh Hessian but the last."""
_LENGTHS = (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1.0, 5 / 4, 3 / 2, 2.0)
"""Of a step; the shortest is 1/64."""
_ENOUGH = 0.95
"""Of a length, to be taken: or what is lost by rounding would shorten whole steps."""


class State(NamedTuple):
    """Where the iteration is."""

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


def maximise(problem: Problem, intercept: jax.Array, q: jax.Array) -> State:
    """Maximise the likelihood.

    Parameters
    ----------
    problem : Problem
    intercept, q : Array
        float64 []: of the null model, with the weight of its rows.

    Returns
    -------
    State
        The Hessian is of all rows, where the last step but one began. ``quality`` is small if that was near the end, so
        that the inverse is that of the maximum's Hessian.
    """
    step = sampled.sample_step(problem)
    ones = jnp.ones(problem.design.rows)
    K = problem.hessian(problem.weighted(ones) * q, step=step)
    missing = sampled.missing(problem, K, q) if step > 1 else None
    K = K if missing is None else K + missing
    first, d, quality = linalg.inverse_spd(K, bound=problem.bound)
    state, eta = _start(problem, intercept, first, d, quality)

    def moves(count: int, at: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        done: tuple[State, jax.Array] = jax.lax.fori_loop(0, count, lambda _, each: _searched(problem, *each), at)
        return done

    def fresh(at: tuple[State, jax.Array], step: int, missing: jax.Array | None, slack: float) -> State:
        J = problem.hessian(problem.weighted(problem.family.fitted(at[1], problem.y).weight), step=step)
        J = J if missing is None else J + missing
        return _with_hessian(problem, at[0], J, first * (4.0 * slack * q), least=slack * REFRESHED)

    def newton(_: jax.Array, at: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        return moves(MOVES, (fresh(at, step, missing, 1.0), at[1]))

    at = moves(problem.family.fixed, (state, eta))
    if problem.family.newton:
        at = jax.lax.fori_loop(0, problem.family.newton - 1, newton, at)
        # a sample may have half of what all rows have of a column
        at = fresh(at, 1, None, 1.0 if step == 1 else 0.5), at[1]
    before, _ = _searched(problem, *at)
    last = _moved(problem, before, *problem.at(before.beta))
    if not problem.family.newton:  # the Hessian is the same everywhere
        return last
    return last._replace(quality=last.quality + jnp.abs(before.decrement))


def maximise_penalised(problem: Problem, intercept: jax.Array, q: jax.Array) -> State:
    """Maximise Firth's penalised likelihood: whole steps, each with its own Hessian."""
    ones = jnp.ones(problem.design.rows)
    first, d, quality = linalg.inverse_spd(problem.hessian(problem.weighted(ones) * q), bound=problem.bound)

    def move(_: jax.Array, state: State) -> State:
        fitted, likelihood = problem.at(state.beta)
        J = problem.hessian(problem.weighted(fitted.weight))
        state = _with_hessian(problem, state, J, first * (4.0 * q), least=REFRESHED)
        g = problem.gradient(state.beta, fitted) + firth.correction(problem, fitted, state.X, state.d)
        by, decrement = _newton_step(problem, state, g)
        return state._replace(beta=state.beta + by, decrement=decrement, likelihood=likelihood)

    start, _ = _start(problem, intercept, first, d, quality)
    last: State = jax.lax.fori_loop(0, firth.STEPS, move, start)
    return last


def _start(
    problem: Problem, intercept: jax.Array, X: jax.Array, d: jax.Array, quality: jax.Array
) -> tuple[State, jax.Array]:
    """The null model, and its linear predictor."""
    beta = jnp.concatenate([intercept[None], jnp.zeros(problem.design.columns)])
    eta = jnp.broadcast_to(intercept, (problem.design.rows,))
    eta = eta if problem.offset is None else eta + problem.offset
    null = problem.likelihood(beta, problem.family.fitted(eta, problem.y))
    return State(beta, X, d, quality, quality, null, null), eta


def _searched(problem: Problem, state: State, eta: jax.Array) -> tuple[State, jax.Array]:
    """A step along the direction that the Hessian gives, and the linear predictor after it."""
    fitted = problem.family.fitted(eta, problem.y)
    move, slope = _newton_step(problem, state, problem.gradient(state.beta, fitted))
    along = problem.along(move)
    ahead = jnp.sum(problem.weighted(problem.family.fitted(eta + along, problem.y).score) * along)
    if problem.penalty is not None:
        ahead = ahead - jnp.sum(problem.penalty * (state.beta + move) * move)
    length = _length(slope, ahead)
    return state._replace(beta=state.beta + length * move, decrement=slope), eta + length * along


def _length(slope: jax.Array, ahead: jax.Array) -> jax.Array:
    """How far to go where the slope is `slope` here and `ahead` at the end: to where a secant is 0, at most 2.

    >>> [float(_length(jnp.array(1.0), jnp.array(end))) for end in (0.9, 0.1, -0.01, -1.0, -1000.0)]
    [2.0, 1.0, 1.0, 0.5, 0.015625]
    """
    flags = slope >= (_ENOUGH * jnp.asarray(_LENGTHS, jnp.float64)) * (slope - ahead)
    return numeric.step_sum(flags, [1 / 64, *_LENGTHS])


def _moved(problem: Problem, state: State, fitted: Fitted, likelihood: jax.Array) -> State:
    """The state after a whole step, given what rows need before it."""
    move, decrement = _newton_step(problem, state, problem.gradient(state.beta, fitted))
    return state._replace(beta=state.beta + move, decrement=decrement, likelihood=likelihood)


def _newton_step(problem: Problem, state: State, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Newton step ``D X D g / 2**bound`` and its squared decrement ``g' D X D g / 2**bound``."""
    half = 2.0 ** -(problem.bound // 2)
    scaled = (g * half) * state.d
    move = state.X @ scaled
    return (move * state.d) * half, scaled @ move


def _with_hessian(problem: Problem, state: State, J: jax.Array, start: jax.Array, *, least: float) -> State:
    """The state with the inverse of another Hessian.

    Parameters
    ----------
    problem : Problem
    state : State
    J : Array
        float64 [p+1, p+1].
    start : Array
        float64 [p+1, p+1]: what the inverse starts from in a binomial model, scaled as ``state.d`` says, where
        J <= K/4 with the Gram matrix K; others start from nothing.
    least : float
        See `linalg.inverse`.
    """
    if problem.family.name == "binomial":
        scaled = linalg.scale_both(J, state.d, bound=problem.bound)
        X = linalg.inverse(scaled, start, least=least)
        return state._replace(X=X, quality=linalg.residual(scaled, X))
    X, d, quality = linalg.inverse_spd(J, bound=problem.bound)
    return state._replace(X=X, d=d, quality=quality)
