"""Large parts that expressions need several times, as columns of their own: written out, they grow without bound."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping

from mpc_compiler.ir.expr import Call, Expr, call, column

__all__ = ["apart", "depth", "large"]

LARGE = 24
"""Operations of a part that is not written twice."""
_MOST = 512
"""Operations of what rules may write once more."""
Levels = list[dict[str, Expr]]


def apart(
    exprs: Mapping[str, Expr], name: Callable[[Expr], str], copies: Callable[[Call, int], int] = lambda node, at: 1
) -> tuple[Levels, dict[str, Expr]]:
    """Expressions over columns for their large parts of which there is more than one use.

    Parameters
    ----------
    exprs : mapping of str to Expr
    name : callable
        What the column of a part is called.
    copies : callable
        How often an operation will write its argument of that number.

    Returns
    -------
    (list of dict of str to Expr, dict of str to Expr)
        The columns, in levels that read columns of the levels before, and the expressions over all of them.

    Examples
    --------
    >>> x = column("x")
    >>> for _ in range(6):
    ...     x = call("mul", x, x)
    >>> levels, made = apart({"y": x}, lambda part: "part")
    >>> [list(level) for level in levels], made["y"]
    ([['part']], (part * part))
    """
    uses: Counter[Expr] = Counter(exprs.values())
    seen: set[Expr] = set()
    for expr in exprs.values():
        _count(expr, uses, seen, copies)
    levels: Levels = []
    done: dict[Expr, tuple[Expr, int, int]] = {}

    def over(expr: Expr) -> tuple[Expr, int, int]:
        """The expression, how many operations it writes, and the level that it can be computed above."""
        if not isinstance(expr, Call):
            return expr, 0, 0
        if expr not in done:
            args = [over(arg) for arg in expr.args]
            made: Expr = call(expr.op, *(arg[0] for arg in args))
            size = 1 + sum(arg[1] * copies(expr, at) for at, arg in enumerate(args))
            level = max((arg[2] for arg in args), default=0)
            if size > LARGE and uses[expr] > 1:
                if level == len(levels):
                    levels.append({})
                levels[level][name(expr)] = made
                made, size, level = column(name(expr)), 0, level + 1
            done[expr] = made, size, level
        return done[expr]

    return levels, {key: over(expr)[0] for key, expr in exprs.items()}


def _count(expr: Expr, uses: Counter[Expr], seen: set[Expr], copies: Callable[[Call, int], int]) -> None:
    if isinstance(expr, Call) and expr not in seen:
        seen.add(expr)
        for at, arg in enumerate(expr.args):
            uses[arg] += copies(expr, at)
            _count(arg, uses, seen, copies)


@functools.lru_cache(maxsize=65536)
def depth(expr: Expr) -> int:
    """How many operations come one after another.

    Examples
    --------
    >>> depth(call("add", call("neg", column("a")), call("neg", column("a"))))
    2
    """
    return 1 + max(map(depth, expr.args), default=0) if isinstance(expr, Call) else 0


def large(expr: Expr) -> bool:
    """Whether an expression has so many operations, as it is written, that a rule should not write it again.

    Examples
    --------
    >>> x = column("x")
    >>> for _ in range(20):
    ...     x = call("mul", x, x)
    >>> large(x), large(column("x"))
    (True, False)
    """
    return _operations(expr) > _MOST


@functools.lru_cache(maxsize=65536)
def _operations(expr: Expr) -> int:
    return 1 + sum(map(_operations, expr.args)) if isinstance(expr, Call) else 0
