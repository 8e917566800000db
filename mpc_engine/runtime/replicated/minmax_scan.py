"""Running minima and maxima within segments that secret bits start, on bit planes.

A Brent–Kung scan ("A Regular Layout for Parallel Adders", IEEE Trans. Computers 1982) of the associative join

    (s, v) · (s', v') = (s or s', v' if s' or v' < v, else v)

about 2 n comparisons and choices in 2 log2(n) levels, rows not padded (Han, Yiu, Wu, Mei, "Scape", ICDE 2022, for the
use in MPC). "s' or v' < v" is one comparison of numbers one bit longer, (not s', v') < (1, v). Maxima are minima of
complements. Numbers are cut into bits once and put together once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public
from mpc_engine.runtime.replicated.bit_cost import a2b_cost, and_cost, less_than_cost
from mpc_engine.runtime.replicated.bit_rows import stack_rows, unstack_rows
from mpc_engine.runtime.replicated.bits import Bits, and_, concat, flips, not_, xor
from mpc_engine.runtime.replicated.compare import less_than, plan
from mpc_engine.runtime.replicated.convert import a2b
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import PartyCost, scan_levels
from mpc_engine.runtime.replicated.recompose import recompose, recompose_cost
from mpc_kernels.bits import plane_words, planes_to_rows, rows_to_planes

__all__ = ["Op", "extreme_scan", "extreme_scan_cost", "segment_extreme", "segment_extreme_cost"]

Op = Literal["min", "max"]


def segment_extreme(party: Replicated, start: Bits | Pairs, value: Pairs, *, op: Op, bits: int, low: int = 0) -> Pairs:
    """Return running minima or maxima within segments. Cost: :func:`segment_extreme_cost`.

    Parameters
    ----------
    party : Replicated
    start : Bits or ndarray of uint64, shape [n, 2]
        1 where a segment starts, else 0; the first row starts one whatever it says.
    value : ndarray of uint64, shape [n, 2] or [n, columns, 2]
        In ``[low, low + 2**bits)``; all columns are scanned in the same rounds.
    op : {"min", "max"}
    bits, low : int
        Public; 1 to 64 bits.

    Returns
    -------
    ndarray of uint64, of the shape of `value`
        In the last row of a segment, its extreme. Nothing is disclosed.
    """
    rows = len(value)
    columns = int(np.prod(value.shape[1:-1], dtype=np.int64))
    flags = start if isinstance(start, Bits) else a2b(party, start, 1)
    if flags.bits != 1 or flags.rows != rows:
        raise ValueError(f"start must be one bit of {rows} rows, not {flags.bits} of {flags.rows}")
    by_column = np.ascontiguousarray(np.moveaxis(value.reshape(rows, columns, 2), 1, 0)).reshape(-1, 2)
    planes = a2b(party, add_public(party, by_column, -low), bits)
    scanned = extreme_scan(party, flags, unstack_rows(planes, columns), [op] * columns)
    numbers = add_public(party, recompose(party, stack_rows(scanned)), low)
    result: Pairs = np.moveaxis(numbers.reshape(columns, rows, 2), 0, 1)
    return result.reshape(value.shape)


def segment_extreme_cost(
    rows: int, columns: int, *, bits: int, start_is_arithmetic: bool = False, link: Link = NEAR
) -> PartyCost:
    """Return what :func:`segment_extreme` costs, rounds at most (two fewer where one-way messages overlap).

    Examples
    --------
    >>> cost = segment_extreme_cost(100_000, 1, bits=32)
    >>> cost.rounds, round(cost.total / 100_000)
    (240, 224)
    """
    cost = a2b_cost(rows, 1) if start_is_arithmetic else PartyCost(0, (0, 0, 0))
    size = rows * columns
    scanned = extreme_scan_cost(rows, [bits] * columns, link)
    return cost + a2b_cost(size, bits, link) + scanned + recompose_cost(size, bits, link)


def extreme_scan(party: Replicated, start: Bits, values: Sequence[Bits], ops: Sequence[Op]) -> list[Bits]:
    """Return running minima and maxima of unsigned columns within segments. Cost: :func:`extreme_scan_cost`.

    Parameters
    ----------
    party : Replicated
    start : Bits
        One plane, as in :func:`segment_extreme`.
    values : sequence of Bits
        All are compared at the width of the widest.
    ops : sequence of {"min", "max"}
        One for each column.

    Returns
    -------
    list of Bits
    """
    if not values or len(ops) != len(values) or any(op not in ("min", "max") for op in ops):
        raise ValueError(f"op must be 'min' or 'max' for each of {len(values)} > 0 columns, not {list(ops)}")
    bits = max(value.bits for value in values)
    state = _Packed(start, [_turn(party, value, op) for value, op in zip(values, ops, strict=True)], bits)
    for distance, first, count, with_flags in scan_levels(start.rows):
        right = slice(first, first + (count - 1) * 2 * distance + 1, 2 * distance)
        left = slice(right.start - distance, right.stop - distance, right.step)
        state.put(right, _join(party, state.pick(left), state.pick(right), with_flags))
    both = zip(values, ops, strict=True)
    return [_turn(party, state.column(at, value.bits), op) for at, (value, op) in enumerate(both)]


def extreme_scan_cost(rows: int, widths: Sequence[int], link: Link = NEAR) -> PartyCost:
    """Return what :func:`extreme_scan` of columns of these widths costs."""
    bits = max(widths)
    cost = PartyCost(0, (0, 0, 0))
    for _, _, count, with_flags in scan_levels(rows):
        size = count * len(widths)
        cost += less_than_cost(size, bits + 1, plan(bits + 1, plane_words(size), link))
        cost += and_cost(size, bits + with_flags)
    return cost


def _turn(party: Replicated, value: Bits, op: Op) -> Bits:
    """Complement a column whose maximum is asked."""
    return not_(party, value) if op == "max" else value


class _Packed:
    """Components of columns as packed rows [columns, rows, width]: `bits` bits of the value, then the flag."""

    def __init__(self, start: Bits, values: Sequence[Bits], bits: int) -> None:
        self._bits = bits + 1
        padded = [concat([value, _zeros(start, bits - value.bits), start]) for value in values]
        self._parts = [
            np.stack([planes_to_rows(planes, start.rows) for planes in components])
            for components in ([x.own for x in padded], [x.next for x in padded])
        ]

    def pick(self, rows: slice) -> Bits:
        """Some rows of every column, column after column."""
        picked = [np.ascontiguousarray(part[:, rows]) for part in self._parts]
        packed = [part.reshape(-1, part.shape[2]) for part in picked]
        own, after = (rows_to_planes(part, self._bits) for part in packed)
        return Bits(own, after, len(packed[0]))

    def put(self, rows: slice, value: Bits) -> None:
        """Set some rows of every column."""
        for part, planes in zip(self._parts, (value.own, value.next), strict=True):
            part[:, rows] = planes_to_rows(planes, value.rows).reshape(part[:, rows].shape)

    def column(self, at: int, bits: int) -> Bits:
        """The low bits of one column."""
        own, after = (rows_to_planes(part[at], bits) for part in self._parts)
        return Bits(own, after, self._parts[0].shape[1])


def _zeros(like: Bits, bits: int) -> Bits:
    nothing = np.zeros((bits, like.own.shape[1]), np.uint64)
    return Bits(nothing, nothing, like.rows)


def _join(party: Replicated, left: Bits, right: Bits, with_flags: bool) -> Bits:
    """Join rows with those before them; the top plane is the flag."""
    bits = left.bits - 1
    low, top = slice(0, bits), slice(bits, None)
    ones = [np.full_like(left.own[top], flip) for flip in flips(party)]
    second = concat([left.planes(low), Bits(ones[0], ones[1], left.rows)])
    first = concat([right.planes(low), not_(party, right.planes(top))])
    take = less_than(party, first, second, how=plan(bits + 1, plane_words(left.rows), party.link))
    factor, differ = take.planes(np.zeros(bits, np.intp)), xor(left.planes(low), right.planes(low))
    if with_flags:
        factor, differ = concat([factor, left.planes(top)]), concat([differ, right.planes(top)])
    product = and_(party, factor, differ)
    value = xor(left.planes(low), product.planes(low))
    flag = right.planes(top)
    if with_flags:
        flag = xor(xor(left.planes(top), flag), product.planes(top))
    return concat([value, flag])
