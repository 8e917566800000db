"""A lazy column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from mpc_compiler.check import require, schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    DType,
    Expr,
    Filter,
    call,
    literal,
    make,
)
from mpc_compiler.powers import OTHER_FUNCTIONS
from mpc_engine.frame.accessors import DateParts, TextMethods
from mpc_engine.frame.base import Lazy, Runner, beside, common, one_session, public_length
from mpc_engine.frame.constants import constant, exact_constant, no_branch
from mpc_engine.frame.cut import cut_expression
from mpc_engine.frame.operators import Operators
from mpc_engine.frame.over import Made
from mpc_engine.frame.pandas_names import missing
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.reductions import Reductions
from mpc_engine.frame.scalar import Scalar
from mpc_engine.frame.windowed import Windowed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mpc_compiler.ir import Rel
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["Scalar", "Series", "constant"]
_UNARY = {"log": "log", "exp": "exp", "sqrt": "sqrt", "absolute": "abs", "negative": "neg", "rint": "round",
          "sign": "sign", "expit": "sigmoid"}  # fmt: skip
_PAIRS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "true_divide": "div",
    "floor_divide": "floordiv",
    "remainder": "mod",
    "maximum": "maximum",
    "minimum": "minimum",
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


class Series(Operators, Reductions, Windowed):
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
        decimal = any(other.dtype.kind == "decimal" for other in (self, *others) if isinstance(other, Series))
        for other in others:
            if isinstance(other, Series):
                one_session(self, other)
                base = common(base, other._base)
                args.append(other._expr)
                name = name if other.name == name else "~value"
            elif isinstance(other, Scalar):
                one_session(self, other)
                one, expr = other._one
                base = beside(base, one)
                args.append(expr)
            elif isinstance(other, Lazy):
                raise SchemaError(f"cannot combine a column with a {type(other).__name__}", code="MPC-0103")
            else:
                args.append(exact_constant(other) if decimal else constant(other))
        return self._made(base, call(op, *(reversed(args) if reverse else args)), name)

    def _windowed(self, made: Callable[[Rel, Expr], Made]) -> Series:
        base, expr = made(self._base, self._expr)
        return self._made(base, expr)

    def __getattr__(self, name: Text) -> Any:
        raise missing(self, name, ())

    @placed
    def __bool__(self) -> bool:
        no_branch()

    @placed
    def __iter__(self) -> NoReturn:
        raise UnsupportedError(
            "cannot loop over secret rows",
            code="MPC-0311",
            hint="write one expression over the column, or collect() it",
        )

    def __len__(self) -> int:
        return public_length(self._base)

    @placed
    def __array_ufunc__(self, ufunc: np.ufunc, method: Text, *inputs: Any, **kwargs: Any) -> Series:
        if method == "__call__" and not kwargs and len(inputs) == 1 and ufunc.__name__ in _UNARY:
            return self._apply(_UNARY[ufunc.__name__])
        if method == "__call__" and not kwargs and len(inputs) == 1 and ufunc.__name__ in OTHER_FUNCTIONS:
            return self._made(self._base, OTHER_FUNCTIONS[ufunc.__name__](self._expr))
        if method == "__call__" and not kwargs and ufunc.__name__ in ("square", "power") and inputs[0] is self:
            return super().__pow__(inputs[1] if len(inputs) > 1 else 2)
        if method == "__call__" and not kwargs and len(inputs) == 2 and ufunc.__name__ in _PAIRS:
            first, second = inputs
            op = _PAIRS[ufunc.__name__]
            return first._apply(op, second) if isinstance(first, Series) else self._apply(op, first, reverse=True)
        raise UnsupportedError(
            f"numpy.{ufunc.__name__} is not supported on secret columns",
            code="MPC-0301",
            hint=f"supported: {', '.join((*_UNARY, *OTHER_FUNCTIONS, *_PAIRS))}",
        )

    def abs(self) -> Series:
        """Magnitude."""
        return self._apply("abs")

    @placed
    def isin(self, values: Iterable[Any]) -> Series:
        """Whether each value is one of the constants ``values``."""
        if isinstance(values, Lazy):
            raise UnsupportedError(
                "isin of a column", code="MPC-0301", hint="merge(other, on=key, how='semi') keeps the rows that match"
            )
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
    def round(self, decimals: int = 0) -> Series:
        """Nearest number with ``decimals`` places, halves to the even one; with places at one owner only.

        On shares a float is rounded as fixed point holds it: a value that is not a multiple of 2**-18 may be off by
        2**-18 before.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> rates = pd.DataFrame({"rate": [0.5, 1.5, 2.26]})
        >>> with mpc.Session.local({"a": {"t": rates}}, protocol="plaintext", executor="threads") as session:
        ...     df = session.table("a.t")
        ...     [column.tolist() for column in mpc.collect(df.rate.round(), df.rate.round(1))]
        [[0.0, 2.0, 2.0], [0.5, 1.5, 2.3]]
        """
        if decimals < 0:
            raise UnsupportedError(
                f"round({decimals}) is not supported", code="MPC-0301", hint="divide, round and multiply"
            )
        if self.dtype.kind in ("int", "bool"):
            return self
        return self._apply("round_to", decimals) if decimals else self._apply("round")

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
            at = exact_constant(key) if self.dtype.kind == "decimal" else constant(key)
            result = call("where", call("eq", self._expr, at), constant(value), result)
        return self._made(self._base, result)

    @placed
    def cut(
        self,
        bins: Sequence[float],
        *,
        labels: Sequence[Any] | bool | None = None,
        right: bool = True,
        include_lowest: bool = False,
    ) -> Series:
        """The interval between public edges that each value lies in, as ``pandas.cut``; outside of all: missing.

        Parameters
        ----------
        bins : sequence of number
            Edges, ascending; the first may be ``-inf`` and the last ``inf``.
        labels : sequence, False or None
            A constant for each interval; False: its number from 0; None: text such as ``"(0, 10]"``.
        right : bool
            Whether intervals include their right edge instead of their left one.
        include_lowest : bool
            Whether the first interval includes its left edge, too.

        Returns
        -------
        Series
            Labels, as text or numbers: there are no categories.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> people = pd.DataFrame({"age": [18, 30, 61]})
        >>> with mpc.Session.local({"a": {"t": people}}, protocol="plaintext", executor="threads") as session:
        ...     session.table("a.t").age.cut([18, 30, 60, float("inf")], right=False).collect().tolist()
        ['[18, 30)', '[30, 60)', '[60, inf)']
        """
        return self._made(
            self._base,
            cut_expression(
                self._expr, bins, labels, right=right, include_lowest=include_lowest, exact=self.dtype.kind == "decimal"
            ),
        )

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

    def persist(self) -> Series:
        """Run now, and keep the result as shares at the computing parties; see :meth:`DataFrame.persist`."""
        return self.to_frame().persist()[self.name]

    def to_frame(self) -> DataFrame:
        """A frame of this column."""
        from mpc_engine.frame.dataframe import DataFrame

        return DataFrame(self._session, self._base, dict(self._items), self._index)

    @placed
    def value_counts(
        self, *, normalize: bool = False, sort: bool = True, ascending: bool = False, dropna: bool = True
    ) -> Series:
        """Number of rows of each value, most frequent first; discloses the values that occur and their counts.

        Parameters
        ----------
        normalize : bool
            Parts of all rows instead.
        sort, ascending : bool
            By count, most frequent first; values with one count in their own order. Without ``sort``: by value.
        dropna : bool
            Whether missing values are left out.
        """
        from mpc_engine.frame.counts import value_counts

        return value_counts(self, [self.name], normalize=normalize, sort=sort, ascending=ascending, dropna=dropna)

    @placed
    def drop_duplicates(self, *, keep: Text | bool = "first") -> Series:
        """Different values, in the order of their first (or last) rows."""
        return self.to_frame().drop_duplicates(keep=keep)[self.name]

    @placed
    def sort_values(self, *, ascending: bool = True) -> Series:
        """Sorted values; missing ones come last."""
        return self.to_frame().sort_values(self.name, ascending=ascending)[self.name]

    def nlargest(self, n: int = 5) -> Series:
        """The ``n`` largest values, largest first."""
        return self.sort_values(ascending=False).head(n)

    def nsmallest(self, n: int = 5) -> Series:
        """The ``n`` smallest values, smallest first."""
        return self.sort_values().head(n)

    @placed
    def dropna(self) -> Series:
        """The values that are present."""
        return self._made(mark(make(Filter(self._base, call("notna", self._expr)))), self._expr)

    @placed
    def head(self, n: int = 5) -> Series:
        """The first ``n`` rows."""
        return self.to_frame().head(n)[self.name]

    @placed
    def tail(self, n: int = 5) -> Series:
        """The last ``n`` rows."""
        return self.to_frame().tail(n)[self.name]

    def __repr__(self) -> Text:
        return f"<lazy column {self.name!r}: {self.dtype!r}; owners: {', '.join(self._owners)}; .collect() computes it>"

    def _repr_html_(self) -> Text:
        from mpc_engine.frame.html import schema_html

        return schema_html(self)


def named_column(session: Runner, base: Rel, items: dict[str, Expr], index: tuple[str, ...], name: str) -> Series:
    """The column ``name`` of a frame, or an error that suggests the nearest name."""
    if name not in items:
        from mpc_compiler.ir import Field, Schema

        require(Schema(Field(n, DType("int")) for n in items), name)
    _ = schema_of(base)
    return Series(session, base, items[name], name, {key: items[key] for key in index})
