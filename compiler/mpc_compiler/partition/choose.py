"""Which equations of a program native kernels run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from jax import core

from mpc_compiler.cost import Cost, LinkProfile, seconds
from mpc_compiler.cost import primitives as costs
from mpc_compiler.ops.owned import OWNED
from mpc_compiler.ops.primitives import PRIMITIVES
from mpc_compiler.partition.atoms import avals_of, size_of
from mpc_compiler.partition.kinds import LOCAL, NATIVE, Public, kind_of
from mpc_compiler.partition.trace import COMPARISONS, EQUALITIES

__all__ = ["EITHER", "NATIVE", "Kernels", "Where", "chooser", "whole"]

Kernels = Literal["auto", "native", "spu"]
Where = Literal["spu", "native", "either"]
EITHER = LOCAL | {"floor", "shift_right_arithmetic", "shift_right_logical"}
"""Primitives that native kernels run as well, at least on some operands, but that do not deserve a change of engine."""

_HANDOVER = Cost(rounds=1)
_HANDOVER_WORK = 2
"""Work of handing an element to another engine and back."""
_SPU_LOGISTIC = Cost(128, 3020, exact=False)


def _spu_cost(eqn: core.JaxprEqn) -> Cost:
    name, avals = eqn.primitive.name, avals_of(eqn.invars)
    if name in PRIMITIVES:
        return PRIMITIVES[name].cost("aby3", None, avals, eqn.params)
    one = costs.LESS if name in COMPARISONS else costs.EQUAL if name in EQUALITIES else _SPU_LOGISTIC
    return costs.each(one, max(aval.size for aval in avals))


def whole(eqns: Sequence[core.JaxprEqn], public: Public, kernels: Kernels, available: frozenset[str]) -> bool:
    """Whether native kernels can run all these equations, so that SPU has nothing to do."""
    if kernels == "spu" or not available:
        return False
    kinds = ((eqn, kind_of(eqn, public)) for eqn in eqns)
    return all(kind is not None and (kind == "local" or _has(eqn, available)) for eqn, kind in kinds)


def _has(eqn: core.JaxprEqn, available: frozenset[str]) -> bool:
    name = eqn.primitive.name
    return name in available or name not in NATIVE


def chooser(
    public: Public, kernels: Kernels, available: frozenset[str], link: LinkProfile, cost: Callable[[Any, str], Cost]
) -> Callable[[core.JaxprEqn], Where]:
    """Return a function that says where an equation runs in a program that SPU has a part in.

    Parameters
    ----------
    public : callable
        Value of what depends on no secret.
    kernels : {"auto", "native", "spu"}
    available : frozenset of str
        Primitives that have a kernel; none but under ``aby3``.
    link : LinkProfile
    cost : callable
        Of an equation and its kind, if a kernel runs it.
    """

    def chosen(eqn: core.JaxprEqn) -> Where:
        if eqn.primitive.name in OWNED and available:
            return "native"  # one party has its matrix in the clear: nothing else can read it
        if kernels == "spu" or not available or not _has(eqn, available):
            return "spu"
        kind = kind_of(eqn, public)
        if kind is None:
            return "spu"
        if eqn.primitive.name not in NATIVE or kind == "local":
            return "either"
        if kernels == "native":
            return "native"
        elements = sum(size_of(v) for v in (*eqn.invars, *eqn.outvars))
        ours = cost(eqn, kind) + _HANDOVER + Cost(work=_HANDOVER_WORK * elements)
        return "native" if seconds(ours, link) < seconds(_spu_cost(eqn), link) else "spu"

    return chosen
