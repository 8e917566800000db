"""From a plan to stages."""

from __future__ import annotations

from dataclasses import dataclass

from mpc_compiler.check import schema_of
from mpc_compiler.check.ranges import check_secret
from mpc_compiler.ir import (
    Aggregate,
    Apply,
    Fit,
    Join,
    Limit,
    Local,
    Metric,
    Plan,
    Rel,
    Win,
    Window,
    inputs_of,
    rebuild,
)
from mpc_compiler.lower.blocks import keep_features
from mpc_compiler.lower.disclose import disclosures_of
from mpc_compiler.lower.gather import Gatherer
from mpc_compiler.lower.stages import Align, Compute, Disclosure, LocalQuery, Release, Stage
from mpc_compiler.options import Options
from mpc_compiler.rules import rewrite
from mpc_compiler.rules.choose_joins import is_leaf

__all__ = ["Compiled", "compile_plan"]


@dataclass(frozen=True)
class Compiled:
    """A compiled plan.

    Attributes
    ----------
    plan : Plan
        As it was asked for.
    options : Options
        How it is to be run.
    trace : tuple of (str, Plan)
        The plan after each rewrite rule.
    stages : tuple of Stage
        What the parties do, in order.
    disclosures : tuple of Disclosure
        Everything that becomes known to someone, listed before it runs.
    """

    plan: Plan
    options: Options
    trace: tuple[tuple[str, Plan], ...]
    stages: tuple[Stage, ...]
    disclosures: tuple[Disclosure, ...]

    @property
    def queries(self) -> tuple[LocalQuery, ...]:
        """The LocalQuery stages."""
        return tuple(s for s in self.stages if isinstance(s, LocalQuery))

    @property
    def aligns(self) -> tuple[Align, ...]:
        """The Align stages."""
        return tuple(s for s in self.stages if isinstance(s, Align))

    @property
    def compute(self) -> Compute | None:
        """The Compute stage, if anything is computed on shares."""
        return next((s for s in self.stages if isinstance(s, Compute)), None)

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """For each result that is computed on shares, how far its floats may be from the true numbers at most."""
        from mpc_compiler.lower.error_bound import error_bound

        found = {}
        for stage in self.stages:
            if isinstance(stage, Compute):
                for name, rel in zip(stage.names, stage.rels, strict=True):
                    floats = {f.name for f in schema_of(rel) if f.dtype.kind == "float"}
                    found[name] = {column: bound for column, bound in error_bound(rel).items() if column in floats}
        return found

    @property
    def releases(self) -> tuple[Release, ...]:
        """The Release stages."""
        return tuple(s for s in self.stages if isinstance(s, Release))


def compile_plan(plan: Plan, options: Options) -> Compiled:
    """Check, rewrite and cut ``plan`` into stages; deterministic, so that every party gets the same.

    Raises
    ------
    SchemaError, RangeError, UnsupportedError
        When the plan does not type-check, could leave the ring, or cannot be computed on shares.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, joined, project
    >>> options = Options(computing=("a", "b", "c"))
    >>> compiled = compile_plan(as_plan(project(joined, y="age + balance")).plan, options)
    >>> [type(stage).__name__ for stage in compiled.stages]
    ['LocalQuery', 'LocalQuery', 'Align', 'Compute', 'Release']
    """
    options.check()
    for output in plan.outputs:
        schema_of(output.rel)
    trace = rewrite(plan, pushdown=options.pushdown, hide=options.hide_joins)
    placed = trace[-1][1]
    gather = Gatherer()
    lowered = keep_features(placed, gather, options)
    released: list[Release] = []
    names: list[str] = []
    rels: list[Rel] = []
    for output in lowered.outputs:
        fields = tuple(schema_of(output.rel))
        if isinstance(output.rel, Local):
            source = gather.query(output.rel)
            held = gather.result_names(output.rel)
            released.append(Release(output.name, source, output.receivers, fields, held, output.chunk))
            continue
        rel = _share_leaves(output.rel, gather)
        check_secret(rel)
        names.append(output.name)
        rels.append(rel)
        if output.receivers:
            released.append(Release(output.name, "compute", output.receivers, fields, chunk=output.chunk))
    stages: list[Stage] = [*gather.queries(), *gather.aligns()]
    if rels:
        chunks = tuple(output.chunk for output in lowered.outputs if output.name in names)
        stages.append(Compute("compute", gather.inputs(), tuple(names), tuple(rels), gather.blocks(), chunks))
    stages += released
    return Compiled(plan, options, tuple(trace), tuple(stages), disclosures_of(placed, tuple(stages), options))


def _share_leaves(root: Rel, gather: Gatherer) -> Rel:
    """Replace local relations and joins of them by shares."""
    done: dict[tuple[Rel, bool], Rel] = {}

    def visit(rel: Rel, ordered: bool) -> Rel:
        if (rel, ordered) not in done:
            if is_leaf(rel):
                done[rel, ordered] = gather.shared(rel, ordered=ordered)
            else:
                children = zip(inputs_of(rel), _order_matters(rel, ordered), strict=True)
                done[rel, ordered] = rebuild(rel, tuple(visit(child, flag) for child, flag in children))
        return done[rel, ordered]

    return visit(root, True)


def _by_position(win: Win) -> bool:
    """Whether a window function tells apart rows that tie."""
    return win.function not in ("rank", "dense_rank") and not win.peers and win.rows != (None, None)


def _order_matters(rel: Rel, ordered: bool) -> tuple[bool, ...]:
    """Whether the row order of each input can be seen in the result of ``rel``."""
    if isinstance(rel, Aggregate):
        return (any(agg.function in ("first", "last") for agg in rel.aggs),)
    if isinstance(rel, Window):
        return (ordered or any(map(_by_position, rel.wins)),)
    if isinstance(rel, Fit | Metric):
        return (False,)
    if isinstance(rel, Apply):
        return ordered, False
    if isinstance(rel, Limit):
        return (True,)
    if isinstance(rel, Join):
        return ordered, ordered and rel.how not in ("semi", "anti", "cross")
    return (ordered,) * len(inputs_of(rel))
