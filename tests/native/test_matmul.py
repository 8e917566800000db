"""Ring matrix products: the compiled kernels against numpy, the replicated identity, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import mpc_kernels
from mpc_kernels import matmul64, replicated_matmul_local
from tests.native.instruction_sets import compared, python

U64 = np.uint64


def test_the_compiled_kernels_are_what_is_tested() -> None:
    assert mpc_kernels.NATIVE
    assert mpc_kernels.isa() in {"avx512dq", "avx512", "avx2", "portable"}


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "avx512dq"])
def test_equals_numpy_on_every_instruction_set(isa: str) -> None:
    assert compared("differential.py", isa, 20251122) >= 1_000_000


def test_an_unknown_instruction_set_is_refused() -> None:
    done = python("-c", "import mpc_kernels", MPC_KERNELS_ISA="avx1024")
    assert done.returncode != 0
    assert (
        "MPC_KERNELS_ISA: unknown instruction set 'avx1024'; known are portable, avx2, avx512, avx512dq" in done.stderr
    )


def share(rng: np.random.Generator, secret: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Split into three additive shares mod 2^64."""
    first, second = (rng.integers(0, 2**64, secret.shape, dtype=U64) for _ in range(2))
    return [first, second, secret - first - second]


@given(
    m=st.integers(0, 9),
    k=st.integers(0, 40),
    n=st.integers(0, 9),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_the_parties_parts_sum_to_the_product(m: int, k: int, n: int, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 2**64, (m, k), dtype=U64), rng.integers(0, 2**64, (k, n), dtype=U64)
    xs, ys = share(rng, x), share(rng, y)
    parts = [
        replicated_matmul_local(
            np.stack([xs[r], xs[(r + 1) % 3]], axis=-1), np.stack([ys[r], ys[(r + 1) % 3]], axis=-1), threads=threads
        )
        for r in range(3)
    ]
    np.testing.assert_array_equal(parts[0] + parts[1] + parts[2], matmul64(x, y))


def test_products_wrap() -> None:
    top = np.array([[2**64 - 1]], dtype=U64)
    assert matmul64(top, top).tolist() == [[1]]
    assert matmul64(np.array([[2**63]], dtype=U64), np.array([[2]], dtype=U64)).tolist() == [[0]]


def test_read_only_arguments_are_accepted_and_left_alone() -> None:
    a, b = np.arange(6, dtype=U64).reshape(2, 3), np.arange(3, dtype=U64).reshape(3, 1)
    a.flags.writeable = b.flags.writeable = False
    assert matmul64(a, b).tolist() == [[5], [14]]


GOOD = np.ones((2, 2), dtype=U64)
SIGNED = "b must have dtype uint64, not int64; use b.view(np.uint64), which keeps the bits"
PAIR = np.ones((2, 2, 2), dtype=U64)


@pytest.mark.parametrize(
    ("a", "b", "threads", "message"),
    [
        (GOOD.astype(float), GOOD, 1, "a must have dtype uint64, not float64"),
        (
            GOOD,
            GOOD.view(np.int64),
            1,
            SIGNED,
        ),
        (GOOD, GOOD.astype(">u8"), 1, "b must have dtype uint64, not >u8"),
        (GOOD[0], GOOD, 1, "a must have shape [m,k], not (2,)"),
        (GOOD, np.ones((3, 2), dtype=U64), 1, "the inner dimensions differ: a is (2, 2), b is (3, 2)"),
        (np.ones((2, 3), dtype=U64).T, GOOD, 1, "a must be C-contiguous and aligned; use np.ascontiguousarray(a)"),
        ([[1]], GOOD, 1, "a must be a numpy array uint64[m,k], not list"),
        (GOOD, GOOD, 0, "threads must be an integer of at least 1, not 0"),
        (GOOD, GOOD, True, "threads must be an integer of at least 1, not True"),
    ],
)
def test_mistakes_are_explained(a: NDArray[np.uint64], b: NDArray[np.uint64], threads: int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        matmul64(a, b, threads=threads)
    assert str(caught.value) == message


def test_mistakes_with_share_pairs_are_explained() -> None:
    with pytest.raises(ValueError) as caught:
        replicated_matmul_local(PAIR, np.ones((2, 2, 3), dtype=U64))
    assert str(caught.value) == "b must end in a dimension of 2, a party's two shares, not (2, 2, 3)"
    with pytest.raises(ValueError) as caught:
        replicated_matmul_local(GOOD, PAIR)
    assert str(caught.value) == "a must have shape [m,k,2], not (2, 2)"
