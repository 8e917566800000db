"""Groups that take more than one node of a plan: several sums for a variance, groups of missing keys, other orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.ir import Expr, Rel, Sort, SortBy, column, literal, make
from mpc_engine.frame.functions import Statistic
from mpc_engine.frame.moments import Moments
from mpc_engine.frame.over import Over
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    from mpc_engine.frame.base import Lazy

__all__ = ["Groups"]


class Groups:
    """Collects what is computed for each group.

    Parameters
    ----------
    frame : Lazy
        The rows.
    keys : sequence of str
        Columns.
    nulls : bool
        Whether missing keys form groups, which come last, as in pandas.
    sort : bool
        Whether groups come in the order of their keys, or in that of their first rows.
    """

    def __init__(self, frame: Lazy, keys: Sequence[str], *, nulls: bool, sort: bool) -> None:
        self._items = {key: frame._items[key] for key in keys}
        self._columns = frame._items
        base, self._place = frame._base, None
        if not sort:
            base, self._place = Over(base).position()
        self._moments = Moments(base, self._items, nulls=nulls)

    def statistic(self, of: str | None, how: Statistic) -> Expr:
        """An aggregate, as an expression over what :meth:`finish` returns."""
        return self._moments.statistic(literal(1) if of is None else self._columns[of], how)

    def finish(self) -> tuple[Rel, dict[str, Expr]]:
        """The groups, and their keys; call last."""
        keys: dict[str, Expr] = {key: column(key) for key in self._items}
        if self._place is None:
            return self._moments.relation, keys
        first = self._moments.statistic(self._place, Statistic("min"))
        rel = self._moments.relation
        return mark(make(Sort(rel, (SortBy(getattr(first, "name", "")),)))), keys
