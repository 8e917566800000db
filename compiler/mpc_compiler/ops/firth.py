"""Firth's penalised likelihood: what takes away the first-order bias of a logistic regression, on secret rows.

Firth 1993, Biometrika 80, and Heinze and Schemper 2002: the log-likelihood plus half the logarithm of the determinant
of the information has a finite maximum whatever the rows, separated classes included. Its score is that of the
likelihood plus ``X' h (1/2 - p)``, with h the leverages of the rows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops.families import Fitted
from mpc_compiler.ops.likelihood import Problem

__all__ = ["STEPS", "correction"]

STEPS = 12
"""Newton steps. Separated classes halve the error in each, others divide it by the ratio of rows to columns."""


def correction(problem: Problem, fitted: Fitted, X: jax.Array, d: jax.Array) -> jax.Array:
    """What the penalty adds to the gradient.

    Parameters
    ----------
    problem : Problem
        Of a binary target, whose columns are all secret.
    fitted : Fitted
        What rows need at the coefficients.
    X, d : Array
        float64 [p+1, p+1] and [p+1]: the inverse of the Hessian there is ``D X D / 2**bound``, D = diag(d).

    Returns
    -------
    Array
        float64 [p+1].

    Notes
    -----
    Leverages are about ``p / n``; they are kept times ``2**(bound / 2)``, about ``sqrt(n)``, which neither loses their
    bits nor overflows in the sums over rows.
    """
    half = 2.0 ** -(problem.bound // 2)
    M = ((X * d[:, None]) * d) * half
    z = problem.design.secret
    assert z is not None
    form = M[0, 0] + 2.0 * (M[0, 1:] @ z) + jnp.sum((M[1:, 1:] @ z) * z, axis=0)
    each = (problem.weighted(fitted.weight) * form) * (0.5 - fitted.mean)
    return jnp.concatenate([jnp.sum(each)[None], z @ each]) * half
