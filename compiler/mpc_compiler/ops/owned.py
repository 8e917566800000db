"""Products with matrices that a computing party knows, as primitives: their columns are never shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, core

from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import Avals, Params, PrimitiveInfo, define

__all__ = ["OWNED", "owned_gram", "owned_matmul", "owned_rmatmul"]

_PRODUCT = 24
_TRUNCATED = 36
_SHIFTED = 20


def _kind(*avals: core.ShapedArray) -> Any:
    return jnp.result_type(*(aval.dtype for aval in avals))


def _side_by_side(matrices: Sequence[Array], step: int = 1) -> Array:
    return jnp.concatenate([matrix[::step] for matrix in matrices], axis=1)


def _product(x: Array, y: Array) -> list[Array]:
    kind = jnp.result_type(x.dtype, y.dtype)
    return [x.astype(kind) @ y.astype(kind)]


def _matmul_plain(y: Array, *matrices: Array) -> list[Array]:
    return _product(_side_by_side(matrices), y)


def _rmatmul_plain(y: Array, *matrices: Array, step: int) -> list[Array]:
    return _product(_side_by_side(matrices, step).T, y)


def _gram_plain(*given: Array, step: int, weighted: bool, limit: float | None) -> list[Array]:
    x = _side_by_side(given[weighted:], step)
    return [x.T @ (x * given[0][:, None] if weighted else x)]


def _product_cost(results: int, work: int, avals: Avals) -> Cost:
    fixed = all(aval.dtype == jnp.float64 for aval in avals)
    return Cost(2 if fixed else 1, (_TRUNCATED if fixed else _PRODUCT) * results, work)


def _width(matrices: Avals) -> int:
    return sum(aval.shape[1] for aval in matrices)


def _matmul_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    y, *matrices = avals
    rows = matrices[0].shape[0]
    return _product_cost(rows * y.shape[1], rows * y.size, avals)


def _rmatmul_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    y, *matrices = avals
    return _product_cost(_width(matrices) * y.shape[1], _width(matrices) * y.size, avals)


def _gram_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    weighted, step = params["weighted"], params["step"]
    matrices = avals[weighted:]
    width, rows = _width(matrices), -(-matrices[0].shape[0] // step)
    blocks, upper = -(-rows // max(1, (1 << 21) // max(width, 1))), width * (width + 1) // 2
    if not weighted:
        return Cost(2, _TRUNCATED * upper, rows * upper)
    if params["limit"] is None:
        return Cost(2 * blocks + 2, _TRUNCATED * (rows * width + upper), rows * upper)
    return Cost(blocks + 4, _SHIFTED * rows + _PRODUCT * rows * width + _TRUNCATED * upper, rows * upper)


_matmul_p = define(
    "owned_matmul",
    _matmul_plain,
    lambda y, *xs: [core.ShapedArray((xs[0].shape[0], y.shape[1]), _kind(y, *xs))],
)
_rmatmul_p = define(
    "owned_rmatmul",
    _rmatmul_plain,
    lambda y, *xs, step: [core.ShapedArray((_width(xs), y.shape[1]), _kind(y, *xs))],
)
_gram_p = define(
    "owned_gram",
    _gram_plain,
    lambda *given, step, weighted, limit: [core.ShapedArray((_width(given[weighted:]),) * 2, _kind(*given))],
)


def owned_matmul(matrices: Sequence[Array], y: Array) -> Array:
    """``X @ y`` of all columns of matrices that computing parties know.

    Parameters
    ----------
    matrices : sequence of Array
        [n, p_i], all int64 or all float64: inputs of the program that their owners keep in the clear; X is all of them
        side by side. Reading them in any other way than by these primitives is an error of the program.
    y : Array
        [p, k], int64 or float64, secret.

    Returns
    -------
    Array
        [n, k]. Two floats are truncated once, whatever p; see `mpc_engine.runtime.replicated.owned.times`.

    Notes
    -----
    24 bytes a result under ``aby3``, 36 with truncation; nothing for the matrices.

    Examples
    --------
    >>> import numpy as np
    >>> owned_matmul([np.array([[1.0]]), np.array([[2.0]])], np.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    out: Array = _matmul_p.bind(jnp.asarray(y), *(jnp.asarray(x) for x in matrices))[0]
    return out


def owned_rmatmul(matrices: Sequence[Array], y: Array, *, step: int = 1) -> Array:
    """``X[::step].T @ y`` likewise: [p, k] of [n, p_i] and [m, k].

    Examples
    --------
    >>> import numpy as np
    >>> owned_rmatmul([np.array([[1], [1]])], np.array([[3.0], [4.0]])).tolist()
    [[7.0]]
    """
    out: Array = _rmatmul_p.bind(jnp.asarray(y), *(jnp.asarray(x) for x in matrices), step=step)[0]
    return out


def owned_gram(weights: Array | None, matrices: Sequence[Array], *, step: int = 1, limit: float | None = None) -> Array:
    """``X.T @ diag(weights) @ X`` of all columns of matrices that computing parties know.

    Parameters
    ----------
    weights : Array or None
        float64 [m], secret; None: all 1.
    matrices : sequence of Array
        float64 [n, p_i]; X is all of them side by side.
    step : int
        The m weights belong to the rows 0, step, 2 step ..; no others count.
    limit : float or None
        Public: no sum of abs(w x x) is larger. Then weights are rounded to ``25 - log2(limit)`` fraction bits (14 at
        most) at random, right in the mean, instead of weighted rows to 18.

    Returns
    -------
    Array
        float64 [p, p], symmetric.

    Notes
    -----
    24 bytes for each weighted element, 36 without a limit; nothing for sums over rows, nor for rows without weights.
    Error without a limit at most ``2**-18 * (1 + sum of abs(x))``.

    Examples
    --------
    >>> import numpy as np
    >>> owned_gram(np.array([0.5, 0.5]), [np.array([[1.0], [1.0]]), np.array([[0.0], [2.0]])]).tolist()
    [[1.0, 1.0], [1.0, 2.0]]
    """
    given = [*([] if weights is None else [weights]), *matrices]
    out: Array = _gram_p.bind(*map(jnp.asarray, given), step=step, weighted=weights is not None, limit=limit)[0]
    return out


OWNED = {
    "owned_matmul": PrimitiveInfo(_matmul_p, _matmul_cost, kernel=True),
    "owned_rmatmul": PrimitiveInfo(_rmatmul_p, _rmatmul_cost, kernel=True),
    "owned_gram": PrimitiveInfo(_gram_p, _gram_cost, kernel=True),
}
