"""Logarithms and exponentials to other bases, as expressions."""

from __future__ import annotations

import math
from collections.abc import Callable

from mpc_compiler.ir import Expr, call, literal

__all__ = ["OTHER_FUNCTIONS", "log_to_base"]


def log_to_base(expr: Expr, base: float) -> Expr:
    """The logarithm to a base above 0 that is not 1.

    Examples
    --------
    >>> from mpc_compiler.ir import column
    >>> log_to_base(column("x"), math.e)
    (log(x) * 1.0)
    """
    return call("mul", call("log", expr), literal(1 / math.log(base)))


OTHER_FUNCTIONS: dict[str, Callable[[Expr], Expr]] = {
    "log1p": lambda x: call("log", call("add", x, literal(1))),
    "log2": lambda x: log_to_base(x, 2),
    "log10": lambda x: log_to_base(x, 10),
    "expm1": lambda x: call("sub", call("exp", x), literal(1)),
    "exp2": lambda x: call("exp", call("mul", x, literal(math.log(2)))),
}
"""By numpy's names. Their errors are absolute ones, at an owner, too: log1p of 1e-20 is 0."""
