"""Rule: a number is compared with a quotient of whole numbers by multiplying, so that the answer is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.check.division import divisor_bounds
from mpc_compiler.ir import (
    MAX_INT,
    Call,
    Column,
    Expr,
    Filter,
    Item,
    Join,
    Limit,
    Literal,
    Plan,
    Project,
    Rel,
    Schema,
    Sort,
    Window,
    call,
    column,
    constant_of,
    literal,
    make,
    rebuild,
    transform_plan,
)
from mpc_compiler.rules.beside import rewrite_beside

__all__ = ["compare_exactly"]

_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_EXACT = ("int", "decimal")


def compare_exactly(plan: Plan) -> Plan:
    """Compare ``x < c * (s / n)`` as ``x * n < c * s``, for whole numbers and decimals with ``n > 0``.

    Averages are the usual case. Where the quotient is made further down, its parts come up beside it. What would leave
    the ring is left as it is, and compared within the error of a quotient.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, loans, filtered
    >>> from mpc_compiler.ir import call, column
    >>> mean = call("div", column("age"), call("clip", column("bad"), literal(1), literal(None)))
    >>> as_plan(make(Filter(loans, call("gt", column("id"), mean)))).show(compare_exactly)
    filter ((id * clip(bad, 1, None)) > age)
      scan a.loans [id, age, bad] 5 rows of a
    """
    return transform_plan(plan, lambda rel: rewrite_beside(rel, _step))


def _step(expr: Call, rel: Rel) -> tuple[Rel, Expr] | None:
    if expr.op in _COMPARISONS and any(_may_be_quotient(arg, rel) for arg in expr.args):
        return _compared(expr, rel)
    return None


def _may_be_quotient(expr: Expr, rel: Rel) -> bool:
    return not isinstance(expr, Literal) and expr_type(expr, schema_of(rel)).kind == "float"


@dataclass(frozen=True)
class _Side:
    """``factor * num / den`` over the columns of ``rel``; ``den`` None: 1."""

    rel: Rel
    factor: Fraction
    num: Expr
    den: Expr | None = None


def _compared(expr: Call, rel: Rel) -> tuple[Rel, Expr] | None:
    left = _side(expr.args[0], rel)
    right = None if left is None else _side(expr.args[1], left.rel)
    if left is None or right is None or (left.den is None and right.den is None):
        return None
    schema = schema_of(right.rel)
    for side in (left, right):
        if expr_type(side.num, schema).kind not in _EXACT or not _above_zero(side.den, schema):
            return None
    up, down = left.factor.numerator * right.factor.denominator, left.factor.denominator * right.factor.numerator
    common = math.gcd(up, down) or 1
    first, second = _times(left.num, right.den, up // common), _times(right.num, left.den, down // common)
    made = call(expr.op, first, second)
    return (right.rel, made) if all(_fits(side, schema) for side in _aligned(first, second, schema)) else None


def _times(num: Expr, other: Expr | None, factor: int) -> Expr:
    product = num if other is None else call("mul", num, other)
    return product if factor == 1 else call("mul", product, literal(factor))


def _aligned(first: Expr, second: Expr, schema: Schema) -> list[Expr]:
    """Both sides in the units in which they are compared."""
    scale = max(expr_type(side, schema).scale for side in (first, second))
    return [call("mul", side, literal(10 ** (scale - expr_type(side, schema).scale))) for side in (first, second)]


def _fits(expr: Expr, schema: Schema) -> bool:
    """Whether neither the number nor anything that it is made of leaves the ring."""
    if not isinstance(expr, Call):
        return True
    dtype = expr_type(expr, schema)
    if dtype.kind not in _EXACT:
        return True
    inside = dtype.lo is not None and dtype.hi is not None and max(abs(dtype.lo), abs(dtype.hi)) < MAX_INT
    return inside and all(_fits(arg, schema) for arg in expr.args)


def _above_zero(den: Expr | None, schema: Schema) -> bool:
    if den is None:
        return True
    dtype = expr_type(den, schema)
    found = divisor_bounds(dtype) if dtype.kind in _EXACT else None
    return found is not None and found[0] > 0


def _side(expr: Expr, rel: Rel) -> _Side | None:
    """A side of a comparison as a fraction; None if it is none."""
    constant = constant_of(expr)
    if isinstance(expr, Literal) or constant is not None:
        if isinstance(constant, bool | str) or constant is None:
            return None
        exact = Fraction(repr(constant)) if isinstance(constant, float) else Fraction(constant)
        return _Side(rel, exact, literal(1))
    if expr_type(expr, schema_of(rel)).kind in _EXACT:
        return _Side(rel, Fraction(1), expr)
    if isinstance(expr, Column):
        return _defined(rel, expr.name)
    found = _split(expr)
    if found is None:
        return None
    factor, inner = found
    if isinstance(inner, Call) and inner.op == "div":
        return _Side(rel, factor, *inner.args[:2])
    side = None if inner == expr else _side(inner, rel)
    return side and _Side(side.rel, side.factor * factor, side.num, side.den)


def _split(expr: Expr) -> tuple[Fraction, Expr] | None:
    """A constant factor, and what it stands before: a quotient, a column or a number; None for anything else."""
    if not isinstance(expr, Call):
        return Fraction(1), expr
    if expr.op == "float":
        return _split(expr.args[0])
    if expr.op == "neg":
        found = _split(expr.args[0])
        return found and (-found[0], found[1])
    if expr.op == "where":
        return _guarded(expr)
    if expr.op == "div" and constant_of(expr.args[1]) is None:
        return Fraction(1), expr
    if expr.op not in ("mul", "div"):
        return Fraction(1), expr
    for this, other in ((0, 1), (1, 0)):
        constant = constant_of(expr.args[other])
        if constant is None or isinstance(constant, bool | str) or (expr.op == "div" and other == 0):
            continue
        exact = Fraction(repr(constant)) if isinstance(constant, float) else Fraction(constant)
        found = _split(expr.args[this])
        return found and (found[0] * exact if expr.op == "mul" else found[0] / exact, found[1])
    return None


def _guarded(expr: Call) -> tuple[Fraction, Expr] | None:
    """A quotient that is missing where its divisor is 0 by a choice before it."""
    test, then, otherwise = expr.args
    found = _split(then)
    if found is None or not isinstance(test, Call) or test.op not in ("gt", "ne") or constant_of(test.args[1]) != 0:
        return None
    if not isinstance(otherwise, Literal) or otherwise.value is not None:
        return None
    factor, inner = found
    if not isinstance(inner, Call) or inner.op != "div":
        return None
    count = inner.args[1]
    if count == call("clip", test.args[0], literal(1), literal(None)) or count == test.args[0]:
        return factor, call("div", inner.args[0], call("nonzero", test.args[0]))
    return None


# --- quotients that are made further down ---------------------------------------------------------------------------


def _defined(rel: Rel, name: str) -> _Side | None:
    """The column ``name`` as a fraction of columns that come up from where it is made."""
    if isinstance(rel, Project):
        return _in_projection(rel, name)
    if isinstance(rel, Filter | Sort | Limit | Window):
        side = _defined(rel.input, name) if schema_of(rel.input).field(name) is not None else None
        return side and _Side(rebuild(rel, (side.rel,)), side.factor, side.num, side.den)
    if isinstance(rel, Join):
        return _in_join(rel, name)
    return None


def _in_projection(rel: Project, name: str) -> _Side | None:
    expr = next(item.expr for item in rel.items if item.name == name)
    side = _side(expr, rel.input)
    if side is None or side.den is None:
        return None
    parts = [Item(f"{name}~{part}", value) for part, value in (("num", side.num), ("den", side.den))]
    if {part.name for part in parts} & {item.name for item in rel.items}:
        return None
    made = make(Project(side.rel, (*rel.items, *parts)))
    return _Side(made, side.factor, column(parts[0].name), column(parts[1].name))


def _in_join(rel: Join, name: str) -> _Side | None:
    for at in ("left",) if rel.how in ("semi", "anti") else ("left", "right"):
        below, other = (rel.left, rel.right) if at == "left" else (rel.right, rel.left)
        if schema_of(below).field(name) is None:
            continue
        side = _defined(below, name)
        taken = set(schema_of(other).names)
        if side is None or taken & set(schema_of(side.rel).names):
            return None
        inputs = (side.rel, rel.right) if at == "left" else (rel.left, side.rel)
        return _Side(rebuild(rel, inputs), side.factor, side.num, side.den)
    return None
