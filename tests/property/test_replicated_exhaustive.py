"""The replicated protocol on a tiny ring, all cases: every operand, every way to share it, every table of few rows.

Results must not depend on how a secret is shared, nor on the randomness: here shares take all values of a small ring,
or all combinations of the edges of the large one, and pseudo-random numbers are zeros, ones and other edges.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated import arithmetic, bits, compare, convert, core, recompose, truncate
from mpc_kernels.bits import rows_to_planes
from tests.columns import Values, draw, replicated, replicated_bits, reveal, share
from tests.operations import OPERATIONS, signed
from tests.parties import run

FEW_ROUNDS, FEW_BYTES = Link(1.0, 0.0), Link(0.0, 1.0)
LINKS = {"few rounds": FEW_ROUNDS, "few bytes": FEW_BYTES}
EDGES = np.array([0, 1, 2**64 - 1, 2**63, 2**63 - 1, 2**31], np.uint64)


def every(*choices: Sequence[Any] | Values) -> list[Values]:
    """All combinations, one a row."""
    return [each.reshape(-1).astype(np.uint64) for each in np.meshgrid(*choices, indexing="ij")]


def shared_bits(parts: Sequence[Values], width: int) -> tuple[Values, list[bits.Bits]]:
    """Numbers and their shares, from three components."""
    cut = [rows_to_planes(np.ascontiguousarray(part).reshape(-1, 1), width) for part in parts]
    return parts[0] ^ parts[1] ^ parts[2], replicated_bits(cut, len(parts[0]))


def shared_low(parts: Sequence[Values], width: int) -> tuple[Values, list[Values]]:
    """Signed numbers of so many bits, and shares whose low bits are the components, the others being random."""
    rng = np.random.default_rng(width)
    high = [rng.integers(0, 2**64, len(parts[0]), dtype=np.uint64) << np.uint64(width) for _ in range(2)]
    first, second = (part | more for part, more in zip(parts[:2], high, strict=True))
    value = signed(parts[0] + parts[1] + parts[2], width)
    third = value.view(np.uint64) - first - second
    np.testing.assert_array_equal(third & np.uint64(2**width - 1), parts[2])
    return value, replicated([first, second, third])


def result(call: Callable[..., Any], *columns: Sequence[Any], link: Link = NEAR) -> Values:
    """Run an operation on what the parties hold of each column."""
    return reveal(run(lambda p: call(p, *(column[p.rank] for column in columns)), link=link).results)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_numbers_become_bits_however_they_are_shared(width: int) -> None:
    ring = np.arange(1 << width)
    value, x = shared_low(every(ring, ring, ring), width)
    low = value.view(np.uint64) & np.uint64(2**width - 1)
    for link in LINKS.values():
        np.testing.assert_array_equal(result(lambda p, x: convert.a2b(p, x, width), x, link=link), low)
    np.testing.assert_array_equal(result(lambda p, x: convert.is_zero(p, x, width), x), value == 0)
    for how in compare_plans(width - 1):
        np.testing.assert_array_equal(
            result(lambda p, x, how=how: convert.negative(p, x, width, how=how), x), value < 0
        )


def compare_plans(width: int) -> list[compare.Plan | None]:
    """A comparison in every number of rounds."""
    ways = compare.rounds_and_ands(width, True) if width else ()
    return [compare._built(width, rounds, True) for rounds, _ in ways] or [None]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_bits_become_numbers_however_they_are_shared(width: int) -> None:
    ring = np.arange(1 << width)
    value, x = shared_bits(every(ring, ring, ring), width)
    np.testing.assert_array_equal(result(lambda p, x: convert.b2a(p, x), x), value)
    np.testing.assert_array_equal(result(lambda p, x: convert.b2a(p, x, signed=True), x), signed(value, width))
    np.testing.assert_array_equal(result(lambda p, x: bits.not_(p, x), x), value ^ np.uint64(2**width - 1))
    for link in LINKS.values():
        np.testing.assert_array_equal(result(lambda p, x: recompose.recompose(p, x), x, link=link), value)
    planes = (value >> np.arange(width, dtype=np.uint64)[:, None]) & np.uint64(1)
    np.testing.assert_array_equal(result(convert.inject, x), planes)


def check_pairs(x: Values, y: Values, width: int, xs: list[bits.Bits], ys: list[bits.Bits]) -> None:
    np.testing.assert_array_equal(result(lambda p, x, y: bits.xor(x, y), xs, ys), x ^ y)
    np.testing.assert_array_equal(result(bits.and_, xs, ys), x & y)
    np.testing.assert_array_equal(result(compare.equal, xs, ys), x == y)
    for how in compare_plans(width):
        np.testing.assert_array_equal(
            result(lambda p, x, y, how=how: compare.less_than(p, x, y, how=how), xs, ys), x < y
        )
        np.testing.assert_array_equal(
            result(lambda p, x, y, how=how: compare.less_than(p, x, y, how=how, signed=True), xs, ys),
            signed(x, width) < signed(y, width),
        )


@pytest.mark.parametrize("width", [1, 2, 3])
def test_pairs_of_numbers_however_they_are_shared(width: int) -> None:
    parts = every(*[np.arange(1 << width)] * 6)
    (x, xs), (y, ys) = shared_bits(parts[:3], width), shared_bits(parts[3:], width)
    check_pairs(x, y, width, xs, ys)


@pytest.mark.parametrize("width", [4, 5, 6, 7])
def test_all_pairs_of_numbers(width: int) -> None:
    x, y = every(np.arange(1 << width), np.arange(1 << width))
    rng = np.random.default_rng(width)
    masks = [rng.integers(0, 2**width, x.shape, dtype=np.uint64) for _ in range(4)]
    xs, ys = (
        shared_bits([value ^ one ^ other, one, other], width)[1]
        for value, one, other in ((x, *masks[:2]), (y, *masks[2:]))
    )
    check_pairs(x, y, width, xs, ys)


def test_choices_however_they_are_shared() -> None:
    parts = every(*[np.arange(2)] * 3, *[np.arange(4)] * 6)
    (c, cs), (x, xs), (y, ys) = (
        shared_bits(three, width) for three, width in ((parts[:3], 1), (parts[3:6], 2), (parts[6:], 2))
    )
    np.testing.assert_array_equal(result(compare.mux, cs, xs, ys), np.where(c == 1, x, y))
    parts = every(*[np.arange(2)] * 3, *[EDGES[:4]] * 6)
    c, cs = shared_bits(parts[:3], 1)
    x, y = (first + second + third for first, second, third in (parts[3:6], parts[6:]))
    found = result(convert.select, cs, replicated(parts[3:6]), replicated(parts[6:]))
    np.testing.assert_array_equal(found, np.where(c == 1, x, y).view(np.int64))


def test_arithmetic_however_it_is_shared() -> None:
    """Components of both factors are all combinations of six edges of the ring."""
    parts = every(*[EDGES] * 6)
    x, y = ((first + second + third).view(np.int64) for first, second, third in (parts[:3], parts[3:]))
    xs, ys = replicated(parts[:3]), replicated(parts[3:])
    np.testing.assert_array_equal(result(lambda p, x, y: arithmetic.add(x, y), xs, ys), x + y)
    np.testing.assert_array_equal(result(arithmetic.multiply, xs, ys), x * y)
    matrices = [[held[:4096].reshape(64, 64, 2) for held in each] for each in (xs, ys)]
    found = result(lambda p, a, b: p.matmul(a, b), *matrices)
    np.testing.assert_array_equal(found, x[:4096].reshape(64, 64) @ y[:4096].reshape(64, 64))


@pytest.mark.parametrize("cut", [1, 2, 3, 18, 32])
def test_truncation_however_it_is_shared(cut: int) -> None:
    """Small numbers and the ends of the range, two components being all combinations of edges."""
    ends = [-(2**62), -(2**62) + 1, 2**62 - 2**cut - 1, 2**62 - 2**cut, -(2**61), 2**61]
    values = np.array([*range(-20, 21), *(sign << cut for sign in (-1, 1)), *ends], np.int64).view(np.uint64)
    more = np.concatenate([EDGES, np.array([2**cut, 2**cut - 1, 2**62, 2**64 - 2**cut], np.uint64)])
    ring, first, second = every(values, more, more)
    x, pairs = ring.view(np.int64), replicated([first, second, ring - first - second])
    floor, ceiling = x >> cut, -(-x >> cut)
    found = result(lambda p, x: truncate.truncate(p, x, bits=cut), pairs)
    assert ((found == floor) | (found == ceiling)).all()
    one = replicated(list(np.broadcast_to(np.array([[3], [2**63], [2**63 - 2]], np.uint64), (3, len(x)))))  # 1
    found = result(lambda p, x, y: truncate.fixed_multiply(p, x, y, bits=cut), pairs, one)
    assert ((found == floor) | (found == ceiling)).all()


def tables(name: str, instances: Sequence[Sequence[Values]]) -> None:
    """Run an operation on many small tables, one after another."""
    operation, rng = OPERATIONS[name], np.random.default_rng(5)
    shares = [
        [share(column, each, rng) for column, each in zip(operation.columns, values, strict=True)]
        for values in instances
    ]
    done = run(
        lambda p: [operation.call(p, *(column[p.rank] for column in columns)) for columns in shares], timeout=300
    )
    for values, *held in zip(instances, *done.results, strict=True):
        operation.accept([reveal(parts) for parts in zip(*held, strict=True)], operation.truth(*values))


def rows_of(width: int, rows: int) -> list[Values]:
    """Every column of so many rows."""
    return [np.array(each, np.uint64) for each in itertools.product(range(1 << width), repeat=rows)]


SERIAL = np.array([5, -7, 2**63 - 1, 11, -(2**63)])


@pytest.mark.parametrize("width", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["sort", "order there and back", "radix", "top_k largest"])
def test_every_key_of_three_rows(name: str, width: int) -> None:
    """512 tables for three bits."""
    tables(name, [[key, SERIAL[:3]] for key in rows_of(width, 3)])


@pytest.mark.parametrize("name", ["sort", "radix"])
def test_every_order_of_five_rows(name: str) -> None:
    tables(name, [[np.array(key, np.uint64), SERIAL] for key in itertools.permutations(range(5))])


def test_every_pair_of_keys_of_two_rows() -> None:
    keys = itertools.product(rows_of(2, 2), rows_of(2, 2))
    tables("sort by two keys, one descending", [[first, second, SERIAL[:2]] for first, second in keys])


def test_every_flag_of_six_rows() -> None:
    rows = np.arange(6, dtype=np.uint64)
    tables("compact", [[flag, rows.view(np.int64) - 3, rows] for flag in rows_of(1, 6)])


@pytest.mark.parametrize("width", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["segment minimum", "segment maximum"])
def test_every_segment_of_three_rows(name: str, width: int) -> None:
    """Numbers from the lower end of the range and around zero; 1,024 tables for two bits, or 512."""
    low = OPERATIONS[name].columns[1].low
    numbers = [value.view(np.int64) + start for value in rows_of(width, 3) for start in {low, -1 if low else 0}]
    tables(name, [[start, value] for start in rows_of(1, 3) for value in numbers])


@pytest.mark.parametrize("name", ["segment sum", "segment copy"])
def test_every_start_of_six_rows(name: str) -> None:
    wide = np.resize(SERIAL, 12).reshape(6, 2)
    value = wide if name == "segment sum" else wide[:, 0]
    tables(name, [[start.view(np.int64), value] for start in rows_of(1, 6)])


@pytest.mark.parametrize("rows", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["group_by by scan", "group_by by sort"])
def test_every_group_of_few_rows(name: str, rows: int) -> None:
    """Keys of two bits, and every set of valid rows: 64 tables of two rows, 512 of three."""
    value = np.array([9, 2, 2**16 - 1], np.uint64)[:rows]
    tables(name, [[key, SERIAL[:rows], value, valid] for key in rows_of(2, rows) for valid in rows_of(1, rows)])


@pytest.mark.parametrize("width", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["lookup by sorting", "lookup by comparing"])
def test_every_lookup_of_two_rows_among_two(name: str, width: int) -> None:
    """All keys, equal ones on the left too: 256 tables for two bits, 16 for one."""
    keys, flags = rows_of(width, 2), np.array([5, 2], np.uint64)
    tables(name, [[left, SERIAL[:2], flags, right] for left, right in itertools.product(keys, keys)])


class Edges:
    """A generator of edges. Zero and 2^63 are rare, since a permutation draws again for them."""

    words = np.array([0, 2**63, 1, 2**64 - 1, 2**63 - 1, 2**63 + 1, 2**31, 2**32 - 1], np.uint64)
    chance = np.array([0.025, 0.025, *[0.95 / 6] * 6])

    def __init__(self, seed: bytes) -> None:
        self._rng = np.random.default_rng(list(seed))

    def take(self, size: int) -> Values:
        return self._rng.choice(self.words, -(-size // 8), p=self.chance).view(np.uint8)[:size]

    def place(self, size: int) -> None:
        """Not a stream that kernels know."""


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_results_do_not_depend_on_the_randomness(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_Stream", Edges)
    operation, rng = OPERATIONS[name], np.random.default_rng(6)
    values = draw(operation.columns, "random", 400, rng)
    operation.check(operation.run(values, rng), values)
