"""The likelihood of a generalised linear model on secret rows: its value, gradient and expected Hessian anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mpc_compiler.check.model_inputs import WEIGHT_MAX
from mpc_compiler.ops import numeric, scaler
from mpc_compiler.ops.design import Design
from mpc_compiler.ops.families import Family, Fitted

__all__ = ["Problem", "mean_target", "null_model", "problem_of"]


@dataclass(frozen=True)
class Problem:
    """A model and the rows that it is fitted to.

    Attributes
    ----------
    design : Design
        n rows, p standardised columns.
    y : Array
        float64 [n], 0 where a row does not count.
    weights : Array or None
        float64 [n]: sample weights, 0 where a row does not count; None: all 1.
    offset : Array or None
        float64 [n].
    family : Family
    penalty : Array or None
        float64 [p+1]: added to the diagonal of the Hessian.
    nobs : Array
        int64 []: rows that count.
    rows, bound : int
        Public: ``nobs <= rows <= 2**bound``, and ``bound`` is even.
    heaviest : float
        Public: no sample weight is larger.
    """

    design: Design
    y: jax.Array
    weights: jax.Array | None
    offset: jax.Array | None
    family: Family
    penalty: jax.Array | None
    nobs: jax.Array
    rows: int
    bound: int
    heaviest: float

    def at(self, beta: jax.Array) -> tuple[Fitted, jax.Array]:
        """What rows need, and the log-likelihood (less the penalty)."""
        eta = self.along(beta)
        eta = eta if self.offset is None else eta + self.offset
        rows = self.family.fitted(eta, self.y)
        return rows, self.likelihood(beta, rows)

    def likelihood(self, beta: jax.Array, rows: Fitted) -> jax.Array:
        """The log-likelihood (less the penalty), given what rows need."""
        total = jnp.sum(self.weighted(rows.likelihood))
        return total if self.penalty is None else total - 0.5 * jnp.sum(self.penalty * beta * beta)

    def along(self, beta: jax.Array) -> jax.Array:
        """What coefficients add to the linear predictor: float64 [n]."""
        return beta[0] + self.design.times(beta[1:])

    def weighted(self, each: jax.Array) -> jax.Array:
        """Values of rows by their weights."""
        return each if self.weights is None else each * self.weights

    def gradient(self, beta: jax.Array, score: jax.Array) -> jax.Array:
        """Of the log-likelihood, for weighted scores of rows: float64 [p+1]."""
        g = jnp.concatenate([jnp.sum(score)[None], self.design.back(score)])
        return g if self.penalty is None else g - self.penalty * beta

    def hessian(self, weight: jax.Array, *, step: int = 1) -> jax.Array:
        """Expected and negative, for weighted weights of rows: float64 [p+1, p+1].

        With a `step`, from every `step`-th row.
        """
        most = self.family.heaviest
        return self._penalised(self.design.gram(weight, step=step, most=None if most is None else most * self.heaviest))

    def null_hessian(self, q: jax.Array, *, step: int = 1) -> jax.Array:
        """The same where all rows have the weight q."""
        return self._penalised(self.design.gram(self.weights, step=step, most=self.heaviest) * q)

    def _penalised(self, J: jax.Array) -> jax.Array:
        return J if self.penalty is None else J + jnp.diag(self.penalty)


def problem_of(
    design: Design,
    y: jax.Array,
    valid: jax.Array | None,
    *,
    family: Family,
    rows: int,
    weights: jax.Array | None = None,
    offset: jax.Array | None = None,
    penalty: jax.Array | None = None,
) -> Problem:
    """The problem of a fit; see `mpc_compiler.ops.glm.fit` for the arguments."""
    nobs = jnp.full((), design.rows, jnp.int64) if valid is None else jnp.sum(valid.astype(jnp.int64))
    return Problem(
        design,
        y if valid is None else jnp.where(valid, y, 0.0),
        _counted(valid, weights),
        offset,
        family,
        None if penalty is None else jnp.concatenate([jnp.zeros(1), penalty]),
        nobs,
        rows,
        scaler.even_bound(rows),
        1.0 if weights is None else float(WEIGHT_MAX),
    )


def _counted(valid: jax.Array | None, weights: jax.Array | None) -> jax.Array | None:
    """Sample weights that are 0 where a row does not count."""
    if valid is None:
        return weights
    flags = valid.astype(jnp.float64)
    return flags if weights is None else jnp.where(valid, weights, 0.0)


def mean_target(problem: Problem) -> jax.Array:
    """The weighted mean of the target."""
    total = jnp.sum(problem.weighted(problem.y))
    if problem.weights is None:
        return numeric.ratio(total, problem.nobs, den_max=problem.rows)
    return _mean(total, jnp.sum(problem.weights), problem.bound)


def null_model(problem: Problem) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Intercept of the model without features, its weight, and whether the target varies."""
    mean = mean_target(problem)
    if problem.family.name == "gaussian":
        return mean, jnp.ones(()), jnp.ones((), jnp.bool_)
    if problem.family.name != "binomial":
        mean = jnp.clip(mean, 2.0**-10, 2.0**6)
        return jnp.log(mean), problem.family.curvature(mean), jnp.sum(problem.weighted(problem.y)) > 0
    share = jnp.clip(mean, 2.0**-10, 1 - 2.0**-10)
    logs = jnp.log(jnp.stack([share, 1.0 - share]))
    two_classes = (mean > 0.5 / problem.rows) & (mean < 1.0 - 0.5 / problem.rows)
    return logs[0] - logs[1], share * (1.0 - share), two_classes


def _mean(total: jax.Array, count: jax.Array, bound: int) -> jax.Array:
    """total / count for a count of weights, at most 16 a row."""
    down = 2.0 ** -(bound // 2)
    inverse = numeric.reciprocal((count * down) * down, low=-16, high=6)
    return ((total * down) * down) * inverse
