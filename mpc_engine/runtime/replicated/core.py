"""Three-party replicated secret sharing on ring elements: who sends what in which round.

A secret x = x_0 + x_1 + x_2 mod 2^64; party r holds the pair (x_r, x_{r+1}), indices mod 3, as SPU's ``aby3`` does. A
product is computed locally as an additive sharing z_0 + z_1 + z_2, masked with a fresh sharing of zero, and made
replicated again by one message: party r sends z_r to party r-1 and receives z_{r+1} from party r+1. Secure against one
semi-honest party (Araki, Furukawa, Lindell, Nof, Ohara: "High-Throughput Semi-Honest Secure Three-Party Computation
with an Honest Majority", CCS 2016, protocol 3.1; zero sharing section 3.2).

The pseudo-random generator is SHAKE-256 over (label, seed, counter): in the standard library, and far faster than the
products that it masks. Every operation uses its own counter value, so no output is used twice.

Each operation declares its cost exactly; tests compare the declaration with what was sent.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.errors import ProtocolMismatchError

__all__ = ["Cost", "Exchange", "Replicated", "matmul_cost", "setup_cost"]

SEED_BYTES = 32
_LABEL = b"mpc-engine replicated zero 1"

Exchange = Callable[[int, bytes | memoryview, int], bytes]
"""``exchange(send_to, payload, recv_from)``: send to one rank, return the next message of another; one round."""

Pairs = NDArray[np.uint64]


class Cost(NamedTuple):
    """Rounds of an operation, and payload bytes that every party sends."""

    rounds: int
    bytes_sent: int


def setup_cost() -> Cost:
    """Return what :meth:`Replicated.setup` costs."""
    return Cost(1, SEED_BYTES)


def matmul_cost(rows: int, columns: int) -> Cost:
    """Return what a product with `rows` x `columns` results costs; the inner dimension costs nothing.

    Examples
    --------
    >>> matmul_cost(10, 3)
    Cost(rounds=1, bytes_sent=240)
    """
    return Cost(1, 8 * rows * columns)


class Replicated:
    """One party of the protocol.

    Parameters
    ----------
    rank : int
        0, 1 or 2.
    exchange : Exchange
        Carries one message each way, in order, between authenticated parties.
    threads : int
        For the local arithmetic.

    Notes
    -----
    All parties make the same calls in the same order. Nothing is disclosed to any party: all that arrives is uniform
    given what the party already holds.
    """

    def __init__(self, rank: int, exchange: Exchange, *, threads: int = 1) -> None:
        if rank not in (0, 1, 2):
            raise ValueError(f"rank {rank} of three parties")
        self.rank = rank
        self.threads = threads
        self._exchange = exchange
        self._previous, self._next = (rank - 1) % 3, (rank + 1) % 3
        self._seeds: tuple[bytes, bytes] | None = None
        self._counter = 0

    def setup(self) -> None:
        """Agree on pairwise seeds: party r draws k_r and gives it to party r-1. Cost: :func:`setup_cost`."""
        own = os.urandom(SEED_BYTES)
        other = self._exchange(self._previous, own, self._next)
        if len(other) != SEED_BYTES or other == own:
            raise ProtocolMismatchError("a peer sent a bad seed", code="MPC-0721")
        self._seeds = own, bytes(other)

    def zero(self, size: int) -> NDArray[np.uint64]:
        """Return this party's part of a fresh sharing of zero; no message.

        Parameters
        ----------
        size : int

        Returns
        -------
        ndarray of uint64, shape [size]
            F(k_r) - F(k_{r+1}); the three parts sum to zero mod 2^64 and any two are uniform.
        """
        if self._seeds is None:
            raise RuntimeError("call setup() first")
        self._counter += 1
        own, other = (_stream(seed, self._counter, size) for seed in self._seeds)
        return own - other

    def reshare(self, part: NDArray[np.uint64]) -> Pairs:
        """Turn an additive sharing into a replicated one: one round, 8 bytes an element sent by every party.

        Parameters
        ----------
        part : ndarray of uint64, any shape
            This party's part; masked with a sharing of zero before it leaves.

        Returns
        -------
        ndarray of uint64, shape [*part.shape, 2]
        """
        masked = np.ascontiguousarray(part).reshape(-1) + self.zero(part.size)
        received = self._exchange(self._previous, masked.data.cast("B") if masked.size else b"", self._next)
        if len(received) != masked.nbytes:
            raise ProtocolMismatchError(
                f"{len(received)} bytes arrived where {masked.nbytes} were due", code="MPC-0721"
            )
        out = np.empty((masked.size, 2), np.uint64)
        out[:, 0] = masked
        out[:, 1] = np.frombuffer(received, np.uint64)
        return out.reshape(*part.shape, 2)

    def matmul(self, a: Pairs, b: Pairs) -> Pairs:
        """Multiply two secret matrices mod 2^64. Cost: :func:`matmul_cost` of the result.

        Parameters
        ----------
        a : ndarray of uint64, shape [m, k, 2]
        b : ndarray of uint64, shape [k, n, 2]
            Pairs; if one matrix holds integers and the other fixed point, the product is fixed point, untruncated and
            exact mod 2^64.

        Returns
        -------
        ndarray of uint64, shape [m, n, 2]

        Raises
        ------
        ValueError
            For another dtype or shape.
        ProtocolMismatchError
            MPC-0721 if the message of the peer has another size.
        """
        left, right = (np.require(value, requirements=["C", "A"]) for value in (a, b))  # wire bytes may lie anywhere
        return self.reshare(mpc_kernels.replicated_matmul_local(left, right, threads=self.threads))


def _stream(seed: bytes, counter: int, size: int) -> NDArray[np.uint64]:
    """Return `size` pseudo-random ring elements; equal at the two parties that know the seed."""
    state = hashlib.shake_256(_LABEL + seed + counter.to_bytes(8, "little"))
    return np.frombuffer(state.digest(8 * size), np.dtype("<u8"))
