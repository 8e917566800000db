"""Matrix products in the ring Z/2^64."""

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _check
from mpc_kernels._backend import BACKEND


def isa() -> str:
    """Name the instruction set in use.

    Returns
    -------
    str
        ``"avx512dq"``, ``"avx512"``, ``"avx2"`` or ``"portable"``; ``"numpy"`` when nothing was compiled.

    Examples
    --------
    >>> import mpc_kernels
    >>> mpc_kernels.isa() in {"avx512dq", "avx512", "avx2", "portable", "numpy"}
    True
    """
    return BACKEND.isa()


def matmul64(a: NDArray[np.uint64], b: NDArray[np.uint64], *, threads: int = 1) -> NDArray[np.uint64]:
    """Multiply two matrices mod 2^64.

    Parameters
    ----------
    a : ndarray of uint64, shape [m, k]
        C-contiguous. View signed ring elements with ``x.view(np.uint64)``.
    b : ndarray of uint64, shape [k, n]
        C-contiguous.
    threads : int
        Upper limit; small products use fewer. The result does not depend on it.

    Returns
    -------
    ndarray of uint64, shape [m, n]
        A new array. Any dimension may be 0; with k = 0 it is all zeros.

    Raises
    ------
    ValueError
        For another dtype, shape or memory layout, or a bad thread count.

    Notes
    -----
    Runs without the interpreter lock. Its time depends on the shape only, never on the values.

    Examples
    --------
    >>> a = np.array([[2**63, 1]], dtype=np.uint64)
    >>> b = np.array([[2], [5]], dtype=np.uint64)
    >>> matmul64(a, b)
    array([[5]], dtype=uint64)
    """
    _check.ring_array("a", a, "[m,k]", 2)
    _check.ring_array("b", b, "[k,n]", 2)
    _check.same_inner(a, b)
    _check.thread_count(threads)
    return BACKEND.matmul64(a, b, int(threads))


def replicated_matmul_local(a: NDArray[np.uint64], b: NDArray[np.uint64], *, threads: int = 1) -> NDArray[np.uint64]:
    """Compute one party's additive part of a replicated three-party matrix product.

    With secrets ``x = x_0 + x_1 + x_2`` and ``y`` likewise (mod 2^64), party r holds the shares r and r+1 of both and
    computes ``x_r @ y_r + x_r @ y_{r+1} + x_{r+1} @ y_r``. The three parts sum to ``x @ y`` (Araki et al., "High-
    Throughput Semi-Honest Secure Three-Party Computation with an Honest Majority", CCS 2016).

    Parameters
    ----------
    a : ndarray of uint64, shape [m, k, 2]
        C-contiguous; the last dimension is the party's pair of shares (r, r+1).
    b : ndarray of uint64, shape [k, n, 2]
        C-contiguous, likewise.
    threads : int
        Upper limit; small products use fewer. The result does not depend on it.

    Returns
    -------
    ndarray of uint64, shape [m, n]
        A new array: one part of an additive sharing of the product. It is a function of the party's inputs, not yet
        uniform: add a sharing of zero before it leaves the party.

    Raises
    ------
    ValueError
        For another dtype, shape or memory layout, or a bad thread count.

    Notes
    -----
    Discloses nothing: purely local. Runs without the interpreter lock. Its time depends on the shape only.

    Examples
    --------
    >>> x = np.array([3, 5, 2**64 - 6], dtype=np.uint64)  # shares of 2
    >>> y = np.array([1, 2, 4], dtype=np.uint64)  # shares of 7
    >>> pair = lambda s, r: np.array([[[s[r], s[(r + 1) % 3]]]], dtype=np.uint64)
    >>> sum(replicated_matmul_local(pair(x, r), pair(y, r)) for r in range(3))
    array([[14]], dtype=uint64)
    """
    _check.ring_array("a", a, "[m,k,2]", 3)
    _check.ring_array("b", b, "[k,n,2]", 3)
    _check.share_pairs("a", a)
    _check.share_pairs("b", b)
    _check.same_inner(a, b)
    _check.thread_count(threads)
    return BACKEND.replicated_matmul_local(a, b, int(threads))
