"""Stages: the pieces of a compiled plan that run without learning anything new in the clear."""

from __future__ import annotations

import msgspec

from mpc_compiler.ir import Field, Rel

__all__ = ["Align", "Compute", "Disclosure", "Input", "LocalQuery", "Owned", "Release", "Stage", "Wanted", "code_sizes"]


class LocalQuery(msgspec.Struct, frozen=True, tag="local"):
    """SQL that ``owner`` runs in its own DuckDB; the result stays there under ``id``.

    ``keys`` are the result columns that an Align reads. The owner verifies that every value lies within the
    declared type, range and dictionary of ``fields`` before it shares anything.
    """

    id: str
    owner: str
    sql: str
    fields: tuple[Field, ...]
    keys: tuple[str, ...] = ()
    max_rows: int = 0
    """Most rows that the plan's ranges were checked for."""
    about: str = ""
    """The tables it reads, for people."""


class Align(msgspec.Struct, frozen=True, tag="align"):
    """Private set intersection of two owners' keys.

    ``left`` is a LocalQuery or an earlier Align; ``left_local`` the member of it that holds the keys.
    Afterwards every owner of a member knows which of its rows are in the intersection, in one common order.
    """

    id: str
    left: str
    right: str
    left_local: str
    right_local: str
    left_owner: str
    right_owner: str
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    members: tuple[str, ...]
    first: str
    """The LocalQuery whose row order the result keeps."""


class Wanted(msgspec.Struct, frozen=True):
    """A column that an owner shares: its name in the input, the LocalQuery that holds it, and under which name."""

    name: str
    local: str
    owner: str
    field: Field


class Input(msgspec.Struct, frozen=True):
    """A relation that enters a computation as shares.

    ``source`` is an Align or a LocalQuery. ``ordered``: the owner of ``order_local`` also shares the rank
    of each row in its own order, because the order of the shared rows is not that of the frame.
    """

    id: str
    source: str
    columns: tuple[Wanted, ...]
    ordered: bool
    order_local: str
    rows: int


class Owned(msgspec.Struct, frozen=True):
    """Columns that their owner, a computing party, keeps in the clear and multiplies shares with.

    ``source`` is an Align or a LocalQuery. ``how``: ``"standard"``, each in its unit, less its mean, over its standard
    deviation, with means and inverse deviations shared; ``"centred"``, each in its unit, less its mean, with means
    shared; ``"units"``, each in its unit; ``"onehot"``, codes as rows of zeros and a one, as wide as the range of each.
    """

    id: str
    source: str
    rank: int
    columns: tuple[Wanted, ...]
    how: str
    rows: int
    bins: int = 0
    """Values of every column of codes; 0: as many as its range has."""

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return sum(code_sizes(self)) if self.how == "onehot" else len(self.columns)


def code_sizes(block: Owned) -> list[int]:
    """How many values each column of codes may have."""
    return [block.bins or int(wanted.field.dtype.bounds[1]) + 1 for wanted in block.columns]


class Compute(msgspec.Struct, frozen=True, tag="compute"):
    """One JAX program over shares: ``rels`` (with :class:`Shared` leaves) by output name."""

    id: str
    inputs: tuple[Input, ...]
    names: tuple[str, ...]
    rels: tuple[Rel, ...]
    blocks: tuple[Owned, ...] = ()
    chunks: tuple[int, ...] = ()
    """Rows of a piece of each output; 0: it comes as a whole."""


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Shares (or, for a LocalQuery, rows) go to the receivers, who alone learn the values."""

    output: str
    source: str
    receivers: tuple[str, ...]
    fields: tuple[Field, ...]
    held: tuple[str, ...] = ()
    """For a LocalQuery: its columns that hold the fields."""
    chunk: int = 0
    """Rows of a piece; 0: all at once."""


class Disclosure(msgspec.Struct, frozen=True):
    """A value that becomes known to someone, by design.

    Examples
    --------
    >>> print(Disclosure("the number of rows of a.loans", ("everyone",), "row counts are public"))
    the number of rows of a.loans -> everyone (row counts are public)
    """

    what: str
    to: tuple[str, ...]
    why: str = ""

    def __str__(self) -> str:
        return f"{self.what} -> {', '.join(self.to)}" + (f" ({self.why})" if self.why else "")


Stage = LocalQuery | Align | Compute | Release
