"""A run report as one HTML page: no scripts, nothing loaded from elsewhere, readable in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mpc_engine.observe.chart import BarChart, Chart, LineChart
from mpc_engine.observe.report import RunReport, Section, Step, Table, human_bytes, human_seconds, longest_steps
from mpc_engine.observe.svg import STYLE as CHART_STYLE
from mpc_engine.observe.svg import svg

__all__ = ["fragment", "page"]

STYLE = """
.mpc { --ink: #1c2430; --soft: #5d6878; --line: #dde2e9; --panel: #f6f8fa; --paper: #fff; --bar: #3b6fb6;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); max-width: 60rem; }
@media (prefers-color-scheme: dark) { .mpc { --ink: #e4e8ee; --soft: #9aa5b4; --line: #333c48; --panel: #1c232c;
  --paper: #12171e; --bar: #6d9fe0; } }
.mpc h1 { font-size: 1.5rem; margin: 0 0 .25rem; } .mpc h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
.mpc .about { color: var(--soft); margin: 0 0 1.25rem; }
.mpc .facts { display: flex; flex-wrap: wrap; gap: .75rem; }
.mpc .fact { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem;
  min-width: 7rem; }
.mpc .fact b { display: block; font-size: 1.2rem; font-weight: 600; } .mpc .fact span { color: var(--soft); }
.mpc .scroll { overflow-x: auto; }
.mpc table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.mpc th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap; }
.mpc th, .mpc td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
.mpc .num { text-align: right; white-space: nowrap; } .mpc .wide { width: 30%; }
.mpc .bar { height: .6rem; border-radius: 3px; background: var(--bar); min-width: 1px; }
.mpc .tag { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; padding: 0 .4rem;
  font-size: .85em; }
.mpc pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem;
  overflow-x: auto; font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.mpc ul { margin: 0; padding-left: 1.2rem; }
.mpc summary { color: var(--soft); cursor: pointer; }
"""
_BODY = "body { margin: 0; padding: 2rem 1.25rem; background: #fff; display: flex; justify-content: center; }"
_BODY_DARK = "@media (prefers-color-scheme: dark) { body { background: #12171e; } }"


def page(report: RunReport) -> str:
    """Return the whole page.

    Examples
    --------
    >>> page(RunReport(title="a < b"))[:15], "a &lt; b" in page(RunReport(title="a < b"))
    ('<!doctype html>', True)
    """
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(report.title)}</title><style>{_BODY}{_BODY_DARK}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{fragment(report)}</body></html>\n'


def fragment(report: RunReport) -> str:
    """Return the report as one element that can stand in a notebook."""
    about = " · ".join(filter(None, (report.executor and f"executor {report.executor}", report.protocol)))
    ran = bool(report.steps or report.seconds or report.disclosed)
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="about">{escape(about)}</p>' if about else "",
        _facts(report) if ran else "",
        _part("Disclosed", _disclosures(report.disclosed)) if ran else "",
        *(_part(title, _section(section)) for title, section in report.sections.items()),
        _part("Steps", _steps(longest_steps(report.steps, 100))) if report.steps else "",
        _part("Sent by party", _by_party(report.bytes_sent, "sent")) if report.bytes_sent else "",
        _part("Peak memory by party", _by_party(report.peak_rss, "memory")) if report.peak_rss else "",
        _part("Plan", f"<pre>{escape(report.plan)}</pre>") if report.plan else "",
    ]
    return f'<div class="mpc"><style>{STYLE}{CHART_STYLE}</style>{"".join(parts)}</div>'


def _part(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _facts(report: RunReport) -> str:
    expected = report.expected() if report.expected else None
    facts = [
        ("time", human_seconds(report.seconds), expected and human_seconds(expected.seconds)),
        ("rounds", f"{report.rounds:,}", expected and f"{expected.rounds:,}"),
        ("sent", human_bytes(report.total_bytes), expected and human_bytes(expected.bytes)),
        ("disclosures", str(len(report.disclosed)), None),
    ]
    cells = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{name}{f", estimated {guess}" if guess else ""}</span></div>'
        for name, value, guess in facts
    )
    return f'<div class="facts">{cells}</div>'


def _disclosures(disclosed: Sequence[object]) -> str:
    if not disclosed:
        return "<p>Nothing.</p>"
    return f"<ul>{''.join(f'<li>{escape(str(item))}</li>' for item in disclosed)}</ul>"


def _section(section: Section) -> str:
    if isinstance(section, str):
        return f"<pre>{escape(section)}</pre>"
    if isinstance(section, Table):
        return _table(section)
    charts = [section] if isinstance(section, LineChart | BarChart) else section
    return f'<div class="charts">{"".join(map(_figure, charts))}</div>'


def _figure(chart: Chart) -> str:
    """A chart, and its values as a table for those who cannot or do not want to read it off."""
    values = f"<details><summary>Values</summary>{_table(_values(chart))}</details>"
    return f"<figure><figcaption>{escape(chart.title)}</figcaption>{svg(chart)}{values}</figure>"


def _values(chart: Chart) -> Table:
    if isinstance(chart, BarChart):
        return Table(("", chart.label), list(chart.bars))
    rows = [(line.name, x, y) for line in chart.lines if not line.reference for x, y in line.points]
    return Table(("", chart.x.label, chart.y.label), rows)


def _table(table: Table) -> str:
    numeric = [
        bool(table.rows) and all(isinstance(row[i], int | float) for row in table.rows)
        for i in range(len(table.columns))
    ]
    head = "".join(
        _cell("th", escape(name), number=number) for name, number in zip(table.columns, numeric, strict=True)
    )
    rows = (
        "".join(_cell("td", escape(_text(value)), number=number) for value, number in zip(row, numeric, strict=True))
        for row in table.rows
    )
    return _grid(head, rows)


def _steps(steps: Sequence[Step]) -> str:
    longest = max(step.seconds for step in steps) or 1.0
    heads = (("step", False), ("engine", False), ("time", True), ("", False), ("rounds", True), ("sent", True))
    head = "".join(_cell("th", name, number=number) for name, number in heads)
    rows = (
        f"<td>{escape(step.what)}</td>"
        f'<td><span class="tag">{escape(step.engine)}</span></td>'
        + _cell("td", human_seconds(step.seconds), number=True)
        + _bar(step.seconds / longest)
        + _cell("td", f"{step.rounds:,}", number=True)
        + _cell("td", human_bytes(step.bytes), number=True)
        for step in steps
    )
    return _grid(head, rows)


def _by_party(sizes: dict[str, int], name: str) -> str:
    most = max(sizes.values()) or 1
    head = _cell("th", "party", number=False) + _cell("th", name, number=True) + _cell("th", "", number=False)
    rows = (
        f"<td>{escape(party)}</td>{_cell('td', human_bytes(count), number=True)}{_bar(count / most)}"
        for party, count in sizes.items()
    )
    return _grid(head, rows)


def _grid(head: str, rows: Iterable[str]) -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _bar(share: float) -> str:
    return f'<td class="wide"><div class="bar" style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></div></td>'


def _cell(kind: str, content: str, *, number: bool) -> str:
    style = ' class="num"' if number else ""
    return f"<{kind}{style}>{content}</{kind}>"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
