"""One step of choosing features: what the rows say at some coefficients, and what leaves and enters because of it.

See `mpc_compiler.ops.select` for the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops import linalg, numeric
from mpc_compiler.ops.likelihood import Problem
from mpc_compiler.ops.linalg import GUARD
from mpc_compiler.ops.numeric import FRACTION
from mpc_compiler.ops.winner import winner

__all__ = [
    "TOLERANCE",
    "Outside",
    "Rule",
    "State",
    "View",
    "changed",
    "coefficients",
    "corrected",
    "diagonal",
    "features_only",
    "inverted",
    "left",
    "outside",
    "quality",
    "view_at",
    "wald",
]

TOLERANCE = 2.0**-7
"""A feature enters only if this part of it, at least, is not explained by the chosen ones (variance inflation 128)."""
_LEAST = 2.0**-12
"""Smallest eigenvalue of the information, scaled to unit diagonal, that inverses are for."""
_REFINED = 2
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


class View(NamedTuple):
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


class State(NamedTuple):
    """What is chosen, and the model of it."""

    chosen: jax.Array
    """bool [p+1], the intercept always."""
    entered: jax.Array
    """int64 [p]: the turn in which a feature entered last, 0 for none."""
    b: jax.Array
    """Coefficients in the view's scale."""
    X: jax.Array


def view_at(problem: Problem, beta: jax.Array, chosen: jax.Array) -> View:
    """One pass over the rows, at coefficients of the design's columns."""
    fitted, _ = problem.at(beta)
    half = 2.0 ** -(problem.bound // 2)
    J = problem.hessian(problem.weighted(fitted.weight))
    d, root = numeric.roots(jnp.diagonal(J), low=-10, gain=problem.bound // 2)
    u = (problem.gradient(beta, problem.weighted(fitted.score)) * half) * d
    S = linalg.scale_both(J, d, bound=problem.bound)
    scaled = (beta * (1 / half)) * root
    spread = jnp.ones(())
    if problem.family.dispersed:
        total, freedom = jnp.sum(problem.weighted(fitted.pearson)), problem.nobs - jnp.sum(chosen.astype(jnp.int64))
        spread = numeric.sqrt(numeric.ratio(total, jnp.maximum(freedom, 1), den_max=problem.rows))
    return View(u, u + (S @ scaled) * 2.0**-GUARD, S, d, spread)


def inverted(view: View, state: State) -> State:
    """The state with the inverse within its mask."""
    return _with_inverse(
        view, state, linalg.inverse(_masked(view.S, state.chosen), diagonal(len(view.r)), least=_LEAST / len(view.r))
    )


def corrected(view: View, state: State) -> State:
    """The same, from an inverse that is nearly one."""
    both = state.chosen[:, None] & state.chosen[None, :]
    nearly = jnp.where(both, state.X, np.eye(len(view.r)))
    return _with_inverse(view, state, linalg.newton_schulz(_masked(view.S, state.chosen), nearly, steps=_REFINED))


def _with_inverse(view: View, state: State, X: jax.Array) -> State:
    X = jnp.where(state.chosen[:, None] & state.chosen[None, :], X, 0.0)
    return state._replace(X=X, b=X @ view.r)


def _masked(S: jax.Array, chosen: jax.Array) -> jax.Array:
    """S of the chosen, and of the others the identity."""
    return jnp.where(chosen[:, None] & chosen[None, :], S, linalg.eye(S.shape[0]))


def quality(view: View, state: State) -> jax.Array:
    """How far the inverse is from one, within the mask."""
    outer = jnp.diag(jnp.where(state.chosen, 0.0, 1.0))
    return linalg.residual(_masked(view.S, state.chosen), state.X + outer)


def diagonal(size: int) -> jax.Array:
    """Where inverses start: every eigenvalue of a matrix of that size and unit diagonal is at most the size."""
    return jnp.eye(size) / size


def changed(view: View, state: State, able: jax.Array, rule: Rule, number: int) -> State:
    """The state after one turn."""
    if rule.removes:
        state = left(view, state, rule)
    return state if rule.enter is None else _entered(view, state, able, rule.enter, rule, number)


def wald(view: View, state: State) -> tuple[jax.Array, jax.Array]:
    """Wald statistics, and one over the square root of the diagonal of X: float64 [p+1] each."""
    deviation = numeric.rsqrt(jnp.where(state.chosen, jnp.diagonal(state.X), 1.0), low=-1, high=16)
    return state.b * deviation, deviation


def left(view: View, state: State, rule: Rule) -> State:
    """Without the feature that the data speak least for, if that is too little."""
    z, deviation = wald(view, state)
    against = jnp.where(state.chosen[1:], -rule.signed(z[1:]), -_FAR)
    gone = winner(against, -rule.stay * view.spread, bits=_BITS)
    flag = _with_zero(gone)
    v = (flag @ state.X) * (flag @ deviation)
    X = state.X - v[:, None] * v[None, :]
    chosen = state.chosen & ~features_only(gone)
    entered = jnp.where(gone, 0, state.entered)
    return State(chosen, entered, X @ view.r, X)


def _with_zero(flags: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros(1), flags.astype(jnp.float64)])


def features_only(flags: jax.Array) -> jax.Array:
    """Flags of features as flags of terms, without the intercept."""
    return jnp.concatenate([jnp.zeros(1, jnp.bool_), flags])


class Outside(NamedTuple):
    """What the features that are not chosen would do."""

    z: jax.Array
    """Score statistics, float64 [p+1]."""
    open: jax.Array
    """bool [p]: whether they are not chosen, eligible, and not explained by the chosen ones."""
    C: jax.Array
    """``S X`` times ``2**GUARD``."""
    deviation: jax.Array


def outside(view: View, state: State, able: jax.Array) -> Outside:
    """Score statistics of the features that are not chosen."""
    C = view.S @ state.X
    score = view.r - (C @ view.r) * 2.0**-GUARD
    left = (jnp.diagonal(view.S) - jnp.sum(C * view.S, axis=1) * 2.0**-GUARD) * 2.0**-GUARD
    free = able & ~state.chosen[1:] & (left[1:] >= TOLERANCE)
    known = jnp.concatenate([jnp.zeros(1, jnp.bool_), free])
    deviation = numeric.rsqrt(jnp.where(known, left, 1.0), low=-8, high=2)
    return Outside(score * deviation, free, C, deviation)


def _entered(view: View, state: State, able: jax.Array, least: float, rule: Rule, number: int) -> State:
    """With the feature that the data speak most for, if that is enough."""
    out = outside(view, state, able)
    worth = jnp.where(out.open, rule.signed(out.z[1:]), -_FAR)
    new = winner(worth, least * view.spread, bits=_BITS)
    flag = _with_zero(new)
    v = ((flag @ out.C) * 2.0**-GUARD - flag) * (flag @ out.deviation)
    X = state.X + v[:, None] * v[None, :]
    return State(state.chosen | features_only(new), jnp.where(new, number, state.entered), X @ view.r, X)


def coefficients(problem: Problem, view: View, state: State) -> jax.Array:
    """The chosen features' coefficients in the units of the design."""
    return jnp.where(state.chosen, (state.b * view.d) * 2.0 ** -(problem.bound // 2), 0.0)
