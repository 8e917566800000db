"""Lazy group-by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Agg, Aggregate, Expr, column, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["GroupBy", "SeriesGroupBy", "named_aggs"]


def named_aggs(aggs: Mapping[str, tuple[str, str]]) -> tuple[Agg, ...]:
    """``name=("column", "function")`` as aggregates."""
    if not aggs:
        raise SchemaError("agg needs at least one aggregate", code="MPC-0115", hint='agg(total=("amount", "sum"))')
    made = []
    for name, pair in aggs.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise SchemaError(f"aggregate {name!r} must be a (column, function) pair", code="MPC-0115")
        made.append(Agg(name, pair[1], None if pair[1] == "size" else pair[0]))
    return tuple(made)


class GroupBy:
    """``df.groupby(keys)``."""

    def __init__(self, frame: DataFrame, keys: tuple[str, ...], *, as_index: bool) -> None:
        self._frame = frame
        self._keys = keys
        self._as_index = as_index

    @placed
    def agg(self, spec: Any = None, /, **aggs: tuple[str, str]) -> DataFrame:
        """Aggregate: ``agg(total=("amount", "sum"))``, ``agg({"amount": "sum"})`` or ``agg("sum")``."""
        if isinstance(spec, str):
            others = [name for name in self._frame.columns if name not in self._keys]
            return self._made(tuple(Agg(name, spec, name) for name in others))
        if isinstance(spec, Mapping):
            return self._made(named_aggs({name: (name, function) for name, function in spec.items()}))
        if spec is not None:
            raise SchemaError("agg takes names, a dictionary or a function name", code="MPC-0115")
        return self._made(named_aggs(aggs))

    def _made(self, aggs: tuple[Agg, ...]) -> DataFrame:
        from mpc_engine.frame.dataframe import DataFrame

        needed = [
            *self._keys,
            *dict.fromkeys(agg.column for agg in aggs if agg.column and agg.column not in self._keys),
        ]
        base = mark(make(Aggregate(self._frame[needed].reset_index()._rel, self._keys, aggs)))
        return DataFrame(self._frame._session, base, identity(base), self._keys if self._as_index else ())

    @placed
    def __getitem__(self, name: str) -> SeriesGroupBy:
        _ = self._frame[name]
        return SeriesGroupBy(self, name)

    def __getattr__(self, name: str) -> SeriesGroupBy:
        if name.startswith("_") or name not in self._frame.columns:
            raise AttributeError(f"no column or method {name!r} of a group-by")
        return self[name]

    @placed
    def size(self) -> Any:
        """Number of rows of each group."""
        frame = self._made((Agg("size", "size"),))
        if not self._as_index:
            return frame
        index: dict[str, Expr] = {key: column(key) for key in self._keys}
        return Series(frame._session, frame._base, column("size"), "~size", index)

    def sum(self) -> DataFrame:
        """Sums of all other columns."""
        return self.agg("sum")

    def mean(self) -> DataFrame:
        """Means of all other columns."""
        return self.agg("mean")

    def count(self) -> DataFrame:
        """Counts of present values of all other columns."""
        return self.agg("count")

    def min(self) -> DataFrame:
        """Smallest values of all other columns."""
        return self.agg("min")

    def max(self) -> DataFrame:
        """Largest values of all other columns."""
        return self.agg("max")


class SeriesGroupBy:
    """``df.groupby(keys)["column"]``."""

    def __init__(self, groups: GroupBy, name: str) -> None:
        self._groups = groups
        self._name = name

    @placed
    def agg(self, function: str) -> Any:
        """Aggregate the column by one function."""
        frame = self._groups._made((Agg(self._name, function, None if function == "size" else self._name),))
        return frame[self._name] if self._groups._as_index else frame

    def sum(self) -> Any:
        """Sum of each group."""
        return self.agg("sum")

    def mean(self) -> Any:
        """Mean of each group."""
        return self.agg("mean")

    def count(self) -> Any:
        """Number of present values of each group."""
        return self.agg("count")

    def size(self) -> Any:
        """Number of rows of each group."""
        return self._groups.size()

    def min(self) -> Any:
        """Smallest value of each group."""
        return self.agg("min")

    def max(self) -> Any:
        """Largest value of each group."""
        return self.agg("max")
