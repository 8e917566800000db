"""Bit planes: columns cut into bits, 64 rows to a word, and one party's part of gates on them.

Row i of a column of n rows is bit ``i % 64`` of word ``i // 64`` of a plane; a plane has ``(n + 63) // 64`` words, and
its rows past the end are 0. A packed row has 64-bit words, least significant first. Outputs may be given as `out`, so
that loops need no new memory; they must not overlap inputs, except that the mask of a gate may be its output, and in
`and_local` and `majority_local` any input. Every
function runs without the interpreter lock, and its time depends on shapes only; functions named ``*_var`` address
memory by their index arguments, which must be public.
"""

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _check
from mpc_kernels._backend import BACKEND

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]


def plane_words(rows: int) -> int:
    """Return how many words a plane of `rows` rows has.

    Examples
    --------
    >>> [plane_words(n) for n in (0, 1, 64, 65)]
    [0, 1, 1, 2]
    """
    return (rows + 63) // 64


def rows_to_planes(rows: Words, bits: int, *, order: Index | None = None, out: Words | None = None) -> Words:
    """Cut packed rows into bit planes.

    Parameters
    ----------
    rows : ndarray of uint64, shape [n, width]
    bits : int
        How many planes.
    order : ndarray of uint32, shape [bits], optional
        Which bit of the row each plane holds; 0, 1, ... by default.
    out : ndarray of uint64, shape [bits, (n + 63) // 64], optional

    Returns
    -------
    ndarray of uint64, shape [bits, (n + 63) // 64]

    Raises
    ------
    ValueError
        For another dtype, shape or layout, or a bit that a row does not have.

    Examples
    --------
    >>> rows_to_planes(np.array([[1], [3], [2]], dtype=np.uint64), 2)
    array([[3],
           [6]], dtype=uint64)
    """
    _check.ring_array("rows", rows, "[n,width]", 2)
    which = np.arange(bits, dtype=np.uint32) if order is None else order
    shape = (len(which), plane_words(len(rows)))
    result = np.empty(shape, np.uint64) if out is None else out
    BACKEND.rows_to_planes(rows, which, result)
    return result


def planes_to_rows(planes: Words, rows: int, *, out: Words | None = None) -> Words:
    """Put bit planes together to packed rows: the inverse of :func:`rows_to_planes`.

    Parameters
    ----------
    planes : ndarray of uint64, shape [bits, (rows + 63) // 64]
    rows : int
    out : ndarray of uint64, shape [rows, (bits + 63) // 64], optional

    Returns
    -------
    ndarray of uint64, shape [rows, (bits + 63) // 64]

    Raises
    ------
    ValueError
        For another dtype, shape or layout.

    Examples
    --------
    >>> planes_to_rows(np.array([[3], [6]], dtype=np.uint64), 3).tolist()
    [[1], [3], [2]]
    """
    _check.ring_array("planes", planes, "[bits,words]", 2)
    result = np.empty((rows, plane_words(len(planes))), np.uint64) if out is None else out
    BACKEND.planes_to_rows(planes, result)
    return result


def pick_planes_var(
    rows: Words, index: Index, *, order: Index, other: Words | None = None, flip: int = 0, out: Words
) -> Words:
    """Cut rows picked by a public index into planes: of ``rows[index]``, or of that ^ `other` ^ `flip`.

    Parameters
    ----------
    rows : ndarray of uint64, shape [n, width]
    index : ndarray of uint32, shape [m]
        Public row numbers.
    order : ndarray of uint32, shape [bits]
        Which bit of the row each plane holds.
    other : ndarray of uint64, shape [bits, (m + 63) // 64], optional
        Planes to add.
    flip : int
        Added to every word when `other` is given: all ones complements.
    out : ndarray of uint64, shape [bits, (m + 63) // 64]
        Overwritten.

    Returns
    -------
    ndarray of uint64
        `out`.

    Raises
    ------
    ValueError
        For another dtype, shape or layout, or an index out of range.
    """
    _check.ring_array("rows", rows, "[n,width]", 2)
    BACKEND.pick_planes_var(rows, index, order, other, flip, out)
    return out


def pick_pairs_var(
    rows: Words,
    index: Index,
    *,
    order: Index,
    other: tuple[Words, Words] | None = None,
    flip: tuple[int, int] = (0, 0),
    out: tuple[Words, Words],
) -> tuple[Words, Words]:
    """Cut both components of rows picked by a public index into planes: :func:`pick_planes_var` twice, in one pass.

    Parameters
    ----------
    rows : ndarray of uint64, shape [n, 2 * width]
        The words of the first component, then those of the second.
    index : ndarray of uint32, shape [m]
        Public row numbers.
    order : ndarray of uint32, shape [bits]
        Which bit of a component each plane holds.
    other : pair of ndarray of uint64, shape [bits, (m + 63) // 64], optional
        Planes to add.
    flip : pair of int
        Added to every word when `other` is given.
    out : pair of ndarray of uint64, shape [bits, (m + 63) // 64]
        Overwritten.

    Returns
    -------
    pair of ndarray of uint64
        `out`.

    Raises
    ------
    ValueError
        For another dtype, shape or layout, or an index out of range.
    """
    _check.ring_array("rows", rows, "[n,2*width]", 2)
    first, second = other or (None, None)
    BACKEND.pick_pairs_var(rows, index, order, first, second, *flip, *out)
    return out


def and_local(x0: Words, x1: Words, y0: Words, y1: Words, *, mask: Words, out: Words | None = None) -> Words:
    """Compute one party's masked part of the AND of replicated bits.

    Parameters
    ----------
    x0, x1, y0, y1 : ndarray of uint64, shape [words]
        The party's two components of x and of y.
    mask : ndarray of uint64, shape [words]
        Its part of a sharing of zero.
    out : ndarray of uint64, shape [words], optional
        May be `mask`.

    Returns
    -------
    ndarray of uint64, shape [words]
        ``mask ^ x0·y0 ^ x0·y1 ^ x1·y0`` (Araki et al., CCS 2016, over GF(2)); the three parts XOR to x AND y.
    """
    result = np.empty_like(mask) if out is None else out
    BACKEND.and_local(x0, x1, y0, y1, mask, result)
    return result


def majority_local(
    a: tuple[Words, Words], b: tuple[Words, Words], c: tuple[Words, Words], *, mask: Words, out: Words | None = None
) -> Words:
    """Compute one party's masked part of maj(a, b, c) = a ^ (a ^ b)·(a ^ c), the carry of a full adder: one AND.

    Parameters
    ----------
    a, b, c : pairs of ndarray of uint64, shape [words]
        The party's two components of each.
    mask, out
        As in :func:`and_local`.

    Returns
    -------
    ndarray of uint64, shape [words]
    """
    result = np.empty_like(mask) if out is None else out
    BACKEND.majority_local(*a, *b, *c, mask, result)
    return result


NO_PLANE, ONES = 2**32 - 1, 2**32 - 2


def plane_gates_local(
    x: tuple[Words, Words], terms: Index, starts: Index, *, flip: tuple[int, int], mask: Words, out: Words
) -> Words:
    """Compute one party's masked parts of many gates on planes, each an inner product of bits: one AND each.

    Parameters
    ----------
    x : pair of ndarray of uint64, shape [planes, words]
        Components.
    terms : ndarray of uint32, shape [terms, 3]
        ``(a, b, y)`` means ``(x[a] ^ x[b])·x[y]``; b may be NO_PLANE, or ONES for the constant 1.
    starts : ndarray of uint32, shape [gates + 1]
        Gate g sums the terms ``starts[g]:starts[g + 1]``.
    flip : pair of int
        All ones for the component that carries public constants at this party, else 0.
    mask : ndarray of uint64, shape [gates, words]
        Parts of sharings of zero.
    out : ndarray of uint64, shape [gates, words]
        Overwritten; may be `mask`, and planes of x that no gate reads.

    Returns
    -------
    ndarray of uint64
        `out`.

    Raises
    ------
    ValueError
        For another dtype, shape or layout, or an index out of range.
    """
    BACKEND.plane_gates_local(*x, terms, starts, *flip, mask, out)
    return out
