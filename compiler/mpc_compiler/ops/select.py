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

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops import linalg, numeric
from mpc_compiler.ops.glm import in_units
from mpc_compiler.ops.likelihood import Problem, null_model
from mpc_compiler.ops.linalg import GUARD
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.winner import winner

__all__ = ["TOLERANCE", "Rule", "select"]

TOLERANCE = 2.0**-7
"""A feature enters only if this part of it, at least, is not explained by the chosen ones (variance inflation 128)."""
_LEAST = 2.0**-12
"""Smallest eigenvalue of the information, scaled to unit diagonal, that inverses are for."""
_REFINED = 2
_WARM = 4
"""Newton steps of the model with all features, before the first one leaves it."""
_SETTLED = 2
"""Passes after the last turn, in which features may leave but not enter."""
_BITS = FRACTION + 16
_FAR = 2.0**13
"""Beyond any test statistic."""


@dataclass(frozen=True)
class Rule:
    """How features are chosen; all public.

    Parameters
    ----------
    enter : float or None
        Size of a score statistic (z) beyond which a feature enters; None: none does, and all are chosen at first.
    stay : float
        Size of a Wald statistic (z) below which a feature leaves.
    turns : int
        In each, at most one feature leaves and at most one enters.
    signs : tuple of int
        Of each column's coefficient: 1, -1, or 0 for either. One with the other sign does not enter, and leaves.
    fast : bool
        Whether the tests of all turns are those of one quadratic approximation.
    """

    enter: float | None
    stay: float
    turns: int
    signs: tuple[int, ...]
    fast: bool = False

    @property
    def removes(self) -> bool:
        """Whether a feature may leave."""
        return self.stay > 0 or any(self.signs)

    def signed(self, z: jax.Array) -> jax.Array:
        """Test statistics as evidence for a feature: with the sign that it must have, or their size."""
        signs = np.asarray(self.signs, np.float64)
        if np.all(signs != 0):
            return z * signs
        return jnp.where(signs == 0, jnp.where(z < 0, -z, z), z * signs)


class _View(NamedTuple):
    """The rows at some coefficients, scaled so that the information has unit diagonal."""

    u: jax.Array
    """Score, float64 [p+1]."""
    r: jax.Array
    """Score at coefficients of 0, if the log-likelihood were quadratic."""
    S: jax.Array
    """Information times ``2**GUARD``."""
    d: jax.Array
    """Coefficients in this scale times d over ``2**(bound/2)`` are those of the design's columns."""
    spread: jax.Array
    """Square root of the dispersion."""


class _State(NamedTuple):
    chosen: jax.Array
    """bool [p+1], the intercept always."""
    entered: jax.Array
    """int64 [p]: the turn in which a feature entered last, 0 for none."""
    b: jax.Array
    """Coefficients in the view's scale."""
    X: jax.Array


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
    intercept, _, varies = null_model(problem)
    count = problem.design.columns
    beta = jnp.concatenate([intercept[None], jnp.zeros(count)])
    none = jnp.concatenate([jnp.ones(1, jnp.bool_), jnp.zeros(count, jnp.bool_)])
    view = _view(problem, beta, none)
    able = jnp.diagonal(view.S)[1:] > 2.0 ** (GUARD - 1)  # 0 for a column that does not vary
    able = able if eligible is None else able & eligible
    state = _State(none, jnp.zeros(count, jnp.int64), beta, _diagonal(count + 1))
    everything = none | _without_intercept(able)
    if rule.fast or rule.enter is None:
        full = state._replace(chosen=everything)
        for _ in range(_WARM):
            beta = _coefficients(problem, view, _inverted(view, full))
            view = _view(problem, beta, everything)
        state = full if rule.enter is None else state
    state, beta = (_approximated if rule.fast else _turned)(problem, state, beta, able, rule)
    for _ in range(_SETTLED):
        view = _view(problem, beta, state.chosen)
        state = _inverted(view, state)
        state = _left(view, state, rule) if rule.removes else state
        beta = _coefficients(problem, view, state)
    return _result(problem, beta, state, able, rule, varies)


def _diagonal(size: int) -> jax.Array:
    return jnp.eye(size) / size


def _turned(problem: Problem, start: _State, beta: jax.Array, able: jax.Array, rule: Rule) -> tuple[_State, jax.Array]:
    """One pass over the rows a turn."""

    def turn(number: int, carry: tuple[_State, jax.Array]) -> tuple[_State, jax.Array]:
        state, beta = carry
        view = _view(problem, beta, state.chosen)
        state = _changed(view, _inverted(view, state), able, rule, number + 1)
        return state, _coefficients(problem, view, state)

    done: tuple[_State, jax.Array] = jax.lax.fori_loop(0, rule.turns, turn, (start, beta))
    return done


def _approximated(
    problem: Problem, start: _State, beta: jax.Array, able: jax.Array, rule: Rule
) -> tuple[_State, jax.Array]:
    """One pass in all."""
    view = _view(problem, beta, start.chosen)
    state = _inverted(view, start)

    def turn(number: int, state: _State) -> _State:
        return _changed(view, _corrected(view, state), able, rule, number + 1)

    done = jax.lax.fori_loop(0, rule.turns, turn, state)
    return done, _coefficients(problem, view, done)


def _view(problem: Problem, beta: jax.Array, chosen: jax.Array) -> _View:
    fitted, _ = problem.at(beta)
    half = 2.0 ** -(problem.bound // 2)
    J = problem.hessian(problem.weighted(fitted.weight))
    d, root = numeric.roots(jnp.diagonal(J), low=-10, gain=problem.bound // 2)
    u = (problem.gradient(beta, fitted) * half) * d
    S = linalg.scale_both(J, d, bound=problem.bound)
    scaled = (beta * (1 / half)) * root
    spread = jnp.ones(())
    if problem.family.dispersed:
        total, freedom = jnp.sum(problem.weighted(fitted.pearson)), problem.nobs - jnp.sum(chosen.astype(jnp.int64))
        spread = numeric.sqrt(numeric.ratio(total, jnp.maximum(freedom, 1), den_max=problem.rows))
    return _View(u, u + (S @ scaled) * 2.0**-GUARD, S, d, spread)


def _inverted(view: _View, state: _State) -> _State:
    """The state with the inverse within its mask."""
    return _with_inverse(
        view, state, linalg.inverse(_masked(view.S, state.chosen), _diagonal(len(view.r)), least=_LEAST / len(view.r))
    )


def _corrected(view: _View, state: _State) -> _State:
    """The same, from an inverse that is nearly one."""
    both = state.chosen[:, None] & state.chosen[None, :]
    nearly = jnp.where(both, state.X, np.eye(len(view.r)))
    return _with_inverse(view, state, linalg.newton_schulz(_masked(view.S, state.chosen), nearly, steps=_REFINED))


def _with_inverse(view: _View, state: _State, X: jax.Array) -> _State:
    X = jnp.where(state.chosen[:, None] & state.chosen[None, :], X, 0.0)
    return state._replace(X=X, b=X @ view.r)


def _changed(view: _View, state: _State, able: jax.Array, rule: Rule, number: int) -> _State:
    if rule.removes:
        state = _left(view, state, rule)
    return state if rule.enter is None else _entered(view, state, able, rule.enter, rule, number)


def _wald(view: _View, state: _State) -> tuple[jax.Array, jax.Array]:
    """Wald statistics, and one over the square root of the diagonal of X: float64 [p+1] each."""
    deviation = numeric.rsqrt(jnp.where(state.chosen, jnp.diagonal(state.X), 1.0), low=-1, high=16)
    return state.b * deviation, deviation


def _left(view: _View, state: _State, rule: Rule) -> _State:
    """Without the feature that the data speak least for, if that is too little."""
    z, deviation = _wald(view, state)
    against = jnp.where(state.chosen[1:], -rule.signed(z[1:]), -_FAR)
    gone = winner(against, -rule.stay * view.spread, bits=_BITS)
    flag = _with_zero(gone)
    v = (flag @ state.X) * (flag @ deviation)
    X = state.X - v[:, None] * v[None, :]
    chosen = state.chosen & ~_without_intercept(gone)
    entered = jnp.where(gone, 0, state.entered)
    return _State(chosen, entered, X @ view.r, X)


def _with_zero(flags: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros(1), flags.astype(jnp.float64)])


def _without_intercept(flags: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros(1, jnp.bool_), flags])


class _Outside(NamedTuple):
    """What the features that are not chosen would do."""

    z: jax.Array
    """Score statistics, float64 [p+1]."""
    open: jax.Array
    """bool [p]: whether they are not chosen, eligible, and not explained by the chosen ones."""
    C: jax.Array
    """``S X`` times ``2**GUARD``."""
    deviation: jax.Array


def _outside(view: _View, state: _State, able: jax.Array) -> _Outside:
    C = view.S @ state.X
    score = view.r - (C @ view.r) * 2.0**-GUARD
    left = (jnp.diagonal(view.S) - jnp.sum(C * view.S, axis=1) * 2.0**-GUARD) * 2.0**-GUARD
    free = able & ~state.chosen[1:] & (left[1:] >= TOLERANCE)
    known = jnp.concatenate([jnp.zeros(1, jnp.bool_), free])
    deviation = numeric.rsqrt(jnp.where(known, left, 1.0), low=-8, high=2)
    return _Outside(score * deviation, free, C, deviation)


def _entered(view: _View, state: _State, able: jax.Array, least: float, rule: Rule, number: int) -> _State:
    """With the feature that the data speak most for, if that is enough."""
    out = _outside(view, state, able)
    worth = jnp.where(out.open, rule.signed(out.z[1:]), -_FAR)
    new = winner(worth, least * view.spread, bits=_BITS)
    flag = _with_zero(new)
    v = ((flag @ out.C) * 2.0**-GUARD - flag) * (flag @ out.deviation)
    X = state.X + v[:, None] * v[None, :]
    return _State(state.chosen | _without_intercept(new), jnp.where(new, number, state.entered), X @ view.r, X)


def _coefficients(problem: Problem, view: _View, state: _State) -> jax.Array:
    """The chosen features' coefficients in the units of the design."""
    return jnp.where(state.chosen, (state.b * view.d) * 2.0 ** -(problem.bound // 2), 0.0)


def _masked(S: jax.Array, chosen: jax.Array) -> jax.Array:
    """S of the chosen, and of the others the identity."""
    return jnp.where(chosen[:, None] & chosen[None, :], S, linalg.eye(S.shape[0]))


def _result(
    problem: Problem, beta: jax.Array, state: _State, able: jax.Array, rule: Rule, varies: jax.Array
) -> dict[str, jax.Array]:
    view = _view(problem, beta, state.chosen)
    state = _inverted(view, state)
    chosen, inside = state.chosen[1:], state.chosen.astype(jnp.float64)
    move = state.X @ (inside * view.u)
    last = beta + jnp.where(state.chosen, (move * view.d) * 2.0 ** -(problem.bound // 2), 0.0)
    (wald, _), out = _wald(view, state), _outside(view, state, able)
    settled = ~jnp.any(chosen & (rule.signed(wald[1:]) < rule.stay * view.spread))
    residual = linalg.residual(_masked(view.S, state.chosen), state.X + jnp.diag(1.0 - inside))
    decrement, small = (inside * view.u) @ move, 2.0**-7 * view.spread * view.spread
    solved = (decrement < small) & (decrement > -small) & (residual < 2.0**-4)
    coef, bse = in_units(last, state.X, view.d, problem.design)
    return {
        "chosen": chosen,
        "coef": coef,
        "bse": jnp.where(state.chosen, bse, 0.0),
        "statistic": jnp.where(chosen, wald[1:], jnp.where(out.open, out.z[1:], 0.0)),
        "spread": view.spread,
        "entered": state.entered,
        "converged": varies & solved & settled if rule.removes else varies & solved,
    }
