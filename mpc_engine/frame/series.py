"""A lazy column."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from mpc_compiler.check import require, schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Agg, Aggregate, DType, Expr, Item, Project, Sort, SortBy, call, column, literal, make
from mpc_engine.frame.base import Lazy, Runner, common, identity, one_session
from mpc_engine.frame.place import mark, placed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mpc_compiler.ir import Rel

__all__ = ["Scalar", "Series", "constant"]
_UNARY = {"log": "log", "exp": "exp", "sqrt": "sqrt", "absolute": "abs", "negative": "neg"}
_PAIRS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "true_divide": "div",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}

Text: TypeAlias = str
"""``Series.str`` hides the type inside the class."""

_CASTS = {int: "int", "int": "int", "int64": "int", float: "float", "float": "float", "float64": "float",
          bool: "bool", "bool": "bool"}  # fmt: skip


def constant(value: Any) -> Expr:
    """A Python, numpy, or date constant as an expression; None and NaN stand for a missing value."""
    value = _python(value)
    if value is None or (isinstance(value, float) and value != value):
        return literal(None)
    if isinstance(value, datetime.datetime):
        return literal(value.isoformat(sep=" "))
    if isinstance(value, datetime.date):
        return literal(value.isoformat())
    if not isinstance(value, bool | int | float | str):
        raise SchemaError(
            f"cannot use a {type(value).__name__} here", code="MPC-0103", hint="a number, text, bool or date"
        )
    return literal(value)


def _python(value: Any) -> Any:
    """A numpy scalar as Python's own; anything else as it is."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


class Scalar(Lazy):
    """A single lazy value, such as ``df["amount"].sum()``."""

    def _shape(self, data: pd.DataFrame) -> Any:
        return _python(data.iloc[0, 0])

    def __repr__(self) -> str:
        return f"<lazy scalar; .collect() computes it; owners: {', '.join(self._owners)}>"

    @placed
    def __bool__(self) -> NoReturn:
        _no_branch()

    @placed
    def __float__(self) -> NoReturn:
        _no_branch()

    @placed
    def _compare(self, other: object) -> bool:
        _no_branch()

    __lt__ = __le__ = __gt__ = __ge__ = _compare


def _no_branch() -> NoReturn:
    raise UnsupportedError(
        "the program cannot branch on a secret value",
        code="MPC-0310",
        hint="use a filter or where(), or collect() the value if its disclosure is allowed",
        where="",
    )


class Series(Lazy):
    """A lazy column of a frame: expressions build a plan, ``collect()`` runs it.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> loans = pd.DataFrame({"amount": [100, 250], "age": [30, 51]})
    >>> with mpc.Session.local({"bank": {"loans": loans}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.loans")
    ...     (df["amount"] * 2 + df["age"]).collect().tolist()
    [230, 551]
    """

    def __init__(
        self, session: Runner, base: Rel, expr: Expr, name: Text, index: dict[Text, Expr] | None = None
    ) -> None:
        index = {key: value for key, value in (index or {}).items() if key != name}
        super().__init__(session, base, {**index, name: mark(expr)}, tuple(index))
        self.name = name

    @property
    def _expr(self) -> Expr:
        return self._items[self.name]

    @property
    def dtype(self) -> DType:
        """The public type: kind, range, dictionary, whether values may be missing."""
        return self._types[self.name]

    def _shape(self, data: pd.DataFrame) -> Any:
        data = super()._shape(data)
        return data[self.name].rename(None if self.name.startswith("~") else self.name)

    def _made(self, base: Rel, expr: Expr, name: Text | None = None) -> Series:
        kept = {key: self._items[key] for key in self._index}
        return Series(self._session, base, expr, name or self.name, kept)

    @placed
    def _apply(self, op: Text, *others: Any, reverse: bool = False) -> Series:
        base, args = self._base, [self._expr]
        name = self.name
        for other in others:
            if isinstance(other, Series):
                one_session(self, other)
                base = common(base, other._base)
                args.append(other._expr)
                name = name if other.name == name else "~value"
            elif isinstance(other, Lazy):
                raise SchemaError(f"cannot combine a column with a {type(other).__name__}", code="MPC-0103")
            else:
                args.append(constant(other))
        return self._made(base, call(op, *(reversed(args) if reverse else args)), name)

    def __add__(self, other: Any) -> Series:
        return self._apply("add", other)

    def __radd__(self, other: Any) -> Series:
        return self._apply("add", other, reverse=True)

    def __sub__(self, other: Any) -> Series:
        return self._apply("sub", other)

    def __rsub__(self, other: Any) -> Series:
        return self._apply("sub", other, reverse=True)

    def __mul__(self, other: Any) -> Series:
        return self._apply("mul", other)

    def __rmul__(self, other: Any) -> Series:
        return self._apply("mul", other, reverse=True)

    def __truediv__(self, other: Any) -> Series:
        return self._apply("div", other)

    def __rtruediv__(self, other: Any) -> Series:
        return self._apply("div", other, reverse=True)

    def __floordiv__(self, other: Any) -> Series:
        return self._apply("floordiv", other)

    def __mod__(self, other: Any) -> Series:
        return self._apply("mod", other)

    def __neg__(self) -> Series:
        return self._apply("neg")

    def __abs__(self) -> Series:
        return self._apply("abs")

    def __eq__(self, other: object) -> Series:  # type: ignore[override]
        return self._apply("eq", other)

    def __ne__(self, other: object) -> Series:  # type: ignore[override]
        return self._apply("ne", other)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> Series:
        return self._apply("lt", other)

    def __le__(self, other: Any) -> Series:
        return self._apply("le", other)

    def __gt__(self, other: Any) -> Series:
        return self._apply("gt", other)

    def __ge__(self, other: Any) -> Series:
        return self._apply("ge", other)

    def __and__(self, other: Any) -> Series:
        return self._apply("and", other)

    def __or__(self, other: Any) -> Series:
        return self._apply("or", other)

    def __invert__(self) -> Series:
        return self._apply("not")

    @placed
    def __bool__(self) -> bool:
        _no_branch()

    @placed
    def __iter__(self) -> NoReturn:
        raise UnsupportedError(
            "cannot loop over secret rows",
            code="MPC-0311",
            hint="write one expression over the column, or collect() it",
        )

    def __len__(self) -> int:
        from mpc_engine.frame.dataframe import public_length

        return public_length(self._base)

    @placed
    def __array_ufunc__(self, ufunc: np.ufunc, method: Text, *inputs: Any, **kwargs: Any) -> Series:
        if method == "__call__" and not kwargs and len(inputs) == 1 and ufunc.__name__ in _UNARY:
            return self._apply(_UNARY[ufunc.__name__])
        if method == "__call__" and not kwargs and len(inputs) == 2 and ufunc.__name__ in _PAIRS:
            first, second = inputs
            op = _PAIRS[ufunc.__name__]
            return first._apply(op, second) if isinstance(first, Series) else self._apply(op, first, reverse=True)
        raise UnsupportedError(
            f"numpy.{ufunc.__name__} is not supported on secret columns",
            code="MPC-0301",
            hint=f"supported: {', '.join(_UNARY | _PAIRS)}",
        )

    def abs(self) -> Series:
        """Magnitude."""
        return self._apply("abs")

    @placed
    def isin(self, values: Iterable[Any]) -> Series:
        """Whether each value is one of the constants ``values``."""
        return self._apply("isin", *(value for value in values))

    def between(self, left: Any, right: Any) -> Series:
        """``left <= value <= right``."""
        return self._apply("ge", left)._apply("and", self._apply("le", right))

    def isna(self) -> Series:
        """Whether each value is missing."""
        return self._apply("isna")

    def notna(self) -> Series:
        """Whether each value is present."""
        return self._apply("notna")

    def fillna(self, value: Any) -> Series:
        """Replace missing values by a constant or another column."""
        return self._apply("fillna", value)

    def where(self, cond: Series, other: Any = None) -> Series:
        """Keep values where ``cond`` holds, else take ``other`` (default: missing)."""
        kept: Series = cond._apply("where", self, other)
        return kept._named(self.name)

    def mask(self, cond: Series, other: Any = None) -> Series:
        """Replace values where ``cond`` holds."""
        return self.where(~cond, other)

    def clip(self, lower: float | None = None, upper: float | None = None) -> Series:
        """Limit values to constants."""
        return self._apply("clip", lower, upper)

    @placed
    def astype(self, dtype: Any) -> Series:
        """Cast to int, float or bool."""
        if dtype not in _CASTS:
            raise UnsupportedError(f"cannot cast to {dtype!r}", code="MPC-0301", hint="int, float or bool")
        return self._apply(_CASTS[dtype])

    @placed
    def map(self, mapping: dict[Any, Any]) -> Series:
        """Replace values by a public dictionary; values that it lacks become missing."""
        if not isinstance(mapping, dict):
            raise UnsupportedError("map needs a dictionary", code="MPC-0301", hint="write an expression instead")
        result: Expr = literal(None)
        for key, value in reversed(mapping.items()):
            result = call("where", call("eq", self._expr, constant(key)), constant(value), result)
        return self._made(self._base, result)

    def rename(self, name: Text) -> Series:
        """The same column under another name."""
        return self._named(name)

    def _named(self, name: Text) -> Series:
        return self._made(self._base, self._expr, name)

    @property
    def str(self) -> TextMethods:
        """Text functions, computed by the column's owner."""
        return TextMethods(self)

    @property
    def dt(self) -> DateParts:
        """Parts of dates, computed by the column's owner."""
        return DateParts(self)

    def to_frame(self) -> Any:
        """A frame of this column."""
        from mpc_engine.frame.dataframe import DataFrame

        return DataFrame(self._session, self._base, dict(self._items), self._index)

    @placed
    def _reduce(self, function: Text) -> Scalar:
        name = "value"
        inner = make(Project(self._base, (Item(name, self._expr),)))
        base = mark(make(Aggregate(inner, (), (Agg(name, function, name),))))
        return Scalar(self._session, base, identity(base))

    def sum(self) -> Scalar:
        """Sum of the values that are present."""
        return self._reduce("sum")

    def mean(self) -> Scalar:
        """Mean of the values that are present."""
        return self._reduce("mean")

    def count(self) -> Scalar:
        """Number of values that are present."""
        return self._reduce("count")

    def min(self) -> Scalar:
        """Smallest value."""
        return self._reduce("min")

    def max(self) -> Scalar:
        """Largest value."""
        return self._reduce("max")

    @placed
    def value_counts(self) -> Series:
        """Number of rows of each value, most frequent first; discloses the values that occur and their counts."""
        inner = make(Project(self._base, (Item(self.name, self._expr),)))
        counts = make(Aggregate(inner, (self.name,), (Agg("count", "size"),)))
        base = mark(make(Sort(counts, (SortBy("count", False),))))
        return Series(self._session, base, column("count"), "count", {self.name: column(self.name)})

    @placed
    def sort_values(self, *, ascending: bool = True) -> Series:
        """Sorted values; missing ones come last."""
        frame = self.to_frame().sort_values(self.name, ascending=ascending)
        return frame[self.name]  # type: ignore[no-any-return]

    @placed
    def head(self, n: int = 5) -> Series:
        """The first ``n`` rows."""
        return self.to_frame().head(n)[self.name]  # type: ignore[no-any-return]

    def __repr__(self) -> Text:
        return f"<lazy column {self.name!r}: {self.dtype!r}; owners: {', '.join(self._owners)}; .collect() computes it>"

    def _repr_html_(self) -> Text:
        from mpc_engine.frame.html import schema_html

        return schema_html(self)


class TextMethods:
    """``Series.str``: text functions that the column's owner computes locally."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def startswith(self, text: str) -> Series:
        """Whether each value starts with ``text``."""
        return self._series._apply("startswith", text)

    def endswith(self, text: str) -> Series:
        """Whether each value ends with ``text``."""
        return self._series._apply("endswith", text)

    @placed
    def contains(self, text: str, *, regex: bool = False) -> Series:
        """Whether each value contains ``text`` (literally; regular expressions are not supported)."""
        if regex:
            raise UnsupportedError("regular expressions are not supported", code="MPC-0301", hint="regex=False")
        return self._series._apply("contains", text)


class DateParts:
    """``Series.dt``: parts of dates that the column's owner computes locally."""

    def __init__(self, series: Series) -> None:
        self._series = series

    @property
    def year(self) -> Series:
        """Calendar year."""
        return self._series._apply("year")

    @property
    def month(self) -> Series:
        """Month, 1 to 12."""
        return self._series._apply("month")

    @property
    def day(self) -> Series:
        """Day of the month."""
        return self._series._apply("day")


def named_column(session: Runner, base: Rel, items: dict[str, Expr], index: tuple[str, ...], name: str) -> Series:
    """The column ``name`` of a frame, or an error that suggests the nearest name."""
    if name not in items:
        from mpc_compiler.ir import Field, Schema

        require(Schema(Field(n, DType("int")) for n in items), name)
    _ = schema_of(base)
    return Series(session, base, items[name], name, {key: items[key] for key in index})
