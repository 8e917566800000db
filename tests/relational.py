"""The operations that move rows: shuffles, sorts, compaction, group-by, joins and selection, for the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mpc_engine.runtime.replicated import bit_cost, bits, group, known, lookup, radix, shuffle, sort, topk
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.core import Replicated
from tests.columns import Values, number, planes
from tests.operation import ANY, FLAG, Operation, exact, moved, total


def ordered(key: Values) -> Values:
    return np.argsort(key, kind="stable")


def flagged_first(flag: Values, *columns: Values) -> tuple[Values, ...]:
    order = ordered(1 - flag.astype(np.int64))
    return tuple(column[order] for column in columns)


def there_and_back(p: Replicated, order: Any, columns: Sequence[Any]) -> tuple[Any, ...]:
    there = order.apply(p, columns)
    return *there, *order.undo(p, there)


def by_shuffle(p: Replicated, x: Any, y: Any) -> tuple[Any, ...]:
    return there_and_back(p, shuffle.Shuffle.draw(p, len(x)), [x, y])


def by_order(p: Replicated, key: Any, x: Any) -> tuple[Any, ...]:
    return there_and_back(p, sort.sort_order(p, key), [key, x])


def by_radix(p: Replicated, key: Any, x: Any) -> tuple[Any, ...]:
    return there_and_back(p, radix.radix_order(p, key), [key, x])


def grouped(p: Replicated, key: Any, x: Any, value: Any, valid: Any, **options: Any) -> tuple[Any, ...]:
    found = group.blank_rest(p, group.group_by(p, key, [x], [group.Extreme(value)], valid=valid, **options))
    return found.valid, found.key, found.count, found.sums[0], *found.extremes[0]


def group_truth(key: Values, x: Values, value: Values, valid: Values) -> tuple[Values, ...]:
    frame = pd.DataFrame({"key": key, "x": x, "value": value})[valid == 1].groupby("key")
    least, most = frame["value"].min(), frame["value"].max()
    columns = [np.ones(len(least)), least.index, frame.size(), frame["x"].sum(), least, most]
    return tuple(np.pad(np.asarray(column), (0, len(key) - len(least))) for column in columns)


def looked_up(p: Replicated, left: Any, x: Any, y: Any, right: Any, *, method: Any) -> tuple[Any, ...]:
    found = lookup.lookup(p, left, right, [x, y], method=method)
    return found.match, *found.columns


def lookup_truth(left: Values, x: Values, y: Values, right: Values) -> tuple[Values, ...]:
    """Whether there is a row, and what the last one with the key has."""
    last = pd.DataFrame({"x": x, "y": y}, index=left).groupby(level=0).last()
    found = last.reindex(right, fill_value=0)
    return np.isin(right, left), found["x"].to_numpy(), found["y"].to_numpy()


def where_found(found: Sequence[Values], truth: Sequence[Values]) -> None:
    """The flags, and the columns where they are set."""
    rows = truth[0] == 1
    exact([found[0], *(column[rows] for column in found[1:])], [truth[0], *(column[rows] for column in truth[1:])])


def sorted_(p: Replicated, key: Any, x: Any) -> tuple[Any, ...]:
    done = sort.sort_rows(p, key, [x])
    return done.key, *done.payload


def sorted_by_two(p: Replicated, first: Any, second: Any, x: Any) -> tuple[Any, ...]:
    """By the first key, then by the second descending."""
    done = sort.sort_rows(p, bits.concat([bits.not_(p, second), first]), [x])
    low, high = done.key.planes(slice(0, second.bits)), done.key.planes(slice(second.bits, None))
    return high, bits.not_(p, low), *done.payload


def two_key_truth(first: Values, second: Values, x: Values) -> tuple[Values, ...]:
    order = np.lexsort((~second, first))
    return first[order], second[order], x[order]


def owned_order(p: Replicated, own: Values | None, x: Any, y: Any) -> tuple[Any, ...]:
    index = None if own is None else ordered(own).astype(np.uint32)
    return tuple(known.permute_known(p, 1, index, [x, y], rows=len(x)))


def _top(k: int, *, largest: bool) -> Operation:
    """The declared cost is farther off than it says (tests/property/test_replicated_random.py), hence the spread."""

    def call(p: Replicated, key: Any, x: Any) -> tuple[Any, ...]:
        top = topk.top_k(p, key, [x], k=k, largest=largest)
        return top.key, *top.payload, top.row

    def truth(key: Values, x: Values) -> tuple[Values, ...]:
        first = ordered(~key if largest else key)[:k]
        return key[first], x[first], first

    return Operation((planes(32), ANY), call, truth, lambda n: topk.top_k_cost(n, 32, [None], k=k), spread=(0.5, 0.65))


def _group(by_sort: int) -> Operation:
    return Operation(
        (planes(20), ANY, planes(16), FLAG),
        lambda p, *columns: grouped(p, *columns, by_sort=by_sort),
        group_truth,
        lambda n: total(
            group.group_by_cost(n, 20, sums=1, extremes=[(16, 2)], valid=True, by_sort=by_sort),
            group.blank_rest_cost(n, 20, sums=1, extremes=[(16, 2)]),
        ),
        spread=(0.15, 0.3),
    )


def _lookup(method: Any, left: Any, **spread: Any) -> Operation:
    return Operation(
        (planes(20, shape=left), number(shape=left), planes(9, shape=left), planes(20)),
        lambda p, *columns: looked_up(p, *columns, method=method),
        lookup_truth,
        lambda n: lookup.lookup_cost(left(n)[0], n, 20, [None, 9], method=method),
        where_found,
        **spread,
    )


MOVES = {
    "shuffle": Operation(
        (ANY, planes(9)),
        by_shuffle,
        lambda x, y: (x, y),
        lambda n: total(*[bit_cost.shuffle_cost(n, [None, 9])] * 2),
        moved,
        early=1,
    ),
    "permutation of an owner": Operation(
        (number(owner=1), ANY, planes(9)),
        owned_order,
        lambda own, x, y: (x[ordered(own)], y[ordered(own)]),
        lambda n: known.permute_known_cost(1, n, [None, 9]),
    ),
    "lookup by comparing": _lookup("compare", lambda n: (min(n, 12),)),
    "compact": Operation(
        (FLAG, ANY, planes(9)),
        lambda p, flag, x, y: tuple(compact(p, flag, [x, y])[0]),
        flagged_first,
        lambda n: bit_cost.compact_cost(n, [None, 9]),
    ),
    "radix": Operation(
        (planes(5), ANY),
        by_radix,
        lambda key, x: (key[ordered(key)], x[ordered(key)], key, x),
        lambda n: total(radix.radix_cost(n, 5), *[bit_cost.shuffle_cost(n, [5, None])] * 2),
        early=1,
    ),
}

OPENING = {
    "sort": Operation(
        (planes(32), ANY),
        sorted_,
        lambda key, x: (key[ordered(key)], x[ordered(key)]),
        lambda n: bit_cost.sort_cost(n, 32, [None]),
        spread=(0.15, 0.3),
    ),
    "sort by two keys, one descending": Operation(
        (planes(3), planes(12), ANY),
        sorted_by_two,
        two_key_truth,
        lambda n: bit_cost.sort_cost(n, 15, [None]),
        spread=(0.15, 0.3),
    ),
    "order there and back": Operation(
        (planes(16), ANY),
        by_order,
        lambda key, x: (key[ordered(key)], x[ordered(key)], key, x),
        lambda n: total(bit_cost.sort_cost(n, 16), *[bit_cost.shuffle_cost(n, [16, None])] * 2),
        spread=(0.15, 0.3),
    ),
    "group_by by scan": _group(0),
    "group_by by sort": _group(1),
    "lookup by sorting": _lookup("sort", lambda n: (n // 4,), spread=(0.15, 0.3)),
    "top_k first": _top(1, largest=False),
    "top_k largest": _top(10, largest=True),
    "top_k smallest": _top(100, largest=False),
}
"""Operations that open comparisons of shuffled rows: how many there are depends on the shuffle, and on nothing else."""
