"""What an SPU program costs, equation by equation. Estimates: ``exact=False`` throughout.

The table holds bytes of all parties together per element, and rounds, as SPU's own counters reported them for
``aby3`` on 10,000 elements (spu 0.9.5, FM64, 18 fraction bits). Each secret variable is followed through the program
as an arithmetic or a boolean share, because that decides what the next operation costs: AND of fresh flags takes 3
bytes, of sorted ones 700. Equations count as if each waited for the one before. For ``cheetah`` the figures are
scaled, a rough guide only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from mpc_compiler.cost.model import ZERO, Cost
from mpc_compiler.cost.primitives import A2B, B2A_BIT, EQUAL, LESS, MINIMUM, MULTIPLY, each, log2_ceil

if TYPE_CHECKING:
    from jax import core

__all__ = ["CHEETAH_FACTOR", "spu_cost"]

CHEETAH_FACTOR = 12
"""Bytes of a ``cheetah`` operation against the same under ``aby3``: oblivious transfer instead of a third party."""

Kind = Literal["public", "arithmetic", "boolean"]
PrimitiveCost = Callable[[str, Any, Any, Mapping[str, Any]], Cost]

_SHAPE_ONLY = ("broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "copy")
_FREE = frozenset(
    (
        *_SHAPE_ONLY,
        *("concatenate", "pad", "rev", "iota", "expand_dims", "split", "gather", "dynamic_slice", "device_put"),
        *("stop_gradient", "reduce_precision", "bitcast_convert_type", "is_finite", "add_any"),
        *("shift_left", "xor", "not"),
    )
)
_TRUNCATE = Cost(2, 28, exact=False)


def _cost(rounds: int, size: int) -> Cost:
    return Cost(rounds, size, exact=False)


_TABLE: Mapping[str, Cost] = {
    "eq": EQUAL,
    "ne": EQUAL,
    "lt": LESS,
    "le": LESS,
    "gt": LESS,
    "ge": LESS,
    "min": MINIMUM,
    "max": MINIMUM,
    "clamp": _cost(22, 344),
    "abs": _cost(11, 164),
    "sign": _cost(20, 426),
    "floor": _cost(8, 336),
    "ceil": _cost(8, 336),
    "round": _cost(35, 1126),
    "exp": _cost(73, 1684),
    "exp2": _cost(73, 1684),
    "log": _cost(51, 2688),
    "log1p": _cost(51, 2688),
    "sqrt": _cost(74, 1948),
    "rsqrt": _cost(58, 1712),
    "logistic": _cost(128, 3020),
    "tanh": _cost(49, 868),
    "rem": _cost(91, 1973),
    "shift_right_arithmetic": _cost(8, 336),
    "shift_right_logical": _cost(8, 336),
    "integer_pow": _cost(6, 104),
    "pow": _cost(76, 3132),
    "erf": _cost(80, 2000),
}
_DIVIDE_FIXED, _DIVIDE_INTEGER = _cost(55, 1388), _cost(325, 7787)
_BOOLEAN_RESULT = frozenset(("eq", "ne", "lt", "le", "gt", "ge", "reduce_and", "reduce_or"))
_DEFAULT = _cost(10, 200)


def _elements(atom: Any) -> int:
    return prod(atom.aval.shape)


def _is_float(atom: Any) -> bool:
    return str(atom.aval.dtype).startswith("float")


class _Walk:
    """Follows one jaxpr; `kinds` says how each variable is shared."""

    def __init__(self, protocol: str, primitives: Mapping[str, PrimitiveCost]) -> None:
        self.protocol = protocol
        self.primitives = primitives

    def run(self, jaxpr: core.Jaxpr, kinds: list[Kind]) -> tuple[Cost, list[Kind]]:
        env: dict[Any, Kind] = dict.fromkeys(jaxpr.constvars, "public")
        env.update(zip(jaxpr.invars, kinds, strict=True))
        total = Cost(exact=False)
        for eqn in jaxpr.eqns:
            cost, out = self.equation(eqn, [_read(env, v) for v in eqn.invars])
            total += cost
            env.update(zip(eqn.outvars, out, strict=True))
        return total, [_read(env, v) for v in jaxpr.outvars]

    def equation(self, eqn: Any, kinds: list[Kind]) -> tuple[Cost, list[Kind]]:
        name = eqn.primitive.name
        if all(kind == "public" for kind in kinds) and name not in self.primitives:
            return ZERO, ["public"] * len(eqn.outvars)
        if name in self.primitives:
            avals = [v.aval for v in eqn.invars]
            made: Kind = "boolean" if name == "compare" else "arithmetic"
            return self.primitives[name](self.protocol, None, avals, eqn.params), [made] * len(eqn.outvars)
        if name in ("while", "scan", "cond"):
            return self.control(name, eqn, kinds)
        body = _body(eqn.params)
        if body is not None:
            return self.run(body, kinds)
        cost = each(self.element(name, eqn, kinds), max((_elements(v) for v in eqn.outvars), default=0))
        if name == "dot_general":
            cost = self.dot(eqn, kinds)
        if name.startswith(("reduce_", "arg")) and name != "reduce_sum":
            cost = self.reduction(name, eqn)
        return cost, [_result(name, eqn, kinds)] * len(eqn.outvars)

    def control(self, name: str, eqn: Any, kinds: list[Kind]) -> tuple[Cost, list[Kind]]:
        params = eqn.params
        secret: list[Kind] = ["arithmetic"] * len(eqn.outvars)
        if name == "scan":
            return params["length"] * self.run(params["jaxpr"].jaxpr, kinds)[0], secret
        if name == "cond":
            branches = [self.run(b.jaxpr, kinds[1:])[0] for b in params["branches"]]
            return sum(branches, ZERO), secret
        skip = params["cond_nconsts"]
        body = self.run(params["body_jaxpr"].jaxpr, kinds[skip:])[0]
        return _trip_count(eqn) * body, secret

    def dot(self, eqn: Any, kinds: list[Kind]) -> Cost:
        lhs, rhs = eqn.invars
        (contract, _), _ = eqn.params["dimension_numbers"]
        out = _elements(eqn.outvars[0])
        work = out * prod(lhs.aval.shape[d] for d in contract)
        cost = Cost(0, 0, 4 * work, exact=False)
        if "public" not in kinds:
            cost += Cost(1, 24 * out, exact=False)
        if _is_float(lhs) and _is_float(rhs):
            cost += each(_TRUNCATE, out)
        return cost

    def reduction(self, name: str, eqn: Any) -> Cost:
        n, out = _elements(eqn.invars[0]), max(1, _elements(eqn.outvars[0]))
        depth = log2_ceil(max(1, n // out))
        one = MINIMUM if name in ("reduce_max", "reduce_min") else _cost(1, 3)
        one = _cost(40, 436) if name.startswith("arg") else one
        return Cost(depth * one.rounds, one.bytes * n, n, exact=False)

    def element(self, name: str, eqn: Any, kinds: list[Kind]) -> Cost:
        """Cost of one element of an elementwise equation."""
        public = "public" in kinds
        if name in ("mul", "square"):
            fixed = sum(_is_float(v) for v in eqn.invars) > 0
            return (ZERO if public else MULTIPLY) + (_TRUNCATE if fixed else ZERO) + _promote(kinds)
        if name in ("and", "or"):
            wide = sum((A2B for kind in kinds if kind == "arithmetic"), ZERO)
            return wide + (ZERO if public else _cost(1, 3))
        if name == "select_n":
            return MULTIPLY + (B2A_BIT if kinds[0] == "boolean" else ZERO)
        if name == "div":
            if kinds[1] == "public":
                return _TRUNCATE
            return _DIVIDE_FIXED if _is_float(eqn.invars[0]) else _DIVIDE_INTEGER
        if name == "convert_element_type":
            return _conversion(eqn, kinds)
        if name in ("shift_right_logical", "shift_right_arithmetic") and kinds[0] == "boolean":
            return ZERO
        if name in ("add", "sub", "neg", "reduce_sum"):
            return _promote(kinds)
        return ZERO if name in _FREE else _TABLE.get(name, _DEFAULT)


def _read(env: Mapping[Any, Kind], atom: Any) -> Kind:
    return "public" if hasattr(atom, "val") else env[atom]


def _promote(kinds: list[Kind]) -> Cost:
    """Boolean operands become arithmetic first."""
    return sum((B2A_BIT for kind in kinds if kind == "boolean"), ZERO)


def _conversion(eqn: Any, kinds: list[Kind]) -> Cost:
    source, target = eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype
    if str(target) == "bool" and str(source) != "bool":
        return EQUAL
    if _is_float(eqn.invars[0]) and not str(target).startswith("float"):
        return _cost(18, 476)
    return ZERO


def _result(name: str, eqn: Any, kinds: list[Kind]) -> Kind:
    if name in _BOOLEAN_RESULT:
        return "boolean"
    if name in ("and", "or", "shift_right_logical", "shift_right_arithmetic"):
        return "boolean"
    if name in ("not", "xor", "convert_element_type", *_SHAPE_ONLY) and "arithmetic" not in kinds:
        return "boolean" if "boolean" in kinds else "public"
    if name == "select_n" and str(eqn.outvars[0].aval.dtype) == "bool" and "arithmetic" not in kinds:
        return "boolean"
    return "arithmetic"


def _body(params: Mapping[str, Any]) -> Any:
    """The body of a call (pjit, closed_call, custom_jvp_call), or None."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in params:
            return getattr(params[key], "jaxpr", params[key])
    return None


def _trip_count(eqn: Any) -> int:
    """Trip count of a loop that counts up to a literal (``fori_loop``); 1 if it cannot be read off."""
    cond = eqn.params["cond_jaxpr"].jaxpr
    for test in cond.eqns:
        if test.primitive.name == "lt" and hasattr(test.invars[1], "val"):
            index = cond.invars.index(test.invars[0]) if test.invars[0] in cond.invars else None
            starts = eqn.invars[eqn.params["cond_nconsts"] + eqn.params["body_nconsts"] :]
            first = starts[index] if index is not None and index < len(starts) else None
            start = int(first.val) if first is not None and hasattr(first, "val") else 0
            return max(0, int(test.invars[1].val) - start)
    return 1


def spu_cost(jaxpr: core.ClosedJaxpr, protocol: str, primitives: Mapping[str, PrimitiveCost]) -> Cost:
    """Estimate what SPU sends for a program.

    Parameters
    ----------
    jaxpr : jax.core.ClosedJaxpr
        All inputs are secret. Loops count their body times the trip count; both branches of a ``cond`` count.
    protocol : str
        ``"aby3"``, ``"cheetah"`` or ``"plaintext"`` (which costs nothing).
    primitives : mapping of str to callable
        Costs of the engine's primitives, ``cost(protocol, link, avals, params)``.

    Returns
    -------
    Cost
        With ``exact`` False.
    """
    if protocol == "plaintext":
        return ZERO
    kinds: list[Kind] = ["boolean" if str(v.aval.dtype) == "bool" else "arithmetic" for v in jaxpr.jaxpr.invars]
    cost, _ = _Walk("aby3" if protocol == "aby3" else protocol, primitives).run(jaxpr.jaxpr, kinds)
    factor = 1 if protocol == "aby3" else CHEETAH_FACTOR
    return Cost(cost.rounds, cost.bytes * factor, cost.work, exact=False)
