"""`mpc-engine demo`: an example of `examples/credit_risk`, step by step, beside its clear-text answer."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import mpc_engine as mpc
from mpc_engine.cli import show
from mpc_engine.errors import ConfigError
from mpc_engine.observe.events import Progress

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mpc_engine.cli.reference import Reference
    from mpc_engine.ml.result import LinearResult

__all__ = ["Outcome", "load_example", "run_demo", "run_example"]


@dataclass(frozen=True)
class Outcome:
    """What an example found on shares and in the clear.

    Attributes
    ----------
    segments, clear_segments : DataFrame
        The query's result.
    model : LinearResult
    reference : Reference
    auc, ks, clear_auc, clear_ks : float
    """

    segments: pd.DataFrame
    clear_segments: pd.DataFrame
    model: LinearResult
    reference: Reference
    auc: float
    ks: float
    clear_auc: float
    clear_ks: float


def load_example(name: str) -> ModuleType:
    """Load an example of the repository, or of the wheel that carries the examples.

    Raises
    ------
    ConfigError
        When they are not there.
    """
    package = Path(mpc.__file__).resolve().parent
    for folder in (package.parent / "examples", package / "examples"):
        path = folder / "credit_risk" / f"{name}.py"
        if path.is_file():
            spec = importlib.util.spec_from_file_location(f"mpc_engine_example_{name}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ConfigError(
        "the examples and their data are not installed",
        code="MPC-0830",
        hint="run `make demo` in a clone of the repository",
    )


def lazy(example: ModuleType, session: mpc.Session) -> tuple[Any, ...]:
    """Return query, model, AUC and KS of an example as lazy frames of one plan."""
    from mpc_engine.ml import LogisticRegression
    from mpc_engine.ml.metrics import ks_score, roc_auc_score

    joint = example.joined(*(session.table(name) for name in session.tables()))
    chosen, target = example.features(joint), joint[example.TARGET]
    model = LogisticRegression().fit(chosen, target)
    risk = model.predict_proba(chosen)
    return example.by_segment(joint), model.to_frame(), roc_auc_score(target, risk), ks_score(target, risk)


def outcome(example: ModuleType, tables: dict[str, dict[str, pd.DataFrame]], found: Sequence[Any]) -> Outcome:
    """Compute the clear-text answers beside what a run found."""
    from mpc_engine.cli.reference import clear_auc, clear_ks, clear_logistic

    joint = example.joined(*(table for held in tables.values() for table in held.values()))
    target = joint[example.TARGET]
    reference = clear_logistic(example.features(joint), target)
    clear = example.by_segment(joint)
    auc, ks = (metric(target.to_numpy(), reference.scores) for metric in (clear_auc, clear_ks))
    return Outcome(found[0], clear, found[1], reference, found[2], found[3], auc, ks)


def run_example(
    name: str, *, protocol: Literal["aby3", "cheetah", "plaintext"], executor: Literal["ray", "threads"]
) -> Outcome:
    """Run an example without a word and return what it found."""
    example = load_example(name)
    tables = example.tables()
    with mpc.Session.local(tables, protocol=protocol, executor=executor) as session:
        return outcome(example, tables, mpc.collect(*lazy(example, session)))


def run_demo(
    name: str, *, protocol: Literal["aby3", "cheetah", "plaintext"], executor: Literal["ray", "threads"], report: Path
) -> None:
    """Run an example and tell all about it: plan, disclosures, results, differences, cost; write the HTML report."""
    began = time.perf_counter()
    out = show.console()
    example = load_example(name)
    tables = example.tables()
    kernels: Literal["auto", "native"] = "native" if protocol == "aby3" else "auto"
    with mpc.Session.local(tables, protocol=protocol, executor=executor, kernels=kernels) as session:
        out.rule(example.TITLE)
        out.print(_holdings(tables))
        frames = lazy(example, session)
        explanation = session.explain_frames(frames)
        out.rule("Plan", align="left")
        out.print(explanation.text, markup=False, soft_wrap=True)
        out.rule("Who learns what, and nothing else", align="left")
        out.print(show.disclosures(explanation.disclosures), markup=False, soft_wrap=True)
        with Progress(f"starting the parties ({executor})"):
            session.start()
        found = outcome(example, tables, mpc.collect(*frames))
        run = session.last_run
    assert run is not None
    _tell(out, found)
    out.print(show.steps(run))
    run.title = example.TITLE
    run.sections |= _sections(found)
    path = run.to_html(report).resolve()
    out.print(f"report: {path}", soft_wrap=True)
    out.print(f"everything took {time.perf_counter() - began:.1f} s")


def _holdings(tables: dict[str, dict[str, pd.DataFrame]]) -> Any:
    rows = [
        (owner, table, len(data), ", ".join(data.columns))
        for owner, held in tables.items()
        for table, data in held.items()
    ]
    return show.grid("Who holds what", ["owner", "table", "rows", "columns"], rows)


def _tell(out: Console, found: Outcome) -> None:
    out.rule("Results", align="left")
    out.print(show.grid("The query, computed on shares", *show.frame_rows(found.segments)))
    out.print(f"pandas on the joined clear tables: {_agreement(found.segments, found.clear_segments)}\n")
    out.print(found.model.summary(), markup=False, soft_wrap=True)
    out.print(show.grid(f"The model beside {found.reference.source}", *_coefficients(found)))
    out.print(show.grid("How far apart they are", *_figures(found)))


def _agreement(ours: pd.DataFrame, clear: pd.DataFrame) -> str:
    """Say how far a result is from the clear one.

    Examples
    --------
    >>> import pandas as pd
    >>> _agreement(pd.DataFrame({"n": [1, 2], "rate": [0.5, 0.25]}), pd.DataFrame({"n": [1, 2], "rate": [0.5, 0.251]}))
    'the same 2 groups, n equal, rate within 0.001'
    """
    if list(ours.index) != list(clear.index) or list(ours.columns) != list(clear.columns):
        return "OTHER GROUPS"
    parts = []
    for name in clear.columns:
        off = float((ours[name] - clear[name]).abs().max())
        parts.append(f"{name} equal" if off == 0 else f"{name} within {off:.1g}")
    return ", ".join([f"the same {len(clear)} groups", *parts])


def _beside(found: Outcome) -> tuple[list[str], list[list[object]]]:
    """Return the query's result with pandas' columns after it."""
    both = found.segments.join(found.clear_segments.add_suffix(" (pandas)"), how="outer")
    return show.frame_rows(both)


def _coefficients(found: Outcome) -> tuple[list[str], list[list[object]]]:
    """Return coefficient, standard error and p-value of every term, from shares and from clear text."""
    model, clear = found.model, found.reference
    columns = ["", "coef", "clear", "std err", "clear", "P>|z|", "clear", "error in std err"]
    both = zip(model.params, clear.params, model.bse_, clear.bse, model.pvalues_, clear.pvalues, strict=True)
    rows: list[list[object]] = []
    for name, (coef, coef_clear, bse, bse_clear, p, p_clear) in zip(model.names, both, strict=True):
        sizes = [f"{value:.5g}" for value in (coef, coef_clear, bse, bse_clear)]
        rows.append([name, *sizes, f"{p:.4f}", f"{p_clear:.4f}", f"{abs(coef - coef_clear) / bse_clear:.1e}"])
    return columns, rows


def _figures(found: Outcome) -> tuple[list[str], list[list[object]]]:
    from mpc_engine.cli.reference import difference

    off = difference(found.model, found.reference)
    return ["figure", "on shares", "in the clear", "difference"], [
        ["AUC", found.auc, found.clear_auc, abs(found.auc - found.clear_auc)],
        ["KS", found.ks, found.clear_ks, abs(found.ks - found.clear_ks)],
        ["largest coefficient error, in standard errors", "", "", off.coefficient],
        ["largest p-value difference", "", "", off.pvalue],
    ]


def _sections(found: Outcome) -> dict[str, Any]:
    from mpc_engine.observe import Table

    return {
        "The query, on shares and in pandas": Table(*_beside(found)),
        "Model": found.model.summary(),
        f"The model beside {found.reference.source}": Table(*_coefficients(found)),
        "How far apart they are": Table(*_figures(found)),
    }
