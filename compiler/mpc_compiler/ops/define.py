"""How the engine's own JAX primitives are made: what the compiler knows of each, and one plain lowering."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
from jax import core
from jax.interpreters import mlir

from mpc_compiler.cost.model import Cost, Link

__all__ = ["FRACTION_BITS", "RAW", "Avals", "Params", "PrimitiveInfo", "define"]

FRACTION_BITS = 18
"""Fraction bits of a fixed-point number in the ring; the runtime configures SPU with the same number."""
RAW = 64
"""Bits of a ring element."""

Avals = Sequence[core.ShapedArray]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class PrimitiveInfo:
    """What the compiler knows about one primitive.

    Parameters
    ----------
    primitive : jax.core.Primitive
    cost : callable
        ``cost(protocol, link, avals, params) -> Cost``, with the :class:`~mpc_compiler.cost.Link` that native kernels
        choose by, or None if SPU runs it; depends on shapes and widths only.
    kernel : bool
        True if a native kernel may exist. Which ones do is the runtime's to say (``partition(available=...)``).
    """

    primitive: core.Primitive
    cost: Callable[[str, Link | None, Avals, Params], Cost]
    kernel: bool


@cache
def _compiled(plain: Callable[..., Any], params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    return jax.jit(partial(plain, **dict(params)))


def define(
    name: str, plain: Callable[..., Any], shape: Callable[..., Any], *, clear: Callable[..., Any] | None = None
) -> core.Primitive:
    """Return a primitive with several results.

    Parameters
    ----------
    name : str
    plain : callable
        Arrays and parameters -> list of arrays, in ordinary JAX.
    shape : callable
        The same for shapes and dtypes.
    clear : callable, optional
        The same for the CPU, where indices may depend on values; `plain` is then for SPU alone.
    """
    primitive = core.Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(lambda *args, **params: _compiled(clear or plain, tuple(sorted(params.items())))(*args))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=True))
    if clear is not None:
        mlir.register_lowering(primitive, mlir.lower_fun(clear, multiple_results=True), platform="cpu")
    return primitive
