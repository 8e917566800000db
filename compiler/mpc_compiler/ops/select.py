"""Which features a regression keeps: forward, backward and stepwise selection by score and Wald tests, on shares.

The chosen features are a secret mask of fixed length; every turn works on all of them. A turn takes one pass over the
rows, for the score ``u`` and the information ``S`` at the current coefficients, scaled to unit diagonal. The rest works
on these p numbers and p x p products:

- the inverse X of S within the mask, 0 outside (Newton-Schulz);
- coefficients one Newton step on, ``b = X r`` with ``r = u + S b0``, and Wald statistics ``b / sqrt(diag X)``;
- score statistics of what is outside, at those coefficients: ``(r - S X r) / sqrt(diag(S - S X S))``, the efficient
  score of Neyman (1959), so that what is left of the score of the chosen ones does not matter;
- a feature leaves or enters by an update of X of rank one.

So tests are off by the square of what one more Newton step would change. Entry and removal follow SAS's and SPSS's
logistic regression (score test, Wald test). With `fast`, rows are gone through at the start and at the end only, and
log-likelihoods between are taken as quadratic (Lawless and Singhal 1978).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops.glm import in_units
from mpc_compiler.ops.likelihood import Problem, null_model
from mpc_compiler.ops.linalg import GUARD
from mpc_compiler.ops.stepwise import (
    Rule,
    State,
    View,
    changed,
    coefficients,
    corrected,
    diagonal,
    features_only,
    inverted,
    left,
    outside,
    quality,
    view_at,
    wald,
)

__all__ = ["select"]

_WARM = 4
"""Newton steps of the model with all features, before the first one leaves it."""
_EXACT = 2.0**-4
"""What an inverse may be off."""
_SETTLED = 2
"""Passes after the last turn, in which features may leave but not enter."""


def select(problem: Problem, eligible: jax.Array | None, rule: Rule) -> dict[str, jax.Array]:
    """Choose features, and fit the model of the chosen ones.

    Parameters
    ----------
    problem : Problem
        n rows, p columns; a binomial or Gaussian family without penalty.
    eligible : Array or None
        bool [p]: the features that may be chosen; None: all.
    rule : Rule

    Returns
    -------
    dict of str to array
        All secret; nothing is disclosed, and no trip count depends on data.

        - ``chosen`` bool [p]
        - ``coef``, ``bse`` float64 [p+1]: as `mpc_compiler.ops.glm.fit` has them, 0 for features that are not chosen
        - ``statistic`` float64 [p]: Wald z of the chosen ones; of the others the score z that they would enter with
          (0 for what may not); both times ``spread``, the square root of the dispersion
        - ``entered`` int64 [p]: the turn in which a chosen feature entered, 0 for one that was there from the start
        - ``converged`` bool: whether the last model is a maximum, and no feature in it is to leave

    Examples
    --------
    >>> from mpc_compiler.ops.design import Design, secret_columns
    >>> from mpc_compiler.ops.families import family_of
    >>> from mpc_compiler.ops.likelihood import problem_of
    >>> x = jnp.array([[0.0, 1], [1, 1], [2, 0], [3, 0], [4, 1], [5, 0]])
    >>> columns, moments = secret_columns(x, ranges=[(0, 5), (0, 1)], rows=6, valid=None)
    >>> y = jnp.array([1.0, 3, 5, 7, 9, 12])
    >>> problem = problem_of(Design((), columns, moments, 6), y / 4, None, family=family_of("gaussian"), rows=6)
    >>> select(problem, None, Rule(1.96, 0.0, 2, (0, 0)))["chosen"].tolist()
    [True, False]
    """
    intercept, _, sound = null_model(problem)
    count = problem.design.columns
    beta = jnp.concatenate([intercept[None], jnp.zeros(count)])
    none = jnp.concatenate([jnp.ones(1, jnp.bool_), jnp.zeros(count, jnp.bool_)])
    view = view_at(problem, beta, none)
    able = jnp.diagonal(view.S)[1:] > 2.0 ** (GUARD - 1)  # 0 for a column that does not vary
    able = able if eligible is None else able & eligible
    state = State(none, jnp.zeros(count, jnp.int64), beta, diagonal(count + 1))
    if rule.fast or rule.enter is None:
        full = state._replace(chosen=none | features_only(able))
        for _ in range(_WARM):
            beta = coefficients(problem, view, inverted(view, full))
            view = view_at(problem, beta, full.chosen)
        sound = sound & (quality(view, inverted(view, full)) < _EXACT)
        state = full if rule.enter is None else state
    if rule.fast:
        state = _approximated(view, state, able, rule)
        beta = coefficients(problem, view, state)
    else:
        state, beta = _turned(problem, state, beta, able, rule)
    for _ in range(_SETTLED):
        view = view_at(problem, beta, state.chosen)
        state = inverted(view, state)
        state = left(view, state, rule) if rule.removes else state
        beta = coefficients(problem, view, state)
    return _result(problem, beta, state, able, rule, sound)


def _turned(problem: Problem, start: State, beta: jax.Array, able: jax.Array, rule: Rule) -> tuple[State, jax.Array]:
    """One pass over the rows a turn."""

    def turn(number: int, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, beta = carry
        view = view_at(problem, beta, state.chosen)
        state = changed(view, inverted(view, state), able, rule, number + 1)
        return state, coefficients(problem, view, state)

    done: tuple[State, jax.Array] = jax.lax.fori_loop(0, rule.turns, turn, (start, beta))
    return done


def _approximated(view: View, start: State, able: jax.Array, rule: Rule) -> State:
    """No pass at all."""

    def turn(number: int, state: State) -> State:
        return changed(view, corrected(view, state), able, rule, number + 1)

    done: State = jax.lax.fori_loop(0, rule.turns, turn, inverted(view, start))
    return done


def _result(
    problem: Problem, beta: jax.Array, state: State, able: jax.Array, rule: Rule, sound: jax.Array
) -> dict[str, jax.Array]:
    view = view_at(problem, beta, state.chosen)
    state = inverted(view, state)
    chosen, inside = state.chosen[1:], state.chosen.astype(jnp.float64)
    move = state.X @ (inside * view.u)
    last = beta + jnp.where(state.chosen, (move * view.d) * 2.0 ** -(problem.bound // 2), 0.0)
    (z, _), out = wald(view, state), outside(view, state, able)
    settled = ~jnp.any(chosen & (rule.signed(z[1:]) < rule.stay * view.spread))
    decrement, small = (inside * view.u) @ move, 2.0**-7 * view.spread * view.spread
    solved = (decrement < small) & (decrement > -small) & (quality(view, state) < _EXACT)
    coef, bse = in_units(last, state.X, view.d, problem.design)
    return {
        "chosen": chosen,
        "coef": coef,
        "bse": jnp.where(state.chosen, bse, 0.0),
        "statistic": jnp.where(chosen, z[1:], jnp.where(out.open, out.z[1:], 0.0)),
        "spread": view.spread,
        "entered": state.entered,
        "converged": sound & solved & settled if rule.removes else sound & solved,
    }
