"""Splitting an owner's columns into replicated shares (``aby3``), and putting results together; without SPU.

A number x is x_0 + x_1 + x_2 mod 2^64, a flag b is b_0 ^ b_1 ^ b_2; computing party r gets the components r and r+1
(Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016, section 2.1). Components 0 and 1 are the output of AES-128 in counter
mode under a key that the owner draws for one array and forgets; component 2 is what is left. Any one party's two
components are uniform.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mpc_engine.errors import RangeError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.protobuf import refusal

__all__ = ["ReplicatedSharer"]

_PARTIES = 3
_LARGEST = 2.0**44
_SHAREABLE = ("bool", "int64", "float64")


class ReplicatedSharer:
    """Splits arrays into replicated shares and puts them together again; needs no link.

    Numbers are shared mod 2^64, floats in fixed point to the nearest 2^-18, flags bit by bit.

    Examples
    --------
    >>> sharer = ReplicatedSharer()
    >>> wires = sharer.share(np.array([1.5, -2.0]))
    >>> sharer.reconstruct(wires, dtype="float64", shape=(2,))
    array([ 1.5, -2. ])
    """

    parties = _PARTIES

    def share(self, array: ArrayLike) -> list[bytes]:
        """Return the wire form for every computing party, by rank.

        Parameters
        ----------
        array : array of bool, int64 or float64, any shape

        Raises
        ------
        RangeError
            MPC-0220 for floats that fixed point cannot hold: not finite, or 2^44 and larger.
        """
        value = np.asarray(array)
        if value.dtype.name not in _SHAREABLE:
            raise UnsupportedError(f"arrays of {value.dtype} cannot be shared", code="MPC-0321")
        if value.dtype == np.bool_:
            return [shares.encode(shares.from_bit_pairs(pairs, value.shape)) for pairs in _bits(value)]
        if value.dtype == np.float64:
            if not np.all(np.abs(value) < _LARGEST):
                raise RangeError("a value is not finite, or 2^44 or larger", code="MPC-0220")
            value = np.rint(value * 2.0**shares.FRACTION_BITS)
        ring = value.astype(np.int64).reshape(-1).view(np.uint64)
        dtype = np.asarray(array).dtype
        return [shares.encode(shares.from_pairs(pairs, dtype, value.shape)) for pairs in _numbers(ring)]

    def reconstruct(self, wires: Sequence[bytes], *, dtype: DTypeLike, shape: Sequence[int]) -> NDArray[np.generic]:
        """Put the shares of all computing parties together.

        Discloses the array to the caller.

        Raises
        ------
        ProtocolMismatchError
            MPC-0720 if the shares are not of this type or do not belong together.
        """
        if len(wires) != _PARTIES:
            raise ValueError(f"{_PARTIES} shares expected, not {len(wires)}")
        parts = [shares.pairs_of(wire, dtype=dtype, shape=shape, protocol="aby3") for wire in wires]
        if len({part.dtype for part in parts}) != 1:
            raise refusal("the parties sent different representations")
        for rank, part in enumerate(parts):
            if not np.array_equal(part[:, 1], parts[(rank + 1) % _PARTIES][:, 0]):
                raise refusal("the parties' shares do not belong together")
        first, second, third = (part[:, 0] for part in parts)
        return _decoded(first ^ second ^ third if first.dtype == np.uint8 else first + second + third, dtype, shape)


def _decoded(ring: NDArray[Any], dtype: DTypeLike, shape: Sequence[int]) -> NDArray[np.generic]:
    kind = np.dtype(dtype)
    if ring.dtype == np.uint8 or kind == np.bool_:
        return np.asarray(ring & ring.dtype.type(1), np.bool_).reshape(shape)
    signed = ring.view(np.int64)
    value = signed * 2.0**-shares.FRACTION_BITS if kind == np.float64 else signed
    return np.asarray(value, kind).reshape(shape)


def _random(size: int) -> NDArray[np.uint8]:
    """So many pseudo-random bytes under a fresh key."""
    seed = os.urandom(32)
    cipher = Cipher(algorithms.AES(seed[:16]), modes.CTR(seed[16:])).encryptor()
    return np.frombuffer(cipher.update(bytes(size)), np.uint8)


def _paired(parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    return [np.stack([parts[rank], parts[(rank + 1) % _PARTIES]], axis=-1) for rank in range(_PARTIES)]


def _numbers(ring: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    masks = _random(16 * ring.size).view(np.uint64)
    first, second = masks[: ring.size], masks[ring.size :]
    return _paired([first, second, ring - first - second])


def _bits(flags: NDArray[np.bool_]) -> list[NDArray[np.uint8]]:
    flat = np.ascontiguousarray(flags).reshape(-1).view(np.uint8)
    masks = _random(flat.size)
    first, second = masks & np.uint8(1), (masks >> np.uint8(1)) & np.uint8(1)
    return _paired([first, second, flat ^ first ^ second])
