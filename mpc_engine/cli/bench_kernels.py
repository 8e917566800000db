"""`mpc-engine bench` of single operations on shares: three processes over loopback, one thread a party.

Ours is the native replicated protocol, ``spu`` is SPU 0.9.5 under aby3 among the same processes, ``plaintext`` is numpy
in one of them. Each side's opened result is compared with numpy's first, which also warms up; then the sides run in
turn. Seconds of a run are those of the slowest party; a figure is the median over the runs. Making shares, connecting
and compiling are not timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, median_low
from typing import Any

import msgspec

from mpc_engine.cli.bench import Figures, Settings
from mpc_engine.cli.kernel_party import PARTIES, Hello, Order, Side
from mpc_engine.cli.kernel_procs import Processes
from mpc_engine.cli.kernel_table import KERNELS, Kernel, Size
from mpc_engine.errors import ConfigError
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.tcp import new_token

__all__ = ["DEFAULT_EXECUTOR", "SIDES", "measure"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR = None
"""Its parties are processes of its own."""
WAIT = 900.0
"""Seconds that a party waits for a message: longer than SPU computes between two of its own."""
LONGEST = 4 * 3600.0
_START = 60.0
_SPU_SORT_BITS = 62


def measure(workload: str, settings: Settings) -> Figures:
    """Compare with numpy, then time all sides in turn.

    Parameters
    ----------
    workload : str
        One of :data:`mpc_engine.cli.kernel_table.KERNELS`.
    settings : Settings

    Raises
    ------
    ConfigError
        MPC-0833 for an executor, another protocol than aby3, or bits that the workload does not take.
    MpcError
        MPC-0834 if a party fails.
    """
    size = _size(workload, settings)
    by_party = _run(workload, size, settings)
    sides = {name: _combine([report[name] for report in by_party]) for name in by_party[0]}
    ours, kernel = sides.pop("ours"), KERNELS[workload]
    per_row = 1 / kernel.items(size)
    return Figures(
        correct=ours["error"] <= kernel.bound,
        seconds=ours["seconds"],
        rounds=ours["rounds"],
        bytes_sent=ours["bytes_sent"],
        peak_rss_mb=ours["peak_rss_mb"],
        parties=len(PARTIES),
        against={name: _against(name, side, kernel, per_row) for name, side in sides.items()},
        more={
            "executor": "processes",
            "bits": size.bits,
            "columns": size.columns,
            "groups": size.groups,
            "transport": "tls" if settings.tls else "tcp",
            "threads": 1,
            "bytes_per_row": ours["bytes_sent"] * per_row,
            "cpu_seconds": ours["cpu_seconds"],
            **({"max_error": ours["error"]} if kernel.bound else {}),
        },
        notes=[_note("ours", ours, per_row, "TLS" if settings.tls else "plain TCP")]
        + [_note("spu", side, per_row, f"plain TCP; {kernel.spu}") for name, side in sides.items() if name == "spu"],
    )


def _size(workload: str, settings: Settings) -> Size:
    if (settings.executor, settings.protocol) != (DEFAULT_EXECUTOR, "aby3"):
        raise ConfigError(
            f"{workload} compares kernels: its parties are processes under aby3",
            code="MPC-0833",
            hint="leave --executor and --protocol out",
        )
    size, kernel = Size(settings.rows, settings.bits, settings.columns, settings.groups), KERNELS[workload]
    least, most = kernel.least_bits(size), kernel.most_bits
    if workload == "sort" and "spu" in settings.against:
        most = _SPU_SORT_BITS
    if not least <= size.bits <= most:
        raise ConfigError(f"{workload} takes {least} to {most} bits here, not {size.bits}", code="MPC-0833")
    return size


def _run(workload: str, size: Size, settings: Settings) -> list[dict[str, Side]]:
    """Return every side, by party."""
    sides = ["ours", *(side for side in SIDES if side in settings.against)]
    with PortReservation(len(PARTIES)) as reserved, Processes(len(PARTIES)) as processes:
        spu = [f"127.0.0.1:{port}" for port in reserved.ports] if "spu" in sides else []
        channels = [msgspec.json.decode(line, type=Hello) for line in processes.hear(_START)]
        token = new_token().hex()
        for rank in range(len(PARTIES)):
            order = Order(rank, channels, settings.tls, spu, token, workload, size, settings.repeat, sides, WAIT)
            processes.tell(rank, msgspec.json.encode(order))
        return [msgspec.json.decode(line, type=dict[str, Side]) for line in processes.hear(LONGEST)]


def _combine(parties: Sequence[Side]) -> dict[str, Any]:
    """Put one side's parties together: the slowest of each run, all bytes, then the median over the runs."""
    runs = list(zip(*(party.runs for party in parties), strict=True))
    return {
        "seconds": median(max(run.seconds for run in each) for each in runs),
        "cpu_seconds": median(sum(run.cpu_seconds for run in each) for each in runs),
        "rounds": median_low(max(run.rounds for run in each) for each in runs),
        "bytes_sent": median_low(sum(run.bytes_sent for run in each) for each in runs),
        "peak_rss_mb": round(max(run.peak_rss_mb for each in runs for run in each), 1),
        "error": max(party.error for party in parties),
        "runs": len(runs),
    }


def _note(name: str, side: dict[str, Any], per_row: float, how: str) -> str:
    sent = f"{side['rounds']:,} rounds, {side['bytes_sent'] * per_row:,.1f} bytes a row of all parties"
    runs = "1 run" if side["runs"] == 1 else f"{side['runs']} runs"
    return f"{name}: {runs}, {sent}, at most {side['peak_rss_mb']:,.0f} MiB a party; {how}"


def _against(name: str, side: dict[str, Any], kernel: Kernel, per_row: float) -> dict[str, Any]:
    if name == "plaintext":
        return {"seconds": side["seconds"], "cpu_seconds": side["cpu_seconds"], "runs": side["runs"]}
    figures = {key: value for key, value in side.items() if key != "error"}
    said = {"max_error": side["error"]} if kernel.bound else {}
    correct = side["error"] <= kernel.bound
    more = {"bytes_per_row": side["bytes_sent"] * per_row, "program": kernel.spu, "transport": "tcp"}
    return {**figures, **said, "correct": correct, **more}
