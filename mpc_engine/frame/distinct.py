"""Different rows, in the order in which pandas would keep them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ir import Aggregate, Column, Expr, Item, Project, Sort, SortBy, column, make
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["distinct"]


def distinct(frame: DataFrame, subset: Sequence[str]) -> DataFrame:
    """The different rows of ``frame``; see :meth:`mpc_engine.frame.dataframe.DataFrame.drop_duplicates`."""
    names = frame.columns
    if set(subset) != set(names):
        raise UnsupportedError(
            "drop_duplicates of some columns keeps one row of several",
            code="MPC-0301",
            hint="groupby(subset).agg(...) says which value of the others to keep",
        )
    for name in names:
        if frame.dtypes[name].nullable:
            raise UnsupportedError(
                f"drop_duplicates with missing values in {name!r}",
                code="MPC-0301",
                hint=f"fill or drop them first: df.dropna(subset={name!r})",
            )
    order = _order(frame)
    rel = make(Aggregate(make(_projected(frame, order)), tuple(by.column for by in order), ()))
    if not all(by.ascending for by in order):
        rel = make(Sort(rel, order))
    return type(frame)(frame._session, mark(rel), {name: column(name) for name in names})


def _projected(frame: DataFrame, order: Sequence[SortBy]) -> Project:
    return Project(frame._base, tuple(Item(by.column, frame._items[by.column]) for by in order))


def _order(frame: DataFrame) -> tuple[SortBy, ...]:
    """The frame's columns as its rows are sorted by them; later sort keys only order equal rows."""
    names: dict[Expr, str] = {frame._items[name]: name for name in frame.columns}
    order: list[SortBy] = []
    for by in frame._base.by if isinstance(frame._base, Sort) else ():
        if len(order) == len(frame.columns) or Column(by.column) not in names:
            break
        order.append(SortBy(names[Column(by.column)], by.ascending))
    if len(order) < len(frame.columns):
        raise UnsupportedError(
            "drop_duplicates of rows that are not sorted by all columns",
            code="MPC-0301",
            hint=f"df.sort_values({frame.columns!r}).drop_duplicates(), or groupby(...).size()",
        )
    return tuple(order)
