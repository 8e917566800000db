"""Comparisons, choices and logic of a row's numbers, with what is known of them taken into account."""

from __future__ import annotations

import math
import operator

import numpy as np

from mpc_compiler.ir import Call, Literal, constant_of
from mpc_engine.frame.traced.elements import Element, Limit, Maker, nan_of, value_of

__all__ = ["both", "compared", "either", "inverted", "present", "selected", "where"]

_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_TESTS = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def present(make: Maker, x: Element) -> Element:
    """Whether a number is there."""
    if isinstance(x, np.generic):
        return np.bool_(not nan_of(x))
    return make.call("notna", x) if make.nullable(x) else np.bool_(True)


def inverted(make: Maker, x: Element) -> Element:
    """Not."""
    if isinstance(x, np.generic):
        return np.bool_(not x)
    if isinstance(x, Call) and x.op == "not":
        return x.args[0]
    opposite = {"isna": "notna", "notna": "isna"}
    return make.call(opposite[x.op], x.args[0]) if isinstance(x, Call) and x.op in opposite else make.call("not", x)


def both(make: Maker, a: Element, b: Element) -> Element:
    """And."""
    for this, other in ((a, b), (b, a)):
        if isinstance(this, np.generic):
            return other if this else np.bool_(False)
    return a if a == b else make.call("and", a, b)


def either(make: Maker, a: Element, b: Element) -> Element:
    """Or."""
    for this, other in ((a, b), (b, a)):
        if isinstance(this, np.generic):
            return np.bool_(True) if this else other
    return a if a == b else make.call("or", a, b)


def compared(make: Maker, op: str, a: Element, b: Element) -> Element:
    """A comparison as of IEEE numbers: with a missing one it is false, but for ``ne``.

    What the public ranges decide is a constant: ``debt >= 0``, where no debt is negative.
    """
    if isinstance(a, np.generic):
        if isinstance(b, np.generic):
            return np.bool_(_TESTS[op](value_of(a), value_of(b)))
        a, b, op = b, a, _SWAPPED[op]
    if nan_of(b):
        return np.bool_(op == "ne")
    if a == b:
        there = present(make, a)
        return {"ne": inverted(make, there), "lt": np.bool_(False), "gt": np.bool_(False)}.get(op, there)
    if isinstance(b, np.bool_) and op in ("eq", "ne"):
        return a if bool(b) == (op == "eq") else inverted(make, a)
    decided = _decided(op, make.limits(a), make.limits(b, a))
    if decided is None:
        return make.call(op, a, b)
    if op == "ne":  # decided means that they cannot be equal, and what is missing differs, too
        return np.bool_(decided)
    return both(make, present(make, a), present(make, b)) if decided else np.bool_(False)


def _decided(op: str, a: tuple[Limit, Limit], b: tuple[Limit, Limit]) -> bool | None:
    """What a comparison gives for all numbers in two ranges, if it is the same for all."""
    if op in ("eq", "ne"):
        apart = a[1] < b[0] or b[1] < a[0]
        return (op == "ne") if apart else None
    ends = {_TESTS[op](x, y) for x in a for y in b}
    return ends.pop() if len(ends) == 1 and (all(map(math.isinf, b)) or not any(map(math.isinf, a))) else None


def where(make: Maker, test: Element, then: Element, other: Element) -> Element:
    """``then`` where the test holds, else ``other``."""
    if isinstance(test, np.generic):
        return then if test else other
    if _same(then, other):
        return then
    if isinstance(test, Call) and test.op == "eq" and _same(test.args[0], other):
        same = constant_of(test.args[1])  # what sorting functions do to have one 0 only
        if isinstance(then, np.generic) and isinstance(same, int | float) and value_of(then) == same:
            return other
    if isinstance(test, Call) and test.op == "not":
        test, then, other = test.args[0], other, then
    if isinstance(then, np.bool_) or isinstance(other, np.bool_):
        return _flag(make, test, then, other)
    if isinstance(test, Call) and test.op in ("isna", "notna"):
        filled, by = (other, then) if test.op == "isna" else (then, other)
        if filled == test.args[0] and not make.is_null(by):
            return make.call("fillna", filled, by)
    return make.call("where", test, then, other, alike=(then, other))


def _same(a: Element, b: Element) -> bool:
    if isinstance(a, np.generic) and isinstance(b, np.generic):
        return bool(a == b) or (nan_of(a) and nan_of(b))
    return not isinstance(a, np.generic) and not isinstance(b, np.generic) and a == b


def _flag(make: Maker, test: Element, then: Element, other: Element) -> Element:
    """A choice of which one side is True or False."""
    if isinstance(then, np.bool_):
        return either(make, test, other) if then else both(make, inverted(make, test), other)
    return either(make, inverted(make, test), then) if other else both(make, test, then)


def selected(make: Maker, which: Element, cases: list[Element]) -> Element:
    """The case of that number, or the nearest that there is."""
    if isinstance(which, np.generic):
        return cases[min(max(int(value_of(which)), 0), len(cases) - 1)]
    if isinstance(which, Call) and which.op == "int" and make.type(which.args[0]).kind == "bool":
        return where(make, which.args[0], cases[1], cases[0])
    if isinstance(which, Call) and which.op == "clip" and _covers(which, len(cases) - 1):
        return selected(make, which.args[0], cases)
    inner = _choice_of_numbers(which)
    if inner is not None:
        test, then, other = inner
        return where(make, test, selected(make, then, cases), selected(make, other, cases))
    first, last = (int(min(max(end, 0), len(cases) - 1)) for end in make.limits(which))
    made = cases[last]
    for at in reversed(range(first, last)):
        made = where(make, compared(make, "le", which, np.int64(at)), cases[at], made)
    return made


def _covers(clip: Call, last: int) -> bool:
    """Whether numbers are clipped to the cases that there are, or to more."""
    low, high = (constant_of(end) for end in clip.args[1:])
    return not (isinstance(low, int | float) and low > 0) and not (isinstance(high, int | float) and high < last)


def _choice_of_numbers(which: Element) -> tuple[Element, Element, Element] | None:
    """Test and branches of a choice, one of them a constant number, as ``argmax`` of flags makes it."""
    if not isinstance(which, Call) or which.op != "where":
        return None
    test, *branches = which.args
    if not any(isinstance(branch, Literal) for branch in branches):
        return None
    then, other = (
        np.int64(branch.value) if isinstance(branch, Literal) and isinstance(branch.value, int) else branch
        for branch in branches
    )
    return test, then, other
