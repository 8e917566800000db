"""SQL's three-valued logic over operations that know two values.

The plan's comparisons are pandas': with a missing operand they are false (``!=``: true), never missing. So a
condition of SQL is kept as two of them, where it is true and where it is false; NOT swaps the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpc_compiler.ir import Expr, call, literal

__all__ = ["Test", "both", "compared", "constant", "either", "negated", "whole"]

_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


@dataclass(frozen=True)
class Test:
    """A condition: where it is true, where it is false, and where it is either (None: everywhere)."""

    __test__ = False

    true: Expr
    false: Expr
    known: Expr | None = None

    @property
    def value(self) -> Expr:
        """The condition as a boolean that may be missing."""
        return self.true if self.known is None else call("where", self.known, self.true, literal(None))


def whole(true: Expr) -> Test:
    """A condition that is never NULL."""
    return Test(true, call("not", true))


def constant(*, value: bool) -> Test:
    """TRUE or FALSE."""
    return Test(literal(value), literal(not value))


def compared(op: str, left: Expr, right: Expr, nullable: list[Expr]) -> Test:
    """A comparison of operands of which those in ``nullable`` may be missing.

    Examples
    --------
    >>> from mpc_compiler.ir import column
    >>> test = compared("ne", column("a"), literal(3), [column("a")])
    >>> test.true, negated(test).true
    (((a != 3) & notna(a)), (a == 3))
    """
    known = present(nullable)
    if known is None:
        return whole(call(op, left, right))
    parts = []
    for name in (op, _OPPOSITE[op]):
        part = call(name, left, right)
        parts.append(call("and", part, known) if name == "ne" else part)
    return Test(parts[0], parts[1], known)


def present(nullable: list[Expr]) -> Expr | None:
    """Where none of the operands is missing; None: everywhere."""
    known: Expr | None = None
    for operand in nullable:
        here = call("notna", operand)
        known = here if known is None else call("and", known, here)
    return known


def negated(test: Test) -> Test:
    """NOT."""
    return Test(test.false, test.true, test.known)


def both(first: Test, second: Test) -> Test:
    """AND: false if one is false, even beside NULL."""
    return _made(call("and", first.true, second.true), call("or", first.false, second.false), first, second)


def either(first: Test, second: Test) -> Test:
    """OR: true if one is true, even beside NULL."""
    return _made(call("or", first.true, second.true), call("and", first.false, second.false), first, second)


def _made(true: Expr, false: Expr, first: Test, second: Test) -> Test:
    if first.known is None and second.known is None:
        return whole(true)
    return Test(true, false, call("or", true, false))
