"""Every operation of the replicated protocol: its inputs, how it is called, what numpy gives, what it shall cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated import (
    approx,
    arithmetic,
    bit_cost,
    bits,
    compare,
    convert,
    cost,
    elementary,
    exponential,
    histogram,
    minmax_scan,
    recompose,
    scan,
    shuffle,
    truncate,
)
from mpc_engine.runtime.replicated.core import Replicated
from tests.columns import Column, Opened, Values, number, planes
from tests.operation import ANY, FLAG, ONE, Operation, near, rounded, total
from tests.relational import MOVES, OPENING

FEW_BYTES = Link(0.0, 1e-9)


def signed(values: Values, width: int) -> Values:
    """Numbers of so many bits in two's complement."""
    shift = 64 - width
    return (values.astype(np.uint64) << np.uint64(shift)).view(np.int64) >> np.int64(shift)


def first_of_segment(start: Values) -> Values:
    first: Values = np.maximum.accumulate(np.where(start != 0, np.arange(len(start)), 0))
    return first


def sums_of_segments(start: Values, value: Values) -> Values:
    first, running = first_of_segment(start), np.cumsum(value, axis=0)
    sums: Values = running - running[first] + value[first]
    return sums


def extremes_of_segments(start: Values, value: Values, op: str) -> Values:
    segment = pd.Series(value).groupby(np.cumsum(np.r_[[1], start[1:]]) if len(start) else start)
    return (segment.cummin() if op == "min" else segment.cummax()).to_numpy()


def opened_to_each(p: Replicated, x: Any) -> tuple[Any, ...]:
    return tuple(Opened(arithmetic.open_to(p, rank, x)) for rank in range(3))


def shared_by_all(p: Replicated, *columns: Any) -> tuple[Any, ...]:
    return tuple(arithmetic.share(p, owner, x, columns[3].shape[:-1]) for owner, x in enumerate(columns[:3]))


def floor_and_ceiling(value: Values, cut: int) -> tuple[Values, Values]:
    return value >> cut, -(-value >> cut)


def positive(low: int, high: int) -> Column:
    """Fixed point in ``[2**low, 2**high)``."""
    return number(1 << (low + approx.FRACTION), (1 << (high + approx.FRACTION)) - 1)


def logistic(x: Values) -> Values:
    small = np.exp(-np.abs(x / ONE))
    value: Values = np.where(x < 0, small, 1) / (1 + small)
    return value


HALF, FLAG_NUMBER = number(-(2**31) + 1, 2**31 - 1), number(0, 1)
PRECISE = near(2.0**-approx.FRACTION, 2.0**-20)


def _long(terms: int) -> Column:
    return number(shape=lambda n: (terms, n))


def _matrices(side: Column) -> tuple[Column, Column]:
    """Of ``[n, 6]`` and ``[6, 10]``."""
    ends = side.low, side.high
    return number(*ends, shape=lambda n: (n // 10, 6)), number(*ends, shape=lambda n: (6, 10))


def _a2b(width: int, link: Link = NEAR) -> Operation:
    return Operation(
        (ANY,),
        lambda p, x: (convert.a2b(p, x, width),),
        lambda x: (x.view(np.uint64) & np.uint64(2**width - 1),),
        lambda n: bit_cost.a2b_cost(n, width, link),
        link=link,
    )


def _negative(width: int) -> Operation:
    return Operation(
        (number(-(2 ** (width - 1)), 2 ** (width - 1) - 1),),
        lambda p, x: (convert.negative(p, x, width),),
        lambda x: (x < 0,),
        lambda n: bit_cost.negative_cost(n, width),
    )


def _is_zero(width: int) -> Operation:
    return Operation(
        (ANY,),
        lambda p, x: (convert.is_zero(p, x, width),),
        lambda x: (x.view(np.uint64) << np.uint64(64 - width) == 0,),
        lambda n: bit_cost.is_zero_cost(n, width),
    )


def _less_than(width: int, *, negative: bool) -> Operation:
    return Operation(
        (planes(width), planes(width)),
        lambda p, x, y: (compare.less_than(p, x, y, signed=negative),),
        (lambda x, y: (signed(x, width) < signed(y, width),)) if negative else lambda x, y: (x < y,),
        lambda n: bit_cost.less_than_cost(n, width),
    )


def _equal(width: int) -> Operation:
    return Operation(
        (planes(width), planes(width)),
        lambda p, x, y: (compare.equal(p, x, y),),
        lambda x, y: (x == y,),
        lambda n: bit_cost.equal_cost(n, width),
    )


def _recompose(width: int, link: Link = NEAR) -> Operation:
    return Operation(
        (planes(width),),
        lambda p, x: (recompose.recompose(p, x),),
        lambda x: (x.view(np.int64),),
        lambda n: recompose.recompose_cost(n, width, link),
        link=link,
    )


def _extreme(op: Any, width: int, low: int) -> Operation:
    return Operation(
        (FLAG, number(low, low + 2**width - 1)),
        lambda p, start, x: (minmax_scan.segment_extreme(p, start, x, op=op, bits=width, low=low),),
        lambda start, x: (extremes_of_segments(start, x, op),),
        lambda n: minmax_scan.segment_extreme_cost(n, 1, bits=width),
        early=1,
    )


LOCAL = {
    "add": Operation((ANY, ANY), lambda p, x, y: (arithmetic.add(x, y),), lambda x, y: (x + y,)),
    "subtract": Operation((ANY, ANY), lambda p, x, y: (arithmetic.sub(x, y),), lambda x, y: (x - y,)),
    "scale": Operation((ANY,), lambda p, x: (arithmetic.scale(x, -3),), lambda x: (-3 * x,)),
    "add_public": Operation(
        (ANY,), lambda p, x: (arithmetic.add_public(p, x, 2**63 - 1),), lambda x: (x + (2**63 - 1),)
    ),
    "xor": Operation((planes(40), planes(40)), lambda p, x, y: (bits.xor(x, y),), lambda x, y: (x ^ y,)),
    "not": Operation((planes(64),), lambda p, x: (bits.not_(p, x),), lambda x: (~x,)),
    "prefix_sum": Operation((ANY,), lambda p, x: (scan.prefix_sum(x),), lambda x: (np.cumsum(x),)),
    "bincount": Operation(
        (number(shape=lambda n: (n, 2)),),
        lambda p, x: (histogram.bincount_shares(x, np.arange(len(x)) % 7 - 1, size=5),),
        lambda x: (np.array([x[np.arange(len(x)) % 7 == bin + 1].sum(axis=0) for bin in range(5)]),),
    ),
    "permute public": Operation(
        (ANY, planes(9)),
        lambda p, x, y: tuple(shuffle.permute_public([x, y], np.arange(len(x), dtype=np.uint32)[::-1].copy())),
        lambda x, y: (x[::-1], y[::-1]),
    ),
}

ARITHMETIC = {
    "share": Operation(
        (*(number(owner=owner) for owner in range(3)), ANY),
        shared_by_all,
        lambda x, y, z, w: (x, y, z),
        lambda n: total(*(cost.share_cost(owner, n) for owner in range(3))),
    ),
    "open": Operation((ANY,), lambda p, x: (Opened(arithmetic.open_all(p, x)),), lambda x: (x,), cost.open_cost),
    "open to each": Operation(
        (ANY,), opened_to_each, lambda x: (x,) * 3, lambda n: total(*(cost.open_to_cost(rank, n) for rank in range(3)))
    ),
    "multiply": Operation(
        (ANY, ANY), lambda p, x, y: (arithmetic.multiply(p, x, y),), lambda x, y: (x * y,), cost.multiply_cost
    ),
    "square": Operation((ANY,), lambda p, x: (arithmetic.square(p, x),), lambda x: (x * x,), cost.multiply_cost),
    "dot": Operation(
        (_long(3), _long(3)),
        lambda p, x, y: (arithmetic.dot(p, x, y),),
        lambda x, y: ((x * y).sum(axis=0),),
        cost.multiply_cost,
    ),
    "matmul": Operation(
        _matrices(ANY),
        lambda p, x, y: (p.matmul(x, y),),
        lambda x, y: (x @ y,),
        lambda n: cost.multiply_cost(n // 10 * 10),
    ),
    "truncate": Operation(
        (number(-(2**62), 2**62 - 2**18),),
        lambda p, x: (truncate.truncate(p, x, bits=18),),
        lambda x: floor_and_ceiling(x, 18),
        cost.truncate_cost,
        rounded,
    ),
    "fixed_multiply": Operation(
        (HALF, HALF),
        lambda p, x, y: (truncate.fixed_multiply(p, x, y, bits=18),),
        lambda x, y: floor_and_ceiling(x * y, 18),
        cost.fixed_multiply_cost,
        rounded,
    ),
    "fixed_multiply, one factor short": Operation(
        (number(-(2**46), 2**46), number(-(2**15), 2**15)),
        lambda p, x, y: (truncate.fixed_multiply(p, x, y, bits=32),),
        lambda x, y: floor_and_ceiling(x * y, 32),
        cost.fixed_multiply_cost,
        rounded,
    ),
    "fixed_matmul": Operation(
        _matrices(number(-(2**29), 2**29)),
        lambda p, x, y: (truncate.fixed_matmul(p, x, y, bits=18),),
        lambda x, y: floor_and_ceiling(x @ y, 18),
        lambda n: cost.fixed_multiply_cost(n // 10 * 10),
        rounded,
    ),
    "segment sum": Operation(
        (FLAG_NUMBER, number(shape=lambda n: (n, 2))),
        lambda p, start, x: (scan.segment_scan(p, start, x, op="sum"),),
        lambda start, x: (sums_of_segments(start, x),),
        lambda n: cost.segment_scan_cost(n, 2),
    ),
    "segment copy": Operation(
        (FLAG_NUMBER, ANY),
        lambda p, start, x: (scan.segment_scan(p, start, x, op="copy"),),
        lambda start, x: (x[first_of_segment(start)],),
        lambda n: cost.segment_scan_cost(n, 1, copy=True),
    ),
    "bincount by an owner": Operation(
        (number(-2, 12, owner=2), ANY),
        lambda p, bins, x: (histogram.bincount_known(p, 2, bins, x, size=10),),
        lambda bins, x: (np.array([x[bins == bin].sum() for bin in range(10)]),),
        lambda n: histogram.bincount_known_cost(2, n, size=10),
    ),
}

BITS = {
    "and": Operation(
        (planes(40), planes(40)),
        lambda p, x, y: (bits.and_(p, x, y),),
        lambda x, y: (x & y,),
        lambda n: bit_cost.and_cost(n, 40),
    ),
    "open bits": Operation(
        (planes(40),),
        lambda p, x: (Opened(bits.open_bits(p, x)[:, 0]),),
        lambda x: (x,),
        lambda n: bit_cost.open_bits_cost(n, 40),
    ),
    "mux": Operation(
        (FLAG, planes(40), planes(40)),
        lambda p, c, x, y: (compare.mux(p, c, x, y),),
        lambda c, x, y: (np.where(c == 1, x, y),),
        lambda n: bit_cost.and_cost(n, 40),
    ),
    "select": Operation(
        (FLAG, ANY, ANY),
        lambda p, c, x, y: (convert.select(p, c, x, y),),
        lambda c, x, y: (np.where(c == 1, x, y),),
        bit_cost.select_cost,
    ),
    "inject": Operation(
        (planes(3),),
        lambda p, x: (convert.inject(p, x),),
        lambda x: ((x >> np.arange(3, dtype=np.uint64)[:, None]) & np.uint64(1),),
        lambda n: bit_cost.inject_cost(n, 3),
    ),
    "b2a": Operation(
        (planes(9),),
        lambda p, x: (convert.b2a(p, x),),
        lambda x: (x,),
        lambda n: bit_cost.inject_cost(n, 9),
    ),
    "b2a signed": Operation(
        (planes(9),),
        lambda p, x: (convert.b2a(p, x, signed=True),),
        lambda x: (signed(x, 9),),
        lambda n: bit_cost.inject_cost(n, 9),
    ),
    **{f"a2b {width}": _a2b(width) for width in (1, 2, 20, 64)},
    "a2b 64 in few bytes": _a2b(64, FEW_BYTES),
    **{f"negative {width}": _negative(width) for width in (1, 2, 33, 64)},
    **{f"is_zero {width}": _is_zero(width) for width in (1, 20, 64)},
    **{f"less_than {width}": _less_than(width, negative=False) for width in (1, 32, 64)},
    **{f"less_than {width} signed": _less_than(width, negative=True) for width in (32, 64)},
    **{f"equal {width}": _equal(width) for width in (1, 33, 64)},
    **{f"recompose {width}": _recompose(width) for width in (1, 32, 64)},
    "recompose 64 in few bytes": _recompose(64, FEW_BYTES),
    "segment minimum": _extreme("min", 20, 0),
    "segment maximum": _extreme("max", 16, -(2**15)),
}

REAL = {
    "sigmoid": Operation(
        (number(-(2**44) + 1, 2**44 - 1),),
        lambda p, x: (approx.sigmoid(p, x),),
        lambda x: (logistic(x),),
        approx.sigmoid_cost,
        near(1e-4),
        early=1,
    ),
    "exp": Operation(
        (number(-(2**44) + 1, exponential.HIGHEST * ONE),),
        lambda p, x: (exponential.exp(p, x),),
        lambda x: (np.exp(x / ONE),),
        exponential.exp_cost,
        PRECISE,
        early=3,
    ),
    "reciprocal": Operation(
        (positive(-8, 18),),
        lambda p, x: (elementary.reciprocal(p, x),),
        lambda x: (ONE / x,),
        elementary.reciprocal_cost,
        PRECISE,
        early=2,
    ),
    "rsqrt": Operation(
        (positive(-8, 18),),
        lambda p, x: (elementary.rsqrt(p, x),),
        lambda x: ((x / ONE) ** -0.5,),
        elementary.rsqrt_cost,
        PRECISE,
        early=2,
    ),
    "log": Operation(
        (positive(-8, 18),),
        lambda p, x: (elementary.log(p, x),),
        lambda x: (np.log(x / ONE),),
        elementary.log_cost,
        near(2e-5),
        early=2,
    ),
}

EXACT = {**LOCAL, **ARITHMETIC, **BITS, **MOVES, **REAL}
"""Operations whose messages are the same whatever the randomness is."""

OPERATIONS = {**EXACT, **OPENING}
