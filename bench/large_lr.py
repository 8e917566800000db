"""Fits a logistic regression that is too large to copy about, and says what it took.

    python bench/large_lr.py [--rows N] [--features P] [--folder DIR]

Two owners hold half of the features each, as Parquet files that only they read. The fit runs under `aby3`, three
processes on this machine. It is compared with Newton's method in the clear, which reads the files by parts. Memory is
that of all processes together, this one and Ray's too, as the kernel counts it: shared pages once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import mpc_engine as mpc
from mpc_engine.ml import LogisticRegression

PART = 20_000
"""Rows written and read at a time."""
_EVERY = 4
"""Seconds between looks at memory: the kernel walks all pages for one."""
BANK, PARTNER = "bank.parquet", "partner.parquet"

Floats = NDArray[np.float64]


def write(folder: Path, rows: int, features: int, seed: int = 0) -> None:
    """Write both owners' files: keys, features, and at the bank the target."""
    rng = np.random.default_rng(seed)
    weights, half = rng.normal(size=features) / np.sqrt(features), features // 2
    writers: dict[str, pq.ParquetWriter] = {}
    for first in range(0, rows, PART):
        x = rng.normal(size=(min(PART, rows - first), features)).round(3).clip(-4, 4)
        bad = rng.random(len(x)) < 1 / (1 + np.exp(1 - x @ weights))
        keys = np.arange(first, first + len(x))
        for name, columns in ((BANK, range(half)), (PARTNER, range(half, features))):
            held = {"id": keys, **{f"x{at}": x[:, at] for at in columns}}
            part = pa.table({**held, "bad": bad.astype(np.int64)} if name == BANK else held)
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / name, part.schema)
            writers[name].write_table(part)
    for writer in writers.values():
        writer.close()


def holds(folder: Path, rows: int, features: int) -> bool:
    """Whether both owners' files are there, with so many rows and features."""
    if not all((folder / name).exists() for name in (BANK, PARTNER)):
        return False
    found = [pq.ParquetFile(folder / name).metadata for name in (BANK, PARTNER)]
    widths = [features // 2 + 2, features - features // 2 + 1]  # the key, and the target
    return [(each.num_rows, each.num_columns) for each in found] == [(rows, width) for width in widths]


class Memory:
    """Looks now and then at how much memory this process and all that it started take; `peak` in bytes."""

    def __init__(self) -> None:
        self.peak, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            self.peak = max(self.peak, sum(map(_proportional, _family(os.getpid()))))


def _family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _proportional(pid: int) -> int:
    """Bytes of a process, of shared pages its part; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


def parts(folder: Path) -> Iterator[tuple[Floats, Floats]]:
    """Read matrix (with a column of ones) and target by parts."""
    files = [pq.ParquetFile(folder / name).iter_batches(PART) for name in (BANK, PARTNER)]
    for left, right in zip(*files, strict=True):
        target = left.column("bad").to_numpy()
        held = [
            c.to_numpy() for b in (left, right) for n, c in zip(b.schema.names, b.columns, strict=True) if n[0] == "x"
        ]
        yield np.column_stack([np.ones(len(target)), *held]), target.astype(float)


def newton(folder: Path, features: int) -> tuple[Floats, Floats]:
    """Return the coefficients of maximum likelihood and their standard errors, intercept first."""
    beta = np.zeros(features + 1)
    for _ in range(12):
        hessian, score = np.zeros((features + 1, features + 1)), np.zeros(features + 1)
        for x, y in parts(folder):
            p = 1 / (1 + np.exp(-x @ beta))
            score += x.T @ (y - p)
            hessian += (x * (p * (1 - p))[:, None]).T @ x
        step = np.linalg.solve(hessian, score)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return beta, np.sqrt(np.diag(np.linalg.inv(hessian)))


def fit(folder: Path, features: int) -> tuple[Any, mpc.Session, float]:
    """Fit on shares; returns the released model, the session, which stays open, and the seconds."""
    sources: dict[str, dict[str, Any]] = {
        "bank": {"clients": str(folder / BANK)},
        "partner": {"behaviour": str(folder / PARTNER)},
    }
    session = mpc.Session.local(sources, protocol="aby3", executor="ray", timeout=3600)
    began = time.perf_counter()
    joint = session.table("bank.clients").merge(session.table("partner.behaviour"), on="id")
    model = LogisticRegression().fit(joint[[f"x{at}" for at in range(features)]], joint["bad"]).reveal()
    return model, session, time.perf_counter() - began


def main() -> None:
    """Measure; print what the fit took, then how near it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--features", type=int, default=900)
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = settings.folder or Path(made)
        folder.mkdir(exist_ok=True)
        if not holds(folder, settings.rows, settings.features):
            write(folder, settings.rows, settings.features)
        with Memory() as memory:
            model, session, seconds = fit(folder, settings.features)
        report = session.last_run
        assert report is not None
        session.close()
        kinds = [{"step": s.what.split(": ")[-1], "seconds": s.seconds, "bytes": s.bytes, "n": 1} for s in report.steps]
        print(pd.DataFrame(kinds).groupby("step").sum().nlargest(12, "seconds").round(2))
        print(json.dumps({
            "rows": settings.rows, "features": settings.features, "seconds": round(seconds, 1), "rounds": report.rounds,
            "bytes_sent": report.total_bytes, "peak_mb": {k: round(v / 2**20) for k, v in report.peak_rss.items()},
            "peak_mb_together": round(memory.peak / 2**20), "converged": model.converged_,
        }), flush=True)  # fmt: skip
        beta, errors = newton(folder, settings.features)
    found = np.concatenate([np.ravel(model.intercept_), np.ravel(model.coef_)])
    print(json.dumps({
        "coefficient_error_in_se": float(np.abs((found - beta) / errors).max()),
        "se_error": float(np.abs(np.ravel(model.bse_) / errors - 1).max()),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
