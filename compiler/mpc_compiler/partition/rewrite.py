"""Equations written out in the few that native kernels run: comparisons, selections, ANDs, floors, arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, core, lax

from mpc_compiler.ops.rational import in_ring
from mpc_compiler.ops.transcendental import TRANSCENDENTAL
from mpc_compiler.ops.transcendental import in_ring as transcendental
from mpc_compiler.ops.wide import by_parts
from mpc_compiler.partition.atoms import dtype_of, shape_of

__all__ = ["expansion", "narrower"]

_NUMBERS = ("int64", "float64")
_WHOLE = ("floor", "ceil", "round")
Fn = Callable[..., Array]


def narrower(
    eqn: core.JaxprEqn, ins: Sequence[Any], makers: Sequence[core.JaxprEqn | None]
) -> tuple[core.ClosedJaxpr, list[Any]] | None:
    """What stands for less, with its operands: for a product with a flag, a choice between the other factor and 0.

    Parameters
    ----------
    eqn : JaxprEqn
    ins : sequence of Var or Literal
        Its operands.
    makers : sequence of JaxprEqn or None
        What made each operand.

    Returns
    -------
    (ClosedJaxpr, list of operands) or None
    """
    if eqn.primitive.name == "convert_element_type" and makers[0] is not None:
        return _converted_twice(eqn, makers[0])
    if eqn.primitive.name != "mul":
        return None
    for this, other, maker in ((0, 1, makers[0]), (1, 0, makers[1])):
        if maker is None or maker.primitive.name != "convert_element_type" or isinstance(ins[other], core.Literal):
            continue
        flag = maker.invars[0]
        if dtype_of(flag) == "bool" and shape_of(ins[this]) == shape_of(ins[other]):
            return _traced(_chosen, (_type(flag), _type(ins[other]))), [flag, ins[other]]
    return None


def _converted_twice(eqn: core.JaxprEqn, first: core.JaxprEqn) -> tuple[core.ClosedJaxpr, list[Any]] | None:
    """A flag as a number of another type than it first became."""
    flag, target = first.invars[0], dtype_of(eqn.outvars[0])
    if first.primitive.name != "convert_element_type" or dtype_of(flag) != "bool" or target not in _NUMBERS:
        return None
    return _traced(_AS[target], (_type(flag),)), [flag]


def expansion(
    eqn: core.JaxprEqn, avals: Sequence[Any], makers: Sequence[core.JaxprEqn | None]
) -> core.ClosedJaxpr | None:
    """What an equation stands for, on operands of these types; None if it is not written out.

    Parameters
    ----------
    eqn : JaxprEqn
    avals : sequence of ShapedArray
    makers : sequence of JaxprEqn or None
        What made each operand.
    """
    name = eqn.primitive.name
    kinds = {str(aval.dtype) for aval in avals}
    if name in _REDUCTIONS:
        return _traced(_reduction(name, tuple(eqn.params["axes"])), tuple(map(_type, avals))) if avals[0].size else None
    if name == "convert_element_type":
        fn = _conversion(str(avals[0].dtype), dtype_of(eqn.outvars[0]), makers[0])
    elif name == "integer_pow" and eqn.params["y"] > 0 and kinds <= set(_NUMBERS):
        fn = _power(eqn.params["y"])
    elif name == "round" and kinds == {"float64"}:
        fn = _round_even if eqn.params["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN else _round_away
    elif name == "times_rational":
        fn = _rational(*(eqn.params[key] for key in ("num", "den", "most")))
    elif name in TRANSCENDENTAL:
        fn = transcendental(name, tuple(sorted(eqn.params.items())))
    elif name == "wide_multiply":
        fn = by_parts(eqn.params["most"], once=True)
    elif kinds == {"bool"}:
        fn = _FLAGS.get(name)
    else:
        fn = _ELEMENTWISE.get(name) if kinds <= set(_NUMBERS) else None
    return None if fn is None else _traced(fn, tuple(map(_type, avals)))


Type = tuple[tuple[int, ...], str]


def _type(atom: Any) -> Type:
    aval = getattr(atom, "aval", atom)
    return tuple(aval.shape), str(aval.dtype)


@functools.lru_cache(maxsize=4096)
def _traced(fn: Fn, types: tuple[Type, ...]) -> core.ClosedJaxpr:
    return jax.make_jaxpr(fn)(*(jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for shape, dtype in types))


def _even(*values: Array) -> list[Array]:
    """Scalars as arrays of the others' shape."""
    shape = max((value.shape for value in values), key=len)
    return [value if value.shape == shape else lax.broadcast(value, shape) for value in values]


def _chosen(flag: Array, value: Array) -> Array:
    return lax.select_n(flag, lax.full_like(value, 0), value)


def _maximum(a: Array, b: Array) -> Array:
    a, b = _even(a, b)
    return lax.select_n(lax.lt(a, b), a, b)


def _minimum(a: Array, b: Array) -> Array:
    a, b = _even(a, b)
    return lax.select_n(lax.lt(a, b), b, a)


def _absolute(x: Array) -> Array:
    return lax.select_n(lax.lt(x, lax.full_like(x, 0)), x, lax.neg(x))


def _sign(x: Array) -> Array:
    nought = lax.full_like(x, 0)
    above, below = (lax.convert_element_type(lax.lt(*pair), x.dtype) for pair in ((nought, x), (x, nought)))
    return lax.sub(above, below)


def _clamp(low: Array, x: Array, high: Array) -> Array:
    return _minimum(_maximum(x, low), high)


def _power(exponent: int) -> Fn:
    return _POWERS.setdefault(exponent, functools.partial(_raised, exponent=exponent))


_POWERS: dict[int, Fn] = {}


def _raised(x: Array, *, exponent: int) -> Array:
    result, power, left = None, x, exponent
    while left:
        if left & 1:
            result = power if result is None else lax.mul(result, power)
        left >>= 1
        power = lax.mul(power, power) if left else power
    assert result is not None
    return result


def _ceil(x: Array) -> Array:
    return lax.neg(lax.floor(lax.neg(x)))


def _round_even(x: Array) -> Array:
    up = lax.floor(x + 0.5)
    odd = lax.eq(lax.bitwise_and(lax.convert_element_type(up, jnp.int64), jnp.ones(x.shape, jnp.int64)), 1)
    down = lax.bitwise_and(lax.eq(lax.sub(up, x), lax.full_like(x, 0.5)), odd)
    return lax.sub(up, lax.convert_element_type(down, x.dtype))


def _round_away(x: Array) -> Array:
    below = lax.lt(x, lax.full_like(x, 0))
    size = lax.floor(lax.select_n(below, x, lax.neg(x)) + 0.5)
    return lax.select_n(below, size, lax.neg(size))


def _conversion(source: str, target: str, maker: core.JaxprEqn | None) -> Fn | None:
    if source in _NUMBERS and target == "bool":
        return _nonzero
    if (source, target) == ("float64", "int64") and (maker is None or maker.primitive.name not in _WHOLE):
        return _towards_zero
    return None


@functools.lru_cache(maxsize=256)
def _rational(num: int, den: int, most: int) -> Fn:
    return lambda x: in_ring(x, num, den, most)[0]


def _nonzero(x: Array) -> Array:
    return lax.ne(x, lax.full_like(x, 0))


def _towards_zero(x: Array) -> Array:
    below = lax.lt(x, lax.full_like(x, 0))
    size = lax.convert_element_type(lax.floor(lax.select_n(below, x, lax.neg(x))), jnp.int64)
    return lax.select_n(below, size, lax.neg(size))


_AS: dict[str, Fn] = {
    "int64": lambda x: lax.convert_element_type(x, jnp.int64),
    "float64": lambda x: lax.convert_element_type(x, jnp.float64),
}
_ELEMENTWISE: dict[str, Fn] = {
    "max": _maximum,
    "min": _minimum,
    "abs": _absolute,
    "sign": _sign,
    "clamp": _clamp,
    "square": lambda x: lax.mul(x, x),
    "ceil": _ceil,
}
_FLAGS: dict[str, Fn] = {
    "max": lax.bitwise_or,
    "min": lax.bitwise_and,
    "ne": lax.bitwise_xor,
    "eq": lambda a, b: lax.bitwise_not(lax.bitwise_xor(*_even(a, b))),
}
_REDUCTIONS: dict[str, Fn] = {
    "reduce_max": lax.max,
    "reduce_min": lax.min,
    "reduce_and": lax.bitwise_and,
    "reduce_or": lax.bitwise_or,
}


@functools.lru_cache(maxsize=64)
def _reduction(name: str, axes: tuple[int, ...]) -> Fn:
    """Halves against each other, again and again."""
    join = _REDUCTIONS[name]

    def reduced(x: Array) -> Array:
        rest = [axis for axis in range(x.ndim) if axis not in axes]
        shape = [x.shape[axis] for axis in rest]
        order = (*axes, *rest)
        moved = x if order == tuple(range(x.ndim)) else lax.transpose(x, order)
        flat = lax.reshape(moved, (int(np.prod([x.shape[axis] for axis in axes])), *shape))
        while (size := flat.shape[0]) > 1:
            half = size // 2
            parts = (lax.slice_in_dim(flat, at, at + half) for at in (0, half))
            made = join(*parts)
            flat = lax.concatenate([made, lax.slice_in_dim(flat, size - 1, size)], 0) if size % 2 else made
        return lax.squeeze(flat, (0,))

    return reduced
