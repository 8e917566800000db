"""Primitives that move rows, all columns at once: a stable sort by several keys, and compaction by a flag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, core, lax
from jax.interpreters import partial_eval

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import RAW, Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.fixed import encode_fixed

__all__ = ["MOVERS", "compact", "pack", "sort_rows", "sort_rows_plain", "widths", "without_unused"]

_WORD = 62


def pack(keys: Sequence[Array], bits: Sequence[int]) -> list[tuple[Array, int]]:
    """Concatenate keys into as few words of at most 62 bits as possible, most significant first."""
    words: list[tuple[Array, int]] = []
    for key, width in zip(keys, bits, strict=True):
        key = key.astype(jnp.int64)
        if words and words[-1][1] + width <= _WORD:
            word, used = words[-1]
            words[-1] = (word * (1 << width) + key, used + width)
        else:
            words.append((key, width))
    return words


def _narrow(word: Array, width: int) -> Array:
    """Set the bit above a word of `width` bits, so that SPU sees how few bits there are. The order stays the same.

    Radix sort makes one pass for every two bits of a boolean share, and reads its top bit as the sign: a share that
    is just as wide as the key would put the upper half first (and True before False). The result is exactly one bit
    wider.
    """
    return word if width == RAW else (word ^ (1 << width)) & ((1 << (width + 1)) - 1)


def sort_rows_plain(*arrays: Array, bits: tuple[int, ...], keep: tuple[bool, ...], method: str) -> list[Array]:
    """Plain lowering of `sort_rows`: the keys that are kept, then the payload."""
    keys, payload = arrays[: len(bits)], arrays[len(bits) :]
    moved = [key for key, kept in zip(keys, keep, strict=True) if kept] + list(payload)
    rows = keys[0].shape[0]
    if rows < 2 or not moved:
        return moved
    words = pack(keys, bits)
    if method == "network":  # not stable by itself
        words = pack([w for w, _ in words] + [jnp.arange(rows)], [*(b for _, b in words), costs.log2_ceil(rows)])
        operands = [word for word, _ in words]
    else:
        operands = [_narrow(word, width) for word, width in words]
    ordered = lax.sort((*operands, *moved), num_keys=len(operands), is_stable=True)
    return list(ordered[len(operands) :])


def _sort_rows_shape(
    *avals: core.ShapedArray, bits: tuple[int, ...], keep: tuple[bool, ...], method: str
) -> list[core.ShapedArray]:
    kept = [aval for aval, k in zip(avals, keep, strict=False) if k]
    return [core.ShapedArray(a.shape, a.dtype) for a in (*kept, *avals[len(bits) :])]


def widths(avals: Avals) -> list[int]:
    """Bits of columns that native kernels move: one for a flag."""
    return [1 if aval.dtype == jnp.bool_ else RAW for aval in avals]


def _sort_rows_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    bits, keep = params["bits"], params["keep"]
    if link is not None:
        keys = avals[: len(bits)]
        known = sum(width for width, key in zip(bits, keys, strict=True) if key.dtype == jnp.bool_)
        moved = [key for key, kept in zip(keys, keep, strict=True) if kept]
        columns = widths([*moved, *avals[len(bits) :]])
        if sum(bits) == 1:
            return native.compact_native(avals[0].shape[0], columns, inject=True)
        return native.sort_rows_native(avals[0].shape[0], sum(bits), columns, known=known, link=link)
    count = sum(keep) + len(avals) - len(bits)
    if len(params["bits"]) == 1 and avals[0].dtype == jnp.bool_:
        return costs.compact_spu(protocol, avals[0].shape[0], count)
    return costs.sort_rows_spu(protocol, avals[0].shape[0], sum(params["bits"]), count)


_sort_rows_p = define("sort_rows", sort_rows_plain, _sort_rows_shape)


def sort_rows(keys: Sequence[Array], payload: Sequence[Array], bits: Sequence[int]) -> tuple[Array, ...]:
    """Sort rows by several keys, ascending, stably; all columns move together.

    Parameters
    ----------
    keys : sequence of Array
        Each [n]; the first is the most significant. Integers in [0, 2**bits), or bool with one bit. With ``bits ==
        64``: any int64, or float64 (compared at the resolution of the fixed point, 2**-18).
    payload : sequence of Array
        Each [n]; int64, float64 or bool.
    bits : sequence of int
        Width of each key. Keys outside their width end up in the wrong place, without an error.

    Returns
    -------
    tuple of Array
        The keys and then the payload, in sorted order. What is not used later, or is passed twice, is neither moved nor
        paid for (twice).

    Notes
    -----
    Disclosed: nothing. In SPU under ``aby3`` a radix sort over the packed keys (needs ``SORT_RADIX``; the other methods
    reveal ties): about 1,400 + 168·bits + 32·columns bytes a row. Elsewhere a bitonic network over (keys, row number).
    Hamada et al., ePrint 2014/121; Chida et al., ePrint 2019/695.

    Examples
    --------
    >>> import numpy as np
    >>> age, name = np.array([41, 25, 33]), np.array([7, 8, 9])
    >>> [a.tolist() for a in sort_rows((age,), (name,), (7,))]
    [[25, 33, 41], [8, 9, 7]]
    """
    keys = [jnp.asarray(key) for key in keys]
    columns = [*keys, *map(jnp.asarray, payload)]
    ordinal = [encode_fixed(key) if key.dtype == jnp.float64 else key for key in keys]
    keep = tuple(key.dtype != jnp.float64 for key in keys)
    own = {id(key): key for key, kept in zip(keys, keep, strict=True) if kept}
    rest = {id(column): column for column in columns if id(column) not in own}
    out = _sort_rows_p.bind(*ordinal, *rest.values(), bits=tuple(map(int, bits)), keep=keep, method="radix")
    kept = [id(key) for key, k in zip(keys, keep, strict=True) if k]
    moved = dict(zip([*kept, *rest], out, strict=True))
    return tuple(moved[id(column)] for column in columns)


def _sort_rows_dce(used: list[bool], eqn: core.JaxprEqn) -> tuple[list[bool], core.JaxprEqn | None]:
    if not any(used):
        return [False] * len(eqn.invars), None
    keys, keep = len(eqn.params["bits"]), eqn.params["keep"]
    flags = iter(used)
    kept = tuple(k and next(flags) for k in keep)
    needed = [True] * keys + list(flags)
    return needed, without_unused(eqn, needed, used, keep=kept)


def _compact_plain(flag: Array, *payload: Array, method: str) -> list[Array]:
    if flag.shape[0] < 2 or not payload:
        return list(payload)
    dropped = ~flag
    if method == "network":
        return sort_rows_plain(dropped, *payload, bits=(1,), keep=(False,), method=method)
    key = _narrow(dropped.astype(jnp.int64), 1)
    return list(lax.sort((key, *payload), num_keys=1, is_stable=True)[1:])


def _compact_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    if link is not None:
        return native.compact_native(avals[0].shape[0], widths(avals[1:]), inject=True)
    return costs.compact_spu(protocol, avals[0].shape[0], len(avals) - 1)


def _compact_shape(flag: core.ShapedArray, *payload: core.ShapedArray, method: str) -> list[core.ShapedArray]:
    return [core.ShapedArray(a.shape, a.dtype) for a in payload]


_compact_p = define("compact", _compact_plain, _compact_shape)


def compact(flag: Array, payload: Sequence[Array]) -> tuple[Array, ...]:
    """Move the flagged rows first, keeping their order and that of the others.

    Parameters
    ----------
    flag : Array
        bool [n].
    payload : sequence of Array
        Each [n]. Pass the flag here too if its new order is needed.

    Returns
    -------
    tuple of Array
        The payload. Nothing is disclosed: the number of flagged rows stays secret.

    Notes
    -----
    A one-bit stable sort: under ``aby3`` about 530 + 64 bytes a row and column.

    Examples
    --------
    >>> import numpy as np
    >>> compact(np.array([False, True, True]), (np.array([1, 2, 3]),))[0].tolist()
    [2, 3, 1]
    """
    columns = [jnp.asarray(column) for column in payload]
    unique = {id(column): column for column in columns}
    moved = dict(zip(unique, _compact_p.bind(jnp.asarray(flag), *unique.values(), method="radix"), strict=True))
    return tuple(moved[id(column)] for column in columns)


def _compact_dce(used: list[bool], eqn: core.JaxprEqn) -> tuple[list[bool], core.JaxprEqn | None]:
    if not any(used):
        return [False] * len(eqn.invars), None
    needed = [True, *used]
    return needed, without_unused(eqn, needed, used)


def without_unused(eqn: core.JaxprEqn, ins: list[bool], outs: list[bool], **params: Any) -> core.JaxprEqn:
    """The equation with those operands and results only."""
    out: core.JaxprEqn = eqn.replace(
        invars=[v for v, used in zip(eqn.invars, ins, strict=True) if used],
        outvars=[v for v, used in zip(eqn.outvars, outs, strict=True) if used],
        params=eqn.params | params,
    )
    return out


partial_eval.dce_rules[_sort_rows_p] = _sort_rows_dce
partial_eval.dce_rules[_compact_p] = _compact_dce

MOVERS = {
    "sort_rows": PrimitiveInfo(_sort_rows_p, _sort_rows_cost, kernel=True),
    "compact": PrimitiveInfo(_compact_p, _compact_cost, kernel=True),
}
