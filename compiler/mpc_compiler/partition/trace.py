"""Trace a program into one flat jaxpr: nested calls inlined, loops with kernels in them unrolled, dead code dropped.

Inlining renames variables and evaluates nothing, so that a program is traced by jax once. On the way equations that are
written twice become one, and those that change nothing go. For native kernels, equations that are made of others
(extremes, signs, reductions other than sums) are written out in the few that have kernels: see
:mod:`mpc_compiler.partition.rewrite`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import core
from jax.interpreters import partial_eval

from mpc_compiler.ops.primitives import PRIMITIVES, REPRESENTATIONS, adapt
from mpc_compiler.ops.wide import by_parts
from mpc_compiler.partition.atoms import dtype_of, shape_of, size_of
from mpc_compiler.partition.constants import Constants
from mpc_compiler.partition.rewrite import expansion, narrower

__all__ = ["COMPARISONS", "EQUALITIES", "public_vars", "trace"]

COMPARISONS = ("lt", "le", "gt", "ge")
EQUALITIES = ("eq", "ne")
_UNROLLED = 256
"""Most turns of a loop that is unrolled."""
_SMALL = 4096
_WORK = frozenset(("dot_general", "reduce_and", "reduce_or"))
"""Primitives of jax that make a loop worth writing out for native kernels."""
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_INLINED = frozenset(
    (
        *("pjit", "closed_call", "core_call", "core_closed_call", "remat", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)
_SAME_TYPE = frozenset(
    (
        *("convert_element_type", "reshape", "broadcast_in_dim", "squeeze"),
        *("copy", "copy_p", "device_put", "reduce_precision"),
    )
)
"""Primitives that change nothing where shape and dtype of the result are those of the operand."""

_ELEMENTWISE = frozenset(
    (
        *("add", "sub", "mul", "and", "or", "xor", "max", "min", "select_n", "clamp", "compare"),
        *(*COMPARISONS, *EQUALITIES),
    )
)

Atom = Any
"""A variable or a literal."""


def _closed(value: Any) -> core.ClosedJaxpr:
    return value if isinstance(value, core.ClosedJaxpr) else core.ClosedJaxpr(value, ())


class _Flat:
    """Equations of a program as they are inlined.

    Parameters
    ----------
    protocol : str
        Primitives are set for it.
    unroll : bool
        Write out loops that call primitives with kernels, and what has no kernel but is made of what has.
    """

    def __init__(self, protocol: str, *, unroll: bool) -> None:
        self.eqns: list[core.JaxprEqn] = []
        self.consts: dict[core.Var, Any] = {}
        self._protocol = protocol
        self._unroll = unroll
        self._new = core.gensym()
        self._known: dict[Hashable, list[Atom]] = {}
        self._numbers: dict[Hashable, core.Var] = {}
        self._makers: dict[core.Var, core.JaxprEqn] = {}
        self._public: set[core.Var] = set()
        self._values = Constants(self._makers, self.consts)

    def variable(self, aval: Any) -> core.Var:
        """A new variable."""
        made: core.Var = self._new(aval)
        return made

    def constant(self, value: Any) -> core.Var:
        """A variable for a constant; the same one for the same object, and for small arrays that are equal."""
        small = np.size(value) <= _SMALL
        key = (np.asarray(value).tobytes(), np.shape(value), str(np.asarray(value).dtype)) if small else id(value)
        if key not in self._numbers:
            var = self.variable(core.get_aval(value))
            self._numbers[key] = var
            self.consts[var] = value  # also keeps the object, and so its id
            self._public.add(var)
        return self._numbers[key]

    def inline(self, closed: core.ClosedJaxpr, atoms: Sequence[Atom]) -> list[Atom]:
        """Append a jaxpr's equations on these operands; returns its results."""
        env: dict[core.Var, Atom] = {
            v: self.constant(c) for v, c in zip(closed.jaxpr.constvars, closed.consts, strict=True)
        }
        env.update(zip(closed.jaxpr.invars, atoms, strict=True))

        def read(atom: Atom) -> Atom:
            return atom if isinstance(atom, core.Literal) else env[atom]

        for eqn in closed.jaxpr.eqns:
            env.update(zip(eqn.outvars, self.equation(eqn, [read(v) for v in eqn.invars]), strict=True))
        return [read(v) for v in closed.jaxpr.outvars]

    def equation(self, eqn: core.JaxprEqn, ins: list[Atom]) -> list[Atom]:
        """Append one equation on other operands, or what it stands for."""
        name = eqn.primitive.name
        body = next((eqn.params[key] for key in _CALLS if key in eqn.params), None)
        if name in _INLINED and body is not None:
            return self.inline(_closed(body), ins)
        if self._unroll and name == "scan" and eqn.params["length"] <= _UNROLLED and _has_kernel(body):
            return self._unrolled(eqn.params, ins)
        (out, *_) = eqn.outvars or (None,)
        if name in _SAME_TYPE and out is not None and _type(ins[0]) == _type(out) and isinstance(ins[0], core.Var):
            return [ins[0]]
        if name in REPRESENTATIONS and all(map(self._is_public, ins)):
            return self._represented(eqn, ins)
        if name == "wide_multiply" and any(map(self._is_public, ins)):  # so that the constant is represented here
            return self._helped(by_parts(eqn.params["most"], once=self._unroll), *ins)
        if self._unroll and name in _ELEMENTWISE and out is not None:
            ins = [self._spread(v, shape_of(out)) for v in ins]
        if self._unroll and (instead := self._instead(eqn, ins)) is not None:
            return self.inline(instead[0], instead[1])
        return self._appended(eqn, ins)

    def _is_public(self, atom: Atom) -> bool:
        return isinstance(atom, core.Literal) or atom in self._public

    def _represented(self, eqn: core.JaxprEqn, ins: list[Atom]) -> list[Atom]:
        """A change between numbers and the integers behind them, of constants: it is made here.

        SPU's compiler would fold it as a change of the bits of an IEEE double.
        """
        functions, params = eqn.primitive.get_bind_params(eqn.params)
        made = eqn.primitive.bind(*functions, *map(self._values.value, ins), **params)
        return [self._array(np.asarray(value)) for value in made]

    def _array(self, value: np.ndarray[Any, Any]) -> Atom:
        """A constant array: one number where all are the same."""
        if not value.size or np.any(value != value.flat[0]):
            return self.constant(value)
        one = self.constant(np.asarray(value.flat[0]))
        return self._helped(lambda x: jax.lax.broadcast(x, value.shape), one)[0] if value.ndim else one

    def _spread(self, atom: Atom, shape: tuple[int, ...]) -> Atom:
        """A variable in the shape of the result: kernels take no shorter operands, but for literals."""
        if isinstance(atom, core.Literal) or shape_of(atom) == shape:
            return atom
        return self.inline(_broadcast(shape_of(atom), dtype_of(atom), shape), [atom])[0]

    def _instead(self, eqn: core.JaxprEqn, ins: list[Atom]) -> tuple[core.ClosedJaxpr, list[Atom]] | None:
        """What has kernels and gives the same."""
        makers = [self._makers.get(v) if isinstance(v, core.Var) else None for v in ins]
        found = narrower(eqn, ins, makers)
        if found is not None:
            return found
        whole = expansion(eqn, [v.aval for v in ins], makers)
        return None if whole is None else (whole, ins)

    def _appended(self, eqn: core.JaxprEqn, ins: list[Atom]) -> list[Atom]:
        params = {name: _adapted(v, self._protocol) for name, v in eqn.params.items()}
        params = adapt(eqn.primitive.name, params, self._protocol)
        key = None if eqn.effects else _key(eqn.primitive, ins, params)
        if key is not None and key in self._known:
            return self._known[key]
        outs = [self.variable(v.aval) for v in eqn.outvars]
        made = eqn.replace(invars=ins, outvars=outs, params=params)
        self.eqns.append(made)
        self._makers.update((v, made) for v in outs)
        if all(map(self._is_public, ins)):
            self._public.update(outs)
        if key is not None:
            self._known[key] = list(outs)
        return list(outs)

    def _helped(self, fn: Callable[..., Any], *atoms: Atom) -> list[Atom]:
        """Append what a small function does."""
        types = [jax.ShapeDtypeStruct(shape_of(v), dtype_of(v)) for v in atoms]
        return self.inline(jax.make_jaxpr(fn)(*types), atoms)

    def _unrolled(self, params: Mapping[str, Any], ins: Sequence[Atom]) -> list[Atom]:
        """The turns of a `scan` one after another, so that its kernels can be called between SPU regions."""
        consts, count = params["num_consts"], params["num_carry"]
        fixed, carry, stacked = ins[:consts], list(ins[consts : consts + count]), ins[consts + count :]
        length, made = params["length"], []
        for turn in reversed(range(length)) if params["reverse"] else range(length):
            here = [self.inline(_element(shape_of(x), dtype_of(x), turn), [x])[0] for x in stacked]
            outs = self.inline(params["jaxpr"], [*fixed, *carry, *here])
            carry = outs[:count]
            made.append(outs[count:])
        ordered = made[::-1] if params["reverse"] else made
        return [*carry, *(self._helped(_stack, *parts)[0] for parts in zip(*ordered, strict=True))]


@functools.lru_cache(maxsize=4096)
def _broadcast(source: tuple[int, ...], dtype: str, shape: tuple[int, ...]) -> core.ClosedJaxpr:
    """One array repeated along new first axes."""
    axes = tuple(range(len(shape) - len(source), len(shape)))
    spec = jax.ShapeDtypeStruct(source, np.dtype(dtype))
    return jax.make_jaxpr(lambda x: jax.lax.broadcast_in_dim(x, shape, axes))(spec)


@functools.lru_cache(maxsize=4096)
def _element(shape: tuple[int, ...], dtype: str, at: int) -> core.ClosedJaxpr:
    """One element along the first axis."""
    spec = jax.ShapeDtypeStruct(shape, np.dtype(dtype))
    return jax.make_jaxpr(lambda x: jax.lax.index_in_dim(x, at, keepdims=False))(spec)


def _stack(*parts: Any) -> Any:
    return jax.lax.concatenate([jax.lax.expand_dims(part, (0,)) for part in parts], 0)


def _type(atom: Atom) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return shape_of(atom), np.dtype(dtype_of(atom))


def _key(primitive: core.Primitive, ins: Sequence[Atom], params: Mapping[str, Any]) -> Hashable | None:
    """What equal equations have in common; None if their parameters cannot be compared."""
    literals = [(np.asarray(v.val).tobytes(), *_type(v)) if isinstance(v, core.Literal) else v for v in ins]
    key = (primitive, tuple(literals), tuple(sorted(params.items())))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _has_kernel(body: Any) -> bool:
    """Whether a jaxpr has work that a native kernel may run, at any depth: a primitive of ours, or one of `_WORK`."""
    if isinstance(body, core.ClosedJaxpr):
        return _has_kernel(body.jaxpr)
    if isinstance(body, tuple | list):
        return any(map(_has_kernel, body))
    if not isinstance(body, core.Jaxpr):
        return False
    names = (eqn.primitive.name for eqn in body.eqns)
    ours = any(name in _WORK or (name in PRIMITIVES and PRIMITIVES[name].kernel) for name in names)
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
    fn: Callable[..., Any] | core.ClosedJaxpr, specs: Sequence[jax.ShapeDtypeStruct], protocol: str, *, unroll: bool
) -> core.ClosedJaxpr:
    """Return the whole program as one jaxpr.

    Parameters
    ----------
    fn : callable or jax.core.ClosedJaxpr
        Of as many arrays as there are specs.
    specs : sequence of jax.ShapeDtypeStruct
    protocol : str
        Primitives are set for it.
    unroll : bool
        Write out loops with a fixed number of turns that call primitives with kernels, and what has no kernel but is
        made of what has.
    """
    closed = fn if isinstance(fn, core.ClosedJaxpr) else jax.make_jaxpr(fn)(*specs)
    flat = _Flat(protocol, unroll=unroll)
    invars = [flat.variable(v.aval) for v in closed.jaxpr.invars]
    outs = flat.inline(closed, invars)
    whole = core.Jaxpr(list(flat.consts), invars, outs, flat.eqns)
    jaxpr, _ = partial_eval.dce_jaxpr(whole, [True] * len(outs), instantiate=True)
    used = {v for eqn in jaxpr.eqns for v in eqn.invars if isinstance(v, core.Var)}
    used.update(v for v in jaxpr.outvars if isinstance(v, core.Var))
    kept = [v for v in jaxpr.constvars if v in used]
    return core.ClosedJaxpr(jaxpr.replace(constvars=kept), [flat.consts[v] for v in kept])


def public_vars(jaxpr: core.Jaxpr, *, empty: bool = False) -> set[core.Var]:
    """Return the variables that depend on constants only; with `empty`, also those that have no elements."""
    public = set(jaxpr.constvars)
    if empty:
        public.update(v for v in jaxpr.invars if not size_of(v))
    for eqn in jaxpr.eqns:
        known = all(isinstance(v, core.Literal) or v in public for v in eqn.invars)
        public.update(v for v in eqn.outvars if known or (empty and not size_of(v)))
    return public
