"""How far the fixed-point numbers of a result may be from the true ones: derived from the plan before anything runs.

Below u = 2**-18, the unit in the last of 18 fraction bits:

- a float is rounded once on its way into shares: u. Whole numbers, decimals, dates and text are exact;
- sums, differences and choices add or pass on the errors they get; a sum of rows adds those of all rows;
- a product is truncated, which is off by at most one unit beside the rounding itself (Mohassel and Rindal, CCS 2018,
  section 5.1): ``|a| error(b) + |b| error(a) + error(a) error(b) + 2 u``, without the last where one is whole;
- products with public constants, quotients and means have the bounds of ``ops.rational``, ``ops.quotient`` and
  ``ops.numeric``, on top of what their arguments are off;
- a decision (a comparison, rounding, a choice) on a number that is off may be another one: then only the range of the
  result bounds the error, and what its arguments are off, since they may be beyond their ranges by so much.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from mpc_compiler.check import expr_type, rows_of, schema_of
from mpc_compiler.check.division import divisor_bounds, plan_division
from mpc_compiler.check.transcendental import root_error
from mpc_compiler.errors import MpcError
from mpc_compiler.ir import (
    FRACTION_BITS,
    Agg,
    Aggregate,
    Apply,
    Call,
    Column,
    DType,
    Expr,
    Filter,
    Fit,
    Join,
    Limit,
    Literal,
    Local,
    Metric,
    Project,
    Rel,
    Scan,
    Schema,
    Shared,
    Sort,
    Union,
    Window,
    constant_of,
)
from mpc_compiler.ops.quotient import ERROR
from mpc_compiler.ops.ranked import quantile_bits
from mpc_compiler.ops.rational import fraction_of, rational_error
from mpc_compiler.ops.transcendental import EXP_ABSOLUTE, EXP_RELATIVE, LOG_ERROR

__all__ = ["error_bound"]

UNIT = 2.0**-FRACTION_BITS
_SMALL = 1 << 12


@functools.lru_cache(maxsize=4096)
def error_bound(rel: Rel) -> Mapping[str, float]:
    """Bounds of the absolute errors of all columns of a relation that is computed on shares.

    Parameters
    ----------
    rel : Rel
        Over shared relations.

    Returns
    -------
    mapping of str to float
        0 for what is exact, infinity for what models make (see their own documentation). That rows are kept or dropped
        by a comparison of numbers that are off is no error of a column.

    Examples
    --------
    >>> from mpc_compiler.ir import DType, Field, Item, Shared, call, column, literal, make
    >>> fields = (Field("x", DType("float", lo=0.0, hi=8.0), ("a",)), Field("n", DType("int", lo=1, hi=9), ("b",)))
    >>> shares = make(Shared("s", fields, ("x", "n"), 100))
    >>> made = make(Project(shares, (Item("y", call("mul", column("x"), column("x"))), Item("n", column("n")))))
    >>> {name: bound / 2**-18 for name, bound in error_bound(made).items()}
    {'y': 18.000003814697266, 'n': 0.0}
    """
    schema = schema_of(rel)
    if isinstance(rel, Shared):
        return {f.name: UNIT if f.dtype.kind == "float" else 0.0 for f in schema}
    if isinstance(rel, Project):
        below, types = error_bound(rel.input), schema_of(rel.input)
        return {item.name: _Expression(below, types).of(item.expr) for item in rel.items}
    if isinstance(rel, Filter | Sort | Limit):
        return error_bound(rel.input)
    if isinstance(rel, Join):
        both = {**error_bound(rel.left), **error_bound(rel.right)}
        return {f.name: both[f.name] for f in schema}
    if isinstance(rel, Union):
        return {f.name: max(_converted(side, f.name, f.dtype) for side in (rel.left, rel.right)) for f in schema}
    if isinstance(rel, Aggregate):
        kept = {name: error_bound(rel.input)[name] for name in rel.keys}
        return kept | {agg.name: _aggregate(agg, rel.input, rows_of(rel.input)) for agg in rel.aggs}
    if isinstance(rel, Window):
        made = {}
        for win in rel.wins:
            if win.function in ("lag", "lead"):
                made[win.name] = error_bound(rel.input)[win.column or ""]
            elif win.column is None or win.function in ("row_number", "rank", "dense_rank"):
                made[win.name] = 0.0
            else:
                made[win.name] = _aggregate(Agg(win.name, win.function, win.column), rel.input, rows_of(rel.input))
        return {**error_bound(rel.input), **made}
    if isinstance(rel, Fit | Apply | Metric):
        known = error_bound(rel.input) if isinstance(rel, Apply) else {}
        return {f.name: known.get(f.name, math.inf if f.dtype.kind == "float" else 0.0) for f in schema}
    clear = isinstance(rel, Scan | Local)
    return {f.name: 0.0 if clear or f.dtype.kind != "float" else math.inf for f in schema}


def _field(schema: Schema, name: str) -> DType:
    field = schema.field(name)
    assert field is not None
    return field.dtype


def _converted(side: Rel, name: str, to: DType) -> float:
    dtype = _field(schema_of(side), name)
    return error_bound(side)[name] + (_as_float(dtype) if to.kind == "float" else 0.0)


def _as_float(dtype: DType) -> float:
    """What turning a number into a fixed-point one adds."""
    return _factor_error(1, dtype.unit, dtype) if dtype.scale else 0.0


def _factor_error(num: int, den: int, dtype: DType) -> float:
    return rational_error(num, den, most=_largest(dtype) * dtype.unit + 1, whole=dtype.kind != "float")


def _largest(dtype: DType) -> float:
    return float(max(map(abs, dtype.limits)))


def _aggregate(agg: Agg, rel: Rel, rows: int) -> float:
    if agg.column is None or agg.function in ("size", "count", "nunique"):
        return 0.0
    error, dtype = error_bound(rel)[agg.column], _field(schema_of(rel), agg.column)
    if agg.function == "sum":
        return _times(rows, error) + UNIT if dtype.kind == "float" else 0.0
    if agg.function in ("mean", "median", "quantile"):
        unit = 2.0**-17 if dtype.scale else 0.0
        return error + ERROR + unit + (0.0 if agg.function == "mean" else _interpolated(agg, dtype, rows))
    return error


def _interpolated(agg: Agg, dtype: DType, rows: int) -> float:
    """What a level that is no short binary fraction leaves of the distance of two neighbours."""
    bits = quantile_bits(0.5 if agg.function == "median" else float(agg.param or 0.0), rows)[1]
    lo, hi = dtype.limits
    return 0.0 if bits <= FRACTION_BITS else float(hi - lo) * (2.0**-34 + rows * 2.0 ** -(bits + 1))


class _Expression:
    """Errors of expressions over the columns of one relation."""

    def __init__(self, columns: Mapping[str, float], schema: Schema) -> None:
        self._columns, self._schema = columns, schema
        self._done: dict[Expr, float] = {}

    def type(self, expr: Expr) -> DType:
        return expr_type(expr, self._schema)

    def of(self, expr: Expr) -> float:
        """The error of an expression; of what is no float, 0 if no decision in it can be another one."""
        if isinstance(expr, Column):
            return self._columns[expr.name]
        if isinstance(expr, Literal):
            exact = not isinstance(expr.value, float) or (expr.value / UNIT).is_integer()
            return 0.0 if exact else UNIT / 2
        if expr not in self._done:
            errors = [self.of(arg) for arg in expr.args]
            rule = _RULES.get(expr.op, _decided)
            self._done[expr] = rule(self, expr, errors)
        return self._done[expr]

    def width(self, expr: Expr) -> float:
        """How far two numbers in the range of an expression may be apart."""
        dtype = self.type(expr)
        if dtype.kind == "bool":
            return 1.0
        try:
            lo, hi = dtype.limits
        except MpcError:
            return math.inf
        return float(hi - lo) + 2 * UNIT


Rule = Callable[[_Expression, Call, Sequence[float]], float]


def _decided(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """Exact if the arguments are. Quotients by whole numbers move by no more than what is divided, and a step."""
    if not any(errors):
        return 0.0
    return 1.0 if found.type(expr).kind == "bool" else found.width(expr) + sum(errors) + 1.0


def _signed(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    return 2.0 if any(errors) else 0.0


def _clipped(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """Both what is true and what is computed are between the ends, if both are given."""
    ends = [constant_of(arg) for arg in expr.args[1:]]
    apart = math.inf
    if all(isinstance(end, int | float | Decimal) for end in ends):
        low, high = (float(end) for end in ends if isinstance(end, int | float | Decimal))
        apart = abs(high - low) + 2 * UNIT
    return min(_passed(found, expr, errors), apart)


def _added(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    if found.type(expr).kind != "float":
        return 0.0
    return sum(errors) + sum(_as_float(found.type(arg)) for arg in expr.args if constant_of(arg) is None)


def _passed(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """Of alternatives that are chosen by what is exact, or by no decision at all."""
    other = found.width(expr) if expr.op == "where" and errors[0] else 0.0
    values = zip(
        expr.args[1:] if expr.op == "where" else expr.args, errors[1:] if expr.op == "where" else errors, strict=True
    )
    to_float = found.type(expr).kind == "float"
    return other + max(error + (_as_float(found.type(arg)) if to_float else 0.0) for arg, error in values)


def _times(size: float, error: float) -> float:
    """Nothing is off by nothing, even if there is no bound for what it is multiplied by."""
    return size * error if size and error else 0.0


def _multiplied(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    if found.type(expr).kind != "float":
        return 0.0
    for this, other in ((0, 1), (1, 0)):
        constant = constant_of(expr.args[other])
        if constant is not None and not isinstance(constant, bool | str):
            return _scaled(found, expr.args[this], errors[this], float(constant), inverse=False)
    (a, b), (ea, eb) = (found.type(arg) for arg in expr.args), errors
    ea, eb = ea + _as_float(a), eb + _as_float(b)
    cut = 2 * UNIT if all(t.kind == "float" or t.scale for t in (a, b)) else 0.0
    return _times(_largest(a), eb) + _times(_largest(b), ea) + _times(ea, eb) + cut


def _scaled(found: _Expression, arg: Expr, error: float, constant: float, *, inverse: bool) -> float:
    """A product with a public constant, or a quotient by one."""
    dtype, ratio = found.type(arg), fraction_of(constant)
    written = Fraction(repr(constant))
    factor, meant = (1 / ratio, 1 / written) if inverse else (ratio, written)
    off = float(abs(factor - meant)) * _largest(dtype)
    if (factor / dtype.unit).denominator == 1 and abs(factor) <= _SMALL:
        return _times(abs(float(factor)), error) + off
    exact = factor / dtype.unit
    return _times(abs(float(factor)), error) + off + _factor_error(exact.numerator, exact.denominator, dtype)


def _divided(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    constant = constant_of(expr.args[1])
    if constant is not None and not isinstance(constant, bool | str):
        return _scaled(found, expr.args[0], errors[0], float(constant), inverse=True)
    types, result = [found.type(arg) for arg in expr.args], found.type(expr)
    bounds = divisor_bounds(types[1])
    if bounds is None:
        return math.inf
    plan_division(expr, types, result)
    least = float(bounds[2]) / types[1].unit
    if errors[1] >= least:
        return math.inf
    return (errors[0] + _largest(result) * errors[1]) / (least - errors[1]) + ERROR + 2.0**-17


def _float(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    return errors[0] + _as_float(found.type(expr.args[0]))


def _rounded(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """A number that is off may be rounded to the other neighbour."""
    if found.type(expr.args[0]).kind != "float":
        return 0.0
    places = constant_of(expr.args[1]) if len(expr.args) > 1 else 0
    step = 10.0 ** -int(places if isinstance(places, int) else 0)
    return (step + errors[0] if errors[0] else 0.0) + (2.0**-17 if places else 0.0)


def _truncated(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    return 1.0 + errors[0] if errors[0] else 0.0


def _root(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """The roots of two numbers differ by the root of their difference at most, and by it over the larger root."""
    dtype = found.type(expr.args[0])
    least, error = float(dtype.limits[0]), errors[0] + _as_float(dtype)
    moved = min(math.sqrt(error), error / math.sqrt(least)) if least > 0 else math.sqrt(error)
    return moved + root_error(_largest(dtype))


def _log(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """A relative error below it is an absolute one above; no bound where the number may be as small as its error."""
    dtype = found.type(expr.args[0])
    least = dtype.limits[0]
    if dtype.kind != "float" and not errors[0]:
        return LOG_ERROR + UNIT / 2
    if least <= errors[0]:
        return math.inf
    return -math.log1p(-errors[0] / least) + LOG_ERROR


_MOST_EXPONENT = 700.0
"""An error that is larger is no bound, and would overflow here."""


def _exp(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """An absolute error below it is a relative one above."""
    dtype = found.type(expr.args[0])
    error, largest = min(errors[0] + _as_float(dtype), _MOST_EXPONENT), math.exp(dtype.limits[1])
    return largest * (math.expm1(error) + math.exp(error) * EXP_RELATIVE) + EXP_ABSOLUTE


def _sigmoid(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """Its slope is at most 1/4; 2**-13 bounds clip, polynomial and rounding of ``sigmoid`` together."""
    return (errors[0] + _as_float(found.type(expr.args[0]))) / 4 + 2.0**-13


def _spread(found: _Expression, expr: Call, errors: Sequence[float]) -> float:
    """The bound that :class:`mpc_engine.frame.moments.Moments` derives, for columns of half-width ``limit ** 0.5``."""
    limit = constant_of(expr.args[4])
    assert isinstance(limit, float)
    width = 2 * math.sqrt(limit)
    return width**2 * 2.0**-20 + width * 2.0**-16 + 2.0**-16


_RULES: dict[str, Rule] = {
    "add": _added,
    "sub": _added,
    "neg": _passed,
    "abs": _passed,
    "mul": _multiplied,
    "div": _divided,
    "float": _float,
    "fillna": _passed,
    "where": _passed,
    "clip": _clipped,
    "nonzero": _passed,
    "isna": lambda found, expr, errors: 0.0,
    "notna": lambda found, expr, errors: 0.0,
    "round": _rounded,
    "round_to": _rounded,
    "int": _truncated,
    "sqrt": _root,
    "sigmoid": _sigmoid,
    "sign": _signed,
    "maximum": _passed,
    "minimum": _passed,
    "log": _log,
    "exp": _exp,
    "comoment": _spread,
}
