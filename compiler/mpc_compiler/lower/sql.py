"""Scalar expressions as SQL for an owner's DuckDB, with pandas' semantics; relations are in ``sql_rel.py``.

Text and identifiers are quoted by sqlglot, never pasted.

A decimal is a whole number of units here, as it is on shares: the views of an owner's tables turn DECIMAL into BIGINT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from mpc_compiler.check import expr_type
from mpc_compiler.check.dates import DAY, days_of, microseconds_of
from mpc_compiler.check.texts import WHITESPACE
from mpc_compiler.ir import Call, Column, DType, Expr, Literal, Schema, constant_of

__all__ = ["copies", "held", "of_units", "scalar_sql", "truth"]


def _id(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True))


def truth(predicate: Expr, schema: Schema) -> exp.Expr:
    """A predicate whose NULL counts as false; comparisons are never NULL already."""
    value = scalar_sql(predicate, schema)
    return _false(value) if expr_type(predicate, schema).nullable else value


def _false(value: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=value, expressions=[exp.false()])


def _paren(value: exp.Expr) -> exp.Expr:
    return exp.Paren(this=value) if isinstance(value, exp.Binary | exp.Unary | exp.Case) else value


def _constant(value: bool | int | float | str | None) -> exp.Expr:
    if value is None:
        return exp.null()
    if isinstance(value, bool):
        return exp.true() if value else exp.false()
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
    return exp.Literal.string(value) if isinstance(value, str) else exp.Literal.number(str(value))


def of_units(value: exp.Expr, dtype: DType) -> exp.Expr:
    """A number of units of a decimal as a number."""
    if not dtype.scale:
        return value
    return exp.Paren(this=exp.Div(this=value, expression=exp.cast(_constant(dtype.unit), "DOUBLE"), typed=True))


def held(value: exp.Expr, dtype: DType, result: DType) -> exp.Expr:
    """A number of one type as one of another of the same or a wider kind; a decimal gets more digits."""
    if result.kind == "float":
        return _double(value, dtype) if dtype.scale else value
    if result.scale <= dtype.scale:
        return value
    return exp.Paren(this=exp.Mul(this=value, expression=_constant(10 ** (result.scale - dtype.scale))))


def _double(value: exp.Expr, dtype: DType) -> exp.Expr:
    return of_units(exp.cast(value, "DOUBLE"), dtype)


def _widest(types: Sequence[DType]) -> DType:
    """What numbers are held as where they are compared or stand for one another."""
    return DType("float" if any(t.kind == "float" for t in types) else "decimal", scale=max(t.scale for t in types))


def _aligned(args: Sequence[exp.Expr], types: Sequence[DType]) -> list[exp.Expr]:
    if not any(t.kind == "decimal" for t in types):
        return list(args)
    return [held(arg, t, _widest(types)) for arg, t in zip(args, types, strict=True)]


def scalar_sql(expr: Expr, schema: Schema) -> exp.Expr:
    """One scalar expression as DuckDB SQL.

    Examples
    --------
    >>> from mpc_compiler.check import schema_of
    >>> from mpc_compiler.rules.examples import expression, loans
    >>> scalar_sql(expression("age + 1"), schema_of(loans)).sql(dialect="duckdb")
    '"age" + 1'
    """
    if isinstance(expr, Column):
        return _id(expr.name)
    if isinstance(expr, Literal):
        return _constant(expr.value)
    types = [expr_type(arg, schema) for arg in expr.args]
    return _CALLS[expr.op](expr.op, [_paren(_operand(arg, types, schema)) for arg in expr.args], types, expr.args)


def _operand(arg: Expr, types: Sequence[DType], schema: Schema) -> exp.Expr:
    """An argument; text that stands beside dates becomes a date."""
    if isinstance(arg, Literal) and isinstance(arg.value, str):
        kinds = {t.kind for t in types}
        if "date" in kinds:
            return exp.cast(exp.Literal.string(_iso_date(arg.value)), "DATE")
        if "timestamp" in kinds:
            microseconds_of(arg.value)
            return exp.cast(exp.Literal.string(arg.value), "TIMESTAMP")
    return scalar_sql(arg, schema)


def _iso_date(text: str) -> str:
    days_of(text)
    return text[:10]


Args = Sequence[exp.Expr]
Emit = Callable[[str, Args, Sequence[DType], Sequence[Expr]], exp.Expr]


def _binary(kind: type[exp.Binary]) -> Emit:
    def emit(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
        number = [exp.cast(a, "BIGINT") if t.kind == "bool" else a for a, t in zip(args, types, strict=True)]
        if op != "mul" or any(t.kind == "float" for t in types):
            number = _aligned(number, types)
        return kind(this=number[0], expression=number[1])

    return emit


def _div(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    num, den = (_double(arg, t) for arg, t in zip(args[:2], types[:2], strict=True))
    return exp.Div(this=num, expression=den, typed=True)


def _mod(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    args = _aligned(args, types)
    inner = exp.Paren(this=exp.Mod(this=args[0], expression=args[1]))
    shifted = exp.Paren(this=exp.Add(this=inner, expression=args[1].copy()))
    return exp.Mod(this=shifted, expression=args[1].copy())


def _floordiv(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    if any(t.kind == "float" for t in types):
        return exp.Floor(this=_div(op, args, types, raw))
    if any(t.kind == "decimal" for t in types):
        args = [_paren(arg) for arg in _aligned(args, types)]
        types = [DType("int")] * 2
    rest = exp.Paren(this=exp.Sub(this=args[0], expression=exp.Paren(this=_mod(op, args, types, raw))))
    return exp.IntDiv(this=rest, expression=args[1].copy())


def _compare(kind: type[exp.Binary], when_null: bool) -> Emit:
    def emit(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
        left, right = _aligned(args, types)
        value = kind(this=left, expression=right)
        return exp.Coalesce(this=value, expressions=[exp.true() if when_null else exp.false()])

    return emit


def _isin(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    if len(args) == 1:
        return exp.false()
    args = _aligned(args, types)
    return _false(exp.In(this=args[0], expressions=list(args[1:])))


def _logic(kind: type[exp.Connector]) -> Emit:
    return lambda op, args, types, raw: kind(this=args[0], expression=args[1])


def _is_null(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    return exp.Is(this=args[0], expression=exp.null())


def _not_null(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    return exp.Not(this=exp.Paren(this=_is_null(op, args, types, raw)))


def _where(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    missing = any(isinstance(arg, Literal) and arg.value is None for arg in raw[1:])
    branches = args[1:] if missing else _aligned(args[1:], types[1:])
    return exp.Case().when(args[0], branches[0]).else_(branches[1])


def _fillna(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    value, other = _aligned(args, types) if types[0].nullable else args
    return exp.Coalesce(this=value, expressions=[other])


def _clip(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    case = exp.Case()
    given = [True, *(constant_of(arg) is not None for arg in raw[1:])]
    widest = _widest([t for t, there in zip(types, given, strict=True) if there])
    args = [
        held(arg, t, widest) if t.kind == "decimal" or widest.kind == "decimal" else arg
        for arg, t in zip(args, types, strict=True)
    ]
    for at, kind in ((1, exp.LT), (2, exp.GT)):
        if given[at]:
            case = case.when(kind(this=args[0].copy(), expression=args[at]), args[at].copy())
    return case.else_(args[0]) if case.args.get("ifs") else args[0]


def _cast(name: str) -> Emit:
    def emit(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
        if name == "BIGINT" and types[0].kind == "float":
            return exp.cast(exp.func("trunc", args[0]), name)
        if types[0].scale and name == "BIGINT":
            return exp.IntDiv(this=args[0], expression=_constant(types[0].unit))
        if types[0].scale and name == "DOUBLE":
            return _double(args[0], types[0])
        if name == "BOOLEAN":
            return exp.Coalesce(
                this=exp.NEQ(this=exp.cast(args[0], "DOUBLE"), expression=exp.Literal.number(0)),
                expressions=[exp.true()],
            )
        return exp.cast(args[0], name)

    return emit


def _function(name: str) -> Emit:
    return lambda op, args, types, raw: exp.func(name, *args)


def _round(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """Half to even; with places as numpy computes it, which scales, rounds and scales back."""
    if types[0].kind == "decimal":
        places = raw[1].value if len(raw) > 1 and isinstance(raw[1], Literal) else 0
        return _half_even(args[0], 10 ** max(types[0].scale - int(places or 0), 0))
    if types[0].kind != "float":
        return args[0]
    value, places = exp.cast(args[0], "DOUBLE"), raw[1].value if len(raw) > 1 and isinstance(raw[1], Literal) else 0
    if not isinstance(places, int) or places == 0:
        return exp.func("round_even", value, exp.Literal.number(0))
    scale = exp.cast(exp.Literal.number(10**places), "DOUBLE")
    scaled = exp.Paren(this=exp.Mul(this=value, expression=scale))
    return exp.Div(this=exp.func("round_even", scaled, exp.Literal.number(0)), expression=scale.copy(), typed=True)


def _half_even(value: exp.Expr, unit: int) -> exp.Expr:
    """A whole number by a public power of ten, rounded to the even neighbour."""
    if unit == 1:
        return value
    up = exp.Paren(this=exp.Add(this=value, expression=_constant(unit // 2)))
    whole = [DType("int")] * 2
    quotient, rest = _floordiv("", [up, _constant(unit)], whole, []), _mod("", [up.copy(), _constant(unit)], whole, [])
    odd = _mod("", [exp.Paren(this=quotient.copy()), _constant(2)], whole, [])
    tie = exp.and_(exp.EQ(this=rest, expression=_constant(0)), exp.EQ(this=odd, expression=_constant(1)))
    less = exp.Paren(this=exp.Case().when(tie, _constant(1)).else_(_constant(0)))
    return exp.Sub(this=exp.Paren(this=quotient), expression=less)


def _rescale(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """More digits are exact; fewer are rounded, halves away from zero."""
    value = exp.cast(args[0], "BIGINT") if types[0].kind == "bool" else args[0]
    less = types[0].scale - int(constant_of(raw[1]) or 0)
    if less <= 0:
        return exp.Mul(this=value, expression=_constant(10**-less)) if less else value
    half = exp.Paren(this=exp.Mul(this=exp.func("sign", value), expression=_constant(10**less // 2)))
    return exp.IntDiv(this=exp.Paren(this=exp.Add(this=value.copy(), expression=half)), expression=_constant(10**less))


def _comoment(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """Sum of products less the product of the sums by the count, over the count less ddof."""
    count, a, b, products = args[:4]
    mean = exp.Div(this=exp.Paren(this=exp.Mul(this=a, expression=b)), expression=count, typed=True)
    total: exp.Expr = exp.Paren(this=exp.Sub(this=products, expression=mean))
    if raw[1] == raw[2]:
        total = exp.func("greatest", total, exp.Literal.number(0))
    fewer = exp.Paren(this=exp.Sub(this=count.copy(), expression=args[5].copy()))
    return exp.Case().when(
        exp.GT(this=count.copy(), expression=args[5]), exp.Div(this=total, expression=fewer, typed=True)
    )


def _correlation(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """A variance that is only the rounding error of its sums counts as none."""
    least = exp.cast(exp.Literal.string("1e-6"), "DOUBLE")
    spread = [exp.GT(this=value.copy(), expression=least.copy()) for value in args[1:]]
    scale = exp.Paren(this=exp.Mul(this=exp.func("sqrt", args[1]), expression=exp.func("sqrt", args[2])))
    ratio = exp.Div(this=args[0], expression=scale, typed=True)
    ends = [exp.cast(exp.Literal.string(end), "DOUBLE") for end in ("-1", "1")]
    return exp.Case().when(exp.and_(*spread), exp.func("greatest", ends[0], exp.func("least", ends[1], ratio)))


def _text(name: str) -> Emit:
    return lambda op, args, types, raw: _false(exp.func(name, *args))


def _domain_error_is_null(name: str, low: exp.Expr, *, strict: bool) -> Emit:
    """numpy gives NaN (missing) outside the domain; DuckDB raises."""

    def emit(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
        value = _double(args[0], types[0])
        inside = (exp.GT if strict else exp.GTE)(this=value, expression=low.copy())
        return exp.Case().when(inside, exp.func(name, value.copy()))

    return emit


def _sigmoid(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """``(1 + tanh(x / 2)) / 2``: no exponential that overflows, and the number is written once."""
    half = exp.Div(this=_double(args[0], types[0]), expression=exp.Literal.number(2), typed=True)
    top = exp.Paren(this=exp.Add(this=exp.Literal.number(1), expression=exp.func("tanh", half)))
    return exp.Div(this=top, expression=exp.Literal.number(2), typed=True)


def _extreme(name: str) -> Emit:
    """NULL where either number is, which DuckDB's own functions skip."""

    def emit(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
        numbers = [exp.cast(v, "BIGINT") if t.kind == "bool" else v for v, t in zip(args, types, strict=True)]
        value = exp.func(name, *_aligned(numbers, types))
        missing = [exp.Is(this=v.copy(), expression=exp.null()) for v, t in zip(args, types, strict=True) if t.nullable]
        return exp.Case().when(exp.or_(*missing), exp.null()).else_(value) if missing else value

    return emit


def _sign(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    value = exp.cast(args[0], "BIGINT") if types[0].kind == "bool" else args[0]
    return exp.cast(exp.func("sign", value), "DOUBLE" if types[0].kind == "float" else "BIGINT")


def _add_days(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    moved = exp.Add(this=args[0], expression=exp.Paren(this=exp.func("to_days", exp.cast(args[1], "INTEGER"))))
    return exp.cast(exp.Paren(this=moved), "DATE" if types[0].kind == "date" else "TIMESTAMP")


def _add_months(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    moved = exp.Add(this=args[0], expression=exp.Paren(this=exp.func("to_months", exp.cast(args[1], "INTEGER"))))
    return exp.cast(exp.Paren(this=moved), "DATE" if types[0].kind == "date" else "TIMESTAMP")


def _days_between(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    if types[0].kind == "date":
        return exp.cast(exp.Paren(this=exp.Sub(this=args[0], expression=args[1])), "BIGINT")
    gap = exp.Paren(this=exp.Sub(this=exp.func("epoch_us", args[0]), expression=exp.func("epoch_us", args[1])))
    return _floordiv(op, [gap, _constant(DAY)], [DType("int")] * 2, raw)


def _draw(op: str, args: Args, types: Sequence[DType], raw: Sequence[Expr]) -> exp.Expr:
    """The first 20 bits of the MD5 of ``key:seed`` as text, which every version of DuckDB computes alike."""
    text = exp.DPipe(this=exp.cast(args[0], "VARCHAR"), expression=_constant(f":{constant_of(raw[1])}"))
    digits = exp.func("substring", exp.func("md5", text), _constant(1), _constant(5))
    return exp.cast(exp.Paren(this=exp.DPipe(this=_constant("0x"), expression=digits)), "BIGINT")


def copies(node: Call, at: int) -> int:
    """How often the SQL of an operation writes its argument of that number, about."""
    return _COPIES.get(node.op, 1) if at == 0 or node.op in ("maximum", "minimum") else 1


_COPIES = {"clip": 3, "floordiv": 2, "round": 4, "round_to": 4, "rescale": 2, "sqrt": 2, "log": 2, "maximum": 2,
           "minimum": 2}  # fmt: skip

_CALLS: dict[str, Emit] = {
    "add": _binary(exp.Add),
    "sub": _binary(exp.Sub),
    "mul": _binary(exp.Mul),
    "div": _div,
    "floordiv": _floordiv,
    "mod": _mod,
    "neg": lambda op, args, types, raw: exp.Neg(this=args[0]),
    "abs": _function("abs"),
    "eq": _compare(exp.EQ, when_null=False),
    "ne": _compare(exp.NEQ, when_null=True),
    "lt": _compare(exp.LT, when_null=False),
    "le": _compare(exp.LTE, when_null=False),
    "gt": _compare(exp.GT, when_null=False),
    "ge": _compare(exp.GTE, when_null=False),
    "isin": _isin,
    "and": _logic(exp.And),
    "or": _logic(exp.Or),
    "not": lambda op, args, types, raw: exp.Not(this=args[0]),
    "isna": _is_null,
    "notna": _not_null,
    "fillna": _fillna,
    "decimal": lambda op, args, types, raw: exp.cast(args[0], "BIGINT") if types[0].kind == "bool" else args[0],
    "rescale": _rescale,
    "nonzero": lambda op, args, types, raw: exp.func("nullif", args[0], _constant(0)),
    "where": _where,
    "clip": _clip,
    "int": _cast("BIGINT"),
    "float": _cast("DOUBLE"),
    "bool": _cast("BOOLEAN"),
    "startswith": _text("starts_with"),
    "endswith": _text("ends_with"),
    "contains": _text("contains"),
    "log": _domain_error_is_null("ln", exp.Literal.number(0), strict=True),
    "sqrt": _domain_error_is_null("sqrt", exp.Literal.number(0), strict=False),
    "exp": lambda op, args, types, raw: exp.func("exp", _double(args[0], types[0])),
    "sigmoid": _sigmoid,
    "maximum": _extreme("greatest"),
    "minimum": _extreme("least"),
    "sign": _sign,
    "comoment": _comoment,
    "correlation": _correlation,
    "round": _round,
    "round_to": _round,
    "lower": _function("lower"),
    "upper": _function("upper"),
    "len": _function("length"),
    "year": _function("year"),
    "month": _function("month"),
    "day": _function("day"),
    "quarter": _function("quarter"),
    "add_days": _add_days,
    "days_between": _days_between,
    "add_months": _add_months,
    "draw": _draw,
    "strip": lambda op, args, types, raw: exp.func("trim", args[0], _constant(WHITESPACE)),
    "trim": _function("trim"),
    "like": lambda op, args, types, raw: _false(exp.Like(this=args[0], expression=args[1])),
    "substring": _function("substring"),
    "replace": _function("replace"),
    "concat": lambda op, args, types, raw: exp.DPipe(this=args[0], expression=args[1]),
}
