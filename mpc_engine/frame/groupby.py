"""Lazy group-by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Agg, Aggregate, Expr, column, literal, make
from mpc_engine.frame.base import identity
from mpc_engine.frame.moments import Moments
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.reductions import degrees
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

        if any(agg.function in ("var", "std") for agg in aggs):
            return self._moments(aggs)
        if any(agg.function == "nunique" for agg in aggs):
            return self._distinct(aggs)
        needed = [
            *self._keys,
            *dict.fromkeys(agg.column for agg in aggs if agg.column and agg.column not in self._keys),
        ]
        base = mark(make(Aggregate(self._frame[needed].reset_index()._rel, self._keys, aggs)))
        return DataFrame(self._frame._session, base, identity(base), self._keys if self._as_index else ())

    def _moments(self, aggs: tuple[Agg, ...], ddof: int = 1) -> DataFrame:
        """Aggregates of which some are made of several sums."""
        from mpc_engine.frame.dataframe import DataFrame

        frame = self._frame
        moments = Moments(frame._base, {key: frame[key]._expr for key in self._keys})
        items: dict[str, Expr] = {key: column(key) for key in self._keys}
        for agg in aggs:
            if agg.name in items:
                raise SchemaError(f"column {agg.name!r} appears twice", code="MPC-0106", hint="rename one")
            expr = literal(1) if agg.column is None else frame[agg.column]._expr
            items[agg.name] = moments.statistic(expr, agg.function, ddof=ddof)
        return DataFrame(frame._session, moments.relation, items, self._keys if self._as_index else ())

    def _distinct(self, aggs: tuple[Agg, ...]) -> DataFrame:
        """Values counted as groups of groups."""
        from mpc_engine.frame.dataframe import DataFrame

        name, of = aggs[0].name, aggs[0].column or ""
        if len(aggs) > 1:
            raise UnsupportedError(
                "nunique beside other aggregates is not supported",
                code="MPC-0304",
                hint=f"df.groupby(keys)[{of!r}].nunique() by itself",
            )
        if self._frame[of].dtype.nullable:
            raise UnsupportedError(
                f"nunique of groups where {of!r} may be missing",
                code="MPC-0304",
                hint=f"without the groups that have no value: df.dropna(subset={of!r}).groupby(...)",
            )
        values = make(Aggregate(self._frame[[*self._keys, of]].reset_index()._rel, (*self._keys, of), ()))
        base = mark(make(Aggregate(values, self._keys, (Agg(name, "size"),))))
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

    @placed
    def var(self, *, ddof: int = 1) -> DataFrame:
        """Variances of all other columns; the error on shares is that of :meth:`Series.var`."""
        return self._spread("var", ddof)

    @placed
    def std(self, *, ddof: int = 1) -> DataFrame:
        """Standard deviations of all other columns."""
        return self._spread("std", ddof)

    def _spread(self, function: str, ddof: int) -> DataFrame:
        others = [name for name in self._frame.columns if name not in self._keys]
        return self._moments(tuple(Agg(name, function, name) for name in others), degrees(ddof))


class SeriesGroupBy:
    """``df.groupby(keys)["column"]``."""

    def __init__(self, groups: GroupBy, name: str) -> None:
        self._groups = groups
        self._name = name

    @placed
    def agg(self, function: str | Sequence[str]) -> Any:
        """Aggregate the column by one function, or by several, which name the columns of a frame."""
        if not isinstance(function, str):
            return self._groups.agg(**{name: (self._name, name) for name in function})
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

    @placed
    def var(self, *, ddof: int = 1) -> Any:
        """Variance of each group, missing where it has fewer than ``1 + ddof`` values; see :meth:`Series.var`."""
        return self._spread("var", ddof)

    @placed
    def std(self, *, ddof: int = 1) -> Any:
        """Standard deviation of each group; see :meth:`Series.std`."""
        return self._spread("std", ddof)

    def _spread(self, function: str, ddof: int) -> Any:
        frame = self._groups._moments((Agg(self._name, function, self._name),), degrees(ddof))
        return frame[self._name] if self._groups._as_index else frame

    def nunique(self) -> Any:
        """Number of different values of each group; of a column without missing values."""
        return self.agg("nunique")
