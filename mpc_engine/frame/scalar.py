"""Single lazy values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, Item, Project, Rel, call, column, make
from mpc_engine.frame.base import Lazy, beside, named_by, one_session
from mpc_engine.frame.constants import constant, no_branch, plain
from mpc_engine.frame.operators import Operators
from mpc_engine.frame.place import placed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scalar"]


class Scalar(Operators, Lazy):
    """A single lazy value, such as ``df["amount"].sum()``.

    Arithmetic and comparisons with columns, numbers and other values are lazy, too.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> loans = pd.DataFrame({"amount": [100, 250, 80]})
    >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
    ...     amount = session.table("a.t").amount
    ...     spread, above = amount.max() - amount.min(), (amount > amount.mean()).sum()
    ...     [value.collect() for value in (spread, above, spread < 200)]
    [170, 1, True]
    """

    @property
    def _one(self) -> tuple[Rel, Expr]:
        """The value as the only column of a relation of one row, under a name that stands for this value only."""
        (expr,) = self._items.values()
        name = named_by("value", make(Project(self._base, (Item("value", expr),))))
        return make(Project(self._base, (Item(name, expr),))), column(name)

    @placed
    def _apply(self, op: str, *others: Any, reverse: bool = False) -> Any:
        base, value = self._one
        args: list[Expr] = [value]
        for other in others:
            if isinstance(other, Scalar):
                one_session(self, other)
                one, expr = other._one
                base = beside(base, one)
                args.append(expr)
            elif isinstance(other, Operators):
                return other._apply(op, self, reverse=not reverse)
            elif isinstance(other, Lazy):
                raise SchemaError(f"cannot combine a value with a {type(other).__name__}", code="MPC-0103")
            else:
                args.append(constant(other))
        return Scalar(self._session, base, {"value": call(op, *(reversed(args) if reverse else args))})

    def _shape(self, data: pd.DataFrame) -> Any:
        return plain(data.iloc[0, 0])

    def __repr__(self) -> str:
        return f"<lazy scalar; .collect() computes it; owners: {', '.join(self._owners)}>"

    @placed
    def __bool__(self) -> NoReturn:
        no_branch()

    @placed
    def __float__(self) -> NoReturn:
        no_branch()
