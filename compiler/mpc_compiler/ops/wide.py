"""Products of secret fixed-point numbers that only have to fit the ring themselves.

Factors a and b with 18 fraction bits each are multiplied as whole numbers, whose product has 36 of them before half of
them are cut off: so it must be below 2**26. Here a is written as h * 2**18 + l instead. h is a cut off by 18 bits, by
one more or less; l is what is left, exactly and below 2**19 in size. Then h * b is the larger part of the product, and
exact without a truncation, and only l * b takes one: it fits if b is below 2**24, and of two numbers with a product
below 2**44 one always is. So a wide product is off as much as a narrow one is. A product of a whole number and a
fixed-point one takes no truncation at all.

Cutting one factor into blocks is how libraries multiply integers that are longer than a word; that a block need not be
the digit itself but only near it, because what is left of it is exact in the ring, is what makes it cheap here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax.numpy as jnp
from jax import Array, core
from jax.interpreters import mlir

from mpc_compiler.cost import primitives as costs
from mpc_compiler.cost.model import Cost, Link
from mpc_compiler.ops.define import FRACTION_BITS, Avals, Params, PrimitiveInfo, define
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.size import cut_far

__all__ = ["WIDE", "by_parts", "wide_multiply"]

_NARROW = 2.0**25
"""Products below this are multiplied at once; half of what fits, because factors may leave their range by an error."""
_WIDEST = 2.0**44
_ONE_CUT = 1 << 59
"""Integers below this are cut off by one truncation of 18 bits; SPU takes two."""


def wide_multiply(a: Array, b: Array, *, most: tuple[float, float]) -> Array:
    """``a * b`` for numbers of which at least one is float64.

    Parameters
    ----------
    a, b : Array
        int64 or float64, of one shape.
    most : (float, float)
        Public bounds of their sizes; the product of the two is at most ``2**44``.

    Returns
    -------
    Array
        float64, off by at most ``2 * 2**-18`` from the product of what the shares hold; exact where one is int64.
        Discloses nothing.

    Raises
    ------
    ValueError
        When the public bounds are too large.

    Notes
    -----
    Cost under ``aby3`` in native kernels, of an element in all: 24 bytes and one round with an int64; else 36 and 2 for
    a product below 2**25, and 80 and 5 beyond. A factor of 2**41 or more is cut by its bits: about 412 and 20.

    Examples
    --------
    >>> wide_multiply(jnp.array([1e6]), jnp.array([2.5e6]), most=(1e6, 1e7)).tolist()
    [2500000000000.0]
    """
    if most[0] * most[1] > _WIDEST:
        raise ValueError(f"a product of {most[0]:g} and {most[1]:g} is too large")
    a, b = jnp.broadcast_arrays(jnp.asarray(a), jnp.asarray(b))
    whole = jnp.int64 in (a.dtype, b.dtype)
    if not whole and most[0] * most[1] < _NARROW:
        return a * b
    if a.dtype != jnp.int64 and (b.dtype == jnp.int64 or most[0] < most[1]):
        a, b, most = b, a, most[::-1]
    found: Array = _wide_p.bind(a, b, most=0 if whole else int(most[0] * 2**FRACTION_BITS) + 1)[0]
    return found


def _in_ring(a: Array, b: Array, *, most: int, once: bool = False) -> list[Array]:
    """The same on the integers behind the numbers, a being whole or the larger one: what SPU compiles."""
    small = encode_fixed(b)
    if a.dtype == jnp.int64:
        return [decode_fixed(a * small)]
    large = encode_fixed(a)
    if once and most < _ONE_CUT:
        high = encode_fixed(decode_fixed(large) * 2.0**-FRACTION_BITS)
    else:
        high = cut_far(large, FRACTION_BITS, most)
    low = decode_fixed(large - high * (1 << FRACTION_BITS))
    return [decode_fixed(high * small + encode_fixed(low * b))]


@cache
def by_parts(most: int, *, once: bool) -> Callable[[Array, Array], Array]:
    """The product in terms of what every engine has; native kernels cut as many bits `once` as it takes."""
    return lambda a, b: _in_ring(a, b, most=most, once=once)[0]


def _cost(protocol: str, link: Link | None, avals: Avals, params: Params) -> Cost:
    one = costs.each(costs.MULTIPLY, avals[0].size)
    return one if str(avals[0].dtype) == "int64" else 5 * one


_wide_p = define(
    "wide_multiply",
    lambda a, b, most: [a.astype(jnp.float64) * b],
    lambda a, b, most: [core.ShapedArray(a.shape, jnp.dtype(jnp.float64))],
)
mlir.register_lowering(_wide_p, mlir.lower_fun(_in_ring, multiple_results=True), platform="interpreter")

WIDE: dict[str, Any] = {"wide_multiply": PrimitiveInfo(_wide_p, _cost, kernel=False)}
