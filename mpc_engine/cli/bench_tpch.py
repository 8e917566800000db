"""The 22 queries of TPC-H, one or several, in a placement."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Literal

import mpc_engine as mpc
from mpc_compiler.options import COMPUTING
from mpc_engine.cli import show
from mpc_engine.cli.bench import Figures, Settings
from mpc_engine.cli.clear import Clear
from mpc_engine.cli.relational import Case, Measured, measure_cases
from mpc_engine.cli.tpch import TABLES, generate, options_of, query_text, sources

__all__ = ["DEFAULT_EXECUTOR", "SIDES", "figures_of", "measure"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR: Literal["ray", "threads"] | None = "ray"


def measure(workload: str, settings: Settings) -> Figures:
    """Compare with DuckDB, then time. ``tpch`` runs `settings.queries`, or all; ``tpch:q06`` runs one."""
    _, _, one = workload.partition(":q")
    numbers = (int(one),) if one else settings.queries or tuple(range(1, 23))
    folder = generate(settings.scale)
    cases = [Case(f"q{number:02}", query_text(number)) for number in numbers]
    clear = Clear({name: folder / f"{name}.parquet" for name in TABLES})
    kinds = {"ours": "auto"} | ({"spu": "spu"} if "spu" in settings.against else {})
    with ExitStack() as stack:
        stack.callback(clear.close)
        sessions: dict[str, mpc.Session] = {}
        for name, kernels in kinds.items():
            options: dict[str, Any] = {"kernels": kernels, **options_of(settings.placement)}
            session = mpc.Session.local(
                sources(folder, settings.placement),
                protocol=settings.protocol,
                executor=settings.executor or "ray",
                timeout=600,
                tls=settings.tls,
                **options,
            )
            sessions[name] = stack.enter_context(session).start()
        say = show.console().print if len(cases) > 1 else lambda text: None
        found = measure_cases(cases, sessions, clear, repeat=settings.repeat, say=say)
    return figures_of(found, settings)


def figures_of(found: list[Measured], settings: Settings) -> Figures:
    """Sum what the queries took."""
    against: dict[str, dict[str, Any]] = {}
    ran = all(one.correct for one in found)
    if "plaintext" in settings.against and ran:
        against["plaintext"] = {"seconds": sum(one.clear_seconds for one in found), "engine": "duckdb"}
    if "spu" in settings.against and ran:
        against["spu"] = {"seconds": sum(one.spu_seconds or 0.0 for one in found)}
    return Figures(
        correct=ran,
        seconds=sum(one.seconds for one in found),
        rounds=sum(one.rounds for one in found),
        bytes_sent=sum(one.bytes_sent for one in found),
        peak_rss_mb=max((peak for one in found for peak in one.peak_rss_mb.values()), default=None),
        parties=COMPUTING[settings.protocol],
        against=against,
        more={
            "scale": settings.scale,
            "placement": settings.placement,
            "first_seconds": sum(one.first_seconds for one in found),
            "queries": {
                one.name: {
                    "correct": one.correct,
                    "difference": one.difference,
                    "seconds": one.seconds,
                    "first_seconds": one.first_seconds,
                    "rounds": one.rounds,
                    "bytes_sent": one.bytes_sent,
                    "answer_rows": one.answer_rows,
                    "duckdb_seconds": one.clear_seconds,
                    "steps": one.steps,
                }
                for one in found
            },
        },
        notes=[_table(found), *(one.difference for one in found if one.difference)],
    )


def _table(found: list[Measured]) -> Any:
    rows = [
        [
            one.name,
            "equal" if one.correct else "WRONG",
            one.answer_rows,
            round(one.seconds, 3),
            round(one.first_seconds, 3),
            one.rounds,
            one.bytes_sent,
            round(one.clear_seconds, 4),
        ]
        for one in found
    ]
    names = ["query", "DuckDB", "rows", "seconds", "first run", "rounds", "bytes", "DuckDB s"]
    return show.grid("Queries", names, rows)
