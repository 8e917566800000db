"""Window functions: rows keep their places in the result, each with a number that depends on its partition.

One sort by (partition, order); then everything is made of scans within partitions, prefix sums, and comparisons of
rows a public distance apart. Rows are not sorted back: the former order becomes `Table.order`, which a later sort,
group-by or aggregation does not pay for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.frames import Frames
from mpc_compiler.ops.keys import Code, SortKey, codes_of, width_of, words_of
from mpc_compiler.ops.measures import of_units
from mpc_compiler.ops.numeric import ratio
from mpc_compiler.ops.primitives import prefix_sum, segment_scan, sort_rows
from mpc_compiler.ops.segments import copied_back, ends_of, preceding
from mpc_compiler.ops.table import Column, Table, both, cleared, column_arrays, valid_first, with_arrays
from mpc_compiler.ops.union import rank_of

__all__ = ["Win", "window"]


@dataclass(frozen=True)
class Win:
    """One window function.

    Parameters
    ----------
    out : str
        Name of the result column.
    fn : str
        ``"row_number"``, ``"rank"``, ``"dense_rank"``, ``"lag"``, ``"lead"``, ``"sum"``, ``"mean"``, ``"count"``,
        ``"size"``, ``"min"`` or ``"max"``.
    column : str or None
    lo, hi : int, float or None
        Public range of the column: how many bits a comparison takes.
    distance : int
        Of ``lag`` and ``lead``.
    before, after : int or None
        The frame of an aggregate: so many rows before the current one and after it; None: all.
    scale : int
        The column is a decimal in units of ``10**-scale``.
    peers : bool
        The frame goes from the first row of the partition to the last that ties with the current one.
    """

    out: str
    fn: str
    column: str | None = None
    lo: float | None = None
    hi: float | None = None
    distance: int = 1
    before: int | None = None
    after: int | None = 0
    peers: bool = False
    scale: int = 0


def window(table: Table, partition: Sequence[SortKey], order: Sequence[SortKey], wins: Sequence[Win]) -> Table:
    """Add one column a window function.

    Parameters
    ----------
    table : Table
        n rows.
    partition, order : sequence of SortKey
        NULL is a key like any other, and comes last. Rows that tie keep their order.
    wins : sequence of Win

    Returns
    -------
    Table
        n rows, the columns and one more a window function; in another array order, with `order` for the former one.
        Discloses nothing.

    Notes
    -----
    The sum of no value is 0; mean, min and max of none are NULL. Cost under ``aby3``: a sort, unless the table is
    sorted so already; then about one `segment_scan` for each running sum, two for sums of whole partitions; none for
    ``lag`` and ``lead``, and none for sums without a partition.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Table({"k": Column(np.array([1, 0, 1])), "v": Column(np.array([5, 6, 7]))})
    >>> out = window(rows, [SortKey("k", lo=0, hi=1)], [], [Win("total", "sum", "v")])
    >>> np.asarray(out.columns["total"].value)[np.argsort(out.order)].tolist()
    [5, 6, 12]
    """
    if table.rows == 0:
        return replace(table, columns=table.columns | {win.out: _none(table, win) for win in wins})
    table = _sorted(table, partition, order)
    made = _Made(table, partition, order)
    return replace(table, columns=table.columns | {win.out: made.column(win) for win in wins})


def _none(table: Table, win: Win) -> Column:
    if win.fn in ("lag", "lead"):
        assert win.column is not None
        column = table.columns[win.column]
        return replace(column, valid=jnp.zeros(0, jnp.bool_))
    if win.fn in ("sum", "min", "max") and win.column is not None:
        value = table.columns[win.column].value
        flag = win.fn == "sum" and value.dtype == jnp.bool_
        return Column(value.astype(jnp.int64) if flag else value)
    return Column(jnp.zeros(0, jnp.float64 if win.fn == "mean" else jnp.int64))


def _sorted(table: Table, partition: Sequence[SortKey], order: Sequence[SortKey]) -> Table:
    """Rows that count first, by partition and order; ties in row order."""
    keys = (*partition, *order)
    by = tuple((key.name, key.ascending) for key in keys)
    known = table.sorted_by
    same = {name for name, _ in known[: len(partition)]} == {key.name for key in partition}
    lies = same and known[len(partition) : len(by)] == by[len(partition) :]
    if lies and (table.order is None or (by and known == by)):
        return _rows_first(table)
    if not keys:
        return valid_first(table)
    codes = words_of([code for key in keys for code in _codes(table, key)], table.valid)
    if table.order is not None:
        codes.append((table.order, 1 << table.order_bits))
    rank, bits = rank_of(table)
    flags = [] if table.valid is None else [table.valid]
    moved = sort_rows(
        [code for code, _ in codes],
        [rank, *flags, *column_arrays(table.columns)],
        [width_of(count) for _, count in codes],
    )[len(codes) :]
    rank, *rest = moved
    valid = rest.pop(0) if flags else None
    return Table(with_arrays(table.columns, rest), valid, rank, order_bits=bits, packed=True, sorted_by=by)


def _rows_first(table: Table) -> Table:
    """Rows that count first, in array order; the row order moves along."""
    if table.order is None or table.packed or table.valid is None:
        return valid_first(table) if table.order is None else table
    held = replace(table, columns={**table.columns, "\0order": Column(table.order)}, order=None)
    moved = valid_first(held)
    columns = dict(moved.columns)
    rank = columns.pop("\0order").value
    return replace(moved, columns=columns, order=rank)


def _codes(table: Table, key: SortKey) -> list[Code]:
    column = table.columns[key.name]
    return codes_of(column, key)


class _Made:
    """Columns over sorted rows; what several functions need is computed once."""

    def __init__(self, table: Table, partition: Sequence[SortKey], order: Sequence[SortKey]) -> None:
        self._table = table
        words = words_of([code for key in partition for code in _codes(table, key)], table.valid)
        self._frames = Frames(words if partition else [], table.rows, table.valid)
        self._ties = [code for key in order for code in _codes(table, key)]
        self._sums: dict[object, Array] = {}

    def column(self, win: Win) -> Column:
        """One window function."""
        if win.fn == "row_number":
            return Column(self._frames.number)
        if win.fn in ("rank", "dense_rank"):
            return Column(self._rank(dense=win.fn == "dense_rank"))
        if win.fn in ("lag", "lead"):
            return self._shifted(win)
        if win.fn == "size":
            return Column(self._sum(None, win))
        assert win.column is not None
        column = self._table.columns[win.column]
        if win.fn == "count":
            return Column(self._count(win))
        if win.fn == "sum":
            return Column(self._sum(win.column, win))
        if win.fn == "mean":
            count = self._count(win)
            value = ratio(self._sum(win.column, win), cleared(count, self._table.valid), den_max=self._table.rows)
            value = of_units(value, win.scale, win.lo, win.hi)
            return Column(value, None if self._never_empty(win) else count > 0)
        return self._extreme(win, column)

    # --- ranks -------------------------------------------------------------------------------------------------

    @cached_property
    def _peer_end(self) -> Array:
        """Whether a row is the last of those that tie."""
        words = words_of(self._ties, None if self._frames.split else self._table.valid)
        own = ends_of(words) if words else None
        above = self._frames.end
        if own is None:
            return above
        return own if not self._frames.split else ~jnp.where(above, False, ~own)

    def _rank(self, *, dense: bool) -> Array:
        if not self._ties:
            return jnp.ones(self._table.rows, jnp.int64)
        start = preceding(self._peer_end)
        counted = start.astype(jnp.int64)
        if dense:
            groups = prefix_sum(counted)
            return groups if not self._frames.split else groups - self._frames.at_start(groups) + 1
        first = segment_scan(start, counted * jnp.arange(self._table.rows), "sum")
        return first - self._frames.first + 1

    # --- other rows --------------------------------------------------------------------------------------------

    def _shifted(self, win: Win) -> Column:
        assert win.column is not None
        column = self._table.columns[win.column]
        back = win.distance if win.fn == "lag" else -win.distance
        there = self._frames.together(back)
        arrays = [self._frames.shifted(array, back) for array in column_arrays({"": column})]
        found = with_arrays({"": column}, arrays)[""]
        valid = both(there, found.valid)
        rest = tuple(cleared(word, valid) for word in found.rest)
        return Column(cleared(found.value, valid), valid, rest)

    # --- aggregates --------------------------------------------------------------------------------------------

    def _number(self, name: str | None) -> Array | None:
        """What is added up; None: 1 for each row."""
        if name is None:
            return None
        column = self._table.columns[name]
        value = column.value.astype(jnp.int64) if column.value.dtype == jnp.bool_ else column.value
        return cleared(value, self._table.valid) if not self._frames.split else value

    def _never_empty(self, win: Win) -> bool:
        """Whether every frame holds a value."""
        assert win.column is not None
        held = win.peers or ((win.before or 0) >= 0 and (win.after or 0) >= 0)
        return held and self._table.columns[win.column].valid is None

    def _count(self, win: Win) -> Array:
        assert win.column is not None
        valid = self._table.columns[win.column].valid
        return self._sum(None, win) if valid is None else self._sum(("valid", win.column), win)

    def _sum(self, what: str | tuple[str, str] | None, win: Win) -> Array:
        if isinstance(what, tuple):
            valid = both(self._table.valid, self._table.columns[what[1]].valid)
            assert valid is not None
            value: Array | None = valid.astype(jnp.int64)
        else:
            value = self._number(what)
        frames = self._frames
        if what not in self._sums:
            self._sums[what] = frames.number if value is None else frames.running(value)
        running = self._sums[what]
        if win.peers:
            return copied_back(self._peer_end, running) if self._ties else frames.whole(running, rows=value is None)
        return frames.between(running, win.before, win.after, rows=value is None)

    def _extreme(self, win: Win, column: Column) -> Column:
        boolean = column.value.dtype == jnp.bool_
        value = column.value.astype(jnp.int64) if boolean else column.value
        known = both(column.valid, None if self._frames.split else self._table.valid)
        lo, hi = (0, 1) if boolean else (win.lo, win.hi)
        most = self._frames.extreme(value, known, win.fn, lo, hi)
        if win.peers:
            running = most(None, 0)
            found = copied_back(self._peer_end, running) if self._ties else self._frames.at_end(running)
        else:
            found = most(win.before, win.after)
        valid = None if self._never_empty(win) else self._count(win) > 0
        found = cleared(found, valid)
        return Column(found > 0 if boolean else found, valid)
