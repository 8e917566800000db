"""Three-party replicated secret sharing on ring elements: who sends what in which round.

A secret x = x_0 + x_1 + x_2 mod 2^64; party r holds the pair (x_r, x_{r+1}), indices mod 3, as SPU's ``aby3`` does. A
product is computed locally as an additive sharing z_0 + z_1 + z_2, masked with a fresh sharing of zero, and made
replicated again by one message: party r sends z_r to party r-1 and receives z_{r+1} from party r+1. Secure against one
semi-honest party (Araki, Furukawa, Lindell, Nof, Ohara: "High-Throughput Semi-Honest Secure Three-Party Computation
with an Honest Majority", CCS 2016, protocol 3.1; zero sharing section 3.2).

The pseudo-random generators are AES-128 in counter mode, one for each pair of parties and never rewound: the two that
know a seed take the same amounts in the same order, so no output is used twice. What has to be made again comes from a
generator of its own, whose seed is output of the pair's (:meth:`Replicated.substream`). Kernels with AES instructions
compute them, often on the way of what they mask; the library does where the CPU has none. The streams are the same.

Each operation declares its cost exactly; tests compare the declaration with what was sent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

import mpc_kernels
from mpc_compiler.cost import NEAR, Link
from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.channel import Channel
from mpc_kernels.prg import Place, has_aes, prg_fill, prg_zero

__all__ = ["ChannelLinks", "Cost", "Links", "Pairs", "Replicated", "Substream", "matmul_cost", "setup_cost"]

SEED_BYTES = 32
_ZEROS = bytes(1 << 18)
_NATIVE_STREAMS = has_aes()
"""All of a process's streams are computed by our kernels, or all by the library: a place is a count of bytes taken."""

Pairs = NDArray[np.uint64]
Payload = bytes | memoryview | NDArray[np.generic]


class Links(Protocol):
    """Messages to and from the other two parties, in order; parties are ranks."""

    def send(self, to: int, payload: bytes | memoryview) -> None:
        """Send a message."""

    def recv(self, frm: int) -> bytes:
        """Return the next message of a party."""


class ChannelLinks:
    """Carries the protocol's messages over a channel, under one tag.

    Parameters
    ----------
    channel : Channel
    parties : Sequence[str]
        Names of the three computing parties, by rank.
    tag : str
    """

    def __init__(self, channel: Channel, parties: Sequence[str], *, tag: str = "kernel") -> None:
        self._channel, self._parties, self._tag = channel, tuple(parties), tag

    def send(self, to: int, payload: bytes | memoryview) -> None:
        """Send a message; raises PeerError like :meth:`Channel.send`."""
        self._channel.send(self._parties[to], self._tag, payload)

    def recv(self, frm: int) -> bytes:
        """Return the next message of a party; raises PeerError like :meth:`Channel.recv`."""
        return self._channel.recv(self._parties[frm], self._tag)


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
    links : Links
        Carries messages, in order, between authenticated parties.
    threads : int
        For the local arithmetic.
    link : Link
        What rounds and bytes cost; the same at all parties, which choose by it how to compute. May be set again.

    Notes
    -----
    All parties make the same calls in the same order. Nothing is disclosed to any party: all that arrives is uniform
    given what the party already holds.
    """

    def __init__(self, rank: int, links: Links, *, threads: int = 1, link: Link = NEAR) -> None:
        if rank not in (0, 1, 2):
            raise ValueError(f"rank {rank} of three parties")
        self.rank = rank
        self.threads = threads
        self.link = link
        self._links = links
        self._previous, self._next = (rank - 1) % 3, (rank + 1) % 3
        self._streams: dict[int, _Stream] = {}

    def setup(self) -> None:
        """Agree on pairwise seeds: party r draws k_r and gives it to party r-1. Cost: :func:`setup_cost`."""
        own = os.urandom(SEED_BYTES)
        self._links.send(self._previous, own)
        other = self._links.recv(self._next)
        if len(other) != SEED_BYTES or other == own:
            raise ProtocolMismatchError("a peer sent a bad seed", code="MPC-0721")
        self._streams = {self.rank: _Stream(own), self._next: _Stream(other)}

    def send(self, to: int, payload: Payload) -> None:
        """Send one message, bytes or a contiguous array, to a party."""
        content = payload.data if isinstance(payload, np.ndarray) else memoryview(payload)
        self._links.send(to, content.cast("B") if content.nbytes else b"")

    def recv(self, frm: int, size: int) -> bytes:
        """Return the next message of a party, which must have `size` bytes.

        Raises
        ------
        PeerError
            If the party fails or is silent.
        ProtocolMismatchError
            MPC-0721 if the message has another size.
        """
        received = self._links.recv(frm)
        if len(received) != size:
            raise ProtocolMismatchError(f"{len(received)} bytes arrived where {size} were due", code="MPC-0721")
        return received

    def stream(self, component: int, size: int) -> NDArray[np.uint64]:
        """Return the next pseudo-random ring elements of a component's generator; no message.

        Parameters
        ----------
        component : int
            This party's rank r or r+1. Generator c is known to the parties c and c-1, which must take the same amounts
            from it in the same order, and to nobody else.
        size : int

        Returns
        -------
        ndarray of uint64, shape [size]
        """
        return self._bytes(component, 8 * size).view(np.uint64)

    def words(self, component: int, size: int) -> NDArray[np.uint32]:
        """Return the next pseudo-random 32-bit words of a component's generator; see :meth:`stream`."""
        return self._bytes(component, 4 * size).view(np.uint32)

    def substream(self, component: int) -> Substream:
        """Return a new generator, known to the same two parties, whose numbers can be made again; no message.

        Parameters
        ----------
        component : int
            See :meth:`stream`: the two parties must ask for it at the same point.
        """
        return Substream(self._bytes(component, SEED_BYTES).tobytes())

    def _bytes(self, component: int, size: int) -> NDArray[np.uint8]:
        if not self._streams:
            raise RuntimeError("call setup() first")
        return self._streams[component].take(size)

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
        return self._zero(size, bits=False)

    def zero_bits(self, words: int) -> NDArray[np.uint64]:
        """Return this party's part of a fresh sharing of zero bits, 64 in each word; no message. The parts XOR to 0."""
        return self._zero(words, bits=True)

    def _zero(self, size: int, *, bits: bool) -> NDArray[np.uint64]:
        places = self.masks(size)
        if places is not None:
            return prg_zero(*places, np.empty(size, np.uint64), bits=bits)
        own, after = self.stream(self.rank, size), self.stream(self._next, size)
        return (np.bitwise_xor if bits else np.subtract)(own, after, out=own)

    def masks(self, size: int) -> tuple[Place, Place] | None:
        """Take a mask of `size` ring elements for a kernel that computes it: :meth:`zero` is the first less the second.

        Returns
        -------
        tuple of Place, or None
            None where the kernels have no AES instructions: nothing is taken then.
        """
        if not self._streams:
            raise RuntimeError("call setup() first")
        own, after = (self._streams[component].place(8 * size) for component in (self.rank, self._next))
        return None if own is None or after is None else (own, after)

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
        own, after = self.reshare_apart(part)
        return mpc_kernels.pair_up(own, after, threads=self.threads).reshape(*part.shape, 2)

    def reshare_apart(self, part: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Do what :meth:`reshare` does; the two components are arrays of their own, of shape [part.size]."""
        masked = self.zero(part.size)
        masked += part.reshape(-1)
        self.send(self._previous, masked)
        return masked, np.frombuffer(self.recv(self._next, masked.nbytes), np.uint64)

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


class Substream:
    """Pseudo-random ring elements, any of which can be made at any time, and again.

    What they mask may be sent once only: a second value under the same numbers would tell the difference of the two.

    Parameters
    ----------
    seed : bytes
        Output of a generator, used for nothing else.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    def numbers(self, first: int, size: int) -> NDArray[np.uint64]:
        """Return the elements ``first`` to ``first + size - 1``: ndarray of uint64, shape [size].

        Examples
        --------
        >>> stream = Substream(bytes(32))
        >>> bool((stream.numbers(0, 5)[3:] == stream.numbers(3, 2)).all())
        True
        """
        out = np.empty(size, np.uint64)
        if _NATIVE_STREAMS:
            prg_fill(Place(self._seed, 8 * first), out.view(np.uint8))
            return out
        counter = (int.from_bytes(self._seed[16:], "big") + first // 2) % (1 << 128)
        stream = _Stream(self._seed[:16] + counter.to_bytes(16, "big"))
        stream.take(8 * (first % 2))
        return stream.take(8 * size).view(np.uint64)


class _Stream:
    """AES-128 in counter mode; the seed is the key and the first counter block. The library's, without our kernels."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._used = seed, 0
        self._cipher = Cipher(algorithms.AES(seed[:16]), modes.CTR(seed[16:])).encryptor()

    def place(self, size: int) -> Place | None:
        """Return where the next `size` bytes are, which are then taken; None, and nothing taken, without kernels."""
        if not _NATIVE_STREAMS:
            return None
        at = Place(self._seed, self._used)
        self._used += size
        return at

    def take(self, size: int) -> NDArray[np.uint8]:
        out = np.empty(-(-size // 8), np.uint64).view(np.uint8)[:size]  # aligned for any element type
        if (at := self.place(size)) is not None:
            return prg_fill(at, out)
        view = out.data
        for start in range(0, size, len(_ZEROS)):
            piece = view[start : start + len(_ZEROS)]
            self._cipher.update_into(_ZEROS[: len(piece)], piece)
        return out
