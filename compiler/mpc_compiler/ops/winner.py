"""Which of a few secret numbers is the largest: all pairs compared at once, so that there is one round of comparisons.

A tournament compares less, in as many rounds of comparisons as it has levels; for a few hundred numbers the rounds are
what costs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops.primitives import compare

__all__ = ["larger", "winner"]


def larger(values: jax.Array, *, bits: int) -> jax.Array:
    """Which values come before which: ``out[i, j]`` says that value i does, as the larger one or the first of equals.

    Parameters
    ----------
    values : Array
        float64 [C].
    bits : int
        Of differences, see `mpc_compiler.ops.primitives.compare`.

    Returns
    -------
    Array
        bool [C, C], False on the diagonal.

    Examples
    --------
    >>> larger(jnp.array([1.0, 3.0, 3.0]), bits=24).astype(int).tolist()
    [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    """
    count = values.shape[0]
    shape = (count, count)
    less = compare(jnp.broadcast_to(values[:, None], shape), jnp.broadcast_to(values[None, :], shape), "lt", bits=bits)
    upper, lower = np.triu(np.ones(shape, bool), 1), np.tril(np.ones(shape, bool), -1)
    return (~less & upper) | (less.T & lower)


def winner(values: jax.Array, least: jax.Array | float, *, bits: int) -> jax.Array:
    """The place of the largest value, the first of several, if it is more than ``least``.

    Parameters
    ----------
    values : Array
        float64 [C].
    least : Array or float
        Secret or public.
    bits : int
        Of differences of values, and of values and ``least``.

    Returns
    -------
    Array
        bool [C], True at one place at most.

    Examples
    --------
    >>> winner(jnp.array([1.0, 3.0, 3.0]), 2.0, bits=24).tolist(), winner(jnp.array([1.0]), 2.0, bits=24).tolist()
    ([False, True, False], [False])
    """
    against = jnp.concatenate([jnp.reshape(jnp.asarray(least, values.dtype), (1,)), values])
    before = larger(against, bits=bits) | np.eye(len(against), dtype=bool)
    return jnp.all(before, axis=1)[1:]
