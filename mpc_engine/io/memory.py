"""How a process uses its memory: what was freed is kept for what comes next, or given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["give_back", "keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
"""Parameters of glibc's ``mallopt``."""
_KEPT = 256 << 20
"""Bytes at the end of the heap that are free and stay with the process."""
_STEP = 16 << 20
"""Bytes by which the heap grows at least."""
_OWN_PAGES = 32 << 20
"""Bytes from which an array gets pages of its own, which go back to the system with it; the most that glibc takes."""


def keep_freed_memory() -> None:
    """Have the allocator keep up to 256 MiB of what is freed, for the arrays that come next.

    A protocol makes and drops arrays of up to some MiB all the time. As it comes, glibc gives them back to the system
    each time, and the system hands out every page anew: that took up to five times as long as the arithmetic on them.
    Threads other than the first would have arenas of their own, which go back when they are empty whatever is set here:
    there is one arena for all. What was large and comes once is for :func:`give_back`. Under another C library, and
    where the environment says ``MALLOC_...``, nothing changes.

    Examples
    --------
    >>> keep_freed_memory()
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError, TypeError):  # as in give_back
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (
            (_TRIM_THRESHOLD, _KEPT),
            (_TOP_PAD, _STEP),
            (_MMAP_THRESHOLD, _OWN_PAGES),
            (_ARENA_MAX, 1),
        ):
            mallopt(parameter, value)


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
