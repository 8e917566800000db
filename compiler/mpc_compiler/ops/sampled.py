"""Hessians of a sample of the rows, for models with many rows a feature.

Where a fit ends depends on the score alone, which is always that of all rows; the Hessian only decides how fast. A
Hessian of n rows and p columns takes n p numbers to be multiplied by secret weights, and n p**2 products: of a sample
of m rows it is worse by a factor within ``(1 +- sqrt(p/m))**2``, so that every step still takes most of the way.

Sub-sampled Newton methods: Roosta-Khorasani and Mahoney, Mathematical Programming 174, 2019, section 2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ops.likelihood import Problem

__all__ = ["missing", "sample_step"]

ROWS_A_COLUMN = 50
"""Rows that a sample has for every column, at least: its Hessian is then within a third of the exact one."""
LEAST_ROWS = 1 << 14


def sample_step(problem: Problem) -> int:
    """Of how many rows one is sampled, by public numbers alone; 1: all are.

    Where some rows may not count, or count more, a sample of enough rows need not tell enough.
    """
    if problem.weights is not None or not problem.family.newton:
        return 1
    return max(1, problem.design.rows // max(ROWS_A_COLUMN * (problem.design.columns + 1), LEAST_ROWS))


def missing(problem: Problem, K: jax.Array, q: jax.Array) -> jax.Array:
    """What a sample's Hessian of the null model lacks on its diagonal: float64 [p+1, p+1].

    A column that is 0 but in a few rows may be missing from a sample altogether. The squares of a standardised column
    add up to the number of rows.

    Parameters
    ----------
    problem : Problem
        Without weights of rows.
    K : Array
        float64 [p+1, p+1]: the Hessian.
    q : Array
        float64 []: the weight of a row.
    """
    gap = q * float(problem.design.rows) - jnp.diagonal(K)[1:]
    return jnp.diag(jnp.concatenate([jnp.zeros(1), jnp.where(gap > 0, gap, 0.0)]))
