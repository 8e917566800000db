"""What is public in a program, worked out once while it is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import core
from numpy.typing import NDArray

from mpc_compiler.partition.atoms import dtype_of, shape_of, size_of

__all__ = ["Constants"]

Values = NDArray[Any]


class Constants:
    """Values of a program's public variables, worked out when they are asked for, and kept.

    Parameters
    ----------
    makers : mapping of Var to JaxprEqn
        What makes each variable; more may be added while values are asked for.
    consts : mapping of Var to array
        Values of what no equation makes.

    Notes
    -----
    With numpy, equation by equation, where numpy does the same; else by jax on this machine's CPU. Arrays of one value
    throughout stay as small as that value.
    """

    def __init__(self, makers: Mapping[core.Var, core.JaxprEqn], consts: Mapping[core.Var, Any]) -> None:
        self._known: dict[core.Var, Values] = {}
        self._consts, self._makers = consts, makers

    def value(self, atom: Any) -> Values:
        """The array that a public variable or a literal holds; any array for a variable without elements."""
        if isinstance(atom, core.Literal):
            return np.asarray(atom.val, dtype_of(atom))
        stack = [atom]
        while stack:  # not by recursion: chains may be long
            var = stack[-1]
            if var in self._known:
                stack.pop()
            elif var in self._consts:
                self._known[var] = np.asarray(self._consts[var])
            elif not size_of(var):
                self._known[var] = np.zeros(shape_of(var), dtype_of(var))
            else:
                eqn = self._makers[var]
                missing = [v for v in eqn.invars if isinstance(v, core.Var) and v not in self._known]
                stack += missing
                if not missing:
                    self._known.update(
                        zip(eqn.outvars, _evaluated(eqn, list(map(self.value, eqn.invars))), strict=True)
                    )
        return self._known[atom]


def _evaluated(eqn: core.JaxprEqn, ins: list[Values]) -> list[Values]:
    name, out = eqn.primitive.name, eqn.outvars[0]
    alike = all(x.dtype == ins[0].dtype for x in ins)
    if name in _ELEMENTWISE and alike and (name not in ("div", "rem") or bool(np.all(ins[1]))):
        if all(map(_uniform, ins)) and size_of(out):
            one = _ELEMENTWISE[name](*(x.reshape(-1)[:1] if x.ndim else x for x in ins))
            return [np.broadcast_to(np.asarray(one, dtype_of(out)).reshape(-1)[0], shape_of(out))]
        return [np.asarray(_ELEMENTWISE[name](*ins), dtype_of(out))]
    if name in _SHAPES:
        return [np.asarray(_SHAPES[name](eqn.params, *ins), dtype_of(out))]
    functions, params = eqn.primitive.get_bind_params(eqn.params)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        found = eqn.primitive.bind(*functions, *ins, **params)
    return [np.asarray(x) for x in (found if eqn.primitive.multiple_results else [found])]


def _uniform(x: Values) -> bool:
    """Whether all elements are one in memory."""
    return not any(stride for stride, size in zip(x.strides, x.shape, strict=True) if size > 1)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "rem": np.fmod,
    "div": lambda a, b: a / b if a.dtype == np.float64 else (a - np.fmod(a, b)) // b,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _broadcast(params: Mapping[str, Any], x: Values) -> Values:
    at = dict(zip(params["broadcast_dimensions"], x.shape, strict=True))
    spread = x.reshape([at.get(axis, 1) for axis in range(len(params["shape"]))])
    return np.broadcast_to(spread, params["shape"])


def _iota(params: Mapping[str, Any]) -> Values:
    shape, axis = params["shape"], params["dimension"]
    line = np.arange(shape[axis], dtype=params["dtype"]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return np.broadcast_to(line, shape)


def _sliced(params: Mapping[str, Any], x: Values) -> Values:
    first, last = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(first)
    return x[tuple(slice(a, b, s) for a, b, s in zip(first, last, steps, strict=True))]


def _converted(params: Mapping[str, Any], x: Values) -> Values:
    kind = params["new_dtype"]
    return np.broadcast_to(x.reshape(-1)[0].astype(kind), x.shape) if x.size and _uniform(x) else x.astype(kind)


def _select(params: Mapping[str, Any], which: Values, *cases: Values) -> Values:
    return np.where(which, cases[1], cases[0]) if which.dtype == np.bool_ else np.choose(which, cases)


_SHAPES: dict[str, Callable[..., Values]] = {
    "broadcast_in_dim": _broadcast,
    "iota": _iota,
    "slice": _sliced,
    "convert_element_type": _converted,
    "select_n": _select,
    "reshape": lambda params, x: x.reshape(params["new_sizes"]),
    "squeeze": lambda params, x: np.squeeze(x, tuple(params["dimensions"])),
    "transpose": lambda params, x: np.transpose(x, params["permutation"]),
    "concatenate": lambda params, *xs: np.concatenate(xs, axis=params["dimension"]),
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "reduce_sum": lambda params, x: x.sum(axis=tuple(params["axes"]), dtype=x.dtype),
    "copy": lambda params, x: x,
}
