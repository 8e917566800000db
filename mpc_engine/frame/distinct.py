"""Different rows: of those that are equal, the first, the last, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, Filter, call, literal, make
from mpc_engine.frame.base import one_session
from mpc_engine.frame.over import Over
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["distinct"]


def distinct(frame: DataFrame, subset: Sequence[str], keep: str | bool) -> DataFrame:
    """See :meth:`mpc_engine.frame.dataframe.DataFrame.drop_duplicates`; missing values equal each other."""
    if keep not in ("first", "last", False):
        raise SchemaError(f"keep={keep!r} is neither 'first', 'last' nor False", code="MPC-0105")
    for name in subset:
        one_session(frame, frame[name])
    over = Over(frame._base, tuple(frame._items[name] for name in subset), nulls=True)
    if keep is False:
        base, size = over.total(None, "size")
        chosen: Expr = call("eq", size, literal(1))
    else:
        base, place = over.position(ascending=keep == "first")
        chosen = call("eq", place, literal(0))
    return frame._with(mark(make(Filter(base, chosen))))
