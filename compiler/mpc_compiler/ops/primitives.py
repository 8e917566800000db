"""The engine's own JAX primitives: what a native kernel may take over from SPU.

Each has an abstract evaluation rule, one plain lowering and a cost. The plain lowering is ordinary JAX: compiled for
the CPU on clear data it is the reference, compiled for SPU it is the fallback. Only `encode_fixed` and `decode_fixed`
differ between the two, because a fixed-point number is an integer in SPU already.

Row movers (`sort_rows`, `compact`) take all columns at once: nothing indexes by a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, core, lax
from jax.interpreters import mlir, partial_eval

from mpc_compiler.cost import native
from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import ZERO, Cost
from mpc_compiler.ops.scan import inclusive_scan, mixed_dot
from mpc_compiler.ops.scan import prefix_sum as local_prefix_sum

__all__ = [
    "FRACTION_BITS",
    "PRIMITIVES",
    "PrimitiveInfo",
    "adapt",
    "compact",
    "compare",
    "decode_fixed",
    "encode_fixed",
    "prefix_sum",
    "ring_matmul",
    "segment_scan",
    "sort_rows",
]

FRACTION_BITS = 18
"""Fraction bits of a fixed-point number in the ring; the runtime configures SPU with the same number."""

_WORD = 62
_SPU_SUM = 180
"""Work of SPU for an element of a prefix sum: it multiplies with triangles of ones."""
_RAW = 64
_SPU_PLATFORM = "interpreter"

Avals = Sequence[core.ShapedArray]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class PrimitiveInfo:
    """What the compiler knows about one primitive.

    Parameters
    ----------
    primitive : jax.core.Primitive
    cost : callable
        ``cost(protocol, engine, avals, params) -> Cost`` with engine ``"spu"`` or ``"native"``; depends on shapes and
        widths only.
    kernel : bool
        True if a native kernel may exist. Which ones do is the runtime's to say (``partition(available=...)``).
    """

    primitive: core.Primitive
    cost: Callable[[str, str, Avals, Params], Cost]
    kernel: bool


@cache
def _compiled(plain: Callable[..., Any], params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    return jax.jit(partial(plain, **dict(params)))


def _define(name: str, plain: Callable[..., Any], shape: Callable[..., Any]) -> core.Primitive:
    primitive = core.Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(lambda *args, **params: _compiled(plain, tuple(sorted(params.items())))(*args))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=True))
    return primitive


# ---- sort_rows


def _pack(keys: Sequence[Array], bits: Sequence[int]) -> list[tuple[Array, int]]:
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
    return word if width == _RAW else (word ^ (1 << width)) & ((1 << (width + 1)) - 1)


def _sort_rows_plain(*arrays: Array, bits: tuple[int, ...], keep: tuple[bool, ...], method: str) -> list[Array]:
    keys, payload = arrays[: len(bits)], arrays[len(bits) :]
    moved = [key for key, kept in zip(keys, keep, strict=True) if kept] + list(payload)
    rows = keys[0].shape[0]
    if rows < 2 or not moved:
        return moved
    words = _pack(keys, bits)
    if method == "network":  # not stable by itself
        words = _pack([w for w, _ in words] + [jnp.arange(rows)], [*(b for _, b in words), costs.log2_ceil(rows)])
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


def _widths(avals: Avals) -> list[int]:
    """Bits of columns that native kernels move: one for a flag."""
    return [1 if aval.dtype == jnp.bool_ else _RAW for aval in avals]


def _sort_rows_cost(protocol: str, engine: str, avals: Avals, params: Params) -> Cost:
    bits, keep = params["bits"], params["keep"]
    if engine == "native":
        keys = avals[: len(bits)]
        known = sum(width for width, key in zip(bits, keys, strict=True) if key.dtype == jnp.bool_)
        moved = [key for key, kept in zip(keys, keep, strict=True) if kept]
        widths = _widths([*moved, *avals[len(bits) :]])
        if sum(bits) == 1:
            return native.compact_native(avals[0].shape[0], widths, inject=True)
        return native.sort_rows_native(avals[0].shape[0], sum(bits), widths, known=known)
    columns = sum(keep) + len(avals) - len(bits)
    if len(params["bits"]) == 1 and avals[0].dtype == jnp.bool_:
        return costs.compact_spu(protocol, avals[0].shape[0], columns)
    return costs.sort_rows_spu(protocol, avals[0].shape[0], sum(params["bits"]), columns)


_sort_rows_p = _define("sort_rows", _sort_rows_plain, _sort_rows_shape)


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
    return needed, _without_unused(eqn, needed, used, keep=kept)


# ---- compact


def _compact_plain(flag: Array, *payload: Array, method: str) -> list[Array]:
    if flag.shape[0] < 2 or not payload:
        return list(payload)
    dropped = ~flag
    if method == "network":
        return _sort_rows_plain(dropped, *payload, bits=(1,), keep=(False,), method=method)
    key = _narrow(dropped.astype(jnp.int64), 1)
    return list(lax.sort((key, *payload), num_keys=1, is_stable=True)[1:])


def _compact_cost(protocol: str, engine: str, avals: Avals, params: Params) -> Cost:
    if engine == "native":
        return native.compact_native(avals[0].shape[0], _widths(avals[1:]), inject=True)
    return costs.compact_spu(protocol, avals[0].shape[0], len(avals) - 1)


def _compact_shape(flag: core.ShapedArray, *payload: core.ShapedArray, method: str) -> list[core.ShapedArray]:
    return [core.ShapedArray(a.shape, a.dtype) for a in payload]


_compact_p = _define("compact", _compact_plain, _compact_shape)


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
    return needed, _without_unused(eqn, needed, used)


def _without_unused(eqn: core.JaxprEqn, ins: list[bool], outs: list[bool], **params: Any) -> core.JaxprEqn:
    out: core.JaxprEqn = eqn.replace(
        invars=[v for v, used in zip(eqn.invars, ins, strict=True) if used],
        outvars=[v for v, used in zip(eqn.outvars, outs, strict=True) if used],
        params=eqn.params | params,
    )
    return out


partial_eval.dce_rules[_sort_rows_p] = _sort_rows_dce
partial_eval.dce_rules[_compact_p] = _compact_dce


# ---- segment_scan

_STEPS: Mapping[str, Callable[[Array, Array], Array] | None] = {
    "sum": jnp.add,
    "min": jnp.minimum,
    "max": jnp.maximum,
    "copy": None,
}


def _segment_scan_plain(start: Array, value: Array, *, op: str) -> list[Array]:
    if value.shape[0] < 2:
        return [value]
    step = _STEPS[op]

    def combine(left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
        (f1, v1), (f2, v2) = left, right
        flag = f1 + f2 - f1 * f2
        merged = v1 if step is None else step(v1, v2)
        if op == "sum":
            return flag, v2 + (1 - f2) * v1
        return flag, f2 * v2 + (1 - f2) * merged

    return [inclusive_scan(combine, (start.astype(jnp.int64), value))[1]]


def _segment_scan_cost(protocol: str, engine: str, avals: Avals, params: Params) -> Cost:
    if engine == "native":
        return native.segment_scan_native(avals[0].shape[0], params["op"])
    return costs.segment_scan_spu(protocol, avals[0].shape[0], params["op"])


_segment_scan_p = _define(
    "segment_scan", _segment_scan_plain, lambda start, value, op: [core.ShapedArray(value.shape, value.dtype)]
)


def segment_scan(start: Array, value: Array, op: str) -> Array:
    """Scan within segments that begin where `start` is set.

    Parameters
    ----------
    start : Array
        bool [n]; the first row begins a segment whether flagged or not.
    value : Array
        int64 or finite float64 [n].
    op : str
        ``"sum"``, ``"min"``, ``"max"``, or ``"copy"`` (the value at the start of the segment).

    Returns
    -------
    Array
        [n]; the last row of a segment holds the segment's result.

    Notes
    -----
    2·log2 n levels, about 2n steps in all; a step costs 48 bytes under ``aby3`` (72 + 172 with a comparison). Nothing
    is disclosed.

    Examples
    --------
    >>> import numpy as np
    >>> segment_scan(np.array([True, False, True]), np.array([3, 1, 2]), "min").tolist()
    [3, 1, 2]
    """
    if op not in _STEPS:
        raise ValueError(f"segment_scan has no operation {op!r}; it has {', '.join(_STEPS)}")
    out: Array = _segment_scan_p.bind(jnp.asarray(start), jnp.asarray(value), op=op)[0]
    return out


# ---- prefix_sum

_prefix_sum_p = _define("prefix_sum", lambda x: [local_prefix_sum(x)], lambda x: [core.ShapedArray(x.shape, x.dtype)])


def prefix_sum(x: Array) -> Array:
    """Inclusive prefix sums; every party adds alone, whoever runs it.

    Parameters
    ----------
    x : Array
        [n], int64 or float64. n may be 0.

    Returns
    -------
    Array
        [n] of the same dtype; see `mpc_compiler.ops.scan.prefix_sum` for the plain lowering.

    Examples
    --------
    >>> import numpy as np
    >>> prefix_sum(np.array([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    out: Array = _prefix_sum_p.bind(jnp.asarray(x))[0]
    return out


# ---- compare

_TESTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "eq": jnp.equal,
    "ne": jnp.not_equal,
}


def _compare_cost(protocol: str, engine: str, avals: Avals, params: Params) -> Cost:
    n, equality = avals[0].size, params["op"] in ("eq", "ne")
    if engine == "native":
        return (native.equal_native if equality else native.compare_native)(n, params["bits"])
    return costs.each(costs.EQUAL if equality else costs.LESS, n)


_compare_p = _define(
    "compare",
    lambda a, b, op, bits: [_TESTS[op](a, b)],
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
    if op not in _TESTS:
        raise ValueError(f"no comparison {op!r}; there are {', '.join(_TESTS)}")
    a, b = jnp.broadcast_arrays(a, b)
    if a.dtype != b.dtype or a.dtype not in (jnp.int64, jnp.float64):
        raise TypeError(f"cannot compare {a.dtype} with {b.dtype}")
    out: Array = _compare_p.bind(a, b, op=op, bits=max(1, min(bits, _RAW)))[0]
    return out


# ---- ring_matmul


def _ring_matmul_plain(a: Array, b: Array) -> list[Array]:
    (g, n), c = a.shape, b.shape[1]
    if not g * n * c:
        return [jnp.zeros((g, c), b.dtype)]
    if min(g, c) == 1 or g * n * c <= costs.SPU_DOT_LIMIT:
        return [mixed_dot(a, b)]
    # SPU multiplies a matrix with one vector several times faster than with a few.
    if c <= g:
        return [jnp.concatenate([mixed_dot(a, b[:, i : i + 1]) for i in range(c)], axis=1)]
    return [jnp.concatenate([mixed_dot(a[i : i + 1], b) for i in range(g)], axis=0)]


def _ring_matmul_cost(protocol: str, engine: str, avals: Avals, params: Params) -> Cost:
    (g, n), c = avals[0].shape, avals[1].shape[1]
    return native.ring_matmul_native(g, n, c) if engine == "native" else costs.ring_matmul_spu(protocol, g, n, c)


_ring_matmul_p = _define(
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


# ---- fixed point as integers


def _same_shape(dtype: Any) -> Callable[[core.ShapedArray], list[core.ShapedArray]]:
    return lambda x: [core.ShapedArray(x.shape, jnp.dtype(dtype))]


def _reinterpret(dtype: Any) -> Any:
    return mlir.lower_fun(lambda x: [lax.bitcast_convert_type(x, dtype)], multiple_results=True)


_encode_fixed_p = _define(
    "encode_fixed", lambda x: [jnp.floor(x * 2.0**FRACTION_BITS).astype(jnp.int64)], _same_shape(jnp.int64)
)
_decode_fixed_p = _define(
    "decode_fixed", lambda x: [x.astype(jnp.float64) * 2.0**-FRACTION_BITS], _same_shape(jnp.float64)
)
mlir.register_lowering(_encode_fixed_p, _reinterpret(jnp.int64), platform=_SPU_PLATFORM)
mlir.register_lowering(_decode_fixed_p, _reinterpret(jnp.float64), platform=_SPU_PLATFORM)


def encode_fixed(x: Array) -> Array:
    """The integer that represents a fixed-point number in the ring: floor(x · 2**18).

    Parameters
    ----------
    x : Array
        float64, any shape, ``|x| < 2**44``.

    Returns
    -------
    Array
        int64. In SPU a change of type on the same shares: no cost, no error. There the input was rounded when it was
        shared, so that the result may differ by one from the clear run.

    Examples
    --------
    >>> import numpy as np
    >>> encode_fixed(np.array([0.5, -1.0])).tolist()
    [131072, -262144]
    """
    out: Array = _encode_fixed_p.bind(jnp.asarray(x))[0]
    return out


def decode_fixed(x: Array) -> Array:
    """The fixed-point number that an integer represents in the ring: x · 2**-18. The inverse of `encode_fixed`.

    Parameters
    ----------
    x : Array
        int64, any shape.

    Returns
    -------
    Array
        float64. No cost in SPU.

    Examples
    --------
    >>> import numpy as np
    >>> decode_fixed(np.array([131072])).tolist()
    [0.5]
    """
    out: Array = _decode_fixed_p.bind(jnp.asarray(x))[0]
    return out


def adapt(name: str, params: Params, protocol: str) -> dict[str, Any]:
    """Parameters of a primitive for a protocol: without secret shuffles rows are moved by a sorting network.

    Examples
    --------
    >>> adapt("compact", {"method": "radix"}, "cheetah")
    {'method': 'network'}
    """
    changed = dict(params)
    if "method" in changed and name in PRIMITIVES:
        changed["method"] = "radix" if protocol in ("aby3", "plaintext") else "network"
    return changed


PRIMITIVES: dict[str, PrimitiveInfo] = {
    "sort_rows": PrimitiveInfo(_sort_rows_p, _sort_rows_cost, kernel=True),
    "compact": PrimitiveInfo(_compact_p, _compact_cost, kernel=True),
    "segment_scan": PrimitiveInfo(_segment_scan_p, _segment_scan_cost, kernel=True),
    "prefix_sum": PrimitiveInfo(
        _prefix_sum_p,
        lambda _, engine, avals, __: Cost(work=(1 if engine == "native" else _SPU_SUM) * avals[0].size),
        kernel=True,
    ),
    "compare": PrimitiveInfo(_compare_p, _compare_cost, kernel=True),
    "ring_matmul": PrimitiveInfo(_ring_matmul_p, _ring_matmul_cost, kernel=True),
    "encode_fixed": PrimitiveInfo(_encode_fixed_p, lambda *_: ZERO, kernel=False),
    "decode_fixed": PrimitiveInfo(_decode_fixed_p, lambda *_: ZERO, kernel=False),
}
"""The primitives by name. The order is fixed; names are part of what parties compare before they start."""
