"""Newton's method for the likelihood of a generalised linear model on secret rows: exact Hessians, never opened."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpc_compiler.ops import firth, linalg
from mpc_compiler.ops.families import Fitted
from mpc_compiler.ops.likelihood import Problem

__all__ = ["REFRESHED", "State", "maximise", "moved", "newton_step", "with_hessian"]

REFRESHED = 2.0**-10
"""Smallest ratio of a weight to 1/4 that the number of steps of a fresh inverse is for."""


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


def maximise(problem: Problem, intercept: jax.Array, q: jax.Array, *, unbiased: bool) -> State:
    """Steps with the null model's Hessian, then with fresh ones; or Firth's, if `unbiased`."""
    ones = jnp.ones(problem.design.rows)
    first, d, quality = linalg.inverse_spd(problem.hessian(problem.weighted(ones) * q), bound=problem.bound)
    beta = jnp.concatenate([intercept[None], jnp.zeros(problem.design.columns)])
    start = State(beta, first, d, quality, quality, quality, quality)

    def fixed(number: jax.Array, state: State) -> State:
        fitted, likelihood = problem.at(state.beta)
        after = moved(problem, state, fitted, likelihood)
        return after._replace(null=jnp.where(number == 0, likelihood, state.null))

    def penalised(number: jax.Array, state: State) -> State:
        fitted, likelihood = problem.at(state.beta)
        fresh = _refreshed(problem, state, fitted, first, q)
        g = problem.gradient(state.beta, fitted) + firth.correction(problem, fitted, fresh.X, fresh.d)
        move, decrement = newton_step(problem, fresh, g)
        null = jnp.where(number == 0, likelihood, state.null)
        return fresh._replace(beta=state.beta + move, decrement=decrement, null=null)

    def newton(_: jax.Array, state: State) -> State:
        fitted, likelihood = problem.at(state.beta)
        return moved(problem, _refreshed(problem, state, fitted, first, q), fitted, likelihood)

    if unbiased:
        done: State = jax.lax.fori_loop(0, firth.STEPS, penalised, start)
        return done
    state = jax.lax.fori_loop(0, problem.family.fixed, fixed, start)
    last: State = jax.lax.fori_loop(0, problem.family.newton, newton, state)
    return last


def moved(problem: Problem, state: State, fitted: Fitted, likelihood: jax.Array) -> State:
    """The state after one step, given what rows need before it."""
    move, decrement = newton_step(problem, state, problem.gradient(state.beta, fitted))
    return state._replace(beta=state.beta + move, decrement=decrement, likelihood=likelihood)


def newton_step(problem: Problem, state: State, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Newton step ``D X D g / 2**bound`` and its squared decrement ``g' D X D g / 2**bound``."""
    half = 2.0 ** -(problem.bound // 2)
    scaled = (g * half) * state.d
    move = state.X @ scaled
    return (move * state.d) * half, scaled @ move


def _refreshed(problem: Problem, state: State, fitted: Fitted, first: jax.Array, q: jax.Array) -> State:
    """The same with the Hessian of this step."""
    J = problem.hessian(problem.weighted(fitted.weight))
    return with_hessian(problem, state, J, first * (4.0 * q), least=REFRESHED)


def with_hessian(problem: Problem, state: State, J: jax.Array, start: jax.Array, *, least: float) -> State:
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
