"""Primitives on single elements: comparison of numbers of a known width, and the one-hot matrix of a code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array, core, lax

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import RAW, Avals, Params, PrimitiveInfo, define

__all__ = ["ELEMENTWISE", "compare", "one_hot"]

_OPERATIONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "eq": jnp.equal,
    "ne": jnp.not_equal,
}


def _compare_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    n, equality = avals[0].size, params["op"] in ("eq", "ne")
    if link is not None:
        return native.equal_native(n, params["bits"]) if equality else native.compare_native(n, params["bits"], link)
    return costs.each(costs.EQUAL if equality else costs.LESS, n)


_compare_p = define(
    "compare",
    lambda a, b, op, bits: [_OPERATIONS[op](a, b)],
    lambda a, b, op, bits: [core.ShapedArray(a.shape, jnp.dtype(jnp.bool_))],
)


def compare(a: Array, b: Array, op: str, *, bits: int) -> Array:
    """Compare numbers whose difference has a known width.

    Parameters
    ----------
    a, b : Array
        int64 or float64, both of one dtype; broadcast against each other.
    op : str
        ``"lt"``, ``"le"``, ``"gt"``, ``"ge"``, ``"eq"`` or ``"ne"``.
    bits : int
        ``-2**(bits-1) <= a - b < 2**(bits-1)``, for float64 in units of 2**-18; at most 64. A native kernel looks at so
        many bits only: where the difference is wider, its result is arbitrary.

    Returns
    -------
    Array
        bool. Discloses nothing.

    Notes
    -----
    Native, under ``aby3``: about ``0.6 * bits`` bytes an element (``0.5 * bits`` for equality); SPU: 108 and 62.

    Examples
    --------
    >>> import numpy as np
    >>> compare(np.array([3, 5]), np.array(4), "lt", bits=4).tolist()
    [True, False]
    """
    if op not in _OPERATIONS:
        raise ValueError(f"no comparison {op!r}; there are {', '.join(_OPERATIONS)}")
    a, b = jnp.broadcast_arrays(a, b)
    if a.dtype != b.dtype or a.dtype not in (jnp.int64, jnp.float64):
        raise TypeError(f"cannot compare {a.dtype} with {b.dtype}")
    out: Array = _compare_p.bind(a, b, op=op, bits=max(1, min(bits, RAW)))[0]
    return out


def _one_hot_plain(code: Array, *flags: Array, domain: int) -> list[Array]:
    width = costs.log2_ceil(domain)
    narrow = code & ((1 << width) - 1)
    # One minus the bit: one conversion from a boolean to an arithmetic share, used twice.
    zeros = [1 - (lax.shift_right_logical(narrow, jnp.int64(j)) & 1) for j in range(width)]
    if not flags:
        tree = jnp.stack([zeros[-1], 1 - zeros[-1]])
    else:
        root = 1 - (~flags[0]).astype(jnp.int64)
        low = root * zeros[-1]
        tree = jnp.stack([low, root - low])
    for level in range(width - 2, -1, -1):
        nodes = -(-domain // (1 << level))
        parents = tree[: -(-nodes // 2)]
        split = parents[: nodes // 2]
        low = split * zeros[level]
        children = jnp.stack([low, split - low], axis=1).reshape(-1, code.shape[0])
        tree = children if nodes % 2 == 0 else jnp.concatenate([children, parents[-1:]])
    return [tree]


def _one_hot_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    domain, rows, flags = params["domain"], avals[0].shape[0], len(avals) - 1
    if link is not None:
        return native.one_hot_native(rows, domain, flags=flags, link=link)
    width = costs.log2_ceil(domain)
    bits = costs.each(costs.A2B, rows) + width * costs.each(costs.B2A_BIT + costs.MULTIPLY, rows)
    return bits + flags * costs.each(costs.B2A_BIT, rows) + Cost(0, 24 * domain * rows, 40 * domain * rows, exact=False)


_one_hot_p = define(
    "one_hot",
    _one_hot_plain,
    lambda code, *flags, domain: [core.ShapedArray((domain, *code.shape), code.dtype)],
)


def one_hot(code: Array, domain: int, flag: Array | None) -> Array:
    """One-hot matrix of a secret code: D − 1 products a row instead of D equality tests.

    Parameters
    ----------
    code : Array
        int64 [n], in [0, domain) wherever `flag` is True.
    domain : int
        D ≥ 2.
    flag : Array or None
        bool [n]; a row whose flag is False gets a zero column.

    Returns
    -------
    Array
        int64 [D, n] of 0 and 1.

    Notes
    -----
    The code is decomposed into its w bits once; then a binary tree doubles the rows w times, from the highest bit
    down, and drops subtrees outside the domain. Cost under ``aby3`` in SPU: 336 + 32·w + 24·(D−1) bytes a row (and 56
    for the flag), 10 + w rounds. A native kernel multiplies bits, and makes numbers of the leaves: 24.4·D bytes a row.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(jnp.asarray(np.array([2, 0])), 3, None).tolist()
    [[0, 1], [0, 0], [1, 0]]
    """
    arrays = [jnp.asarray(code)] if flag is None else [jnp.asarray(code), jnp.asarray(flag)]
    out: Array = _one_hot_p.bind(*arrays, domain=domain)[0]
    return out


ELEMENTWISE = {
    "compare": PrimitiveInfo(_compare_p, _compare_cost, kernel=True),
    "one_hot": PrimitiveInfo(_one_hot_p, _one_hot_cost, kernel=True),
}
