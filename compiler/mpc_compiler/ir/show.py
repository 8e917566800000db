"""Plans as indented text, the way every explanation prints them."""

from __future__ import annotations

from mpc_compiler.ir.rel import (
    Agg,
    Aggregate,
    Apply,
    Filter,
    Fit,
    Item,
    Join,
    Kept,
    Limit,
    Local,
    Metric,
    Plan,
    Project,
    Rel,
    Scan,
    Shared,
    Sort,
    SortBy,
    Union,
    Win,
    Window,
    inputs_of,
)

__all__ = ["head_line", "show", "show_plan"]


def _item(item: Item) -> str:
    text = repr(item.expr)
    return item.name if text == item.name else f"{item.name}={text}"


def _agg(agg: Agg) -> str:
    level = "" if agg.param is None else f", {agg.param:g}"
    return f"{agg.name}={agg.function}({agg.column or '*'}{level})"


def _order(order: tuple[SortBy, ...]) -> str:
    return ", ".join(by.column + ("" if by.ascending else " descending") for by in order)


def _win(win: Win) -> str:
    if win.function in ("lag", "lead"):
        return f"{win.name}={win.function}({win.column}, {win.param})"
    if win.function in ("row_number", "rank", "dense_rank"):
        return f"{win.name}={win.function}()"
    before, after = ("all" if rows is None else rows for rows in win.rows)
    frame = "up to peers" if win.peers else f"{before} before to {after} after"
    return f"{win.name}={win.function}({win.column or '*'}) {frame}"


def _window(rel: Window) -> str:
    by = f" by {', '.join(rel.partition)}" if rel.partition else ""
    order = f" order {_order(rel.order)}" if rel.order else ""
    return f"window {', '.join(map(_win, rel.wins))}{by}{order}"


def _join(rel: Join) -> str:
    keys = " and ".join(f"{a} = {b}" for a, b in zip(rel.left_on, rel.right_on, strict=True))
    kind = "" if rel.how == "inner" else f"{rel.how} "
    how = (
        (" hidden" if rel.hidden else "")
        if not rel.method
        else f" {'by ' if rel.method == 'intersection' else ''}{rel.method}"
    )
    return f"{kind}join{' on ' if keys else ''}{keys}{how}"


def head_line(rel: Rel) -> str:
    """One node as one line, without its inputs."""
    if isinstance(rel, Scan):
        return f"scan {rel.table} [{', '.join(f.name for f in rel.fields)}] {rel.rows} rows of {rel.owner}"
    if isinstance(rel, Kept):
        return f"kept {rel.name} [{', '.join(f.name for f in rel.fields)}] at most {rel.rows} rows"
    if isinstance(rel, Shared):
        return f"shares of {rel.source} [{', '.join(f.name for f in rel.fields)}] at most {rel.rows} rows"
    if isinstance(rel, Project):
        return f"project {', '.join(map(_item, rel.items))}"
    if isinstance(rel, Filter):
        return f"filter {rel.predicate!r}"
    if isinstance(rel, Join):
        return _join(rel)
    if isinstance(rel, Union):
        return "union"
    if isinstance(rel, Window):
        return _window(rel)
    if isinstance(rel, Aggregate):
        by = f" by {', '.join(rel.keys)}" if rel.keys else ""
        by += (" with nulls" if rel.nulls else "") + ("" if rel.ordered else " in any order")
        return f"aggregate {', '.join(map(_agg, rel.aggs))}{by}"
    if isinstance(rel, Sort):
        return f"sort {_order(rel.by)}"
    if isinstance(rel, Limit):
        return f"limit {rel.count}"
    if isinstance(rel, Local):
        return f"local to {rel.owner}"
    if isinstance(rel, Fit):
        target = f" -> {rel.target}" if rel.target else ""
        return f"fit {rel.kind} {', '.join(rel.features)}{target}"
    if isinstance(rel, Apply):
        return f"apply {rel.kind}.{rel.method} -> {', '.join(rel.outputs)}"
    if isinstance(rel, Metric):
        scores = " and ".join(filter(None, (rel.score, rel.other)))
        return f"metric {', '.join(rel.metrics)} of {scores} against {rel.label}"
    raise TypeError(type(rel))


def show(rel: Rel, names: dict[Rel, int] | None = None, depth: int = 0) -> str:
    """``rel`` as an indented tree; a subtree that appeared before is named, not repeated.

    Examples
    --------
    >>> from mpc_compiler.ir import Limit, Scan, make
    >>> print(show(make(Limit(make(Scan("a.loans", "a", (), 5)), 2))))
    limit 2
      scan a.loans [] 5 rows of a
    """
    names = {} if names is None else names
    pad = "  " * depth
    if rel in names and inputs_of(rel):
        return f"{pad}(as above: #{names[rel]} {head_line(rel)})"
    names[rel] = len(names) + 1
    lines = [pad + head_line(rel)]
    lines += [show(child, names, depth + 1) for child in inputs_of(rel)]
    return "\n".join(lines)


def show_plan(plan: Plan) -> str:
    """Every output of a plan."""
    names: dict[Rel, int] = {}
    parts = []
    for output in plan.outputs:
        parts.append(f"{output.name} to {', '.join(output.receivers)}:")
        parts.append(show(output.rel, names, 1))
    return "\n".join(parts)
