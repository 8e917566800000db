"""Rule: a quotient of sums says how large it can be, where its ranges alone do not tell."""

from __future__ import annotations

from fractions import Fraction

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.ir import (
    Aggregate,
    Call,
    Column,
    Expr,
    Filter,
    Item,
    Literal,
    Local,
    Plan,
    Project,
    Rel,
    Sort,
    call,
    constant_of,
    make,
    substitute,
    transform_plan,
)

__all__ = ["bound_quotients"]


def bound_quotients(plan: Plan) -> Plan:
    """Tell a quotient its bound where it is one of a part by its whole: ``SUM(CASE WHEN c THEN x END) / SUM(x)``.

    A sum may be anything from 0 to the number of rows times the largest value, and the least size of the other one is a
    single unit: ranges alone let such a quotient be far too large to be computed. But no part is more than its whole.

    Examples
    --------
    >>> from mpc_compiler.ir import Agg, column, literal
    >>> from mpc_compiler.rules.examples import as_plan, loans
    >>> part = call("where", call("eq", column("bad"), literal(1)), column("age"), literal(0))
    >>> both = make(Project(loans, (Item("part", part), Item("age", column("age")))))
    >>> sums = make(Aggregate(both, (), (Agg("part", "sum", "part"), Agg("age", "sum", "age"))))
    >>> share = call("div", call("mul", literal(100), column("part")), column("age"))
    >>> as_plan(make(Project(sums, (Item("share", share),)))).show(bound_quotients)
    project share=div((100 * part), age, 100.0)
      aggregate part=sum(part), age=sum(age)
        project part=where((bad == 1), age, 0), age
          scan a.loans [id, age, bad] 5 rows of a
    """
    return transform_plan(plan, _step)


def _step(rel: Rel) -> Rel:
    if isinstance(rel, Project):
        return make(Project(rel.input, tuple(Item(item.name, _bounded(item.expr, rel.input)) for item in rel.items)))
    if isinstance(rel, Filter):
        return make(Filter(rel.input, _bounded(rel.predicate, rel.input)))
    return rel


def _bounded(expr: Expr, rel: Rel) -> Expr:
    if not isinstance(expr, Call):
        return expr
    args = [_bounded(arg, rel) for arg in expr.args]
    if expr.op == "div" and len(args) == 2 and constant_of(args[1]) is None:
        share = _share(rel, args[0], args[1])
        if share is not None:
            return call("div", *args, Literal(float(share)))
    return call(expr.op, *args)


def _share(rel: Rel, part: Expr, whole: Expr) -> Fraction | None:
    """How many times `whole`, at most, `part` is in size, in every row where both are there; None if unknown."""
    (part_factor, part), (whole_factor, whole) = _core(part), _core(whole)
    if not whole_factor:
        return None
    found = _core_share(rel, part, whole)
    return None if found is None else found * abs(part_factor / whole_factor)


def _core(expr: Expr) -> tuple[Fraction, Expr]:
    """A constant factor, and what it multiplies; a value that is missing in some rows counts as itself."""
    if isinstance(expr, Call):
        if expr.op == "where" and _is_null(expr.args[2]):
            return _core(expr.args[1])
        if expr.op == "nonzero":
            return _core(expr.args[0])
        if expr.op == "mul":
            for at in (0, 1):
                factor = constant_of(expr.args[at])
                if factor is not None and not isinstance(factor, str | bool):
                    inner, core = _core(expr.args[1 - at])
                    return inner * Fraction(factor), core
    return Fraction(1), expr


def _is_null(expr: Expr) -> bool:
    """Whether an expression is the constant NULL."""
    return isinstance(expr, Literal) and expr.value is None


def _core_share(rel: Rel, part: Expr, whole: Expr) -> Fraction | None:
    if part == whole:
        return Fraction(1)
    if not (isinstance(part, Column) and isinstance(whole, Column)):
        return None
    if isinstance(rel, Filter | Sort | Local):
        return _core_share(rel.input, part, whole)
    if isinstance(rel, Project):
        exprs = {item.name: item.expr for item in rel.items}
        return _share(rel.input, exprs[part.name], exprs[whole.name])
    if not isinstance(rel, Aggregate):
        return None
    aggs = {agg.name: agg for agg in rel.aggs}
    a, b = aggs.get(part.name), aggs.get(whole.name)
    if a is None or b is None or a.column is None or b.column is None or (a.function, b.function) != ("sum", "sum"):
        return None
    return _of_rows(rel.input, Column(a.column), Column(b.column))


def _of_rows(rel: Rel, part: Expr, whole: Expr) -> Fraction | None:
    """The same of every row's summands; the whole's are at least 0, so that they do not cancel."""
    lo = expr_type(whole, schema_of(rel)).lo
    if lo is None or lo < 0:
        return None
    while isinstance(rel, Project | Filter | Sort | Local):
        if isinstance(rel, Project):
            exprs = {item.name: item.expr for item in rel.items}
            part, whole = substitute(part, exprs.__getitem__), substitute(whole, exprs.__getitem__)
        rel = rel.input
    factor, core = _core(whole)
    found = _of_row(rel, part, core)
    return None if found is None or factor <= 0 else found / factor


def _of_row(rel: Rel, part: Expr, whole: Expr) -> Fraction | None:
    factor, part = _core(part)
    if constant_of(part) == 0 or not factor or _is_null(part):
        return Fraction(0)
    found = Fraction(1) if part == whole else _inside(rel, part, whole)
    return None if found is None else found * abs(factor)


def _inside(rel: Rel, part: Expr, whole: Expr) -> Fraction | None:
    if not isinstance(part, Call):
        return None
    if part.op == "where":
        branches = [_of_row(rel, branch, whole) for branch in part.args[1:]]
        known = [branch for branch in branches if branch is not None]
        return max(known) if len(known) == len(branches) else None
    if part.op == "mul" and expr_type(part, schema_of(rel)).kind != "float":  # else rounded, so that a part may be more
        for at in (0, 1):
            found, by = _of_row(rel, part.args[at], whole), expr_type(part.args[1 - at], schema_of(rel))
            if found is not None and by.kind in ("int", "decimal") and by.lo is not None and by.hi is not None:
                return found * Fraction(max(map(abs, by.bounds))) / by.unit
    return None
