"""What SPU 0.9.5 gives in silence at 64 bits with 18 fraction bits, in frames on shares: refused, or right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc

ROWS = 200
UNIT = 2.0**-18


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    left = pd.DataFrame({
        "id": np.arange(ROWS), "thousands": np.linspace(0, 2e4, ROWS), "wide": rng.uniform(0, 1e5, ROWS),
        "ten": np.linspace(1, 1e7, ROWS), "small": np.full(ROWS, 1e-6), "signed": rng.uniform(-1, 5, ROWS),
        "five": np.linspace(0, 5, ROWS), "huge": np.full(ROWS, 2.0**44),
        "trillions": rng.uniform(-1e12, 1e12, ROWS), "gaps": np.where(np.arange(ROWS) % 3, 2.5, np.nan),
    })  # fmt: skip
    return left, pd.DataFrame(
        {
            "key": np.arange(ROWS),
            "other": np.linspace(0, 2e4, ROWS),
            "far": rng.uniform(-1e12, 1e12, ROWS),
            "zero": np.arange(ROWS) % 4,
        }
    )


@pytest.fixture(scope="module")
def joint(tables: tuple[pd.DataFrame, pd.DataFrame]) -> Iterator[mpc.DataFrame]:
    left, right = tables
    with mpc.Session.local({"a": {"t": left}, "b": {"u": right}}, executor="threads", pushdown=False) as session:
        yield session.table("a.t").merge(session.table("b.u"), left_on="id", right_on="key")


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "2e4 to the power 4": (lambda t: t.thousands**2 * t.other * t.other, "MPC-0203"),
    "a sum of products above 2**44": (lambda t: (t.wide * t.other * 100.0).sum(), "MPC-0202"),
    "a variance above 2**44": (lambda t: t.trillions.var(), "MPC-0202"),
    "a wide product": (lambda t: t.trillions * t.other, "MPC-0203"),
    "a cube of wide numbers": (lambda t: t.wide**3, "MPC-0203"),
    "an input of 2**44": (lambda t: t.huge * 1.0, "MPC-0202"),
    "a quotient by 0": (lambda t: t.five / t.zero, "MPC-0306"),
    "a quotient by 1e-6": (lambda t: t.other / t.small, "MPC-0203"),
    "an exponential of 2e4": (lambda t: np.exp(t.thousands) + t.zero, "MPC-0202"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(joint: mpc.DataFrame, name: str) -> None:
    act, code = REFUSED[name]
    with pytest.raises(mpc.MpcError) as caught:
        act(joint).collect()
    assert caught.value.code == code
    assert caught.value.hint


def test_right(joint: mpc.DataFrame, tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows = tables[0].merge(tables[1], left_on="id", right_on="key")
    root, gaps, missing, quotient, log, exp, spread, scaled, domain, squares, products = mpc.collect(
        np.sqrt(joint.ten), joint.gaps + joint.zero, joint.gaps.isna(), joint.five / joint.zero.where(joint.zero != 0),
        np.log(joint.five + 1), np.exp(joint.five), joint.wide.var(), joint.ten * 1e-6,
        np.log(joint.signed), joint.thousands * joint.other, (joint.wide * joint.other).sum(),
    )  # fmt: skip
    assert (np.abs(root - np.sqrt(rows.ten)) <= np.sqrt(rows.ten) * 2.0**-16 + 2.0**-16).all()
    pd.testing.assert_series_equal(gaps.isna(), rows.gaps.isna(), check_names=False)
    assert missing.tolist() == rows.gaps.isna().tolist()
    true = rows.five / rows.zero.where(rows.zero != 0)
    assert quotient.isna().tolist() == true.isna().tolist()
    assert (np.abs(quotient - true).dropna() <= 2.0**-15).all()
    assert (np.abs(log - np.log(rows.five + 1)) <= 2.0**-16 + UNIT).all()
    assert (np.abs(exp - np.exp(rows.five)) <= (np.exp(rows.five) * 2 + 3) * UNIT * 1.001).all()
    off = (rows.thousands + rows.other + 3) * UNIT
    assert (np.abs(squares - rows.thousands * rows.other) <= off).all()
    off = (rows.wide + rows.other + 3) * UNIT
    assert abs(products - (rows.wide * rows.other).sum()) <= off.sum()
    with np.errstate(invalid="ignore"):
        pd.testing.assert_series_equal(domain.isna(), np.log(rows.signed).isna(), check_names=False)
    width = 1.25e5
    assert abs(spread - rows.wide.var()) <= width**2 * 2.0**-20 + width * 2.0**-16
    assert (np.abs(scaled - rows.ten * 1e-6) <= 2.0**-17).all()


def test_spread_of_wide_columns() -> None:
    """Found in review: ``2**-k`` was a factor of 0 beyond ranges of 2**33, so that the spread was 0 in silence."""
    rng = np.random.default_rng(5)
    left = pd.DataFrame({"id": np.arange(ROWS), "far": rng.uniform(-1e12, 1e12, ROWS)})
    right = pd.DataFrame({"key": np.arange(ROWS), "off": rng.uniform(-1e12, 1e12, ROWS)})
    with mpc.Session.local(
        {"a": {"left": left}, "b": {"right": right}}, protocol="aby3", executor="threads"
    ) as session:
        both = session.table("a.left").merge(session.table("b.right"), left_on="id", right_on="key")
        both = both.assign(sum=both.far / 4 + both.off / 4)
        std, corr = mpc.collect(both["sum"].std(), both[["far", "off"]].corr())
    assert std == pytest.approx((left.far / 4 + right.off / 4).std(), rel=1e-4)
    assert corr.loc["far", "off"] == pytest.approx(left.far.corr(right.off), abs=1e-3)


def test_order_of_products_beyond_their_range() -> None:
    """Found in review: the largest product came last, since its rounding error is larger than the room of sort keys."""
    top = (np.floor((2.0**20 - 3.3) * 2**18) + 0.51) / 2**18  # rounded up in shares
    left = pd.DataFrame({"id": np.arange(ROWS), "g": np.arange(ROWS) % 3, "a": np.linspace(0, top, ROWS)})
    right = pd.DataFrame({"key": np.arange(ROWS), "b": np.linspace(1, top, ROWS)})
    owners = {
        "a": {"left": mpc.Source(left, ranges={"a": (0.0, top)})},
        "b": {"right": mpc.Source(right, ranges={"b": (0.0, top)})},
    }
    with mpc.Session.local(owners, protocol="aby3", executor="threads") as session:
        both = session.table("a.left").merge(session.table("b.right"), left_on="id", right_on="key")
        both = both.assign(product=both.a * both.b)
        largest, ordered = mpc.collect(
            both.nlargest(3, "product")["id"], both.sort_values(["g", "product"], ascending=[True, False])["id"]
        )
    true = left.assign(product=left.a * right.b)
    assert list(largest) == list(true.nlargest(3, "product").id)
    assert list(ordered) == list(true.sort_values(["g", "product"], ascending=[True, False]).id)
