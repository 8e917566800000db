"""Primitive for joins: every row of one side finds the row of the other side with its key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
from jax import Array, core, lax
from jax.interpreters import partial_eval

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.movers import pack, sort_rows_plain, widths, without_unused
from mpc_compiler.ops.scan import inclusive_scan

__all__ = ["LOOKUPS", "lookup", "lookup_plain"]


def lookup_plain(*arrays: Array, bits: tuple[int, ...], method: str) -> list[Array]:
    """Plain lowering of `lookup`: sort both sides by (key, side), copy from left rows to those below, undo the sort."""
    keys = len(bits)
    lefts, rights, payload = arrays[:keys], arrays[keys : 2 * keys], arrays[2 * keys :]
    left, right = lefts[0].shape[0], rights[0].shape[0]
    if not left or not right:
        return [jnp.zeros(right, jnp.bool_), *(jnp.zeros(right, column.dtype) for column in payload)]
    stacked = (jnp.concatenate([a, b]) for a, b in zip(lefts, rights, strict=True))
    words = pack([*stacked], bits)
    rows = left + right
    side = (jnp.arange(rows) >= left).astype(jnp.int64)
    ordered = sort_rows_plain(
        *(word for word, _ in words),
        side,
        jnp.arange(rows),
        *(jnp.concatenate([column, jnp.zeros(right, column.dtype)]) for column in payload),
        bits=(*(width for _, width in words), 1),
        keep=(True,) * (len(words) + 1),
        method=method,
    )
    moved, (side, place, *columns) = ordered[: len(words)], ordered[len(words) :]
    as_above = reduce(jnp.logical_and, [word[1:] == word[:-1] for word in moved])
    same = jnp.concatenate([jnp.zeros(1, jnp.int64), as_above.astype(jnp.int64)])
    values = [1 - (~c).astype(jnp.int64) if c.dtype == jnp.bool_ else c for c in columns]
    # A copy starts at left rows, and at right rows with a key that no left row has.
    _, *copied = inclusive_scan(_copy, (1 - side * same, 1 - side, *values))
    width = costs.log2_ceil(rows)
    found, *back = (c[left:] for c in sort_rows_plain(place, *copied, bits=(width,), keep=(False,), method=method))
    restored = [c > 0 if p.dtype == jnp.bool_ else c for c, p in zip(back, payload, strict=True)]
    return [found > 0, *restored]


def _lookup_clear(*arrays: Array, bits: tuple[int, ...], method: str) -> list[Array]:
    """The same with indices: sort, and look for the last left row above."""
    keys = len(bits)
    lefts, rights, payload = arrays[:keys], arrays[keys : 2 * keys], arrays[2 * keys :]
    left, right = lefts[0].shape[0], rights[0].shape[0]
    if not left or not right:
        return [jnp.zeros(right, jnp.bool_), *(jnp.zeros(right, column.dtype) for column in payload)]
    words = [jnp.concatenate([a, b]).astype(jnp.int64) for a, b in zip(lefts, rights, strict=True)]
    *ordered, row = lax.sort((*words, jnp.arange(left + right)), num_keys=keys, is_stable=True)
    place = lax.cummax(jnp.where(row < left, jnp.arange(left + right), -1))
    above = jnp.maximum(place, 0)
    same = reduce(jnp.logical_and, [word == word[above] for word in ordered]) & (place >= 0)
    found = jnp.zeros(left + right, jnp.bool_).at[row].set(same)[left:]
    source = jnp.zeros(left + right, jnp.int64).at[row].set(row[above])[left:]
    return [found, *(jnp.where(found, column[source], jnp.zeros((), column.dtype)) for column in payload)]


def _copy(before: tuple[Array, ...], after: tuple[Array, ...]) -> tuple[Array, ...]:
    """Two runs of rows as one: the later one's start, if it has one, else the earlier one's."""
    (f1, *v1), (f2, *v2) = before, after
    return f1 + f2 - f1 * f2, *(f2 * b + (1 - f2) * a for a, b in zip(v1, v2, strict=True))


def _lookup_shape(*avals: core.ShapedArray, bits: tuple[int, ...], method: str) -> list[core.ShapedArray]:
    keys = len(bits)
    right = avals[keys].shape
    return [
        core.ShapedArray(right, jnp.dtype(jnp.bool_)),
        *(core.ShapedArray(right, a.dtype) for a in avals[2 * keys :]),
    ]


def _lookup_cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    bits, keys = params["bits"], len(params["bits"])
    left, right, columns = avals[0].shape[0], avals[keys].shape[0], len(avals) - 2 * keys
    rows = left + right
    if link is not None:
        numbers = [width for width, word in zip(bits, avals[:keys], strict=True) if word.dtype != jnp.bool_]
        known = sum(bits) - sum(numbers)
        return native.lookup_native(left, right, sum(bits), widths(avals[2 * keys :]), known=known, link=link)
    if not left or not right:
        return Cost()
    words = -(-sum(bits) // 62)
    down = costs.sort_rows_spu(protocol, rows, sum(bits) + 1, words + 2 + columns)
    same = costs.each(words * costs.EQUAL + costs.B2A_BIT + costs.MULTIPLY, rows)
    levels = 2 * costs.log2_ceil(rows)
    copies = Cost(levels, 48 * (2 + columns) * rows, 4 * (2 + columns) * rows * levels, exact=False)
    up = costs.sort_rows_spu(protocol, rows, costs.log2_ceil(rows), 1 + columns)
    return down + same + copies + up + costs.each(costs.LESS, right)


_lookup_p = define("lookup", lookup_plain, _lookup_shape, clear=_lookup_clear)


def lookup(
    left: Sequence[Array], right: Sequence[Array], payload: Sequence[Array], bits: Sequence[int]
) -> tuple[Array, tuple[Array, ...]]:
    """Look up every right row's key among the left rows, and fetch what the left row carries.

    Parameters
    ----------
    left, right : sequence of Array
        Words of the key, one array [n_left] and [n_right] each; int64 or bool.
    payload : sequence of Array
        Columns of the left side, each [n_left]; int64, float64 or bool.
    bits : sequence of int
        Width of each word: integers in [0, 2**bits), or with ``bits == 64`` any int64. Words outside their width are
        misplaced, without an error.

    Returns
    -------
    found : Array
        bool [n_right]: whether a left row has the same key. Right also where several have it.
    columns : tuple of Array
        Each [n_right]: the payload of a left row with that key. Where there is none, 0 or another row's payload:
        callers mask it. If several left rows have the key, all columns come from one of them.

    Notes
    -----
    Rows keep the order of the right side. Discloses nothing: neither which rows match nor how many. To leave a row out,
    give it a word that no row of the other side has. Payload that is not used later is not moved. The plain lowering
    sorts both sides together, copies downwards in a scan, and sorts back.

    Examples
    --------
    >>> import numpy as np
    >>> city, rent, person = np.array([3, 1]), np.array([900, 700]), np.array([1, 2, 3, 1])
    >>> found, (rents,) = lookup([city], [person], [rent], [2])
    >>> found.tolist(), (rents * found).tolist()
    ([True, False, True, True], [700, 0, 900, 700])
    """
    if not len(left) == len(right) == len(bits) or not left:
        raise ValueError(f"need as many words on both sides as widths, not {len(left)}, {len(right)} and {len(bits)}")
    words = [jnp.asarray(word) for word in (*left, *right)]
    if any(word.dtype not in (jnp.int64, jnp.bool_) for word in words):
        raise TypeError(f"words of a key are int64 or bool, not {', '.join(str(word.dtype) for word in words)}")
    columns = [jnp.asarray(column) for column in payload]
    unique = {id(column): column for column in columns}
    found, *out = _lookup_p.bind(*words, *unique.values(), bits=tuple(map(int, bits)), method="radix")
    fetched = dict(zip(unique, out, strict=True))
    return found, tuple(fetched[id(column)] for column in columns)


def _lookup_dce(used: list[bool], eqn: core.JaxprEqn) -> tuple[list[bool], core.JaxprEqn | None]:
    if not any(used):
        return [False] * len(eqn.invars), None
    outs = [True, *used[1:]]  # whether a row is found is known anyway
    needed = [True] * (2 * len(eqn.params["bits"])) + used[1:]
    return needed, without_unused(eqn, needed, outs)


partial_eval.dce_rules[_lookup_p] = _lookup_dce

LOOKUPS = {"lookup": PrimitiveInfo(_lookup_p, _lookup_cost, kernel=True)}
