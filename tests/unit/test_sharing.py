"""Owners' arrays as keys and one component; results put together without SPU."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from mpc_engine.errors import ProtocolMismatchError, RangeError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.columns import octets_of
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.sharing import OwnerShare, ReplicatedSharer, expand, received, wire_bytes

RNG = np.random.default_rng(8)
ARRAYS = [
    RNG.integers(-(2**62), 2**62, 130),
    RNG.integers(-(2**40), 2**40, 65) / 2**18,
    RNG.random(130) > 0.5,
    np.zeros(0, np.int64),
    np.ones((2, 3), bool),
]
SHARER = ReplicatedSharer()


def parts_of(array: Any) -> list[np.ndarray[Any, Any]]:
    """Every party's components, as pairs."""
    found = []
    for rank, wire in enumerate(SHARER.share(array)):
        column = expand(received(wire, dtype=array.dtype, shape=array.shape, rank=rank))
        found.append(octets_of(column) if isinstance(column, Bits) else column)
    return found


@pytest.mark.parametrize("array", ARRAYS)
def test_shares_put_together_give_the_array(array: Any) -> None:
    parts = parts_of(array)
    for rank, part in enumerate(parts):
        np.testing.assert_array_equal(part[:, 1], parts[(rank + 1) % 3][:, 0])
    wires = [
        shares.encode(
            shares.from_bit_pairs(part, array.shape)
            if array.dtype == bool
            else shares.from_pairs(part, array.dtype, array.shape)
        )
        for part in parts
    ]
    np.testing.assert_array_equal(SHARER.reconstruct(wires, dtype=array.dtype, shape=array.shape), array)


def test_sizes_do_not_depend_on_values_and_are_declared() -> None:
    for array in ARRAYS:
        sizes = [len(wire) for wire in SHARER.share(array)]
        assert sizes == [len(wire) for wire in SHARER.share(np.zeros_like(array))]
        assert 0 <= sum(sizes) - wire_bytes(array.dtype.name, array.size) < 500


def test_what_a_party_gets_is_never_the_same_twice() -> None:
    zeros = np.zeros(100, np.int64)
    first, second = SHARER.share(zeros), SHARER.share(zeros)
    for a, b in zip(first, second, strict=True):
        assert a != b
    components = {part[:, side].tobytes() for part in (*parts_of(zeros), *parts_of(zeros)) for side in (0, 1)}
    assert len(components) == 6  # three at a time, each held by two parties


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_shares_of_another_kind_are_refused(rank: int) -> None:
    array = np.arange(50)
    wire = SHARER.share(array)[rank]
    share = received(wire, dtype="int64", shape=(50,), rank=rank)
    bad = [
        *(b"", wire[:-1], wire + bytes(400), SHARER.share(array)[(rank + 1) % 3], SHARER.share(array[:49])[rank]),
        *(
            SHARER.share(array / 2)[rank],
            shares.encode(shares.from_pairs(np.zeros((50, 2), np.uint64), "int64", (50,))),
        ),
        msgspec.msgpack.encode(OwnerShare("int64", (50,), (share.keys[0] + b"x", share.keys[1]), share.data)),
        msgspec.msgpack.encode(OwnerShare("int64", (50,), share.keys, share.data + bytes(8))),
    ]
    for blob in bad:
        with pytest.raises(ProtocolMismatchError, match="MPC-0720"):
            received(blob, dtype="int64", shape=(50,), rank=rank)


def test_results_whose_shares_do_not_belong_together_are_refused() -> None:
    pairs = [np.full((3, 2), rank, np.uint64) for rank in range(3)]
    wires = [shares.encode(shares.from_pairs(part, "int64", (3,))) for part in pairs]
    with pytest.raises(ProtocolMismatchError, match="MPC-0720"):
        SHARER.reconstruct(wires, dtype="int64", shape=(3,))


def test_what_fixed_point_cannot_hold_is_refused() -> None:
    for value in (np.inf, np.nan, 2.0**44):
        with pytest.raises(RangeError, match="MPC-0220"):
            SHARER.share(np.array([value]))
    with pytest.raises(UnsupportedError, match="MPC-0321"):
        SHARER.share(np.array(["a"]))
