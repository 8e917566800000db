"""Charts: values land where the axes say, everything is escaped, titled and described, and nothing is loaded."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_engine.observe import Axis, BarChart, Line, LineChart, RunReport
from mpc_engine.observe.chart import Chart
from mpc_engine.observe.svg import svg, ticks

CURVE = LineChart(
    "a < b & c",
    'says "much"',
    Axis("share", percent=True),
    Axis("lift", 0.0, 4.0),
    (
        Line("<model>", ((0.0, 0.0), (0.5, 1.0), (math.nan, 3.0), (1.0, 4.0))),
        Line("other", ((0.0, 4.0), (1.0, math.inf))),
        Line("chance", ((0.0, 1.0), (1.0, 1.0)), reference=True),
    ),
)
BARS = BarChart("WOE", "two bins", "weight", [("[-inf, 30)", -0.5), ("a name that is far too long to be shown", 1.0)])


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(svg(chart))


@pytest.mark.parametrize("chart", [CURVE, BARS])
def test_a_chart_has_a_role_a_title_and_a_description(chart: Chart) -> None:
    root = parsed(chart)
    title, description = root[0], root[1]
    assert (title.tag, title.text) == ("title", chart.title)
    assert (description.tag, description.text) == ("desc", chart.description)
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby") or "").split() == [title.get("id"), description.get("id")]
    assert svg(chart) == svg(chart)


def test_two_charts_have_different_ids() -> None:
    assert not {e.get("id") for e in parsed(CURVE)} & {e.get("id") for e in parsed(BARS)} - {None}


def test_points_lie_where_the_axes_say_and_gaps_are_left_out() -> None:
    root = parsed(CURVE)
    grid = [line for line in root.iter("line") if line.get("class") == "grid"]
    left, right = (
        f(float(line.get("x1") or 0) for line in grid if line.get("x1") == line.get("x2")) for f in (min, max)
    )
    high, low = (f(float(line.get("y1") or 0) for line in grid if line.get("y1") == line.get("y2")) for f in (min, max))
    (curve,) = (
        path.get("d") for path in root.iter("path") if path.get("class") == "curve c0" and "L" in path.get("d", "")
    )
    found = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", curve or "")]
    want = [(left, low), ((left + right) / 2, low + (high - low) / 4), (right, high)]
    assert found == [pytest.approx(point, abs=0.02) for point in want]
    texts = [text.text for text in root.iter("text")]
    assert "60%" in texts
    assert "<model>" in texts


def test_lines_differ_in_more_than_colour() -> None:
    many = LineChart("t", "d", Axis("x"), Axis("y"), [Line(str(k), ((0.0, 0.1), (1.0, 0.9))) for k in range(4)])
    root = parsed(many)
    assert {path.get("class") for path in root.iter("path")} >= {f"curve c{k}" for k in range(4)}
    marks = [e for e in root.iter() if (e.get("class") or "").startswith("m")]
    shapes = {e.get("class"): (e.tag, (e.get("d") or "").split("m0", 1)[-1]) for e in marks}
    assert len(set(shapes.values())) == 4


def test_bars_start_at_zero() -> None:
    root = parsed(BARS)
    axis = next(float(line.get("x1") or 0) for line in root.iter("line") if line.get("class") == "axis")
    down, up = ((float(r.get("x") or 0), float(r.get("width") or 0)) for r in root.iter("rect"))
    assert down[0] + down[1] == pytest.approx(axis, abs=0.02)
    assert up[0] == pytest.approx(axis, abs=0.02)
    assert up[1] == pytest.approx(2 * down[1], abs=0.02)
    assert any((text.text or "").endswith("…") for text in root.iter("text"))
    assert list(parsed(BarChart("t", "d", "l", [("gone", math.nan)])).iter("rect")) == []


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_round_few_and_between_the_ends(low: float, width: float, most: int) -> None:
    found = ticks(low, low + width, most)
    slack = 1e-6 * max(abs(low), width)
    assert len(found) <= most + 1
    assert found == sorted(found)
    assert all(low - slack <= value <= low + width + slack for value in found)


def test_charts_are_parts_of_a_runs_page(tmp_path: Path) -> None:
    report = RunReport(title="run", sections={"One": CURVE, "Two": [CURVE, BARS]})
    page = report.to_html(tmp_path / "page.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert page.count("<details>") == 3
    assert "a &lt; b &amp; c" in page
    assert "&lt;model&gt;" in page
    assert not re.search(r"https?://|url\(|<script", page)
