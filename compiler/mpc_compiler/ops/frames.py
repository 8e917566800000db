"""Frames of rows around each row of sorted partitions: running and sliding sums and extremes.

With R the running sums within a partition, the sum over a frame is R at its last row less R before its first one; both
rows are a public distance away, and the ends of the partition stand in for them where they are beyond it.
Sliding extremes double their width: the extreme of 2w rows is that of two extremes of w rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.keys import Code, width_of
from mpc_compiler.ops.primitives import FRACTION_BITS, compare, prefix_sum, segment_scan
from mpc_compiler.ops.segments import (
    copied_back,
    end_index,
    ends_of,
    preceding,
    same,
    scanned_back,
    start_index,
)
from mpc_compiler.ops.table import cleared

__all__ = ["Frames"]

_FAR = 1 << 40
Extreme = Callable[[int | None, int | None], Array]


class Frames:
    """Rows that are sorted by partition.

    Parameters
    ----------
    words : sequence of Code
        Equal in all rows of a partition; none: all rows are one partition, and those that do not count come last.
    rows : int
        n ≥ 1.
    valid : Array or None
        bool [n], rows that count.
    """

    def __init__(self, words: Sequence[Code], rows: int, valid: Array | None) -> None:
        self._words, self._rows, self._valid = list(words), rows, valid
        self.split = bool(words)
        self._masks: dict[int, Array | None] = {}

    # --- partitions --------------------------------------------------------------------------------------------

    @cached_property
    def end(self) -> Array:
        """Whether a row is the last of its partition (without partitions: the last row)."""
        return ends_of(self._words) if self.split else jnp.arange(self._rows) == self._rows - 1

    @cached_property
    def first(self) -> Array:
        """Number of the partition's first row."""
        return start_index(self.end) if self.split else jnp.zeros(self._rows, jnp.int64)

    @cached_property
    def number(self) -> Array:
        """Place of each row in its partition, from 1."""
        return jnp.arange(1, self._rows + 1) - self.first

    @cached_property
    def _size(self) -> Array:
        """Rows of the partition."""
        if self.split:
            return end_index(self.end) - self.first + 1
        if self._valid is None:
            return jnp.full(self._rows, self._rows, jnp.int64)
        return jnp.broadcast_to(jnp.sum(self._valid.astype(jnp.int64))[None], (self._rows,))

    def at_start(self, x: Array) -> Array:
        """The value in the first row of the partition."""
        return segment_scan(preceding(self.end), x, "copy") if self.split else jnp.broadcast_to(x[:1], x.shape)

    def at_end(self, x: Array) -> Array:
        """The value in the last row of the partition."""
        return copied_back(self.end, x) if self.split else jnp.broadcast_to(x[-1:], x.shape)

    def shifted(self, x: Array, back: int) -> Array:
        """The value `back` rows before (negative: after); 0 where there is no such row."""
        if abs(back) >= self._rows:
            return jnp.zeros_like(x)
        pad = jnp.zeros(abs(back), x.dtype)
        if back == 0:
            return x
        return jnp.concatenate([pad, x[:-back]] if back > 0 else [x[-back:], pad])

    def together(self, back: int) -> Array | None:
        """Whether the row `back` rows before is one of the partition; None: it always is."""
        if back == 0:
            return None
        if back not in self._masks:
            self._masks[back] = self._together(back)
        return self._masks[back]

    def _together(self, back: int) -> Array:
        there = jnp.arange(self._rows) >= back if back > 0 else jnp.arange(self._rows) < self._rows + back
        if not self.split:
            if back > 0 or self._valid is None:  # rows that count come first
                return there
            return self.shifted(self._valid, back)
        others = [self.shifted(word, back) for word, _ in self._words]
        return jnp.where(there, same(self._words, others), False)

    # --- sums --------------------------------------------------------------------------------------------------

    def running(self, x: Array) -> Array:
        """Running sums within the partition."""
        return segment_scan(preceding(self.end), x, "sum") if self.split else prefix_sum(x)

    def between(self, running: Array, before: int | None, after: int | None, *, rows: bool) -> Array:
        """Sums over frames, from running sums; `rows`: what is added is 1 for each row."""
        if before is not None and after is not None and before + after < 0:
            return jnp.zeros_like(running)
        upper = self.whole(running, rows=rows) if after is None else self._at(running, -after, rows=rows)
        return upper if before is None else upper - self._at(running, before + 1, rows=rows)

    def whole(self, running: Array, *, rows: bool) -> Array:
        """Sums over whole partitions, from running sums."""
        return self._size if rows else self.at_end(running)

    def _at(self, running: Array, back: int, *, rows: bool) -> Array:
        """The running sum `back` rows before: 0 before the partition, and all of it after its last row."""
        there = self.together(back)
        if there is None:
            return running
        value = self.shifted(running, back)
        return cleared(value, there) if back > 0 else jnp.where(there, value, self.whole(running, rows=rows))

    # --- extremes ----------------------------------------------------------------------------------------------

    def extreme(self, value: Array, known: Array | None, fn: str, lo: float | None, hi: float | None) -> Extreme:
        """Return a function of the frame that gives its smallest or largest value; anything where it holds none."""
        return _Extremes(self, value, known, fn, lo, hi).over

    def scan(self, x: Array, op: str, *, back: bool) -> Array:
        """Running extremes within the partition, from its first row or its last one."""
        # A kernel scans secret flags only; without partitions these are made of something secret that is False.
        start = preceding(self.end) if self.split else compare(x, x, "ne", bits=1)
        if back:
            return scanned_back(self.end if self.split else start, x, op)
        return segment_scan(start, x, op)


class _Extremes:
    def __init__(
        self, frames: Frames, value: Array, known: Array | None, fn: str, lo: float | None, hi: float | None
    ) -> None:
        self._frames, self._fn = frames, fn
        worst = (hi if fn == "min" else lo) if lo is not None and hi is not None else None
        worst = (_FAR if fn == "min" else -_FAR) if worst is None else worst
        self._worst = jnp.asarray(worst, value.dtype)
        self._value = value if known is None else jnp.where(known, value, self._worst)
        scale = FRACTION_BITS if value.dtype == jnp.float64 else 0
        self._bits = 64 if lo is None or hi is None else width_of(int((hi - lo + 1) * 2**scale)) + 2

    def over(self, before: int | None, after: int | None) -> Array:
        """The extreme over frames."""
        if before is not None and after is not None:
            return self._sliding(before, after)
        if before is None and after is None:
            return self._frames.at_end(self._frames.scan(self._value, self._fn, back=False))
        reach = after if before is None else before
        assert reach is not None
        running = self._frames.scan(self._value, self._fn, back=before is not None)
        if reach <= 0:
            return self._moved(running, -reach if before is None else reach)
        return self._better(running, self._run(reach + 1, back=before is not None))

    def _sliding(self, before: int, after: int) -> Array:
        length = before + after + 1
        if length <= 0:
            return jnp.full_like(self._value, self._worst)
        if after < 0:
            return self._moved(self._run(length, back=True), -after)
        if before < 0:
            return self._moved(self._run(length, back=False), before)
        back, ahead = self._run(before + 1, back=True), self._run(after + 1, back=False)
        return back if after == 0 else ahead if before == 0 else self._better(back, ahead)

    def _run(self, length: int, *, back: bool) -> Array:
        """The extreme of so many rows up to (or from) the current one, as far as they are of the partition."""
        length = min(length, self._value.shape[0])
        best, width = self._value, 1
        while width < length:
            step = min(width, length - width)
            best = self._better(best, self._moved(best, step if back else -step))
            width += step
        return best

    def _moved(self, x: Array, back: int) -> Array:
        there = self._frames.together(back)
        return x if there is None else jnp.where(there, self._frames.shifted(x, back), self._worst)

    def _better(self, a: Array, b: Array) -> Array:
        return jnp.where(compare(a, b, "lt" if self._fn == "min" else "gt", bits=self._bits), a, b)
