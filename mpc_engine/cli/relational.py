"""Measures relational queries: each against DuckDB in the clear on the same data, compared before it is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from mpc_engine.cli.clear import BOUND, Clear, difference
from mpc_engine.errors import MpcError

if TYPE_CHECKING:
    import pandas as pd

    from mpc_engine.observe import RunReport
    from mpc_engine.session import Session

__all__ = ["Case", "Measured", "measure_cases"]


class Case(NamedTuple):
    """A query: its name, its SQL, and how far its averages may be off."""

    name: str
    sql: str
    bound: float = BOUND


@dataclass
class Measured:
    """What one query took.

    Attributes
    ----------
    name : str
    difference : str
        How the result differs from DuckDB's; empty if it does not. An error where there was no result.
    first_seconds, seconds : float
        Of the first run, which compiles; median of the others.
    rounds, bytes_sent : int
        Of one run; all parties together.
    answer_rows : int
    peak_rss_mb : dict
        By party, so far.
    clear_seconds : float
        DuckDB, one thread.
    spu_seconds : float or None
        The same plan with SPU alone.
    steps : list of dict
        Of the last run.
    """

    name: str
    difference: str = ""
    first_seconds: float = 0.0
    seconds: float = 0.0
    rounds: int = 0
    bytes_sent: int = 0
    answer_rows: int = 0
    peak_rss_mb: dict[str, float] = field(default_factory=dict)
    clear_seconds: float = 0.0
    spu_seconds: float | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def correct(self) -> bool:
        """Whether the result equals DuckDB's."""
        return not self.difference


Say = Callable[[str], None]


def measure_cases(
    cases: Sequence[Case], sessions: Mapping[str, Session], clear: Clear, *, repeat: int, say: Say = lambda text: None
) -> list[Measured]:
    """Compare, then time the sessions ``ours`` and, if there is one, ``spu``, and DuckDB alternately.

    An error of one query is its result, and does not stop the others.
    """
    found = []
    for case in cases:
        one = Measured(case.name)
        try:
            _measure(one, case, sessions, clear, repeat)
        except MpcError as error:
            one.difference = f"{type(error).__name__}: {error}"
        said = f"{one.seconds:.2f} s, first {one.first_seconds:.2f} s, {one.rounds:,} rounds, {one.bytes_sent:,} bytes"
        say(f"{case.name}: {said}" if one.correct else f"{case.name}: WRONG: {one.difference}")
        found.append(one)
    return found


def _measure(one: Measured, case: Case, sessions: Mapping[str, Session], clear: Clear, repeat: int) -> None:
    answer = clear.answer(case.sql)
    one.answer_rows = len(answer.rows)
    for name, session in sessions.items():
        seconds, frame = _timed(session, case.sql)
        if name == "ours":
            one.first_seconds = one.seconds = seconds
            _keep(one, session.last_run)
        one.difference = one.difference or difference(frame, answer, bound=case.bound)
    times: dict[str, list[float]] = {name: [] for name in (*sessions, "clear")}
    for _ in range(repeat):
        for name, session in sessions.items():
            times[name].append(_timed(session, case.sql)[0])
        times["clear"].append(_clear_timed(clear, case.sql))
    if repeat:
        one.seconds, one.clear_seconds = median(times["ours"]), median(times["clear"])
        one.spu_seconds = median(times["spu"]) if "spu" in times else None
        _keep(one, sessions["ours"].last_run)


def _keep(one: Measured, report: RunReport | None) -> None:
    assert report is not None
    one.rounds, one.bytes_sent = report.rounds, report.total_bytes
    one.peak_rss_mb = {party: round(peak / 2**20, 1) for party, peak in report.peak_rss.items()}
    one.steps = [asdict(step) for step in report.steps]


def _timed(session: Session, sql: str) -> tuple[float, pd.DataFrame]:
    began = time.perf_counter()
    found = session.sql(sql).collect()
    return time.perf_counter() - began, found


def _clear_timed(clear: Clear, sql: str) -> float:
    began = time.perf_counter()
    clear.answer(sql)
    return time.perf_counter() - began
