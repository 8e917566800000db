"""Rows in two parts: drawn by a hash of each row's key, at the key's owner; even by class where that is asked for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.check.keys import keys_of
from mpc_compiler.check.scalars import DRAWS
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Expr, Filter, Rel, SortBy, Win, Window, call, column, literal, make
from mpc_engine.frame.base import common, extended, named_by, one_session
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed
from mpc_engine.frame.series import Series

__all__ = ["train_test_split"]


@placed
def train_test_split(
    *frames: DataFrame | Series,
    test_size: float = 0.25,
    random_state: int = 0,
    key: str | None = None,
    stratify: Any = None,
) -> list[Any]:
    """Split rows at random into a part to fit on and a part to measure on.

    A row is in the test part if the first 20 bits of the MD5 of ``key:random_state`` are below ``test_size * 2**20``.
    So all rows of one key are in the same part, in every frame and every plan, however rows are joined, filtered or
    ordered before or after; and parts are as large as asked for on average only. Out of time: filter by a date instead,
    ``df[df.opened < "2024-01-01"]``.

    Parameters
    ----------
    *frames : DataFrame or Series
        Of the same rows.
    test_size : float
        Share of the test part, between 0 and 1.
    random_state : int
        Public seed.
    key : str, optional
        The column that rows are drawn by, which one owner has, without missing values; default: the first column that
        is known to be unique.
    stratify : Series, optional
        Classes of the same rows, which may be secret: whole numbers, booleans, dates or text with a dictionary. The
        test part then has ``ceil(test_size * n)`` of n rows, as scikit-learn's, and of each class within one row of
        ``test_size`` times its rows.

    Returns
    -------
    list
        Train and test part of each frame in turn.

    Raises
    ------
    UnsupportedError
        Where no column is known to be unique and none is named, or `stratify` is no Series of classes.
    SchemaError
        For a share that is not between 0 and 1, or a key that cannot be used.

    Notes
    -----
    The key's owner computes the parts, so that their sizes may become public as those of its other filters do: of its
    own rows, and of matches where an alignment follows.

    With `stratify`, rows are sorted by class and drawn number, on shares unless one owner has both, and every k-th row
    is in the test part: one sort. That discloses nothing; parts on shares keep the number of all rows. They depend on
    which rows there are: split once, and filter afterwards.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import train_test_split
    >>> rows = pd.DataFrame({"id": range(1000), "x": [1, 2] * 500})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     train, test = train_test_split(session.table("bank.t"), test_size=0.2, random_state=5)
    ...     mpc.collect(train["x"].count(), test["x"].count())
    [796, 204]
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     train, test = train_test_split(df, test_size=0.2, random_state=5, stratify=df["x"])
    ...     test["x"].value_counts().collect().to_dict()
    {1: 100, 2: 100}
    """
    if not frames:
        raise SchemaError("there is nothing to split", code="MPC-0105", hint="train_test_split(df)")
    if not isinstance(test_size, float) or not 0 < test_size < 1:
        raise SchemaError(f"test_size must lie between 0 and 1, not {test_size!r}", code="MPC-0120", hint="0.25")
    base = frames[0]._base
    for other in frames[1:]:
        one_session(frames[0], other)
        base = common(base, other._base)
    if stratify is not None:
        base = common(base, _classes(stratify, frames[0]))
    value: Expr = call("draw", _key(frames[0], base, key), literal(random_state))
    limit = round(test_size * DRAWS)
    if stratify is not None:
        base, value, limit = _evenly(base, stratify._expr, value, test_size)
    parts = [mark(make(Filter(base, call(test, value, literal(limit))))) for test in ("ge", "lt")]
    return [_over(frame, part) for frame in frames for part in parts]


def _classes(stratify: Any, frame: DataFrame | Series) -> Rel:
    """The rows whose classes are given."""
    if not isinstance(stratify, Series):
        raise UnsupportedError(
            f"cannot stratify by a {type(stratify).__name__}", code="MPC-0301", hint='stratify=df["bad"]'
        )
    one_session(frame, stratify)
    kind = expr_type(stratify._expr, schema_of(stratify._base)).kind
    if kind not in ("int", "bool", "date", "string"):
        raise UnsupportedError(
            f"cannot stratify by {stratify.name!r}, a {kind}",
            code="MPC-0301",
            hint="classes as whole numbers: stratify=(df.amount > 1000).astype(int)",
        )
    return stratify._base


def _evenly(base: Rel, classes: Expr, drawn: Expr, test_size: float) -> tuple[Rel, Expr, int]:
    """``base`` with places by class and draw, a number of each row, and the limit below which it is in the test part.

    Place i, counted from 0, is in it where ``ceil(i f)`` grows, for the fraction f = k / m: where -i k modulo m is
    below k. So any run of n rows in order has within one of n f, and all rows together have ``ceil(n f)``.
    """
    share = Fraction(test_size).limit_denominator(DRAWS)
    k, m = share.numerator, share.denominator
    names = {named_by("value", classes): classes, named_by("value", drawn): drawn}
    order = tuple(SortBy(name) for name in names)
    place = named_by("place", *order)
    rows = make(Window(extended(base, names), (), order, (Win(place, "row_number"),)))
    back = call(
        "sub",
        literal(m - 1),
        call("mod", call("add", call("mul", column(place), literal(k)), literal(m - 1 - k)), literal(m)),
    )
    return rows, back, k


def _key(frame: DataFrame | Series, base: Rel, name: str | None) -> Expr:
    if name is not None:
        if name in frame._items:
            return frame._items[name]
        if schema_of(base).field(name) is not None:
            return column(name)
        raise SchemaError(f"no column {name!r} to draw rows by", code="MPC-0102", hint=", ".join(frame._items))
    single = {next(iter(found)) for found in keys_of(base) if len(found) == 1}
    for field in schema_of(base):
        if field.name in single and len(field.owners) == 1 and not field.dtype.nullable:
            return column(field.name)
    raise UnsupportedError(
        "no column is known to be unique, to draw rows by",
        code="MPC-0301",
        hint='key="customer_id": the rows of a customer then stay together',
    )


def _over(frame: DataFrame | Series, base: Rel) -> Any:
    if isinstance(frame, Series):
        return frame._made(base, frame._expr)
    return DataFrame(frame._session, base, dict(frame._items), frame._index)
