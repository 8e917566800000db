"""The lazy data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    DType,
    Expr,
    Filter,
    Limit,
    Rel,
    Sort,
    SortBy,
    call,
    column,
    make,
)
from mpc_engine.frame.base import Lazy, common, identity, one_session, public_length
from mpc_engine.frame.distinct import distinct
from mpc_engine.frame.groupby import GroupBy, named_aggs
from mpc_engine.frame.merge import keys_of, merged
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.query import parse_query
from mpc_engine.frame.series import Series, constant, named_column
from mpc_engine.frame.summary import Summary, aggregated, correlations, described

__all__ = ["DataFrame"]


class DataFrame(Lazy):
    """A lazy table over several owners' data: pandas' names, and nothing runs before ``collect()``.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> tables = {"bank": {"loans": pd.DataFrame({"id": [1, 2, 3], "amount": [100, 250, 80]})},
    ...           "bureau": {"scores": pd.DataFrame({"id": [3, 1, 9], "score": [700, 640, 800]})}}
    >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
    ...     joint = session.table("bank.loans").merge(session.table("bureau.scores"), on="id")
    ...     joint[joint.score > 600].assign(ratio=lambda t: t.amount * 2).collect()
       id  amount  score  ratio
    0   1     100    640    200
    1   3      80    700    160
    """

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return [name for name in self._items if name not in self._index]

    @property
    def dtypes(self) -> dict[str, DType]:
        """The public type of each column."""
        return self._types

    @property
    def owners(self) -> tuple[str, ...]:
        """Everyone whose rows this frame depends on."""
        return self._owners

    @property
    @placed
    def shape(self) -> tuple[int, int]:
        """Rows and columns, where the number of rows is public."""
        return public_length(self._base), len(self.columns)

    def _with(self, base: Rel, items: dict[str, Expr] | None = None) -> DataFrame:
        return DataFrame(self._session, base, self._items if items is None else items, self._index)

    def _over(self, rel: Rel) -> DataFrame:
        return DataFrame(self._session, rel, identity(rel), self._index)

    @placed
    def __getitem__(self, key: str | list[str] | Series) -> Any:
        if isinstance(key, Series):
            if key.dtype.kind != "bool":
                raise SchemaError(f"a filter needs a boolean, not {key.dtype.kind}", code="MPC-0103", hint="compare it")
            one_session(self, key)
            base = common(self._base, key._base)
            return self._with(make(Filter(base, key._expr)))
        if isinstance(key, list):
            chosen = {name: named_column(self._session, self._base, self._items, (), name)._expr for name in key}
            return self._with(self._base, {name: self._items[name] for name in self._index} | chosen)
        if isinstance(key, str):
            return named_column(self._session, self._base, self._items, self._index, key)
        raise SchemaError(
            f"cannot select by a {type(key).__name__}", code="MPC-0103", hint="a name, list of names, or mask"
        )

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._items:
            return self[name]  # type: ignore[no-any-return]
        from difflib import get_close_matches

        near = get_close_matches(name, [*self._items, *dir(type(self))], n=1)
        raise AttributeError(f"no column or method {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    @placed
    def __setitem__(self, key: str, value: Any) -> NoReturn:
        raise UnsupportedError("a frame is immutable", code="MPC-0313", hint=f"df = df.assign({key}=...)")

    @placed
    def __bool__(self) -> bool:
        raise UnsupportedError("the program cannot branch on a secret value", code="MPC-0310", hint="collect() first")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    @placed
    def __len__(self) -> int:
        return public_length(self._base)

    @placed
    def query(self, text: str) -> DataFrame:
        """Rows for which ``text`` holds, e.g. ``"age > 30 and purpose == 'car'"``; ``@name`` reads your variable."""
        series = parse_query(text, self)
        return self[series]  # type: ignore[no-any-return]

    @placed
    def assign(self, **columns: Any) -> DataFrame:
        """Add or replace columns: series, constants, or functions of the frame."""
        frame = self
        for name, value in columns.items():
            made = value(frame) if callable(value) else value
            if isinstance(made, Series):
                one_session(self, made)
                frame = frame._with(common(frame._base, made._base), frame._items | {name: made._expr})
            else:
                frame = frame._with(frame._base, frame._items | {name: constant(made)})
        return frame

    @placed
    def rename(self, *, columns: Mapping[str, str]) -> DataFrame:
        """Rename columns."""
        for name in columns:
            named_column(self._session, self._base, self._items, (), name)
        names = [columns.get(name, name) for name in self._items]
        if len(set(names)) != len(names):
            raise SchemaError("rename would give two columns one name", code="MPC-0106")
        return self._with(self._base, dict(zip(names, self._items.values(), strict=True)))

    @placed
    def drop(self, *, columns: str | Sequence[str]) -> DataFrame:
        """Leave out columns."""
        gone = [columns] if isinstance(columns, str) else list(columns)
        for name in gone:
            named_column(self._session, self._base, self._items, (), name)
        return self._with(self._base, {name: expr for name, expr in self._items.items() if name not in gone})

    def reset_index(self) -> DataFrame:
        """Make the index ordinary columns."""
        return DataFrame(self._session, self._base, self._items)

    def isna(self) -> DataFrame:
        """Whether each value is missing."""
        return self._each(lambda name, expr: call("isna", expr))

    def notna(self) -> DataFrame:
        """Whether each value is present."""
        return self._each(lambda name, expr: call("notna", expr))

    @placed
    def fillna(self, value: Any) -> DataFrame:
        """Replace missing values by a constant, or by one for each column of a dictionary."""
        given = dict(value) if isinstance(value, Mapping) else dict.fromkeys(self.columns, value)
        for name in given:
            named_column(self._session, self._base, self._items, (), name)
        return self._each(
            lambda name, expr: (
                call("fillna", expr, constant(given[name])) if name in given and self._types[name].nullable else expr
            )
        )

    def _each(self, change: Callable[[str, Expr], Expr]) -> DataFrame:
        items = {name: expr if name in self._index else change(name, expr) for name, expr in self._items.items()}
        return self._with(self._base, items)

    @placed
    def dropna(self, *, subset: str | Sequence[str] | None = None) -> DataFrame:
        """Rows that have all values, or those of the columns ``subset``."""
        frame = self
        for name in self.columns if subset is None else keys_of(subset, None):
            column_ = named_column(self._session, frame._base, frame._items, (), name)
            if column_.dtype.nullable:
                frame = frame[column_.notna()]
        return frame

    @placed
    def drop_duplicates(self, *, subset: Sequence[str] | None = None) -> DataFrame:
        """Different rows of a frame that is sorted by all its columns, in that order.

        pandas keeps the first of equal rows; where those stand is only told apart without an order of its own when the
        rows are sorted. Columns must be whole numbers, texts, booleans or dates, without missing values.

        Raises
        ------
        UnsupportedError
            When the frame is not sorted by all its columns, or ``subset`` leaves one out.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"city": ["Bern", "Basel", "Bern"], "year": [2024, 2023, 2024]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").sort_values(["city", "year"]).drop_duplicates().collect()
            city  year
        0  Basel  2023
        1   Bern  2024
        """
        return distinct(self, self.columns if subset is None else list(subset))

    @placed
    def merge(
        self,
        right: DataFrame,
        *,
        on: str | Sequence[str] | None = None,
        left_on: str | Sequence[str] | None = None,
        right_on: str | Sequence[str] | None = None,
        how: str = "inner",
        suffixes: tuple[str, str] = ("_x", "_y"),
    ) -> DataFrame:
        """Inner join on keys that are unique at each owner, in the order of the left rows.

        Between two owners this is a private set intersection: both owners learn which of their rows match,
        and every computing party learns how many do. ``explain()`` lists it.
        """
        if how != "inner":
            raise UnsupportedError(f"merge(how={how!r}) is not supported", code="MPC-0309", hint="how='inner'")
        one_session(self, right)
        left_keys, right_keys = keys_of(on, left_on), keys_of(on, right_on)
        if not left_keys or len(left_keys) != len(right_keys):
            raise SchemaError("merge needs on=, or left_on= and right_on= of equal length", code="MPC-0107")
        for frame, keys in ((self, left_keys), (right, right_keys)):
            for name in keys:
                key = named_column(frame._session, frame._base, frame._items, (), name)
                if key.dtype.nullable:
                    raise SchemaError(
                        f"the merge key {name!r} has missing values",
                        code="MPC-0109",
                        hint=f"drop them first: df[df[{name!r}].notna()]",
                    )
        return merged(self, right, left_keys, right_keys, suffixes)

    @placed
    def groupby(
        self, by: str | Sequence[str], *, sort: bool = True, dropna: bool = True, as_index: bool = True
    ) -> GroupBy:
        """Group by columns; the groups that occur, and how many, are part of what the receiver learns."""
        if not sort or not dropna:
            option = "sort=False" if not sort else "dropna=False"
            raise UnsupportedError(f"groupby({option}) is not supported", code="MPC-0314", hint="leave it out")
        keys = keys_of(by, None)
        for name in keys:
            named_column(self._session, self._base, self._items, (), name)
        return GroupBy(self, tuple(keys), as_index=as_index)

    @placed
    def agg(self, spec: Any = None, /, **aggs: tuple[str, str]) -> Any:
        """Aggregates over all rows, as one row or laid out as pandas does.

        Parameters
        ----------
        spec : dict, list or str
            Functions of columns, ``{"amount": ["sum", "mean"], "age": "max"}``, or functions of every column:
            ``sum mean count size min max var std``.
        **aggs : tuple of str
            Named ones: ``total=("amount", "sum")``, which give a lazy frame of one row.

        Returns
        -------
        DataFrame or Summary
            A summary has the functions as rows and the columns as columns when it is collected.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [100, 250], "age": [30, 51]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").agg({"amount": ["sum", "mean"], "age": ["max"]}).collect()
              amount   age
        sum    350.0   NaN
        mean   175.0   NaN
        max      NaN  51.0
        """
        if spec is not None:
            for name in spec if isinstance(spec, Mapping) else ():
                named_column(self._session, self._base, self._items, (), name)
            return aggregated(self, self._shown, spec)
        made = named_aggs(aggs)
        if any(agg.function in ("var", "std") for agg in made):
            return GroupBy(self, (), as_index=False).agg(**aggs)
        base = mark(make(Aggregate(self._rel, (), made)))
        return DataFrame(self._session, base, identity(base))

    @property
    def _shown(self) -> dict[str, Expr]:
        return {name: self._items[name] for name in self.columns}

    @placed
    def describe(self) -> Summary:
        """Count, mean, standard deviation, least and largest value of numeric columns; quantiles are left out.

        The error of ``std`` on shares is that of :meth:`Series.std`.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [100, 250, 130]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").describe().collect()
                   amount
        count    3.000000
        mean   160.000000
        std     79.372539
        min    100.000000
        max    250.000000
        """
        return described(self, self._shown)

    @placed
    def corr(self) -> Summary:
        """Pearson's correlation of all pairs of numeric columns, each over the rows where both are present.

        On shares within ``2**-13 + 2**-20 / q**2 * max(1, 8 / W)`` of the true one, where q is the smaller standard
        deviation as a part of its column's public range, which is W wide; perhaps missing where q is below
        ``2**-11 * max(1, 2 / W)``. In the clear it is double precision.
        """
        return correlations(self, self._shown)

    @placed
    def sort_values(self, by: str | Sequence[str], *, ascending: bool | Sequence[bool] = True) -> DataFrame:
        """Rows sorted by columns; missing values come last."""
        names = keys_of(by, None)
        flags = [ascending] * len(names) if isinstance(ascending, bool) else list(ascending)
        if len(flags) != len(names):
            raise SchemaError("ascending needs one flag for each column", code="MPC-0105")
        for name in names:
            named_column(self._session, self._base, self._items, (), name)
        order = tuple(SortBy(name, flag) for name, flag in zip(names, flags, strict=True))
        return self._over(make(Sort(self._rel, order)))

    @placed
    def head(self, n: int = 5) -> DataFrame:
        """The first ``n`` rows."""
        return self._over(make(Limit(self._rel, n)))

    def nlargest(self, n: int, columns: str | Sequence[str]) -> DataFrame:
        """The ``n`` rows with the largest values, largest first; of equal ones the first."""
        return self.sort_values(columns, ascending=False).head(n)

    def nsmallest(self, n: int, columns: str | Sequence[str]) -> DataFrame:
        """The ``n`` rows with the smallest values, smallest first; of equal ones the first."""
        return self.sort_values(columns).head(n)

    @placed
    def value_counts(self, subset: str | Sequence[str]) -> Series:
        """Number of rows of each combination, most frequent first."""
        names = keys_of(subset, None)
        counts = make(Aggregate(self[names]._rel, tuple(names), (Agg("count", "size"),)))
        base = mark(make(Sort(counts, (SortBy("count", False),))))
        return Series(self._session, base, column("count"), "count", {name: column(name) for name in names})

    def pipe(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``function(self, ...)``."""
        return function(self, *args, **kwargs)

    def __repr__(self) -> str:
        lines = [f"<lazy frame; owners: {', '.join(self._owners)}; .collect() computes it>"]
        lines += [f"  {name}: {dtype!r}" for name, dtype in self._types.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from mpc_engine.frame.html import schema_html

        return schema_html(self)
