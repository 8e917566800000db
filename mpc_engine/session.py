"""Sessions: tables of several owners, and the parties that compute over them."""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mpc_compiler.ir import REQUESTER, Output, Plan, Rel, Scan, make, walk
from mpc_engine.config import LocalConfig
from mpc_engine.errors import ConfigError, MpcError, SchemaError, UnsupportedError
from mpc_engine.frame.base import Lazy, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import caller, locate, mark, placed
from mpc_engine.observe import Expected, PartyStep, RunReport
from mpc_engine.observe.events import Progress

if TYPE_CHECKING:
    from mpc_compiler.explain import Explanation
    from mpc_compiler.lower.plan import Compiled
    from mpc_engine.io.profile import Profile
    from mpc_engine.io.source import TableRef
    from mpc_engine.runtime.executors import Executor
    from mpc_engine.runtime.messages import Report

__all__ = ["Session", "collect"]


def collect(*frames: Lazy, to: str | Sequence[str] | None = None) -> list[Any]:
    """Collect several frames, columns or metrics of one session in one run.

    What they have in common (alignments, fitted models, shared columns) is computed once.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> tables = {"a": {"t": pd.DataFrame({"x": [1, 2]})}}
    >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
    ...     x = session.table("a.t")["x"]
    ...     mpc.collect(x.sum(), x.max())
    [3, 2]
    """
    if not frames:
        return []
    sessions = {id(frame._session) for frame in frames}
    if len(sessions) != 1:
        raise ConfigError("collect() takes frames of one session", code="MPC-0807")
    return frames[0]._session.collect_frames(frames, to=to)


def _expected(compiled: Compiled) -> Expected:
    from mpc_compiler.lower.estimate import estimate

    found = estimate(compiled)
    return Expected(found.seconds, found.rounds, found.bytes)


def _scan(known: Profile) -> Rel:
    return make(Scan(known.name, known.owner, known.fields, known.rows, known.keys, known.disjoint))


class Session:
    """Tables of several owners and a way to compute over all of them. A context manager.

    Make one with :meth:`local`.
    """

    def __init__(self, config: LocalConfig, refs: Mapping[str, tuple[TableRef, ...]], folder: Path) -> None:
        self._config = config
        self._refs = dict(refs)
        self._folder = folder
        self._runs = itertools.count(1)
        self._kept = itertools.count(1)
        self._executor: Executor | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, shutil.rmtree, folder, True)
        self.last_run: RunReport | None = None
        self._profiles = self._profile()

    @classmethod
    def local(
        cls,
        tables: Mapping[str, Mapping[str, Any]],
        *,
        protocol: Literal["aby3", "cheetah", "plaintext"] = "aby3",
        executor: Literal["ray", "threads"] = "ray",
        policy: None = None,
        kernels: Literal["auto", "native", "spu"] = "auto",
        computing: Sequence[str] | None = None,
        pushdown: bool = True,
        hide_joins: bool = False,
        timeout: float = 60.0,
        tls: bool = False,
        link: Literal["lan", "wan"] = "lan",
    ) -> Session:
        """Everything on this machine, for work and simulation.

        Parameters
        ----------
        tables : mapping of owner to mapping of table name to source
            A source is a pandas, polars or pyarrow table, a .parquet or .csv path, ``"duckdb:SELECT ..."``, or any of
            these in a :class:`mpc_engine.Source` with declared ranges.
        protocol : {"aby3", "cheetah", "plaintext"}
            Three or two computing parties on secret shares, or the clear-text oracle.
        executor : {"ray", "threads"}
            Parties as processes hosted by Ray, or as threads.
        policy : None
            Local simulation: everything may be collected.
        kernels : {"auto", "native", "spu"}
            Who runs what a native kernel could.
        computing : sequence of str, optional
            Computing parties; default: the first owners, topped up with neutral ones.
        pushdown : bool
            False shares whole columns and computes everything on shares.
        hide_joins : bool
            True matches rows of several owners on shares, so that nobody learns which rows match; it costs sorts. False
            intersects keys where they are unique at both owners, and lists what that discloses.
        timeout : float
            Seconds that any party waits for another.
        tls : bool
            Encrypt messages between processes (``executor="ray"``): TLS 1.3, with a certificate of each party made for
            this session. Links that SPU and the intersection make themselves stay plain.
        link : {"lan", "wan"}
            How far apart the parties are to be taken to be: on one machine or in one data centre, or at different sites
            (40 ms and 100 Mbit/s between them). Plans and kernels choose by it between few bytes and few rounds;
            results are the same.

        Raises
        ------
        ConfigError, SourceError, RangeError
            For wrong settings, an unreadable source, a value outside its declared range.
        """
        from mpc_engine.io.source import locate as place

        if policy is not None:
            raise UnsupportedError(
                "policies are not supported yet",
                code="MPC-0316",
                hint="policy=None: a simulation where all may be collected",
            )
        owners = [owner for owner, held in tables.items() if held]
        config = LocalConfig.make(
            owners,
            protocol=protocol,
            executor=executor,
            kernels=kernels,
            computing=computing,
            pushdown=pushdown,
            hide_joins=hide_joins,
            timeout=timeout,
            tls=tls,
            link=link,
        )
        folder = Path(tempfile.mkdtemp(prefix="mpc-engine-"))
        try:
            refs = {
                owner: tuple(place(f"{owner}.{name}", data, folder) for name, data in tables[owner].items())
                for owner in owners
            }
            return cls(config, refs, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _profile(self) -> dict[str, Profile]:
        from mpc_engine.io.profile import profile

        return {ref.name: profile(ref) for refs in self._refs.values() for ref in refs}

    # --- tables --------------------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of all tables, ``owner.table``."""
        return list(self._profiles)

    @placed
    def table(self, name: str) -> DataFrame:
        """The table ``owner.table`` as a lazy frame.

        Raises
        ------
        SchemaError
            When there is no such table; suggests the nearest name.
        """
        known = self._profiles.get(name)
        if known is None:
            near = difflib.get_close_matches(name, self._profiles, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"tables: {', '.join(self._profiles)}"
            raise SchemaError(f"no table {name!r}", code="MPC-0101", hint=hint)
        scan = _scan(known)
        return DataFrame(self, scan, identity(scan))

    def sql(self, text: str) -> DataFrame:
        """The result of a SQL query as a lazy frame; runs nothing before ``collect()``.

        Parameters
        ----------
        text : str
            One query in DuckDB's dialect over tables named ``owner.table``. NULL has SQL's three-valued logic; columns
            come in DuckDB's order under DuckDB's names; rows have an order only under ORDER BY.

        Raises
        ------
        SchemaError
            For text that is not SQL, unknown names and wrong types; ``where`` has line and column of the SQL.
        UnsupportedError
            For what is not offered; the hint says what to write instead.

        Examples
        --------
        >>> import pandas as pd, mpc_engine as mpc
        >>> tables = {"bank": {"loans": pd.DataFrame({"id": [1, 2, 3], "amount": [100, 250, 80]})},
        ...           "bureau": {"scores": pd.DataFrame({"id": [3, 1, 9], "score": [700, 640, 800]})}}
        >>> with mpc.Session.local(tables, protocol="plaintext", executor="threads") as session:
        ...     session.sql('''
        ...         SELECT COUNT(*) AS n, SUM(l.amount) AS total
        ...         FROM bank.loans AS l JOIN bureau.scores AS s ON l.id = s.id
        ...         WHERE s.score > 600
        ...     ''').collect()
           n  total
        0  2    180
        """
        from mpc_compiler.sql import plan_query

        try:
            rel = plan_query(text, {name: _scan(profile) for name, profile in self._profiles.items()})
        except MpcError as error:
            error.where = f"{caller()}, {error.where}" if error.where else caller()
            raise
        for node in walk(rel):
            mark(node)
        return DataFrame(self, rel, identity(rel))

    # --- running -------------------------------------------------------------------------------------------------

    def _plan(self, frames: Sequence[Lazy], to: str | Sequence[str] | None) -> Plan:
        receivers = (REQUESTER,) if to is None else (to,) if isinstance(to, str) else tuple(to)
        for name in receivers:
            if to is not None and name not in self._config.parties:
                raise ConfigError(
                    f"there is no party {name!r} to receive a result",
                    code="MPC-0808",
                    hint=", ".join(self._config.parties),
                )
        names = ["result"] if len(frames) == 1 else [f"result_{k}" for k in range(1, len(frames) + 1)]
        return Plan(tuple(Output(name, frame._rel, receivers) for name, frame in zip(names, frames, strict=True)))

    def _compile(self, plan: Plan) -> Compiled:
        """Compile what the parties will be sent; errors are those of the plan as it was written."""
        from mpc_compiler.check import schema_of
        from mpc_compiler.lower.plan import compile_plan
        from mpc_compiler.rules.reduce_scans import reduce_scans

        options = self._config.options
        try:
            for output in plan.outputs:
                schema_of(output.rel)
            reduced = reduce_scans(plan)
            try:
                return compile_plan(reduced, options)
            except MpcError:
                compile_plan(plan, options)  # its nodes have places in the user's file
                raise
        except MpcError as error:
            raise locate(error) from None

    @placed
    def explain_frames(self, frames: Sequence[Lazy], *, stage: str = "physical") -> Explanation:
        """Plan, cost and disclosures of collecting these frames; runs nothing."""
        from mpc_compiler.explain import explain

        return explain(self._compile(self._plan(frames, None)), stage)

    @placed
    def collect_frames(self, frames: Sequence[Lazy], *, to: str | Sequence[str] | None = None) -> list[Any]:
        """Run one plan for all frames and return what the receivers get."""
        from mpc_engine.runtime.results import assemble

        compiled = self._compile(self._plan(frames, to))
        _, _, reports = self._run(compiled)
        found = assemble(compiled.plan, reports, self._config.computing, self._config.options.protocol)
        return [frame._shape(found[output.name]) for frame, output in zip(frames, compiled.plan.outputs, strict=True)]

    @placed
    def persist_frame(self, frame: Lazy) -> Rel:
        """Run a plan whose result the computing parties keep as shares; returns the relation that stands for it.

        A result that one owner computes alone stays what it is: its owner computes it again.
        """
        from mpc_compiler.lower.kept import kept_as
        from mpc_engine.runtime.results import complete

        name = f"kept{next(self._kept)}"
        plan = Plan((Output(name, frame._rel, ()),))
        compiled = self._compile(plan)
        if compiled.compute is None:
            return frame._rel
        kept = kept_as(compiled, name)
        _, _, reports = self._run(compiled)
        complete(reports, self._config.computing, self._config.options.protocol)
        return kept

    def stream_frame(self, frame: Lazy, rows: int, *, to: str | Sequence[str] | None) -> Iterator[Any]:
        """Run a plan and hand out its result in pieces of so many rows."""
        from mpc_engine.runtime.messages import Fetch
        from mpc_engine.runtime.results import complete
        from mpc_engine.runtime.stream import Stream

        if rows < 1:
            raise SchemaError(f"a piece has at least 1 row, not {rows}", code="MPC-0105")
        (output,) = self._plan([frame], to).outputs
        plan = Plan((msgspec.structs.replace(output, chunk=rows),))
        compiled = self._compile(plan)
        run, executor, reports = self._run(compiled)
        config = self._config
        try:
            complete(reports, config.computing, config.options.protocol)
        except MpcError:
            executor.fetch(Fetch(run, ""))  # nobody will ask for the pieces
            raise
        pieces = Stream(
            executor, run, compiled.plan.outputs[0], reports, config.computing, config.options.protocol, self._folder
        )
        with contextlib.closing(iter(pieces)) as found:
            for piece in found:
                yield frame._shape(piece)

    def _run(self, compiled: Compiled) -> tuple[str, Executor, Mapping[str, Report]]:
        """Let the parties run a plan; returns the name of the run, who ran it and what they answered."""
        from mpc_compiler.serde import encode_plan
        from mpc_engine.runtime.messages import RunRequest

        if self._closed:
            raise ConfigError("the session is closed", code="MPC-0809", hint="open a new one")
        started = time.perf_counter()
        with self._lock, Progress("running") as progress:
            progress.update("starting the parties")
            executor = self._start()
            progress.update("computing")
            request = RunRequest(f"run{next(self._runs)}", encode_plan(compiled.plan), self._config.options)
            reports = executor.run(request)
        self.last_run = self._report(compiled, reports, time.perf_counter() - started)
        return request.run, executor, reports

    def _report(self, compiled: Compiled, reports: Mapping[str, Report], seconds: float) -> RunReport:
        from mpc_compiler.ir.show import show_plan

        measured = {
            party: [PartyStep(party, s.what, s.engine, s.seconds, s.rounds, s.bytes_sent) for s in report.steps]
            for party, report in reports.items()
        }
        return RunReport.from_parties(
            measured,
            seconds=seconds,
            disclosed=compiled.disclosures,
            peak_rss={party: report.peak_rss for party, report in reports.items()},
            executor=self._config.executor,
            protocol=self._config.options.protocol,
            plan=show_plan(compiled.trace[-1][1]),
            errors=compiled.errors,
            expected=functools.partial(_expected, compiled),
        )

    def start(self) -> Session:
        """Bring up the parties now instead of at the first result; returns the session."""
        self._start()
        return self

    def _start(self) -> Executor:
        from mpc_engine.runtime.executors import executor_for
        from mpc_engine.runtime.messages import PartySetup

        with self._lock:
            if self._executor is None:
                config = self._config
                setups = {
                    name: PartySetup(
                        config.parties,
                        config.computing,
                        config.options.protocol,
                        self._refs.get(name, ()),
                        config.options.timeout,
                        config.tls,
                    )
                    for name in config.parties
                }
                self._executor = executor_for(config.executor, setups)
            self._executor.start()
            return self._executor

    def close(self) -> None:
        """End the parties and remove temporary files; may be called twice."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
            if executor is not None:
                executor.close()
            self._finalizer()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        config = self._config
        return (
            f"<session: {', '.join(self.tables())}; {config.options.protocol} among {', '.join(config.computing)}; "
            f"{config.executor}>"
        )
