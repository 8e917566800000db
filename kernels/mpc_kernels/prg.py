"""Pseudo-random streams, AES-128 in counter mode, and masks made of two of them.

A stream is 32 bytes of seed: the AES key, then the first counter block, as `cryptography`'s ``Cipher(AES(seed[:16]),
CTR(seed[16:]))`` takes them. A place in it is a byte offset, so these functions keep no state: never take the same
bytes twice. They need AES instructions (:func:`has_aes`); without them use a library, the streams are the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _check
from mpc_kernels._backend import BACKEND

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

SEED_BYTES = 32


class Place(NamedTuple):
    """A place in a stream."""

    seed: bytes
    offset: int


def has_aes() -> bool:
    """Return whether this process computes the streams in constant time; all other functions here ask for it."""
    return BACKEND.has_aes()


def prg_fill(place: Place, out: U8) -> U8:
    """Write the next bytes of a stream.

    Parameters
    ----------
    place : Place
    out : ndarray of uint8, shape [size]
        Overwritten.

    Returns
    -------
    ndarray of uint8
        `out`.

    Raises
    ------
    ValueError
        For another dtype, layout or length of a seed, or without AES instructions.
    """
    BACKEND.prg_fill(*place, out)
    return out


def prg_zero(plus: Place, minus: Place, out: U64, *, bits: bool) -> U64:
    """Write one party's part of a sharing of zero: the difference of two streams.

    Parameters
    ----------
    plus, minus : Place
    out : ndarray of uint64, shape [size]
        Overwritten.
    bits : bool
        XOR instead of subtraction mod 2^64.

    Returns
    -------
    ndarray of uint64
        `out`.

    Raises
    ------
    ValueError
        As :func:`prg_fill`.
    """
    BACKEND.prg_zero(*plus, *minus, bits, out)
    return out


def replicated_dot_masked(a: U64, b: U64, plus: Place, minus: Place, out: U64, *, threads: int = 1) -> U64:
    """Compute one party's part of elementwise dot products with masks that never leave the cache.

    Parameters
    ----------
    a, b : ndarray of uint64, shape [terms, n, 2]
    plus, minus : Place
        Their next 8 n bytes are added and subtracted.
    out : ndarray of uint64, shape [n]
        Overwritten.
    threads : int
        Upper limit.

    Returns
    -------
    ndarray of uint64
        `out`; see :func:`~mpc_kernels.replicated_dot_local`.

    Raises
    ------
    ValueError
        As :func:`prg_fill`, and for another shape.
    """
    _check.ring_array("a", a, "[terms,n,2]", 3)
    _check.ring_array("b", b, "[terms,n,2]", 3)
    _check.thread_count(threads)
    BACKEND.replicated_dot_masked(a, b, *plus, *minus, out, int(threads))
    return out
