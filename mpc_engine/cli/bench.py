"""`mpc-engine bench`: workloads, each compared with its clear-text reference before it is timed."""

from __future__ import annotations

import difflib
import importlib
import json as json_module
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from mpc_engine.cli import show
from mpc_engine.errors import ConfigError

__all__ = ["WORKLOADS", "Figures", "Settings", "Workload", "run_bench"]

WORKLOADS = {
    "matmul": "a secret integer matrix times a secret one, exact in the ring: native kernel, SPU, numpy",
    "query": "merge, a filter across owners, group-by with mean, sum and count: two owners of N rows each",
}
"""What can be measured, and where: workload ``x`` is ``mpc_engine.cli.bench_x.measure``."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes
    ----------
    rows, repeat, columns, groups : int
    against : tuple of str
        Other sides, timed alternately with ours: ``spu``, ``plaintext``.
    protocol : str
    executor : str or None
        None: the workload's own choice.
    """

    rows: int = 10_000
    repeat: int = 3
    columns: int = 8
    groups: int = 8
    against: tuple[str, ...] = ()
    protocol: Literal["aby3", "cheetah", "plaintext"] = "aby3"
    executor: Literal["ray", "threads"] | None = None


@dataclass
class Figures:
    """What was measured.

    Attributes
    ----------
    correct : bool
        Ours equals the clear-text reference; compared before anything was timed.
    seconds : float
        Median of the timings, after a first run that compiles.
    rounds, bytes_sent : int
        Of one run; payload of all parties together.
    peak_rss_mb : float or None
        Of the largest party.
    parties : int
        Computing parties.
    against : dict
        Seconds of the other sides.
    ratio : dict
        ``spu``: theirs over ours; ``plaintext``: ours over theirs.
    more : dict
        Further figures of the workload.
    notes : list
        What to print above the JSON object.
    """

    correct: bool
    seconds: float
    rounds: int
    bytes_sent: int
    peak_rss_mb: float | None
    parties: int
    against: dict[str, dict[str, Any]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    notes: list[Any] = field(default_factory=list)

    @property
    def ratio(self) -> dict[str, float]:
        """How the sides compare."""
        times = {name: float(side["seconds"]) for name, side in self.against.items()}
        return {name: self.seconds / t if name == "plaintext" else t / self.seconds for name, t in times.items()}

    def to_json(self, workload: str, settings: Settings) -> str:
        """Return one JSON object."""
        document = {
            "workload": workload,
            "rows": settings.rows,
            "repeat": settings.repeat,
            "protocol": settings.protocol,
            "executor": settings.executor,
            "parties": self.parties,
            "correct": self.correct,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "bytes_sent": self.bytes_sent,
            "peak_rss_mb": self.peak_rss_mb,
            **self.more,
            "against": self.against,
            "ratio": self.ratio,
        }
        return json_module.dumps(document)


_SENSE = {"plaintext": "ours/theirs"}


class Workload(Protocol):
    """A module ``mpc_engine.cli.bench_x``."""

    SIDES: tuple[str, ...]
    DEFAULT_EXECUTOR: Literal["ray", "threads"]

    def measure(self, settings: Settings) -> Figures:
        """Compare, then time."""


def run_bench(workload: str, settings: Settings, *, json: bool) -> None:
    """Measure a workload and print its figures.

    Raises
    ------
    ConfigError
        For an unknown workload or side.
    """
    out = show.console()
    if workload == "list":
        out.print(show.grid("Workloads", ["name", "what"], WORKLOADS.items()))
        return
    if workload not in WORKLOADS:
        near = difflib.get_close_matches(workload, WORKLOADS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(WORKLOADS)}"
        raise ConfigError(f"no workload {workload!r}", code="MPC-0831", hint=hint)
    # A name out of the table above, never one that a user typed.
    module: Any = importlib.import_module(f"mpc_engine.cli.bench_{workload}")
    unknown = [side for side in settings.against if side not in module.SIDES]
    if unknown:
        raise ConfigError(
            f"{workload} cannot be measured against {unknown[0]!r}",
            code="MPC-0832",
            hint=f"against: {', '.join(module.SIDES)}",
        )
    settings = replace(settings, executor=settings.executor or module.DEFAULT_EXECUTOR)
    figures: Figures = module.measure(settings)
    for note in figures.notes:
        out.print(note)
    out.print(_summary(workload, figures))
    if json:
        print(figures.to_json(workload, settings))


def _summary(workload: str, figures: Figures) -> Any:
    rows: list[list[object]] = [["ours", f"{figures.seconds:.4g} s", ""]]
    rows += [
        [name, f"{side['seconds']:.4g} s", f"{figures.ratio[name]:.3g} x {_SENSE.get(name, 'theirs/ours')}"]
        for name, side in figures.against.items()
    ]
    title = f"{workload}: {'equal to the reference' if figures.correct else 'WRONG'}"
    return show.grid(title, ["side", "median", "ratio"], rows)
