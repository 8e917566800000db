"""Times the compiled kernels against their numpy reference on the same arrays.

    python bench/kernels.py [--repeat N] [--threads N] [--json]

Both sides are compared for equality first and then timed alternately; a figure is the median. With ``--json`` the
last line is one JSON object. Refuses to run where the kernels were not compiled.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import mpc_kernels
from mpc_kernels import _reference

# m, k, n. Few long rows are sums over groups and Hessians of a model; the last one is a general matrix product.
SHAPES = [(1, 200_000, 8), (8, 200_000, 8), (32, 100_000, 16), (64, 100_000, 1), (500, 500, 100)]

Ring = NDArray[np.uint64]


@dataclass(frozen=True)
class Row:
    """One comparison. Seconds are medians; `ratio` is numpy's over ours."""

    kernel: str
    m: int
    k: int
    n: int
    native_seconds: float
    numpy_seconds: float
    ratio: float
    products_per_second: float


def seconds(call: Callable[[], Ring]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(kernel: str, a: Ring, b: Ring, repeat: int, threads: int) -> Row:
    """Compare one kernel with its reference on one pair of arrays."""

    def native() -> Ring:
        result: Ring = getattr(mpc_kernels, kernel)(a, b, threads=threads)
        return result

    def reference() -> Ring:
        result: Ring = getattr(_reference, kernel)(a, b)
        return result

    if not np.array_equal(native(), reference()):
        sys.exit(f"{kernel} differs from its reference on shapes {a.shape} and {b.shape}")
    ours, theirs = zip(*((seconds(native), seconds(reference)) for _ in range(repeat)), strict=True)
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    fast, slow = median(ours), median(theirs)
    # A replicated local product is two ring products an element.
    products = m * k * n * (2 if a.ndim == 3 else 1)
    return Row(kernel, m, k, n, fast, slow, slow / fast, products / fast)


def run(repeat: int, threads: int) -> list[Row]:
    """Compare all kernels on all shapes."""
    rng = np.random.default_rng(0)
    rows = []
    for m, k, n in SHAPES:
        a = rng.integers(0, 2**64, (m, k, 2), dtype=np.uint64)
        b = rng.integers(0, 2**64, (k, n, 2), dtype=np.uint64)
        a0, b0 = np.ascontiguousarray(a[..., 0]), np.ascontiguousarray(b[..., 0])
        rows.append(measure("matmul64", a0, b0, repeat, threads))
        rows.append(measure("replicated_matmul_local", a, b, repeat, threads))
    return rows


def table(rows: list[Row], threads: int) -> Table:
    """Lay the comparisons out for people."""
    out = Table(title=f"kernels on {mpc_kernels.isa()}, {threads} thread(s), against numpy {np.__version__}")
    for name in ("kernel", "m x k x n", "native ms", "numpy ms", "ratio", "products/s"):
        out.add_column(name, justify="left" if name == "kernel" else "right")
    for row in rows:
        out.add_row(
            row.kernel,
            f"{row.m} x {row.k} x {row.n}",
            f"{row.native_seconds * 1e3:.2f}",
            f"{row.numpy_seconds * 1e3:.2f}",
            f"{row.ratio:.1f}",
            f"{row.products_per_second / 1e9:.2f} G",
        )
    return out


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Times the compiled kernels against their numpy reference.")
    parser.add_argument("--repeat", type=int, default=5, help="timings of each side (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the compiled side (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    if not mpc_kernels.NATIVE:
        sys.exit("the kernels were not compiled, so there is nothing to measure; run `make setup`")
    rows = run(options.repeat, options.threads)
    Console().print(table(rows, options.threads))
    if options.json:
        facts = {"workload": "kernels", "isa": mpc_kernels.isa(), "threads": options.threads, "cpus": os.cpu_count()}
        print(json.dumps({**facts, "repeat": options.repeat, "correct": True, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
