"""Trace a program into one flat jaxpr: nested calls inlined, loops with kernels in them unrolled, dead code dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from jax.interpreters import partial_eval

from mpc_compiler.ops.primitives import PRIMITIVES, REPRESENTATIONS, adapt

__all__ = ["COMPARISONS", "EQUALITIES", "public_vars", "trace"]

COMPARISONS = ("lt", "le", "gt", "ge")
EQUALITIES = ("eq", "ne")
_UNROLLED = 256
"""Most turns of a loop that is unrolled."""
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_INLINED = frozenset(
    (
        *("pjit", "closed_call", "core_call", "core_closed_call", "remat", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)


def _closed(value: Any) -> core.ClosedJaxpr:
    return value if isinstance(value, core.ClosedJaxpr) else core.ClosedJaxpr(value, ())


class _Known:
    """Values that depend on constants only, and what they are: looked at where that is needed, and not before."""

    def __init__(self) -> None:
        self._thunks: dict[int, tuple[Any, Callable[[], Any]]] = {}

    def __contains__(self, value: Any) -> bool:
        return not isinstance(value, core.Tracer) or id(value) in self._thunks

    def value(self, value: Any) -> Any:
        """What a value is."""
        return self._thunks[id(value)][1]() if isinstance(value, core.Tracer) else value

    def results(self, eqn: core.JaxprEqn, ins: Sequence[Any]) -> list[Any]:
        """What an equation over known values gives."""
        functions, params = eqn.primitive.get_bind_params(eqn.params)
        with jax.ensure_compile_time_eval():
            made = eqn.primitive.bind(*functions, *map(self.value, ins), **params)
        return list(made) if eqn.primitive.multiple_results else [made]

    def add(self, eqn: core.JaxprEqn, ins: Sequence[Any], outs: Sequence[Any]) -> None:
        """Take note of the results of an equation over known values."""
        for at, out in enumerate(outs):
            self._thunks[id(out)] = out, partial(self._result, eqn, ins, at)

    def _result(self, eqn: core.JaxprEqn, ins: Sequence[Any], at: int) -> Any:
        return self.results(eqn, ins)[at]


def _constant(value: Any) -> Any:
    """A known value in the program: one number where all are the same."""
    array = np.asarray(value)
    if array.size and (array == array.flat[0]).all():
        return jnp.broadcast_to(jnp.asarray(array.flat[0]), array.shape)
    return jnp.asarray(array)


def _evaluate(closed: core.ClosedJaxpr, args: Sequence[Any], *, unroll: bool, known: _Known) -> list[Any]:
    """Run a jaxpr equation by equation, stepping into calls: traced, this is the program without nested jit.

    With `unroll`, loops that call primitives with kernels are written out. Changes between numbers and the integers
    behind them are made here where the number is a constant: SPU's compiler would fold them as changes of the bits of
    an IEEE double.
    """
    env: dict[core.Var, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(closed.jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else env[atom]

    for eqn in closed.jaxpr.eqns:
        ins = [read(v) for v in eqn.invars]
        body = next((eqn.params[key] for key in _CALLS if key in eqn.params), None)
        if eqn.primitive.name in _INLINED and body is not None:
            outs = _evaluate(_closed(body), ins, unroll=unroll, known=known)
        elif unroll and eqn.primitive.name == "scan" and eqn.params["length"] <= _UNROLLED and _has_kernel(body):
            outs = _unrolled(eqn.params, ins, known)
        elif eqn.primitive.name in REPRESENTATIONS and all(x in known for x in ins):
            outs = [_constant(value) for value in known.results(eqn, ins)]
            known.add(eqn, ins, outs)
        else:
            if unroll and eqn.primitive.name in (*COMPARISONS, *EQUALITIES):
                ins = [jnp.broadcast_to(x, eqn.outvars[0].aval.shape) for x in ins]  # kernels take no scalar literals
            functions, params = eqn.primitive.get_bind_params(eqn.params)
            outs = eqn.primitive.bind(*functions, *ins, **params)
            outs = outs if eqn.primitive.multiple_results else [outs]
            if all(x in known for x in ins):
                known.add(eqn, ins, outs)
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _unrolled(params: Mapping[str, Any], ins: Sequence[Any], known: _Known) -> list[Any]:
    """The turns of a `scan` one after another, so that its kernels can be called between SPU regions."""
    consts, count = params["num_consts"], params["num_carry"]
    fixed, carry, stacked = ins[:consts], list(ins[consts : consts + count]), ins[consts + count :]
    length, made = params["length"], []
    for turn in reversed(range(length)) if params["reverse"] else range(length):
        outs = _evaluate(params["jaxpr"], [*fixed, *carry, *(x[turn] for x in stacked)], unroll=True, known=known)
        carry = outs[:count]
        made.append(outs[count:])
    ordered = made[::-1] if params["reverse"] else made
    return [*carry, *(jnp.stack(parts) for parts in zip(*ordered, strict=True))]


def _has_kernel(body: Any) -> bool:
    """Whether a jaxpr calls a primitive of ours that a native kernel may run, at any depth."""
    if isinstance(body, core.ClosedJaxpr):
        return _has_kernel(body.jaxpr)
    if isinstance(body, tuple | list):
        return any(map(_has_kernel, body))
    if not isinstance(body, core.Jaxpr):
        return False
    names = (eqn.primitive.name for eqn in body.eqns)
    ours = any(name in PRIMITIVES and PRIMITIVES[name].kernel for name in names)
    return ours or any(_has_kernel(value) for eqn in body.eqns for value in eqn.params.values())


def _adapted(value: Any, protocol: str) -> Any:
    """The same jaxpr with primitives set for the protocol, in loop bodies too."""
    if isinstance(value, core.ClosedJaxpr):
        return core.ClosedJaxpr(_adapted(value.jaxpr, protocol), value.consts)
    if isinstance(value, tuple | list):
        return type(value)(_adapted(v, protocol) for v in value) if any(map(_holds_jaxpr, value)) else value
    if not isinstance(value, core.Jaxpr):
        return value
    eqns = []
    for eqn in value.eqns:
        params = {name: _adapted(v, protocol) for name, v in eqn.params.items()}
        eqns.append(eqn.replace(params=adapt(eqn.primitive.name, params, protocol)))
    return value.replace(eqns=eqns)


def _holds_jaxpr(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def trace(
    fn: Callable[..., Any], specs: Sequence[jax.ShapeDtypeStruct], protocol: str, *, unroll: bool
) -> core.ClosedJaxpr:
    """Return the whole program as one jaxpr.

    Parameters
    ----------
    fn : callable
        Of as many arrays as there are specs.
    specs : sequence of jax.ShapeDtypeStruct
    protocol : str
        Primitives are set for it.
    unroll : bool
        Write out loops with a fixed number of turns that call primitives with kernels.
    """
    closed = _adapted(jax.make_jaxpr(fn)(*specs), protocol)
    flat = jax.make_jaxpr(lambda *args: _evaluate(closed, args, unroll=unroll, known=_Known()))(*specs)
    jaxpr, _ = partial_eval.dce_jaxpr(flat.jaxpr, [True] * len(flat.jaxpr.outvars), instantiate=True)
    return core.ClosedJaxpr(jaxpr, flat.consts)


def public_vars(jaxpr: core.Jaxpr) -> set[core.Var]:
    """Return the variables that depend on constants only."""
    public = set(jaxpr.constvars)
    for eqn in jaxpr.eqns:
        if all(isinstance(v, core.Literal) or v in public for v in eqn.invars):
            public.update(eqn.outvars)
    return public
