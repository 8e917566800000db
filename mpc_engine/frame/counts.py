"""How often each value, or combination of values, occurs."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.ir import Expr, Item, Project, Sort, SortBy, call, column, literal, make
from mpc_engine.frame.base import Lazy
from mpc_engine.frame.functions import Statistic
from mpc_engine.frame.groups import Groups
from mpc_engine.frame.over import Over
from mpc_engine.frame.place import mark
from mpc_engine.frame.series import Series

__all__ = ["value_counts"]


def value_counts(
    frame: Lazy, names: Sequence[str], *, normalize: bool, sort: bool, ascending: bool, dropna: bool
) -> Series:
    """See :meth:`mpc_engine.frame.series.Series.value_counts`."""
    nulls = not dropna and any(frame._type(name).nullable for name in names)
    groups = Groups(frame, names, nulls=nulls, sort=True)
    count = groups.statistic(None, Statistic("size"))
    rel, keys = groups.finish()
    label = "proportion" if normalize else "count"
    items: dict[str, Expr] = {**keys, label: count}
    if normalize:
        rel, total = Over(rel).total(count, "sum")
        items[label] = call("div", count, call("clip", total, literal(1), literal(None)))
    by = "~count"
    base = make(Project(rel, tuple(Item(n, e) for n, e in {**items, by: count}.items())))
    if sort:
        base = make(Sort(base, (SortBy(by, ascending),)))
    return Series(frame._session, mark(base), column(label), label, {name: column(name) for name in names})
