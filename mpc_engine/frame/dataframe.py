"""The lazy data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, overload

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
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
from mpc_engine.frame.base import beside, common, each, extended, fresh, identity, one_session, public_length
from mpc_engine.frame.constants import constant
from mpc_engine.frame.counts import value_counts
from mpc_engine.frame.distinct import distinct
from mpc_engine.frame.groupby import GroupBy
from mpc_engine.frame.merge import Sides, keys_of, merged
from mpc_engine.frame.over import Made, Over
from mpc_engine.frame.pandas_names import missing
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.query import parse_query
from mpc_engine.frame.scalar import Scalar
from mpc_engine.frame.series import Series, named_column
from mpc_engine.frame.statistics import Statistics
from mpc_engine.frame.summary import aggregated
from mpc_engine.frame.windowed import Windowed

__all__ = ["DataFrame"]


class DataFrame(Windowed, Statistics):
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

    @overload
    def __getitem__(self, key: str) -> Series: ...

    @overload
    def __getitem__(self, key: list[str] | Series) -> DataFrame: ...

    @placed
    def __getitem__(self, key: str | list[str] | Series) -> Series | DataFrame:
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

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._items:
            return self[name]
        raise missing(self, name, self._items)

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
        return self[parse_query(text, self)]

    @placed
    def assign(self, **columns: Any) -> DataFrame:
        """Add or replace columns: series, constants, or functions of the frame."""
        frame = self
        for name, value in columns.items():
            made = value(frame) if callable(value) else value
            if isinstance(made, Scalar):
                one_session(self, made)
                one, expr = made._one
                frame = frame._with(beside(frame._base, one), frame._items | {name: expr})
            elif isinstance(made, Series):
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
    def drop_duplicates(self, subset: str | Sequence[str] | None = None, *, keep: str | bool = "first") -> DataFrame:
        """One row of those that have the same values in ``subset`` (default: all columns), in their order.

        Parameters
        ----------
        subset : str or sequence of str, optional
        keep : {"first", "last", False}
            Which of them; False: rows that have no equal.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"city": ["Bern", "Basel", "Bern"], "year": [2024, 2023, 2024]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").drop_duplicates().collect()
            city  year
        0   Bern  2024
        1  Basel  2023
        """
        return distinct(self, self.columns if subset is None else keys_of(subset), keep)

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
        indicator: bool | str = False,
        hidden: bool = False,
        max_rows: int | None = None,
    ) -> DataFrame:
        """Rows of two frames that agree in their keys, with pandas' columns and order.

        Missing keys match each other, as in pandas. Where a key repeats on both sides the number of pairs depends on
        secrets, and ``max_rows`` must bound it; one side's key is unique where its profile says so, after
        ``groupby``, or where :class:`mpc_engine.Source` declares it.

        Parameters
        ----------
        right : DataFrame
        on, left_on, right_on : str or sequence of str
            The keys; without any, all names that both frames have.
        how : {"inner", "left", "right", "outer", "semi", "anti"}
            ``semi`` keeps the rows of this frame that have a match, ``anti`` those that have none, each once.
        suffixes : tuple of str
            For other names that both frames have.
        indicator : bool or str
            Adds a text column, ``_merge`` or so named: both, left_only or right_only.
        hidden : bool
            Match on shares even where owners could intersect their keys.
        max_rows : int, optional
            Most pairs of rows that match, where keys repeat on both sides; that there are more would be an error.

        Notes
        -----
        An inner merge of two owners on unique keys is a private set intersection unless it is ``hidden``: both owners
        learn which of their rows match, and every computing party learns how many do. All others disclose nothing.
        ``explain()`` says which it is.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> tables = {"bank": {"loans": pd.DataFrame({"id": [1, 2, 3], "amount": [100, 250, 80]})},
        ...           "bureau": {"scores": pd.DataFrame({"id": [3, 1, 9], "score": [700, 640, 800]})}}
        >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
        ...     loans, scores = session.table("bank.loans"), session.table("bureau.scores")
        ...     loans.merge(scores, on="id", how="outer", indicator=True).collect()
           id  amount  score      _merge
        0   1   100.0  640.0        both
        1   2   250.0    NaN   left_only
        2   3    80.0  700.0        both
        3   9     NaN  800.0  right_only
        """
        one_session(self, right)
        left_keys, right_keys = keys_of(on, left_on), keys_of(on, right_on)
        if on is None and left_on is None and right_on is None:
            left_keys = right_keys = [name for name in self.columns if name in right.columns]
        if not left_keys or len(left_keys) != len(right_keys):
            raise SchemaError(
                "merge needs on=, or left_on= and right_on= of equal length, or columns of the same name",
                code="MPC-0107",
            )
        for frame, keys in ((self, left_keys), (right, right_keys)):
            for name in keys:
                named_column(frame._session, frame._base, frame._items, (), name)
        sides = Sides(self, right, left_keys, right_keys, suffixes)
        return merged(sides, how, indicator=indicator, hidden=hidden, max_rows=max_rows)

    @placed
    def groupby(
        self,
        by: str | Series | Sequence[str | Series],
        *,
        sort: bool = True,
        dropna: bool = True,
        as_index: bool = True,
    ) -> GroupBy:
        """Group by columns; the groups that occur, and how many, are part of what the receiver learns.

        Parameters
        ----------
        by : str, Series, or several
            Columns of this frame, or computed from them. Not floats: ``cut`` makes bins of them.
        sort : bool
            Whether groups come in the order of their keys, or of their first rows.
        dropna : bool
            Whether rows with a missing key are left out, or form a group of their own, which comes last.
        as_index : bool
            Whether keys become the index of what is collected.
        """
        frame, keys = self, list[str]()
        for key in [by] if isinstance(by, str | Series) else by:
            if isinstance(key, Series):
                name = key.name if not key.name.startswith("~") else f"key_{len(keys)}"
                frame = frame.assign(**{name: key})
                keys.append(name)
            else:
                named_column(self._session, self._base, self._items, (), key)
                keys.append(key)
        return GroupBy(frame, tuple(keys), as_index=as_index, sort=sort, dropna=dropna)

    @placed
    def agg(self, spec: Any = None, /, **aggs: tuple[str, str]) -> Any:
        """Aggregates over all rows, as one row or laid out as pandas does.

        Parameters
        ----------
        spec : dict, list or str
            Functions of columns, ``{"amount": ["sum", "mean"], "age": "max"}``, or functions of every column:
            ``sum mean count size min max var std median quantile nunique first last``, or functions that call one:
            ``lambda c: c.quantile(0.9)``.
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
        return GroupBy(self, (), as_index=False).agg(**aggs)

    @placed
    def sort_values(
        self,
        by: str | Sequence[str],
        *,
        ascending: bool | Sequence[bool] = True,
        na_position: str = "last",
        ignore_index: bool = True,
        kind: str = "stable",
    ) -> DataFrame:
        """Rows sorted by columns; equal ones keep their order. Missing values come last, or first.

        ``ignore_index`` and ``kind`` change nothing: rows have no index, and every sort is stable.
        """
        names = keys_of(by, None)
        flags = [ascending] * len(names) if isinstance(ascending, bool) else list(ascending)
        if len(flags) != len(names):
            raise SchemaError("ascending needs one flag for each column", code="MPC-0105")
        if na_position not in ("first", "last"):
            raise SchemaError(f"na_position={na_position!r} is neither first nor last", code="MPC-0105")
        order: list[SortBy] = []
        missing_: dict[str, Expr] = {}
        for name, flag in zip(names, flags, strict=True):
            key = named_column(self._session, self._base, self._items, (), name)
            if na_position == "first" and key.dtype.nullable:
                missing_[f"{name}~missing"] = call("isna", key._expr)
                order.append(SortBy(f"{name}~missing", False))
            order.append(SortBy(name, flag))
        rel = make(Sort(self._with(self._base, self._items | missing_)._rel, tuple(order)))
        return self._with(mark(rel), {name: column(name) for name in self._items})

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
    def tail(self, n: int = 5) -> DataFrame:
        """The last ``n`` rows."""
        base, place = Over(self._rel).position()
        name = fresh(base, "~place")
        last = make(Limit(make(Sort(extended(base, {name: place}), (SortBy(name, False),))), n))
        return self._with(mark(make(Sort(last, (SortBy(name),)))), {key: column(key) for key in self._items})

    @placed
    def value_counts(
        self,
        subset: str | Sequence[str] | None = None,
        *,
        normalize: bool = False,
        sort: bool = True,
        ascending: bool = False,
        dropna: bool = True,
    ) -> Series:
        """Number of rows of each combination, most frequent first; see :meth:`Series.value_counts`."""
        names = self.columns if subset is None else keys_of(subset)
        for name in names:
            named_column(self._session, self._base, self._items, (), name)
        return value_counts(self, names, normalize=normalize, sort=sort, ascending=ascending, dropna=dropna)

    def _windowed(self, made: Callable[[Rel, Expr], Made]) -> DataFrame:
        base, items = each(self._base, self._shown, made)
        return self._with(base, {name: self._items[name] for name in self._index} | items)

    @placed
    def astype(self, dtype: Any) -> DataFrame:
        """Cast all columns, or those of a dictionary."""
        given = dtype if isinstance(dtype, Mapping) else dict.fromkeys(self.columns, dtype)
        return self.assign(**{name: self[name].astype(kind) for name, kind in given.items()})

    @placed
    def round(self, decimals: int | Mapping[str, int] = 0) -> DataFrame:
        """Round the numeric columns, or those of a dictionary; see :meth:`Series.round`."""
        numeric = [name for name in self.columns if self._type(name).kind in ("int", "float")]
        given = decimals if isinstance(decimals, Mapping) else dict.fromkeys(numeric, decimals)
        return self.assign(**{name: self[name].round(places) for name, places in given.items()})

    def abs(self) -> DataFrame:
        """Magnitude of all values."""
        return self._each(lambda name, expr: call("abs", expr))

    @placed
    def clip(self, lower: float | None = None, upper: float | None = None) -> DataFrame:
        """Limit all values to constants."""
        return self._each(lambda name, expr: call("clip", expr, constant(lower), constant(upper)))

    @placed
    def persist(self) -> DataFrame:
        """Run now, and keep the result as shares at the computing parties: later queries of the session start from it.

        Nobody learns anything. What one owner computes alone is not kept, since it costs little to compute again.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> tables = {"bank": {"loans": pd.DataFrame({"id": [1, 2, 3], "amount": [100, 250, 80]})},
        ...           "bureau": {"scores": pd.DataFrame({"id": [3, 1, 9], "score": [700, 640, 800]})}}
        >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
        ...     both = session.table("bank.loans").merge(session.table("bureau.scores"), on="id").persist()
        ...     mpc.collect(both.amount.sum(), both.score.max())
        [180, 700]
        """
        base = mark(self._session.persist_frame(self))
        return DataFrame(self._session, base, identity(base), self._index)

    @placed
    def map_jax(self, fn: Callable[..., Any], columns: str | Sequence[str]) -> Any:
        """A JAX function of one row, for every row.

        The function is called once, here, with one abstract scalar for each column (``jax.make_jaxpr``). Its equations
        are read as the same expressions that ``df.a * 2`` makes: those are what the parties get, and neither the
        function nor its code. It can therefore be used wherever a column can, its ranges and error bounds are derived,
        and what reads one owner's columns is computed by that owner. As it sees one row it cannot mix rows.

        Parameters
        ----------
        fn : callable
            Takes as many scalars as there are columns: int64, float64 or bool. Decimals, and whole numbers of which
            some may be missing, come as float64, as ``collect()`` has them; a missing value is NaN. Returns a scalar,
            or a dict, tuple, list or named tuple of scalars.
        columns : str or sequence of str
            The arguments, in the order of the function's parameters.

        Returns
        -------
        Series or DataFrame
            A frame, with the dict's names, the fields, or "0", "1" and so on, where the function returns several. NaN
            is missing.

        Raises
        ------
        SchemaError
            MPC-0103: a column of text or dates. MPC-0126: as many columns as the function does not take, or results
            that are no numbers.
        UnsupportedError
            MPC-0318: a step that expressions do not have, a loop that does not end by itself. MPC-0310: a Python ``if``
            on an argument. ``where`` is the line of the function.
        RangeError
            When run: what could leave the ring.

        Notes
        -----
        Offered are arithmetic, comparisons, ``jnp.where``, ``select``, ``clip``, ``maximum``, rounding, powers, roots,
        exponentials, logarithms, ``jax.nn.sigmoid``, ``tanh``, ``relu``; ``lax.cond``, loops of a constant number of
        turns, small arrays of a row's numbers with their sums and products with constant matrices, ``jax.grad`` and
        ``jax.jit`` of all these. Whole numbers do not wrap around, and float32 is computed like float64.

        Examples
        --------
        >>> import pandas as pd, jax.numpy as jnp, mpc_engine as mpc
        >>> tables = {"bank": {"loans": pd.DataFrame({"id": [1, 2, 3], "debt": [100.0, 250.0, 80.0]})},
        ...           "tax": {"files": pd.DataFrame({"id": [3, 1, 2], "income": [700, 0, 499]})}}
        >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
        ...     df = session.table("bank.loans").merge(session.table("tax.files"), on="id")
        ...     burden = df.map_jax(lambda debt, income: jnp.minimum(debt / (1 + income), 9.0), ["debt", "income"])
        ...     df.assign(burden=burden)[burden > 0.2].collect()
           id   debt  income  burden
        0   1  100.0       0     9.0
        1   2  250.0     499     0.5
        """
        from mpc_engine.frame.traced.mapping import read_function

        chosen = []
        for name in [columns] if isinstance(columns, str) else list(columns):
            found = named_column(self._session, self._base, self._items, (), name)
            chosen.append((name, found._expr, found.dtype))
        base, made = read_function(fn, self._base, chosen)
        kept = {name: self._items[name] for name in self._index}
        if isinstance(made, dict):
            return self._with(base, kept | made)
        return Series(self._session, base, made, "~value", kept)

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
