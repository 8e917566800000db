"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from mpc_compiler.lower.stages import Disclosure
    from mpc_engine.observe import RunReport

__all__ = ["cells", "console", "disclosures", "frame_rows", "grid", "steps"]


def console() -> Console:
    """Return a console; wide where nobody watches, so that files hold whole lines."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; columns of numbers are flush right.

    Examples
    --------
    >>> from rich.console import Console
    >>> Console(width=40).print(grid("", ["segment", "rate"], [["own", 0.25], ["rent", 0.5]]))
    <BLANKLINE>
    ┏━━━━━━━━━┳━━━━━━┓
    ┃ segment ┃ rate ┃
    ┡━━━━━━━━━╇━━━━━━┩
    │ own     │ 0.25 │
    │ rent    │  0.5 │
    └─────────┴──────┘
    """
    held = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold")
    for at, name in enumerate(columns):
        numeric = bool(held) and all(isinstance(row[at], int | float) for row in held)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in held:
        table.add_row(*(Text(text) for text in cells(row)))
    return table


def cells(row: Sequence[object]) -> list[str]:
    """Return values as text: floats to six digits.

    Examples
    --------
    >>> cells(["own", 713, 0.123456789])
    ['own', '713', '0.123457']
    """
    return [
        f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        for value in row
    ]


def frame_rows(frame: pd.DataFrame) -> tuple[list[str], list[list[object]]]:
    """Return names and rows of a pandas frame, its index first, as Python values."""
    flat = frame.reset_index()
    rows = [
        [value.item() if hasattr(value, "item") else value for value in row] for row in flat.itertuples(index=False)
    ]
    return list(flat.columns), rows


def steps(report: RunReport) -> Table:
    """Return the longest steps of a run with time, rounds and bytes."""
    from mpc_engine.observe.report import human_bytes, human_seconds, longest_steps

    table = Table(title="Where the time went", title_justify="left", title_style="bold")
    for name in ("step", "engine", "time", "rounds", "sent"):
        table.add_column(name, justify="left" if name in ("step", "engine") else "right")
    for step in longest_steps(report.steps):
        table.add_row(step.what, step.engine, human_seconds(step.seconds), f"{step.rounds:,}", human_bytes(step.bytes))
    table.add_section()
    table.add_row("all", "", human_seconds(report.seconds), f"{report.rounds:,}", human_bytes(report.total_bytes))
    return table


def disclosures(items: Iterable[Disclosure]) -> str:
    """Return who learns what, a paragraph a receiver.

    Examples
    --------
    >>> from mpc_compiler.lower.stages import Disclosure
    >>> print(disclosures([Disclosure("rows of t", ("all",), "public"), Disclosure("the sum", ("bank_a",))]))
    all learn
      - rows of t (public)
    bank_a learns
      - the sum
    """
    held: dict[tuple[str, ...], list[str]] = {}
    for item in items:
        held.setdefault(item.to, []).append(f"  - {item.what}" + (f" ({item.why})" if item.why else ""))
    lines = []
    for to, found in held.items():
        many = len(to) > 1 or to[0].startswith("all")
        lines += [f"{', '.join(to)} {'learn' if many else 'learns'}", *found]
    return "\n".join(lines)
