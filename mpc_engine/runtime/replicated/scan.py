"""Running sums over rows, over all of them or within segments that secret bits start.

Sums over all rows, and segments that are public, are local. Secret segments take a Brent–Kung scan ("A Regular Layout
for Parallel Adders", IEEE Trans. Computers 1982) of the associative join

    (k, v) · (k', v') = (k k', v' + k' v)        k = 1 - start

in about 2 log2(n) rounds of one multiplication each; rows are not padded to a power of two (Han, Yiu, Wu, Mei, "Scape",
ICDE 2022, for the use in MPC). Nothing is disclosed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.arithmetic import Pairs, add_public, flat, multiply, neg
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.cost import scan_levels

__all__ = ["prefix_sum", "public_segment_sum", "segment_scan"]


def prefix_sum(x: Pairs) -> Pairs:
    """Return running sums over the first axis; local.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, ..., 2]

    Examples
    --------
    >>> prefix_sum(np.array([[1, 10], [2, 20]], np.uint64))
    array([[ 1, 10],
           [ 3, 30]], dtype=uint64)
    """
    return mpc_kernels.prefix_sum(_wide(x)).reshape(x.shape)


def public_segment_sum(x: Pairs, start: NDArray[np.bool_]) -> Pairs:
    """Return running sums over the first axis that start again at rows flagged in public; local.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, ..., 2]
    start : ndarray of bool, shape [n]
        Known to all parties.
    """
    return mpc_kernels.segmented_prefix_sum(_wide(x), start).reshape(x.shape)


def segment_scan(party: Replicated, start: Pairs, value: Pairs, *, op: Literal["sum", "copy"]) -> Pairs:
    """Return running sums within segments, or the first value of the row's segment. Cost: `segment_scan_cost`.

    Parameters
    ----------
    party : Replicated
    start : ndarray of uint64, shape [n, 2]
        1 where a segment starts, else 0; the first row starts one whatever it says.
    value : ndarray of uint64, shape [n, 2] or [n, columns, 2]
        All columns are scanned in the same rounds.
    op : {"sum", "copy"}

    Returns
    -------
    ndarray of uint64, of the shape of `value`
        Exact mod 2^64.
    """
    if op not in ("sum", "copy"):
        raise ValueError(f"op must be 'sum' or 'copy', not '{op}'")
    rows = len(value)
    wide = value.reshape(rows, int(np.prod(value.shape[1:-1], dtype=np.int64)), 2)
    if start.shape != (rows, 2):
        raise ValueError(f"start must have shape {(rows, 2)}, not {start.shape}")
    if op == "copy":
        starts = _first_row_starts(party, start)
        wide = multiply(party, np.ascontiguousarray(np.broadcast_to(starts[:, None], wide.shape)), wide)
    joined = np.concatenate([wide, add_public(party, neg(start), 1)[:, None]], axis=1)  # the last column is k
    for distance, first, count, with_flags in scan_levels(rows):
        _join(party, joined, slice(first, first + (count - 1) * 2 * distance + 1, 2 * distance), distance, with_flags)
    out: Pairs = joined[:, :-1].reshape(value.shape)
    return out


def _join(party: Replicated, joined: Pairs, rows: slice, distance: int, with_flags: bool) -> None:
    """Join the rows with those `distance` before them, in place: one round."""
    columns = joined.shape[1] - (not with_flags)
    left = joined[slice(rows.start - distance, rows.stop - distance, rows.step), :columns]
    keep = joined[rows, -1:]
    product = multiply(party, np.ascontiguousarray(np.broadcast_to(keep, left.shape)), np.ascontiguousarray(left))
    values = joined.shape[1] - 1
    joined[rows, :values] += product[:, :values]
    if with_flags:
        joined[rows, -1] = product[:, -1]


def _first_row_starts(party: Replicated, start: Pairs) -> Pairs:
    out = start.copy()
    out[:1] = 0
    out[:1] = add_public(party, out[:1], 1)
    return out


def _wide(x: Pairs) -> NDArray[np.uint64]:
    return flat(x).reshape(len(x), int(np.prod(x.shape[1:], dtype=np.int64)))
