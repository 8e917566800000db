"""Types of arithmetic: of which kind a number is, its digits behind the point, and the range that it stays in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from mpc_compiler.check.division import divisor_bounds
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import DType, Expr, Literal, constant_of
from mpc_compiler.ir.types import Kind, Number

__all__ = [
    "MAX_SCALE",
    "Rule",
    "any_nullable",
    "bounded",
    "cast",
    "changed",
    "combined",
    "comoment",
    "correlation",
    "decimal",
    "divided",
    "divided_by_constant",
    "ends_of",
    "extreme",
    "kind_of_numbers",
    "magnitude",
    "nonzero",
    "range_of",
    "rescaled",
    "rounded",
    "scale_of",
    "sign",
]

MAX_SCALE = 18
"""Most digits behind the point of a decimal that is made; products may have more."""
Rule = Callable[[str, Sequence[DType], Sequence[Expr]], DType]
"""(name, argument types, argument expressions) -> result type."""


def any_nullable(types: Sequence[DType]) -> bool:
    """Whether one of them may be missing."""
    return any(t.nullable for t in types)


def range_of(t: DType) -> tuple[Number, Number] | None:
    """The public range of a number, date or timestamp, in units of a decimal; None if it has none."""
    if t.kind == "bool":
        return 0, 1
    return None if t.lo is None or t.hi is None else (t.lo, t.hi)


def kind_of_numbers(name: str, types: Sequence[DType]) -> Kind:
    """The kind that holds numbers of all these types; raises where one is no number."""
    for t in types:
        if not t.numeric:
            raise SchemaError(
                f"cannot compute {name!r} on a {t.kind} value",
                code="MPC-0103",
                hint="use numeric columns, or astype(int)",
            )
    if all(t.kind == "bool" for t in types) and name in ("add", "sub", "maximum", "minimum"):
        raise SchemaError(
            f"{name!r} of two booleans is ambiguous", code="MPC-0103", hint="use |, &, or astype(int) first"
        )
    kinds: tuple[Kind, ...] = ("float", "decimal")
    return next((kind for kind in kinds if any(t.kind == kind for t in types)), "int")


def bounded(kind: Kind, nullable: bool, bounds: tuple[Number, Number] | None, scale: int = 0) -> DType:
    """A type of that range, unless it has none or is not finite."""
    if bounds is None or not all(math.isfinite(b) for b in bounds):
        return DType(kind, nullable, scale=scale)
    lo, hi = bounds
    if kind == "float":
        return DType(kind, nullable, float(lo), float(hi))
    return DType(kind, nullable, int(lo), int(hi), scale=scale)


def scale_of(kind: Kind, types: Sequence[DType]) -> int:
    """The common scale of numbers that are added or compared."""
    return max(t.scale for t in types) if kind == "decimal" else 0


def ends_of(t: DType, kind: Kind, scale: int = 0) -> tuple[Number, Number] | None:
    """The range of ``t`` as it is held where the result is of that kind and scale."""
    found = range_of(t)
    if found is None or kind == "int":
        return found
    if kind == "float":
        return (found[0] / t.unit, found[1] / t.unit) if t.scale else found
    return found[0] * 10 ** (scale - t.scale), found[1] * 10 ** (scale - t.scale)


def combined(combine: Callable[[Number, Number], Number], *, product: bool = False) -> Rule:
    """The rule of a sum, a difference or, if ``product``, a product: extreme where both arguments are."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        kind = kind_of_numbers(name, types)
        scale = scale_of(kind, types)
        if product and kind == "decimal":
            a, b, scale = range_of(types[0]), range_of(types[1]), types[0].scale + types[1].scale
        else:
            a, b = (ends_of(t, kind, scale) for t in types)
        if product and args[0] == args[1] and a is not None:
            return bounded(kind, any_nullable(types), _squared(*a), scale)
        corners = None if a is None or b is None else [combine(x, y) for x in a for y in b]
        return bounded(kind, any_nullable(types), None if corners is None else (min(corners), max(corners)), scale)

    return rule


def _squared(lo: Number, hi: Number) -> tuple[Number, Number]:
    least, most = magnitude(lo, hi)
    return least * least, most * most


def extreme(choose: Callable[[Number, Number], Number]) -> Rule:
    """The rule of the larger or the smaller of two numbers; missing where either is."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        kind = kind_of_numbers(name, types)
        scale = scale_of(kind, types)
        a, b = (ends_of(t, kind, scale) for t in types)
        bounds = None if a is None or b is None else (choose(a[0], b[0]), choose(a[1], b[1]))
        return bounded(kind, any_nullable(types), bounds, scale)

    return rule


def sign(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """-1, 0 or 1."""
    kind, a = kind_of_numbers(name, types), range_of(types[0]) or (-1, 1)
    signs = ((a[0] > 0) - (a[0] < 0), (a[1] > 0) - (a[1] < 0))
    return bounded("float" if kind == "float" else "int", types[0].nullable, signs)


def divided(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A quotient of the divisor's range, within the limit that is given."""
    kind_of_numbers("div", types)
    a, b = (ends_of(t, "float") for t in types[:2])
    if constant_of(args[1]) == 0:
        raise SchemaError("division by the constant 0", code="MPC-0105", hint="filter or fill before dividing")
    found = divisor_bounds(types[1])
    limit = _limit(args[2]) if len(args) > 2 else math.inf
    if a is None or b is None or found is None:
        return bounded("float", any_nullable(types[:2]), None)
    low, high, least = (end / types[1].unit for end in found)
    divisors = [low, high] if low > 0 or high < 0 else [-least, least]
    corners = [x / y for x in a for y in divisors]
    lo, hi = max(min(corners), -limit), min(max(corners), limit)
    return bounded("float", any_nullable(types[:2]), (min(lo, hi), max(lo, hi)))


def _limit(expr: Expr) -> float:
    """What a quotient does not exceed, which whoever wrote the plan has proved."""
    value = constant_of(expr)
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or value < 0:
        raise SchemaError("the limit of a quotient must be a constant number", code="MPC-0105")
    return float(value)


def nonzero(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """The number, missing where it is 0."""
    kind_of_numbers(name, types)
    lo, hi = types[0].lo, types[0].hi
    if lo is None or hi is None:
        return msgspec.structs.replace(types[0], nullable=True, nonzero=True)
    if lo > 0 or hi < 0:
        return types[0]
    whole = types[0].kind != "float" and lo != hi
    return msgspec.structs.replace(
        types[0], nullable=True, lo=(lo or 1) if whole else lo, hi=(hi or -1) if whole else hi, nonzero=True
    )


def divided_by_constant(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """``//`` and ``%`` by a constant other than 0."""
    kind = kind_of_numbers(name, types)
    by = constant_of(args[1])
    if kind == "decimal" and isinstance(by, int | Decimal) and by:
        scale = scale_of(kind, types)
        by = int(by.scaleb(scale)) if isinstance(by, Decimal) else by * 10**scale
        if name == "mod":
            return bounded(kind, any_nullable(types), (min(by, 0), max(by, 0)), scale)
        ends = ends_of(types[0], kind, scale)
        down = [] if ends is None else sorted(int(end) // by for end in ends)
        return bounded("decimal", any_nullable(types), (down[0], down[1]) if down else None)
    by = float(by) if isinstance(by, Decimal) else by
    if not isinstance(by, int | float) or isinstance(by, bool) or by == 0:
        raise UnsupportedError(
            f"{'//' if name == 'floordiv' else '%'} needs a constant other than 0 on its right",
            code="MPC-0302",
            hint="divide by a number, or use / and a comparison",
        )
    if name == "mod":
        return bounded(kind, any_nullable(types), (min(by, 0), max(by, 0)))
    a = ends_of(types[0], kind)
    found = [] if a is None else sorted((a[0] // by, a[1] // by))
    return bounded(kind, any_nullable(types), (found[0], found[1]) if found else None)


def changed(change: Callable[[Number, Number], tuple[Number, Number]]) -> Rule:
    """The rule of a function of one number that keeps its kind."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        kind = kind_of_numbers(name, types)
        a = range_of(types[0])
        return bounded(kind, any_nullable(types), None if a is None else change(*a), types[0].scale)

    return rule


def magnitude(lo: Number, hi: Number) -> tuple[Number, Number]:
    """The range of ``|a|`` for a in a range."""
    return (0 if lo <= 0 <= hi else min(abs(lo), abs(hi))), max(abs(lo), abs(hi))


def cast(kind: Kind) -> Rule:
    """The rule of a number as one of another kind."""

    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        t = types[0]
        if not t.numeric:
            raise SchemaError(f"cannot turn a {t.kind} into {kind}", code="MPC-0103")
        if kind == "int" and t.nullable:
            raise SchemaError("cannot turn missing values into integers", code="MPC-0103", hint="fillna(...) first")
        if kind == "bool":
            return DType("bool")
        a = ends_of(t, "float" if kind == "float" else t.kind, t.scale)
        if kind == "int" and a is not None:
            a = (_towards_zero(a[0], t.unit), _towards_zero(a[1], t.unit))
        return bounded(kind, t.nullable, a)

    return rule


def _towards_zero(value: Number, unit: int) -> int:
    return math.trunc(value) if unit == 1 else int(math.copysign(1, value)) * (abs(int(value)) // unit)


def decimal(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Whole numbers as so many units of 10**-scale each."""
    scale = args[1].value if isinstance(args[1], Literal) else None
    if types[0].kind not in ("int", "bool") or not _places(scale):
        raise SchemaError("decimal needs whole numbers and a constant number of digits", code="MPC-0103")
    assert isinstance(scale, int)
    return bounded("decimal", types[0].nullable, range_of(types[0]), scale)


def _places(scale: object) -> bool:
    return isinstance(scale, int) and not isinstance(scale, bool) and 0 <= scale <= MAX_SCALE


def rescaled(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A decimal with so many digits behind the point, halves away from zero."""
    scale = args[1].value if isinstance(args[1], Literal) else None
    if types[0].kind not in ("int", "decimal", "bool") or not _places(scale):
        raise SchemaError(
            f"cannot turn a {types[0].kind} into a decimal",
            code="MPC-0103",
            hint=f"whole numbers and decimals, with 0 to {MAX_SCALE} digits behind the point",
        )
    assert isinstance(scale, int)
    a, less = range_of(types[0]), types[0].scale - scale
    if a is None:
        return DType("decimal", types[0].nullable, scale=scale)
    return bounded("decimal", types[0].nullable, (_shifted(int(a[0]), less), _shifted(int(a[1]), less)), scale)


def _shifted(units: int, digits: int) -> int:
    """``units`` without so many digits, halves away from zero; with more of them if it is negative."""
    if digits <= 0:
        return units * int(10**-digits)
    size = (abs(units) + int(10**digits) // 2) // int(10**digits)
    return size if units >= 0 else -size


def rounded(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A number to a constant number of places, or to none."""
    kind, a = kind_of_numbers(name, types[:1]), range_of(types[0])
    if kind == "decimal":
        places = 0 if name == "round" else constant_of(args[1])
        if not _places(places):
            raise UnsupportedError(f"cannot round to {places!r} places", code="MPC-0301", hint=f"0 to {MAX_SCALE}")
        assert isinstance(places, int)
        scale, unit = min(places, types[0].scale), 10 ** max(types[0].scale - places, 0)
        ends = None if a is None else (int(a[0]) // unit, -(-int(a[1]) // unit))
        return bounded(kind, types[0].nullable, ends, scale)
    if name == "round":
        return bounded(kind, types[0].nullable, None if a is None else (round(a[0]), round(a[1])))
    places = args[1].value if isinstance(args[1], Literal) else None
    if not isinstance(places, int) or not 1 <= places <= 9:
        raise UnsupportedError(
            f"cannot round to {places!r} places", code="MPC-0301", hint="0 to 9 places; or divide, round, multiply"
        )
    unit = 10.0**-places  # a value moves by at most half of it
    return bounded(kind, types[0].nullable, None if a is None else (a[0] - unit, a[1] + unit))


def comoment(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A covariance (of one column: a variance) of count, two sums, the sum of products, its largest size and ddof."""
    kind_of_numbers(name, types[:4])
    limit, ddof = (arg.value if isinstance(arg, Literal) else None for arg in args[4:])
    if not isinstance(limit, float) or ddof not in (0, 1):
        raise SchemaError("comoment needs a constant limit and ddof of 0 or 1", code="MPC-0105")
    most = limit * (1 + ddof)
    return DType("float", True, 0.0 if args[1] == args[2] else -most, most)


def correlation(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Covariance and two variances; missing where a variance is 0."""
    kind_of_numbers(name, types)
    return DType("float", True, -1.0, 1.0)
