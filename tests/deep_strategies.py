"""Random plans over all relational operations: merges of every kind, concatenations, windows, all aggregates.

Built from the steps of :mod:`tests.strategies`. What a step can depend on is exact: rows that are ordered, matched or
kept by a value that fixed point rounds might differ in the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.expressions import RATIO, UNIT, Column, columns_of
from tests.strategies import (
    Columns,
    Plan,
    Step,
    _do_assign,
    _do_dropna,
    _do_filter,
    _do_head,
    _do_select,
    _do_sort,
    _do_top,
    _fits,
    _last,
    _then,
)
from tests.tables import TABLES

__all__ = ["deep_plans"]

ROWS = 64
"""Results of merges and concatenations stay below so many rows."""


# --- sources ---------------------------------------------------------------------------------------------------------


def _table(draw: st.DrawFn, owner: str) -> Plan:
    names = [name for name in TABLES if name.startswith(owner + ".")]
    # Tables that leave nothing to compare are drawn more rarely.
    name = draw(st.sampled_from([name for name in names for _ in range(1 if len(TABLES[name]) < 9 else 3)]))
    return Plan(name, (), columns_of(TABLES[name]))


def _rows(plan: Plan) -> int:
    """Most rows that a plan can have."""
    rows = len(TABLES[plan.table])
    for step in plan.steps:
        if step.name == "merge":
            other = _rows(step.args[0])
            how, most = step.args[1].get("how", "inner"), step.args[2] if len(step.args) > 2 else 0
            matches = most or max(rows, other)
            rows = rows if how in ("semi", "anti") else matches + (rows + other if how != "inner" else 0)
        if step.name == "concat":
            rows += sum(_rows(other) for other in step.args[0])
    return rows


_HOWS = st.sampled_from(["inner", "left", "right", "outer", "semi", "anti"])


def _source(draw: st.DrawFn) -> Plan:
    kind = draw(st.sampled_from(["alone", "pair", "pair", "groups", "values", "many", "parts", "three", "three"]))
    return _SOURCES[kind](draw)


def _alone(draw: st.DrawFn) -> Plan:
    return _table(draw, draw(st.sampled_from("aab")))


def _pair(draw: st.DrawFn) -> Plan:
    """Unique keys on both sides."""
    owners = draw(st.sampled_from([("a", "b"), ("b", "a"), ("a", "a")]))
    return joined(_some_steps(draw, _table(draw, owners[0])), _table(draw, owners[1]), draw(_HOWS), "id", "id")


def _groups(draw: st.DrawFn) -> Plan:
    """Many rows to one: the other side's groups, by a key that may be missing on ours."""
    left, right = _table(draw, "a"), _table(draw, "b")
    key = draw(st.sampled_from(["m", "i"]))
    grouped = _then(right, "group", ["n"], {"total": ("bal", "sum")}, {}, columns={
        "n": right.columns["n"], "total": Column("int", size=12 * max(right.columns["bal"].size, 1))
    })  # fmt: skip
    pair = (left, grouped, key, "n") if draw(st.booleans()) else (grouped, left, "n", key)
    return joined(pair[0], pair[1], draw(_HOWS), pair[2], pair[3])


def _values(draw: st.DrawFn) -> Plan:
    """Keys that are missing on both sides: text groups with a group of the missing."""
    left = _table(draw, "a")
    right = _then(_table(draw, "a"), "select", ["s", "flag"], columns={})
    grouped = replace(
        _then(right, "group", ["s"], {"yes": ("flag", "sum")}, {"dropna": False}), columns={
            "s": replace(left.columns["s"], nullable=True), "yes": Column("int", size=12)
        }
    )  # fmt: skip
    return joined(left, grouped, draw(_HOWS), "s", "s")


def _many(draw: st.DrawFn) -> Plan:
    """Keys that repeat on both sides, with a bound."""
    left = _then(_table(draw, "a"), "head", 5)
    right = _then(_table(draw, "b"), "head", 6)
    how = draw(_HOWS)
    return joined(left, right, how, draw(st.sampled_from(["m", "i"])), "n", 0 if how in ("semi", "anti") else 30)


def _parts(draw: st.DrawFn) -> Plan:
    """Horizontal data: the same columns at two or three owners."""
    left, right, third = _table(draw, "a"), _table(draw, "b"), _table(draw, "c")
    names = [
        {"id": "id", "i": "v", "s": "t"},
        {"id": "id", "bal": "v", "t": "t"},
        {"person": "id", "score": "v", "known": "t"},
    ]
    others = draw(st.sampled_from([[right], [right, third], [third], [left]]))
    chosen = [names[0], *(names["abc".index(other.table[0])] for other in others)]
    parts = [[part.columns[old] for old in new] for part, new in zip([left, *others], chosen, strict=True)]
    made = {
        name: Column(columns[0].kind, any(c.nullable for c in columns), max(c.size for c in columns))
        for name, columns in zip(("id", "v", "t"), zip(*parts, strict=True), strict=True)
    }
    return _then(left, "concat", others, chosen, columns=made)


def _three(draw: st.DrawFn) -> Plan:
    plan = joined(_table(draw, "a"), _table(draw, "b"), draw(st.sampled_from(["inner", "left", "outer"])), "id", "id")
    return joined(plan, _table(draw, "c"), draw(_HOWS), "id", "person")


_SOURCES = {
    "alone": _alone, "pair": _pair, "groups": _groups, "values": _values, "many": _many, "parts": _parts,
    "three": _three,
}  # fmt: skip


def joined(left: Plan, right: Plan, how: str, left_on: str, right_on: str, most: int = 0) -> Plan:
    """A merge, and the columns that it gives."""
    same = left_on == right_on
    keys: dict[str, Any] = {"how": how}
    keys |= {"on": left_on} if same else {"left_on": left_on, "right_on": right_on}
    step = Step("merge", (right, keys, most))
    if how in ("semi", "anti"):
        return Plan(left.table, (*left.steps, step), left.columns)
    shared = (set(left.columns) & set(right.columns)) - ({left_on} if same else set())
    columns: Columns = {}
    for side, suffix, plan, gaps in (
        (0, "_x", left, how in ("right", "outer")),
        (1, "_y", right, how in ("left", "outer")),
    ):
        for name, column in plan.columns.items():
            if same and name == left_on:
                both = left.columns[name], right.columns[name]
                kept = both[0] if how in ("inner", "left") else both[1]
                missing = any(c.nullable for c in both) if how == "outer" else kept.nullable
                columns[name] = replace(kept, nullable=missing, size=max(c.size for c in both))
            else:
                new = name + suffix if name in shared else name
                columns[new] = replace(column, nullable=column.nullable or gaps)
        assert side in (0, 1)
    return Plan(left.table, (*left.steps, step), columns)


# --- steps -----------------------------------------------------------------------------------------------------------


def _fresh(plan: Plan) -> str:
    return next(name for k in range(99) if (name := f"w{k}") not in plan.columns)


def _keys(draw: st.DrawFn, plan: Plan, most: int = 2) -> list[str]:
    names = [n for n, c in plan.columns.items() if c.exact and c.kind in ("int", "str", "bool", "date")]
    names = [n for n in names if not (plan.columns[n].kind == "bool" and plan.columns[n].nullable)]
    return draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True)) if names else []


def _do_window(draw: st.DrawFn, plan: Plan) -> Plan:
    names = [n for n, c in plan.columns.items() if c.number and c.exact]
    if not names:
        return plan
    column, keys = draw(st.sampled_from(names)), _keys(draw, plan, 1) if draw(st.booleans()) else []
    if column in keys:
        keys = []
    of = plan.columns[column]
    gaps = of.nullable or any(plan.columns[key].nullable for key in keys)
    kinds = ["rank", "cum", "cum", "shift", "diff", *(["transform"] if keys else ["rolling", "rolling"])]
    kind = draw(st.sampled_from(kinds))
    calls, made = _WINDOWS[kind](draw, of)
    made = replace(made, nullable=made.nullable or gaps)
    return _then(plan, "window", name := _fresh(plan), keys, column, calls, columns=plan.columns | {name: made})


def _rank(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    method = draw(st.sampled_from(["min", "max", "first", "dense", "average"]))
    options = {"method": method, "ascending": draw(st.booleans())}
    # pandas ranks as floats; ours are whole numbers, which the comparison takes for nullable ones
    return [("rank", (), options)], Column("float" if method == "average" else "int", True, ROWS)


def _cum(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    how = draw(st.sampled_from(["cumsum", "cummin", "cummax"]))
    return [(how, (), {})], replace(of, size=of.size * ROWS) if how == "cumsum" else of


def _shift(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    return [("shift", (draw(st.sampled_from([1, -1, 2, 20])),), {})], replace(of, nullable=True)


def _diff(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    return [("diff", (draw(st.sampled_from([1, -2])),), {})], replace(of, nullable=True, size=2 * of.size)


def _transform(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    how = draw(st.sampled_from(["sum", "min", "max"]))
    return [("transform", (how,), {})], replace(of, size=of.size * ROWS, nullable=of.nullable and how != "sum")


def _rolling(draw: st.DrawFn, of: Column) -> tuple[Any, Column]:
    size = draw(st.sampled_from([1, 2, 3, 5]))
    options = {"min_periods": draw(st.integers(0, size))} if draw(st.booleans()) else {}
    how = draw(st.sampled_from(["sum", "mean", "min", "max"]))
    error = RATIO if how == "mean" else 0.0
    kind = "float" if how == "mean" else of.kind
    return [("rolling", (size,), options), (how, (), {})], Column(kind, True, 5 * of.size, of.error + error)


_WINDOWS = {
    "rank": _rank, "cum": _cum, "shift": _shift, "diff": _diff, "transform": _transform, "rolling": _rolling
}  # fmt: skip


def _do_distinct(draw: st.DrawFn, plan: Plan) -> Plan:
    names = [n for n, c in plan.columns.items() if c.exact and not (c.kind == "bool" and c.nullable)]
    if not names:
        return plan
    subset = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return _then(plan, "distinct", subset, draw(st.sampled_from(["first", "last", False])))


def _do_tail(draw: st.DrawFn, plan: Plan) -> Plan:
    return _then(plan, "tail", draw(st.sampled_from([0, 1, 4, 50])))


def _do_ends(draw: st.DrawFn, plan: Plan) -> Plan:
    keys = _keys(draw, plan)
    if not keys:
        return plan
    present = {name: replace(plan.columns[name], nullable=False) for name in keys}
    method, count = draw(st.sampled_from(["head", "tail"])), draw(st.sampled_from([1, 2]))
    return _then(plan, "ends", keys, method, count, columns=plan.columns | present)


_ALL = ("sum", "mean", "count", "size", "min", "max", "median", "quantile", "nunique", "first", "last")


def _do_group(draw: st.DrawFn, plan: Plan) -> Plan:
    keys = _keys(draw, plan)
    names = [n for n in plan.columns if n not in keys]
    if not keys or not names:
        return plan
    aggs: dict[str, tuple[str, str]] = {}
    made: Columns = {}
    for at, name in enumerate(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))):
        column = plan.columns[name]
        how = draw(st.sampled_from([how for how in _ALL if _takes(how, column)]))
        out = next(n for k in range(99) if (n := f"agg{at}{'' if k == 0 else k}") not in plan.columns)
        aggs[out], made[out] = (name, how), _type(how, column)
    options = {"dropna": draw(st.booleans()), "sort": draw(st.booleans())}
    kept = {k: replace(plan.columns[k], nullable=plan.columns[k].nullable and not options["dropna"]) for k in keys}
    return _then(plan, "group", keys, aggs, options, columns=kept | made)


def _takes(how: str, column: Column) -> bool:
    if how in ("median", "quantile"):
        return column.number
    if how == "nunique":
        return column.exact and not (column.kind == "bool" and column.nullable)
    if how in ("first", "last"):
        return not (column.kind == "bool" and column.nullable)
    return _fits(how, column)


def _type(how: str, column: Column) -> Column:
    if how in ("count", "size", "nunique"):
        return Column("int", size=ROWS)
    if how in ("first", "last"):
        return column
    if how in ("median", "quantile"):
        return Column("float", column.nullable, max(column.size, 1), column.error + RATIO)
    if how == "sum":
        kind = "float" if column.kind == "float" else "int"
        rounding = UNIT if kind == "float" else 0.0
        return Column(kind, size=ROWS * max(column.size, 1), error=ROWS * column.error + rounding)
    if how == "mean":
        return Column("float", column.nullable, max(column.size, 1), column.error + RATIO)
    return column


def _do_merge(draw: st.DrawFn, plan: Plan) -> Plan:
    """One more table, where there is a key for it."""
    names = [n for n, c in plan.columns.items() if c.exact and c.kind == "int" and n in ("id", "v", "person")]
    if not names or _rows(plan) > ROWS or sum(step.name == "merge" for step in plan.steps) > 2:
        return plan
    other = _table(draw, draw(st.sampled_from("bc")))
    key = "person" if other.table.startswith("c") else "id"
    left = draw(st.sampled_from(names))
    if left != key and key in plan.columns:
        return plan
    try:
        return joined(plan, other, draw(_HOWS), left, key) if _plain(plan, other, left, key) else plan
    except AssertionError:
        return plan


def _plain(plan: Plan, other: Plan, left: str, key: str) -> bool:
    """Whether suffixes make no name twice."""
    shared = (set(plan.columns) & set(other.columns)) - ({key} if left == key else set())
    made = [name + "_x" if name in shared else name for name in plan.columns]
    made += [name + "_y" if name in shared else name for name in other.columns if not (left == key and name == key)]
    return len(set(made)) == len(made)


_STEPS = (
    _do_filter, _do_filter, _do_assign, _do_select, _do_sort, _do_sort, _do_head, _do_top, _do_dropna, _do_window,
    _do_window, _do_window, _do_distinct, _do_tail, _do_ends, _do_group, _do_group, _do_merge,
)  # fmt: skip


def _some_steps(draw: st.DrawFn, plan: Plan) -> Plan:
    if draw(st.booleans()):
        return plan
    made = draw(st.sampled_from([_do_filter, _do_sort, _do_head, _do_distinct]))(draw, plan)
    return made if made.columns.get("id") == plan.columns["id"] else plan


def _ended(draw: st.DrawFn, plan: Plan) -> Plan:
    if not any(c.exact for c in plan.columns.values()):
        return plan
    return _last(draw, plan) if draw(st.booleans()) else plan


@st.composite
def deep_plans(draw: st.DrawFn, depth: int = 6) -> Plan:
    """A source of one to three owners, up to ``depth`` steps, and perhaps a total."""
    plan = _source(draw)
    for _ in range(draw(st.integers(0, depth - 1))):
        plan = draw(st.sampled_from(_STEPS))(draw, plan)
    return _ended(draw, plan)
