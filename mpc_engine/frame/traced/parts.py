"""Parts of an expression that it needs several times, as columns: written out, loops would grow without bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mpc_compiler.ir import Call, Column, Expr, Rel, call, column
from mpc_engine.frame.base import extended, named_by
from mpc_engine.frame.place import mark

__all__ = ["apart"]

_SMALL = 64
"""Operations that may be written twice."""


def apart(base: Rel, exprs: Mapping[str, Expr]) -> tuple[Rel, dict[str, Expr]]:
    """The expressions over a relation that has large parts, of which there is more than one use, as columns.

    Examples
    --------
    >>> from mpc_compiler.ir import DType, Field, Scan, column, make
    >>> table = make(Scan("a.t", "a", (Field("x", DType("float", lo=0.0, hi=1.0), ("a",)),), 5))
    >>> x = column("x")
    >>> for _ in range(9):
    ...     x = call("mul", x, call("sub", column("x"), x))
    >>> len(repr(apart(table, {"y": x})[1]["y"])) < len(repr(x)) / 4
    True
    """
    parts = _Parts(exprs.values())
    found = {name: parts.over(expr) for name, expr in exprs.items()}
    for level in parts.levels:
        names = {name for name in level if name not in _names(base)}
        base = mark(extended(base, {name: level[name] for name in sorted(names)}))
    return base, found


def _names(base: Rel) -> frozenset[str]:
    from mpc_compiler.check import schema_of

    return frozenset(schema_of(base).names)


class _Parts:
    """Which parts become columns.

    Attributes
    ----------
    levels : list of dict of str to Expr
        Columns by name; those of a level read columns of the levels before it.
    """

    def __init__(self, exprs: Iterable[Expr]) -> None:
        self.levels: list[dict[str, Expr]] = []
        self._uses: Counter[Expr] = Counter()
        self._seen: set[Expr] = set()
        self._done: dict[Expr, tuple[Expr, int, int]] = {}
        for expr in exprs:
            self._count(expr)

    def _count(self, expr: Expr) -> None:
        self._uses[expr] += 1
        if isinstance(expr, Call) and expr not in self._seen:
            self._seen.add(expr)
            for arg in expr.args:
                self._count(arg)

    def over(self, expr: Expr) -> Expr:
        """The expression over the columns."""
        return self._over(expr)[0]

    def _over(self, expr: Expr) -> tuple[Expr, int, int]:
        """The expression, its operations as it is written, and the level that it can be computed above."""
        if not isinstance(expr, Call):
            return expr, 0, 0
        if expr not in self._done:
            args = [self._over(arg) for arg in expr.args]
            made: Expr = call(expr.op, *(arg[0] for arg in args))
            size, level = 1 + sum(arg[1] for arg in args), max((arg[2] for arg in args), default=0)
            if size > _SMALL and self._uses[expr] > 1:
                made, size, level = self._column(expr, made, level), 0, level + 1
            self._done[expr] = made, size, level
        return self._done[expr]

    def _column(self, expr: Expr, made: Expr, level: int) -> Column:
        name = named_by("~part", expr)
        if level == len(self.levels):
            self.levels.append({})
        self.levels[level][name] = made
        return column(name)
