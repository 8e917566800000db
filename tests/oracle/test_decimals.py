"""Decimals against Python's own, exactly: in frames and at owners, on shares and in the clear."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import DType, decimal_literal
from mpc_engine.io.encode import decode_column

ROWS = 40
Row = dict[str, Any]


def decimals(units: Any, scale: int, digits: int) -> pa.Array:
    values = [None if unit is None else Decimal(int(unit)).scaleb(-scale) for unit in units]
    return pa.array(values, pa.decimal128(digits, scale))


def sides() -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(1)
    gaps = [None if k % 7 == 0 else v for k, v in enumerate(rng.integers(-500, 500, ROWS))]
    left = {
        "id": pa.array(np.arange(ROWS)),
        "price": decimals(rng.integers(90_000, 10_500_000, ROWS), 2, 15),
        "disc": decimals(rng.integers(0, 11, ROWS), 2, 15),
        "tax": decimals(rng.integers(-8, 9, ROWS), 2, 4),
        "q": decimals(gaps, 1, 6),
        "k": pa.array(rng.integers(0, 3, ROWS)),
        "f": pa.array(rng.integers(-40, 40, ROWS) / 8),
    }
    right = {"key": pa.array(np.arange(ROWS)), "w": decimals(rng.integers(-(10**6), 10**6, ROWS), 3, 12)}
    return pa.table(left), pa.table(right)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    left, right = sides()
    return [a | b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)]


WAYS = [("plaintext", True), ("plaintext", False), ("aby3", True), ("aby3", False)]


@pytest.fixture(scope="module", params=WAYS, ids=str)
def joint(request: pytest.FixtureRequest) -> Iterator[mpc.DataFrame]:
    protocol, pushdown = request.param
    left, right = sides()
    with mpc.Session.local(
        {"a": {"t": left}, "b": {"u": right}}, protocol=protocol, executor="threads", pushdown=pushdown
    ) as session:
        yield session.table("a.t").merge(session.table("b.u"), left_on="id", right_on="key")


def floored(value: Decimal) -> Decimal:
    return value.to_integral_value(decimal.ROUND_FLOOR)


def rounded(value: Decimal, to: str) -> Decimal:
    return value.quantize(Decimal(to), decimal.ROUND_HALF_EVEN)


def unless_missing(value: Decimal | None, then: Callable[[Decimal], Any]) -> Any:
    return None if value is None else then(value)


D = Decimal
EXPRESSIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Row], Any]]] = {
    "revenue": (lambda t: t.price * (1 - t.disc), lambda r: r["price"] * (1 - r["disc"])),
    "charge": (
        lambda t: t.price * (1 - t.disc) * (1 + t.tax),
        lambda r: r["price"] * (1 - r["disc"]) * (1 + r["tax"]),
    ),
    "scales": (lambda t: t.q + t.w * 2.5, lambda r: unless_missing(r["q"], lambda q: q + r["w"] * D("2.5"))),
    "minus": (lambda t: (t.w - t.q).abs(), lambda r: unless_missing(r["q"], lambda q: abs(r["w"] - q))),
    "negative": (lambda t: -t.w * t.k, lambda r: -r["w"] * r["k"]),
    "round": (lambda t: t.w.round(1), lambda r: rounded(r["w"], "0.1")),
    "whole": (lambda t: t.w.round(), lambda r: rounded(r["w"], "1")),
    "int": (lambda t: t.w.astype(int), lambda r: int(r["w"])),
    "floordiv": (lambda t: t.w // 7, lambda r: floored(r["w"] / 7)),
    "mod": (lambda t: t.w % 0.7, lambda r: r["w"] - floored(r["w"] / D("0.7")) * D("0.7")),
    "fill": (lambda t: t.q.fillna(0.125), lambda r: D("0.125") if r["q"] is None else r["q"]),
    "clip": (lambda t: t.w.clip(-5.5, 100), lambda r: min(max(r["w"], D("-5.5")), D(100))),
    "where": (lambda t: t.w.where(t.disc >= 0.05, t.q), lambda r: r["w"] if r["disc"] >= D("0.05") else r["q"]),
    "isin": (
        lambda t: t.disc.isin([0.05, D("0.07"), 3]).astype(int),
        lambda r: int(r["disc"] in (D("0.05"), D("0.07"))),
    ),
    "compare": (lambda t: (t.w > t.q).astype(int), lambda r: int(r["q"] is not None and r["w"] > r["q"])),
    "between": (lambda t: t.w.between(-200.5, t.price).astype(int), lambda r: int(D("-200.5") <= r["w"] <= r["price"])),
    "constant": (lambda t: 0.1 + t.tax + D("0.25"), lambda r: D("0.35") + r["tax"]),
}


def test_expressions_are_exact(joint: mpc.DataFrame, rows: list[Row]) -> None:
    found = joint.assign(**{name: ours for name, (ours, _) in EXPRESSIONS.items()}).collect()
    for name, (_, theirs) in EXPRESSIONS.items():
        want = [np.nan if (value := theirs(row)) is None else float(value) for row in rows]
        np.testing.assert_array_equal(found[name].to_numpy(float), want, err_msg=name)


def test_beside_floats_and_divided_decimals_are_floats(joint: mpc.DataFrame, rows: list[Row]) -> None:
    found = joint.assign(a=lambda t: t.w * t.f, b=lambda t: t.w / 7, c=lambda t: t.price.astype(float)).collect()
    for name, true in (
        ("a", [float(r["w"]) * r["f"] for r in rows]),
        ("b", [float(r["w"]) / 7 for r in rows]),
        ("c", [float(r["price"]) for r in rows]),
    ):
        assert np.abs(found[name] - true).max() <= 2.0**-15, name


def test_aggregates(joint: mpc.DataFrame, rows: list[Row]) -> None:
    made = joint.assign(charge=EXPRESSIONS["charge"][0])
    aggs = {
        "total": ("charge", "sum"),
        "mean": ("w", "mean"),
        "low": ("w", "min"),
        "high": ("q", "max"),
        "n": ("q", "count"),
        "spread": ("w", "std"),
    }
    total, groups = mpc.collect(made.agg(**aggs), made.groupby("k").agg(**aggs))
    for row, k in ((total.iloc[0], None), *((groups.loc[k], k) for k in range(3))):
        mine = [r for r in rows if k is None or r["k"] == k]
        charges = [EXPRESSIONS["charge"][1](r) for r in mine]
        present = [r["q"] for r in mine if r["q"] is not None]
        w = [r["w"] for r in mine]
        assert row["total"] == float(sum(charges))
        assert (row["low"], row["high"], row["n"]) == (float(min(w)), float(max(present)), len(present))
        assert abs(row["mean"] - float(sum(w)) / len(w)) <= 2.0**-16
        assert abs(row["spread"] / np.std([float(x) for x in w], ddof=1) - 1) < 2.0**-10


def test_keys_sorts_and_distinct_values(joint: mpc.DataFrame, rows: list[Row]) -> None:
    ordered, groups = mpc.collect(joint.sort_values("w").head(5)[["w"]], joint.groupby("disc").agg(n=("id", "size")))
    assert ordered["w"].tolist() == [float(w) for w in sorted(r["w"] for r in rows)[:5]]
    counts = pd.Series([float(r["disc"]) for r in rows]).value_counts().sort_index()
    assert groups["n"].to_dict() == counts.to_dict()


def test_types_are_shown_in_decimals(joint: mpc.DataFrame) -> None:
    assert repr(joint["disc"].dtype) == "decimal(2)[0.00..0.10]"
    assert repr((joint["disc"] * joint["w"]).dtype).startswith("decimal(5)[")
    assert repr(decimal_literal("-0.050")) == "-0.050"


def test_results_are_the_nearest_doubles() -> None:
    units = np.array([1, -5, 10**17 + 1, 4611686018427387903, -4611686018427387903])
    found = decode_column(units, None, DType("decimal", lo=-(2**62), hi=2**62, scale=7))
    assert found.tolist() == [float(Decimal(int(u)).scaleb(-7)) for u in units]


def test_declared_ranges_and_what_does_not_fit() -> None:
    data = pa.table({"x": decimals([12345, -500], 2, 20)})
    source = mpc.Source(data, ranges={"x": (-5.0, 200)})
    with mpc.Session.local({"a": {"t": source}}, protocol="plaintext", executor="threads") as session:
        assert repr(session.table("a.t").x.dtype) == "decimal(2)[-5.00..200.00]"
        assert session.table("a.t").x.collect().tolist() == [123.45, -5.0]
    refused: list[tuple[Any, str]] = [
        (mpc.Source(data, ranges={"x": (0, 200)}), "MPC-0204"),
        (pa.table({"x": decimals([10**25], 2, 38)}), "MPC-0202"),
    ]
    for wrong, code in refused:
        with pytest.raises(mpc.RangeError) as caught:
            mpc.Session.local({"a": {"t": wrong}}, protocol="plaintext", executor="threads").tables()
        assert caught.value.code == code


def test_a_product_that_leaves_the_ring_is_refused(joint: mpc.DataFrame) -> None:
    with pytest.raises(mpc.RangeError, match="beyond the") as caught:
        (joint.price * joint.w * joint.price * joint.w * joint.w).collect()
    assert "decimal(7) shares hold" in str(caught.value)
