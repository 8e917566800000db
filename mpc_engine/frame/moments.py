"""Statistics over one relation: the aggregates that they need, each once, and expressions over them."""

from __future__ import annotations

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import AGGREGATES, Agg, Aggregate, Expr, Item, Project, Rel, column, make
from mpc_compiler.moments import Sums
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
    """

    def __init__(self, base: Rel, keys: dict[str, Expr]) -> None:
        self._base, self._keys = base, keys
        self._sums = Sums(schema_of(base), rows_of(base), self._aggregate)
        self._columns: dict[Expr, str] = {}
        self._aggs: dict[tuple[str, str | None], str] = {}

    @property
    def relation(self) -> Rel:
        """The keys and everything that was asked for."""
        items = [Item(name, expr) for name, expr in self._keys.items()]
        items += [Item(name, expr) for expr, name in self._columns.items()]
        aggs = tuple(Agg(name, function, of) for (function, of), name in self._aggs.items())
        return mark(make(Aggregate(make(Project(self._base, tuple(items))), tuple(self._keys), aggs)))

    def statistic(self, expr: Expr, function: str, *, ddof: int = 1) -> Expr:
        """``function`` of ``expr`` as an expression over :attr:`relation`."""
        if function in ("var", "std"):
            return self._sums.spread(expr, function, ddof)
        if function not in AGGREGATES:
            raise UnsupportedError(
                f"aggregate {function!r} is not supported here",
                code="MPC-0304",
                hint=f"supported: {', '.join((*AGGREGATES, 'var', 'std'))}; nunique and value_counts by themselves",
            )
        return self._aggregate(function, expr)

    def correlation(self, left: Expr, right: Expr) -> Expr:
        """Pearson's correlation of the rows where both are present, as an expression over :attr:`relation`."""
        return self._sums.correlation(left, right)

    def _aggregate(self, function: str, expr: Expr) -> Expr:
        of = None
        if function != "size":
            of = self._columns.setdefault(expr, f"~{len(self._columns)}")
        return column(self._aggs.setdefault((function, of), f"~{function}{len(self._aggs)}"))
