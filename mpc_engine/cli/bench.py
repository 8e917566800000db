"""`mpc-engine bench`: workloads, each compared with its clear-text reference before it is timed."""

from __future__ import annotations

import difflib
import importlib
import json as json_module
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, cast

from mpc_engine.cli import show
from mpc_engine.errors import ConfigError

__all__ = ["WORKLOADS", "Figures", "Settings", "Spec", "list_workloads", "query_numbers", "run_bench", "settings_of"]


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
    bits : int
        Of a key or number, for workloads that have one.
    tls : bool
        Whether our links are encrypted, for workloads that leave the choice.
    scale : float
        Of TPC-H.
    placement : {"owners", "rows", "secret"}
        Who holds which tables, and whether owners compute what they can.
    queries : tuple of int
        Of TPC-H; empty: all.
    features, depth, bins, trees : int
        Of models.
    """

    rows: int = 10_000
    repeat: int = 3
    columns: int = 8
    groups: int = 8
    against: tuple[str, ...] = ()
    protocol: Literal["aby3", "cheetah", "plaintext"] = "aby3"
    executor: Literal["ray", "threads"] | None = None
    bits: int = 32
    tls: bool = False
    scale: float = 0.01
    placement: Literal["owners", "rows", "secret"] = "secret"
    queries: tuple[int, ...] = ()
    features: int = 10
    depth: int = 4
    bins: int = 8
    trees: int = 1


class Spec(NamedTuple):
    """A workload: the module that has its ``measure``, what it is, and the settings it has unless told otherwise."""

    module: str
    about: str
    defaults: Settings


_MANY = Settings(rows=1_000_000)
_SECRET = Settings(rows=1 << 16)

WORKLOADS = {
    "sort": Spec("kernels", "rows by a secret key of --bits bits, with one 64-bit payload", Settings(rows=100_000)),
    "shuffle": Spec("kernels", "--columns columns moved by a secret permutation", replace(_MANY, columns=4)),
    "compaction": Spec("kernels", "rows that a secret bit flags moved to the front", replace(_MANY, columns=1)),
    "groupby": Spec(
        "kernels",
        "sum, count, minimum and maximum by a secret key of --bits bits, of which --groups occur",
        Settings(rows=100_000, groups=1000),
    ),
    "join": Spec(
        "kernels",
        "rows with a foreign key of --bits bits joined to --groups rows with a unique key and --columns columns",
        Settings(rows=100_000, groups=25_000, columns=1),
    ),
    "multiply": Spec("kernels", "two columns, exact in the ring", _MANY),
    "fixed_multiply": Spec("kernels", "two fixed-point columns, truncated", _MANY),
    "a2b": Spec("kernels", "the low --bits bits of a column", _MANY),
    "compare": Spec("kernels", "less-than of two columns of numbers of --bits bits", _MANY),
    "equal": Spec("kernels", "equality of two columns of numbers of --bits bits", _MANY),
    "matmul": Spec(
        "kernels",
        "a --groups x --rows integer matrix times a --rows x --columns one, exact in the ring",
        Settings(rows=1000, groups=1000, columns=100),
    ),
    "fixed_matmul": Spec(
        "kernels", "the same of fixed-point matrices, truncated", Settings(rows=1000, groups=1000, columns=100)
    ),
    "sigmoid": Spec("kernels", "the logistic function of fixed-point numbers", _MANY),
    "query": Spec(
        "query",
        "merge, a filter across owners, group-by with mean, sum and count: two owners of N rows each",
        Settings(),
    ),
    "credit_score": Spec("research", "users whose scores of a year lie far apart: group-by, MIN, MAX, HAVING", _SECRET),
    "market_share": Spec("research", "squared revenue of companies by market, over the rows of three owners", _SECRET),
    "password_reuse": Spec("research", "users with one password at two sites", _SECRET),
    "lr": Spec("models", "logistic regression on --features columns of two owners", Settings(repeat=1)),
    "glm": Spec("models", "Poisson regression on --features columns of two owners", Settings(repeat=1)),
    "woe": Spec("models", "--bins bins of --features columns of two owners, WOE and IV", Settings(repeat=1)),
    "gbdt": Spec(
        "models", "--trees boosted trees of --depth levels on --features columns in --bins bins", Settings(repeat=1)
    ),
    "tpch": Spec("tpch", "the queries of TPC-H, or those of --queries, in a --placement", Settings(repeat=1)),
    **{f"tpch:q{n:02}": Spec("tpch", f"query {n} of TPC-H in a --placement", Settings(repeat=1)) for n in range(1, 23)},
}
"""What can be measured."""


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


class Measuring(Protocol):
    """A module ``mpc_engine.cli.bench_x``."""

    SIDES: tuple[str, ...]
    DEFAULT_EXECUTOR: Literal["ray", "threads"] | None

    def measure(self, workload: str, settings: Settings) -> Figures:
        """Compare, then time."""


def settings_of(workload: str, **given: Any) -> Settings:
    """Return a workload's settings: its own, except what is given and not None.

    Raises
    ------
    ConfigError
        MPC-0831 for an unknown workload.

    Examples
    --------
    >>> settings_of("shuffle", rows=10, bits=None).columns
    4
    """
    return replace(_spec(workload).defaults, **{name: value for name, value in given.items() if value is not None})


def query_numbers(text: str) -> tuple[int, ...] | None:
    """Return the numbers in a list such as "1,3,6"; None for an empty one.

    Raises
    ------
    ConfigError
        MPC-0831 for what is no query of TPC-H.

    Examples
    --------
    >>> query_numbers("1, 3,q06")
    (1, 3, 6)
    """
    parts = [part.strip().lower().removeprefix("q") for part in text.split(",") if part.strip()]
    for part in parts:
        if not part.isdecimal() or not 1 <= int(part) <= 22:
            raise ConfigError(f"TPC-H has no query {part!r}", code="MPC-0831", hint="1 to 22")
    return tuple(map(int, parts)) or None


def _spec(workload: str) -> Spec:
    if workload not in WORKLOADS:
        near = difflib.get_close_matches(workload, WORKLOADS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(WORKLOADS)}"
        raise ConfigError(f"no workload {workload!r}", code="MPC-0831", hint=hint)
    return WORKLOADS[workload]


def list_workloads() -> None:
    """Print what there is."""
    rows = [[name, spec.about] for name, spec in WORKLOADS.items()]
    show.console().print(show.grid("Workloads", ["name", "what"], rows))


def run_bench(workload: str, settings: Settings, *, json: bool) -> None:
    """Measure a workload and print its figures.

    Raises
    ------
    ConfigError
        For an unknown workload or side.
    """
    out = show.console()
    # A name out of the table above, never one that a user typed.
    module: Measuring = cast(Any, importlib.import_module(f"mpc_engine.cli.bench_{_spec(workload).module}"))
    unknown = [side for side in settings.against if side not in module.SIDES]
    if unknown:
        raise ConfigError(
            f"{workload} cannot be measured against {unknown[0]!r}",
            code="MPC-0832",
            hint=f"against: {', '.join(module.SIDES)}",
        )
    settings = replace(settings, executor=settings.executor or module.DEFAULT_EXECUTOR)
    figures = module.measure(workload, settings)
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
