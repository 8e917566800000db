"""Bit planes and permutations: the compiled kernels against numpy, gates against truth tables, and what is refused."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_kernels import bits, permute
from tests.native.instruction_sets import compared

U64, U32 = np.uint64, np.uint32


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "avx512dq"])
def test_equals_numpy_on_every_instruction_set(isa: str) -> None:
    assert compared("differential_bits.py", isa, 20251122) >= 1_000_000


@given(rows=st.integers(0, 700), width=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_planes_and_back(rows: int, width: int, seed: int) -> None:
    packed = np.random.default_rng(seed).integers(0, 2**64, (rows, width), dtype=U64)
    planes = bits.rows_to_planes(packed, 64 * width)
    np.testing.assert_array_equal(bits.planes_to_rows(planes, rows), packed)
    if rows % 64:
        assert not (planes[:, -1] >> U64(rows % 64)).any()


def test_gates_have_the_right_truth_tables() -> None:
    """All values of three bits, shared in all ways: one lane for each of 2^9 component values."""
    lanes = np.array(list(itertools.product((0, 1), repeat=9)), dtype=np.uint8)
    words = np.ascontiguousarray(np.packbits(lanes.T, axis=1, bitorder="little")).view(U64)
    a, b, c = words[0:3], words[3:6], words[6:9]
    secret = [np.bitwise_xor.reduce(part, axis=0) for part in (a, b, c)]
    none = np.zeros(8, U64)
    conjunction, majority = none.copy(), none.copy()
    for r in range(3):
        after = (r + 1) % 3
        conjunction ^= bits.and_local(a[r], a[after], b[r], b[after], mask=none)
        majority ^= bits.majority_local((a[r], a[after]), (b[r], b[after]), (c[r], c[after]), mask=none)
    x, y, z = secret
    np.testing.assert_array_equal(conjunction, x & y)
    np.testing.assert_array_equal(majority, (x & y) | (y & z) | (x & z))


def test_random_permutations_are_uniform() -> None:
    rng = np.random.default_rng(5)
    draws = 24_000
    seen = Counter(
        tuple(permute.random_permutation_var(rng.integers(0, 2**64, 8, dtype=U64), 4).tolist()) for _ in range(draws)
    )
    assert len(seen) == 24
    statistic = sum((count - draws / 24) ** 2 / (draws / 24) for count in seen.values())
    assert statistic < 64.0  # chi-square with 23 degrees of freedom, p about 1e-5


@given(rows=st.integers(0, 300), groups=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_groups_are_stable(rows: int, groups: int, seed: int) -> None:
    group = np.random.default_rng(seed).integers(0, groups, rows).astype(U32)
    order, start = permute.group_order_var(group, groups)
    np.testing.assert_array_equal(order, np.argsort(group, kind="stable"))
    np.testing.assert_array_equal(np.diff(start), np.bincount(group, minlength=groups))


@given(rows=st.integers(0, 300), seed=st.integers(0, 2**32))
def test_permutations_compose_and_invert(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.permutation(rows).astype(U32) for _ in range(2))
    packed = rng.integers(0, 2**64, (rows, 2), dtype=U64)
    moved = permute.gather_rows_var(permute.gather_rows_var(packed, first), second)
    np.testing.assert_array_equal(moved, permute.gather_rows_var(packed, permute.compose_var(first, second)))
    np.testing.assert_array_equal(
        permute.gather_rows_var(moved, permute.invert_var(permute.compose_var(first, second))), packed
    )
    np.testing.assert_array_equal(permute.scatter_rows_var(permute.gather_rows_var(packed, first), first), packed)


def test_bad_arguments_are_refused() -> None:
    packed = np.zeros((3, 1), U64)
    index = np.array([0, 3], U32)
    with pytest.raises(ValueError, match="out of range"):
        permute.gather_rows_var(packed, index)
    with pytest.raises(ValueError, match="out of range"):
        permute.invert_var(index)
    with pytest.raises(ValueError, match="out of range"):
        permute.compose_var(index, index)
    with pytest.raises(ValueError, match="out of range"):
        permute.group_order_var(index, 3)
    with pytest.raises(ValueError, match="out of range"):
        bits.rows_to_planes(packed, 1, order=np.array([64], U32))
    with pytest.raises(ValueError, match="rows must have dtype uint64"):
        bits.rows_to_planes(packed.astype(float), 1)
    with pytest.raises(ValueError, match="shape"):
        bits.planes_to_rows(np.zeros((2, 2), U64), 3)
    with pytest.raises(ValueError, match="do not suffice"):
        permute.random_permutation_var(np.zeros(1, U64), 3)
    four = [np.zeros(2, U64)] * 4
    with pytest.raises(ValueError, match="sizes differ"):
        bits.and_local(*four, mask=np.zeros(3, U64))
