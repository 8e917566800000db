"""A Compute stage as one JAX function over shares."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.check import rows_of, schema_of
from mpc_compiler.cost import LINKS
from mpc_compiler.ir import (
    Aggregate,
    Apply,
    DType,
    Filter,
    Fit,
    Join,
    Kept,
    Limit,
    Metric,
    Project,
    Rel,
    Schema,
    Shared,
    Sort,
    Union,
    Window,
    walk,
)
from mpc_compiler.ir import Column as NamedColumn
from mpc_compiler.lower.grouping import group_table, sort_keys, window_table
from mpc_compiler.lower.joins import join_tables, union_tables
from mpc_compiler.lower.models import apply_model, fit_model, measure
from mpc_compiler.lower.reach import reach_of
from mpc_compiler.lower.stages import Compute, Owned
from mpc_compiler.ops.order import head, sort_values
from mpc_compiler.ops.scalar import evaluate
from mpc_compiler.ops.table import Column, Table, both, filter_rows, release
from mpc_compiler.options import Options

__all__ = ["CHECK", "ORDER", "PIECE", "ROW_VALID", "Program", "Slot", "array_type", "build_program", "kept_of"]

ROW_VALID = "__valid"
"""Name of the slot that tells which rows of a result exist."""
ORDER = "__order"
"""Name of the slot that tells the rank of each row."""


@dataclass(frozen=True)
class Slot:
    """One array that enters or leaves a program.

    Attributes
    ----------
    relation : str
        Input id or output name.
    column : str
        Column, or ROW_VALID or ORDER.
    valid : bool
        Whether it is the column's validity rather than its values.
    dtype : numpy dtype
        int64, float64 or bool.
    known : int
        Rank of the computing party that keeps the array in the clear, a matrix; -1: it is shared.
    width : int
        Columns of a block; its arrays other than the matrix have one element a column.
    word : int
        Number of the word, for texts of several words.
    """

    relation: str
    column: str
    valid: bool
    dtype: np.dtype[np.generic]
    known: int = -1
    width: int = 0
    word: int = 0

    def shape(self, rows: Mapping[str, int]) -> tuple[int, ...]:
        """Shape of the array, given the row counts of relations."""
        if self.known >= 0:
            return rows[self.relation], self.width
        return (self.width,) if self.width else (rows[self.relation],)


CHECK = Slot("__check", "__fits", False, np.dtype(np.bool_))
"""Whether every join stayed within its bound, bool [1]: opened to the receivers where a plan has such joins."""


@dataclass(frozen=True)
class Program:
    """A JAX function with named arrays in and out.

    Attributes
    ----------
    jaxpr : jax.core.ClosedJaxpr
        Arrays in the order of ``inputs`` -> arrays in the order of ``outputs``. Traced once: what comes after works on
        this.
    inputs, outputs : tuple of Slot
        What each array is.
    specs : tuple of jax.ShapeDtypeStruct
        Shapes and types of the inputs.
    orders : mapping of str to int
        Bits of the rank that orders each output; 0: its rows are in order.
    """

    jaxpr: jax.core.ClosedJaxpr
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    specs: tuple[jax.ShapeDtypeStruct, ...]
    orders: Mapping[str, int]


def array_type(dtype: DType) -> np.dtype[np.generic]:
    """The array type that holds values (codes, days, microseconds) of ``dtype``."""
    return np.dtype({"float": np.float64, "bool": np.bool_}.get(dtype.kind, np.int64))


def input_slots(compute: Compute) -> tuple[Slot, ...]:
    """Every array that owners share for this computation, in order."""
    slots = []
    for source in compute.inputs:
        for wanted in source.columns:
            kind = array_type(wanted.field.dtype)
            slots += [Slot(source.id, wanted.name, False, kind, word=word) for word in range(wanted.field.dtype.words)]
            if wanted.field.dtype.nullable:
                slots.append(Slot(source.id, wanted.name, True, np.dtype(np.bool_)))
        if source.ordered:
            slots.append(Slot(source.id, ORDER, False, np.dtype(np.int64)))
    for block in compute.blocks:
        slots += _block_slots(block)
    for kept in kept_of(compute):
        slots += _kept_slots(kept)
    return tuple(dict.fromkeys(slots))


def kept_of(compute: Compute) -> tuple[Kept, ...]:
    """Results of earlier runs that the computation reads."""
    return tuple(node for node in walk(*compute.rels) if isinstance(node, Kept))


def _kept_slots(kept: Kept) -> list[Slot]:
    slots = [
        Slot(kept.name, field.name, False, array_type(field.dtype), word=word)
        for field in kept.fields
        for word in range(field.dtype.words)
    ]
    masks = [field.name for field in kept.fields if field.name in kept.masks]
    slots += [Slot(kept.name, name, True, np.dtype(np.bool_)) for name in masks]
    if kept.marked:
        slots.append(Slot(kept.name, ROW_VALID, False, np.dtype(np.bool_)))
    if kept.order_bits:
        slots.append(Slot(kept.name, ORDER, False, np.dtype(np.int64)))
    return slots


def _block_slots(block: Owned) -> list[Slot]:
    width, kind = block.width, np.dtype(np.float64)
    held = np.dtype(np.int64) if block.how == "onehot" else kind
    slots = [Slot(block.id, "__matrix", False, held, block.rank, width)]
    shared = {"standard": ("__mean", "__inverse"), "centred": ("__mean",)}.get(block.how, ())
    return slots + [Slot(block.id, name, False, kind, width=width) for name in shared]


_PLAIN = Options(protocol="plaintext")


def build_program(compute: Compute, rows: Mapping[str, int], options: Options = _PLAIN) -> Program:
    """The program for inputs of these (public) row counts.

    Parameters
    ----------
    compute : Compute
        The stage.
    rows : mapping of str to int
        Rows of each input, by its id.
    options : Options
        Who will run it and how far apart they are: it decides what is cheap, not what comes out.
    """
    slots = input_slots(compute)
    sizes = dict(rows) | {block.id: rows[block.source] for block in compute.blocks}
    outputs: list[Slot] = []
    orders: dict[str, int] = {}

    def fn(*arrays: jax.Array) -> tuple[jax.Array, ...]:
        outputs.clear()
        found = dict(zip(slots, arrays, strict=True))
        run = _Run(found, rows, options)
        made: list[jax.Array] = []
        chunks = compute.chunks or (0,) * len(compute.names)
        tables = [run.table(rel) for rel in compute.rels]
        fits = functools.reduce(jnp.logical_and, run.checks) if run.checks else None
        for name, rel, chunk, whole in zip(compute.names, compute.rels, chunks, tables, strict=True):
            table = release(whole if fits is None else _if_complete(whole, fits))
            orders[name] = table.order_bits if table.order is not None else 0
            for slot, array in _outputs(name, table, schema_of(rel)):
                for piece, part in _pieces(slot, array, chunk):
                    outputs.append(piece)
                    made.append(part)
        if fits is not None:
            outputs.append(CHECK)
            made.append(fits.reshape(1))
        return tuple(made)

    specs = tuple(jax.ShapeDtypeStruct(slot.shape(sizes), slot.dtype) for slot in slots)
    return Program(jax.make_jaxpr(fn)(*specs), slots, tuple(outputs), specs, orders)


def _if_complete(table: Table, fits: jax.Array) -> Table:
    """The table, or none of its rows where a bound was too small: a refused run tells nothing else."""
    rows = jnp.broadcast_to(fits, (table.rows,))
    return replace(table, valid=both(table.valid, rows))


PIECE = "#"
"""Between the name of an output and the number of a piece of it."""


def _pieces(slot: Slot, array: jax.Array, chunk: int) -> list[tuple[Slot, jax.Array]]:
    """An output in pieces of so many rows."""
    if not chunk:
        return [(slot, array)]
    starts = range(0, max(array.shape[0], 1), chunk)
    return [
        (replace(slot, relation=f"{slot.relation}{PIECE}{at}"), array[start : start + chunk])
        for at, start in enumerate(starts)
    ]


def _outputs(name: str, table: Table, schema: Schema) -> list[tuple[Slot, jax.Array]]:
    made = []
    for field in schema:
        column = table.columns[field.name]
        kind = array_type(field.dtype)
        made += [
            (Slot(name, field.name, False, kind, word=at), word.astype(kind)) for at, word in enumerate(column.words)
        ]
        if column.valid is not None:
            made.append((Slot(name, field.name, True, np.dtype(np.bool_)), column.valid))
    if table.valid is not None:
        made.append((Slot(name, ROW_VALID, False, np.dtype(np.bool_)), table.valid))
    if table.order is not None:
        made.append((Slot(name, ORDER, False, np.dtype(np.int64)), table.order))
    return made


class _Run:
    """Evaluates relations once each."""

    def __init__(self, found: Mapping[Slot, jax.Array], rows: Mapping[str, int], options: Options) -> None:
        self._found = {(slot.relation, slot.column, slot.valid, slot.word): array for slot, array in found.items()}
        self._rows = rows
        self._options = options
        self._done: dict[Rel, Table] = {}
        self.checks: list[jax.Array] = []
        """bool [] each: what must hold for the results to be complete."""

    def table(self, rel: Rel) -> Table:
        """The rows of ``rel`` as arrays."""
        if rel not in self._done:
            self._done[rel] = self._make(rel)
        return self._done[rel]

    def held(self, block: str, name: str) -> jax.Array:
        """What the owner of a block keeps in the clear, or shares of it."""
        return self._found[block, name, False, 0]

    def _make(self, rel: Rel) -> Table:
        if isinstance(rel, Shared):
            return self._shared(rel)
        if isinstance(rel, Kept):
            return self._kept(rel)
        if isinstance(rel, Project):
            below = self.table(rel.input)
            schema = schema_of(rel.input)
            columns = {item.name: evaluate(item.expr, below, schema) for item in rel.items}
            valid = below.valid
            if not columns and valid is None and below.order is None:  # nothing else says how many rows there are
                valid = jnp.ones(below.rows, jnp.bool_)
            return replace(below, columns=columns, valid=valid, sorted_by=_renamed(below.sorted_by, rel))
        if isinstance(rel, Filter):
            below = self.table(rel.input)
            mask = evaluate(rel.predicate, below, schema_of(rel.input))
            return filter_rows(below, mask.value if mask.valid is None else mask.value & mask.valid)
        if isinstance(rel, Join):
            return join_tables(rel, self.table(rel.left), self.table(rel.right), self.checks)
        if isinstance(rel, Union):
            return union_tables(rel, self.table(rel.left), self.table(rel.right))
        if isinstance(rel, Aggregate):
            link = LINKS[self._options.link]
            return group_table(rel, self.table(rel.input), kernels=self._options.native, link=link)
        if isinstance(rel, Window):
            return window_table(rel, self.table(rel.input))
        if isinstance(rel, Sort):
            return sort_values(self.table(rel.input), sort_keys(reach_of(rel.input), rel.by))
        if isinstance(rel, Limit):
            return head(self.table(rel.input), rel.count)
        if isinstance(rel, Fit):
            return fit_model(rel, self.table(rel.input), schema_of(rel.input), rows_of(rel.input), self.held)
        if isinstance(rel, Apply):
            return apply_model(rel, self.table(rel.input), self.table(rel.model), schema_of(rel.input), self.held)
        if isinstance(rel, Metric):
            return measure(rel, self.table(rel.input), schema_of(rel.input))
        raise TypeError(f"{type(rel).__name__} in a computation")

    def _shared(self, rel: Shared) -> Table:
        columns = {}
        for field, name in zip(rel.fields, rel.columns, strict=True):
            value, *rest = (self._found[rel.source, name, False, word] for word in range(field.dtype.words))
            columns[field.name] = Column(value, self._found.get((rel.source, name, True, 0)), tuple(rest))
        order = self._found.get((rel.source, ORDER, False, 0))
        if not columns:
            columns["__nothing"] = Column(jnp.zeros(self._rows[rel.source], jnp.int64))
        bits = max((self._rows[rel.source] - 1).bit_length(), 1)
        return Table(columns, None, order, order_bits=bits)

    def _kept(self, rel: Kept) -> Table:
        columns = {}
        for field in rel.fields:
            value, *rest = (self._found[rel.name, field.name, False, word] for word in range(field.dtype.words))
            columns[field.name] = Column(value, self._found.get((rel.name, field.name, True, 0)), tuple(rest))
        if not columns:
            columns["__nothing"] = Column(jnp.zeros(self._rows[rel.name], jnp.int64))
        valid, order = (self._found.get((rel.name, slot, False, 0)) for slot in (ROW_VALID, ORDER))
        return Table(columns, valid, order, order_bits=rel.order_bits or 1)


def _renamed(known: tuple[tuple[str, bool], ...], rel: Project) -> tuple[tuple[str, bool], ...]:
    """The order of the arrays under the names that a projection gives to columns as they are."""
    names = {item.expr.name: item.name for item in rel.items if isinstance(item.expr, NamedColumn)}
    kept = itertools.takewhile(lambda key: key[0] in names, known)
    return tuple((names[name], ascending) for name, ascending in kept)
