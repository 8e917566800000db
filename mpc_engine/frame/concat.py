"""Rows of several frames, one below the other: horizontal data of many owners."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Item, Project, Rel, Union, make
from mpc_engine.frame.base import identity, one_session
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import mark, placed

__all__ = ["concat"]


@placed
def concat(frames: Iterable[DataFrame], *, axis: int | str = 0, ignore_index: bool = True) -> DataFrame:
    """The rows of all frames, in order: the same columns, perhaps of several owners.

    Parameters
    ----------
    frames : iterable of DataFrame
        Of one session, with the same columns; they come in the order of the first frame's.
    axis : int or str
        0 only; columns of several frames are put side by side with :meth:`DataFrame.merge`.
    ignore_index : bool
        Rows are numbered from 0; an index of groups becomes columns.

    Raises
    ------
    SchemaError
        When there is no frame, or columns differ in name or type.
    UnsupportedError
        For another axis.

    Notes
    -----
    The number of rows of each frame is no secret unless its owner filters it on shares. Which owner a row comes from is
    known to nobody once rows are sorted, grouped or joined.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> tables = {"a": {"t": pd.DataFrame({"x": [1, 2]})}, "b": {"t": pd.DataFrame({"x": [30]})}}
    >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
    ...     mpc.concat([session.table("a.t"), session.table("b.t")])["x"].sum().collect()
    33
    """
    if axis not in (0, "index", "rows") or not ignore_index:
        option = "ignore_index=False" if not ignore_index else f"axis={axis!r}"
        raise UnsupportedError(
            f"concat({option}) is not supported", code="MPC-0301", hint="columns side by side: df.merge(other, on=key)"
        )
    parts = list(frames)
    if not parts or not all(isinstance(part, DataFrame) for part in parts):
        raise SchemaError("concat needs a list of frames", code="MPC-0105", hint="column.to_frame() of a column")
    first = parts[0]
    names = list(first._items)
    for part in parts[1:]:
        one_session(first, part)
        other = sorted(set(names) ^ set(part._items))
        if other:
            raise SchemaError(
                f"the frames to concatenate have different columns: {', '.join(other)}",
                code="MPC-0106",
                hint="select and rename the same columns in each: df[[...]].rename(columns={...})",
            )
    base = functools.reduce(_below, (_chosen(part, names) for part in parts))
    return DataFrame(first._session, base, identity(base))


def _chosen(frame: DataFrame, names: list[str]) -> Rel:
    return make(Project(frame._base, tuple(Item(name, frame._items[name]) for name in names)))


def _below(first: Rel, second: Rel) -> Rel:
    base = mark(make(Union(first, second)))
    _ = schema_of(base)
    return base
