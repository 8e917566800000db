"""Division of secrets by a public power of two, and fixed-point products: two rounds, no error in the top bits.

The secret is brought to two addends, x = a + b mod 2^64: a is known to party 0 only, b to parties 1 and 2 only. From
replicated shares that is a = x_0 + x_1, b = x_2, with no message. For a product the parties' masked additive parts
z_0, z_1, z_2 serve: a = z_0 stays where it is, parties 1 and 2 tell each other z_1 and z_2, so that a truncated product
costs little more than a product. Let b' = b + 2^62 + 2^f - 1 and x' = x + 2^62 + 2^f - 1, which lies in [0, 2^63) for
-2^62 <= x <= 2^62 - 2^f. The top bit of x' being 0, the sum a + b' wraps exactly if a or b' has its top bit set. Hence
with arithmetic shifts, [.<0] for a top bit, and mod 2^64

    (a >> f) + (b' >> f) + [a<0]·[b'<0]·2^(64-f) = floor(x' / 2^f) - carry,     carry in {0, 1} from the low bits,

and subtracting 2^(62-f) gives the result. Only the product of two bits, known to different parties, takes an
interaction; it counts times 2^(64-f), hence matters mod 2^f only and travels in 4 bytes. The known-top-bit trick is
from Dalskov, Escudero, Keller, "Secure Evaluation of Quantized Neural Networks", PETS 2020, section 3.2.2; the division
of labour here (one addend stays with one party; no correlated randomness is dealt) is what saves rounds.

Messages, for fresh pseudo-random R (64 bits) and Q (32 bits) known to parties 0 and 1, and P, P' (32 bits) known to
parties 1 and 2:

    round 1    0 -> 2    (a >> f) - R,  [a<0] - Q                   for a product also  1 -> 2: z_1,  2 -> 1: z_2
    round 2    1 -> 0    u = [b'<0]·Q - P           2 -> 0    v = [b'<0]·([a<0] - Q) - P'

    components   y_0 = (a >> f) - R + v·2^(64-f)    y_1 = R + u·2^(64-f)    y_2 = (b' >> f) - 2^(62-f) + (P+P')·2^(64-f)

Privacy. Party 2 receives values masked by R and Q, which it does not know (and z_1, masked by a stream of parties 0 and
1). Party 1 receives nothing but z_2, masked by a stream of parties 0 and 2. Party 0 receives values masked by P and P',
which it does not know. So all that arrives is uniform and independent of the secrets, given what the receiver holds.

Accuracy. The result is floor(x/2^f) or that plus one: the error is below one unit, |2^f y - x| < 2^f, and a multiple of
2^f is divided exactly. As the low bits of a are uniform given x, the mean of y is x / 2^f: stochastic rounding.

What an opened result shows. Whether y was rounded up depends on whether the f bits that were cut off exceed a random
threshold; party 0 knows it (the low bits of a), parties 1 and 2 know it (those of b'). So whoever of them is *shown* a
truncated value learns that one comparison about the discarded bits besides the value. Every probabilistic truncation of
this kind has that property (Li, Duan, Huang, Hong, Zhang, Song, "Efficient 3PC for Binary Circuits with Application to
Maliciously-Secure DNN Inference", USENIX Security 2023, discuss it); while the result stays shared, nothing shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import mpc_kernels
from mpc_engine.runtime.replicated.arithmetic import Pairs, Part, flat, masked_dot
from mpc_engine.runtime.replicated.core import Replicated

__all__ = ["MAX_BITS", "fixed_dot", "fixed_matmul", "fixed_multiply", "fixed_parts", "truncate", "truncated_parts"]

MAX_BITS = 32
"""Most bits that one truncation cuts."""

Words = NDArray[np.uint32]


def truncate(party: Replicated, x: Pairs, *, bits: int) -> Pairs:
    """Divide by ``2**bits``, rounding at random to one of the two neighbours. Cost: :func:`~.cost.truncate_cost`.

    Parameters
    ----------
    party : Replicated
    x : ndarray of uint64, shape [..., 2]
        Signed values, ``-2**62 <= x <= 2**62 - 2**bits``.
    bits : int
        1 to 32.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        Within one unit of ``x / 2**bits``, exact for multiples of ``2**bits``, right in the mean.
    """
    pairs = flat(x)
    if party.rank == 0:
        out = _first(party, pairs[:, 0] + pairs[:, 1], bits)
    else:
        known = np.ascontiguousarray(pairs[:, 1 if party.rank == 1 else 0])
        out = _second(party, known, np.zeros_like(known), bits)
    return out.reshape(x.shape)


def fixed_dot(party: Replicated, x: Pairs, y: Pairs, *, bits: int) -> Pairs:
    """Multiply elementwise, sum over the first axis, divide by ``2**bits``. Cost: :func:`~.cost.fixed_multiply_cost`.

    Parameters
    ----------
    party : Replicated
    x, y : ndarray of uint64, shape [terms, ..., 2]
        The sum must keep to the range of :func:`truncate`; it is rounded once, whatever the number of terms.
    bits : int
        1 to 32.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
    """
    shape = x.shape[1:-1]
    return truncated_parts(party, lambda plus, minus: masked_dot(party, x, y, plus=plus, minus=minus), bits).reshape(
        *shape, 2
    )


def fixed_multiply(party: Replicated, x: Pairs, y: Pairs, *, bits: int) -> Pairs:
    """Multiply two fixed-point arrays: two rounds, 36 bytes an element in all.

    Parameters
    ----------
    party : Replicated
    x, y : ndarray of uint64, shape [..., 2]
        ``|x * y| < 2**62 - 2**bits`` as ring elements.
    bits : int
        Fraction bits of the factors that the product shall lose, 1 to 32.

    Returns
    -------
    ndarray of uint64, shape [..., 2]
        Within one unit in the last place of the exact product, see :func:`truncate`.
    """
    return fixed_dot(party, x[None], y[None], bits=bits)


def fixed_matmul(party: Replicated, a: Pairs, b: Pairs, *, bits: int) -> Pairs:
    """Multiply two fixed-point matrices: two rounds, 36 bytes in all for an element of the result.

    Parameters
    ----------
    party : Replicated
    a : ndarray of uint64, shape [m, k, 2]
    b : ndarray of uint64, shape [k, n, 2]
        The sums of k products must keep to the range of :func:`truncate`.
    bits : int
        1 to 32.

    Returns
    -------
    ndarray of uint64, shape [m, n, 2]
        Each element rounded once.
    """
    left, right = (np.require(value, requirements=["C", "A"]) for value in (a, b))

    part = mpc_kernels.replicated_matmul_local(left, right, threads=party.threads).reshape(-1)
    return fixed_parts(party, part, bits=bits).reshape(left.shape[0], right.shape[1], 2)


def fixed_parts(party: Replicated, part: Part, *, bits: int) -> Pairs:
    """Divide by ``2**bits`` what the parties' parts sum to: two rounds, 36 bytes an element in all.

    Parameters
    ----------
    party : Replicated
    part : ndarray of uint64, shape [n]
        This party's summand; masked here, in place.
    bits : int
        1 to 32.

    Returns
    -------
    ndarray of uint64, shape [n, 2]
    """

    def local(plus: int | None, minus: int | None) -> Part:
        if plus is not None:
            np.add(part, party.stream(plus, part.size), out=part)
        if minus is not None:
            np.subtract(part, party.stream(minus, part.size), out=part)
        return part

    return truncated_parts(party, local, bits)


def truncated_parts(party: Replicated, local: Callable[[int | None, int | None], Part], bits: int) -> Pairs:
    """Truncate what the parties' parts ``local(plus, minus)``, masked by the streams of two components, sum to.

    Party 0's part is masked by the streams 0 and 1, each of which one other party does not know; parties 1 and 2 mask
    theirs by the one that the other does not know.
    """
    if party.rank == 0:
        return _first(party, local(0, 1), bits)
    own = local(1, None) if party.rank == 1 else local(None, 0)
    return _second(party, own, _swap(party, 3 - party.rank, own), bits)


def _swap(party: Replicated, peer: int, own: Part) -> Part:
    party.send(peer, own)
    return np.frombuffer(party.recv(peer, own.nbytes), np.uint64)


def _first(party: Replicated, a: Part, bits: int) -> Pairs:
    """Truncate at party 0, which knows the addend `a`."""
    n = len(a)
    high_mask, low_mask = party.stream(1, n), party.words(1, n)
    message = mpc_kernels.truncate_split(a, high_mask, low_mask, bits=bits, threads=party.threads)
    party.send(2, message)
    own_high = message[: 8 * n].view(np.uint64)
    u, v = (np.frombuffer(party.recv(peer, 4 * n), np.uint32) for peer in (1, 2))
    return mpc_kernels.truncate_join(own_high, v, high_mask, u, bits=bits, threads=party.threads)


def _second(party: Replicated, own: Part, other: Part, bits: int) -> Pairs:
    """Truncate at party 1 or 2, which know the addend ``b = own + other``."""
    n = len(own)
    high, sign = _sign_share(party, n)
    pads = party.words(2, 2 * n)
    first, second = pads[:n], pads[n:]
    kept, cross = mpc_kernels.truncate_cross(
        own, other, sign, first if party.rank == 1 else second, bits=bits, threads=party.threads
    )
    party.send(0, cross)
    mine = (high, cross), (kept, first + second)
    (high0, low0), (high1, low1) = mine if party.rank == 1 else mine[::-1]
    return mpc_kernels.truncate_join(high0, low0, high1, low1, bits=bits, threads=party.threads)


def _sign_share(party: Replicated, n: int) -> tuple[Part, Words]:
    """Return this party's components of party 0's shifted addend and its sign: pseudo-random at 1, received at 2."""
    if party.rank == 1:
        return party.stream(1, n), party.words(1, n)
    message = party.recv(0, 12 * n)
    return np.frombuffer(message, np.uint64, n), np.frombuffer(message, np.uint32, n, 8 * n)
