"""Logarithms, exponentials and roots on shares, in every engine, against numpy within the stated errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.ops import transcendental
from mpc_compiler.ops.primitives import bounded_exp, bounded_log
from mpc_compiler.ops.transcendental import EXP_ABSOLUTE, EXP_RELATIVE, LOG_ERROR
from tests.oracle.test_ml_ops import in_clear
from tests.property.test_programs_at_bounds import natively
from tests.spu_threads import in_spu

Array = np.ndarray[Any, Any]
Execute = Callable[..., Any]
ONE = 1 << 18
CASES = 1000


@pytest.fixture(params=[in_clear, natively, in_spu], ids=["clear", "native", "spu"])
def execute(request: pytest.FixtureRequest) -> Execute:
    chosen: Execute = request.param
    return chosen


def of_all_sizes(low: int, high: int) -> Array:
    """Whole numbers of all lengths in ``[2**low, 2**high)``, every power of two and its neighbours among them."""
    rng = np.random.default_rng(low * 64 + high)
    made = np.exp2(rng.uniform(low, high, CASES)).astype(np.int64)
    powers = np.int64(1) << np.arange(low, high)
    edges = np.concatenate([powers - 1, powers, powers + 1, [(1 << high) - 1]])
    made[: len(edges)] = edges
    return np.clip(made, 1 << low, (1 << high) - 1)


@pytest.mark.parametrize("bits", [(0, 63), (0, 1), (2, 3), (10, 44), (16, 21), (40, 62)])
def test_logarithms(execute: Execute, bits: tuple[int, int]) -> None:
    low, high = bits
    x = of_all_sizes(low, high)
    (whole,) = execute(lambda v: (bounded_log(v, low=low, high=high),), x)
    assert np.abs(whole - np.log(x.astype(float))).max() <= LOG_ERROR
    held = x[np.abs(x) < 2**53]
    if len(held):
        (fixed,) = execute(lambda v: (bounded_log(v, low=low, high=high),), held / ONE)
        assert np.abs(fixed - np.log(held / ONE)).max() <= LOG_ERROR


@pytest.mark.parametrize("ends", [(-40.0, 30.4), (0.0, 0.5), (-13.0, 0.0), (5.0, 12.0), (-1e12, -20.0), (-3.0, 30.0)])
def test_exponentials(execute: Execute, ends: tuple[float, float]) -> None:
    low, high = ends
    rng = np.random.default_rng(7)
    x = np.rint(rng.uniform(max(low, -100.0), high, CASES) * ONE) / ONE
    steps = np.arange(math.ceil(max(low, -15.0) / math.log(2)), math.floor(high / math.log(2)) + 1) * math.log(2)
    edges = np.concatenate([np.floor(steps * ONE) / ONE, np.ceil(steps * ONE) / ONE, [low, high]])
    x[: len(edges)] = np.clip(np.rint(edges * ONE) / ONE, low, high)
    (found,) = execute(lambda v: (bounded_exp(v, low=low, high=high),), x)
    assert (np.abs(found - np.exp(x)) <= EXP_RELATIVE * np.exp(x) + EXP_ABSOLUTE).all()


def test_the_polynomials_are_as_good_as_they_say() -> None:
    edge = transcendental._EXP_EDGE
    r = np.linspace(-edge, math.log(2) + edge, 10_001)
    series = np.polynomial.polynomial.polyval(r, np.array(transcendental._EXP_SERIES) / 2.0**25)
    assert np.abs(series / np.exp(r) - 1).max() < 1.5e-7
    t = np.linspace(-1, 1, 10_001)
    series = np.polynomial.chebyshev.chebval(t, transcendental._LOG_TERMS)
    assert np.abs(series - np.log((3 + t) / 2)).max() < 3e-7


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="need 0 <= low < high <= 63, not 3 and 3"):
        bounded_log(np.array([1]), low=3, high=3)
    with pytest.raises(ValueError, match=r"need low <= high < 30\.4985, not 0 and 31"):
        bounded_exp(np.array([1.0]), low=0, high=31)


# --- columns ---------------------------------------------------------------------------------------------------------

ROWS = 60


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(12)
    left = pd.DataFrame(
        {
            "id": rng.permutation(ROWS),
            "income": np.round(np.exp(rng.uniform(np.log(100), np.log(1e6), ROWS)), 2),
            "rate": rng.uniform(0.01, 0.3, ROWS),
            "count": rng.integers(0, 40, ROWS),
            "large": rng.integers(1, 2**60, ROWS),
            "signed": rng.integers(-40, 40, ROWS) / 8,
            "gap": np.where(rng.random(ROWS) < 0.3, np.nan, rng.integers(-40, 40, ROWS) / 8),
            "flag": rng.random(ROWS) < 0.5,
        }
    )
    right = {"id": rng.permutation(ROWS), "y": rng.uniform(-2, 2, ROWS), "n": rng.integers(1, 9, ROWS)}
    return left, pd.DataFrame(right)


LEFT, RIGHT = _tables()
RANGES = {"income": (100.0, 1e6), "rate": (0.01, 0.3)}
ENGINES: dict[str, dict[str, Any]] = {
    "plaintext": {"protocol": "plaintext"},
    "native": {"protocol": "aby3", "pushdown": False},
    "spu": {"protocol": "aby3", "pushdown": False, "kernels": "spu"},
    "owners": {"protocol": "aby3"},
}
Build = Callable[[Any], Any]
FUNCTIONS: dict[str, Build] = {
    "log": lambda t: np.log(t.income),
    "log of counts": lambda t: np.log(t["count"]),
    "log of large ones": lambda t: np.log(t.large),
    "log of a flag": lambda t: np.log(t.flag),
    "log of two owners": lambda t: np.log(t.income + t.y.abs()),
    "log of missing": lambda t: np.log(t.gap * 8),
    "log of what is never positive": lambda t: np.log(-t.n),
    "log of one power of two": lambda t: np.log(t.rate.clip(0.15, 0.2)),
    "log1p": lambda t: np.log1p(t.rate),
    "log2": lambda t: np.log2(t.income),
    "log10": lambda t: np.log10(t.n),
    "exp": lambda t: np.exp(t.signed * t.y),
    "exp of counts": lambda t: np.exp(t.n),
    "exp of missing": lambda t: np.exp(t.gap),
    "exp of very little": lambda t: np.exp(-3 * t["count"]),
    "expm1": lambda t: np.expm1(t.rate * t.n),
    "exp2": lambda t: np.exp2(t.y),
    "logistic": lambda t: 1 / (1 + np.exp(-t.y)),
    "sqrt": lambda t: np.sqrt(t.income * t.rate),
    "sqrt of large ones": lambda t: np.sqrt(t.large),
    "sqrt below 0": lambda t: np.sqrt(t.signed),
    "annuity": lambda t: t.income * t.rate / (1 - np.exp(-t.n * np.log1p(t.rate))),
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] if name == "spu" else []) for name in ENGINES]
)
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    tables = {"a": {"t": mpc.Source(LEFT, ranges=RANGES)}, "b": {"u": RIGHT}}
    with mpc.Session.local(tables, executor="threads", **ENGINES[request.param]) as made:
        yield made


def test_columns(session: mpc.Session) -> None:
    joint = session.table("a.t").merge(session.table("b.u"), on="id")
    rows = LEFT.merge(RIGHT, on="id")
    results = mpc.collect(*(build(joint) for build in FUNCTIONS.values()))
    assert session.last_run is not None
    bounds = [next(iter(found.values()), 0.0) for found in session.last_run.errors.values()]
    for name, build, got, bound in zip(FUNCTIONS, FUNCTIONS.values(), results, bounds or [0.0] * 99, strict=False):
        with np.errstate(divide="ignore", invalid="ignore"):
            true = build(rows).astype(float).replace([np.inf, -np.inf], np.nan)
        assert got.isna().tolist() == true.isna().tolist(), name
        off = (got - true).abs()
        assert (off.dropna() <= bound + 1e-12 * true.abs().dropna()).all(), (name, off.max(), bound)


def test_sql(session: mpc.Session) -> None:
    got = session.sql(
        "SELECT ln(income) AS a, log(income) AS b, log10(n) AS c, log2(n) AS d, log(3, n) AS e, exp(y) AS f, "
        "sqrt(income * rate) AS g, ln(count) AS h FROM a.t JOIN b.u ON t.id = u.id ORDER BY t.id"
    ).collect()
    t = LEFT.merge(RIGHT, on="id").sort_values("id").reset_index(drop=True)
    with np.errstate(divide="ignore"):
        missing = np.log(t["count"]).replace(-np.inf, np.nan)
    true = {"a": np.log(t.income), "b": np.log10(t.income), "c": np.log10(t.n), "d": np.log2(t.n),
            "e": np.log(t.n) / np.log(3), "f": np.exp(t.y), "g": np.sqrt(t.income * t.rate), "h": missing}  # fmt: skip
    assert session.last_run is not None
    bounds = session.last_run.errors.get("result", {})
    for name, values in true.items():
        assert got[name].isna().tolist() == values.isna().tolist()
        assert ((got[name] - values).abs().dropna() <= bounds.get(name, 0.0) + 1e-12).all(), name
