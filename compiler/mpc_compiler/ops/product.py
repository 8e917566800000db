"""Matrix products: of integers with integers or fixed-point numbers, exact in the ring, and of scaled numbers."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, core

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.scan import mixed_dot

__all__ = ["PRODUCTS", "ring_matmul", "scaled_matmul"]


def _ring_matmul_plain(a: Array, b: Array) -> list[Array]:
    (g, n), c = a.shape, b.shape[1]
    if not g * n * c:
        return [jnp.zeros((g, c), b.dtype)]
    if min(g, c) == 1 or not costs.spu_by_vectors(g, n, c):
        return [mixed_dot(a, b)]
    # SPU multiplies a matrix with one vector several times faster than with a few.
    if c <= g:
        return [jnp.concatenate([mixed_dot(a, b[:, i : i + 1]) for i in range(c)], axis=1)]
    return [jnp.concatenate([mixed_dot(a[i : i + 1], b) for i in range(g)], axis=0)]


def _ring_matmul_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    (g, n), c = avals[0].shape, avals[1].shape[1]
    return native.ring_matmul_native(g, n, c) if link is not None else costs.ring_matmul_spu(protocol, g, n, c)


_ring_matmul_p = define(
    "ring_matmul", _ring_matmul_plain, lambda a, b: [core.ShapedArray((a.shape[0], b.shape[1]), b.dtype)]
)


def ring_matmul(a: Array, b: Array) -> Array:
    """Product of an integer matrix with an integer or fixed-point matrix, exact in the ring modulo 2**64.

    Parameters
    ----------
    a : Array
        int64 (or bool) [g, n].
    b : Array
        int64 or float64 [n, c].

    Returns
    -------
    Array
        [g, c] of `b`'s dtype. No truncation: a fixed-point number times an integer is a fixed-point number. Entries
        must stay below 2**63 (2**44 for float64).

    Notes
    -----
    Native: one round, 24·g·c bytes under ``aby3``. Nothing is disclosed.

    Examples
    --------
    >>> import numpy as np
    >>> ring_matmul(np.array([[1, 0, 1]]), np.array([[0.5], [2.0], [0.25]])).tolist()
    [[0.75]]
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.dtype == jnp.bool_:
        a = a.astype(jnp.int64)
    if a.dtype != jnp.int64 or b.dtype not in (jnp.int64, jnp.float64):
        raise TypeError(f"ring_matmul takes int64 × int64 or int64 × float64, not {a.dtype} × {b.dtype}")
    out: Array = _ring_matmul_p.bind(a, b)[0]
    return out


def _scaled_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    (g, n), c = avals[0].shape, avals[1].shape[1]
    return Cost(2, 36 * g * c, 2 * g * n * c) if link is not None else costs.ring_matmul_spu(protocol, g, n, c)


_scaled_p = define(
    "scaled_matmul",
    lambda a, b, shift: [(a @ b) * 2.0**-shift],
    lambda a, b, shift: [core.ShapedArray((a.shape[0], b.shape[1]), a.dtype)],
)


def scaled_matmul(a: Array, b: Array, *, shift: int) -> Array:
    """``(a @ b) / 2**shift`` of float64 matrices, truncated once.

    Parameters
    ----------
    a : Array
        float64 [g, n].
    b : Array
        float64 [n, c].
    shift : int
        0 to 14.

    Returns
    -------
    Array
        float64 [g, c]. ``|a @ b|`` must stay below ``2**26`` in fixed point.

    Notes
    -----
    Native: two rounds, 36·g·c bytes under ``aby3``, as without the scaling. Nothing is disclosed.

    Examples
    --------
    >>> import numpy as np
    >>> scaled_matmul(np.array([[4.0]]), np.array([[0.5]]), shift=1).tolist()
    [[1.0]]
    """
    out: Array = _scaled_p.bind(jnp.asarray(a), jnp.asarray(b), shift=shift)[0]
    return out


PRODUCTS = {
    "ring_matmul": PrimitiveInfo(_ring_matmul_p, _ring_matmul_cost, kernel=True),
    "scaled_matmul": PrimitiveInfo(_scaled_p, _scaled_cost, kernel=True),
}
