"""Newton's method with Hessians of a sample of the rows, for models with many rows a feature.

Where the iteration ends depends on the score alone, which is always that of all rows; the Hessian only decides how
fast. A Hessian of n rows and p columns takes n p numbers to be multiplied by secret weights, and n p**2 products: of a
sample of m rows it is worse by a factor within ``(1 +- sqrt(p/m))**2``, so that every step still takes most of the way.
The last Hessian is of all rows, and gives the standard errors.

Steps are as long as a secant of the likelihood's slope along them says, at most 1: neither an estimate that is too
small nor a Hessian from far away, as the null model's of rare events, lets them overshoot.

Sub-sampled Newton methods: Roosta-Khorasani and Mahoney, Mathematical Programming 174, 2019, section 2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops import linalg, numeric
from mpc_compiler.ops.likelihood import Problem
from mpc_compiler.ops.newton import REFRESHED, State, moved, newton_step, with_hessian

__all__ = ["sample_step", "sampled"]

ROWS_A_COLUMN = 50
"""Rows that a sample has for every column, at least: its Hessian is then within a third of the exact one."""
LEAST_ROWS = 1 << 14
MOVES = 3
"""Steps with the Hessian of one sample."""
_SHARES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32)
"""Lengths of a step, in 32nds; the shortest is a 64th."""


def sample_step(problem: Problem) -> int:
    """Of how many rows one is sampled, by public numbers alone; 1: the exact method.

    Where some rows may not count, or count more, a sample of enough rows need not tell enough.
    """
    if problem.weights is not None or not problem.family.newton:
        return 1
    return max(1, problem.design.rows // max(ROWS_A_COLUMN * (problem.design.columns + 1), LEAST_ROWS))


def sampled(problem: Problem, intercept: jax.Array, q: jax.Array, step: int) -> State:
    """Maximise the likelihood.

    Parameters
    ----------
    problem : Problem
        Without weights of rows; of a family that takes fresh Hessians.
    intercept, q : Array
        float64 []: of the null model, with the weight of its rows.
    step : int
        See :func:`sample_step`.

    Returns
    -------
    State
        The Hessian is of all rows, where the last step but one began. ``quality`` is small if that was near the end, so
        that the inverse is that of the maximum's Hessian.
    """
    ones = jnp.ones(problem.design.rows)
    K, missing = _with_missing(problem, problem.hessian(ones * q, step=step), q)
    first, d, quality = linalg.inverse_spd(K, bound=problem.bound)
    beta = jnp.concatenate([intercept[None], jnp.zeros(problem.design.columns)])
    _, null = problem.at(beta)
    eta = jnp.broadcast_to(intercept, ones.shape) if problem.offset is None else intercept + problem.offset
    start = State(beta, first, d, quality, quality, null, null), eta

    def moves(count: int, at: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        done: tuple[State, jax.Array] = jax.lax.fori_loop(0, count, lambda _, each: _searched(problem, *each), at)
        return done

    def newton(_: jax.Array, at: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, eta = at
        J = problem.hessian(problem.family.fitted(eta, problem.y).weight, step=step) + missing
        return moves(MOVES, (with_hessian(problem, state, J, first * (4.0 * q), least=REFRESHED), eta))

    near: tuple[State, jax.Array]
    near = jax.lax.fori_loop(0, problem.family.newton - 1, newton, moves(problem.family.fixed, start))
    state, eta = near
    J = problem.hessian(problem.family.fitted(eta, problem.y).weight)
    # a sample may have half of what all rows have of a column
    state = with_hessian(problem, state, J, first * (2.0 * q), least=REFRESHED / 2)
    before, _ = _searched(problem, state, eta)
    last = moved(problem, before, *problem.at(before.beta))
    return last._replace(quality=last.quality + jnp.abs(before.decrement))


def _with_missing(problem: Problem, K: jax.Array, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sample's Hessian of the null model with no less than all rows' on its diagonal, and what was missing there.

    A column that is 0 but in a few rows may be missing from a sample altogether. The squares of a standardised column
    add up to the number of rows.
    """
    gap = q * float(problem.design.rows) - jnp.diagonal(K)[1:]
    missing = jnp.diag(jnp.concatenate([jnp.zeros(1), jnp.where(gap > 0, gap, 0.0)]))
    return K + missing, missing


def _searched(problem: Problem, state: State, eta: jax.Array) -> tuple[State, jax.Array]:
    """A step along the direction that the Hessian gives, and the linear predictor after it."""
    fitted = problem.family.fitted(eta, problem.y)
    move, slope = newton_step(problem, state, problem.gradient(state.beta, fitted))
    along = problem.along(move)
    ahead = jnp.sum(problem.family.fitted(eta + along, problem.y).score * along)
    if problem.penalty is not None:
        ahead = ahead - jnp.sum(problem.penalty * (state.beta + move) * move)
    length = _length(slope, ahead)
    return state._replace(beta=state.beta + length * move, decrement=slope), eta + length * along


def _length(slope: jax.Array, ahead: jax.Array) -> jax.Array:
    """How far to go where the slope is `slope` here and `ahead` at the end: to where a secant is 0, at most 1.

    >>> [float(_length(jnp.array(1.0), jnp.array(end))) for end in (0.1, -0.01, -1.0, -1000.0)]
    [1.0, 0.875, 0.5, 0.015625]
    """
    shares = jnp.asarray(_SHARES, jnp.float64)
    flags = 32.0 * slope >= shares * (slope - ahead)
    return numeric.step_sum(flags, [1 / 64, *(share / 32 for share in _SHARES)])
