"""Random plans for Hypothesis: pipelines over :mod:`tests.tables`, and the comparison of what they give with pandas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import mpc_engine as mpc
from tests.expressions import RATIO, UNIT, Column, Expr, booleans, columns_of, numbers, shown
from tests.tables import TABLES

__all__ = ["Plan", "compare", "plans"]

Columns = dict[str, Column]
Calls = list[tuple[str, tuple[Any, ...], dict[str, Any]]]
"""Methods, one after the other, with their arguments."""


@dataclass(frozen=True)
class Step:
    """One call on a frame (or, for ``scalar`` and ``column``, the last one)."""

    name: str
    args: tuple[Any, ...]

    def on(self, frame: Any, tables: Callable[[str], Any]) -> Any:
        """Apply to a pandas frame or one of ours."""
        return getattr(self, "_" + self.name)(frame, tables, *self.args)

    def _filter(self, frame: Any, tables: Any, predicate: Expr) -> Any:
        return frame[predicate.on(frame)]

    def _query(self, frame: Any, tables: Any, text: str) -> Any:
        return frame.query(text)

    def _select(self, frame: Any, tables: Any, names: list[str]) -> Any:
        return frame[names]

    def _assign(self, frame: Any, tables: Any, name: str, expr: Expr) -> Any:
        return frame.assign(**{name: expr.on})

    def _sort(self, frame: Any, tables: Any, by: list[str], ascending: list[bool]) -> Any:
        kind = {"kind": "stable"} if isinstance(frame, pd.DataFrame) else {}
        return frame.sort_values(by, ascending=ascending, **kind)

    def _head(self, frame: Any, tables: Any, count: int) -> Any:
        return frame.head(count)

    def _top(self, frame: Any, tables: Any, count: int, by: list[str], method: str) -> Any:
        return getattr(frame, method)(count, by)

    def _dropna(self, frame: Any, tables: Any, names: list[str]) -> Any:
        return frame.dropna(subset=names)

    def _merge(self, frame: Any, tables: Any, right: Plan, keys: dict[str, Any], most: int = 0) -> Any:
        other = right.on(tables)
        if not isinstance(frame, pd.DataFrame):
            return frame.merge(other, **keys, **({"max_rows": most} if most else {}))
        if keys.get("how") in ("semi", "anti"):
            left_on, right_on = (keys.get(side, keys.get("on")) for side in ("left_on", "right_on"))
            return frame[frame[left_on].isin(other[right_on]) == (keys["how"] == "semi")]
        if keys.get("how") == "inner":
            # pandas 3 mixes up rows where some have no match, others two, and the result is as long as the left side.
            left, right = (side.assign(**{name: np.arange(len(side))}) for side, name in ((frame, "_l"), (other, "_r")))
            return left.merge(right, **keys).sort_values(["_l", "_r"]).drop(columns=["_l", "_r"])
        return frame.merge(other, **keys)

    def _concat(self, frame: Any, tables: Any, others: list[Plan], names: list[dict[str, str]]) -> Any:
        parts = [frame, *(other.on(tables) for other in others)]
        parts = [part.rename(columns=new)[list(new.values())] for part, new in zip(parts, names, strict=True)]
        return pd.concat(parts, ignore_index=True) if isinstance(frame, pd.DataFrame) else mpc.concat(parts)

    def _group(
        self, frame: Any, tables: Any, keys: list[str], aggs: dict[str, tuple[str, Any]], options: dict[str, bool]
    ) -> Any:
        return frame.groupby(keys, **options).agg(**aggs).reset_index()

    def _window(self, frame: Any, tables: Any, name: str, keys: list[str], column: str, calls: Calls) -> Any:
        made = frame.groupby(keys)[column] if keys else frame[column]
        for method, args, options in calls:
            made = getattr(made, method)(*args, **options)
        return frame.assign(**{name: made})

    def _distinct(self, frame: Any, tables: Any, names: list[str], keep: Any) -> Any:
        return frame.drop_duplicates(subset=names, keep=keep)

    def _tail(self, frame: Any, tables: Any, count: int) -> Any:
        return frame.tail(count)

    def _ends(self, frame: Any, tables: Any, keys: list[str], method: str, count: int) -> Any:
        return getattr(frame.groupby(keys), method)(count)

    def _total(self, frame: Any, tables: Any, aggs: dict[str, tuple[str, str]]) -> Any:
        if not isinstance(frame, pd.DataFrame):
            return frame.agg(**aggs)
        return pd.DataFrame({name: [_reduced(frame[column], how)] for name, (column, how) in aggs.items()})

    def _scalar(self, frame: Any, tables: Any, expr: Expr, how: str) -> Any:
        return getattr(expr.on(frame), how)()

    def _column(self, frame: Any, tables: Any, expr: Expr) -> Any:
        return expr.on(frame)

    def _counts(self, frame: Any, tables: Any, names: list[str]) -> Any:
        return frame.value_counts(names)

    def __str__(self) -> str:
        return f".{self.name}({', '.join(map(shown, self.args))})"


def _reduced(data: pd.Series, how: str) -> Any:
    return len(data) if how == "size" else getattr(data, how)()


@dataclass(frozen=True)
class Plan:
    """A table and what is done with it, and the columns that this gives."""

    table: str
    steps: tuple[Step, ...]
    columns: Columns
    ordered: bool = True

    def on(self, tables: Callable[[str], Any]) -> Any:
        """The result on pandas frames, or the lazy result on ours."""
        frame = tables(self.table)
        for step in self.steps:
            frame = step.on(frame, tables)
        return frame

    def __str__(self) -> str:
        return f"{self.table}{''.join(map(str, self.steps))}"

    __repr__ = __str__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print as one line where Hypothesis reports a failure."""
        printer.text(str(self))


def _then(plan: Plan, name: str, *args: Any, columns: Columns | None = None) -> Plan:
    held = plan.columns if columns is None else columns
    return Plan(plan.table, (*plan.steps, Step(name, args)), held, plan.ordered)


def _do_filter(draw: st.DrawFn, plan: Plan) -> Plan:
    predicate = booleans(draw, plan.columns, 2)
    return plan if predicate is None else _then(plan, "filter", predicate)


def _do_query(draw: st.DrawFn, plan: Plan) -> Plan:
    predicate = booleans(draw, plan.columns, 1)
    text = None if predicate is None else predicate.query()
    return plan if text is None or predicate is None or predicate.op == "column" else _then(plan, "query", text)


def _do_assign(draw: st.DrawFn, plan: Plan) -> Plan:
    if draw(st.integers(0, 3)):
        made = numbers(draw, plan.columns, 3)
    else:
        condition = booleans(draw, plan.columns, 1)
        made = condition and Expr("astype", (condition, int), Column("int", size=1.0))
    names = [*(name for name in ("bal", "i") if name in plan.columns), "new", "new2"]
    name = draw(st.sampled_from(names))
    return plan if made is None else _then(plan, "assign", name, made, columns=plan.columns | {name: made.type})


def _do_select(draw: st.DrawFn, plan: Plan) -> Plan:
    names = draw(st.lists(st.sampled_from(list(plan.columns)), min_size=1, max_size=4, unique=True))
    return _then(plan, "select", names, columns={name: plan.columns[name] for name in names})


def _do_sort(draw: st.DrawFn, plan: Plan) -> Plan:
    names = [name for name, column in plan.columns.items() if column.exact]
    if not names:
        return plan
    by = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return _then(plan, "sort", by, [draw(st.booleans()) for _ in by])


def _do_head(draw: st.DrawFn, plan: Plan) -> Plan:
    return _then(plan, "head", draw(st.sampled_from([0, 1, 3, 5, 50])))


def _do_top(draw: st.DrawFn, plan: Plan) -> Plan:
    names = [name for name, c in plan.columns.items() if c.exact and c.number and not c.nullable]
    if not names:
        return plan
    by = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return _then(plan, "top", draw(st.sampled_from([1, 4, 50])), by, draw(st.sampled_from(["nlargest", "nsmallest"])))


def _do_dropna(draw: st.DrawFn, plan: Plan) -> Plan:
    names = draw(st.lists(st.sampled_from(list(plan.columns)), min_size=1, max_size=2, unique=True))
    present = {name: replace(plan.columns[name], nullable=False) for name in names}
    return _then(plan, "dropna", names, columns=plan.columns | present)


_GROUPED = ("sum", "mean", "count", "size", "min", "max")


def _aggregated(draw: st.DrawFn, columns: Columns, keys: Sequence[str]) -> tuple[dict[str, tuple[str, str]], Columns]:
    """Named aggregates and the columns that they give."""
    names = [name for name, c in columns.items() if name not in keys]
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)) if names else []
    aggs, made = {}, {}
    for name in chosen:
        column = columns[name]
        how = draw(st.sampled_from([how for how in _GROUPED if _fits(how, column)]))
        name_out = next(
            made_name for k in range(99) if (made_name := f"agg{k}") not in columns and made_name not in aggs
        )
        aggs[name_out] = (name, how)
        made[name_out] = _aggregate_type(how, column, grouped=bool(keys))
    return aggs, made


def _fits(how: str, column: Column) -> bool:
    if how in ("count", "size"):
        return True
    if how in ("min", "max"):
        return column.kind == "date" or column.number
    return column.number or (column.kind == "bool" and not column.nullable)


def _aggregate_type(how: str, column: Column, *, grouped: bool) -> Column:
    nullable = column.nullable or not grouped
    if how in ("count", "size"):
        return Column("int", size=12)
    if how == "sum":
        kind = "float" if column.kind == "float" else "int"
        rounding = UNIT if kind == "float" else 0.0
        return Column(kind, size=12 * max(column.size, 1), error=12 * column.error + rounding)
    if how == "mean":
        return Column("float", nullable, max(column.size, 1), column.error + RATIO)
    return replace(column, nullable=nullable)


def _do_group(draw: st.DrawFn, plan: Plan) -> Plan:
    names = [name for name, c in plan.columns.items() if c.exact and c.kind in ("int", "str", "bool", "date")]
    if not names:
        return plan
    keys = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    aggs, made = _aggregated(draw, plan.columns, keys)
    if not aggs:
        return plan
    columns = {name: replace(plan.columns[name], nullable=False) for name in keys} | made
    return _then(plan, "group", keys, aggs, {}, columns=columns)


_STEPS_OF_A_FRAME = (
    _do_filter,
    _do_filter,
    _do_query,
    _do_assign,
    _do_assign,
    _do_select,
    _do_sort,
    _do_head,
    _do_top,
    _do_dropna,
)


def _several(draw: st.DrawFn, plan: Plan, most: int) -> Plan:
    for _ in range(draw(st.integers(0, most))):
        plan = draw(st.sampled_from(_STEPS_OF_A_FRAME))(draw, plan)
    return plan


def _last(draw: st.DrawFn, plan: Plan) -> Plan:
    kind = draw(st.sampled_from(["rows", "rows", "group", "group", "total", "scalar", "column", "counts"]))
    if kind == "group":
        return _several(draw, _do_group(draw, plan), 1)
    if kind == "total":
        aggs, made = _aggregated(draw, plan.columns, ())
        return _then(plan, "total", aggs, columns=made) if aggs else plan
    if kind == "counts":
        names = [n for n, c in plan.columns.items() if c.exact and c.kind in ("int", "str", "bool")]
        if not names:
            return plan
        by = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        columns = {name: replace(plan.columns[name], nullable=False) for name in by} | {"count": Column("int", size=12)}
        return replace(_then(plan, "counts", by, columns=columns), ordered=False)
    made = numbers(draw, plan.columns, 2) if kind in ("scalar", "column") else None
    if made is None:
        return plan
    if kind == "column":
        return _then(plan, "column", made, columns={"value": made.type})
    how = draw(st.sampled_from([how for how in _GROUPED if how != "size"]))
    return _then(plan, "scalar", made, how, columns={"value": _aggregate_type(how, made.type, grouped=False)})


def _source(draw: st.DrawFn) -> Plan:
    """A table of one owner, or a merge of two or three."""
    left = _table(draw, "a")
    how = draw(st.sampled_from(["alone", "pair", "pair", "pair", "grouped", "three"]))
    if how == "alone":
        return left if draw(st.booleans()) else _table(draw, "b")
    left = _kept(draw, left)
    right = _table(draw, "b")
    if how == "grouped":
        aggs, made = _aggregated(draw, {name: c for name, c in right.columns.items() if name != "x"}, ("id",))
        right = _then(right, "group", ["id"], aggs, {}, columns={"id": right.columns["id"]} | made)
    else:
        right = _kept(draw, right)
    plan = _joined(left, right, {"on": "id"})
    if how == "three":
        plan = _joined(plan, _table(draw, "c"), {"left_on": "id", "right_on": "person"})
    return plan


def _table(draw: st.DrawFn, owner: str) -> Plan:
    names = [name for name in TABLES if name.startswith(owner + ".")]
    # Tables that leave nothing to compare are drawn more rarely.
    name = draw(st.sampled_from([name for name in names for _ in range(1 if len(TABLES[name]) < 9 else 3)]))
    return Plan(name, (), columns_of(TABLES[name]))


def _kept(draw: st.DrawFn, plan: Plan) -> Plan:
    """Steps of one owner before a merge; the key stays."""
    made = _several(draw, plan, 1)
    return made if made.columns.get("id") == plan.columns["id"] else plan


def _joined(left: Plan, right: Plan, keys: dict[str, str]) -> Plan:
    shared = (set(left.columns) & set(right.columns)) - {keys.get("on")}
    columns = {name + "_x" if name in shared else name: c for name, c in left.columns.items()}
    columns |= {name + "_y" if name in shared else name: c for name, c in right.columns.items()}
    return Plan(left.table, (*left.steps, Step("merge", (right, keys))), columns)


@st.composite
def plans(draw: st.DrawFn, depth: int = 3) -> Plan:
    """A random pipeline over :data:`TABLES`: a table or a merge, up to ``depth`` steps, and a way to end."""
    return _last(draw, _several(draw, _source(draw), depth))


# --- comparison ------------------------------------------------------------------------------------------------------


def compare(plan: Plan, got: Any, want: Any) -> str:
    """How a collected result differs from pandas' by more than its columns allow; empty if it does not."""
    got, want = _framed(got), _framed(want)
    if list(got.columns) != list(want.columns) and got.shape[1] != want.shape[1]:
        return f"columns {list(got.columns)} instead of {list(want.columns)}"
    if plan.steps and plan.steps[-1].name not in ("column", "scalar") and list(got.columns) != list(want.columns):
        return f"columns {list(got.columns)} instead of {list(want.columns)}"
    if len(got) != len(want):
        return f"{len(got)} rows instead of {len(want)}"
    if not plan.ordered:
        if not got.iloc[:, -1].is_monotonic_decreasing:
            return f"counts {got.iloc[:, -1].tolist()} are not in order"
        got, want = _by_count(got), _by_count(want)
    for at, (name, column) in enumerate(plan.columns.items()):
        problem = _differs(got.iloc[:, at], want.iloc[:, at], column)
        if problem:
            return f"{name}: {problem}"
    return ""


def _framed(result: Any) -> pd.DataFrame:
    if isinstance(result, pd.DataFrame):
        return result.reset_index(drop=result.index.names == [None])
    if isinstance(result, pd.Series):
        return (
            result.reset_index(drop=result.index.names == [None]) if result.index.names != [None] else result.to_frame()
        )
    return pd.DataFrame({"value": [result]})


def _by_count(frame: pd.DataFrame) -> pd.DataFrame:
    """Equal counts have no order among them."""
    names = list(frame.columns)
    return frame.sort_values([names[-1], *names[:-1]], ascending=[False, *(True for _ in names[:-1])])


def _differs(got: pd.Series, want: pd.Series, column: Column) -> str:
    missing = want.isna().to_numpy()
    if (got.isna().to_numpy() != missing).any():
        return f"missing values at {np.flatnonzero(got.isna())} instead of {np.flatnonzero(missing)}"
    if not column.nullable and len(got) and _family(got) != column.kind:
        return f"type {got.dtype} for {column.kind}"
    got, want = got[~missing], want[~missing]
    if column.number:
        gap = np.abs(got.to_numpy(float) - want.to_numpy(float))
        worst = float(gap.max(initial=0.0))
        return f"off by {worst:.3g} of at most {column.error:.3g}" if worst > column.error * (1 + 1e-9) else ""
    return "" if got.tolist() == want.tolist() else f"{got.tolist()} instead of {want.tolist()}"


def _family(data: pd.Series) -> str:
    return {"i": "int", "f": "float", "b": "bool", "M": "date"}.get(data.dtype.kind, "str")
