"""Measures how sort, join and group-by grow with the number of rows, and writes docs/growth.md.

    python bench/growth.py [--repeat N] [--sizes 12,14,16,18,20] [--out FILE]

Every figure is one of `mpc-engine bench sort --json` and the like, compared with the clear-text result before it is
timed. The exponent b is that of rows^b, fitted to the logarithms by least squares.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

WORKLOADS = {
    "sort": "rows by a 32-bit key, with one 64-bit payload",
    "join": "foreign keys of 32 bits looked up among a quarter as many unique ones",
    "groupby": "sum, count, min and max by a 32-bit key, 1,000 groups",
}
LARGE = 14
"""Log2 of the rows from which times are fitted: below, rounds count more than rows."""

HEAD = """# Growth

Made by `python bench/growth.py`: three processes on one machine, one thread a party, protocol `aby3`, medians of
{repeat} runs. Every result was compared with the clear-text one before it was timed. Exponents are fitted to seconds
from 2^{large} rows on (below, the number of rounds decides) and to bytes of all sizes; memory is that of the largest
party.
"""


def bench(workload: str, rows: int, repeat: int) -> dict[str, Any]:
    """Run the bench in a process of its own; returns its JSON object."""
    more = ["--groups", str(rows // 4 if workload == "join" else min(1000, rows // 4))]
    more = [] if workload == "sort" else more
    command = [sys.executable, "-m", "mpc_engine.cli.main", "bench", workload, "--rows", str(rows), *more]
    done = subprocess.run(
        [*command, "--repeat", str(repeat), "--json"], stdout=subprocess.PIPE, text=True, check=True, timeout=1800
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if not found["correct"]:
        raise SystemExit(f"{workload} of {rows} rows is wrong")
    return found


def exponent(rows: list[int], values: list[float]) -> float:
    """The power of the number of rows by which values grow."""
    return float(np.polyfit(np.log(rows), np.log(values), 1)[0])


def section(workload: str, measured: dict[int, dict[str, Any]]) -> list[str]:
    """The table of one workload."""
    lines = [
        "",
        f"## {workload}",
        "",
        f"{WORKLOADS[workload].capitalize()}.",
        "",
        "| rows | s | rows/s | bytes a row | rounds | MiB a party |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for rows, one in measured.items():
        lines.append(
            f"| {rows:,} | {one['seconds']:.4f} | {rows / one['seconds']:,.0f} | {one['bytes_sent'] / rows:,.0f} "
            f"| {one['rounds']} | {one['peak_rss_mb']:.0f} |"
        )
    large = [rows for rows in measured if rows >= 1 << LARGE]
    seconds = exponent(large, [measured[rows]["seconds"] for rows in large])
    sent = exponent(list(measured), [measured[rows]["bytes_sent"] for rows in measured])
    first, last = large[0], large[-1]
    memory = (measured[last]["peak_rss_mb"] - measured[first]["peak_rss_mb"]) * 2**20 / (last - first)
    return [
        *lines,
        "",
        f"Seconds grow as rows^{seconds:.2f}, bytes as rows^{sent:.2f}; a row takes {memory:,.0f} bytes of memory.",
    ]


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sizes", default="12,14,16,18,20", help="powers of two")
    parser.add_argument("--out", type=Path, default=Path("docs/growth.md"))
    options = parser.parse_args()
    sizes = [1 << int(power) for power in options.sizes.split(",")]
    lines = [HEAD.format(repeat=options.repeat, large=LARGE)]
    for workload in WORKLOADS:
        lines += section(workload, {rows: bench(workload, rows, options.repeat) for rows in sizes})
    text = "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"
    options.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
