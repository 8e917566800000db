"""Frames whose columns have two levels of names when they are collected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mpc_engine.frame.dataframe import DataFrame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labelled"]


class Labelled(DataFrame):
    """What ``agg`` with several functions of a column gives; any further step gives an ordinary frame.

    Parameters
    ----------
    frame : DataFrame
        With plain names.
    labels : mapping of str to (str, str)
        The two names of each column.
    """

    def __init__(self, frame: DataFrame, labels: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(frame._session, frame._base, frame._items, frame._index)
        self._labels = dict(labels)

    def _with(self, *args: Any) -> DataFrame:
        return DataFrame(self._session, self._base, self._items, self._index)._with(*args)

    def _over(self, *args: Any) -> DataFrame:
        return DataFrame(self._session, self._base, self._items, self._index)._over(*args)

    def _shape(self, data: pd.DataFrame) -> Any:
        import pandas as pd

        shown: pd.DataFrame = super()._shape(data)
        names = [self._labels.get(name, (name, "")) for name in shown.columns]
        return shown.set_axis(pd.MultiIndex.from_tuples(names), axis=1)
