"""Permutations and gathers by indices that the party knows by design.

Indices are uint32. Every function runs without the interpreter lock; addresses depend on indices, never on rows.
"""

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _check
from mpc_kernels._backend import BACKEND

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]

SPARE_WORDS = 64
"""More random words than rows that :func:`random_permutation_var` should get; it then fails with p < 2^-1000."""


def gather_rows_var(rows: Words, index: Index, *, out: Words | None = None) -> Words:
    """Pick rows: ``rows[index]``.

    Parameters
    ----------
    rows : ndarray of uint64, shape [n, width]
    index : ndarray of uint32, shape [m]
    out : ndarray of uint64, shape [m, width], optional
        Must not overlap `rows`.

    Returns
    -------
    ndarray of uint64, shape [m, width]

    Raises
    ------
    ValueError
        For another dtype, shape or layout, or an index out of range.

    Examples
    --------
    >>> gather_rows_var(np.array([[5], [6]], dtype=np.uint64), np.array([1, 1, 0], dtype=np.uint32)).tolist()
    [[6], [6], [5]]
    """
    _check.ring_array("rows", rows, "[n,width]", 2)
    result = np.empty((len(index), rows.shape[1]), np.uint64) if out is None else out
    BACKEND.gather_rows_var(rows, index, result)
    return result


def scatter_rows_var(rows: Words, index: Index, *, out: Words | None = None) -> Words:
    """Put rows where a permutation says: ``out[index] = rows``, the inverse of :func:`gather_rows_var`.

    Parameters
    ----------
    rows : ndarray of uint64, shape [n, width]
    index : ndarray of uint32, shape [n]
        A permutation; of equal indices the last wins, and places that no index names keep what `out` held.
    out : ndarray of uint64, shape [n, width], optional

    Returns
    -------
    ndarray of uint64, shape [n, width]
    """
    _check.ring_array("rows", rows, "[n,width]", 2)
    result = np.zeros_like(rows) if out is None else out
    BACKEND.scatter_rows_var(rows, index, result)
    return result


def compose_var(values: Index, index: Index, *, out: Index | None = None) -> Index:
    """Compose permutations: ``values[index]``, first `values`, then `index`, when rows are moved by gathering.

    Parameters
    ----------
    values, index : ndarray of uint32
    out : ndarray of uint32, shape of `index`, optional

    Returns
    -------
    ndarray of uint32, shape of `index`
    """
    result = np.empty_like(index) if out is None else out
    BACKEND.gather_index_var(values, index, result)
    return result


def invert_var(index: Index, *, out: Index | None = None) -> Index:
    """Invert a permutation.

    Examples
    --------
    >>> invert_var(np.array([2, 0, 1], dtype=np.uint32))
    array([1, 2, 0], dtype=uint32)
    """
    result = np.zeros_like(index) if out is None else out
    BACKEND.invert_index_var(index, result)
    return result


def random_permutation_var(words: Words, rows: int) -> Index:
    """Turn uniform words into a uniform permutation, equal wherever the words are equal.

    Parameters
    ----------
    words : ndarray of uint64, shape [at least rows + SPARE_WORDS]
    rows : int

    Returns
    -------
    ndarray of uint32, shape [rows]

    Raises
    ------
    ValueError
        If the words do not suffice: Fisher-Yates with unbiased bounded numbers (Lemire, TOMACS 2019) uses ``rows - 1``
        and rejects each with probability below ``rows / 2^64``.
    """
    result = np.empty(rows, np.uint32)
    if not BACKEND.random_permutation_var(words, result):
        raise ValueError(f"{len(words)} random words do not suffice for a permutation of {rows} rows")
    return result


def group_order_var(group: Index, groups: int) -> tuple[Index, Index]:
    """Order rows by a public group number, stably.

    Parameters
    ----------
    group : ndarray of uint32, shape [n]
    groups : int

    Returns
    -------
    order : ndarray of uint32, shape [n]
        The row at each place.
    start : ndarray of uint32, shape [groups + 1]
        Where each group begins.

    Examples
    --------
    >>> order, start = group_order_var(np.array([1, 0, 1], dtype=np.uint32), 2)
    >>> order.tolist(), start.tolist()
    ([1, 0, 2], [0, 1, 3])
    """
    order, start = np.empty_like(group), np.empty(groups + 1, np.uint32)
    BACKEND.group_order_var(group, order, start)
    return order, start
