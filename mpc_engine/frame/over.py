"""Columns that depend on other rows: ranks, running and sliding aggregates, values of rows before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Column, Expr, Rel, SortBy, Win, Window, call, column, literal, make
from mpc_engine.frame.base import added, extended, named_by
from mpc_engine.frame.place import mark

__all__ = ["ALL", "BEFORE", "RANKS", "TOTALS", "Made", "Over", "Rows", "frame_of"]

Made: TypeAlias = "tuple[Rel, Expr]"
"""A relation with one more column, and the column."""
Rows: TypeAlias = "tuple[int | None, int | None]"

ALL: Rows = (None, None)
BEFORE: Rows = (None, 0)
RANKS = ("average", "min", "max", "first", "dense")
TOTALS = ("sum", "mean", "count", "size", "min", "max")
"""Aggregates that a window can take."""


@dataclass(frozen=True)
class Over:
    """Rows in their order, perhaps in groups.

    Attributes
    ----------
    base : Rel
        The rows.
    keys : tuple of Expr
        What tells groups apart; none: all rows are one.
    nulls : bool
        Whether missing keys form groups, or rows that have one belong to none.
    """

    base: Rel
    keys: tuple[Expr, ...] = ()
    nulls: bool = False

    def rank(self, expr: Expr, method: str, *, ascending: bool = True, pct: bool = False) -> Made:
        """Places from 1; a missing value has none.

        Raises
        ------
        UnsupportedError
            For an unknown method.
        """
        if method not in RANKS or (pct and method == "dense"):
            raise UnsupportedError(
                f"rank(method={method!r}{', pct=True' if pct else ''}) is not supported",
                code="MPC-0301",
                hint=", ".join(RANKS),
            )
        base, low = self._window("row_number" if method == "first" else _RANKS.get(method, "rank"), None, expr,
                                 ascending=ascending)  # fmt: skip
        if method in ("max", "average"):
            base, high = self._on(base)._window("size", None, expr, ascending=ascending, peers=True)
            low = high if method == "max" else call("div", call("add", low, high), literal(2))
        if pct:
            base, count = self._on(base).total(expr, "count")
            low = call("div", low, call("clip", count, literal(1), literal(None)))
        return base, self._masked(low, expr)

    def cumulative(self, expr: Expr, how: str) -> Made:
        """The aggregate of all rows up to each; missing where the value is."""
        base, value = self._window(how, expr, rows=BEFORE)
        return base, self._masked(value, expr)

    def position(self, *, ascending: bool = True) -> Made:
        """How many rows come before each (or after it)."""
        base, place = self._window("row_number")
        if ascending:
            return base, self._masked(call("sub", place, literal(1)))
        base, size = self._on(base)._window("size", rows=ALL)
        return base, self._masked(call("sub", size, place))

    def total(self, expr: Expr | None, how: str) -> Made:
        """An aggregate of the whole group beside each of its rows."""
        base, value = self._window(how, expr, rows=ALL)
        return base, self._masked(value)

    def shift(self, expr: Expr, rows: int, fill: Expr | None = None) -> Made:
        """The value so many rows before (negative: after); ``fill`` where there is no such row."""
        if rows == 0:
            return self.base, expr
        function, distance = ("lag", rows) if rows > 0 else ("lead", -rows)
        base, value = self._window(function, expr, param=distance)
        if fill is not None:
            base, there = self._on(base)._window(function, literal(1), param=distance)
            value = call("where", call("isna", there), fill, value)
        return base, self._masked(value)

    def sliding(self, expr: Expr, how: str, rows: Rows, least: int) -> Made:
        """An aggregate of the rows around each, missing where fewer than ``least`` values are present."""
        base, value = self._window(how, expr, rows=rows)
        counted, count = (base, value) if how == "count" else self._on(base)._window("count", expr, rows=rows)
        if least > 0:
            value = call("where", call("ge", count, literal(least)), value, literal(None))
        return counted, self._masked(value)

    # --- one window ------------------------------------------------------------------------------------------------

    def _on(self, base: Rel) -> Over:
        return Over(base, self.keys, self.nulls)

    def _window(
        self,
        function: str,
        expr: Expr | None = None,
        by: Expr | None = None,
        *,
        ascending: bool = True,
        param: int = 1,
        rows: Rows = BEFORE,
        peers: bool = False,
    ) -> Made:
        base, names = _columns(self.base, [*self.keys, *(e for e in (by, expr) if e is not None)])
        partition = tuple(names[: len(self.keys)])
        order = (SortBy(names[len(self.keys)], ascending),) if by is not None else ()
        of = None if expr is None else names[-1]

        def win(name: str) -> Win:
            return Win(name, function, of, param, rows, peers)

        name = named_by(function, partition, order, of, param, rows, peers)
        name, there = added(base, name, lambda name: (partition, order, win(name)))
        if there:
            return base, column(name)
        return mark(make(Window(base, partition, order, (win(name),)))), column(name)

    def _masked(self, value: Expr, *needed: Expr) -> Expr:
        """``value`` where no key is missing, nor what it is computed from."""
        schema = schema_of(self.base)
        for expr in (*(() if self.nulls else self.keys), *needed):
            if expr_type(expr, schema).nullable:
                value = call("where", call("notna", expr), value, literal(None))
        return value


_RANKS = {"dense": "dense_rank"}


def _columns(base: Rel, exprs: Sequence[Expr]) -> tuple[Rel, list[str]]:
    """``base`` with a column for each expression, and their names."""
    names, new = [], {}
    for expr in exprs:
        name, there = (expr.name, True) if isinstance(expr, Column) else _value(base, expr)
        names.append(name)
        if not there:
            new[name] = expr
    return extended(base, new), names


def _value(base: Rel, expr: Expr) -> tuple[str, bool]:
    return added(base, named_by("value", expr), lambda _: expr)


def frame_of(window: int, min_periods: int | None, *, center: bool = False) -> tuple[Rows, int]:
    """The rows that a rolling window sees around each row, and how many values must be present.

    Raises
    ------
    SchemaError
        When the window is not a positive number of rows.
    """
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise SchemaError(
            f"rolling needs a number of rows, not {window!r}", code="MPC-0105", hint="rolling(3), in a sorted frame"
        )
    least = window if min_periods is None else min_periods
    if not 0 <= least <= window:
        raise SchemaError(f"min_periods must be 0 to {window}", code="MPC-0105")
    after = (window - 1) // 2 if center else 0
    return (window - 1 - after, after), least
