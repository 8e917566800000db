"""Rows in two parts: drawn by a hash of each row's key, at the key's owner, so that no plan moves a row elsewhere."""

from __future__ import annotations

from typing import Any

from mpc_compiler.check import schema_of
from mpc_compiler.check.keys import keys_of
from mpc_compiler.check.scalars import DRAWS
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Expr, Filter, Rel, call, column, literal, make
from mpc_engine.frame.base import common, one_session
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
    stratify : None
        Shares of a secret target in both parts cannot be evened out.

    Returns
    -------
    list
        Train and test part of each frame in turn.

    Raises
    ------
    UnsupportedError
        With `stratify`, or where no column is known to be unique and none is named.
    SchemaError
        For a share that is not between 0 and 1, or a key that cannot be used.

    Notes
    -----
    The key's owner computes the parts, so that their sizes may become public as those of its other filters do: of its
    own rows, and of matches where an alignment follows.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import train_test_split
    >>> rows = pd.DataFrame({"id": range(1000), "x": [1, 2] * 500})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     train, test = train_test_split(session.table("bank.t"), test_size=0.2, random_state=5)
    ...     mpc.collect(train["x"].count(), test["x"].count())
    [796, 204]
    """
    if not frames:
        raise SchemaError("there is nothing to split", code="MPC-0105", hint="train_test_split(df)")
    if stratify is not None:
        raise UnsupportedError(
            "a split stratified by a secret column is not supported",
            code="MPC-0301",
            hint="leave stratify out: parts of many rows have nearly the same shares",
        )
    if not isinstance(test_size, float) or not 0 < test_size < 1:
        raise SchemaError(f"test_size must lie between 0 and 1, not {test_size!r}", code="MPC-0120", hint="0.25")
    base = frames[0]._base
    for other in frames[1:]:
        one_session(frames[0], other)
        base = common(base, other._base)
    drawn = call("draw", _key(frames[0], base, key), literal(random_state))
    limit = literal(round(test_size * DRAWS))
    parts = [mark(make(Filter(base, call(test, drawn, limit)))) for test in ("ge", "lt")]
    return [_over(frame, part) for frame in frames for part in parts]


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
