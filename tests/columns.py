"""Secret columns for tests: values of several kinds, edges of the ring among them, and how they are shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mpc_engine.runtime.replicated.bits import Bits
from mpc_kernels.bits import planes_to_rows, rows_to_planes

Values = np.ndarray[Any, Any]
Shape = Callable[[int], tuple[int, ...]]

KINDS = ("random", "equal", "sorted", "reversed", "extreme")


@dataclass(frozen=True)
class Column:
    """What values a column may have, and how it is shared.

    Attributes
    ----------
    low, high : int
        Ends of the range, both inside.
    bits : int or None
        Shared as so many planes (unsigned), or else as ring elements (signed).
    shape : function of the number of rows
    owner : int or None
        The party that knows the values; then they are not shared.
    """

    low: int
    high: int
    bits: int | None = None
    shape: Shape = lambda rows: (rows,)
    owner: int | None = None


def number(low: int = -(2**63), high: int = 2**63 - 1, **more: Any) -> Column:
    """A column of ring elements."""
    return Column(low, high, **more)


def planes(bits: int, **more: Any) -> Column:
    """A column of unsigned numbers, shared bit by bit."""
    return Column(0, 2**bits - 1, bits, **more)


def edges(column: Column) -> list[int]:
    """Zero, the ends of the range, and every power of two of either sign with its neighbours, inside the range."""
    powers = [sign * (1 << k) + step for k in range(64) for sign in (1, -1) for step in (-1, 0, 1)]
    ends = [column.low, column.low + 1, column.high - 1, column.high]
    return sorted({value for value in (0, *powers, *ends) if column.low <= value <= column.high})


def draw(columns: Sequence[Column], kind: str, rows: int, rng: np.random.Generator) -> list[Values]:
    """Values of all columns.

    Random ones are a quarter uniform over the range, a quarter of random size (as many small as large ones), half
    edges; and later columns of the first one's range have its values in every fifth row, those plus one in the next.
    """
    drawn = [_values(column, kind, rows, rng) for column in columns]
    if kind == "random":
        for column, values in zip(columns[1:], drawn[1:], strict=True):
            if replace(column, shape=columns[0].shape) == columns[0]:
                _imitate(values.reshape(-1), drawn[0].reshape(-1), column)
    return drawn


def _imitate(values: Values, first: Values, column: Column) -> None:
    if first.size:
        same, above = values[::5], values[1::5]
        same[...] = np.resize(first[::5], same.shape)
        near = np.resize(first[1::5], above.shape)
        above[...] = np.where(near < column.high, near + near.dtype.type(1), near)


def _values(column: Column, kind: str, rows: int, rng: np.random.Generator) -> Values:
    shape = column.shape(rows)
    size = int(np.prod(shape, dtype=np.int64))
    offset = _any(column, kind, size, rng)
    ring = offset + np.uint64(column.low % 2**64)
    return (ring if column.bits is not None else ring.view(np.int64)).reshape(shape)


def _any(column: Column, kind: str, size: int, rng: np.random.Generator) -> Values:
    """Offsets from the lower end."""
    span = column.high - column.low
    if kind == "random":
        uniform = rng.integers(0, span, size, dtype=np.uint64, endpoint=True)
        some = np.array([edge - column.low for edge in edges(column)], np.uint64)
        return np.choose(
            rng.integers(0, 4, size), [uniform, _any_size(column, uniform, rng), *[rng.choice(some, size)] * 2]
        )
    if kind == "equal":
        return np.full(size, span // 3, np.uint64)
    if kind == "extreme":
        return np.where(rng.random(size) < 0.5, np.uint64(0), np.uint64(span))
    last = max(size - 1, 1)
    number = np.arange(size, dtype=np.uint64)
    ascending = number * np.uint64(span) // np.uint64(last) if span < 2**32 else number * np.uint64(span // last)
    return ascending if kind == "sorted" else ascending[::-1].copy()


def _any_size(column: Column, uniform: Values, rng: np.random.Generator) -> Values:
    """Distances from zero, or from the lower end if that is above, of random lengths in bits."""
    shift = rng.integers(0, 64, uniform.shape)
    if column.low >= 0:
        return uniform >> shift.astype(np.uint64)
    near = (uniform + np.uint64(column.low % 2**64)).view(np.int64) >> shift
    return near.view(np.uint64) - np.uint64(column.low % 2**64)


def share(column: Column, values: Values, rng: np.random.Generator | None) -> list[Any]:
    """What each party holds of a column; without a generator all of it is in component 0 and zeros in the others."""
    if column.owner is not None:
        return [values if rank == column.owner else None for rank in range(3)]
    if column.bits is not None:
        whole = rows_to_planes(values.reshape(-1, 1), column.bits)
        masks = _masks(whole.shape, rng)
        return replicated_bits([whole ^ masks[0] ^ masks[1], *masks], len(values))
    ring = values.view(np.uint64)
    masks = _masks(ring.shape, rng)
    return replicated([ring - masks[0] - masks[1], *masks])


def _masks(shape: tuple[int, ...], rng: np.random.Generator | None) -> list[Values]:
    if rng is None:
        return [np.zeros(shape, np.uint64)] * 2
    return [rng.integers(0, 2**64, shape, dtype=np.uint64) for _ in range(2)]


def replicated(parts: Sequence[Values]) -> list[Values]:
    """Pairs of each party from the three components."""
    return [np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1) for rank in range(3)]


def replicated_bits(parts: Sequence[Values], rows: int) -> list[Bits]:
    """Planes of each party from the three components, planes too."""
    return [Bits(parts[rank], parts[(rank + 1) % 3], rows) for rank in range(3)]


@dataclass(frozen=True)
class Opened:
    """A result that is in the clear, at one party or all."""

    values: Values | None


def reveal(held: Sequence[Any]) -> Values:
    """A result from what the three parties hold: int64 of pairs and opened numbers, uint64 of planes."""
    if isinstance(held[0], Opened):
        known = [part.values for part in held if part.values is not None]
        for values in known:
            np.testing.assert_array_equal(values, known[0])
        opened: Values = known[0].view(np.int64)
        return opened
    if isinstance(held[0], Bits):
        parts = [(part.own, part.next) for part in held]
    else:
        parts = [(part[..., 0], part[..., 1]) for part in held]
    for rank in range(3):
        np.testing.assert_array_equal(parts[rank][1], parts[(rank + 1) % 3][0], err_msg="shares are not replicated")
    first, second, third = (own for own, _ in parts)
    if isinstance(held[0], Bits):
        packed: Values = planes_to_rows(first ^ second ^ third, held[0].rows)
        return packed[:, 0]
    total: Values = first + second + third
    return total.view(np.int64)
