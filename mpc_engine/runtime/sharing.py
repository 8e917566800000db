"""Splitting an owner's columns into replicated shares (``aby3``), and putting results together; without SPU.

A number x is x_0 + x_1 + x_2 mod 2^64, a flag b is b_0 ^ b_1 ^ b_2; computing party r gets the components r and r+1
(Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016, section 2.1). Components 0 and 1 are the output of AES-128 in counter
mode under two keys that the owner draws for one array; component 2 is what is left. A component that is pseudo-random
travels as its key: party 0 gets two keys, parties 1 and 2 one key and component 2 each, 16 bytes a number and 1/4 byte
a flag in all. To a party without a component's key, that component is uniform, and so the array.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import ArrayLike, DTypeLike, NDArray

import mpc_kernels
from mpc_engine.errors import RangeError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.protobuf import refusal
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.shuffle import Column
from mpc_kernels.bits import plane_words, rows_to_planes

__all__ = ["OwnerShare", "ReplicatedSharer", "expand", "received", "wire_bytes"]

_PARTIES = 3
_SEED = 32
_OVERHEAD = 160
_LARGEST = 2.0**44
_SHAREABLE = ("bool", "int64", "float64")


class OwnerShare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One computing party's part of an owner's array.

    Attributes
    ----------
    dtype : str
    shape : tuple of int
    keys : (bytes, bytes)
        Of this party's two components, 32 bytes each; empty for component 2.
    data : bytes
        Component 2, if it is one of them: 8 bytes a number, a bit a flag.
    """

    dtype: str
    shape: tuple[int, ...]
    keys: tuple[bytes, bytes]
    data: bytes


def _words(dtype: str, size: int) -> int:
    """Words of 8 bytes in a component."""
    return plane_words(size) if dtype == "bool" else size


def wire_bytes(dtype: str, size: int) -> int:
    """Return about how many bytes an array takes to all three parties together.

    Examples
    --------
    >>> wire_bytes("int64", 1000), wire_bytes("bool", 1000)
    (16000, 256)
    """
    return 16 * _words(dtype, size)


def _stream(key: bytes, words: int) -> NDArray[np.uint64]:
    cipher = Cipher(algorithms.AES(key[:16]), modes.CTR(key[16:])).encryptor()
    return np.frombuffer(cipher.update(bytes(8 * words)), np.uint64)


def received(blob: bytes, *, dtype: DTypeLike, shape: Sequence[int], rank: int) -> OwnerShare:
    """Read a share that has to be of the given type and for this party, or refuse it.

    Raises
    ------
    ProtocolMismatchError
        MPC-0720. A blob of another length than the array's is refused before it is looked at.
    """
    name = np.dtype(dtype).name
    need = 0 if rank == 0 else 8 * _words(name, math.prod(shape))
    if not need <= len(blob) <= need + _OVERHEAD + 9 * len(shape):
        raise refusal(f"{len(blob)} bytes arrived where {need} were due")
    try:
        share = msgspec.msgpack.decode(blob, type=OwnerShare)
    except msgspec.MsgspecError:
        raise refusal("it is not a share") from None
    if share.dtype != name or share.shape != tuple(shape):
        raise refusal(f"{share.dtype}{list(share.shape)} arrived where {name}{list(shape)} was due")
    keys = tuple(_SEED if (rank + side) % _PARTIES < 2 else 0 for side in (0, 1))
    if tuple(map(len, share.keys)) != keys or len(share.data) != need:
        raise refusal("its components are not those of this party")
    return share


def expand(share: OwnerShare) -> Column:
    """Make both components of a share: pairs uint64[n, 2], or one plane of bits for bool."""
    size = math.prod(share.shape)
    words = _words(share.dtype, size)
    own, after = (_stream(key, words) if key else np.frombuffer(share.data, np.uint64) for key in share.keys)
    if share.dtype == "bool":
        return Bits(own.reshape(1, words), after.reshape(1, words), size)
    return mpc_kernels.pair_up(own, after)


class ReplicatedSharer:
    """Splits arrays into replicated shares and puts results together; needs no link.

    Numbers are shared mod 2^64, floats in fixed point to the nearest 2^-18, flags bit by bit.

    Examples
    --------
    >>> parts = [received(wire, dtype="int64", shape=(2,), rank=rank)
    ...          for rank, wire in enumerate(ReplicatedSharer().share(np.array([7, -2])))]
    >>> sum(expand(part)[:, 0] for part in parts).astype(np.int64)
    array([ 7, -2])
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
        if value.dtype == np.float64 and not np.all(np.abs(value) < _LARGEST):
            raise RangeError("a value is not finite, or 2^44 or larger", code="MPC-0220")
        flat = np.ascontiguousarray(value).reshape(-1)
        keys = os.urandom(_SEED), os.urandom(_SEED)
        first, second = (_stream(key, _words(value.dtype.name, value.size)) for key in keys)
        if value.dtype == np.bool_:
            rest = rows_to_planes(flat.astype(np.uint64).reshape(-1, 1), 1).reshape(-1) ^ first ^ second
        else:
            scaled = np.rint(flat * 2.0**shares.FRACTION_BITS) if value.dtype == np.float64 else flat
            rest = scaled.astype(np.int64).view(np.uint64) - first - second
        data = rest.tobytes()
        ways = ((keys, b""), ((keys[1], b""), data), ((b"", keys[0]), data))
        made = (OwnerShare(value.dtype.name, value.shape, pair, content) for pair, content in ways)
        return [msgspec.msgpack.encode(share) for share in made]

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
