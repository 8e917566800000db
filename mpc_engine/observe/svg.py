"""Charts as SVG inside a page: no scripts, fonts or files; with titles and descriptions; lines differ in dashes too."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from html import escape

from mpc_engine.observe.chart import Axis, BarChart, Chart, Line, LineChart

__all__ = ["STYLE", "svg", "ticks"]

STYLE = """
.mpc { --line0: #0072b2; --line1: #d55e00; --line2: #009e73; --line3: #cc79a7; }
@media (prefers-color-scheme: dark) { .mpc { --line0: #6cb8ee; --line1: #f2935c; --line2: #4fd1a9; --line3: #e6a5cc; } }
.mpc .charts { display: flex; flex-wrap: wrap; gap: 1.25rem; }
.mpc figure { margin: 0; flex: 1 1 26rem; max-width: 34rem; }
.mpc figcaption { font-weight: 600; margin-bottom: .25rem; }
.mpc svg { width: 100%; height: auto; display: block; }
.mpc svg text { fill: var(--soft); font-size: 12px; } .mpc svg .name { fill: var(--ink); }
.mpc svg .grid { stroke: var(--line); stroke-width: 1; } .mpc svg .axis { stroke: var(--soft); stroke-width: 1; }
.mpc svg .reference { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; fill: none; }
.mpc svg .curve { stroke-width: 2; fill: none; }
.mpc svg .c0 { stroke: var(--line0); } .mpc svg .c1 { stroke: var(--line1); stroke-dasharray: 8 4; }
.mpc svg .c2 { stroke: var(--line2); stroke-dasharray: 2 3; }
.mpc svg .c3 { stroke: var(--line3); stroke-dasharray: 9 3 2 3; }
.mpc svg .m0 { fill: var(--line0); } .mpc svg .m1 { fill: var(--line1); } .mpc svg .m2 { fill: var(--line2); }
.mpc svg .m3 { fill: var(--line3); }
"""
_STYLES = 4
_WIDTH, _HEIGHT = 480, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 44
_ROW, _GAP = 18, 8


def svg(chart: Chart) -> str:
    """The chart as one ``<svg>`` element.

    Examples
    --------
    >>> made = svg(BarChart("WOE of age", "2 bins", "WOE", [("[-inf, 30)", -0.5), ("[30, inf)", 0.25)]))
    >>> made.startswith('<svg role="img"'), "<title" in made, "<desc" in made
    (True, True, True)
    """
    height, body = _lines(chart) if isinstance(chart, LineChart) else _bars(chart)
    key = hashlib.sha256(repr(chart).encode()).hexdigest()[:10]
    names = f'<title id="t{key}">{escape(chart.title)}</title><desc id="d{key}">{escape(chart.description)}</desc>'
    return f'<svg role="img" aria-labelledby="t{key} d{key}" viewBox="0 0 {_WIDTH} {height}">{names}{body}</svg>'


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between two ends, at most so many.

    Examples
    --------
    >>> ticks(0, 1), ticks(-0.3, 4.2)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    if not high > low:
        return [low]
    rough = (high - low) / max(most - 1, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 12) + 0.0 for at in range(first, last + 1)]


def _text(value: float, *, percent: bool) -> str:
    return f"{100 * value:.6g}%" if percent else f"{value:.6g}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


class _Plane:
    """Where values of two axes lie."""

    def __init__(self, x: Axis, y: Axis, height: float) -> None:
        self.x, self.y = x, y
        self.right, self.bottom = _WIDTH - _RIGHT, height - _BOTTOM

    def at(self, x: float, y: float) -> tuple[str, str]:
        across = (x - self.x.low) / ((self.x.high - self.x.low) or 1.0)
        up = (y - self.y.low) / ((self.y.high - self.y.low) or 1.0)
        return _number(_LEFT + across * (self.right - _LEFT)), _number(self.bottom - up * (self.bottom - _TOP))

    def frame(self) -> str:
        parts = []
        for value in ticks(self.x.low, self.x.high):
            across, _ = self.at(value, self.y.low)
            parts.append(f'<line class="grid" x1="{across}" x2="{across}" y1="{_TOP}" y2="{self.bottom}"/>')
            said = _text(value, percent=self.x.percent)
            parts.append(f'<text x="{across}" y="{self.bottom + 16}" text-anchor="middle">{said}</text>')
        for value in ticks(self.y.low, self.y.high):
            _, up = self.at(self.x.low, value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.right}" y1="{up}" y2="{up}"/>')
            said = _text(value, percent=self.y.percent)
            parts.append(f'<text x="{_LEFT - 6}" y="{up}" dy="4" text-anchor="end">{said}</text>')
        middle, centre = (_LEFT + self.right) / 2, (_TOP + self.bottom) / 2
        across = f'<text x="{middle}" y="{self.bottom + 36}" text-anchor="middle">{escape(self.x.label)}</text>'
        turned = f'transform="rotate(-90 12 {centre})" x="12" y="{centre}" text-anchor="middle"'
        return "".join([*parts, across, f"<text {turned}>{escape(self.y.label)}</text>"])


def _lines(chart: LineChart) -> tuple[int, str]:
    legend = [line for line in chart.lines if line.name]
    plane = _Plane(chart.x, chart.y, _HEIGHT)
    drawn = [line for line in chart.lines if not line.reference]
    curves = "".join(_curve(plane, line, drawn) for line in chart.lines)
    names = "".join(_legend(line, drawn, at) for at, line in enumerate(legend))
    return _HEIGHT + _GAP + _ROW * len(legend), plane.frame() + curves + names


def _style(line: Line, drawn: Sequence[Line]) -> int:
    return next(at for at, other in enumerate(drawn) if other is line) % _STYLES


def _curve(plane: _Plane, line: Line, drawn: Sequence[Line]) -> str:
    found = [plane.at(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    if not found:
        return ""
    path = "M" + " L".join(f"{x} {y}" for x, y in found)
    if line.reference:
        return f'<path class="reference" d="{path}"/>'
    style = _style(line, drawn)
    marks = "".join(_mark(style, x, y) for x, y in found)
    return f'<path class="curve c{style}" d="{path}"/>{marks}'


def _mark(style: int, x: str, y: str) -> str:
    """A circle, a square, a triangle or a diamond."""
    if style == 0:
        return f'<circle class="m0" cx="{x}" cy="{y}" r="3"/>'
    shape = {1: "h3 v6 h-6 v-6 z", 2: "l3.5 6 h-7 z", 3: "l3.5 3.5 l-3.5 3.5 l-3.5 -3.5 z"}[style]
    return f'<path class="m{style}" d="M{x} {y} m0 -3 {shape}"/>'


def _legend(line: Line, drawn: Sequence[Line], at: int) -> str:
    y = _HEIGHT + _GAP + _ROW * at
    kind = "reference" if line.reference else f"curve c{_style(line, drawn)}"
    mark = "" if line.reference else _mark(_style(line, drawn), str(_LEFT + 16), str(y))
    sample = f'<path class="{kind}" d="M{_LEFT} {y} h32"/>{mark}'
    return f'{sample}<text class="name" x="{_LEFT + 40}" y="{y}" dy="4">{escape(line.name)}</text>'


_NAMES, _VALUES = 190, 48  # the widths for the bars' names, and for values at either end


def _bars(chart: BarChart) -> tuple[int, str]:
    values = [value for _, value in chart.bars if math.isfinite(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    room = _WIDTH - _NAMES - 2 * _VALUES
    start = _NAMES + _VALUES - low / span * room
    parts = []
    for at, (name, value) in enumerate(chart.bars):
        y = _TOP + _ROW * at
        shown = name if len(name) <= 30 else name[:29] + "…"
        parts.append(f'<text class="name" x="{_NAMES}" y="{y + 12}" text-anchor="end">{escape(shown)}</text>')
        if math.isfinite(value):
            parts.append(_bar(start, value / span * room, y, value))
    height = _TOP + _ROW * len(chart.bars)
    axis = f'<line class="axis" x1="{_number(start)}" x2="{_number(start)}" y1="{_TOP}" y2="{height}"/>'
    label = f'<text x="{_number(start)}" y="{height + 16}" text-anchor="middle">{escape(chart.label)}</text>'
    return height + 24, "".join([*parts, axis, label])


def _bar(start: float, length: float, y: int, value: float) -> str:
    left, width = min(start, start + length), abs(length)
    style, end, anchor = (0, start + length + 4, "start") if length >= 0 else (1, start + length - 4, "end")
    box = f'<rect class="m{style}" x="{_number(left)}" y="{y + 3}" width="{_number(width)}" height="{_ROW - 6}"/>'
    return f'{box}<text x="{_number(end)}" y="{y + 12}" text-anchor="{anchor}">{value:.3g}</text>'
