"""Which aggregates of SQL there are."""

from __future__ import annotations

import enum

from sqlglot import exp

from mpc_compiler.sql.text import describe, plain, refused

__all__ = ["FUNCTIONS", "Function", "inner_of"]


class Function(enum.Enum):
    """Aggregates, by the plan's names."""

    SUM = "sum"
    AVG = "mean"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    MEDIAN = "median"
    QUANTILE = "quantile"
    FIRST = "first"
    LAST = "last"
    CORR = "corr"
    VAR = "var"
    STD = "std"
    VAR_POP = "var_pop"
    STD_POP = "std_pop"


FUNCTIONS: dict[type[exp.Expr], Function] = {
    exp.Sum: Function.SUM, exp.Avg: Function.AVG, exp.Min: Function.MIN, exp.Max: Function.MAX,
    exp.Count: Function.COUNT, exp.Median: Function.MEDIAN, exp.PercentileCont: Function.QUANTILE,
    exp.First: Function.FIRST, exp.AnyValue: Function.FIRST, exp.Last: Function.LAST, exp.Corr: Function.CORR,
    exp.Variance: Function.VAR, exp.VariancePop: Function.VAR_POP, exp.Stddev: Function.STD,
    exp.StddevSamp: Function.STD, exp.StddevPop: Function.STD_POP,
}  # fmt: skip


def inner_of(node: exp.AggFunc) -> exp.Expr:
    """What an aggregate takes, without DISTINCT."""
    inner: exp.Expression = node.this
    if not isinstance(inner, exp.Distinct):
        return inner
    plain(inner)
    if len(inner.expressions) != 1:
        raise refused(node, f"{describe(node)} of several columns", "one column")
    column: exp.Expression = inner.expressions[0]
    return column
