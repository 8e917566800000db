"""Pseudo-random streams: compiled code against numpy and the library, published vectors, and what they refuse."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import mpc_kernels
from mpc_kernels import Place, _reference_prg
from tests.native.instruction_sets import compared

SEED = bytes(range(32))

# NIST SP 800-38A, section F.5.1: CTR-AES128
VECTOR = {
    "seed": bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3cf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
    "plain": bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    ),
    "cipher": bytes.fromhex(
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
    ),
}

needs_aes = pytest.mark.skipif(not mpc_kernels.has_aes(), reason="this CPU has no AES instructions")


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "avx512dq"])
def test_equals_numpy_on_every_instruction_set(isa: str) -> None:
    octets = compared("differential_prg.py", isa, 20251126)
    if isa == "portable":
        assert octets == 0, "there is no AES without its instructions"
    elif mpc_kernels.has_aes():
        assert octets >= 1_000_000


def test_the_published_vector() -> None:
    keystream = np.frombuffer(VECTOR["plain"], np.uint8) ^ np.frombuffer(VECTOR["cipher"], np.uint8)
    found = np.empty(64, np.uint8)
    _reference_prg.prg_fill(VECTOR["seed"], 0, found)
    np.testing.assert_array_equal(found, keystream)
    if mpc_kernels.has_aes():
        np.testing.assert_array_equal(mpc_kernels.prg_fill(Place(VECTOR["seed"], 0), found), keystream)


@needs_aes
def test_the_streams_are_those_of_the_library() -> None:
    """A party without AES instructions uses the library: the streams must agree however they are cut."""
    whole = Cipher(algorithms.AES(SEED[:16]), modes.CTR(SEED[16:])).encryptor().update(bytes(100_000))
    at = 0
    for size in (0, 1, 7, 16, 100, 4096, 12_345, 65_536):
        found = mpc_kernels.prg_fill(Place(SEED, at), np.empty(size, np.uint8))
        assert found.tobytes() == whole[at : at + size]
        at += size


@needs_aes
def test_refuses() -> None:
    octets = np.empty(4, np.uint8)
    with pytest.raises(ValueError, match="a seed has 32 bytes"):
        mpc_kernels.prg_fill(Place(SEED[1:], 0), octets)
    with pytest.raises(TypeError):
        mpc_kernels.prg_fill(Place(SEED, -1), octets)
    with pytest.raises(TypeError):
        mpc_kernels.prg_fill(Place(SEED, 0), octets[::2])
    a = np.zeros((1, 2, 2), np.uint64)
    with pytest.raises(ValueError, match="shapes differ"):
        mpc_kernels.replicated_dot_masked(a, a, Place(SEED, 0), Place(SEED, 0), np.empty(3, np.uint64))
    with pytest.raises(ValueError, match="a must have shape"):
        mpc_kernels.replicated_dot_masked(a[0], a, Place(SEED, 0), Place(SEED, 0), np.empty(2, np.uint64))
