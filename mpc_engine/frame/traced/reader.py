"""Read a jaxpr as expressions: calls inlined, loops of a constant length written out, constants computed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core

from mpc_engine.frame.traced.arrays import ARRAYS, Values, is_known, limited, settled
from mpc_engine.frame.traced.elements import Element, Maker
from mpc_engine.frame.traced.elementwise import ELEMENTWISE, HINTS
from mpc_engine.frame.traced.lines import of_library, place_of
from mpc_engine.frame.traced.logic import selected

__all__ = ["Reader"]

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_INLINED = frozenset(
    (
        *("pjit", "closed_call", "core_call", "core_closed_call", "remat", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)
_TURNS = 256
"""Most turns of a loop."""


class Reader:
    """Reads the equations of one function.

    Parameters
    ----------
    make : Maker
        Makes the expressions.
    """

    def __init__(self, make: Maker) -> None:
        self._make = make
        self._special = {"scan": self._scan, "while": self._while, "cond": self._cond}

    def read(self, closed: Any, args: Sequence[Values], *, lines: bool = True) -> list[Values]:
        """The results for these arguments; with ``lines``, errors say which line of the function they are about.

        Raises
        ------
        UnsupportedError
            MPC-0318: an equation is not offered.
        """
        jaxpr = closed.jaxpr
        env: dict[Any, Values] = dict(zip(jaxpr.constvars, map(_constant, closed.consts), strict=True))
        env.update(zip(jaxpr.invars, args, strict=True))

        def value(atom: Any) -> Values:
            return np.asarray(atom.val, _dtype(atom)) if isinstance(atom, core.Literal) else env[atom]

        for eqn in jaxpr.eqns:
            place = self._make.place
            if lines:
                self._make.place = place_of(eqn) or place
            env.update(zip(eqn.outvars, self._equation(eqn, [value(v) for v in eqn.invars], lines), strict=True))
            self._make.place = place
        return [value(v) for v in jaxpr.outvars]

    def _equation(self, eqn: Any, args: list[Values], lines: bool) -> list[Values]:
        name = eqn.primitive.name
        if name in _INLINED:
            return self._inlined(eqn, args, lines=lines)
        if name in self._special:
            return self._special[name](eqn.params, args, lines=lines)
        if eqn.effects:
            raise self._refused(name)
        if all(map(is_known, args)):
            return _computed(eqn, args)
        if name in ARRAYS:
            return [settled(ARRAYS[name](self._make, eqn, args), eqn.outvars[0].aval.dtype)]
        if name not in ELEMENTWISE:
            raise self._refused(name)
        return [self._each(eqn, args)]

    def _refused(self, name: str) -> Exception:
        return self._make.refused(f"map_jax does not offer the step {name!r}", HINTS.get(name, _OFFERED))

    def _each(self, eqn: Any, args: Sequence[Values]) -> Values:
        """An equation number by number."""
        shape, dtype = eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype
        limited(self._make, shape)
        spread = [np.broadcast_to(values, shape) for values in args]
        made = np.empty(shape, object)
        for at in np.ndindex(shape):
            numbers: list[Element] = [values[at] for values in spread]
            constant = all(isinstance(number, np.generic) for number in numbers)
            rule = _fold if constant else ELEMENTWISE[eqn.primitive.name]
            made[at] = rule(self._make, eqn, numbers)
        return settled(made, dtype)

    # --- functions in the function ------------------------------------------------------------------------------------

    def _inlined(self, eqn: Any, args: list[Values], *, lines: bool) -> list[Values]:
        body = next(eqn.params[key] for key in _CALLS if key in eqn.params)
        closed = body if isinstance(body, core.ClosedJaxpr) else core.ClosedJaxpr(body, ())
        op = _whole_division(eqn, closed)
        if op is not None and not all(map(is_known, args)):
            shape = eqn.outvars[0].aval.shape
            pairs = [np.broadcast_to(values, shape) for values in args]
            made = np.empty(shape, object)
            for at in np.ndindex(shape):
                made[at] = self._make.call(op, *(values[at] for values in pairs))
            return [made]
        return self.read(closed, args, lines=lines and not of_library(closed.jaxpr))

    def _scan(self, params: Any, args: list[Values], *, lines: bool) -> list[Values]:
        fixed, count, length = params["num_consts"], params["num_carry"], params["length"]
        if length > _TURNS:
            raise self._make.refused(f"a loop of {length} turns", f"at most {_TURNS}")
        carry, rows = args[fixed : fixed + count], args[fixed + count :]
        made: list[list[Values]] = []
        order = range(length)
        for turn in reversed(order) if params["reverse"] else order:
            here = [values[turn] if is_known(values) else _at(values, turn) for values in rows]
            outs = self.read(params["jaxpr"], [*args[:fixed], *carry, *map(np.asarray, here)], lines=lines)
            carry, one = outs[:count], outs[count:]
            made.append(one)
        made = made[::-1] if params["reverse"] else made
        types = [aval.dtype for aval in params["jaxpr"].out_avals[count:]]
        return [*carry, *(_stacked(parts, dtype) for parts, dtype in zip(zip(*made, strict=True), types, strict=False))]

    def _while(self, params: Any, args: list[Values], *, lines: bool) -> list[Values]:
        first, second = params["cond_nconsts"], params["body_nconsts"]
        tested, fixed, carry = args[:first], args[first : first + second], args[first + second :]
        for _ in range(_TURNS):
            (goes_on,) = self.read(params["cond_jaxpr"], [*tested, *carry], lines=lines)
            if not is_known(goes_on):
                raise self._make.refused("a loop that ends when a secret says so", "a fixed number of turns: fori_loop")
            if not goes_on:
                return carry
            carry = self.read(params["body_jaxpr"], [*fixed, *carry], lines=lines)
        raise self._make.refused(f"a loop of more than {_TURNS} turns", f"at most {_TURNS}")

    def _cond(self, params: Any, args: list[Values], *, lines: bool) -> list[Values]:
        """Every branch, and of each result the one that is chosen."""
        which, operands, branches = args[0], args[1:], params["branches"]
        if is_known(which):
            return self.read(branches[int(np.clip(which, 0, len(branches) - 1))], operands, lines=lines)
        found = [self.read(branch, operands, lines=lines) for branch in branches]
        made = []
        for parts, aval in zip(zip(*found, strict=True), branches[0].out_avals, strict=True):
            chosen = np.empty(aval.shape, object)
            for at in np.ndindex(aval.shape):
                chosen[at] = selected(self._make, which.item(), [part[at] for part in parts])
            made.append(settled(chosen, aval.dtype))
        return made


_OFFERED = f"offered: {', '.join(sorted({*ELEMENTWISE, *ARRAYS} - {'copy', 'copy_p', 'device_put', 'add_any'}))}"


def _dtype(atom: Any) -> Any:
    return atom.aval.dtype


def _constant(value: Any) -> Any:
    """A constant as a numpy array; keys of random numbers stay what they are."""
    extended = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.extended)
    return value if extended else np.asarray(value)


def _computed(eqn: Any, args: Sequence[Any]) -> list[Any]:
    """An equation of constants."""
    functions, params = eqn.primitive.get_bind_params(eqn.params)
    made = eqn.primitive.bind(*functions, *args, **params)
    return list(map(_constant, made if eqn.primitive.multiple_results else [made]))


def _fold(make: Maker, eqn: Any, numbers: Sequence[Element]) -> Element:
    found: np.generic = _computed(eqn, numbers)[0][()]
    return found


def _at(values: Values, turn: int) -> Values:
    made = np.empty(values.shape[1:], object)
    for at in np.ndindex(made.shape):
        made[at] = values[(turn, *at)]
    return made


def _stacked(parts: Sequence[Values], dtype: Any) -> Values:
    made = np.empty((len(parts), *np.shape(parts[0])), object)
    for at in np.ndindex(made.shape):
        made[at] = parts[at[0]][at[1:]]
    return settled(made, dtype)


# --- // and % --------------------------------------------------------------------------------------------------------

_DIVISIONS = {"floor_divide": (jnp.floor_divide, "floordiv"), "remainder": (jnp.remainder, "mod")}


def _whole_division(eqn: Any, closed: Any) -> str | None:
    """The operation that a nested function is, if it is JAX's own ``//`` or ``%``, which are many equations."""
    name = eqn.params.get("name")
    if name not in _DIVISIONS or len(closed.in_avals) != 2:
        return None
    return _DIVISIONS[name][1] if str(closed) == _reference(name, *map(_spec, closed.in_avals)) else None


_Spec = tuple[tuple[int, ...], str, bool]
"""Shape, type, and whether the type is that of a Python number, which adapts to others."""


def _spec(aval: Any) -> _Spec:
    return tuple(aval.shape), str(aval.dtype), bool(aval.weak_type)


@functools.lru_cache(maxsize=64)
def _reference(name: str, *specs: _Spec) -> str:
    structs = [jax.ShapeDtypeStruct(shape, np.dtype(dtype), weak_type=weak) for shape, dtype, weak in specs]
    return str(jax.make_jaxpr(_DIVISIONS[name][0])(*structs).jaxpr.eqns[0].params["jaxpr"])
