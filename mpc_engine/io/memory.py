"""Memory that was freed, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["give_back"]


def give_back() -> None:
    """Give freed memory back to the system, where the C library holds on to it.

    Notes
    -----
    Buffers of a few MiB that many threads allocated are freed, but stay with the process, under glibc: after a query's
    result as much again as half of it. Elsewhere nothing is done.

    Examples
    --------
    >>> give_back()
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library; Windows has no CDLL(None)
        ctypes.CDLL(None).malloc_trim(0)
