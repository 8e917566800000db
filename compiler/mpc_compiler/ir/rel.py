"""Relations: the nodes of a plan. Immutable, hash-consed, serialisable; they hold no data and no code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from mpc_compiler.ir.expr import Expr
from mpc_compiler.ir.intern import cons
from mpc_compiler.ir.types import Field

__all__ = [
    "AGGREGATES",
    "JOINS",
    "REQUESTER",
    "WINDOWS",
    "Agg",
    "Aggregate",
    "Apply",
    "Block",
    "Filter",
    "Fit",
    "Item",
    "Join",
    "Kept",
    "Limit",
    "Local",
    "Metric",
    "Output",
    "Plan",
    "Project",
    "Rel",
    "Scan",
    "Shared",
    "Slice",
    "Sort",
    "SortBy",
    "Union",
    "Win",
    "Window",
    "inputs_of",
    "make",
    "rebuild",
    "transform_plan",
    "walk",
]

AGGREGATES = ("sum", "mean", "count", "size", "min", "max", "nunique", "median", "quantile", "first", "last", "any")
"""Aggregate functions of this engine. ``any`` is for columns that are the same in all rows of a group."""
JOINS = ("inner", "left", "right", "outer", "semi", "anti", "cross")
"""Kinds of joins. ``cross`` takes exactly one row on the right: a scalar subquery."""
WINDOWS = ("row_number", "rank", "dense_rank", "lag", "lead", "sum", "mean", "count", "size", "min", "max")
"""Window functions."""


class _Node(msgspec.Struct, frozen=True, cache_hash=True, weakref=True):
    pass


class Scan(_Node, frozen=True, tag="scan"):
    """A table of one owner, as its public profile describes it.

    ``rows`` is the public number of rows; ``fields`` carry types, ranges and dictionaries; ``keys`` are sets of
    columns whose values, together, no two rows share. ``disjoint`` are those of them whose values, as their owner
    declares, no other owner's table of the same name has: they are keys of the union of these tables.
    """

    table: str
    owner: str
    fields: tuple[Field, ...]
    rows: int
    keys: tuple[tuple[str, ...], ...] = ()
    disjoint: tuple[tuple[str, ...], ...] = ()


class Item(msgspec.Struct, frozen=True, cache_hash=True):
    """A named expression of a projection."""

    name: str
    expr: Expr


class Project(_Node, frozen=True, tag="project"):
    """Exactly these columns, each computed from the input's columns."""

    input: Rel
    items: tuple[Item, ...]


class Filter(_Node, frozen=True, tag="filter"):
    """Rows whose predicate is true (NULL counts as false)."""

    input: Rel
    predicate: Expr


class Join(_Node, frozen=True, tag="join"):
    """Equi-join. The column names of the two sides are disjoint, and both sides' are kept (``semi``, ``anti``: left).

    Inner, left, semi and anti joins keep the order of the left rows, and within it that of the right ones; outer joins
    append the right rows that match nothing. Rows whose key is NULL match nothing, unless ``nulls``: then NULL equals
    NULL. One side's key is unique, or ``most`` bounds the rows that match.

    ``method`` says how rows are matched, and is decided by the rule ``choose_joins``: by ``intersection`` (private set
    intersection: inner joins on unique keys; tells both owners which of their rows match, and every computing party
    how many do), or ``obliviously`` on shares, which tells nobody anything. ``hidden`` rules out the former.
    """

    left: Rel
    right: Rel
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    how: str = "inner"
    nulls: bool = False
    most: int = 0
    hidden: bool = False
    method: str = ""


class Union(_Node, frozen=True, tag="union"):
    """The rows of the left, then those of the right; the columns of both have the same names, in the left's order."""

    left: Rel
    right: Rel


class Agg(msgspec.Struct, frozen=True, cache_hash=True):
    """``name = function(column)``; ``size`` takes no column, ``quantile`` the level as ``param``."""

    name: str
    function: str
    column: str | None = None
    param: float | None = None


class Aggregate(_Node, frozen=True, tag="aggregate"):
    """One row a group, sorted by the keys; rows with a NULL key are dropped. No keys: exactly one row.

    ``nulls``: NULL is a key like any other, and the last one. ``ordered``: whether the order of the groups counts; if
    not, rules may change it.
    """

    input: Rel
    keys: tuple[str, ...]
    aggs: tuple[Agg, ...]
    nulls: bool = False
    ordered: bool = True


class SortBy(msgspec.Struct, frozen=True, cache_hash=True):
    """A sort key; NULLs come last in both directions."""

    column: str
    ascending: bool = True


class Sort(_Node, frozen=True, tag="sort"):
    """Stable sort."""

    input: Rel
    by: tuple[SortBy, ...]


class Win(msgspec.Struct, frozen=True, cache_hash=True):
    """``name = function(column)`` over a window.

    ``param`` is the distance of ``lag`` and ``lead``. ``rows`` is the frame of an aggregate: so many rows before the
    current one, and after it; None: all. ``peers``: the frame ends with the last row that ties with the current one
    (SQL's RANGE), and starts with the first of the partition.
    """

    name: str
    function: str
    column: str | None = None
    param: int = 1
    rows: tuple[int | None, int | None] = (None, 0)
    peers: bool = False


class Window(_Node, frozen=True, tag="window"):
    """The input with one more column a window function; rows keep their order."""

    input: Rel
    partition: tuple[str, ...]
    order: tuple[SortBy, ...]
    wins: tuple[Win, ...]


class Limit(_Node, frozen=True, tag="limit"):
    """The first ``count`` rows."""

    input: Rel
    count: int


class Local(_Node, frozen=True, tag="local"):
    """A subtree that one owner computes alone, in its own DuckDB. Placed by the rule ``place_local``."""

    owner: str
    input: Rel


class Slice(msgspec.Struct, frozen=True, cache_hash=True, order=True):
    """Rows of a table that ``owners`` divide among them: names of a key of the table, and what they are called here."""

    table: str
    owners: tuple[str, ...]
    key: tuple[tuple[str, str], ...]


class Shared(_Node, frozen=True, tag="shared"):
    """A relation whose columns owners share. Made by lowering; never part of a plan that travels.

    ``columns`` gives, for each field, the name of the shared column of the input ``source``; ``slices`` say of which
    tables that owners divide among them the rows are (:func:`mpc_compiler.check.keys.slices_of`), ``mass`` how much all
    rows of a field hold together (:func:`mpc_compiler.check.mass.mass_of`).
    """

    source: str
    fields: tuple[Field, ...]
    columns: tuple[str, ...]
    rows: int
    keys: tuple[tuple[str, ...], ...] = ()
    slices: tuple[Slice, ...] = ()
    mass: tuple[float | int, ...] = ()


class Block(msgspec.Struct, frozen=True, cache_hash=True):
    """Features that their owner, the computing party of that rank, keeps in the clear; made by lowering."""

    id: str
    rank: int
    features: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]


class Kept(_Node, frozen=True, tag="kept"):
    """A result of an earlier run, whose shares the computing parties kept.

    Attributes
    ----------
    name : str
        Of that run's output.
    fields : tuple of Field
    rows : int
        Most rows: the length of its arrays.
    owners : tuple of str
        Everyone whose rows it depends on.
    masks : tuple of str
        Columns that come with their validity.
    marked : bool
        Whether a mark says which rows there are.
    order_bits : int
        Bits of the rank that orders the rows; 0: they are in order.
    keys : tuple of tuple of str
        Sets of columns whose values no two rows share.
    """

    name: str
    fields: tuple[Field, ...]
    rows: int
    owners: tuple[str, ...]
    masks: tuple[str, ...] = ()
    marked: bool = False
    order_bits: int = 0
    keys: tuple[tuple[str, ...], ...] = ()


class Fit(_Node, frozen=True, tag="fit"):
    """Fit the estimator ``kind``; the result is the model as a relation, one row a term."""

    input: Rel
    kind: str
    features: tuple[str, ...]
    target: str | None = None
    params: tuple[tuple[str, bool | int | float | str], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()
    """Further columns by what they are to the model: ``weight``, ``offset``."""
    blocks: tuple[Block, ...] = ()


class Apply(_Node, frozen=True, tag="apply"):
    """The input with the columns ``outputs`` that ``method`` of a fitted model computes from ``features``."""

    input: Rel
    model: Rel
    kind: str
    method: str
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    blocks: tuple[Block, ...] = ()


class Metric(_Node, frozen=True, tag="metric"):
    """One row with a column for each named metric of a score against a 0/1 label.

    ``other`` is a second score, for metrics that compare two; empty for others.
    """

    input: Rel
    metrics: tuple[str, ...]
    label: str
    score: str
    other: str = ""


Rel = (
    Scan
    | Kept
    | Project
    | Filter
    | Join
    | Union
    | Aggregate
    | Sort
    | Window
    | Limit
    | Local
    | Shared
    | Fit
    | Apply
    | Metric
)


REQUESTER = "requester"
"""Who asks; receives the results for which no party is named."""


class Output(msgspec.Struct, frozen=True, cache_hash=True):
    """A result of a plan: its name, its relation and who receives it; nobody: the parties keep its shares.

    ``chunk``: it is released in pieces of so many rows, one at a time; 0: all at once.
    """

    name: str
    rel: Rel
    receivers: tuple[str, ...]
    chunk: int = 0


class Plan(msgspec.Struct, frozen=True, cache_hash=True):
    """What the requester asks for. Relations shared between outputs are computed once."""

    outputs: tuple[Output, ...]


def make(node: Rel) -> Rel:
    """The hash-consed node.

    Examples
    --------
    >>> make(Limit(make(Scan("a.t", "a", (), 3)), 2)) is make(Limit(make(Scan("a.t", "a", (), 3)), 2))
    True
    """
    return cons(node)


def inputs_of(rel: Rel) -> tuple[Rel, ...]:
    """The relations that ``rel`` reads directly."""
    if isinstance(rel, Scan | Shared | Kept):
        return ()
    if isinstance(rel, Join | Union):
        return rel.left, rel.right
    if isinstance(rel, Apply):
        return rel.input, rel.model
    return (rel.input,)


def rebuild(rel: Rel, inputs: tuple[Rel, ...]) -> Rel:
    """``rel`` over other inputs."""
    if inputs == inputs_of(rel):
        return rel
    if isinstance(rel, Join | Union):
        return make(msgspec.structs.replace(rel, left=inputs[0], right=inputs[1]))
    if isinstance(rel, Apply):
        return make(msgspec.structs.replace(rel, input=inputs[0], model=inputs[1]))
    return make(msgspec.structs.replace(rel, input=inputs[0]))


def transform_plan(plan: Plan, step: Callable[[Rel], Rel]) -> Plan:
    """Rewrite every output bottom-up; nodes shared between outputs stay shared."""
    done: dict[Rel, Rel] = {}

    def visit(node: Rel) -> Rel:
        if node not in done:
            done[node] = step(rebuild(node, tuple(visit(child) for child in inputs_of(node))))
        return done[node]

    return Plan(tuple(msgspec.structs.replace(o, rel=visit(o.rel)) for o in plan.outputs))


def walk(*roots: Rel) -> Iterator[Rel]:
    """Every node below and including the roots once, inputs first."""
    seen: set[Rel] = set()

    def visit(node: Rel) -> Iterator[Rel]:
        if node in seen:
            return
        seen.add(node)
        for child in inputs_of(node):
            yield from visit(child)
        yield node

    for root in roots:
        yield from visit(root)
