"""Argument checks that the compiled kernels and their reference share, in the caller's words."""

import numpy as np
from numpy.typing import NDArray


def ring_array(name: str, array: NDArray[np.uint64], shape: str, dims: int) -> None:
    """Refuse what is not a C-contiguous uint64 array of `dims` dimensions.

    Parameters
    ----------
    name : str
        The argument's name in messages, for example ``"a"``.
    array : ndarray
        The argument.
    shape : str
        The wanted shape as text, for example ``"[m,k]"``.
    dims : int
        The wanted number of dimensions.

    Raises
    ------
    ValueError
        When it is something else. Kernels never convert or copy their arguments behind the caller's back.
    """
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a numpy array uint64{shape}, not {type(array).__name__}")
    if array.dtype != np.uint64:
        hint = f"; use {name}.view(np.uint64), which keeps the bits" if array.dtype == np.int64 else ""
        raise ValueError(f"{name} must have dtype uint64, not {array.dtype}{hint}")
    if array.ndim != dims:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned; use np.ascontiguousarray({name})")


def same_inner(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> None:
    """Refuse a product whose inner dimensions differ (ValueError)."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"the inner dimensions differ: a is {a.shape}, b is {b.shape}")


def share_pairs(name: str, array: NDArray[np.uint64]) -> None:
    """Refuse an array whose last dimension is not the two shares of a party (ValueError)."""
    if array.shape[-1] != 2:
        raise ValueError(f"{name} must end in a dimension of 2, a party's two shares, not {array.shape}")


def thread_count(threads: int) -> None:
    """Refuse a thread count that is not an integer of at least 1 (ValueError)."""
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
        raise ValueError(f"threads must be an integer of at least 1, not {threads!r}")
