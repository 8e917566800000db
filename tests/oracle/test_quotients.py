"""Quotients and products with public fractions, in the clear and in SPU (aby3), against exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from mpc_compiler.ops import calendar, numeric
from mpc_compiler.ops.primitives import fraction_of, rational_error, times_rational
from mpc_compiler.ops.quotient import ERROR, quotient
from tests.oracle.test_ml_ops import in_clear
from tests.spu_threads import in_spu

Array = np.ndarray[Any, Any]
Execute = Callable[..., Any]


@pytest.fixture(params=[in_clear, in_spu], ids=["clear", "aby3"])
def execute(request: pytest.FixtureRequest) -> Execute:
    chosen: Execute = request.param
    return chosen


def of_any_size(rng: np.random.Generator, bits: int, count: int, *, signed: bool) -> Array:
    """Whole numbers of all lengths up to `bits`, zero and the ends among them."""
    values = rng.integers(0, 2**62, count) >> rng.integers(62 - bits, 62, count)
    values[:3] = 0, 1, 2**bits - 1
    values[3::7] = np.int64(1) << rng.integers(0, bits, len(values[3::7]))
    return values * rng.choice([-1, 1], count) if signed else values


CASES = [(10, 10, 10, False), (40, 20, 24, True), (46, 46, 1, False), (61, 61, 0, False), (61, 61, 18, True),
         (61, 61, 30, True), (50, 3, 34, False), (61, 40, 20, False), (61, 61, 13, False), (61, 20, 34, True),
]  # fmt: skip


@pytest.mark.parametrize(("num_bits", "den_bits", "limit_bits", "signed"), CASES)
def test_quotients_of_any_size(execute: Execute, num_bits: int, den_bits: int, limit_bits: int, signed: bool) -> None:
    rng = np.random.default_rng(num_bits * 64 + den_bits)
    den = of_any_size(rng, den_bits, 800, signed=signed)
    limit, most = 1 << limit_bits, 2**num_bits - 1
    # Half of the quotients are near the limit, the others of any size, or of small numbers.
    near = [int(Fraction(float(q)) * int(d) * limit) for q, d in zip(rng.uniform(-1, 1, 800), den, strict=True)]
    other = of_any_size(rng, num_bits, 800, signed=True)
    num = [a if k % 2 and abs(a) <= most else int(b) for k, (a, b) in enumerate(zip(near, other, strict=True))]
    num = [a if not d or abs(Fraction(a, int(d))) <= limit else 0 for a, d in zip(num, den, strict=True)]
    low = -(2**den_bits - 1) if signed else 0
    (found,) = execute(
        lambda a, b: (quotient(a, b, num_max=most, den_bounds=(low, 2**den_bits - 1), limit=limit),),
        np.array(num, np.int64),
        den,
    )
    for a, d, got in zip(num, den, found, strict=True):
        true = Fraction(a, int(d)) if d else Fraction(0)
        assert abs(Fraction(float(got)) - true) <= ERROR + abs(true) * Fraction(1, 2**53), (a, d, got)


@pytest.mark.parametrize("low", [1, 7, 2**30])
def test_quotients_by_what_is_never_small(execute: Execute, low: int) -> None:
    rng = np.random.default_rng(low)
    den = low + of_any_size(rng, 40, 300, signed=False)
    num = rng.integers(-(2**45), 2**45, 300)
    (found,) = execute(
        lambda a, b: (quotient(a, b, num_max=2**45, den_bounds=(low, low + 2**40), limit=2**45 / low / 8),),
        num // 8,
        den,
    )
    assert (np.abs(found - num // 8 / den) <= ERROR + np.abs(num / den) * 2.0**-52).all()


def test_bounds_that_are_too_large_for_a_quotient() -> None:
    one = jnp.ones(1, jnp.int64)
    for num_max, limit in ((1 << 61, 9), (9, 2.0**43)):
        with pytest.raises(ValueError, match="is too large"):
            quotient(one, one, num_max=num_max, den_bounds=(0, 9), limit=limit)


FRACTIONS = [(1, 10), (1, 100), (1, 10**6), (1, 10**12), (1, 3), (2, 3), (12345, 67891), (10**9 + 7, 998244353), (5, 2)]


@pytest.mark.parametrize("bits", [10, 24, 40, 52, 59, 61])
def test_whole_numbers_times_public_fractions(execute: Execute, bits: int) -> None:
    rng = np.random.default_rng(bits)
    fits = [(n, d) for n, d in FRACTIONS if (n << bits) // d < 2**42]
    values = of_any_size(rng, bits, 400, signed=True)
    found = execute(lambda x: [times_rational(x, n, d, most=2**bits - 1) for n, d in fits], values)
    for (n, d), column in zip(fits, found, strict=True):
        bound = Fraction(rational_error(n, d, most=2**bits - 1, whole=True))
        assert bound <= Fraction(9, 2**21), (n, d)  # a truncation, and an eighth
        for x, got in zip(values, column, strict=True):
            true = Fraction(int(x) * n, d)
            assert abs(Fraction(float(got)) - true) <= bound + abs(true) / 2**51, (x, n, d, got)


@pytest.mark.parametrize("factor", [0.5, 0.1, -0.001, 1 / 3, 2.5, 1e-6, 3.14159265358979])
def test_fixed_point_times_public_constants(execute: Execute, factor: float) -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.uniform(-(2.0**40), 2.0**40, 500) * 2.0 ** -rng.integers(0, 40, 500) * 2**12) / 2**12
    ratio = fraction_of(factor)
    n, d = ratio.numerator, ratio.denominator
    (found,) = execute(lambda x: (times_rational(x, n, d, most=2.0**40),), values)
    bound = rational_error(n, d, most=2.0**40, whole=False) + np.abs(values) * 2.0**-44
    assert (np.abs(found - values * factor) <= bound + np.abs(values * factor) * 2.0**-51).all()


def test_products_with_constants_one_after_the_other(execute: Execute) -> None:
    """SPU's compiler makes one constant of two, and one that is 0 where both are small."""
    values = np.array([2.0**20, -(2.0**30), 3.0])

    def twice(x: Any) -> Any:
        return (times_rational(times_rational(x, 1, 1000, most=2.0**31), 1, 1000, most=2.0**22),)

    (found,) = execute(twice, values)
    assert (np.abs(found - values / 1e6) <= 2.0**-17).all()


@pytest.mark.parametrize("by", [1, 2, 7, 10, 100, 86_400_000_000])
@pytest.mark.parametrize("bounds", [(0, 999), (-(10**6), 10**6), (-(2**61), 2**61), (5 * 10**17, 5 * 10**17 + 10**12)])
def test_whole_division(execute: Execute, by: int, bounds: tuple[int, int]) -> None:
    rng = np.random.default_rng(by)
    values = np.concatenate([rng.integers(*bounds, 200, endpoint=True), bounds])
    near = values // by * by  # multiples, and their neighbours
    values = np.concatenate([values, np.clip(np.concatenate([near - 1, near, near + 1]), *bounds)])
    quotients, rests = execute(lambda x: numeric.whole_divmod(x, by, bounds=bounds), values)
    np.testing.assert_array_equal(quotients, values // by)
    np.testing.assert_array_equal(rests, values % by)


@pytest.mark.parametrize("bounds", [(8000, 11000), (0, 20000), (-25566, -3000), (-719162, 2932896), (19782, 19782)])
def test_parts_of_dates(execute: Execute, bounds: tuple[int, int]) -> None:
    days = np.unique(np.linspace(*bounds, 1500).astype(np.int64))
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year, month = months.astype("datetime64[Y]").astype(np.int64) + 1970, months.astype(np.int64) % 12 + 1
    want = {"year": year, "quarter": (month + 2) // 3, "month": month,
            "day": (dates - months).astype(np.int64) + 1}  # fmt: skip
    found = execute(lambda x: [calendar.part_of_date(x, part, bounds=bounds) for part in calendar.PARTS], days)
    for part, column in zip(calendar.PARTS, found, strict=True):
        np.testing.assert_array_equal(column, want[part], err_msg=part)
