"""What frames and series share: a base relation, and columns as expressions over it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mpc_compiler.check import expr_type, owners_of, schema_of
from mpc_compiler.errors import ConfigError, SchemaError, UnsupportedError
from mpc_compiler.ir import (
    Apply,
    Call,
    Column,
    DType,
    Expr,
    Item,
    Join,
    Output,
    Plan,
    Project,
    Rel,
    Scan,
    Sort,
    Union,
    Window,
    column,
    inputs_of,
    make,
    rebuild,
)
from mpc_engine.frame.place import mark, placed

if TYPE_CHECKING:
    import pandas as pd

    from mpc_compiler.explain import Explanation
    from mpc_engine.observe.report import RunReport

__all__ = [
    "Lazy",
    "Runner",
    "added",
    "beside",
    "common",
    "extended",
    "fresh",
    "identity",
    "named_by",
    "one_session",
    "public_length",
]


class Runner(Protocol):
    """What a session does for its frames."""

    last_run: RunReport | None

    def collect_frames(self, frames: Sequence[Lazy], *, to: str | Sequence[str] | None) -> list[Any]:
        """Run and return what the receivers get."""

    def stream_frame(self, frame: Lazy, rows: int, *, to: str | Sequence[str] | None) -> Iterator[Any]:
        """Run and return what the receivers get, in pieces."""

    def persist_frame(self, frame: Lazy) -> Rel:
        """Run and keep the result at the parties."""

    def explain_frames(self, frames: Sequence[Lazy], *, stage: str) -> Explanation:
        """Say what would run."""


def common(first: Rel, second: Rel) -> Rel:
    """The relation whose rows both have, with the columns of both: each adds columns to one that they share.

    Raises
    ------
    SchemaError
        When the rows of the two are not the same.
    """
    if first == second:
        return first
    grown = dict(_grown(first))
    for rel, steps in _grown(second):
        if rel in grown:
            longer, shorter = (first, steps) if len(grown[rel]) >= len(steps) else (second, grown[rel])
            made = _regrown(longer, shorter)
            if made is not None:
                return mark(made)
            break
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


def _grown(rel: Rel) -> Iterator[tuple[Rel, tuple[Rel, ...]]]:
    """``rel`` and what it adds columns to, each with the nodes that add them, innermost first."""
    steps: tuple[Rel, ...] = ()
    while True:
        yield rel, steps
        if isinstance(rel, Project):
            kept = {item.name for item in rel.items if item.expr == Column(item.name)}
            if not set(schema_of(rel.input).names) <= kept:
                return
        elif not isinstance(rel, Apply | Window) and not _adds_one_row(rel):
            return
        steps = (rel, *steps)
        rel = inputs_of(rel)[0]


def _adds_one_row(rel: Rel) -> bool:
    """Whether a node only sets the columns of one row beside all rows of another relation."""
    return isinstance(rel, Join) and rel.how == "cross"


def _regrown(rel: Rel, steps: Sequence[Rel]) -> Rel | None:
    """``rel`` with the columns that ``steps`` add; None where a name stands for two different columns."""
    if not steps:
        return rel
    sources = {name: source for _, found in _grown(rel) for step in found for name, source in _added(step).items()}
    for step in steps:
        names = set(schema_of(rel).names)
        new = {name: source for name, source in _added(step).items() if name not in names}
        if any(sources.get(name, source) != source for name, source in _added(step).items()):
            return None
        if isinstance(step, Apply):
            if len(new) not in (0, len(step.outputs)):
                return None
            rel = rebuild(step, (rel, step.model)) if new else rel
        elif isinstance(step, Window):
            kept = tuple(win for win in step.wins if win.name in new)
            rel = make(msgspec.structs.replace(step, input=rel, wins=kept)) if kept else rel
        elif isinstance(step, Join) and new:
            if len(new) != len(schema_of(step.right)):
                return None
            rel = rebuild(step, (rel, step.right))
        elif isinstance(step, Project) and new:
            rel = extended(rel, {item.name: item.expr for item in step.items if item.name in new})
    return rel


def _added(step: Rel) -> dict[str, object]:
    """Names of the columns that a node adds, each with what it is made of."""
    if isinstance(step, Apply):
        return dict.fromkeys(step.outputs, (step.model, step.kind, step.method, step.features))
    if isinstance(step, Window):
        return {win.name: (step.partition, step.order, win) for win in step.wins}
    if isinstance(step, Join):
        return dict.fromkeys(schema_of(step.right).names, step.right)
    below = set(schema_of(step.input).names) if isinstance(step, Project) else set()
    return {item.name: item.expr for item in step.items if item.name not in below} if isinstance(step, Project) else {}


def extended(rel: Rel, items: Mapping[str, Expr]) -> Rel:
    """``rel`` with more columns."""
    if not items:
        return rel
    kept = tuple(Item(name, column(name)) for name in schema_of(rel).names)
    return make(Project(rel, (*kept, *(Item(name, expr) for name, expr in items.items()))))


def beside(rel: Rel, one: Rel) -> Rel:
    """``rel`` with the columns of a relation of one row, whose names it does not have unless they are the same."""
    if set(schema_of(one).names) <= set(schema_of(rel).names):
        return rel
    return make(Join(rel, one, (), (), "cross"))


def named_by(label: str, *what: object) -> str:
    """A column name that stands for ``what`` and nothing else, so that two frames can add the same column."""
    return f"{label}~{_digest(*what)}"


@functools.lru_cache(maxsize=65536)
def _digest(*what: object) -> str:
    """Of nodes by their arguments' digests, so that what is shared is looked at once."""
    return hashlib.sha256(";".join(map(_said, what)).encode()).hexdigest()[:12]


def _said(part: object) -> str:
    if isinstance(part, Call):
        return f"{part.op}({','.join(map(_digest, part.args))})"
    return _printed(part) if isinstance(part, Rel) else repr(part)


@functools.lru_cache(maxsize=4096)
def _printed(rel: Rel) -> str:
    from mpc_compiler.serde import fingerprint

    return fingerprint(Plan((Output("value", rel, ()),)))


def added(base: Rel, name: str, made_of: Callable[[str], object]) -> tuple[str, bool]:
    """A name for a column of ``base``, and whether ``base`` has it: over the same rows, made of the same.

    Parameters
    ----------
    base : Rel
    name : str
        What it is best called: a column of that name may be there that was made of other rows, before a filter.
    made_of : callable
        What a node that adds it says of it, by its name; see :func:`_added`.
    """
    there = {key: source for _, steps in _grown(base) for step in steps for key, source in _added(step).items()}
    taken, count, made = set(schema_of(base).names), 1, name
    while made in taken:
        if there.get(made) == made_of(made):
            return made, True
        made, count = f"{name}~{count}", count + 1
    return made, False


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
    while isinstance(base, Project | Sort | Window | Apply):
        base = base.input
    if isinstance(base, Scan):
        return base.rows
    if isinstance(base, Union):
        return public_length(base.left) + public_length(base.right)
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

    def _type(self, name: str) -> DType:
        """The type of a column or a part of the index."""
        return expr_type(self._items[name], schema_of(self._base))

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

    @placed
    def iter_chunks(self, chunk_rows: int = 65_536, *, to: str | Sequence[str] | None = None) -> Iterator[Any]:
        """Run, and return the result in pieces of at most ``chunk_rows`` rows, in order, in bounded memory.

        What is disclosed is the same as for :meth:`collect`. The computing parties keep shares of what was not fetched
        yet until the last piece, or until the iterator is closed.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> loans = pd.DataFrame({"amount": [100, 250, 80]})
        >>> with mpc.Session.local({"a": {"t": loans}}, protocol="plaintext", executor="threads") as session:
        ...     [len(piece) for piece in session.table("a.t").iter_chunks(2)]
        [2, 1]
        """
        return self._session.stream_frame(self, chunk_rows, to=to)

    @placed
    def save(self, target: str, *, chunk_rows: int = 65_536) -> None:
        """Run, and let one receiver write the result to a file, in bounded memory.

        Parameters
        ----------
        target : str
            ``"party:path.parquet"`` or ``"party:path.csv"``. In a local session all parties are on this machine.
        chunk_rows : int
            How many rows are in memory at a time.

        Raises
        ------
        ConfigError
            When the target names no party, or no such file can be written.
        """
        from mpc_engine.frame.saving import save

        save(self, target, chunk_rows)


def identity(rel: Rel) -> dict[str, Expr]:
    """Every column of ``rel`` under its own name."""
    return {name: column(name) for name in schema_of(rel).names}


def each(
    base: Rel, items: Mapping[str, Expr], made: Callable[[Rel, Expr], tuple[Rel, Expr]]
) -> tuple[Rel, dict[str, Expr]]:
    """Every column as ``made`` computes it, over one relation."""
    found: dict[str, Expr] = {}
    for name, expr in items.items():
        base, found[name] = made(base, expr)
    return base, found
