"""Run reports: measured seconds, rounds and bytes by step, and everything that was disclosed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mpc_engine.observe.chart import Chart

__all__ = [
    "Expected",
    "PartyStep",
    "RunReport",
    "Section",
    "Step",
    "Table",
    "human_bytes",
    "human_seconds",
    "longest_steps",
    "merge_steps",
]


@dataclass(frozen=True, slots=True)
class PartyStep:
    """One step as one party measured it.

    Attributes
    ----------
    party : str
    what : str
        What was done, in the user's words ("join on customer_id").
    engine : str
        What did it: ``duckdb``, ``psi``, ``spu``, ``native``, ``jax``, ``shares``, ``release``.
    seconds : float
    rounds : int
        Dependent messages in a row.
    bytes_sent : int
        Payload bytes that this party sent.
    """

    party: str
    what: str
    engine: str
    seconds: float
    rounds: int = 0
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run over all parties.

    Attributes
    ----------
    what : str
    engine : str
    seconds : float
        Of the slowest party.
    rounds : int
        Of the party with the most.
    bytes : int
        Sent by all parties together.
    """

    what: str
    engine: str
    seconds: float
    rounds: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run was estimated to cost before it began, from upper bounds of its row counts.

    Attributes
    ----------
    seconds : float
        With all parties on one machine, compilation not counted.
    rounds : int
    bytes : int
        Sent by all parties together.
    """

    seconds: float
    rounds: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Table:
    """A small table in a report: a result, a model summary.

    Attributes
    ----------
    columns : Sequence[str]
    rows : Sequence[Sequence[object]]
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


Section = str | Table | Chart | Sequence[Chart]


def merge_steps(measured: Mapping[str, Sequence[PartyStep]]) -> tuple[list[Step], dict[str, int]]:
    """Combine what the parties measured: seconds and rounds of the slowest, bytes of all.

    For steps of messages alone (engine ``channel``) it is the seconds of the fastest: the others waited.

    Parameters
    ----------
    measured : Mapping[str, Sequence[PartyStep]]
        Steps by party, each in its order of execution. Steps that several parties took part in are matched by name,
        engine and occurrence; a step of one party alone (a local query) comes just before its next common step.

    Returns
    -------
    steps : list[Step]
    bytes_sent : dict[str, int]
        Payload bytes by party.

    Examples
    --------
    >>> a = [PartyStep("a", "query", "duckdb", 0.5), PartyStep("a", "join", "spu", 1.0, 3, 10)]
    >>> b = [PartyStep("b", "join", "spu", 1.5, 3, 20)]
    >>> steps, sent = merge_steps({"a": a, "b": b})
    >>> steps[1], sent
    (Step(what='join', engine='spu', seconds=1.5, rounds=3, bytes=30), {'a': 10, 'b': 20})
    """
    merged: dict[tuple[str, str, int], Step] = {}
    order: list[tuple[str, str, int]] = []
    for steps in measured.values():
        alone: list[tuple[str, str, int]] = []
        for key, step in _numbered(steps):
            if key in merged:
                place = order.index(key)
                order[place:place], alone = alone, []
                merged[key] = _slowest(merged[key], step)
            else:
                alone.append(key)
                merged[key] = Step(step.what, step.engine, step.seconds, step.rounds, step.bytes_sent)
        order += alone
    sent = {party: sum(step.bytes_sent for step in steps) for party, steps in measured.items()}
    return [merged[key] for key in order], sent


def longest_steps(steps: Sequence[Step], most: int = 30) -> list[Step]:
    """Return the steps that took longest, in their order, and one that adds up all others.

    Parameters
    ----------
    steps : Sequence[Step]
    most : int
        How many rows there may be.

    Examples
    --------
    >>> steps = [Step("mul", "native", 0.5), Step("lt", "native", 0.25), Step("add", "jax", 0.25)]
    >>> found = longest_steps(steps, most=2)
    >>> [(step.what, step.seconds) for step in found]
    [('mul', 0.5), ('2 shorter steps', 0.5)]
    """
    if len(steps) <= most:
        return list(steps)
    kept = set(sorted(range(len(steps)), key=lambda at: -steps[at].seconds)[: most - 1])
    rest = [step for at, step in enumerate(steps) if at not in kept]
    others = Step(
        f"{len(rest):,} shorter steps",
        "",
        sum(step.seconds for step in rest),
        sum(step.rounds for step in rest),
        sum(step.bytes for step in rest),
    )
    return [*(step for at, step in enumerate(steps) if at in kept), others]


def _numbered(steps: Iterable[PartyStep]) -> Iterable[tuple[tuple[str, str, int], PartyStep]]:
    seen: dict[tuple[str, str], int] = {}
    for step in steps:
        name = (step.what, step.engine)
        seen[name] = seen.get(name, 0) + 1
        yield (*name, seen[name]), step


def _slowest(one: Step, other: PartyStep) -> Step:
    # In a step of messages alone, what a party needs beyond the fastest is time it waited for the others' earlier work,
    # which their own steps show.
    seconds = min if one.engine == "channel" else max
    return Step(
        one.what,
        one.engine,
        seconds(one.seconds, other.seconds),
        max(one.rounds, other.rounds),
        one.bytes + other.bytes_sent,
    )


@dataclass(slots=True)
class RunReport:
    """What one run did, measured, and all that it disclosed.

    Attributes
    ----------
    title : str
    executor : str
    protocol : str
    seconds : float
        Wall time seen by the caller.
    rounds : int
        Sum over the steps.
    bytes_sent : dict[str, int]
        Payload bytes by party.
    steps : list[Step]
    disclosed : list[object]
        Disclosures; ``str`` of each is a sentence: what, to whom, why.
    plan : str
        The plan as text.
    peak_rss : dict[str, int]
        Most memory that each party's process has held so far, in bytes. Under ``threads`` all parties are one process.
    errors : dict[str, dict[str, float]]
        For each result, bounds of the absolute errors of its floats, where they were computed on shares.
    expected : Callable[[], Expected] | None
        Makes the estimate that :meth:`Session.explain` gives too, when it is asked for; :meth:`to_html` shows it beside
        what was measured.
    sections : dict[str, Section]
        Further parts for :meth:`to_html`, by title: text, a :class:`Table`, a chart or several, for instance those of
        an evaluation or a score card: ``session.last_run.sections |= report.sections()``.

    Examples
    --------
    >>> RunReport(seconds=1.5, bytes_sent={"a": 2048}, steps=[Step("join", "spu", 1.2, 3, 2048)])
    run: 1.50 s, 3 rounds, 2.0 KiB sent
      join  spu  1.20 s  3 rounds  2.0 KiB
    disclosed: nothing
    """

    title: str = "run"
    executor: str = ""
    protocol: str = ""
    seconds: float = 0.0
    bytes_sent: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    disclosed: list[object] = field(default_factory=list)
    plan: str = ""
    sections: dict[str, Section] = field(default_factory=dict)
    peak_rss: dict[str, int] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    expected: Callable[[], Expected] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_parties(
        cls,
        measured: Mapping[str, Sequence[PartyStep]],
        *,
        seconds: float,
        disclosed: Iterable[object] = (),
        title: str = "run",
        executor: str = "",
        protocol: str = "",
        plan: str = "",
        peak_rss: Mapping[str, int] | None = None,
        errors: Mapping[str, dict[str, float]] | None = None,
        expected: Callable[[], Expected] | None = None,
    ) -> RunReport:
        """Return the report of a run from the measurements of all parties; see :func:`merge_steps`."""
        steps, sent = merge_steps(measured)
        memory = dict(peak_rss or {})
        return cls(
            title,
            executor,
            protocol,
            seconds,
            sent,
            steps,
            list(disclosed),
            plan,
            peak_rss=memory,
            errors=dict(errors or {}),
            expected=expected,
        )

    @property
    def rounds(self) -> int:
        """Rounds of all steps."""
        return sum(step.rounds for step in self.steps)

    @property
    def total_bytes(self) -> int:
        """Payload bytes sent by all parties."""
        return sum(self.bytes_sent.values())

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML page (no scripts, nothing loaded from elsewhere) and return its path."""
        from mpc_engine.observe.page import page

        target = Path(path)
        target.write_text(page(self), encoding="utf-8")
        return target

    def __repr__(self) -> str:
        rows = [
            (step.what, step.engine, human_seconds(step.seconds), f"{step.rounds} rounds", human_bytes(step.bytes))
            for step in longest_steps(self.steps)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        disclosed = [f"  {item}" for item in self.disclosed]
        head = (
            f"{self.title}: {human_seconds(self.seconds)}, {self.rounds} rounds, {human_bytes(self.total_bytes)} sent"
        )
        return "\n".join([head, *lines, "disclosed:" if disclosed else "disclosed: nothing", *disclosed])

    def _repr_html_(self) -> str:
        from mpc_engine.observe.page import fragment

        return fragment(self)


def human_bytes(count: float) -> str:
    """Return a size for people.

    Examples
    --------
    >>> human_bytes(999), human_bytes(5_000_000)
    ('999 B', '4.8 MiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    power = min((int(count).bit_length() - 1) // 10, 3)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"


def human_seconds(seconds: float) -> str:
    """Return a duration for people.

    Examples
    --------
    >>> human_seconds(0.0123), human_seconds(1.5), human_seconds(75)
    ('12.3 ms', '1.50 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
