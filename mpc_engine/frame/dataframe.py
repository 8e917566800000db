"""The lazy data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    DType,
    Expr,
    Filter,
    Item,
    Join,
    Limit,
    Project,
    Rel,
    Scan,
    Sort,
    SortBy,
    column,
    make,
)
from mpc_engine.frame.base import Lazy, common, identity, one_session
from mpc_engine.frame.groupby import GroupBy, named_aggs
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.query import parse_query
from mpc_engine.frame.series import Series, constant, named_column

__all__ = ["DataFrame", "public_length"]


def public_length(base: Rel) -> int:
    """Rows of a relation whose size everyone may know.

    Raises
    ------
    UnsupportedError
        When the size depends on private data.
    """
    while isinstance(base, Project | Sort):
        base = base.input
    if isinstance(base, Scan):
        return base.rows
    raise UnsupportedError(
        "the number of rows is not public", code="MPC-0312", hint="count it: df.agg(n=(column, 'size')).collect()"
    )


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
        left_keys, right_keys = _keys(on, left_on), _keys(on, right_on)
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
        return _merge(self, right, left_keys, right_keys, suffixes)

    @placed
    def groupby(
        self, by: str | Sequence[str], *, sort: bool = True, dropna: bool = True, as_index: bool = True
    ) -> GroupBy:
        """Group by columns; the groups that occur, and how many, are part of what the receiver learns."""
        if not sort or not dropna:
            option = "sort=False" if not sort else "dropna=False"
            raise UnsupportedError(f"groupby({option}) is not supported", code="MPC-0314", hint="leave it out")
        keys = _keys(by, None)
        for name in keys:
            named_column(self._session, self._base, self._items, (), name)
        return GroupBy(self, tuple(keys), as_index=as_index)

    @placed
    def agg(self, **aggs: tuple[str, str]) -> DataFrame:
        """One row of aggregates over all rows: ``df.agg(total=("amount", "sum"))``."""
        base = mark(make(Aggregate(self._rel, (), named_aggs(aggs))))
        return DataFrame(self._session, base, identity(base))

    @placed
    def sort_values(self, by: str | Sequence[str], *, ascending: bool | Sequence[bool] = True) -> DataFrame:
        """Rows sorted by columns; missing values come last."""
        names = _keys(by, None)
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

    @placed
    def value_counts(self, subset: str | Sequence[str]) -> Series:
        """Number of rows of each combination, most frequent first."""
        names = _keys(subset, None)
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


def _keys(on: str | Sequence[str] | None, other: str | Sequence[str] | None) -> list[str]:
    chosen = on if on is not None else other
    return [] if chosen is None else [chosen] if isinstance(chosen, str) else list(chosen)


def _merge(
    left: DataFrame, right: DataFrame, left_keys: list[str], right_keys: list[str], suffixes: tuple[str, str]
) -> DataFrame:
    joined = [key for key, other in zip(left_keys, right_keys, strict=True) if key == other]
    both = (set(left._items) & set(right._items)) - set(joined)
    left_names = {name: name + suffixes[0] if name in both else name for name in left._items}
    right_names = {name: name + suffixes[1] if name in both else name for name in right._items}
    taken = set(left_names.values()) | set(right_names.values())
    for name in joined:
        count = 1
        while f"{name}~{count}" in taken:
            count += 1
        right_names[name] = f"{name}~{count}"
        taken.add(right_names[name])
    sides = [
        make(Project(frame._base, tuple(Item(names[name], expr) for name, expr in frame._items.items())))
        for frame, names in ((left, left_names), (right, right_names))
    ]
    base = mark(
        make(
            Join(sides[0], sides[1], tuple(left_names[k] for k in left_keys), tuple(right_names[k] for k in right_keys))
        )
    )
    shown = [*left_names.values(), *(new for old, new in right_names.items() if old not in joined)]
    _ = schema_of(base)
    return DataFrame(left._session, base, {name: column(name) for name in shown})
