"""Shares as bytes: what crosses a border, checked against what the plan says before anything is allocated.

A share of a secret array is a small header (``meta``) and a list of chunks, both protobuf messages of SPU 0.9.5:

- meta: 1 data type, 2 is_complex, 3 visibility, 4 shape {1 packed dims}, 5 storage type, e.g. ``aby3.AShr<FM64>``;
- chunk: 1 total bytes of the array, 2 offset of this chunk in it, 3 content.

An arithmetic share under ``aby3`` of n elements is n pairs of u64 (x_r, x_{r+1}), interleaved; the secret is
x_0 + x_1 + x_2 mod 2^64 (Araki et al., CCS 2016). Values of type float64 are fixed point with 18 fraction bits.

The receiver always knows dtype and shape from the plan, so :func:`decode` refuses a blob by its length first and then
by its header. Nothing here imports ``spu``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mpc_engine.errors import UnsupportedError
from mpc_engine.runtime.protobuf import fields, read_varint, refusal, varint

__all__ = [
    "FRACTION_BITS",
    "RING_BYTES",
    "Meta",
    "WireShare",
    "bit_pairs",
    "content",
    "decode",
    "decode_clear",
    "encode",
    "encode_clear",
    "from_bit_pairs",
    "from_pairs",
    "has_pairs",
    "make_chunk",
    "make_meta",
    "pairs",
    "pairs_of",
    "parse_meta",
    "public_pairs",
]

FRACTION_BITS = 18
RING_BYTES = 8
MAX_META_BYTES = 512
MAX_RANK = 8
_MAX_STORED_BYTES = 32  # an element as a 128-bit boolean share under aby3, the widest there is
_CHUNK_OVERHEAD = 64
_MIN_CHUNK = 1 << 20

# SPU's DataType numbers of the dtypes that programs use.
_CODES: dict[str, int] = {
    "bool": 1, "int8": 2, "uint8": 3, "int16": 4, "uint16": 5, "int32": 6, "uint32": 7,
    "int64": 8, "uint64": 9, "float16": 10, "float32": 11, "float64": 12,
}  # fmt: skip
_DTYPES = {code: np.dtype(name) for name, code in _CODES.items()}
_SECRET, _PUBLIC = 1, 2
_SHAREABLE = ("bool", "int64", "float64")
_STORAGE = re.compile(
    r"(?P<public>Pub2k<FM64>)"
    r"|(?P<protocol>aby3|cheetah|semi2k)\.(?:(?P<arithmetic>AShr<FM64>)"
    r"|BShr<(?:PT_U(?P<stored>8|16|32|64|128)|FM64),(?P<bits>[0-9]{1,3})>)"
)
_COPIES = {"aby3": 2, "cheetah": 1, "semi2k": 1}  # ring elements that a party holds of each element


class WireShare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One computing party's part of a secret array, as SPU hands it out.

    Attributes
    ----------
    meta : bytes
        The header, see the module docstring.
    chunks : tuple[bytes, ...]
        The chunks in order; none for an array without elements.
    """

    meta: bytes
    chunks: tuple[bytes, ...]


class Meta(msgspec.Struct, frozen=True):
    """The header of a share.

    Attributes
    ----------
    dtype : np.dtype
        Of the values, e.g. float64.
    shape : tuple[int, ...]
    public : bool
        The array is known to all computing parties (a constant of the program).
    storage : str
        SPU's name of the representation, e.g. ``aby3.BShr<PT_U8,1>``.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    public: bool
    storage: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def arithmetic(self) -> bool:
        """Whether this is a secret shared additively mod 2^64."""
        match = _STORAGE.fullmatch(self.storage)
        return match is not None and match["arithmetic"] is not None

    @property
    def boolean(self) -> bool:
        """Whether this is a secret shared bit by bit."""
        match = _STORAGE.fullmatch(self.storage)
        return match is not None and match["bits"] is not None

    @property
    def protocol(self) -> str:
        """``aby3``, ``cheetah`` or ``semi2k``; the empty string for a public array."""
        match = _STORAGE.fullmatch(self.storage)
        return (match["protocol"] or "") if match else ""

    @property
    def stored_bytes(self) -> int:
        """Bytes that one party stores of the whole array.

        Examples
        --------
        >>> Meta(np.dtype("int64"), (5,), False, "aby3.AShr<FM64>").stored_bytes
        80
        >>> Meta(np.dtype("bool"), (5,), False, "aby3.BShr<PT_U8,1>").stored_bytes
        10
        """
        return self.size * _element_bytes(self.storage)


def _element_bytes(storage: str) -> int:
    match = _STORAGE.fullmatch(storage)
    if match is None:
        raise refusal(f"storage type {storage[:60]!r} is not known")
    if match["public"]:
        return RING_BYTES
    width = int(match["stored"]) // 8 if match["stored"] else RING_BYTES
    if match["bits"] and int(match["bits"]) > width * 8:
        raise refusal(f"storage type {storage!r} has more bits than it stores")
    return width * _COPIES[match["protocol"]]


def parse_meta(meta: bytes) -> Meta:
    """Read the header of a share.

    Raises
    ------
    ProtocolMismatchError
        MPC-0720 if it is not a header of a kind that this engine uses.

    Examples
    --------
    >>> parse_meta(make_meta("float64", (2, 3)))
    Meta(dtype=dtype('float64'), shape=(2, 3), public=False, storage='aby3.AShr<FM64>')
    """
    if len(meta) > MAX_META_BYTES:
        raise refusal(f"its header has {len(meta)} bytes")
    found = fields(meta, {1, 2, 3}, {4, 5})
    dtype = _DTYPES.get(int(found.get(1, 0)))
    visibility = found.get(3, 0)
    if dtype is None or found.get(2, 0) != 0 or visibility not in (_SECRET, _PUBLIC):
        raise refusal("its header has an unknown data type or visibility")
    storage = bytes(found.get(5, b"")).decode("ascii", "replace")
    parsed = Meta(dtype, _shape(found.get(4, memoryview(b""))), visibility == _PUBLIC, storage)
    _element_bytes(storage)
    if parsed.public != (not parsed.protocol):
        raise refusal(f"storage type {storage!r} does not fit its visibility")
    return parsed


def _shape(field: int | memoryview) -> tuple[int, ...]:
    assert isinstance(field, memoryview)
    packed = fields(field, set(), {1}).get(1, memoryview(b""))
    assert isinstance(packed, memoryview)
    dims: list[int] = []
    at = 0
    while at < len(packed):
        dim, at = read_varint(packed, at)
        dims.append(dim)
        if len(dims) > MAX_RANK:
            raise refusal("it has too many dimensions")
    return tuple(dims)


def make_meta(dtype: DTypeLike, shape: Sequence[int], *, storage: str = "aby3.AShr<FM64>") -> bytes:
    """Write the header of a secret share.

    Parameters
    ----------
    dtype : DTypeLike
        Of the values: bool, int64 or float64 and the narrower ones.
    shape : Sequence[int]
    storage : str
        SPU's name of the representation.
    """
    code = _CODES.get(np.dtype(dtype).name)
    if code is None:
        raise UnsupportedError(f"arrays of {np.dtype(dtype)} cannot be shared", code="MPC-0321")
    packed = b"".join(map(varint, shape))
    dims = b"\x0a" + varint(len(packed)) + packed if packed else b""
    shape_field = b"\x22" + varint(len(dims)) + dims if dims else b""
    name = storage.encode()
    return b"\x08" + varint(code) + b"\x18\x01" + shape_field + b"\x2a" + varint(len(name)) + name


def make_chunk(data: bytes | memoryview) -> bytes:
    """Wrap the whole content of an array as its single chunk."""
    size = varint(len(data))
    return b"".join((b"\x08", size, b"\x1a", size, data))


def content(share: WireShare, meta: Meta) -> bytes | memoryview:
    """Return the raw elements of a share; without a copy when it has one chunk.

    Raises
    ------
    ProtocolMismatchError
        MPC-0720 if the chunks do not add up to exactly the size that `meta` demands.
    """
    need = meta.stored_bytes
    parts: list[memoryview] = []
    at = 0
    for chunk in share.chunks:
        found = fields(chunk, {1, 2}, {3})
        part = found.get(3, memoryview(b""))
        assert isinstance(part, memoryview)
        if found.get(1, 0) != need or found.get(2, 0) != at or not part:
            raise refusal("its chunks do not follow each other")
        at += len(part)
        parts.append(part)
    if at != need:
        raise refusal(f"it has {at} bytes where {meta.size} elements of {meta.storage} take {need}")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def encode(share: WireShare) -> bytes:
    """Return the wire form (MessagePack) of a share."""
    return msgspec.msgpack.encode(share)


def decode(blob: bytes | memoryview, *, dtype: DTypeLike, shape: Sequence[int], protocol: str) -> WireShare:
    """Read a share that has to be of the given type, or refuse it.

    Parameters
    ----------
    blob : bytes-like
        What arrived.
    dtype, shape
        What the plan says the array is.
    protocol : str
        The protocol of the session; a public array is let through under every protocol.

    Returns
    -------
    WireShare

    Raises
    ------
    ProtocolMismatchError
        MPC-0720. A blob longer than any representation of the array is refused before it is looked at.

    Examples
    --------
    >>> share = from_pairs(np.ones((3, 2), np.uint64), "int64", (3,))
    >>> decode(encode(share), dtype="int64", shape=(3,), protocol="aby3") == share
    True
    """
    most = math.prod(shape) * _MAX_STORED_BYTES
    most += MAX_META_BYTES + _CHUNK_OVERHEAD * (2 + most // _MIN_CHUNK)
    if len(blob) > most:
        raise refusal(f"{len(blob)} bytes arrived where at most {most} were due")
    try:
        share = msgspec.msgpack.decode(blob, type=WireShare)
    except msgspec.MsgspecError:
        raise refusal("it is not a share") from None
    meta = parse_meta(share.meta)
    if meta.dtype != np.dtype(dtype) or meta.shape != tuple(shape):
        raise refusal(f"{meta.dtype}{list(meta.shape)} arrived where {np.dtype(dtype)}{list(shape)} was due")
    if not meta.public and meta.protocol != protocol:
        raise refusal(f"a share of {meta.protocol} arrived where the session runs {protocol}")
    content(share, meta)
    return share


# replicated pairs


def has_pairs(blob: bytes | memoryview) -> bool:
    """Whether a share is one that :func:`pairs_of` reads: of numbers mod 2^64, or of flags bit by bit."""
    share = msgspec.msgpack.decode(blob, type=WireShare)
    meta = parse_meta(share.meta)
    return meta.storage == "aby3.AShr<FM64>" or (meta.boolean and meta.dtype == np.bool_)


def pairs_of(
    blob: bytes | memoryview, *, dtype: DTypeLike, shape: Sequence[int], protocol: str
) -> NDArray[np.uint64] | NDArray[np.uint8]:
    """Read a share that has to be of the given type as replicated pairs: of bits, or of numbers.

    Returns
    -------
    ndarray, shape [n, 2]
        uint8 for a bool that is shared bit by bit, else uint64.
    """
    share = decode(blob, dtype=dtype, shape=shape, protocol=protocol)
    meta = parse_meta(share.meta)
    return bit_pairs(share, meta) if meta.boolean and meta.dtype == np.bool_ else pairs(share, meta)


def pairs(share: WireShare, meta: Meta) -> NDArray[np.uint64]:
    """View an arithmetic ``aby3`` share as its replicated pairs.

    Returns
    -------
    ndarray of uint64, shape [n, 2]
        (x_r, x_{r+1}) of every element in row-major order. Aligned: a read-only view if possible, else a copy.

    Raises
    ------
    UnsupportedError
        MPC-0322 for any other representation: those bytes would be misread.
    """
    if meta.storage != "aby3.AShr<FM64>":
        raise UnsupportedError(f"a share stored as {meta.storage} has no replicated pairs", code="MPC-0322")
    return np.require(np.frombuffer(content(share, meta), np.uint64).reshape(-1, 2), requirements="A")


def bit_pairs(share: WireShare, meta: Meta) -> NDArray[np.uint8]:
    """View a boolean ``aby3`` share of one-bit values as its replicated pairs.

    Returns
    -------
    ndarray of uint8, shape [n, 2]
        (b_r, b_{r+1}) of every element in row-major order, in the lowest bit; the secret is b_0 ^ b_1 ^ b_2.

    Raises
    ------
    UnsupportedError
        MPC-0322 for any other representation.
    """
    if meta.dtype != np.bool_ or not meta.boolean or meta.protocol != "aby3":
        raise UnsupportedError(f"a {meta.dtype} stored as {meta.storage} has no pairs of bits", code="MPC-0322")
    width = _element_bytes(meta.storage) // 2
    octets = np.frombuffer(content(share, meta), np.uint8).reshape(-1, 2, width)
    return np.ascontiguousarray(octets[:, :, 0])


def from_bit_pairs(values: NDArray[np.uint8], shape: Sequence[int]) -> WireShare:
    """Make a boolean ``aby3`` share of replicated pairs of bits.

    Parameters
    ----------
    values : ndarray of uint8, shape [n, 2]
        0 or 1.
    shape : Sequence[int]
    """
    if values.dtype != np.uint8 or values.shape != (math.prod(shape), 2):
        raise ValueError(f"pairs of bits of shape {tuple(shape)} expected, not {values.dtype}{list(values.shape)}")
    chunks = (make_chunk(np.ascontiguousarray(values).data.cast("B")),) if values.size else ()
    return WireShare(make_meta("bool", shape, storage="aby3.BShr<PT_U8,1>"), chunks)


def public_pairs(share: WireShare, meta: Meta, *, rank: int) -> NDArray[np.uint64]:
    """Share a public array trivially: the value is x_0, the other two components are zero.

    Parameters
    ----------
    rank : int
        Of this party; 0 and 2 hold x_0.

    Returns
    -------
    ndarray of uint64, shape [n, 2]
    """
    if not meta.public:
        raise UnsupportedError(f"a share stored as {meta.storage} is not public", code="MPC-0322")
    out = np.zeros((meta.size, 2), np.uint64)
    if rank in (0, 2):
        out[:, rank // 2] = np.frombuffer(content(share, meta), np.uint64)
    return out


def from_pairs(values: ArrayLike, dtype: DTypeLike, shape: Sequence[int]) -> WireShare:
    """Make an arithmetic ``aby3`` share of replicated pairs.

    Parameters
    ----------
    values : array of uint64, shape [n, 2] or [*shape, 2]
    dtype : DTypeLike
        int64 for integers mod 2^64, float64 for fixed point with 18 fraction bits, bool for 0 and 1.
    shape : Sequence[int]

    Raises
    ------
    ValueError
        If `values` has another dtype or another number of elements.
    """
    array = np.ascontiguousarray(values)
    if array.dtype != np.uint64 or array.size != 2 * math.prod(shape) or array.shape[-1:] != (2,):
        raise ValueError(f"pairs of shape {tuple(shape)} expected, not {array.dtype}{list(array.shape)}")
    if np.dtype(dtype).name not in _SHAREABLE:
        raise UnsupportedError(f"arrays of {np.dtype(dtype)} have no arithmetic shares here", code="MPC-0321")
    chunks = (make_chunk(array.data.cast("B")),) if array.size else ()
    return WireShare(make_meta(dtype, shape), chunks)


# clear arrays of the plaintext executor


class _Clear(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def encode_clear(array: ArrayLike) -> bytes:
    """Return the wire form of an array in the clear (the ``plaintext`` executor only)."""
    value = np.ascontiguousarray(array).reshape(np.shape(array))
    if value.dtype.name not in _CODES:
        raise UnsupportedError(f"arrays of {value.dtype} cannot be sent", code="MPC-0321")
    return msgspec.msgpack.encode(_Clear(value.dtype.name, value.shape, value.tobytes()))


def decode_clear(blob: bytes | memoryview, *, dtype: DTypeLike, shape: Sequence[int]) -> NDArray[np.generic]:
    """Read an array in the clear that has to be of the given type, or refuse it.

    Raises
    ------
    ProtocolMismatchError
        MPC-0720.

    Examples
    --------
    >>> decode_clear(encode_clear(np.array([1.5, 2.0])), dtype="float64", shape=(2,))
    array([1.5, 2. ])
    """
    wanted = np.dtype(dtype)
    size = math.prod(shape) * wanted.itemsize
    if len(blob) > size + _CHUNK_OVERHEAD + 9 * len(shape):
        raise refusal(f"{len(blob)} bytes arrived where {size} were due")
    try:
        clear = msgspec.msgpack.decode(blob, type=_Clear)
    except msgspec.MsgspecError:
        raise refusal("it is not an array") from None
    if clear.dtype != wanted.name or clear.shape != tuple(shape) or len(clear.data) != size:
        raise refusal(f"{clear.dtype}{list(clear.shape)} arrived where {wanted}{list(shape)} was due")
    if wanted == np.bool_ and clear.data.translate(None, b"\0\1"):
        raise refusal("a bool that is neither 0 nor 1 arrived")
    return np.frombuffer(clear.data, wanted).reshape(shape)
