"""The closed list of scalar operations: how each is written, typed and bounded.

An operation has one entry here, one in ``lower/sql.py`` (the owner's DuckDB) and, where it can be
computed on secrets, one in ``ops/scalar.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from mpc_compiler.check.arithmetic import (
    Rule,
    any_nullable,
    bounded,
    cast,
    changed,
    combined,
    comoment,
    correlation,
    decimal,
    divided,
    divided_by_constant,
    ends_of,
    extreme,
    kind_of_numbers,
    magnitude,
    nonzero,
    range_of,
    rescaled,
    rounded,
    scale_of,
    sign,
)
from mpc_compiler.check.calendar import days_between, days_later, months_later, part_of_date
from mpc_compiler.check.choices import let_through, never_zero
from mpc_compiler.check.dates import days_of, microseconds_of
from mpc_compiler.check.texts import (
    WHITESPACE,
    changed_text,
    concatenated,
    length,
    liked,
    replaced,
    substring,
    tested_text,
)
from mpc_compiler.check.transcendental import exponential, logarithm, logistic, root
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import FRACTION_BITS, Call, DType, Expr, Literal, constant_of
from mpc_compiler.ir.types import Kind, text_of

__all__ = ["DRAWS", "SCALARS", "ScalarOp", "computable", "literal_type"]


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
    return DType("bool", nullable=any_nullable(types))


def _null_test(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    return DType("bool")


def _same(name: str, types: Sequence[DType], nullable: bool) -> DType:
    """The common type of alternatives; a None literal has no say."""
    first = types[0]
    if all(t.numeric for t in types):
        kind: Kind = "bool" if all(t.kind == "bool" for t in types) else kind_of_numbers(name, [*types, DType("int")])
        if kind == "bool":
            return DType("bool", nullable=nullable)
        scale = scale_of(kind, types)
        ranges = [ends_of(t, kind, scale) for t in types]
        known = [r for r in ranges if r is not None]
        bounds = (min(r[0] for r in known), max(r[1] for r in known)) if len(known) == len(ranges) else None
        return bounded(kind, nullable, bounds, scale)
    if any(t.kind != first.kind for t in types):
        raise SchemaError(f"{name!r} mixes {' and '.join(t.kind for t in types)}", code="MPC-0103", hint="use one type")
    if first.kind == "string":
        return text_of(types, nullable)
    ranges = [range_of(t) for t in types]
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
    chosen = [let_through(args[0], args[at], types[at], holds=at == 1) for at in (1, 2)]
    branches = [t for t, arg in zip(chosen, args[1:], strict=True) if not _is_null(arg)]
    if not branches:
        raise SchemaError("where/mask needs a value", code="MPC-0105")
    return never_zero(_same(name, branches, any_nullable(chosen)), branches)


def _clip(name: str, types: Sequence[DType], args: Sequence[Expr]) -> DType:
    if types[0].kind in ("date", "timestamp"):
        return _clipped_dates(types[0], args)
    if any(
        not _is_null(arg) and (constant_of(arg) is None or isinstance(constant_of(arg), str | bool)) for arg in args[1:]
    ):
        raise SchemaError("clip needs constant numbers", code="MPC-0105")
    given = [t for t, a in zip(types[1:], args[1:], strict=True) if not _is_null(a)]
    kind = kind_of_numbers(name, [types[0], *given])
    scale = scale_of(kind, [types[0], *given])
    ends = [None if _is_null(arg) else ends_of(t, kind, scale) for t, arg in zip(types[1:], args[1:], strict=True)]
    lo = -math.inf if ends[0] is None else ends[0][0]
    hi = math.inf if ends[1] is None else ends[1][0]
    a = ends_of(types[0], kind, scale) or (-math.inf, math.inf)
    return bounded(kind, types[0].nullable, (min(max(a[0], lo), hi), min(max(a[1], lo), hi)), scale)


def _clipped_dates(dtype: DType, args: Sequence[Expr]) -> DType:
    ends: list[float] = [-math.inf, math.inf]
    for at, arg in enumerate(args[1:]):
        if not _is_null(arg):
            text = constant_of(arg)
            if not isinstance(text, str):
                raise SchemaError("clip of dates needs constant dates", code="MPC-0105", hint="'2026-01-31'")
            ends[at] = days_of(text) if dtype.kind == "date" else microseconds_of(text)
    a = range_of(dtype) or (-math.inf, math.inf)
    return bounded(dtype.kind, dtype.nullable, (min(max(a[0], ends[0]), ends[1]), min(max(a[1], ends[0]), ends[1])))


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
    "add": ScalarOp("+", combined(lambda a, b: a + b)),
    "sub": ScalarOp("-", combined(lambda a, b: a - b)),
    "mul": ScalarOp("*", combined(lambda a, b: a * b, product=True)),
    "div": ScalarOp("/", divided),
    "floordiv": ScalarOp("//", divided_by_constant),
    "mod": ScalarOp("%", divided_by_constant),
    "decimal": ScalarOp("", decimal),
    "rescale": ScalarOp("", rescaled),
    "nonzero": ScalarOp("", nonzero, takes=1),
    "neg": ScalarOp("-", changed(lambda lo, hi: (-hi, -lo)), takes=1),
    "abs": ScalarOp("", changed(magnitude), takes=1),
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
    "int": ScalarOp("", cast("int"), takes=1),
    "float": ScalarOp("", cast("float"), takes=1),
    "bool": ScalarOp("", cast("bool"), takes=1),
    "startswith": ScalarOp("", tested_text, secret=False),
    "endswith": ScalarOp("", tested_text, secret=False),
    "contains": ScalarOp("", tested_text, secret=False),
    "log": ScalarOp("", logarithm, takes=1),
    "exp": ScalarOp("", exponential, takes=1),
    "sqrt": ScalarOp("", root, takes=1),
    "sigmoid": ScalarOp("", logistic, takes=1),
    "maximum": ScalarOp("", extreme(max)),
    "minimum": ScalarOp("", extreme(min)),
    "sign": ScalarOp("", sign, takes=1),
    "comoment": ScalarOp("", comoment, takes=6),
    "correlation": ScalarOp("", correlation, takes=3),
    "round": ScalarOp("", rounded, takes=1),
    "round_to": ScalarOp("", rounded),
    "lower": ScalarOp("", changed_text(str.lower), secret=False, takes=1),
    "upper": ScalarOp("", changed_text(str.upper), secret=False, takes=1),
    "strip": ScalarOp("", changed_text(lambda text: text.strip(WHITESPACE)), secret=False, takes=1),
    "trim": ScalarOp("", changed_text(lambda text: text.strip(" ")), secret=False, takes=1),
    "like": ScalarOp("", liked, secret=False),
    "substring": ScalarOp("", substring, secret=False, takes=3),
    "replace": ScalarOp("", replaced, secret=False, takes=3),
    "concat": ScalarOp("", concatenated, secret=False),
    "len": ScalarOp("", length, secret=False, takes=1),
    "year": ScalarOp("", part_of_date(0, 9999), takes=1),
    "quarter": ScalarOp("", part_of_date(1, 4), takes=1),
    "month": ScalarOp("", part_of_date(1, 12), takes=1),
    "day": ScalarOp("", part_of_date(1, 31), takes=1),
    "add_days": ScalarOp("", days_later),
    "days_between": ScalarOp("", days_between),
    "add_months": ScalarOp("", months_later, secret=False),
    "draw": ScalarOp("", _drawn, secret=False),
}
"""Every scalar operation by name."""
