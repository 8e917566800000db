"""Elementwise arithmetic on replicated share pairs in the ring Z/2^64.

Pairs are uint64 arrays whose last dimension is a party's two shares (r, r+1). All functions are local and disclose
nothing; what a party sends of their results must be masked, which :func:`replicated_dot_local` and the truncation
kernels do on the way. Their time depends on shapes only, except in ``*_var`` functions, whose note says on what else.
"""

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _check
from mpc_kernels._backend import BACKEND

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

_NO_MASK = np.empty(0, np.uint64)
MAX_TRUNCATION = 32


def _same_length(n: int, **arrays: NDArray[np.generic]) -> None:
    for name, array in arrays.items():
        if array.shape[0] != n:
            raise ValueError(f"{name} must have length {n}, not {array.shape[0]}")


def _typed(name: str, array: NDArray[np.generic], dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be a contiguous one-dimensional array of {np.dtype(dtype)}")


def replicated_dot_local(
    a: U64, b: U64, *, plus: U64 | None = None, minus: U64 | None = None, out: U64 | None = None, threads: int = 1
) -> U64:
    """Compute one party's additive part of elementwise dot products, masked.

    Parameters
    ----------
    a, b : ndarray of uint64, shape [terms, n, 2]
        Pairs of the factors; ``terms`` 1 for plain products.
    plus, minus : ndarray of uint64, shape [n], optional
        Added and subtracted: two pseudo-random streams make the part one of a fresh additive sharing.
    out : ndarray of uint64, shape [n], optional
        Where to put the result; new memory if not given.
    threads : int
        Upper limit.

    Returns
    -------
    ndarray of uint64, shape [n]
        ``sum_j a0·b0 + a0·b1 + a1·b0 + plus - minus``. The three parties' parts sum to ``sum_j a·b`` if their masks
        sum to zero (Araki et al., CCS 2016).

    Raises
    ------
    ValueError
        For another dtype, shape or memory layout.

    Examples
    --------
    >>> x = np.array([3, 5, 2**64 - 6], dtype=np.uint64)  # shares of 2
    >>> y = np.array([1, 2, 4], dtype=np.uint64)  # shares of 7
    >>> pair = lambda s, r: np.array([[[s[r], s[(r + 1) % 3]]]], dtype=np.uint64)
    >>> sum(replicated_dot_local(pair(x, r), pair(y, r)) for r in range(3))
    array([14], dtype=uint64)
    """
    for name, array in (("a", a), ("b", b)):
        _check.ring_array(name, array, "[terms,n,2]", 3)
        _check.share_pairs(name, array)
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape, not {a.shape} and {b.shape}")
    add, subtract = (_NO_MASK if mask is None else mask for mask in (plus, minus))
    for name, mask in (("plus", add), ("minus", subtract)):
        _check.ring_array(name, mask, "[n]", 1)
        if mask is not _NO_MASK:
            _same_length(a.shape[1], **{name: mask})
    if out is None:
        out = np.empty(a.shape[1], np.uint64)
    _check.ring_array("out", out, "[n]", 1)
    _same_length(a.shape[1], out=out)
    _check.thread_count(threads)
    BACKEND.replicated_dot_local(a, b, add, subtract, out, int(threads))
    return out


def pair_up(own: U64, next: U64, *, threads: int = 1) -> U64:
    """Put two shares side by side.

    Parameters
    ----------
    own, next : ndarray of uint64, shape [n]
    threads : int

    Returns
    -------
    ndarray of uint64, shape [n, 2]

    Examples
    --------
    >>> pair_up(np.array([1], np.uint64), np.array([2], np.uint64))
    array([[1, 2]], dtype=uint64)
    """
    _check.ring_array("own", own, "[n]", 1)
    _check.ring_array("next", next, "[n]", 1)
    _same_length(own.shape[0], next=next)
    _check.thread_count(threads)
    return BACKEND.pair_up(own, next, int(threads))


def prefix_sum(x: U64) -> U64:
    """Return running sums of rows mod 2^64.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, width]
        Width 2 for the pairs of a column.

    Returns
    -------
    ndarray of uint64, shape [n, width]

    Examples
    --------
    >>> prefix_sum(np.array([[1, 5], [2, 6]], np.uint64))
    array([[ 1,  5],
           [ 3, 11]], dtype=uint64)
    """
    _check.ring_array("x", x, "[n,width]", 2)
    return BACKEND.prefix_sum(x)


def segmented_prefix_sum(x: U64, start: NDArray[np.bool_]) -> U64:
    """Return running sums of rows mod 2^64 that start again at flagged rows; constant time in the flags too.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, width]
    start : ndarray of bool, shape [n]
        Clear at this party. The first row starts a segment whatever it says.

    Returns
    -------
    ndarray of uint64, shape [n, width]

    Examples
    --------
    >>> segmented_prefix_sum(np.array([[1], [2], [3]], np.uint64), np.array([True, False, True]))
    array([[1],
           [3],
           [3]], dtype=uint64)
    """
    _check.ring_array("x", x, "[n,width]", 2)
    _typed("start", start, np.bool_)
    _same_length(x.shape[0], start=start)
    return BACKEND.segmented_prefix_sum(x, start.view(np.uint8))


def bincount_var(x: U64, bin: U32, *, size: int) -> U64:
    """Sum rows mod 2^64 by a clear bin.

    Parameters
    ----------
    x : ndarray of uint64, shape [n, width]
    bin : ndarray of uint32, shape [n]
        Clear at this party. A bin of `size` or more counts nowhere.
    size : int
        Number of bins.

    Returns
    -------
    ndarray of uint64, shape [size, width]

    Notes
    -----
    Time and addresses depend on the bins, never on `x`.

    Examples
    --------
    >>> bincount_var(np.array([[1], [2], [4]], np.uint64), np.array([1, 0, 1], np.uint32), size=2)
    array([[2],
           [5]], dtype=uint64)
    """
    _check.ring_array("x", x, "[n,width]", 2)
    _typed("bin", bin, np.uint32)
    _same_length(x.shape[0], bin=bin)
    if not 0 <= size <= 1 << 28:
        raise ValueError(f"size must be in 0..2^28, not {size}")
    return BACKEND.bincount_var(x, bin, int(size))


def _truncation_bits(bits: int) -> None:
    if not 1 <= bits <= MAX_TRUNCATION:
        raise ValueError(f"bits must be in 1..{MAX_TRUNCATION}, not {bits}")


def truncate_split(a: U64, mask: U64, low_mask: U32, *, bits: int, threads: int = 1) -> NDArray[np.uint8]:
    """Return what the holder of the first addend sends in a truncation (:mod:`mpc_engine.runtime.replicated.truncate`).

    Parameters
    ----------
    a, mask : ndarray of uint64, shape [n]
    low_mask : ndarray of uint32, shape [n]
    bits : int
        1 to 32.
    threads : int

    Returns
    -------
    ndarray of uint8, shape [12 n]
        One message: ``(a asr bits) - mask``, n elements of 8 bytes, then ``(a < 0) - low_mask``, n of 4 bytes.

    Examples
    --------
    >>> truncate_split(*(np.array([value], kind) for value, kind in ((12, "u8"), (1, "u8"), (0, "u4"))), bits=2)
    array([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=uint8)
    """
    for name, array in (("a", a), ("mask", mask)):
        _check.ring_array(name, array, "[n]", 1)
    _typed("low_mask", low_mask, np.uint32)
    _same_length(a.shape[0], mask=mask, low_mask=low_mask)
    _truncation_bits(bits)
    _check.thread_count(threads)
    return BACKEND.truncate_split(a, mask, low_mask, int(bits), int(threads))


def truncate_cross(own: U64, other: U64, sign: U32, mask: U32, *, bits: int, threads: int = 1) -> tuple[U64, U32]:
    """Return what a holder of the second addend keeps and sends in a truncation.

    Parameters
    ----------
    own, other : ndarray of uint64, shape [n]
        They sum to the addend b.
    sign, mask : ndarray of uint32, shape [n]
    bits : int
        1 to 32.
    threads : int

    Returns
    -------
    (ndarray of uint64, ndarray of uint32), shape [n]
        With ``b' = b + 2^62 + 2^bits - 1``: ``(b' asr bits) - 2^(62-bits)`` and ``(b' < 0)·sign - mask``.

    Examples
    --------
    >>> truncate_cross(*(np.array([8], kind) for kind in ("u8", "u8", "u4", "u4")), bits=2)
    (array([4], dtype=uint64), array([4294967288], dtype=uint32))
    """
    for name, array in (("own", own), ("other", other)):
        _check.ring_array(name, array, "[n]", 1)
    for name, small in (("sign", sign), ("mask", mask)):
        _typed(name, small, np.uint32)
    _same_length(own.shape[0], other=other, sign=sign, mask=mask)
    _truncation_bits(bits)
    _check.thread_count(threads)
    return BACKEND.truncate_cross(own, other, sign, mask, int(bits), int(threads))


def truncate_join(high0: U64, low0: U32, high1: U64, low1: U32, *, bits: int, threads: int = 1) -> U64:
    """Return the pairs ``high + low·2^(64-bits)`` that end a truncation.

    Parameters
    ----------
    high0, high1 : ndarray of uint64, shape [n]
    low0, low1 : ndarray of uint32, shape [n]
    bits : int
        1 to 32.
    threads : int

    Returns
    -------
    ndarray of uint64, shape [n, 2]

    Examples
    --------
    >>> shares = ((7, "u8"), (0, "u4"), (0, "u8"), (1, "u4"))
    >>> truncate_join(*(np.array([value], kind) for value, kind in shares), bits=1)
    array([[                  7, 9223372036854775808]], dtype=uint64)
    """
    for name, array in (("high0", high0), ("high1", high1)):
        _check.ring_array(name, array, "[n]", 1)
    for name, small in (("low0", low0), ("low1", low1)):
        _typed(name, small, np.uint32)
    _same_length(high0.shape[0], low0=low0, high1=high1, low1=low1)
    _truncation_bits(bits)
    _check.thread_count(threads)
    return BACKEND.truncate_join(high0, low0, high1, low1, int(bits), int(threads))
