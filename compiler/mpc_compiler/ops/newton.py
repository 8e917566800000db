"""Newton's method for the likelihood of a generalised linear model on secret rows, whose Hessians are never opened.

Steps are as long as a secant of the likelihood's slope along them says, at most Newton's: neither a Hessian from far
away, as the null model's of rare events, nor one of a sample of the rows lets them overshoot. The slope at a step's end
takes the scores of rows there, and no product with the columns. The next step begins from scores and weights between
those at both ends, so that every step computes them once; near the maximum steps are whole, and they are exact.

Several steps are made with every Hessian, since its inverse costs more than they do. Where the iteration ends depends
on the score alone; the last Hessian is of all rows, and gives the standard errors.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import firth, linalg, numeric, sampled
from mpc_compiler.ops.likelihood import Problem

__all__ = ["State", "maximise", "maximise_penalised"]

REFRESHED = 2.0**-10
"""Smallest ratio of a weight to 1/4 that the number of steps of a fresh inverse is for."""
MOVES = 3
"""Steps with every fresh Hessian but the last."""
_LENGTHS = (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1.0)
"""Of a step; the shortest is 1/64."""
_ENOUGH = 0.95
"""Of a length, to be taken: or what is lost by rounding would shorten whole steps."""
_NEAR = 32.0
"""Times the squared decrement of the last step but one is to be small: where it was less than 1/512, standard errors
were within one percent."""


class State(NamedTuple):
    """Where the iteration is."""

    beta: jax.Array
    X: jax.Array
    """Inverse of the scaled Hessian used last."""
    d: jax.Array
    """Its scaling."""
    step: jax.Array
    """``d / 2**(bound / 2)``: coarser, and enough for steps."""
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
    K = problem.null_hessian(q, step=step)
    missing = sampled.missing(problem, K, q) if step > 1 else None
    K = K if missing is None else K + missing
    # what steps are made with need not be exact; without fresh Hessians the first is the last one
    enough = linalg.CLOSE if problem.family.newton else linalg.EXACT
    first, d, quality = linalg.inverse_spd(K, bound=problem.bound, last=enough)
    start = _start(problem, intercept, first, d, quality)

    def moves(count: int, at: _At) -> _At:
        done: _At = jax.lax.fori_loop(0, count, lambda _, each: _searched(problem, each), at)
        return done

    def fresh(at: _At, step: int, missing: jax.Array | None, share: float, last: int) -> _At:
        J = problem.hessian(at.weight, step=step)
        J = J if missing is None else J + missing
        state = _with_hessian(problem, at.state, J, first * (4.0 * share * q), least=share * REFRESHED, last=last)
        return at._replace(state=state)

    at = moves(problem.family.fixed, start)
    if problem.family.newton:
        at = jax.lax.fori_loop(
            0,
            problem.family.newton - 1,
            lambda _, each: moves(MOVES, fresh(each, step, missing, 1.0, linalg.CLOSE)),
            at,
        )
        # a sample may have half of what all rows have of a column
        at = fresh(at, 1, None, 1.0 if step == 1 else 0.5, linalg.EXACT)
    before = _moved(problem, at.state, at.score)
    fitted, likelihood = problem.at(before.beta)
    last = _moved(problem, before, problem.weighted(fitted.score))._replace(likelihood=likelihood)
    if not problem.family.newton:  # the Hessian is the same everywhere
        return last
    return last._replace(quality=last.quality + _NEAR * jnp.abs(before.decrement))


def maximise_penalised(problem: Problem, intercept: jax.Array, q: jax.Array) -> State:
    """Maximise Firth's penalised likelihood: whole steps, each with its own Hessian."""
    first, d, quality = linalg.inverse_spd(problem.null_hessian(q), bound=problem.bound)

    def move(_: jax.Array, state: State) -> State:
        fitted, likelihood = problem.at(state.beta)
        J = problem.hessian(problem.weighted(fitted.weight))
        state = _with_hessian(problem, state, J, first * (4.0 * q), least=REFRESHED)
        g = problem.gradient(state.beta, problem.weighted(fitted.score))
        by, decrement = _newton_step(problem, state, g + firth.correction(problem, fitted, state.X, state.d))
        return state._replace(beta=state.beta + by, decrement=decrement, likelihood=likelihood)

    last: State = jax.lax.fori_loop(0, firth.STEPS, move, _start(problem, intercept, first, d, quality).state)
    return last


class _At(NamedTuple):
    """Where the search is: float64 [n] each, but the state."""

    state: State
    eta: jax.Array
    """The linear predictor."""
    score: jax.Array
    """Of rows by their weights, as the weight of the Hessian is."""
    weight: jax.Array


def _start(problem: Problem, intercept: jax.Array, X: jax.Array, d: jax.Array, quality: jax.Array) -> _At:
    """The null model."""
    beta = jnp.concatenate([intercept[None], jnp.zeros(problem.design.columns)])
    eta = jnp.broadcast_to(intercept, (problem.design.rows,))
    eta = eta if problem.offset is None else eta + problem.offset
    fitted = problem.family.fitted(eta, problem.y)
    null = problem.likelihood(beta, fitted)
    state = State(beta, X, d, _for_steps(problem, d), quality, quality, null, null)
    return _At(state, eta, problem.weighted(fitted.score), problem.weighted(fitted.weight))


def _searched(problem: Problem, at: _At) -> _At:
    """A step along the direction that the Hessian gives."""
    state = at.state
    move, slope = _newton_step(problem, state, problem.gradient(state.beta, at.score))
    along = problem.along(move)
    score, weight = map(problem.weighted, problem.family.ahead(at.eta + along, problem.y))
    ahead = jnp.sum(score * along)
    if problem.penalty is not None:
        ahead = ahead - jnp.sum(problem.penalty * (state.beta + move) * move)
    length = _length(slope, ahead)
    eta, score, weight = jnp.stack(at[1:]) + length * jnp.stack([along, score - at.score, weight - at.weight])
    return _At(state._replace(beta=state.beta + length * move, decrement=slope), eta, score, weight)


def _length(slope: jax.Array, ahead: jax.Array) -> jax.Array:
    """How far to go where the slope is `slope` here and `ahead` at the end: to where a secant is 0, at most 1.

    >>> [float(_length(jnp.array(1.0), jnp.array(end))) for end in (0.1, -0.01, -1.0, -1000.0)]
    [1.0, 1.0, 0.5, 0.015625]
    """
    flags = slope >= (_ENOUGH * jnp.asarray(_LENGTHS, jnp.float64)) * (slope - ahead)
    return numeric.step_sum(flags, [1 / 64, *_LENGTHS])


def _moved(problem: Problem, state: State, score: jax.Array) -> State:
    """The state after a whole step, given weighted scores of rows."""
    move, decrement = _newton_step(problem, state, problem.gradient(state.beta, score))
    return state._replace(beta=state.beta + move, decrement=decrement)


def _newton_step(problem: Problem, state: State, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Newton step ``D X D g / 2**bound`` and its squared decrement ``g' D X D g / 2**bound``."""
    scaled = g * state.step
    move = state.X @ scaled
    return move * state.step, scaled @ move


def _with_hessian(
    problem: Problem, state: State, J: jax.Array, start: jax.Array, *, least: float, last: int = linalg.EXACT
) -> State:
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
    least, last : float, int
        See `linalg.inverse`.
    """
    if problem.family.name == "binomial":
        scaled = linalg.scale_both(J, state.d, bound=problem.bound)
        X = linalg.inverse(scaled, start, least=least, last=last)
        return state._replace(X=X, quality=linalg.residual(scaled, X))
    X, d, quality = linalg.inverse_spd(J, bound=problem.bound, last=last)
    return state._replace(X=X, d=d, step=_for_steps(problem, d), quality=quality)


def _for_steps(problem: Problem, d: jax.Array) -> jax.Array:
    return d * 2.0 ** -(problem.bound // 2)
