"""What a plan will do, cost and disclose, said before it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from mpc_compiler.cost import LAN, WAN
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir.show import show, show_plan
from mpc_compiler.lower.plan import Compiled
from mpc_compiler.lower.stages import Align, Compute, Disclosure, LocalQuery, Release

__all__ = ["STAGES", "Explanation", "error_lines", "explain"]

STAGES = ("logical", "physical", "partition")
"""Stages beside the names of the rewrite rules."""


@dataclass(frozen=True)
class Explanation:
    """A plan as text, with estimates.

    Attributes
    ----------
    text : str
        The plan at the stage that was asked for.
    disclosures : tuple of Disclosure
        Everything that becomes known to someone.
    rounds, bytes, seconds
        Estimates for upper bounds of the row counts: dependent messages, payload of all parties, wall time on
        one machine.
    elsewhere : mapping of str to float
        Estimated seconds where parties are hosts in one data centre (``"LAN"``: 1 Gbit/s, 0.4 ms) or at different sites
        (``"WAN"``: 100 Mbit/s, 40 ms).
    errors : mapping of str to mapping of str to float
        For each result, bounds of the absolute errors of its floats, where they are computed on shares; infinity for
        what models make.
    """

    text: str
    disclosures: tuple[Disclosure, ...]
    rounds: int
    bytes: int
    seconds: float
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    elsewhere: Mapping[str, float] = field(default_factory=dict)

    @property
    def _cost(self) -> str:
        times = [f"{self.seconds:.1f} s on one machine"]
        times += [f"{took:.1f} s over a {name}" for name, took in self.elsewhere.items()]
        return f"{self.rounds} rounds, {self.bytes:,} bytes, {', '.join(times)}"

    def __str__(self) -> str:
        lines = [self.text, "", "discloses:"]
        lines += [f"  {item}" for item in self.disclosures]
        stated = error_lines(self.errors)
        lines += ["", "rounding:", *(f"  {line}" for line in stated)] if stated else []
        lines += ["", f"estimate: {self._cost}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(str(item))}</li>" for item in self.disclosures)
        return f"<pre>{escape(self.text)}</pre><p><b>discloses</b></p><ul>{items}</ul><p>estimate: {self._cost}</p>"


def error_lines(errors: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Error bounds as text; what has none, the coefficients and scores of models, is left out.

    Examples
    --------
    >>> error_lines({"result": {"mean": 2.0**-16, "coef": float("inf")}})
    ['result: the error of mean is at most 1.5e-05']
    """
    return [
        f"{name}: the error of {column} is at most {bound:.2g}"
        for name, columns in errors.items()
        for column, bound in columns.items()
        if 0 < bound < math.inf
    ]


def explain(compiled: Compiled, stage: str = "physical") -> Explanation:
    """Explain a compiled plan at a stage.

    Parameters
    ----------
    compiled : Compiled
        From :func:`mpc_compiler.lower.plan.compile_plan`.
    stage : str
        ``"logical"``: as the parties are sent it; the name of a rule (``"push_filters"``), ``"physical"`` or
        ``"partition"``.

    Raises
    ------
    SchemaError
        When there is no such stage.
    """
    from mpc_compiler.lower.estimate import estimate

    costs = estimate(compiled)
    rules = dict(compiled.trace)
    if stage == "logical":
        text = show_plan(compiled.plan)
    elif stage in rules:
        text = show_plan(rules[stage])
    elif stage == "physical":
        text = _physical(compiled)
    elif stage == "partition":
        text = costs.partition or "nothing is computed on shares"
    else:
        names = ", ".join([*STAGES, *dict.fromkeys(rules)])
        raise SchemaError(f"no stage {stage!r}", code="MPC-0117", hint=f"one of {names}")
    elsewhere = {name: costs.seconds_on(link) for name, link in (("LAN", LAN), ("WAN", WAN))}
    return Explanation(text, compiled.disclosures, costs.rounds, costs.bytes, costs.seconds, compiled.errors, elsewhere)


def _physical(compiled: Compiled) -> str:
    lines = []
    for number, stage in enumerate(compiled.stages, 1):
        lines.append(f"{number}. {_stage(stage)}")
        if isinstance(stage, Compute):
            for name, rel in zip(stage.names, stage.rels, strict=True):
                lines.append(f"     {name}:")
                lines += [f"       {line}" for line in show(rel).splitlines()]
    return "\n".join(lines)


def _stage(stage: LocalQuery | Align | Compute | Release) -> str:
    if isinstance(stage, LocalQuery):
        return f"{stage.id}: {stage.owner} runs in its own DuckDB: {stage.sql}"
    if isinstance(stage, Align):
        on = " and ".join(f"{a} = {b}" for a, b in zip(stage.left_on, stage.right_on, strict=True))
        if stage.left_owner == stage.right_owner:
            return f"{stage.id}: {stage.left_owner} matches its own rows on {on}"
        return f"{stage.id}: private set intersection of {stage.left_owner} and {stage.right_owner} on {on} (RR22)"
    if isinstance(stage, Compute):
        columns = sum(len(source.columns) for source in stage.inputs)
        return f"{stage.id}: owners share {columns} columns; one program over shares"
    pieces = f", {stage.chunk} rows at a time" if stage.chunk else ""
    how = "shares go" if stage.source == "compute" else "its owner sends the rows"
    return f"release {stage.output}: {how} to {', '.join(stage.receivers)}{pieces}"
