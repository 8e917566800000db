"""How a quotient of secrets is planned."""

from __future__ import annotations

from mpc_compiler.check.division import plan_division
from mpc_compiler.ir import Call, DType, call, column


def test_a_count_that_is_large_in_units_of_the_dividend_is_not_small() -> None:
    """An average of decimals over 60,175 rows divides hundredths: by 6,017,500, more than the short division takes."""
    expr = call("div", column("total"), column("n"))
    assert isinstance(expr, Call)
    total, count = DType("decimal", lo=0, hi=10**9, scale=2), DType("int", lo=1, hi=60_175)
    plan = plan_division(expr, [total, count], DType("float", lo=0.0, hi=1e7))
    assert plan.den_bounds == (100, 6_017_500)
    assert not plan.small
    assert plan_division(expr, [DType("int", lo=0, hi=10**6), count], DType("float", lo=0.0, hi=1e6)).small
