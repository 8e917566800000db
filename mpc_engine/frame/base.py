"""What frames and series share: a base relation, and columns as expressions over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mpc_compiler.check import expr_type, owners_of, schema_of
from mpc_compiler.errors import ConfigError, SchemaError, UnsupportedError
from mpc_compiler.ir import Apply, Column, DType, Expr, Item, Join, Project, Rel, Scan, Sort, column, inputs_of, make
from mpc_engine.frame.place import mark

if TYPE_CHECKING:
    import pandas as pd

    from mpc_compiler.explain import Explanation

__all__ = ["Lazy", "Runner", "common", "fresh", "identity", "one_session", "public_length"]


class Runner(Protocol):
    """What a session does for its frames."""

    def collect_frames(self, frames: Sequence[Lazy], *, to: str | Sequence[str] | None) -> list[Any]:
        """Run and return what the receivers get."""

    def explain_frames(self, frames: Sequence[Lazy], *, stage: str) -> Explanation:
        """Say what would run."""


def common(first: Rel, second: Rel) -> Rel:
    """The relation with the columns of both: one is the other with columns added, or both add columns to a third.

    Raises
    ------
    SchemaError
        When the rows of the two are not the same.
    """
    if first == second or _extends(first, second):
        return first
    if _extends(second, first):
        return second
    both = _added(first, second)
    if both is not None:
        return both
    raise SchemaError(
        "these columns come from different frames, so their rows do not belong together",
        code="MPC-0114",
        hint="take all columns from one frame, or merge the frames first",
    )


def one_session(first: Lazy, second: Lazy) -> None:
    """Refuse to combine two sessions: a table of one may have the name and shape of a table of the other.

    Raises
    ------
    ConfigError
        When the sessions differ.
    """
    if first._session is not second._session:
        raise ConfigError(
            "frames of different sessions cannot be combined", code="MPC-0807", hint="open one session with all tables"
        )


def _extends(rel: Rel, other: Rel) -> bool:
    while rel != other:
        if isinstance(rel, Apply):
            rel = rel.input
        elif isinstance(rel, Join) and rel.how == "cross":
            rel = rel.left
        elif isinstance(rel, Project):
            kept = {item.name for item in rel.items if item.expr == Column(item.name)}
            if not set(schema_of(rel.input).names) <= kept:
                return False
            rel = rel.input
        else:
            return False
    return True


def _added(first: Rel, second: Rel) -> Rel | None:
    """`first` with the columns that `second` adds to what both start from; None if there is no such thing."""
    steps: list[Apply | Project | Join] = []
    base = second
    while not _extends(first, base):
        below = inputs_of(base)[0] if isinstance(base, Apply | Project | Join) else base
        if below == base or not _extends(base, below):
            return None
        assert isinstance(base, Apply | Project | Join)
        steps.append(base)
        base = below
    made = first
    for step in reversed(steps):
        names = set(schema_of(made).names)
        if isinstance(step, Apply):
            if names & set(step.outputs):
                return None
            made = make(Apply(made, step.model, step.kind, step.method, step.features, step.outputs))
            continue
        if isinstance(step, Join):
            more = set(schema_of(step.right).names)
            if not more & names:
                made = make(msgspec.structs.replace(step, left=made))
            elif not more <= names or not _attached(made, step.right):
                return None
            continue
        fresh_items = [item for item in step.items if item.expr != Column(item.name)]
        if names & {item.name for item in fresh_items}:
            return None
        kept = [Item(name, column(name)) for name in schema_of(made).names]
        made = make(Project(made, (*kept, *fresh_items)))
    return mark(made)


def _attached(rel: Rel, row: Rel) -> bool:
    """Whether this very row is among those attached to ``rel``."""
    while True:
        if isinstance(rel, Join) and rel.how == "cross":
            if rel.right == row:
                return True
            rel = rel.left
        elif isinstance(rel, Apply | Project):
            rel = rel.input
        else:
            return False


def fresh(base: Rel, name: str) -> str:
    """A column name that ``base`` does not have yet."""
    taken, count, made = set(schema_of(base).names), 1, name
    while made in taken:
        made, count = f"{name}~{count}", count + 1
    return made


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


class Lazy:
    """Columns over a base relation, some of which are the index.

    Attributes
    ----------
    _base : Rel
        Rows.
    _items : dict of str to Expr
        Columns in order, index columns first.
    _index : tuple of str
        Names of the columns that become the index of a collected result.
    """

    def __init__(self, session: Runner, base: Rel, items: dict[str, Expr], index: tuple[str, ...] = ()) -> None:
        self._session = session
        self._base = mark(base)
        self._items = items
        self._index = index
        for expr in items.values():
            expr_type(expr, schema_of(base))

    @property
    def _rel(self) -> Rel:
        """All columns as a relation."""
        return mark(make(Project(self._base, tuple(Item(name, expr) for name, expr in self._items.items()))))

    @property
    def _types(self) -> dict[str, DType]:
        schema = schema_of(self._base)
        return {name: expr_type(expr, schema) for name, expr in self._items.items() if name not in self._index}

    @property
    def _owners(self) -> tuple[str, ...]:
        return owners_of(self._rel)

    def _shape(self, data: pd.DataFrame) -> Any:
        """A collected table as the user expects it."""
        return data.set_index(list(self._index)) if self._index else data

    def explain(self, stage: str = "physical") -> Explanation:
        """The plan, its cost and its disclosures; runs nothing.

        Parameters
        ----------
        stage : str
            ``"logical"``, the name of a rewrite rule, ``"physical"`` (stages), or ``"partition"``.
        """
        return self._session.explain_frames([self], stage=stage)

    def collect(self, to: str | Sequence[str] | None = None) -> Any:
        """Run, and return the result to the receiver ``to`` (may be omitted in a local session)."""
        return self._session.collect_frames([self], to=to)[0]


def identity(rel: Rel) -> dict[str, Expr]:
    """Every column of ``rel`` under its own name."""
    return {name: column(name) for name in schema_of(rel).names}
