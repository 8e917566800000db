"""Statistics over one relation: the aggregates that they need, each once, and expressions over them."""

from __future__ import annotations

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.ir import Agg, Aggregate, Expr, Item, Project, Rel, call, column, make
from mpc_compiler.moments import Sums
from mpc_engine.frame.functions import Statistic
from mpc_engine.frame.place import mark

__all__ = ["Moments"]


class Moments:
    """Collects the aggregates that statistics need over one relation, each once.

    Parameters
    ----------
    base : Rel
        Rows.
    keys : dict of str to Expr
        What to group by; empty: all rows are one group.
    nulls : bool
        Whether missing keys form groups.
    """

    def __init__(self, base: Rel, keys: dict[str, Expr], *, nulls: bool = False) -> None:
        self._nulls = nulls
        self._base, self._keys = base, keys
        self._sums = Sums(schema_of(base), rows_of(base), self._aggregate)
        self._columns: dict[Expr, str] = {}
        self._aggs: dict[tuple[str, str | None, float | None], str] = {}

    @property
    def relation(self) -> Rel:
        """The keys and everything that was asked for."""
        items = [Item(name, expr) for name, expr in self._keys.items()]
        items += [Item(name, expr) for expr, name in self._columns.items()]
        aggs = tuple(Agg(name, function, of, param) for (function, of, param), name in self._aggs.items())
        return mark(make(Aggregate(make(Project(self._base, tuple(items))), tuple(self._keys), aggs, self._nulls)))

    def statistic(self, expr: Expr, how: Statistic) -> Expr:
        """``how`` of ``expr`` as an expression over :attr:`relation`."""
        if how.function in ("var", "std"):
            return self._sums.spread(expr, how.function, int(how.param or 0))
        if how.function == "nunique" and how.param:  # a missing value counts as one more
            size, count = self._aggregate("size", expr), self._aggregate("count", expr)
            return call("add", self._aggregate("nunique", expr), call("int", call("gt", size, count)))
        return self._aggregate(how.function, expr, how.param if how.function == "quantile" else None)

    def correlation(self, left: Expr, right: Expr) -> Expr:
        """Pearson's correlation of the rows where both are present, as an expression over :attr:`relation`."""
        return self._sums.correlation(left, right)

    def _aggregate(self, function: str, expr: Expr, param: float | None = None) -> Expr:
        of = None
        if function != "size":
            of = self._columns.setdefault(expr, f"~{len(self._columns)}")
        return column(self._aggs.setdefault((function, of, param), f"~{function}{len(self._aggs)}"))
