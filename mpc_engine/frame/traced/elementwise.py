"""JAX primitives that work on each number by itself, and what they are as expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax import lax

from mpc_engine.frame.traced import logic, numbers
from mpc_engine.frame.traced.elements import Element, Maker

__all__ = ["ELEMENTWISE", "HINTS", "Rule"]

Rule = Callable[[Maker, Any, Sequence[Element]], Element]
"""(maker, equation, one number of each operand) -> number."""


def _of(function: Callable[..., Element], **options: Any) -> Rule:
    return lambda make, eqn, args: function(make, *args, **options)


def _dtype(eqn: Any) -> np.dtype[np.generic]:
    return np.dtype(eqn.invars[0].aval.dtype)


def _divided(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    if _dtype(eqn).kind == "i":
        return numbers.truncated(make, *args, rest=False)
    return numbers.divided(make, *args)


def _rest(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    return numbers.truncated(make, *args, rest=True)


def _converted(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    return numbers.changed_kind(make, args[0], _dtype(eqn), np.dtype(eqn.params["new_dtype"]))


def _rounded(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    return numbers.rounded(make, args[0], half_even=eqn.params["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN)


def _whole_power(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    return numbers.whole_power(make, args[0], eqn.params["y"])


def _selected(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    which, *cases = args
    if _dtype(eqn).kind == "b":
        return logic.where(make, which, cases[1], cases[0])
    return logic.selected(make, which, cases)


def _clamped(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
    low, x, high = args
    return numbers.extreme(make, numbers.extreme(make, x, low, largest=True), high, largest=False)


def _flags(function: Callable[..., Element]) -> Rule:
    def rule(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
        if _dtype(eqn).kind != "b":
            raise make.refused(f"{eqn.primitive.name!r} of the bits of whole numbers", "arithmetic and comparisons")
        return function(make, *args)

    return rule


def _larger(flags: Callable[..., Element], *, largest: bool) -> Rule:
    def rule(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
        return flags(make, *args) if _dtype(eqn).kind == "b" else numbers.extreme(make, *args, largest=largest)

    return rule


def _different(make: Maker, a: Element, b: Element) -> Element:
    return logic.compared(make, "ne", a, b)


def _compared(op: str) -> Rule:
    return lambda make, eqn, args: logic.compared(make, op, *args)


def _ordered(op: str) -> Rule:
    """A comparison of sorting functions, for which missing numbers are the largest."""

    def rule(make: Maker, eqn: Any, args: Sequence[Element]) -> Element:
        if any(map(make.nullable, args)):
            raise make.refused("an order of numbers that may be missing", "jnp.where(jnp.isnan(x), ..., x) first")
        return logic.compared(make, op, *args)

    return rule


def _ceil(make: Maker, x: Element) -> Element:
    return numbers.negated(make, numbers.floor(make, numbers.negated(make, x)))


def _with_one(before: bool, function: Callable[[Maker, Element], Element]) -> Rule:
    """``log(1 + x)`` and ``exp(x) - 1``."""
    one = np.float64(1)
    if before:
        return lambda make, eqn, args: function(make, numbers.added(make, args[0], one))
    return lambda make, eqn, args: numbers.subtracted(make, function(make, args[0]), one)


def _logarithm(make: Maker, x: Element) -> Element:
    return make.call("log", x)


ELEMENTWISE: Mapping[str, Rule] = {
    "add": _of(numbers.added),
    "add_any": _of(numbers.added),
    "sub": _of(numbers.subtracted),
    "mul": _of(numbers.product),
    "div": _divided,
    "rem": _rest,
    "neg": _of(numbers.negated),
    "abs": lambda make, eqn, args: make.call("abs", args[0]),
    "sign": _of(numbers.sign),
    "max": _larger(logic.either, largest=True),
    "min": _larger(logic.both, largest=False),
    "clamp": _clamped,
    "select_n": _selected,
    "eq": _compared("eq"),
    "ne": _compared("ne"),
    "lt": _compared("lt"),
    "le": _compared("le"),
    "gt": _compared("gt"),
    "ge": _compared("ge"),
    "lt_to": _ordered("lt"),
    "le_to": _ordered("le"),
    "and": _flags(logic.both),
    "or": _flags(logic.either),
    "xor": _flags(_different),
    "not": _flags(logic.inverted),
    "is_finite": _of(logic.present),
    "convert_element_type": _converted,
    "floor": _of(numbers.floor),
    "ceil": _of(_ceil),
    "round": _rounded,
    "square": _of(numbers.whole_power, exponent=2),
    "integer_pow": _whole_power,
    "pow": _of(numbers.power),
    "sqrt": _of(numbers.root),
    "rsqrt": lambda make, eqn, args: numbers.divided(make, np.float64(1), numbers.root(make, args[0])),
    "exp": _of(numbers.exponential),
    "exp2": lambda make, eqn, args: numbers.power(make, np.float64(2), args[0]),
    "log": _of(_logarithm),
    "log1p": _with_one(True, _logarithm),
    "expm1": _with_one(False, numbers.exponential),
    "logistic": _of(numbers.sigmoid),
    "tanh": _of(numbers.tanh),
    "copy": lambda make, eqn, args: args[0],
    "copy_p": lambda make, eqn, args: args[0],
    "device_put": lambda make, eqn, args: args[0],
}
"""Every primitive that is offered."""

_OWNER = "let the owner compute it: a column of its table"
_FEW = "jnp.where or jnp.select over the values that there are, or Series.map({...}) and Series.cut(edges)"
HINTS: Mapping[str, str] = {
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh"), _OWNER),
    **dict.fromkeys(("erf", "erfc", "erf_inv", "lgamma", "digamma", "cbrt", "atanh"), _OWNER),
    **dict.fromkeys(("sort", "top_k"), "jnp.minimum and jnp.maximum; df.sort_values and df.rank order rows"),
    **dict.fromkeys(("gather", "scatter", "scatter-add"), _FEW),
    **dict.fromkeys(("random_bits", "threefry2x32", "random_seed", "random_wrap"), "no random numbers of a row's own"),
    **dict.fromkeys(
        ("pure_callback", "io_callback", "debug_callback"), "no Python at run time: the parties get expressions"
    ),
}
"""What to do instead of a primitive that is not offered."""
