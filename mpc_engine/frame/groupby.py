"""Lazy group-by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Agg, Aggregate, Expr, Filter, Rel, call, column, literal, make
from mpc_engine.frame.base import each, identity
from mpc_engine.frame.functions import Statistic, degrees, distinct_values, level, statistic
from mpc_engine.frame.groups import Groups
from mpc_engine.frame.over import TOTALS, Made
from mpc_engine.frame.pandas_names import missing
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.rolling import Rolling
from mpc_engine.frame.series import Series
from mpc_engine.frame.windowed import Windowed

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["GroupBy", "SeriesGroupBy", "named_aggs"]

Named = Mapping[str, tuple[str | None, Statistic]]
"""Name of a result: the column and its function; ``size`` needs no column."""


def named_aggs(aggs: Mapping[str, Any]) -> dict[str, tuple[str | None, Statistic]]:
    """``name=("column", function)`` as aggregates."""
    if not aggs:
        raise SchemaError("agg needs at least one aggregate", code="MPC-0115", hint='agg(total=("amount", "sum"))')
    made: dict[str, tuple[str | None, Statistic]] = {}
    for name, pair in aggs.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise SchemaError(f"aggregate {name!r} must be a (column, function) pair", code="MPC-0115")
        how = statistic(pair[1])
        made[name] = (None if how.function == "size" else pair[0], how)
    return made


class _Grouped(Windowed, ABC):
    """What groups of frames and of columns share."""

    _keys: tuple[str, ...]

    @property
    def _groups(self) -> tuple[Expr, ...]:
        return tuple(self._frame._items[key] for key in self._keys)

    _frame: DataFrame

    def sum(self) -> Any:
        """Sum of each group."""
        return self.agg("sum")

    def mean(self) -> Any:
        """Mean of each group."""
        return self.agg("mean")

    def count(self) -> Any:
        """Number of present values of each group."""
        return self.agg("count")

    def min(self) -> Any:
        """Smallest value of each group."""
        return self.agg("min")

    def max(self) -> Any:
        """Largest value of each group."""
        return self.agg("max")

    def median(self) -> Any:
        """Median of each group."""
        return self.agg("median")

    def first(self) -> Any:
        """First present value of each group, in the order of the rows."""
        return self.agg("first")

    def last(self) -> Any:
        """Last present value of each group."""
        return self.agg("last")

    @placed
    def quantile(self, q: float = 0.5, interpolation: str = "linear") -> Any:
        """Quantile of each group, interpolated between the two nearest values."""
        return self._aggregated(Statistic("quantile", level(q, interpolation)))

    @placed
    def nunique(self, *, dropna: bool = True) -> Any:
        """Number of different values of each group."""
        return self._aggregated(distinct_values(dropna=dropna))

    @placed
    def var(self, *, ddof: int = 1) -> Any:
        """Variance of each group, missing for fewer than ``1 + ddof`` rows; its error is that of :meth:`Series.var`."""
        return self._aggregated(Statistic("var", degrees(ddof)))

    @placed
    def std(self, *, ddof: int = 1) -> Any:
        """Standard deviation of each group."""
        return self._aggregated(Statistic("std", degrees(ddof)))

    @placed
    def agg(self, function: Any) -> Any:
        """Aggregate by one function."""
        return self._aggregated(statistic(function))

    @abstractmethod
    def _aggregated(self, how: Statistic) -> Any:
        """``how`` of each group."""

    @placed
    def transform(self, function: Any) -> Any:
        """An aggregate of the group beside each of its rows: sum, mean, count, size, min or max."""
        how = statistic(function)
        if how.function not in TOTALS:
            raise UnsupportedError(
                f"transform({how.function!r}) is not supported",
                code="MPC-0301",
                hint=f"{', '.join(TOTALS)}; or groupby(keys).agg(...) and merge(on=keys)",
            )
        return self._windowed(lambda base, expr: self._over_rows(base).total(expr, how.function))

    @placed
    def cumcount(self, *, ascending: bool = True) -> Series:
        """How many rows of the group come before each."""
        base, expr = self._over_rows(self._frame._base).position(ascending=ascending)
        return Series(self._frame._session, base, expr, "~cumcount")

    @placed
    def rolling(self, window: int, min_periods: int | None = None, *, center: bool = False) -> Rolling[Any]:
        """Not offered: pandas puts the result in the order of the groups."""
        raise UnsupportedError(
            "groupby(...).rolling is not supported", code="MPC-0301", hint="rolling(n) of a sorted frame, or shift(n)"
        )

    @placed
    def expanding(self, min_periods: int = 1) -> Rolling[Any]:
        """Not offered, as :meth:`rolling`."""
        raise UnsupportedError(
            "groupby(...).expanding is not supported", code="MPC-0301", hint="cumsum(), cummin(), cummax()"
        )

    @placed
    def __iter__(self) -> NoReturn:
        raise UnsupportedError(
            "cannot loop over groups: which there are is a secret", code="MPC-0311", hint="groupby(...).agg(...)"
        )


class GroupBy(_Grouped):
    """``df.groupby(keys)``."""

    def __init__(
        self, frame: DataFrame, keys: tuple[str, ...], *, as_index: bool, sort: bool = True, dropna: bool = True
    ) -> None:
        self._frame = frame
        self._keys = keys
        self._as_index = as_index
        self._sort = sort
        self._dropna = dropna

    @property
    def _others(self) -> list[str]:
        return [name for name in self._frame.columns if name not in self._keys]

    @placed
    def agg(self, spec: Any = None, /, **aggs: Any) -> DataFrame:
        """Aggregate: ``agg(total=("amount", "sum"))``, ``agg({"amount": "sum"})``, ``agg("sum")``, ``agg(["sum"])``.

        Functions are ``sum mean count size min max var std median quantile nunique first last``, numpy's of those
        names, or a function that calls one: ``agg(p90=("amount", lambda c: c.quantile(0.9)))``. Where a list names
        several functions for a column, results are called ``amount_sum`` while they are lazy, and have pandas' two
        levels of names when they are collected.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"city": ["Bern", "Basel", "Bern"], "amount": [100, 250, 80]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     groups = session.table("a.t").groupby("city")
        ...     groups.agg(n=("amount", "size"), p90=("amount", lambda c: c.quantile(0.9))).collect()
               n    p90
        city
        Basel  1  250.0
        Bern   2   98.0
        """
        if spec is None:
            return self._made(named_aggs(aggs))
        if isinstance(spec, str) or callable(spec):
            return self._aggregated(statistic(spec))
        if not isinstance(spec, Mapping):
            spec = dict.fromkeys(self._others, spec)
        if all(isinstance(how, str) or callable(how) for how in spec.values()):
            return self._made(named_aggs({name: (name, how) for name, how in spec.items()}))
        return self._labelled(spec)

    def _labelled(self, spec: Mapping[str, Any]) -> DataFrame:
        labels: dict[str, tuple[str, str]] = {}
        made: dict[str, Any] = {}
        for name, functions in spec.items():
            for how in [functions] if isinstance(functions, str) or callable(functions) else functions:
                label = how if isinstance(how, str) else getattr(how, "__name__", str(how))
                labels[f"{name}_{label}"] = (name, label)
                made[f"{name}_{label}"] = (name, how)
        from mpc_engine.frame.labelled import Labelled

        plain = self._made(named_aggs(made))
        return Labelled(plain, labels)

    def _aggregated(self, how: Statistic) -> DataFrame:
        return self._made({name: (name, how) for name in self._others})

    def _made(self, aggs: Named) -> DataFrame:
        frame = self._frame
        for name, (of, _) in aggs.items():
            if name in self._keys:
                raise SchemaError(f"column {name!r} appears twice", code="MPC-0106", hint="rename one")
            if of is not None:
                _ = frame[of] if of not in frame._index else None
        nulls = not self._dropna and any(frame._type(key).nullable for key in self._keys)
        index = self._keys if self._as_index else ()
        if self._sort and all(how.plain for _, how in aggs.values()):
            base, items = self._plainly(aggs, nulls=nulls)
        else:
            groups = Groups(frame, self._keys, nulls=nulls, sort=self._sort)
            items = {name: groups.statistic(of, how) for name, (of, how) in aggs.items()}
            base, keys = groups.finish()
            items = keys | items
        return type(frame)(frame._session, base, items, index)

    def _plainly(self, aggs: Named, *, nulls: bool) -> tuple[Rel, dict[str, Expr]]:
        """One node of the plan, under the names that were asked for."""
        of = dict.fromkeys(name for name, _ in aggs.values() if name is not None and name not in self._keys)
        below = self._frame._with(self._frame._base, {n: self._frame._items[n] for n in (*self._keys, *of)})
        made = tuple(Agg(name, how.function, column_, _param(how)) for name, (column_, how) in aggs.items())
        base = mark(make(Aggregate(below._rel, self._keys, made, nulls)))
        _ = schema_of(base)
        return base, identity(base)

    @placed
    def __getitem__(self, name: str | list[str]) -> Any:
        if isinstance(name, list):
            kept = self._frame[[*(key for key in self._keys if key not in name), *name]]
            return GroupBy(kept, self._keys, as_index=self._as_index, sort=self._sort, dropna=self._dropna)
        _ = self._frame[name]
        return SeriesGroupBy(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._frame.columns:
            raise missing(self, name, self._frame.columns)
        return self[name]

    @placed
    def size(self) -> Any:
        """Number of rows of each group."""
        frame = self._made({"size": (None, Statistic("size"))})
        if not self._as_index:
            return frame
        index = {key: frame._items[key] for key in self._keys}
        return Series(frame._session, frame._base, column("size"), "~size", index)

    @placed
    def head(self, n: int = 5) -> DataFrame:
        """The first ``n`` rows of each group, in the order of the frame."""
        return self._ends(n, ascending=True)

    @placed
    def tail(self, n: int = 5) -> DataFrame:
        """The last ``n`` rows of each group, in the order of the frame."""
        return self._ends(n, ascending=False)

    def _ends(self, n: int, *, ascending: bool) -> DataFrame:
        base, place = self._over_rows(self._frame._base).position(ascending=ascending)
        return self._frame._with(mark(make(Filter(base, call("lt", place, literal(n))))))

    def _windowed(self, made: Callable[[Rel, Expr], Made]) -> DataFrame:
        frame = self._frame
        base, items = each(frame._base, {name: frame._items[name] for name in self._others}, made)
        return frame._with(base, {name: frame._items[name] for name in frame._index} | items)


def _param(how: Statistic) -> float | None:
    return how.param if how.function == "quantile" else None


class SeriesGroupBy(_Grouped):
    """``df.groupby(keys)["column"]``."""

    def __init__(self, groups: GroupBy, name: str) -> None:
        self._of = groups
        self._name = name
        self._frame = groups._frame
        self._keys = groups._keys

    @placed
    def agg(self, function: Any = None, /, **aggs: Any) -> Any:
        """Aggregate the column by one function, or by several, which name the columns of a frame."""
        if function is None:
            return self._of._made(named_aggs({name: (self._name, how) for name, how in aggs.items()}))
        if isinstance(function, str) or callable(function):
            return self._aggregated(statistic(function))
        return self._of._made(named_aggs({_label(how): (self._name, how) for how in function}))

    def _aggregated(self, how: Statistic) -> Any:
        if how.function == "size":
            return self.size()
        if self._name in self._keys:  # pandas counts or adds up the keys themselves
            frame = self._of._made({"~value": (self._name, how)})
            return frame["~value"]._named(self._name) if self._of._as_index else frame
        frame = self._of._made({self._name: (self._name, how)})
        return frame[self._name] if self._of._as_index else frame

    def size(self) -> Any:
        """Number of rows of each group."""
        return self._of.size()

    def _windowed(self, made: Callable[[Rel, Expr], Made]) -> Series:
        of: Series = self._frame[self._name]
        base, expr = made(of._base, of._expr)
        return of._made(base, expr)

    def __getattr__(self, name: str) -> Any:
        raise missing(self, name, ())


def _label(how: Any) -> str:
    return how if isinstance(how, str) else getattr(how, "__name__", str(how))
