"""The logistic function of secret numbers, and what belongs to it: exact enough for a result, or fast for a step to it.

Nothing is opened; what is computed depends on shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from numpy.typing import NDArray

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import FRACTION_BITS, Avals, Params, PrimitiveInfo, define

__all__ = ["SIGMOIDS", "quick_sigmoid", "sigmoid", "sigmoid_and_softplus"]

_SLOPE = round(2.0**FRACTION_BITS / 6) / 2.0**FRACTION_BITS  # 1/6 as SPU will encode it
_CLIP = 2 / _SLOPE  # about 12: sigmoid(-12) is 6e-6
_DEGREE = 16


@cache
def _chebyshev(function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Coefficients on T_0.. of the polynomial through ``function(s)`` at the Chebyshev nodes of s in [0, _CLIP]."""
    nodes = np.cos((np.arange(_DEGREE + 1) + 0.5) * np.pi / (_DEGREE + 1))
    vandermonde = np.cos(np.outer(np.arange(_DEGREE + 1), np.arccos(nodes)))
    coefficients = 2 / (_DEGREE + 1) * (vandermonde @ function((nodes + 1) / _SLOPE))
    return np.asarray(coefficients * np.where(np.arange(_DEGREE + 1) == 0, 0.5, 1.0), np.float64)


def _lower_tail(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(s)))


def _log1p_exp(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log1p(np.exp(-s)))


def _basis(t: jax.Array) -> jax.Array:
    """T_1(t) .. T_degree(t) on a new first axis, by T_{k+j} = 2 T_k T_j - T_{k-j}: log2(degree) products deep."""
    rows = t[None]
    while (k := rows.shape[0]) < _DEGREE:
        count = min(k, _DEGREE - k)
        below = jnp.concatenate([rows[:-1][::-1], jnp.ones_like(rows[:1])])[:count]
        rows = jnp.concatenate([rows, 2.0 * (rows[-1][None] * rows[:count]) - below])
    return rows


def _folded(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(x < 0, min(x, 0), Chebyshev basis of min(|x|, clip)), by comparisons and choices in one batch each."""
    flags = x[None] < jnp.asarray([0.0, -_CLIP, _CLIP]).reshape((-1,) + (1,) * x.ndim)
    below, low, high = jnp.where(flags, jnp.stack([x, x + _CLIP, x - _CLIP]), 0.0)
    return flags[0], below, _basis((_CLIP + high + low - 2.0 * below) * _SLOPE - 1.0)


def _combine(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], basis: jax.Array) -> jax.Array:
    coefficients = _chebyshev(function)
    series: jax.Array = jnp.tensordot(coefficients[1:], basis, axes=1) + coefficients[0]
    return series


def sigmoid(x: jax.Array) -> jax.Array:
    """``1 / (1 + exp(-x))`` to 4e-5 on SPU and never outside [0, 1], for any x of magnitude below 2**26.

    Notes
    -----
    Chebyshev interpolation of the lower tail on [0, 12] in |x|: its poles at ±iπ then lie near an *end* of the
    interval, where the convergence rate is 2.1 per term; the usual odd expansion on [-12, 12] has 1.7 per (odd) term.
    The clip costs 6e-6, the truncation at degree 16 costs 3e-6, the rest is fixed-point rounding, which is unbiased.

    >>> sigmoid(jnp.array([0.0, 2.0, -30.0])).round(4)
    Array([0.5   , 0.8808, 0.    ], dtype=float64)
    """
    negative, _, basis = _folded(x)
    tail = jnp.maximum(_combine(_lower_tail, basis), 0.0)
    return jnp.where(negative, tail, 1.0 - tail)


def sigmoid_and_softplus(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """:func:`sigmoid` (4e-5, perhaps beyond 0 or 1 by that much) and ``log(1 + exp(x))`` (4e-5) from one expansion.

    >>> [v.round(4).tolist() for v in sigmoid_and_softplus(jnp.array([0.0, 20.0]))]
    [[0.5, 1.0], [0.6931, 20.0]]
    """
    negative, below, basis = _folded(x)
    tail = _combine(_lower_tail, basis)
    return jnp.where(negative, tail, 1.0 - tail), x - below + _combine(_log1p_exp, basis)


def _quick_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    n = avals[0].size
    if link is not None:
        return native.sigmoid_native(n)
    return 4 * costs.each(costs.LESS + costs.B2A_BIT, n) + (_DEGREE + 4) * costs.each(costs.MULTIPLY, n)


_quick_p = define(
    "quick_sigmoid", lambda x: [sigmoid_and_softplus(x)[0]], lambda x: [core.ShapedArray(x.shape, x.dtype)]
)


def quick_sigmoid(x: jax.Array) -> jax.Array:
    """``1 / (1 + exp(-x))`` to 1e-4, perhaps beyond 0 or 1 by that much: for steps on the way to a result.

    Parameters
    ----------
    x : Array
        float64, of magnitude below 2**26.

    Returns
    -------
    Array
        float64. Discloses nothing.

    Notes
    -----
    Native: one kernel of about 24 rounds and 375 bytes an element under ``aby3``; :func:`sigmoid` takes as many rounds
    and twice the bytes. The polynomial has degree 11 and is evaluated as Paterson and Stockmeyer (SIAM J. Comput. 1973)
    do.

    >>> quick_sigmoid(jnp.array([0.0, 2.0, -30.0])).round(3)
    Array([0.5  , 0.881, 0.   ], dtype=float64)
    """
    out: jax.Array = _quick_p.bind(jnp.asarray(x))[0]
    return out


SIGMOIDS = {"quick_sigmoid": PrimitiveInfo(_quick_p, _quick_cost, kernel=True)}
