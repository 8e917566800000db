"""Window functions: one node of the plan for each PARTITION BY and ORDER BY."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlglot import exp

from mpc_compiler.ir import Expr, SortBy, Win, Window, call, column, literal, make
from mpc_compiler.sql import constant as constants
from mpc_compiler.sql.free import window_function
from mpc_compiler.sql.parts import Part
from mpc_compiler.sql.scalar import Reader
from mpc_compiler.sql.text import describe, plain, refused

__all__ = ["named_windows", "ordered", "windows_over"]

_RANKS: dict[type[exp.Expr], str] = {exp.RowNumber: "row_number", exp.Rank: "rank", exp.DenseRank: "dense_rank"}
_TOTALS: dict[type[exp.Expr], str] = {
    exp.Sum: "sum", exp.Avg: "mean", exp.Min: "min", exp.Max: "max", exp.Count: "count",
}  # fmt: skip
_OFFSETS: dict[type[exp.Expr], str] = {exp.Lag: "lag", exp.Lead: "lead"}

Spec = tuple[tuple[str, ...], tuple[SortBy, ...]]


def named_windows(select: exp.Select, nodes: Sequence[exp.Window]) -> None:
    """Write out what OVER names of the clause WINDOW."""
    known = {str(node.this.name).lower(): node for node in select.args.get("windows") or ()}
    for node in nodes:
        name = node.args.get("alias")
        if name is None:
            continue
        found = known.get(name.name.lower())
        if found is None:
            hint = "WINDOW name AS (PARTITION BY ... ORDER BY ...)"
            raise refused(node, f"OVER {name.name}, which no WINDOW names,", hint)
        for part in ("partition_by", "order", "spec"):
            if node.args.get(part) is None and found.args.get(part) is not None:
                value = found.args[part]
                node.set(part, [item.copy() for item in value] if isinstance(value, list) else value.copy())
        node.set("alias", None)


def windows_over(
    part: Part, nodes: Sequence[exp.Window], reader: Callable[[Part], Reader], fresh: Callable[[], str]
) -> Iterator[tuple[exp.Window, Expr]]:
    """Add every window function to the rows of ``part``; yields what each gives."""
    specs: dict[Spec, list[tuple[exp.Window, list[Win], Expr]]] = {}
    for node in nodes:
        plain(node)
        read = reader(part)
        partition = tuple(_partition(item, part, reader(part)) for item in node.args.get("partition_by") or ())
        by = node.args["order"].expressions if node.args.get("order") else ()
        terms = tuple(term for item in by for term in ordered(item, part, reader(part)))
        wins, result = _function(node, part, read, fresh, ordered=bool(terms))
        specs.setdefault((tuple(dict.fromkeys(partition)), terms), []).append((node, wins, result))
    for (names, order), found in specs.items():
        wins = list({win.name: win for _, several, _ in found for win in several}.values())
        part.rel = make(Window(part.rel, names, order, tuple(wins)))
    for several in specs.values():
        for node, _, result in several:
            yield node, result


def _partition(node: exp.Expr, part: Part, reader: Reader) -> str:
    expr = reader.value(node)
    if reader.type(expr).kind == "float":
        raise refused(node, "PARTITION BY a float", "CAST(TRUNC(x) AS BIGINT)")
    return part.key(expr)


def ordered(node: exp.Expr, part: Part, reader: Reader) -> list[SortBy]:
    """The sort keys of one term of ORDER BY."""
    if not isinstance(node, exp.Ordered):
        raise refused(node, describe(node), "ORDER BY columns")
    plain(node)
    expr = reader.value(node.this)
    by = [SortBy(part.key(expr), not node.args.get("desc"))]
    if node.args.get("nulls_first") and reader.type(expr).nullable:
        by.insert(0, SortBy(part.key(call("int", call("isna", expr))), ascending=False))
    return by


def _function(
    node: exp.Window, part: Part, reader: Reader, fresh: Callable[[], str], *, ordered: bool
) -> tuple[list[Win], Expr]:
    function = window_function(node)
    plain(function)
    name = fresh()
    if type(function) in _RANKS:
        _no_frame(node)
        return [Win(name, _RANKS[type(function)])], column(name)
    if type(function) in _OFFSETS:
        _no_frame(node)
        return _offset(function, name, part, reader)
    if type(function) not in _TOTALS:
        hint = "ROW_NUMBER, RANK, DENSE_RANK, LAG, LEAD, SUM, AVG, COUNT, MIN, MAX"
        raise refused(node, f"{describe(function)} OVER", hint)
    rows, peers = _frame(node, ordered=ordered)
    if isinstance(function.this, exp.Distinct):
        raise refused(node, "DISTINCT in a window function", "a join with a grouped subquery")
    value = literal(1) if isinstance(function.this, exp.Star) else reader.value(function.this)
    if isinstance(node.this, exp.Filter):
        value = call("where", reader.test(node.this.expression.this).true, value, literal(None))
    elif isinstance(function, exp.Count) and not reader.type(value).nullable:
        return [Win(name, "size", rows=rows, peers=peers)], column(name)
    held = part.key(value)
    total = Win(name, _TOTALS[type(function)], held, rows=rows, peers=peers)
    if not isinstance(function, exp.Sum) or not (reader.type(value).nullable or _may_be_empty(rows)):
        return [total], column(name)
    count = Win(fresh(), "count", held, rows=rows, peers=peers)
    return [total, count], call("where", call("gt", column(count.name), literal(0)), column(name), literal(None))


def _may_be_empty(rows: tuple[int | None, int | None]) -> bool:
    return any(end is not None and end < 0 for end in rows)


def _offset(node: exp.Expr, name: str, part: Part, reader: Reader) -> tuple[list[Win], Expr]:
    value = constants.value_of(node.args["offset"]) if node.args.get("offset") is not None else 1
    if not isinstance(value, int):
        raise refused(node, f"{describe(node)} by other than a whole number", f"{node.key.upper()}(x, 1)")
    expr = reader.value(node.this)
    win = Win(name, _OFFSETS[type(node)], part.key(expr), value)
    if node.args.get("default") is None:
        return [win], column(name)
    if reader.type(expr).nullable:
        raise refused(node, f"{describe(node)} with a default, of values that may be NULL", "COALESCE around it")
    return [win], call("fillna", column(name), reader.value(node.args["default"]))


def _no_frame(node: exp.Window) -> None:
    if node.args.get("spec") is not None:
        raise refused(node, f"a frame for {describe(node.this)}", "OVER (PARTITION BY ... ORDER BY ...)")


def _frame(node: exp.Window, *, ordered: bool) -> tuple[tuple[int | None, int | None], bool]:
    """So many rows before and after; whether the frame ends with the last row that ties with the current one."""
    spec = node.args.get("spec")
    if spec is None:
        return ((None, 0), True) if ordered else ((None, None), False)
    plain(spec)
    kind = str(spec.args.get("kind") or "").upper()
    start = _end(node, spec, "start", -1)
    end = _end(node, spec, "end", 1) if spec.args.get("end") is not None else 0
    if kind == "RANGE" and start is None and end is None:
        return (None, None), False
    if kind == "RANGE" and start is None and end == 0:
        return ((None, 0), True) if ordered else ((None, None), False)
    if kind != "ROWS":
        raise refused(node, f"a frame in {kind or 'no unit'}", "ROWS BETWEEN n PRECEDING AND CURRENT ROW")
    return (start, end), False


def _end(node: exp.Window, spec: exp.Expr, name: str, sign: int) -> int | None:
    """Rows before (``start``) or after (``end``) the current one; None: all."""
    value, side = spec.args.get(name), str(spec.args.get(f"{name}_side") or "").upper()
    if str(value).upper() == "CURRENT ROW":
        return 0
    towards = -1 if side == "PRECEDING" else 1
    if str(value).upper() == "UNBOUNDED":
        if towards != sign:
            raise refused(node, f"a frame that {name}s with UNBOUNDED {side}", "UNBOUNDED PRECEDING AND CURRENT ROW")
        return None
    number = constants.value_of(value) if isinstance(value, exp.Expr) else None
    if not isinstance(number, int):
        raise refused(node, "a frame of other than whole numbers", "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW")
    return number * towards * sign
