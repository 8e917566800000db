"""The tables of three owners that random plans read: some rows, gaps, skew, one row, none, no match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import mpc_engine as mpc

__all__ = ["SEGMENTS", "TABLES", "nullable_integers", "tables"]

SEGMENTS = ("blue", "green", "red")
DAYS = pd.to_datetime(["2020-01-31", "2021-06-15", "2021-06-16", "2024-02-29"]).astype("datetime64[us]")


def _applications(seed: int, rows: int, *, nulls: float = 0.0, skew: bool = False) -> pd.DataFrame:
    """Owner a: key, small and large integers, exact and inexact floats, text, boolean, time stamp."""
    rng = np.random.default_rng(seed)
    small = np.zeros(rows, int) if skew else rng.integers(-5, 9, rows)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(np.arange(100, 100 + 2 * rows))[:rows],
            "i": small,
            "m": rng.integers(0, 4, rows).astype(float),
            "big": rng.choice([-70_000, 3, 3, 12_345, 1_000_000], rows),
            "x": np.full(rows, 2.5) if skew else rng.integers(-64, 65, rows) / 8,
            "y": rng.normal(0, 3, rows),
            "s": pd.Series(rng.choice(SEGMENTS, rows, p=[0.9, 0.1, 0.0] if skew else None), dtype="str"),
            "flag": rng.random(rows) < 0.5,
            "d": DAYS[rng.integers(0, len(DAYS), rows)],
        }
    )
    return _with_nulls(frame, ("m", "x", "y", "s", "d"), nulls, rng)


def _accounts(seed: int, rows: int, *, nulls: float = 0.0, first: int = 100) -> pd.DataFrame:
    """Owner b: the same key, and a column of the same name as one of a's."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(np.arange(first, first + 2 * rows))[:rows],
            "bal": rng.integers(-50, 51, rows),
            "n": rng.integers(1, 10, rows),
            "x": rng.integers(-40, 41, rows) / 4,
            "w": rng.uniform(-10, 10, rows),
            "t": pd.Series(rng.choice(["no", "yes"], rows), dtype="str"),
        }
    )
    return _with_nulls(frame, ("x", "w", "t"), nulls, rng)


def _with_nulls(frame: pd.DataFrame, names: Sequence[str], share: float, rng: np.random.Generator) -> pd.DataFrame:
    for name in names if share else ():
        frame[name] = frame[name].mask(pd.Series(rng.random(len(frame)) < share))
    return frame


TABLES: dict[str, pd.DataFrame] = {
    "a.plain": _applications(1, 11),
    "a.nulls": _applications(2, 11, nulls=0.4),
    "a.skew": _applications(3, 11, skew=True),
    "a.none": _applications(4, 0),
    "a.one": _applications(5, 1),
    "b.plain": _accounts(11, 11),
    "b.nulls": _accounts(12, 11, nulls=0.4),
    "b.far": _accounts(13, 7, first=900),
    "b.none": _accounts(14, 0),
    "c.plain": _accounts(21, 9)[["id", "bal", "t"]].rename(columns={"id": "person", "bal": "score", "t": "known"}),
}
"""Fixed tables of three owners, as pandas holds them."""


def tables() -> dict[str, dict[str, Any]]:
    """:data:`TABLES` as ``Session.local`` takes them."""
    held: dict[str, dict[str, Any]] = {}
    for name, frame in TABLES.items():
        owner, table = name.split(".")
        held.setdefault(owner, {})[table] = nullable_integers(frame)
    # Without rows there is no range, and what is divided by must have one.
    held["b"]["none"] = mpc.Source(held["b"]["none"], ranges={"n": (1, 9)})
    return held


def nullable_integers(frame: pd.DataFrame) -> pd.DataFrame:
    """``m`` as an integer column with missing values; pandas' own comparison value keeps it as float with NaN."""
    return frame.assign(m=frame["m"].astype("Int64")) if "m" in frame else frame
