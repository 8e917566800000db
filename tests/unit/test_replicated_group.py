"""Secret group-by against pandas: sums mod 2^64, counts, minima, maxima, validity, at the declared cost."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated import group
from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.group import Extreme, Groups
from tests.parties import Run, join, run, split
from tests.unit.test_replicated_bits import edges, reveal, share, uniform
from tests.unit.test_replicated_extreme import check_cost

ROWS = [0, 1, 2, 63, 64, 65, 200]
WAN = Link(0.04, 1e-8)


class Table:
    """Rows in the clear, shared columns, and what pandas makes of them."""

    def __init__(self, key: np.ndarray, bits: int, valid: np.ndarray, widths: tuple[int, ...] = (20,)) -> None:
        rng = np.random.default_rng(len(key))
        rows = len(key)
        self.key, self.bits, self.valid, self.widths = key, bits, valid, widths
        self.sums = [uniform(rows).view(np.int64), rng.integers(-50, 50, rows)]
        self.values = [edges(rows, width) for width in widths]
        self.keys, self.flags = share(key, bits), share(valid, 1)
        self.shared = [split(column, rng) for column in self.sums]
        self.planes = [share(value, width) for value, width in zip(self.values, widths, strict=True)]

    def expected(self) -> pd.DataFrame:
        """One row a group, ascending."""
        columns = {"key": self.key} | {f"s{i}": x for i, x in enumerate(self.sums)}
        columns |= {f"v{i}": x for i, x in enumerate(self.values)}
        frame = pd.DataFrame(columns)[self.valid == 1].groupby("key")
        out = {"count": frame.size()}
        out |= {f"s{i}": frame[f"s{i}"].sum() for i in range(len(self.sums))}
        for i in range(len(self.values)):
            out |= {f"min{i}": frame[f"v{i}"].min(), f"max{i}": frame[f"v{i}"].max()}
        return pd.DataFrame(out).reset_index()

    def run(self, *, flagged: bool = True, blank: bool = False, link: Link = NEAR, **options: Any) -> Run:
        def party(p: Replicated) -> Groups:
            r = p.rank
            done = group.group_by(
                p,
                self.keys[r],
                [x[r] for x in self.shared],
                [Extreme(x[r]) for x in self.planes],
                valid=self.flags[r] if flagged else None,
                **options,
            )
            return group.blank_rest(p, done) if blank else done

        return run(party, link=link)

    def cost(self, *, flagged: bool = True, **options: Any) -> Any:
        shapes = [(width, 2) for width in self.widths]
        return group.group_by_cost(len(self.key), self.bits, sums=2, extremes=shapes, valid=flagged, **options)


def opened(results: list[Groups]) -> tuple[np.ndarray, pd.DataFrame]:
    """The flags, and all rows with the columns of `Table.expected`."""
    flag = reveal([r.valid for r in results])
    columns: dict[str, np.ndarray] = {"key": reveal([r.key for r in results])}
    columns["count"] = join([r.count for r in results])
    columns |= {f"s{i}": join([r.sums[i] for r in results]) for i in range(len(results[0].sums))}
    for i in range(len(results[0].extremes)):
        for at, name in enumerate(("min", "max")):
            columns[f"{name}{i}"] = reveal([r.extremes[i][at] for r in results])
    return flag, pd.DataFrame(columns)


def check(table: Table, results: list[Groups]) -> None:
    want = table.expected()
    flag, found = opened(results)
    np.testing.assert_array_equal(flag, np.arange(len(flag)) < len(want))
    pd.testing.assert_frame_equal(found[: len(want)], want, check_dtype=False)


KEYS = {
    "few": lambda rows: edges(rows, 3),
    "equal": lambda rows: np.full(rows, 5, np.uint64),
    "distinct": lambda rows: np.random.default_rng(rows).permutation(rows).astype(np.uint64),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("keys", list(KEYS))
@pytest.mark.parametrize("by_sort", [0, 1])
def test_groups_like_pandas(rows: int, keys: str, by_sort: int) -> None:
    valid = edges(rows, 1)
    for flags in (valid, np.zeros_like(valid), np.ones_like(valid)):
        table = Table(KEYS[keys](rows), 8, flags)
        done = table.run(by_sort=by_sort)
        check(table, done.results)
        check_cost(done, table.cost(by_sort=by_sort))
    done = table.run(flagged=False, by_sort=by_sort)
    check(table, done.results)
    check_cost(done, table.cost(flagged=False, by_sort=by_sort))


@pytest.mark.parametrize("by_sort", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("link", [NEAR, WAN])
def test_several_extremes(by_sort: int | None, link: Link) -> None:
    table = Table(edges(150, 64) >> np.uint64(60) << np.uint64(60), 64, edges(150, 1), (64, 5, 33))
    done = table.run(by_sort=by_sort, link=link)
    check(table, done.results)
    check_cost(done, table.cost(by_sort=by_sort, link=link))


def test_a_bound_on_the_groups_and_blank_rows() -> None:
    table = Table(edges(180, 3), 3, edges(180, 1), (20, 7))
    done = table.run(groups=11, blank=True)
    check(table, done.results)
    flag, found = opened(done.results)
    assert len(flag) == 11
    assert not found[flag == 0].to_numpy().any()
    shapes = [(20, 2), (7, 2)]
    check_cost(done, table.cost() + group.blank_rest_cost(11, 3, sums=2, extremes=shapes))
    check(table, table.run(groups=1000).results)


def test_only_what_is_asked() -> None:
    key, value = edges(100, 4), edges(100, 9)
    keys, values = share(key, 4), share(value, 9)

    def party(p: Replicated) -> tuple[Bits, Groups]:
        distinct = group.group_by(p, keys[p.rank])
        largest = group.group_by(p, keys[p.rank], extremes=[Extreme(values[p.rank], ("max",))], by_sort=0)
        return distinct.valid, largest

    done = run(party)
    want = pd.DataFrame({"key": key, "value": value}).groupby("key")["value"].max()
    flag = reveal([r[0] for r in done.results])
    assert flag.sum() == len(want)
    np.testing.assert_array_equal(reveal([r[1].extremes[0][0] for r in done.results])[: len(want)], want)
    check_cost(done, group.group_by_cost(100, 4) + group.group_by_cost(100, 4, extremes=[(9, 1)], by_sort=0))


def test_twenty_thousand_rows() -> None:
    rng = np.random.default_rng(1)
    table = Table(rng.integers(0, 1000, 20_000).astype(np.uint64), 32, np.ones(20_000, np.uint64), (32,))
    for by_sort in (0, 1):
        done = table.run(flagged=False, by_sort=by_sort)
        check(table, done.results)
        assert sum(done.cost[1]) == pytest.approx(table.cost(flagged=False, by_sort=by_sort).total, rel=0.15)


def test_the_cheaper_way_is_taken() -> None:
    def way(rows: int, link: Link, columns: int) -> int:
        return group.sorted_extremes(rows, 32, sums=1, extremes=[(32, 2)] * columns, valid=False, link=link)

    assert way(100_000, Link(0, 1), 1) == 0  # fewest bytes: scans
    assert way(100_000, Link(1, 0), 1) == 1  # fewest rounds
    assert way(10, NEAR, 0) == 0


def test_transcripts_do_not_depend_on_secrets() -> None:
    shapes = set()
    for key in (uniform(100), np.zeros(100, np.uint64), np.arange(100, dtype=np.uint64), np.arange(100)[::-1]):
        table = Table(key.astype(np.uint64), 64, edges(100, 1), (20, 7))
        done = table.run(by_sort=1)
        shapes.add(tuple(tuple(map(len, messages)) for messages in done.received))
    assert len(shapes) == 1


def test_mistakes_are_refused() -> None:
    party = Replicated(0, lambda to, payload, frm: b"")
    key = share(uniform(5), 64)[0]
    with pytest.raises(ValueError, match="a key of at least one bit"):
        group.group_by(party, key.planes(slice(0, 0)))
    with pytest.raises(ValueError, match="extremes of its 5 rows"):
        group.group_by(party, key, extremes=[Extreme(share(uniform(4), 64)[0])])
    with pytest.raises(ValueError, match="ops must be 'min', 'max' or both"):
        Extreme(key, ("median",))  # type: ignore[arg-type]
