"""Which equations of a program native kernels run, and what those cost there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import core

from mpc_compiler.cost import ZERO, Cost, LinkProfile, seconds
from mpc_compiler.cost import native as native_costs
from mpc_compiler.cost import primitives as costs
from mpc_compiler.ops.owned import OWNED
from mpc_compiler.ops.primitives import PRIMITIVES
from mpc_compiler.partition.trace import COMPARISONS, EQUALITIES

__all__ = ["NATIVE", "Kernels", "avals_of", "chooser", "native_cost"]

Kernels = Literal["auto", "native", "spu"]
IsPublic = Callable[[Any], bool]
Where = Literal["spu", "native", "either"]
NATIVE = frozenset(
    (
        *("ring_matmul", "sort_rows", "lookup", "compact", "segment_scan", "prefix_sum", "compare", "one_hot"),
        *("logistic", "exp", "log", *OWNED, *COMPARISONS, *EQUALITIES),
    )
)
"""Primitives with a native kernel, under ``aby3`` only: our own, and some of jax's on int64 and float64 arrays."""
EITHER = frozenset(
    (
        *("slice", "concatenate", "reshape", "squeeze", "broadcast_in_dim", "rev", "add", "sub", "neg"),
        *("mul", "reduce_sum", "and", "or", "not", "convert_element_type"),
    )
)
"""Primitives that cost next to nothing where their operands are, and do not deserve a change of engine."""

_HANDOVER = Cost(rounds=1)
_HANDOVER_WORK = 2
"""Work of handing an element to another engine and back."""
_SPU_LOGISTIC = Cost(128, 3020, exact=False)


def avals_of(variables: Sequence[Any]) -> list[core.ShapedArray]:
    """Return shapes and dtypes of variables or literals."""
    return [v.aval for v in variables if isinstance(v.aval, core.ShapedArray)]


def native_cost(eqn: core.JaxprEqn) -> Cost:
    """Return what an equation costs when a kernel runs it."""
    name, avals = eqn.primitive.name, avals_of(eqn.invars)
    if name in PRIMITIVES:
        return PRIMITIVES[name].cost("aby3", "native", avals, eqn.params)
    if name in EITHER:
        return _either_cost(eqn)
    size = avals[0].size
    if name in COMPARISONS:
        return native_costs.compare_native(size)
    return native_costs.equal_native(size) if name in EQUALITIES else native_costs.sigmoid_native(size)


def _either_cost(eqn: core.JaxprEqn) -> Cost:
    name, size = eqn.primitive.name, avals_of(eqn.outvars)[0].size
    if name == "convert_element_type":
        return Cost(2, 24 * size, exact=False)
    return Cost(1, 3 * size // 8, exact=False) if name in ("and", "or") else ZERO


def _spu_cost(eqn: core.JaxprEqn) -> Cost:
    name, avals = eqn.primitive.name, avals_of(eqn.invars)
    if name in PRIMITIVES:
        return PRIMITIVES[name].cost("aby3", "spu", avals, eqn.params)
    one = costs.LESS if name in COMPARISONS else costs.EQUAL if name in EQUALITIES else _SPU_LOGISTIC
    return costs.each(one, avals[0].size)


def chooser(
    is_public: IsPublic, kernels: Kernels, available: frozenset[str], link: LinkProfile
) -> Callable[[core.JaxprEqn], Where]:
    """Return a function that says where an equation runs.

    Parameters
    ----------
    is_public : callable
        Whether a variable or literal of the program depends on no secret.
    kernels : {"auto", "native", "spu"}
    available : frozenset of str
        Primitives that have a kernel; none but under ``aby3``.
    link : LinkProfile
    """

    def chosen(eqn: core.JaxprEqn) -> Where:
        name = eqn.primitive.name
        if name in EITHER and kernels != "spu" and available:
            return "either" if _movable(eqn, is_public) else "spu"
        if name in OWNED and available:
            return "native"  # one party has its matrix in the clear: nothing else can read it
        if kernels == "spu" or name not in available or not _fits(eqn, is_public):
            return "spu"
        if kernels == "native":
            return "native"
        elements = sum(int(np.prod(aval.shape)) for aval in (*avals_of(eqn.invars), *avals_of(eqn.outvars)))
        ours = native_cost(eqn) + _HANDOVER + Cost(work=_HANDOVER_WORK * elements)
        return "native" if seconds(ours, link) < seconds(_spu_cost(eqn), link) else "spu"

    return chosen


def _movable(eqn: core.JaxprEqn, is_public: IsPublic) -> bool:
    """Whether kernels can run an equation of `EITHER`: on secret arrays and whole constants."""
    name = eqn.primitive.name
    (out,) = avals_of(eqn.outvars)
    literals = [v.val for v in eqn.invars if isinstance(v, core.Literal)]
    operands = [v for v in eqn.invars if not isinstance(v, core.Literal)]
    kinds = {str(aval.dtype) for aval in avals_of(operands)}
    if out.size == 0 or not operands or any(map(is_public, operands)) or len(kinds) != 1:
        return False
    if name in ("and", "or", "not"):
        return kinds == {"bool"} and not literals
    if name == "convert_element_type":
        return kinds == {"bool"} and out.dtype == jnp.int64
    if literals and not (name in ("add", "sub", "mul") and kinds == {"int64"}):
        return False
    if name == "mul" and not literals:
        return False  # a product of secrets is work
    return kinds <= {"int64", "float64"} and str(out.dtype) in kinds


def _fits(eqn: core.JaxprEqn, is_public: IsPublic) -> bool:
    """Whether a kernel can take this equation: it has rows, no literal, and something secret."""
    name, avals = eqn.primitive.name, avals_of(eqn.invars)
    if any(isinstance(v, core.Literal) for v in eqn.invars) or any(aval.size == 0 for aval in avals):
        return False
    secret = [not is_public(v) for v in eqn.invars]
    if name == "ring_matmul":
        return all(secret)  # SPU multiplies by public numbers for nothing
    if name in ("compare", "lookup"):
        return any(secret)
    if name in PRIMITIVES:
        return secret[0] and (name != "segment_scan" or secret[1])
    return any(secret) and all(aval.ndim > 0 and aval.dtype in (jnp.int64, jnp.float64) for aval in avals)
