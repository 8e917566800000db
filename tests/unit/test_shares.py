"""The wire form of shares: round trips, and refusal of everything that is not exactly what was due."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mpc_engine.errors import ProtocolMismatchError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.shares import Meta, WireShare

RNG = np.random.default_rng(7)


def ring(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**64, shape, dtype=np.uint64)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (3, 0, 2), (1000,)])
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_pairs_round_trip(shape: tuple[int, ...], dtype: str) -> None:
    values = ring(int(np.prod(shape)), 2)
    share = shares.from_pairs(values, dtype, shape)
    blob = shares.encode(share)
    back = shares.decode(blob, dtype=dtype, shape=shape, protocol="aby3")
    meta = shares.parse_meta(back.meta)
    assert meta == Meta(np.dtype(dtype), shape, False, "aby3.AShr<FM64>")
    np.testing.assert_array_equal(shares.pairs(back, meta), values)


def test_meta_is_what_spu_writes() -> None:
    # as printed by SPU 0.9.5 for a float64[2, 3] share
    assert shares.make_meta("float64", (2, 3)) == b'\x08\x0c\x18\x01"\x04\n\x02\x02\x03*\x0faby3.AShr<FM64>'
    assert shares.make_meta("int64", ()) == b"\x08\x08\x18\x01*\x0faby3.AShr<FM64>"


@pytest.mark.parametrize(
    ("storage", "size"),
    [
        ("aby3.AShr<FM64>", 16),
        ("aby3.BShr<PT_U8,1>", 2),
        ("aby3.BShr<PT_U32,26>", 8),
        ("aby3.BShr<PT_U128,128>", 32),
        ("cheetah.AShr<FM64>", 8),
        ("cheetah.BShr<FM64,1>", 8),
        ("semi2k.AShr<FM64>", 8),
    ],
)
def test_stored_bytes(storage: str, size: int) -> None:
    assert shares.parse_meta(shares.make_meta("int64", (3,), storage=storage)).stored_bytes == 3 * size


@pytest.mark.parametrize("pad", range(9))
def test_pairs_are_aligned(pad: int) -> None:
    values = ring(1000, 2)
    raw = b"\x08\x80\x7d\x1a\x80\x7d" + values.tobytes()
    share = WireShare(shares.make_meta("int64", (1000,)), (memoryview(bytes(pad) + raw)[pad:],))  # type: ignore[arg-type]
    found = shares.pairs(share, shares.parse_meta(share.meta))
    assert found.flags.aligned
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, values)


def test_several_chunks_are_joined() -> None:
    values = ring(10, 2)
    raw = values.tobytes()
    total = b"\x08\xa0\x01"
    chunks = (total + b"\x1a\x50" + raw[:80], total + b"\x10\x50" + b"\x1a\x50" + raw[80:])
    share = WireShare(shares.make_meta("int64", (10,)), chunks)
    np.testing.assert_array_equal(shares.pairs(share, shares.parse_meta(share.meta)), values)
    swapped = WireShare(share.meta, chunks[::-1])
    with pytest.raises(ProtocolMismatchError, match="do not follow each other"):
        shares.decode(shares.encode(swapped), dtype="int64", shape=(10,), protocol="aby3")


def test_public_pairs_add_up_to_the_value() -> None:
    values = np.array([3, -1], np.int64).view(np.uint64)
    share = WireShare(b'\x08\x08\x18\x02"\x03\n\x01\x02*\x0bPub2k<FM64>', (shares.make_chunk(values.tobytes()),))
    meta = shares.parse_meta(share.meta)
    assert meta.public
    held = [shares.public_pairs(share, meta, rank=rank) for rank in range(3)]
    for rank in range(3):
        np.testing.assert_array_equal(held[rank][:, 1], held[(rank + 1) % 3][:, 0])
    np.testing.assert_array_equal(sum(part[:, 0] for part in held), values)
    with pytest.raises(UnsupportedError, match="no replicated pairs"):
        shares.pairs(share, meta)


def good() -> WireShare:
    return shares.from_pairs(ring(5, 2), "int64", (5,))


def refused(blob: bytes, match: str, *, dtype: str = "int64", shape: tuple[int, ...] = (5,)) -> None:
    with pytest.raises(ProtocolMismatchError, match=match) as caught:
        shares.decode(blob, dtype=dtype, shape=shape, protocol="aby3")
    assert caught.value.code == "MPC-0720"


def test_refuses_another_type() -> None:
    blob = shares.encode(good())
    refused(blob, r"int64\[5\] arrived where float64\[5\] was due", dtype="float64")
    refused(blob, r"int64\[5\] arrived where int64\[6\] was due", shape=(6,))
    refused(blob, r"int64\[5\] arrived where int64\[5, 1\] was due", shape=(5, 1))
    with pytest.raises(ProtocolMismatchError, match="a share of aby3 arrived where the session runs cheetah"):
        shares.decode(blob, dtype="int64", shape=(5,), protocol="cheetah")


def test_refuses_by_length_before_decoding() -> None:
    refused(bytes(10**6), "1000000 bytes arrived where at most")


def test_refuses_other_sizes() -> None:
    meta = good().meta
    raw = ring(5, 2).tobytes()
    refused(shares.encode(WireShare(meta, ())), "0 bytes where 5 elements")
    refused(shares.encode(WireShare(meta, (shares.make_chunk(raw[:-16]),))), "do not follow")
    refused(shares.encode(WireShare(meta, (b"\x08\x50\x1a\x40" + raw[:64],))), "64 bytes where 5 elements")
    refused(shares.encode(WireShare(meta, (b"\x08\x50\x1a\x50" + raw[:64],))), "promises more bytes")
    refused(shares.encode(WireShare(meta, (shares.make_chunk(raw), shares.make_chunk(raw)))), "do not follow")
    refused(shares.encode(WireShare(meta, (shares.make_chunk(raw) + b"\x20\x01",))), "unknown or repeated")


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"garbage",
        b"\x08\x63\x18\x01" + good().meta[4:],
        b"\x08\x08\x10\x01\x18\x01" + good().meta[4:],
        b"\x08\x08\x18\x03" + good().meta[4:],
        b"\x08\x08\x18\x02" + good().meta[4:],
        good().meta + b"\x08\x08",
        shares.make_meta("int64", (5,), storage="aby3.AShr<FM128>"),
        shares.make_meta("int64", (5,), storage="aby3.BShr<PT_U8,9>"),
        shares.make_meta("int64", (5,), storage="x" * 300),
        shares.make_meta("int64", (1,) * 9),
        b"\x08" + b"\xff" * 12,
    ],
)
def test_refuses_bad_headers(meta: bytes) -> None:
    refused(shares.encode(WireShare(meta, good().chunks)), "a share was refused")


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(blob: bytes) -> None:
    with pytest.raises(ProtocolMismatchError):
        shares.decode(blob, dtype="int64", shape=(5,), protocol="aby3")


@given(st.data())
def test_no_flipped_byte_crashes_it(data: st.DataObject) -> None:
    blob = bytearray(shares.encode(good()))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        share = shares.decode(bytes(blob), dtype="int64", shape=(5,), protocol="aby3")
    except ProtocolMismatchError:
        return
    assert len(shares.content(share, shares.parse_meta(share.meta))) in (5 * 8, 5 * 16, 10, 20, 40, 80, 160)


def test_from_pairs_refuses_other_arrays() -> None:
    with pytest.raises(ValueError, match=r"pairs of shape \(5,\) expected"):
        shares.from_pairs(ring(4, 2), "int64", (5,))
    with pytest.raises(ValueError, match="expected, not int64"):
        shares.from_pairs(np.zeros((5, 2), np.int64), "int64", (5,))
    with pytest.raises(UnsupportedError, match="arrays of float32 have no arithmetic shares"):
        shares.from_pairs(ring(5, 2), "float32", (5,))


@given(
    arrays.arrays(
        st.sampled_from(["bool", "int64", "float64"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_clear_round_trip(array: np.ndarray) -> None:
    back = shares.decode_clear(shares.encode_clear(array), dtype=array.dtype, shape=array.shape)
    np.testing.assert_array_equal(back, array)


def test_clear_refuses_other_types() -> None:
    blob = shares.encode_clear(np.arange(5))
    for dtype, shape in (("float64", (5,)), ("int64", (6,)), ("int64", (4,)), ("int64", (5, 1))):
        with pytest.raises(ProtocolMismatchError):
            shares.decode_clear(blob, dtype=dtype, shape=shape)
    with pytest.raises(ProtocolMismatchError, match="neither 0 nor 1"):
        shares.decode_clear(msgspec.msgpack.encode(["bool", [1], b"\x02"]), dtype="bool", shape=(1,))
    with pytest.raises(UnsupportedError):
        shares.encode_clear(np.array(["text"]))
