"""The operations that `mpc-engine bench` measures: their secrets, the native protocol, numpy, and what counts as equal.

Both sides start with arithmetic shares of the same columns and end with shares; that includes whatever conversion an
operation needs (bits of the key for ``sort``, of the flag for ``compaction``). What SPU runs is in
:mod:`mpc_engine.cli.kernel_spu`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.replicated import approx, arithmetic, convert
from mpc_engine.runtime.replicated.bits import Bits, open_bits
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.group import Extreme, group_by
from mpc_engine.runtime.replicated.lookup import lookup
from mpc_engine.runtime.replicated.shuffle import Column, Shuffle
from mpc_engine.runtime.replicated.sort import sort_rows
from mpc_engine.runtime.replicated.truncate import fixed_matmul, fixed_multiply

__all__ = ["FRACTION", "KERNELS", "VALUE_BITS", "Array", "Kernel", "Size", "opened", "shares", "width", "wrong"]

FRACTION = approx.FRACTION
SEED = 7
VALUE_BITS = 32
"""Of the numbers that ``groupby`` aggregates."""
Array = NDArray[Any]


class Size(msgspec.Struct, frozen=True):
    """How large an operation is; what each number means is the operation's to say."""

    rows: int
    bits: int
    columns: int
    groups: int


Make = Callable[[Size, np.random.Generator], list[Array]]
Ours = Callable[[Replicated, list[Pairs], Size], Sequence[Column]]
Plain = Callable[[list[Array], Size], list[Array]]
Error = Callable[[list[Array], list[Array], list[Array]], float]


def wrong(found: list[Array], clear: list[Array], truth: list[Array]) -> float:
    """Return how many entries are not exactly those of the reference.

    Parameters
    ----------
    found : list of ndarray of int64
        Opened results.
    clear, truth : list of ndarray
        Secrets, and what numpy makes of them.

    Examples
    --------
    >>> wrong([np.array([1, 2])], [], [np.array([1, 3])])
    1.0
    """
    return float(sum(np.count_nonzero(f != t) for f, t in zip(found, truth, strict=True)))


@dataclass(frozen=True)
class Kernel:
    """One operation.

    Attributes
    ----------
    make : callable
        Secrets of a size, from a generator: int64, or float64 for fixed point.
    ours : callable
        The native protocol on this party's pairs; returns the shared results.
    plain : callable
        numpy on the secrets; returns what the results should be.
    error, bound : callable, float
        How far opened results are off, and how far they may be.
    spu : str
        How SPU does it, for the output; see :mod:`mpc_engine.cli.kernel_spu`.
    most_bits : int
        Largest ``--bits``.
    least_bits : callable
        Smallest ``--bits`` of a size.
    items : callable
        What ``bytes_per_row`` divides by.
    """

    make: Make
    ours: Ours
    plain: Plain
    error: Error = wrong
    bound: float = 0.0
    spu: str = "the same operator of jax.numpy"
    most_bits: int = 64
    least_bits: Callable[[Size], int] = lambda size: 1
    items: Callable[[Size], int] = lambda size: size.rows

    def secrets(self, size: Size) -> list[Array]:
        """Return the secrets, the same at every call."""
        return self.make(size, np.random.default_rng([SEED, size.rows]))


def shares(values: Array, rank: int) -> Pairs:
    """Return the pairs of one party; every party draws the same parts.

    Parameters
    ----------
    values : ndarray of int64 or float64
        Floats become fixed point with FRACTION bits.
    rank : int

    Returns
    -------
    ndarray of uint64, shape [*values.shape, 2]
    """
    rng = np.random.default_rng([SEED, values.size])
    whole = np.round(values * 2.0**FRACTION) if values.dtype.kind == "f" else values
    secret = whole.astype(np.int64).view(np.uint64)
    parts = [rng.integers(0, 2**64, secret.shape, dtype=np.uint64) for _ in range(2)]
    parts.append(secret - parts[0] - parts[1])
    return np.ascontiguousarray(np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1))


def width(values: int) -> int:
    """Return the bits of numbers 0, ..., values - 1.

    Examples
    --------
    >>> width(1000), width(1)
    (10, 1)
    """
    return max(1, (values - 1).bit_length())


def opened(party: Replicated, column: Column) -> NDArray[np.int64]:
    """Open a result to all parties: numbers as int64, bit columns as unsigned numbers of their width."""
    if isinstance(column, Bits):
        return np.ascontiguousarray(open_bits(party, column)[:, 0]).view(np.int64)
    return arithmetic.open_all(party, column).view(np.int64)


# ---- secrets


def _uniform(rng: np.random.Generator, shape: int | tuple[int, ...], bits: int = 64) -> Array:
    """Numbers of `bits` bits; those of 64 bits as two's complement."""
    numbers = rng.integers(0, 2**64 - 1, shape, dtype=np.uint64, endpoint=True)
    return (numbers >> np.uint64(64 - bits)).view(np.int64)


def _key_and_payload(size: Size, rng: np.random.Generator) -> list[Array]:
    return [_uniform(rng, size.rows, size.bits), _uniform(rng, size.rows)]


def _numbered(size: Size, rng: np.random.Generator) -> list[Array]:
    """Row numbers, then random columns, then random keys, which are for SPU only."""
    keys = _uniform(rng, size.rows, 62)
    return [np.arange(size.rows), *(_uniform(rng, size.rows) for _ in range(size.columns - 1)), keys]


def _flagged(size: Size, rng: np.random.Generator) -> list[Array]:
    return [rng.integers(0, 2, size.rows), *(_uniform(rng, size.rows) for _ in range(size.columns))]


def _two(size: Size, rng: np.random.Generator) -> list[Array]:
    return [_uniform(rng, size.rows, size.bits) for _ in range(2)]


def _half_equal(size: Size, rng: np.random.Generator) -> list[Array]:
    a, b = _two(size, rng)
    return [a, np.where(rng.integers(0, 2, size.rows) == 1, a, b)]


def _matrices(size: Size, rng: np.random.Generator) -> list[Array]:
    return [
        rng.integers(-1000, 1000, (size.groups, size.rows)),
        rng.integers(-1000, 1000, (size.rows, size.columns)),
    ]


def _distinct(count: int, bits: int, rng: np.random.Generator) -> Array:
    """Different numbers of `bits` bits, in random order."""
    numbers = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # odd: distinct mod 2^bits
    return rng.permutation((numbers & np.uint64(2**bits - 1)).view(np.int64))


def _grouped(size: Size, rng: np.random.Generator) -> list[Array]:
    keys = _distinct(size.groups, size.bits, rng)
    return [rng.choice(keys, size.rows), _uniform(rng, size.rows, VALUE_BITS)]


def _foreign(size: Size, rng: np.random.Generator) -> list[Array]:
    """Unique keys, foreign keys, of which 80 % are among them, and the payload of the unique keys."""
    known, unknown = np.split(_distinct(2 * size.groups, size.bits, rng), 2)
    foreign = np.where(rng.random(size.rows) < 0.8, rng.choice(known, size.rows), rng.choice(unknown, size.rows))
    return [known, foreign, *(_uniform(rng, size.groups) for _ in range(size.columns))]


def _fixed(values: Array) -> Array:
    rounded: Array = np.round(values * 2.0**FRACTION) / 2.0**FRACTION
    return rounded


def _logits(size: Size, rng: np.random.Generator) -> list[Array]:
    return [_fixed(rng.normal(0, 4, size.rows))]


# ---- the native protocol


def _sort(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    done = sort_rows(party, convert.a2b(party, x[0], size.bits), [x[1]])
    return [done.key, *done.payload]


def _shuffle(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    return Shuffle.draw(party, size.rows).apply(party, x[:-1])


def _compact(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    return compact(party, convert.a2b(party, x[0], 1), x[1:])[0]


def _less(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    return [convert.negative(party, x[0] - x[1], size.bits + 1)]


def _equal(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    return [convert.is_zero(party, x[0] - x[1], size.bits)]


def _group_by(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    key, value = convert.a2b(party, x[0], size.bits), convert.a2b(party, x[1], VALUE_BITS)
    found = group_by(party, key, [x[1]], [Extreme(value)], groups=size.groups)
    return [found.valid, found.key, found.count, *found.sums, *found.extremes[0]]


def _join(party: Replicated, x: list[Pairs], size: Size) -> Sequence[Column]:
    known, foreign = (convert.a2b(party, key, size.bits) for key in x[:2])
    found = lookup(party, known, foreign, x[2:])
    return [arithmetic.from_public(party, np.arange(size.rows)), found.match, *found.columns]


# ---- in the clear


def _sort_plain(x: list[Array], size: Size) -> list[Array]:
    order = np.argsort(x[0].view(np.uint64), kind="stable")
    return [column[order] for column in x]


def _shuffle_plain(x: list[Array], size: Size) -> list[Array]:
    order = np.random.default_rng().permutation(size.rows)
    return [column[order] for column in x[:-1]]


def _not_shuffled(found: list[Array], clear: list[Array], truth: list[Array]) -> float:
    """Count what is wrong: row numbers that are missing, and entries that are not of their row."""
    number, *columns = found
    if not np.array_equal(np.sort(number), clear[0]):
        return float(len(number))
    return wrong(columns, clear, [column[number] for column in clear[1:-1]])


def _compact_plain(x: list[Array], size: Size) -> list[Array]:
    order = np.argsort(x[0] == 0, kind="stable")
    return [column[order] for column in x[1:]]


def _group_by_plain(x: list[Array], size: Size) -> list[Array]:
    """Keys that occur, ascending; their count, sum, minimum and maximum."""
    order = np.argsort(x[0], kind="stable")
    value = x[1][order]
    key, start, count = np.unique(x[0][order], return_index=True, return_counts=True)
    return [key, count, *(step.reduceat(value, start) for step in (np.add, np.minimum, np.maximum))]


def _groups_wrong(found: list[Array], clear: list[Array], truth: list[Array]) -> float:
    """Compare the rows that are flagged as groups."""
    flag, *columns = found
    rows = flag == 1
    if rows.sum() != len(truth[0]):
        return float(len(flag))
    return wrong([column[rows] for column in columns], clear, truth)


def _join_plain(x: list[Array], size: Size) -> list[Array]:
    """Row numbers, matches and payloads of the foreign keys, 0 where there is none."""
    known, foreign, *payload = x
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, foreign, sorter=order), size.groups - 1)]
    match = known[at] == foreign
    return [np.arange(size.rows), match, *(np.where(match, column[at], 0) for column in payload)]


def _join_wrong(found: list[Array], clear: list[Array], truth: list[Array]) -> float:
    """Compare by row number, as the order of rows is open, and payloads where there is a match."""
    order, match = np.argsort(found[0]), truth[1]
    number, flag, *payload = (column[order] for column in found)
    return wrong(
        [number, flag, *(column[match] for column in payload)], clear, [*truth[:2], *(c[match] for c in truth[2:])]
    )


def _largest_error(found: list[Array], clear: list[Array], truth: list[Array]) -> float:
    return float(np.abs(found[0] / 2.0**FRACTION - truth[0]).max())


KERNELS: dict[str, Kernel] = {
    "sort": Kernel(_key_and_payload, _sort, _sort_plain, spu="stable radix sort by the key cut to its bits"),
    "shuffle": Kernel(
        _numbered,
        _shuffle,
        _shuffle_plain,
        error=_not_shuffled,
        spu="quick sort by a secret random key of 62 bits, which is there already",
    ),
    "compaction": Kernel(_flagged, _compact, _compact_plain, spu="stable radix sort by the flag cut to its bit"),
    "groupby": Kernel(
        _grouped,
        _group_by,
        _group_by_plain,
        error=_groups_wrong,
        spu="the engine's program for SPU alone: radix sort, scans and compaction; a one-hot matrix for few keys",
        most_bits=61,
        least_bits=lambda size: width(size.groups),
    ),
    "join": Kernel(
        _foreign,
        _join,
        _join_plain,
        error=_join_wrong,
        spu="radix sort of both sides, scan, compaction",
        most_bits=61,
        least_bits=lambda size: width(2 * size.groups),
    ),
    "compare": Kernel(_two, _less, lambda x, _: [x[0] < x[1]], most_bits=63),
    "equal": Kernel(_half_equal, _equal, lambda x, _: [x[0] == x[1]]),
    "multiply": Kernel(
        lambda size, rng: [_uniform(rng, size.rows), _uniform(rng, size.rows)],
        lambda party, x, _: [arithmetic.multiply(party, *x)],
        lambda x, _: [x[0] * x[1]],
    ),
    "fixed_multiply": Kernel(
        lambda size, rng: [_fixed(rng.normal(0, 100, size.rows)) for _ in range(2)],
        lambda party, x, _: [fixed_multiply(party, *x, bits=FRACTION)],
        lambda x, _: [x[0] * x[1]],
        error=_largest_error,
        bound=2.0**-FRACTION,
    ),
    "a2b": Kernel(
        lambda size, rng: [_uniform(rng, size.rows, size.bits)],
        lambda party, x, size: [convert.a2b(party, x[0], size.bits)],
        lambda x, _: x,
        spu="x & a mask",
        most_bits=62,
    ),
    "matmul": Kernel(
        _matrices,
        lambda party, x, _: [party.matmul(*x)],
        lambda x, _: [x[0] @ x[1]],
        items=lambda size: size.groups * size.columns,
    ),
    "fixed_matmul": Kernel(
        lambda size, rng: [_fixed(factor / 100) for factor in _matrices(size, rng)],
        lambda party, x, _: [fixed_matmul(party, *x, bits=FRACTION)],
        lambda x, _: [x[0] @ x[1]],
        error=_largest_error,
        bound=2.0**-FRACTION,
        items=lambda size: size.groups * size.columns,
    ),
    "sigmoid": Kernel(
        _logits,
        lambda party, x, _: [approx.sigmoid(party, x[0])],
        lambda x, _: [1 / (1 + np.exp(-x[0]))],
        error=_largest_error,
        bound=1e-4,
        spu="the engine's program for SPU alone: a polynomial and comparisons",
    ),
}
"""The operations by name."""
