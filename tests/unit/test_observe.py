"""Reports and events: what parties measured adds up, pages are self-contained, progress stays out of the way."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mpc_engine.observe import Expected, PartyStep, RunReport, Step, Table, merge_steps
from mpc_engine.observe.events import Event, EventStream, Progress

MEASURED = {
    "bank_a": [
        PartyStep("bank_a", "rows of loans", "duckdb", 0.25),
        PartyStep("bank_a", "join on id", "psi", 1.0, 4, 1000),
        PartyStep("bank_a", "sum by segment", "spu", 2.0, 9, 500),
    ],
    "bank_b": [
        PartyStep("bank_b", "rows of accounts", "duckdb", 0.5),
        PartyStep("bank_b", "join on id", "psi", 1.5, 5, 2000),
        PartyStep("bank_b", "sum by segment", "spu", 1.0, 9, 700),
    ],
    "neutral": [PartyStep("neutral", "sum by segment", "spu", 1.0, 9, 600)],
}


def report() -> RunReport:
    made = RunReport.from_parties(
        MEASURED,
        seconds=4.25,
        disclosed=["size of the intersection, to bank_a and bank_b"],
        title="default rate <by> segment",
        executor="ray",
        protocol="aby3",
        plan='Filter(age > 30 & city == "x")',
        expected=lambda: Expected(seconds=2.5, rounds=20, bytes=4096),
    )
    made.sections["Result"] = Table(("segment", "rate"), [("<b>young</b>", 0.123456789), ("old", 1.0)])
    made.sections["Model"] = "coef & se"
    return made


def test_steps_take_the_slowest_party_and_the_bytes_of_all() -> None:
    steps, sent = merge_steps(MEASURED)
    assert steps == [
        Step("rows of loans", "duckdb", 0.25),
        Step("rows of accounts", "duckdb", 0.5),
        Step("join on id", "psi", 1.5, 5, 3000),
        Step("sum by segment", "spu", 2.0, 9, 1800),
    ]
    assert sent == {"bank_a": 1500, "bank_b": 2700, "neutral": 600}


def test_a_step_that_comes_twice_stays_two_steps() -> None:
    twice = {name: [PartyStep(name, "newton", "spu", 1.0, 2, 10)] * 2 for name in "ab"}
    assert merge_steps(twice)[0] == [Step("newton", "spu", 1.0, 2, 20)] * 2


def test_totals_agree_with_the_steps() -> None:
    made = report()
    assert (made.rounds, made.total_bytes) == (14, 4800)
    assert sum(step.bytes for step in made.steps) == made.total_bytes


def test_the_text_form_reads_in_full() -> None:
    assert repr(report()).splitlines() == [
        "default rate <by> segment: 4.25 s, 14 rounds, 4.7 KiB sent",
        "  rows of loans     duckdb  250.0 ms  0 rounds  0 B",
        "  rows of accounts  duckdb  500.0 ms  0 rounds  0 B",
        "  join on id        psi     1.50 s    5 rounds  2.9 KiB",
        "  sum by segment    spu     2.00 s    9 rounds  1.8 KiB",
        "disclosed:",
        "  size of the intersection, to bank_a and bank_b",
    ]


class _Balanced(HTMLParser):
    """Checks that every element is closed, in order."""

    VOID = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_the_page_is_one_self_contained_file_and_escapes_everything(tmp_path: Path) -> None:
    page = report().to_html(tmp_path / "report.html").read_text("utf-8")
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"https?://|url\(|@import", page)
    for said in (
        "default rate <by> segment",
        "<b>young</b>",
        "0.123457",
        "coef & se",
        'city == "x"',
        "bank_a and bank_b",
        "time, estimated 2.50 s",
        "rounds, estimated 20",
        "sent, estimated 4.0 KiB",
    ):
        assert said in parser.text
    assert 'style="width:75.0%"' in page  # 1.5 of 2 seconds


def test_empty_reports_can_be_shown() -> None:
    parser = _Balanced()
    parser.feed(RunReport()._repr_html_())
    assert parser.open == []
    assert repr(RunReport()) == "run: 0.0 ms, 0 rounds, 0 B sent\ndisclosed: nothing"


def test_progress_emits_events_and_tells_failure() -> None:
    stream, seen = EventStream(), list[Event]()
    stream.subscribe(seen.append)
    with Progress("query", stream=stream) as progress:
        progress.update("join")
    with pytest.raises(ZeroDivisionError), Progress("query", stream=stream):
        raise ZeroDivisionError
    assert [(event.kind, event.step) for event in seen] == [
        ("start", ""),
        ("step", "join"),
        ("end", ""),
        ("start", ""),
        ("failed", ""),
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("after", "shown"), [(0.05, True), (60.0, False)])
def test_progress_shows_only_what_takes_long(monkeypatch: pytest.MonkeyPatch, after: float, *, shown: bool) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("MPC_ENGINE_PROGRESS", raising=False)
    terminal = _Terminal()
    with Progress("default rate [by] segment", file=terminal, after=after) as progress:
        progress.update("join")
        time.sleep(0.4)
        progress.update("sum")
    assert ("default rate [by] segment: join" in terminal.getvalue()) == shown


def test_progress_is_silent_where_nobody_watches() -> None:
    terminal = _Terminal()
    with Progress("query", file=terminal, after=0.0):
        time.sleep(0.1)
    assert terminal.getvalue() == ""


def test_importing_the_reports_loads_no_heavy_library() -> None:
    code = (
        "import sys, mpc_engine.observe, mpc_engine.observe.events; print({'rich', 'pandas', 'jax'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
