"""Measures TPC-H in all placements and three queries of research engines, and writes docs/tpch.md.

    python bench/tpch.py [--scale S] [--repeat N] [--rows N,N] [--executor ray|threads] [--out FILE]

Every figure is one of `mpc-engine bench tpch --json` or `mpc-engine bench credit_score --json` and the like, each in a
process of its own: compared with DuckDB before it is timed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

PLACEMENTS = ("owners", "rows", "secret")
RESEARCH = ("credit_score", "market_share", "password_reuse")
BEST = {"credit_score": (11.8, 13_260), "market_share": (9.0, 11_700), "password_reuse": (15.8, 22_180)}
"""Seconds and bytes a row of the best research engines at 2^18 rows, on two cores of this kind, without TLS."""

HEAD = """# TPC-H

Made by `python bench/tpch.py`: {scale_text}, {executor}, protocol `aby3`, three
computing parties on one machine of {cores}. Every result was compared with DuckDB's on the same data before it was
timed: decimals and whole numbers equal, averages and quotients within 2^-16. Seconds are medians of {repeat} runs
after a first one, which compiles; bytes are those of all parties together.

The queries are those of the specification with its validation parameters, as SQL: `mpc_engine/cli/tpch`. Eight of them
are written in pandas' way in `examples/tpch.py`.

- `owners`: customer, orders and lineitem at one owner, the rest at another. Owners compute what they can; keys that
  are unique at both are intersected.
- `rows`: every table is divided by rows between two owners. Owners filter, compute and add up what they can; joins are
  made on shares.
- `secret`: as `owners`, but all inputs are shared and everything is computed on shares. Owners compute only what cannot
  be: `LIKE` and `SUBSTRING`.
"""


def bench(*arguments: str) -> dict[str, Any]:
    """Run the bench in a process of its own; returns its JSON object."""
    command = [sys.executable, "-m", "mpc_engine.cli.main", "bench", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def mebibytes(count: float) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:.1f}"


def kinds_of_steps(steps: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds of a run by what was done: kernels by name, regions of SPU, channels, DuckDB."""
    found: dict[str, float] = defaultdict(float)
    for step in steps:
        name = step["what"].split(": ")[-1] if step["engine"] == "native" else step["engine"]
        found[name] += step["seconds"]
    return found


def dominant(steps: list[dict[str, Any]]) -> str:
    """The two kinds of steps that take longest, with their parts of the whole."""
    found = kinds_of_steps(steps)
    whole = sum(found.values()) or 1.0
    best = sorted(found.items(), key=lambda entry: -entry[1])[:2]
    return ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in best)


def queries(measured: dict[str, dict[str, Any]]) -> list[str]:
    """The table of all queries."""
    lines = [
        "| query | " + " | ".join(f"{p}: s | MiB | rounds" for p in PLACEMENTS) + " | DuckDB s | `secret` is mostly |",
        "|---|" + "---:|---:|---:|" * len(PLACEMENTS) + "---:|---|",
    ]
    for name in measured["secret"]["queries"]:
        cells = []
        for placement in PLACEMENTS:
            one = measured[placement]["queries"][name]
            if not one["correct"]:
                raise SystemExit(f"{name} in {placement}: {one['difference']}")
            cells += [f"{one['seconds']:.2f}", mebibytes(one["bytes_sent"]), f"{one['rounds']:,}"]
        one = measured["secret"]["queries"][name]
        lines.append(
            f"| {name} | " + " | ".join(cells) + f" | {one['duckdb_seconds']:.3f} | {dominant(one['steps'])} |"
        )
    cells = []
    for placement in PLACEMENTS:
        whole = measured[placement]
        cells += [f"{whole['seconds']:.1f}", mebibytes(whole["bytes_sent"]), f"{whole['rounds']:,}"]
    lines.append("| all | " + " | ".join(cells) + f" | {measured['secret']['against']['plaintext']['seconds']:.2f} | |")
    firsts = ", ".join(f"{measured[p]['first_seconds']:.0f} s in `{p}`" for p in PLACEMENTS)
    return [*lines, "", f"All first runs together, compilation included: {firsts}."]


def alone(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Queries that one owner answers alone, against DuckDB."""
    whole = measured["owners"]["queries"]
    found = {name: one for name, one in whole.items() if one["bytes_sent"] < 50_000 and not computed(one["steps"])}
    if not found:
        return []
    names = ", ".join(found)
    extra = [one["seconds"] - 2 * one["duckdb_seconds"] for one in found.values()]
    return [
        "",
        "## Push-down",
        "",
        f"In `owners`, one owner can answer {names} alone, in its own DuckDB. Beyond twice what DuckDB takes in the "
        f"clear, they take {min(extra):.2f} to {max(extra):.2f} s, whatever the query: plans, digests and processes.",
    ]


def computed(steps: list[dict[str, Any]]) -> bool:
    """Whether anything was computed on shares."""
    return any(step["engine"] in ("native", "spu") for step in steps)


def where_time_goes(measured: dict[str, dict[str, Any]]) -> list[str]:
    """What dominates the placement secret."""
    found: dict[str, float] = defaultdict(float)
    for one in measured["secret"]["queries"].values():
        for name, seconds in kinds_of_steps(one["steps"]).items():
            found[name] += seconds
    whole = sum(found.values())
    lines = [
        "",
        "## What dominates",
        "",
        "Seconds of all queries in `secret`, by step:",
        "",
        "| step | s | % |",
        "|---|---:|---:|",
    ]
    for name, seconds in sorted(found.items(), key=lambda entry: -entry[1])[:10]:
        lines.append(f"| {name} | {seconds:.2f} | {100 * seconds / whole:.0f} |")
    return lines


def research(sizes: list[int], executor: str, repeat: int) -> list[str]:
    """The table of the three queries of research engines."""
    lines = [
        "",
        "## Credit score, market share, password reuse",
        "",
        "`mpc-engine bench credit_score`, `market_share`, `password_reuse`: all inputs secret-shared, no push-down. "
        "The best research engines, 2^18 rows on two cores of this kind over shared memory: "
        + ", ".join(f"{name} {s} s and {b:,} bytes a row" for name, (s, b) in BEST.items())
        + ".",
        "",
        "| query | rows | s | first run | bytes a row | rounds | DuckDB s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in RESEARCH:
        for rows in sizes:
            found = bench(
                name, "--rows", str(rows), "--repeat", str(repeat), "--executor", executor, "--against", "plaintext"
            )
            if not found["correct"]:
                raise SystemExit(f"{name}: {found['difference']}")
            lines.append(
                f"| {name} | {rows:,} | {found['seconds']:.2f} | {found['first_seconds']:.1f} | "
                f"{found['bytes_per_row']:,.0f} | {found['rounds']} | {found['against']['plaintext']['seconds']:.3f} |"
            )
    return lines


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Measures TPC-H in all placements and writes docs/tpch.md.")
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", default="65536,262144", help="rows of the queries of research engines")
    parser.add_argument("--executor", default="ray")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "tpch.md")
    options = parser.parse_args()
    measured = {
        placement: bench(
            "tpch", "--scale", str(options.scale), "--placement", placement, "--repeat", str(options.repeat),
            "--executor", options.executor, "--against", "plaintext",
        )
        for placement in PLACEMENTS
    }  # fmt: skip
    head = HEAD.format(
        scale_text=f"scale factor {options.scale:g}",
        executor="a process for each party" if options.executor == "ray" else "parties as threads of one process",
        cores="two cores",
        repeat=options.repeat,
    )
    sizes = [int(rows) for rows in options.rows.split(",") if rows]
    lines = [
        head,
        *queries(measured),
        *where_time_goes(measured),
        *alone(measured),
        *research(sizes, options.executor, options.repeat),
    ]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
