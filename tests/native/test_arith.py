"""Elementwise ring kernels: compiled code against numpy, the meaning of the truncation steps, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpc_kernels
from tests.native.instruction_sets import compared

U64, U32 = np.uint64, np.uint32


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "avx512dq"])
def test_equals_numpy_on_every_instruction_set(isa: str) -> None:
    assert compared("differential_arith.py", isa, 20251122) >= 1_000_000


def test_the_steps_make_a_truncation() -> None:
    """All sums of addends near the edges of the ring and of the range: the parts sum to the quotient, or one more."""
    few = np.arange(9, dtype=U64)
    near = np.concatenate([few, 2**63 - 4 + few, 2**64 - 9 + few])
    values = np.arange(-9, 10).view(U64)
    values = np.concatenate([values, 2**62 - 2**32 - few, 2**64 - 2**62 + few])
    a, x = (np.ascontiguousarray(grid.reshape(-1)) for grid in np.meshgrid(near, values))
    for bits in (1, 2, 3, 18, 32):
        zero, low = np.zeros_like(a), np.zeros(len(a), U32)
        message = mpc_kernels.truncate_split(a, zero, low, bits=bits)
        high, sign = message[: 8 * len(a)].view(U64), message[8 * len(a) :].view(U32)
        rest, cross = mpc_kernels.truncate_cross(x - a, zero, sign, low, bits=bits)
        found = (mpc_kernels.truncate_join(high, cross, rest, low, bits=bits).sum(axis=1, dtype=U64)).view(np.int64)
        floor = x.view(np.int64) >> bits
        assert np.isin(found - floor, [0, 1]).all()
        assert (found == floor)[(x & U64((1 << bits) - 1)) == 0].all()


PAIR = np.ones((1, 2, 2), U64)
ROW, WORD = np.ones(2, U64), np.ones(2, U32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mpc_kernels.replicated_dot_local(PAIR[0], PAIR), "a must have shape [terms,n,2], not (2, 2)"),
        (
            lambda: mpc_kernels.replicated_dot_local(PAIR, np.ones((2, 2, 2), U64)),
            "a and b must have one shape, not (1, 2, 2) and (2, 2, 2)",
        ),
        (lambda: mpc_kernels.replicated_dot_local(PAIR, PAIR, plus=ROW[:1]), "plus must have length 2, not 1"),
        (lambda: mpc_kernels.replicated_dot_local(PAIR, PAIR, out=ROW[:1]), "out must have length 2, not 1"),
        (lambda: mpc_kernels.pair_up(ROW, ROW[:1]), "next must have length 2, not 1"),
        (
            lambda: mpc_kernels.segmented_prefix_sum(PAIR[0], np.ones(2, np.int8)),
            "start must be a contiguous one-dimensional array of bool",
        ),
        (
            lambda: mpc_kernels.bincount_var(PAIR[0], ROW, size=2),
            "bin must be a contiguous one-dimensional array of uint32",
        ),
        (lambda: mpc_kernels.bincount_var(PAIR[0], WORD, size=-1), "size must be in 0..2^28, not -1"),
        (lambda: mpc_kernels.truncate_split(ROW, ROW, WORD, bits=33), "bits must be in 1..32, not 33"),
        (lambda: mpc_kernels.truncate_cross(ROW, ROW, WORD, WORD[:1], bits=3), "mask must have length 2, not 1"),
        (lambda: mpc_kernels.truncate_join(ROW, WORD, ROW, WORD, bits=0), "bits must be in 1..32, not 0"),
    ],
)
def test_mistakes_are_explained(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
