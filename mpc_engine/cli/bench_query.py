"""The scale query: merge two owners' tables, filter across them, group, aggregate."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

import mpc_engine as mpc
from mpc_compiler.options import COMPUTING
from mpc_engine.cli import show
from mpc_engine.cli.bench import Figures, Settings

if TYPE_CHECKING:
    import pandas as pd

    from mpc_engine.observe import RunReport

__all__ = ["DEFAULT_EXECUTOR", "SIDES", "measure", "query", "tables"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR = "ray"
OVERLAP = 0.8
MEAN_BOUND = 2.0**-16
"""Declared bound of a division by a secret count; the sums that it divides are exact."""


def tables(rows: int, groups: int, *, seed: int = 0) -> dict[str, dict[str, pd.DataFrame]]:
    """Return tables of two owners with `rows` rows each, 80 % of whose keys they share, in different orders.

    Examples
    --------
    >>> made = tables(10, 2)
    >>> len(set(made["bank_a"]["loans"]["id"]) & set(made["bank_b"]["accounts"]["id"]))
    8
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    common = round(OVERLAP * rows)
    keys = rng.permutation(4 * rows)[: 2 * rows - common]
    at_a, at_b = rng.permutation(keys[:rows]), rng.permutation(keys[rows - common :])
    loans = {"id": at_a, "segment": rng.integers(0, groups, rows), "amount": rng.integers(100, 10_000, rows)}
    accounts = {"id": at_b, "balance": rng.integers(0, 10_000, rows), "score": rng.integers(300, 850, rows)}
    return {"bank_a": {"loans": pd.DataFrame(loans)}, "bank_b": {"accounts": pd.DataFrame(accounts)}}


def query(loans: Any, accounts: Any) -> Any:
    """Return count, exposure and mean score by segment of those who owe more than they hold; also of pandas frames."""
    joint = loans.merge(accounts, on="id")
    exposed = joint[joint["amount"] > joint["balance"]]
    return exposed.groupby("segment").agg(
        customers=("amount", "count"), exposure=("amount", "sum"), score=("score", "mean")
    )


def equal(ours: pd.DataFrame, clear: pd.DataFrame) -> bool:
    """Compare: counts and sums exactly, means within their declared bound."""
    if list(ours.index) != list(clear.index):
        return False
    exact = all((ours[name] == clear[name]).all() for name in ("customers", "exposure"))
    return bool(exact and (ours["score"] - clear["score"]).abs().max() <= MEAN_BOUND)


def measure(workload: str, settings: Settings) -> Figures:
    """Compare with pandas, then time all sides alternately."""
    data = tables(settings.rows, settings.groups)
    clear = query(*(table for held in data.values() for table in held.values()))
    sides: dict[str, dict[str, Any]] = {"ours": {"protocol": settings.protocol}}
    if "spu" in settings.against:
        sides["spu"] = {"protocol": settings.protocol, "kernels": "spu"}
    if "plaintext" in settings.against:
        sides["plaintext"] = {"protocol": "plaintext"}
    executor = settings.executor or "ray"
    with ExitStack() as stack:
        lazy, sessions = {}, {}
        for name, options in sides.items():
            session = stack.enter_context(mpc.Session.local(data, executor=executor, tls=settings.tls, **options))
            sessions[name] = session
            lazy[name] = query(*(session.table(table) for table in session.tables()))
        firsts = {name: _timed(frame) for name, frame in lazy.items()}
        correct = all(equal(found, clear) for _, found in firsts.values())
        first = sessions["ours"].last_run
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(settings.repeat):
            for name, frame in lazy.items():
                times[name].append(_timed(frame)[0])
        report = sessions["ours"].last_run
    assert report is not None
    assert first is not None
    return _figures(
        settings, first, report, times, {name: seconds for name, (seconds, _) in firsts.items()}, correct=correct
    )


def _timed(frame: Any) -> tuple[float, pd.DataFrame]:
    began = time.perf_counter()
    found = frame.collect()
    return time.perf_counter() - began, found


def _figures(
    settings: Settings,
    first: RunReport,
    report: RunReport,
    times: dict[str, list[float]],
    firsts: dict[str, float],
    *,
    correct: bool,
) -> Figures:
    peaks = {party: round(peak / 2**20, 1) for party, peak in report.peak_rss.items()}
    return Figures(
        correct=correct,
        seconds=median(times["ours"]),
        rounds=report.rounds,
        bytes_sent=report.total_bytes,
        peak_rss_mb=max(peaks.values(), default=None),
        parties=COMPUTING[settings.protocol],
        against={
            name: {"seconds": median(found), "first_seconds": firsts[name]}
            for name, found in times.items()
            if name != "ours"
        },
        more={
            "first_seconds": firsts["ours"],
            "peak_rss_mb_by_party": peaks,
            "steps": [asdict(step) for step in first.steps],
        },
        notes=[
            f"first run, which compiles ({settings.rows:,} rows a side)",
            show.steps(first),
            "last run",
            show.steps(report),
        ],
    )
