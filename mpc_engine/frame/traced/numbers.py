"""Arithmetic and functions of a row's numbers; a step that changes nothing is left out."""

from __future__ import annotations

import math

import numpy as np

from mpc_compiler.errors import RangeError
from mpc_compiler.ir import Call, constant_of
from mpc_engine.frame.traced.elements import Element, Maker, nan_of, value_of
from mpc_engine.frame.traced.logic import compared, where

__all__ = [
    "added",
    "changed_kind",
    "divided",
    "exponential",
    "extreme",
    "floor",
    "negated",
    "power",
    "product",
    "root",
    "rounded",
    "sigmoid",
    "sign",
    "subtracted",
    "tanh",
    "truncated",
    "whole_power",
]

_NAN = np.float64(np.nan)
_MOST_POWER = 64


def _is(x: Element, value: float) -> bool:
    return isinstance(x, np.generic) and bool(x == value)


def added(make: Maker, a: Element, b: Element) -> Element:
    """Sum."""
    if isinstance(a, np.generic) and isinstance(b, np.generic):
        return np.add(a, b)  # type: ignore[no-any-return]
    for this, other in ((a, b), (b, a)):
        if nan_of(this) or _is(this, 0):
            return _NAN if nan_of(this) else other
    return make.call("add", a, b)


def subtracted(make: Maker, a: Element, b: Element) -> Element:
    """Difference."""
    if nan_of(a) or nan_of(b):
        return _NAN
    if _is(b, 0):
        return a
    return negated(make, b) if _is(a, 0) else make.call("sub", a, b)


def negated(make: Maker, x: Element) -> Element:
    """The number with the other sign."""
    return x.args[0] if isinstance(x, Call) and x.op == "neg" else make.call("neg", x)


def product(make: Maker, a: Element, b: Element) -> Element:
    """Product."""
    if isinstance(a, np.generic) and isinstance(b, np.generic):
        return np.multiply(a, b)  # type: ignore[no-any-return]
    for this, other in ((a, b), (b, a)):
        if nan_of(this) or _is(this, 1):
            return _NAN if nan_of(this) else other
        if _is(this, -1):
            return negated(make, other)
        if _is(this, 0) and not make.nullable(other):
            return this
    for this, other in ((a, b), (b, a)):
        if isinstance(this, Call) and this.op == "neg":  # so that -x * x is known not to be above 0
            return negated(make, product(make, this.args[0], other))
    return make.call("mul", a, b)


def divided(make: Maker, a: Element, b: Element) -> Element:
    """Quotient."""
    if nan_of(a) or nan_of(b):
        return _NAN
    return a if _is(b, 1) else make.call("div", a, b)


def truncated(make: Maker, a: Element, b: Element, *, rest: bool) -> Element:
    """Quotient towards 0 of whole numbers by a constant, or what is left, which has the dividend's sign."""
    if not isinstance(b, np.generic) or not b:
        raise make.refused(
            "a whole-numbered division or remainder by a secret",
            "divide by a constant, or use / and jnp.floor",
        )
    size = np.abs(b)
    op = "mod" if rest else "floordiv"
    below, above = make.limits(a)
    up = make.call(op, a, size) if above >= 0 else None
    down = negated(make, make.call(op, negated(make, a), size)) if below < 0 else None
    if up is None or down is None:
        made = up if down is None else down
        assert made is not None
    else:
        made = where(make, compared(make, "lt", a, np.int64(0)), down, up)
    return negated(make, made) if value_of(b) < 0 and not rest else made


def extreme(make: Maker, a: Element, b: Element, *, largest: bool) -> Element:
    """The larger or the smaller number; missing where either is."""
    if isinstance(a, np.generic):
        if isinstance(b, np.generic):
            return (np.maximum if largest else np.minimum)(a, b)  # type: ignore[no-any-return]
        a, b = b, a
    if nan_of(b):
        return _NAN
    (low, high), (least, most) = make.limits(a), make.limits(b, a)
    if isinstance(b, np.generic) and (least <= low if largest else most >= high):
        return a
    if not isinstance(b, np.generic):
        return make.call("maximum" if largest else "minimum", a, b)
    ends: tuple[Element | None, Element | None] = (b, None) if largest else (None, b)
    inner = _clipped(a)
    if inner is not None:
        x, lo, hi = inner
        if largest and lo is None and hi is not None and value_of(b) <= value_of(hi):
            a, ends = x, (b, hi)
        elif not largest and hi is None and lo is not None and value_of(lo) <= value_of(b):
            a, ends = x, (lo, b)
    return make.call("clip", a, *(_NAN if end is None else end for end in ends))


def _clipped(x: Element) -> tuple[Element, np.generic | None, np.generic | None] | None:
    """What was clipped already, and where."""
    if not isinstance(x, Call) or x.op != "clip":
        return None
    lo, hi = (constant_of(end) for end in x.args[1:])
    return x.args[0], None if lo is None else np.float64(lo), None if hi is None else np.float64(hi)


def floor(make: Maker, x: Element) -> Element:
    """The next whole number below."""
    return x if make.type(x).kind in ("int", "bool") else make.call("floordiv", x, np.int64(1))


def rounded(make: Maker, x: Element, *, half_even: bool) -> Element:
    """The nearest whole number."""
    if make.type(x).kind in ("int", "bool"):
        return x
    if half_even:
        return make.call("round", x)
    half = np.float64(0.5)
    up = floor(make, added(make, x, half))
    down = negated(make, floor(make, subtracted(make, half, x)))
    return where(make, compared(make, "lt", x, np.float64(0)), down, up)


def changed_kind(make: Maker, x: Element, source: np.dtype[np.generic], target: np.dtype[np.generic]) -> Element:
    """A number as one of another kind; what is whole stays so until it is put out."""
    if target.kind == "b":
        return x if source.kind == "b" else compared(make, "ne", x, np.int64(0))
    if target.kind not in "if":
        raise make.refused(f"a conversion to {target}", "int, float or bool: x.astype(float)")
    if source.kind == "b":
        return make.call("int", x)
    if target.kind == "f":
        return x
    whole = x if make.type(x).kind == "int" and not make.nullable(x) else make.call("int", x)
    lo, hi = make.limits(whole)
    ends = np.iinfo(str(target))
    if lo < ends.min or hi > ends.max:
        raise RangeError(
            f"a number that may be from {float(lo):g} to {float(hi):g} does not fit into {target}",
            code="MPC-0202",
            hint="astype(int)",
            where=make.place,
        )
    return whole


def whole_power(make: Maker, x: Element, exponent: int) -> Element:
    """A power by squaring."""
    if abs(exponent) > _MOST_POWER:
        raise make.refused(f"the power {exponent}", f"whole powers from -{_MOST_POWER} to {_MOST_POWER}")
    if exponent == 0:
        return np.float64(1)
    made: Element | None = None
    square, left = x, abs(exponent)
    while left:
        if left & 1:
            made = square if made is None else product(make, made, square)
        left >>= 1
        square = product(make, square, square) if left else square
    assert made is not None
    return divided(make, np.float64(1), made) if exponent < 0 else made


def power(make: Maker, x: Element, y: Element) -> Element:
    """A power of which the base or the exponent is a constant."""
    if isinstance(y, np.generic):
        exponent = value_of(y)
        if exponent.is_integer():
            return whole_power(make, x, int(exponent))
        if (2 * exponent).is_integer() and abs(exponent) < _MOST_POWER:
            whole = whole_power(make, x, int(abs(exponent)))
            made = product(make, whole, root(make, x))
            return divided(make, np.float64(1), made) if exponent < 0 else made
        return exponential(make, product(make, y, make.call("log", x)))
    if isinstance(x, np.generic) and value_of(x) > 0:
        return exponential(make, product(make, y, np.float64(math.log(value_of(x)))))
    raise make.refused("a power of a secret to a secret", "a constant base or exponent; or jnp.exp(y * jnp.log(x))")


def root(make: Maker, x: Element) -> Element:
    """Square root."""
    return make.call("sqrt", x)


def exponential(make: Maker, x: Element) -> Element:
    """``e**x``."""
    return make.call("exp", x)


def sigmoid(make: Maker, x: Element) -> Element:
    """``1 / (1 + exp(-x))``."""
    return make.call("sigmoid", x)


def tanh(make: Maker, x: Element) -> Element:
    """``2 sigmoid(2 x) - 1``."""
    two = np.float64(2)
    return subtracted(make, product(make, two, sigmoid(make, product(make, two, x))), np.float64(1))


def sign(make: Maker, x: Element) -> Element:
    """-1, 0 or 1."""
    lo, hi = make.limits(x)
    if not make.nullable(x) and (lo > 0 or hi < 0):
        return np.int64(1 if lo > 0 else -1)
    return make.call("sign", x)
