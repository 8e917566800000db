"""Secret joins by a unique key against pandas, at the declared cost."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpc_engine.runtime.replicated import join as joins
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import join, run, split
from tests.unit.test_replicated_bits import edges, share, uniform
from tests.unit.test_replicated_extreme import check_cost

SIZES = [(0, 0), (0, 5), (5, 0), (1, 1), (2, 1), (1, 64), (63, 65), (65, 2), (100, 120)]


def wanted(left: np.ndarray, right: np.ndarray, payload: list[np.ndarray], masks: list[np.ndarray]) -> list[np.ndarray]:
    """The flag of a match and the payload columns, by pandas."""
    columns = {"key": left} | {f"p{i}": column for i, column in enumerate(payload)}
    table = pd.DataFrame(columns)[masks[0] == 1].set_index("key")
    match = np.isin(right, table.index.to_numpy()) & (masks[1] == 1)
    found = [table[name].reindex(right, fill_value=0).to_numpy() * match for name in table.columns]
    return [match.astype(np.int64), *found]


def check(left: np.ndarray, right: np.ndarray, bits: int, *, flags: tuple[bool, bool], columns: int = 2) -> None:
    rng = np.random.default_rng(len(left) + 7 * len(right))
    payload = [uniform(len(left)).view(np.int64) for _ in range(columns)]
    both = list(zip((left, right), flags, strict=True))
    masks = [edges(len(side), 1) if flag else np.ones(len(side), np.uint64) for side, flag in both]
    keys, foreign = share(left, bits), share(right, bits)
    shared, planes = [split(column, rng) for column in payload], [share(mask, 1) for mask in masks]

    def party(p: Replicated) -> Any:
        valid: list[Any] = [plane[p.rank] if flag else None for plane, flag in zip(planes, flags, strict=True)]
        mine = [column[p.rank] for column in shared]
        return joins.join_unique(p, keys[p.rank], foreign[p.rank], mine, left_valid=valid[0], right_valid=valid[1])

    done = run(party)
    want = wanted(left, right, payload, masks)
    np.testing.assert_array_equal(join([r.match for r in done.results]), want[0])
    for at in range(columns):
        np.testing.assert_array_equal(join([r.columns[at] for r in done.results]), want[1 + at])
    declared = joins.join_unique_cost(
        len(left), len(right), bits, columns=columns, left_valid=flags[0], right_valid=flags[1]
    )
    if 2 * len(left) + len(right) < 400:
        check_cost(done, declared)
    else:
        assert sum(done.cost[1]) == pytest.approx(declared.total, rel=0.15)


def unique(rows: int, bits: int) -> np.ndarray:
    """Distinct keys, both ends of the range among them if there is room."""
    rng = np.random.default_rng(rows)
    some = np.unique(np.concatenate([edges(4 * rows, bits), np.array([0, 2**bits - 1], np.uint64)]))
    return rng.permutation(some)[:rows]


@pytest.mark.parametrize(("left", "right"), SIZES)
@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True), (True, True)])
def test_joins_like_pandas(left: int, right: int, flags: tuple[bool, bool]) -> None:
    keys = unique(left, 64)
    for foreign in (
        np.random.default_rng(right).choice(np.concatenate([keys, uniform(3)]), right),  # most match
        uniform(right),  # none does
        np.full(right, keys[0] if left else 9, np.uint64),
    ):
        check(keys, foreign, 64, flags=flags)


def test_narrow_keys() -> None:
    check(np.arange(16, dtype=np.uint64), edges(300, 4), 4, flags=(False, False), columns=1)
    check(np.arange(16, dtype=np.uint64), edges(300, 4), 4, flags=(True, True), columns=0)
    check(np.array([0, 1], np.uint64), edges(10, 1), 1, flags=(True, False))


def test_invalid_left_rows_may_repeat_keys() -> None:
    keys, foreign = np.array([3, 3, 5, 5, 5, 7], np.uint64), np.arange(9, dtype=np.uint64)
    valid = np.array([0, 1, 0, 0, 0, 1], np.uint64)
    payload = np.arange(10, 16)
    left, right, flag = share(keys, 4), share(foreign, 4), share(valid, 1)
    column = split(payload, np.random.default_rng(1))
    done = run(lambda p: joins.join_unique(p, left[p.rank], right[p.rank], [column[p.rank]], left_valid=flag[p.rank]))
    np.testing.assert_array_equal(join([r.match for r in done.results]), [0, 0, 0, 1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(join([r.columns[0] for r in done.results]), [0, 0, 0, 11, 0, 0, 0, 15, 0])


def test_twenty_thousand_rows() -> None:
    rng = np.random.default_rng(2)
    keys = rng.permutation(2**14)[:5_000].astype(np.uint64)
    check(keys, rng.integers(0, 2**14, 20_000).astype(np.uint64), 32, flags=(False, False))


def test_transcripts_do_not_depend_on_secrets() -> None:
    shapes, left, column = (
        set(),
        share(np.arange(50, dtype=np.uint64), 64),
        split(np.arange(50), np.random.default_rng(1)),
    )
    for key in (uniform(100), np.zeros(100, np.uint64), np.arange(100, dtype=np.uint64), np.arange(100)[::-1]):
        right = share(key.astype(np.uint64), 64)
        done = run(lambda p, right=right: joins.join_unique(p, left[p.rank], right[p.rank], [column[p.rank]]))
        shapes.add(tuple(tuple(map(len, messages)) for messages in done.received))
    assert len(shapes) == 1


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    key, flag = share(uniform(5), 64)[0], share(edges(4, 1), 1)[0]
    with pytest.raises(ValueError, match="keys of as many bits, not 64 and 9"):
        joins.join_unique(party, key, key.planes(slice(0, 9)))
    with pytest.raises(ValueError, match="payload of 5 rows"):
        joins.join_unique(party, key, key, [np.ones((4, 2), np.uint64)])
    with pytest.raises(ValueError, match="one bit of 5 rows, not 1 of 4"):
        joins.join_unique(party, key, key, left_valid=flag)
