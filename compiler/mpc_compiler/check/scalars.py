"""The closed list of scalar operations: how each is written, typed and bounded.

An operation has one entry here, one in ``lower/sql.py`` (the owner's DuckDB) and, where it can be
computed on secrets, one in ``ops/scalar.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from mpc_compiler.check.dates import DAY, days_of, microseconds_of, years_of
from mpc_compiler.check.division import divisor_bounds
from mpc_compiler.check.texts import WHITESPACE, changed_text, concatenated, liked, replaced, substring
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import FRACTION_BITS, Call, DType, Expr, Literal, constant_of
from mpc_compiler.ir.types import Kind, Number, text_of

__all__ = ["SCALARS", "ScalarOp", "computable", "days_of", "literal_type", "microseconds_of"]

Rule = Callable[[str, Sequence[DType], Sequence[Expr]], DType]


class ScalarOp(msgspec.Struct, frozen=True):
    """A scalar operation.

    Attributes
    ----------
    symbol : str
        How it prints; empty: as a function.
    rule : callable
        (name, argument types, argument expressions) -> result type; raises SchemaError.
    secret : bool
        Whether it can be computed on shares; if not, only by the owner of all its inputs.
    takes : int
        How many arguments; ``isin`` takes one or more, ``div`` a limit of the quotient as a third.
    """

    symbol: str
    rule: Rule
    secret: bool = True
    takes: int = 2


def literal_type(value: bool | int | float | str | None) -> DType:
    """The type of a constant.

    Examples
    --------
    >>> literal_type(3), literal_type("x")
    (int[3..3], string{1})
    """
    if isinstance(value, bool):
        return DType("bool")
    if isinstance(value, int):
        return DType("int", lo=value, hi=value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SchemaError("a constant must be finite", code="MPC-0105", hint="use isna() to find missing values")
        return DType("float", lo=value, hi=value)
    if isinstance(value, str):
        return DType("string", domain=(value,))
    return DType("float", nullable=True, lo=0.0, hi=0.0)


def _nullable(types: Sequence[DType]) -> bool:
    return any(t.nullable for t in types)


def _range(t: DType) -> tuple[Number, Number] | None:
    if t.kind == "bool":
        return 0, 1
    return None if t.lo is None or t.hi is None else (t.lo, t.hi)


def _numbers(name: str, types: Sequence[DType]) -> Kind:
    for t in types:
        if not t.numeric:
            raise SchemaError(
                f"cannot compute {name!r} on a {t.kind} value",
                code="MPC-0103",
                hint="use numeric columns, or astype(int)",
            )
    if all(t.kind == "bool" for t in types) and name in ("add", "sub"):
        raise SchemaError(
            f"{name!r} of two booleans is ambiguous", code="MPC-0103", hint="use |, &, or astype(int) first"
        )
    kinds: tuple[Kind, ...] = ("float", "decimal")
    return next((kind for kind in kinds if any(t.kind == kind for t in types)), "int")


def _made(kind: Kind, nullable: bool, bounds: tuple[Number, Number] | None, scale: int = 0) -> DType:
    if bounds is None or not all(math.isfinite(b) for b in bounds):
        return DType(kind, nullable, scale=scale)
    lo, hi = bounds
    if kind == "float":
        return DType(kind, nullable, float(lo), float(hi))
    return DType(kind, nullable, int(lo), int(hi), scale=scale)


def _scale(kind: Kind, types: Sequence[DType]) -> int:
    """The common scale of numbers that are added or compared."""
    return max(t.scale for t in types) if kind == "decimal" else 0


def _ends(t: DType, kind: Kind, scale: int = 0) -> tuple[Number, Number] | None:
    """The range of ``t`` as it is held where the result is of that kind and scale."""
    found = _range(t)
    if found is None or kind == "int":
        return found
    if kind == "float":
        return (found[0] / t.unit, found[1] / t.unit) if t.scale else found
    return found[0] * 10 ** (scale - t.scale), found[1] * 10 ** (scale - t.scale)


def _arithmetic(combine: Callable[[Number, Number], Number], *, product: bool = False) -> Rule:
    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        kind = _numbers(name, types)
        scale = _scale(kind, types)
        if product and kind == "decimal":
            a, b, scale = _range(types[0]), _range(types[1]), types[0].scale + types[1].scale
        else:
            a, b = (_ends(t, kind, scale) for t in types)
        corners = None if a is None or b is None else [combine(x, y) for x in a for y in b]
        return _made(kind, _nullable(types), None if corners is None else (min(corners), max(corners)), scale)

    return rule


def _divide(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    _numbers("div", types)
    a, b = (_ends(t, "float") for t in types[:2])
    if constant_of(args[1]) == 0:
        raise SchemaError("division by the constant 0", code="MPC-0105", hint="filter or fill before dividing")
    found = divisor_bounds(types[1])
    limit = _limit(args[2]) if len(args) > 2 else math.inf
    if a is None or b is None or found is None:
        return _made("float", _nullable(types[:2]), None)
    low, high, least = (end / types[1].unit for end in found)
    divisors = [low, high] if low > 0 or high < 0 else [-least, least]
    corners = [x / y for x in a for y in divisors]
    lo, hi = max(min(corners), -limit), min(max(corners), limit)
    return _made("float", _nullable(types[:2]), (min(lo, hi), max(lo, hi)))


def _limit(expr: Expr) -> float:
    """What a quotient does not exceed, which whoever wrote the plan has proved."""
    value = constant_of(expr)
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or value < 0:
        raise SchemaError("the limit of a quotient must be a constant number", code="MPC-0105")
    return float(value)


def _nonzero(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """The number, missing where it is 0."""
    _numbers(name, types)
    lo, hi = types[0].lo, types[0].hi
    if lo is None or hi is None:
        return msgspec.structs.replace(types[0], nullable=True, nonzero=True)
    if lo > 0 or hi < 0:
        return types[0]
    whole = types[0].kind != "float" and lo != hi
    return msgspec.structs.replace(
        types[0], nullable=True, lo=(lo or 1) if whole else lo, hi=(hi or -1) if whole else hi, nonzero=True
    )


def _by_constant(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    kind = _numbers(name, types)
    by = constant_of(args[1])
    if kind == "decimal" and isinstance(by, int | Decimal) and by:
        scale = _scale(kind, types)
        by = int(by.scaleb(scale)) if isinstance(by, Decimal) else by * 10**scale
        if name == "mod":
            return _made(kind, _nullable(types), (min(by, 0), max(by, 0)), scale)
        ends = _ends(types[0], kind, scale)
        down = [] if ends is None else sorted(int(end) // by for end in ends)
        return _made("decimal", _nullable(types), (down[0], down[1]) if down else None)
    by = float(by) if isinstance(by, Decimal) else by
    if not isinstance(by, int | float) or isinstance(by, bool) or by == 0:
        raise UnsupportedError(
            f"{'//' if name == 'floordiv' else '%'} needs a constant other than 0 on its right",
            code="MPC-0302",
            hint="divide by a number, or use / and a comparison",
        )
    if name == "mod":
        return _made(kind, _nullable(types), (min(by, 0), max(by, 0)))
    a = _ends(types[0], kind)
    found = [] if a is None else sorted((a[0] // by, a[1] // by))
    return _made(kind, _nullable(types), (found[0], found[1]) if found else None)


def _unary(change: Callable[[Number, Number], tuple[Number, Number]]) -> Rule:
    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        kind = _numbers(name, types)
        a = _range(types[0])
        return _made(kind, _nullable(types), None if a is None else change(*a), types[0].scale)

    return rule


def _magnitude(lo: Number, hi: Number) -> tuple[Number, Number]:
    return (0 if lo <= 0 <= hi else min(abs(lo), abs(hi))), max(abs(lo), abs(hi))


def _comparable(name: str, a: DType, b: DType, args: Sequence[Expr]) -> None:
    dated = {a.kind, b.kind} & {"date", "timestamp"}
    if dated:
        for t, arg in ((a, args[0]), (b, args[-1])):
            if t.kind == "string" and isinstance(arg, Literal):
                days_of(str(arg.value)) if dated == {"date"} else microseconds_of(str(arg.value))
                return
    if a.kind == b.kind or (a.numeric and b.numeric):
        return
    raise SchemaError(
        f"cannot compare a {a.kind} with a {b.kind}",
        code="MPC-0103",
        hint="compare values of one type; numbers are written without quotes",
    )


def _compare(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    for other, arg in zip(types[1:], args[1:], strict=True):
        if isinstance(arg, Literal) and arg.value is None:
            raise SchemaError("nothing equals a missing value", code="MPC-0105", hint="use isna() or notna()")
        _comparable(name, types[0], other, (args[0], arg))
    return DType("bool")


def _logic(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    for t in types:
        if t.kind != "bool":
            raise SchemaError(
                f"'{SCALARS[name].symbol}' needs booleans, not {t.kind}",
                code="MPC-0103",
                hint="put each comparison in parentheses: (df.a > 1) & (df.b < 2)",
            )
    return DType("bool", nullable=_nullable(types))


def _null_test(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    return DType("bool")


def _same(name: str, types: Sequence[DType], nullable: bool) -> DType:
    """The common type of alternatives; a None literal has no say."""
    first = types[0]
    if all(t.numeric for t in types):
        kind: Kind = "bool" if all(t.kind == "bool" for t in types) else _numbers(name, [*types, DType("int")])
        if kind == "bool":
            return DType("bool", nullable=nullable)
        scale = _scale(kind, types)
        ranges = [_ends(t, kind, scale) for t in types]
        known = [r for r in ranges if r is not None]
        bounds = (min(r[0] for r in known), max(r[1] for r in known)) if len(known) == len(ranges) else None
        return _made(kind, nullable, bounds, scale)
    if any(t.kind != first.kind for t in types):
        raise SchemaError(f"{name!r} mixes {' and '.join(t.kind for t in types)}", code="MPC-0103", hint="use one type")
    if first.kind == "string":
        return text_of(types, nullable)
    ranges = [_range(t) for t in types]
    known = [r for r in ranges if r is not None]
    if len(known) < len(ranges):
        return DType(first.kind, nullable)
    return DType(first.kind, nullable, min(r[0] for r in known), max(r[1] for r in known))


def _is_null(arg: Expr) -> bool:
    return isinstance(arg, Literal) and arg.value is None


def _fillna(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    return _same(name, types, types[1].nullable) if types[0].nullable else types[0]


def _where(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    if types[0].kind != "bool":
        raise SchemaError("the condition of where/mask must be boolean", code="MPC-0103")
    branches = [t for t, arg in zip(types[1:], args[1:], strict=True) if not _is_null(arg)]
    if not branches:
        raise SchemaError("where/mask needs a value", code="MPC-0105")
    made = _same(name, branches, _nullable(types[1:]))
    return _nonzero(name, [made], args) if _missing_at_zero(args) else made


def _missing_at_zero(args: Sequence[Expr]) -> bool:
    """Whether a choice gives ``y`` where ``y != 0``, and nothing elsewhere."""
    test, then, otherwise = args
    if not isinstance(test, Call) or test.op not in ("eq", "ne") or isinstance(test.args[0], Literal):
        return False
    kept, dropped = (then, otherwise) if test.op == "ne" else (otherwise, then)
    zero = constant_of(test.args[1])
    return test.args[0] == kept and _is_null(dropped) and isinstance(zero, int | float | Decimal) and zero == 0


def _clip(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    if types[0].kind in ("date", "timestamp"):
        return _clipped_dates(types[0], args)
    if any(
        not _is_null(arg) and (constant_of(arg) is None or isinstance(constant_of(arg), str | bool)) for arg in args[1:]
    ):
        raise SchemaError("clip needs constant numbers", code="MPC-0105")
    given = [t for t, a in zip(types[1:], args[1:], strict=True) if not _is_null(a)]
    kind = _numbers(name, [types[0], *given])
    scale = _scale(kind, [types[0], *given])
    ends = [None if _is_null(arg) else _ends(t, kind, scale) for t, arg in zip(types[1:], args[1:], strict=True)]
    lo = -math.inf if ends[0] is None else ends[0][0]
    hi = math.inf if ends[1] is None else ends[1][0]
    a = _ends(types[0], kind, scale) or (-math.inf, math.inf)
    return _made(kind, types[0].nullable, (min(max(a[0], lo), hi), min(max(a[1], lo), hi)), scale)


def _clipped_dates(dtype: DType, args: Sequence[Expr]) -> DType:
    ends: list[float] = [-math.inf, math.inf]
    for at, arg in enumerate(args[1:]):
        if not _is_null(arg):
            text = constant_of(arg)
            if not isinstance(text, str):
                raise SchemaError("clip of dates needs constant dates", code="MPC-0105", hint="'2026-01-31'")
            ends[at] = days_of(text) if dtype.kind == "date" else microseconds_of(text)
    a = _range(dtype) or (-math.inf, math.inf)
    return _made(dtype.kind, dtype.nullable, (min(max(a[0], ends[0]), ends[1]), min(max(a[1], ends[0]), ends[1])))


def _cast(kind: Kind) -> Rule:
    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        t = types[0]
        if not t.numeric:
            raise SchemaError(f"cannot turn a {t.kind} into {kind}", code="MPC-0103")
        if kind == "int" and t.nullable:
            raise SchemaError("cannot turn missing values into integers", code="MPC-0103", hint="fillna(...) first")
        if kind == "bool":
            return DType("bool")
        a = _ends(t, "float" if kind == "float" else t.kind, t.scale)
        if kind == "int" and a is not None:
            a = (_towards_zero(a[0], t.unit), _towards_zero(a[1], t.unit))
        return _made(kind, t.nullable, a)

    return rule


def _towards_zero(value: Number, unit: int) -> int:
    return math.trunc(value) if unit == 1 else int(math.copysign(1, value)) * (abs(int(value)) // unit)


def _decimal(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Whole numbers as so many units of 10**-scale each."""
    scale = args[1].value if isinstance(args[1], Literal) else None
    if types[0].kind not in ("int", "bool") or not _places(scale):
        raise SchemaError("decimal needs whole numbers and a constant number of digits", code="MPC-0103")
    assert isinstance(scale, int)
    return _made("decimal", types[0].nullable, _range(types[0]), scale)


def _places(scale: object) -> bool:
    return isinstance(scale, int) and not isinstance(scale, bool) and 0 <= scale <= MAX_SCALE


def _rescaled(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A decimal with so many digits behind the point, halves away from zero."""
    scale = args[1].value if isinstance(args[1], Literal) else None
    if types[0].kind not in ("int", "decimal", "bool") or not _places(scale):
        raise SchemaError(
            f"cannot turn a {types[0].kind} into a decimal",
            code="MPC-0103",
            hint=f"whole numbers and decimals, with 0 to {MAX_SCALE} digits behind the point",
        )
    assert isinstance(scale, int)
    a, less = _range(types[0]), types[0].scale - scale
    if a is None:
        return DType("decimal", types[0].nullable, scale=scale)
    return _made("decimal", types[0].nullable, (_shifted(int(a[0]), less), _shifted(int(a[1]), less)), scale)


def _shifted(units: int, digits: int) -> int:
    """``units`` without so many digits, halves away from zero; with more of them if it is negative."""
    if digits <= 0:
        return units * int(10**-digits)
    size = (abs(units) + int(10**digits) // 2) // int(10**digits)
    return size if units >= 0 else -size


MAX_SCALE = 18
"""Most digits behind the point of a decimal that is made; products may have more."""


def computable(expr: Expr) -> bool:
    """Whether the outermost operation can be computed on shares.

    Examples
    --------
    >>> from mpc_compiler.ir import call, column, literal
    >>> computable(call("mod", column("a"), literal(7))), computable(call("mod", column("a"), literal(0.1)))
    (True, False)
    """
    if not isinstance(expr, Call):
        return True
    if expr.op in ("floordiv", "mod"):
        by = constant_of(expr.args[1])
        return not isinstance(by, float) or (by * 2**FRACTION_BITS).is_integer()
    return SCALARS[expr.op].secret


def _text(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    if types[0].kind != "string" or not (isinstance(args[1], Literal) and isinstance(args[1].value, str)):
        raise SchemaError(f"str.{name} needs a text column and a constant text", code="MPC-0103")
    return DType("bool")


def _length(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    domain = _text_column(name, types[0]).domain
    sizes = None if domain is None else [len(text) for text in domain] or [0]
    return _made("int", types[0].nullable, None if sizes is None else (min(sizes), max(sizes)))


def _text_column(name: str, dtype: DType) -> DType:
    if dtype.kind != "string":
        raise SchemaError(f"str.{name} needs a text column, not {dtype.kind}", code="MPC-0103", hint="a text column")
    return dtype


def _root(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Missing below 0."""
    _numbers(name, types)
    a = _ends(types[0], "float")
    if a is None:
        return DType("float", True)
    return _made("float", types[0].nullable or a[0] < 0, (math.sqrt(max(a[0], 0)), math.sqrt(max(a[1], 0))))


def _rounded(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    kind, a = _numbers(name, types[:1]), _range(types[0])
    if kind == "decimal":
        places = 0 if name == "round" else constant_of(args[1])
        if not _places(places):
            raise UnsupportedError(f"cannot round to {places!r} places", code="MPC-0301", hint=f"0 to {MAX_SCALE}")
        assert isinstance(places, int)
        scale, unit = min(places, types[0].scale), 10 ** max(types[0].scale - places, 0)
        ends = None if a is None else (int(a[0]) // unit, -(-int(a[1]) // unit))
        return _made(kind, types[0].nullable, ends, scale)
    if name == "round":
        return _made(kind, types[0].nullable, None if a is None else (round(a[0]), round(a[1])))
    places = args[1].value if isinstance(args[1], Literal) else None
    if not isinstance(places, int) or not 1 <= places <= 9:
        raise UnsupportedError(
            f"cannot round to {places!r} places", code="MPC-0301", hint="0 to 9 places; or divide, round, multiply"
        )
    unit = 10.0**-places  # a value moves by at most half of it
    return _made(kind, types[0].nullable, None if a is None else (a[0] - unit, a[1] + unit))


def _comoment(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A covariance (of one column: a variance) of count, two sums, the sum of products, its largest size and ddof."""
    _numbers(name, types[:4])
    limit, ddof = (arg.value if isinstance(arg, Literal) else None for arg in args[4:])
    if not isinstance(limit, float) or ddof not in (0, 1):
        raise SchemaError("comoment needs a constant limit and ddof of 0 or 1", code="MPC-0105")
    most = limit * (1 + ddof)
    return DType("float", True, 0.0 if args[1] == args[2] else -most, most)


def _correlation(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Covariance and two variances; missing where a variance is 0."""
    _numbers(name, types)
    return DType("float", True, -1.0, 1.0)


def _function(bound: Callable[[float, float], tuple[float, float]]) -> Rule:
    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        _numbers(name, types)
        a = _ends(types[0], "float")
        try:
            bounds = None if a is None else bound(float(a[0]), float(a[1]))
        except (ValueError, OverflowError):
            bounds = None
        return _made("float", True if bounds is None else types[0].nullable, bounds)

    return rule


def _dated(name: str, dtype: DType) -> DType:
    if dtype.kind not in ("date", "timestamp"):
        raise SchemaError(f"dt.{name} needs dates, not {dtype.kind}", code="MPC-0103")
    return dtype


def _part(lo: int, hi: int) -> Rule:
    def rule(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
        dtype = _dated(name, types[0])
        first, last = (lo, hi) if name != "year" else years_of(dtype) or (lo, hi)
        return DType("int", dtype.nullable, first, last)

    return rule


def _days_later(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A date so many whole days later."""
    dtype = _dated(name, types[0])
    if types[1].kind != "int":
        raise SchemaError("dates are moved by whole numbers of days", code="MPC-0103", hint="astype(int)")
    a, b, day = _range(dtype), _range(types[1]), 1 if dtype.kind == "date" else DAY
    bounds = None if a is None or b is None else (a[0] + b[0] * day, a[1] + b[1] * day)
    return _made(dtype.kind, _nullable(types), bounds)


def _days_between(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """Whole days from the second to the first, rounding down."""
    first, second = (_dated(name, dtype) for dtype in types)
    if first.kind != second.kind:
        raise SchemaError("cannot subtract a date and a timestamp", code="MPC-0103", hint="cast one side")
    a, b, day = _range(first), _range(second), 1 if first.kind == "date" else DAY
    bounds = None if a is None or b is None else ((a[0] - b[1]) // day, (a[1] - b[0]) // day)
    return _made("int", _nullable(types), bounds)


def _months_later(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A date a constant number of months later; of a month that is too short, its last day."""
    dtype, months = _dated(name, types[0]), constant_of(args[1])
    if not isinstance(months, int) or isinstance(months, bool):
        raise SchemaError("dates are moved by a constant number of months", code="MPC-0105")
    a, day = _range(dtype), 1 if dtype.kind == "date" else DAY
    bounds = (
        None if a is None else (a[0] + min(28 * months, 31 * months) * day, a[1] + max(28 * months, 31 * months) * day)
    )
    return _made(dtype.kind, dtype.nullable, bounds)


DRAWS = 1 << 20
"""How many different numbers ``draw`` gives."""


def _drawn(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    """A pseudo-random number of a key and a constant seed: the same for equal keys, wherever they are."""
    seed = constant_of(args[1])
    if types[0].kind not in ("int", "string", "date", "bool") or types[0].nullable:
        raise SchemaError(
            f"cannot draw by a {types[0].kind}{' with missing values' if types[0].nullable else ''}",
            code="MPC-0103",
            hint="a key of whole numbers, text or dates, which every row has",
        )
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise SchemaError("a draw needs a constant seed", code="MPC-0105", hint="random_state=0")
    return DType("int", lo=0, hi=DRAWS - 1)


SCALARS: dict[str, ScalarOp] = {
    "add": ScalarOp("+", _arithmetic(lambda a, b: a + b)),
    "sub": ScalarOp("-", _arithmetic(lambda a, b: a - b)),
    "mul": ScalarOp("*", _arithmetic(lambda a, b: a * b, product=True)),
    "div": ScalarOp("/", _divide),
    "floordiv": ScalarOp("//", _by_constant),
    "mod": ScalarOp("%", _by_constant),
    "decimal": ScalarOp("", _decimal),
    "rescale": ScalarOp("", _rescaled),
    "nonzero": ScalarOp("", _nonzero, takes=1),
    "neg": ScalarOp("-", _unary(lambda lo, hi: (-hi, -lo)), takes=1),
    "abs": ScalarOp("", _unary(_magnitude), takes=1),
    "eq": ScalarOp("==", _compare),
    "ne": ScalarOp("!=", _compare),
    "lt": ScalarOp("<", _compare),
    "le": ScalarOp("<=", _compare),
    "gt": ScalarOp(">", _compare),
    "ge": ScalarOp(">=", _compare),
    "isin": ScalarOp("", _compare, takes=1),
    "and": ScalarOp("&", _logic),
    "or": ScalarOp("|", _logic),
    "not": ScalarOp("~", _logic, takes=1),
    "isna": ScalarOp("", _null_test, takes=1),
    "notna": ScalarOp("", _null_test, takes=1),
    "fillna": ScalarOp("", _fillna),
    "where": ScalarOp("", _where, takes=3),
    "clip": ScalarOp("", _clip, takes=3),
    "int": ScalarOp("", _cast("int"), takes=1),
    "float": ScalarOp("", _cast("float"), takes=1),
    "bool": ScalarOp("", _cast("bool"), takes=1),
    "startswith": ScalarOp("", _text, secret=False),
    "endswith": ScalarOp("", _text, secret=False),
    "contains": ScalarOp("", _text, secret=False),
    "log": ScalarOp("", _function(lambda lo, hi: (math.log(lo), math.log(hi))), secret=False, takes=1),
    "exp": ScalarOp("", _function(lambda lo, hi: (math.exp(lo), math.exp(hi))), secret=False, takes=1),
    "sqrt": ScalarOp("", _root, takes=1),
    "comoment": ScalarOp("", _comoment, takes=6),
    "correlation": ScalarOp("", _correlation, takes=3),
    "round": ScalarOp("", _rounded, takes=1),
    "round_to": ScalarOp("", _rounded),
    "lower": ScalarOp("", changed_text(str.lower), secret=False, takes=1),
    "upper": ScalarOp("", changed_text(str.upper), secret=False, takes=1),
    "strip": ScalarOp("", changed_text(lambda text: text.strip(WHITESPACE)), secret=False, takes=1),
    "trim": ScalarOp("", changed_text(lambda text: text.strip(" ")), secret=False, takes=1),
    "like": ScalarOp("", liked, secret=False),
    "substring": ScalarOp("", substring, secret=False, takes=3),
    "replace": ScalarOp("", replaced, secret=False, takes=3),
    "concat": ScalarOp("", concatenated, secret=False),
    "len": ScalarOp("", _length, secret=False, takes=1),
    "year": ScalarOp("", _part(0, 9999), takes=1),
    "quarter": ScalarOp("", _part(1, 4), takes=1),
    "month": ScalarOp("", _part(1, 12), takes=1),
    "day": ScalarOp("", _part(1, 31), takes=1),
    "add_days": ScalarOp("", _days_later),
    "days_between": ScalarOp("", _days_between),
    "add_months": ScalarOp("", _months_later, secret=False),
    "draw": ScalarOp("", _drawn, secret=False),
}
"""Every scalar operation by name."""
