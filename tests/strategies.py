"""Random tables and random plans for Hypothesis. A plan is data with one meaning on our frames and on pandas'.

Every column carries what the comparison needs: its kind, bounds of its values, and how far a value that was computed
in fixed point may lie from pandas'. The derivation, for u = 2**-18, the unit in the last of 18 fraction bits:

- an input that is a multiple of 1/8 is exact; any other is rounded once on its way into shares: u;
- sums, differences, signs, choices and whole factors are exact in the ring: they add or scale the errors they get;
- a product of two fixed-point numbers is truncated without communication, which is off by at most one unit beside the
  rounding itself (Mohassel and Rindal, CCS 2018, section 5.1): |a|·error(b) + |b|·error(a) + error(a)·error(b) + 2u;
- a constant factor c that is not whole is encoded to u first: |a|·u + |c|·error(a) + 2u; the same for division by one;
- division by a secret count and the mean have the declared bound of ``numeric.ratio``: 2**-16 on top of the input's.

What has an error of 0 must be equal. Only such values are compared, sorted, grouped or cut off to integers, since a
difference in the last bit may otherwise turn into another row. Results that an owner computes in the clear are closer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import mpc_engine as mpc

__all__ = ["TABLES", "Column", "Expr", "Plan", "compare", "nullable_integers", "plans", "tables"]

UNIT = 2.0**-18
RATIO = 2.0**-16
LARGEST = 2.0**18
"""Float results stay below this, so that a product of two columns and a sum over any table fit in the ring."""


# --- tables ----------------------------------------------------------------------------------------------------------

SEGMENTS = ("blue", "green", "red")
DAYS = pd.to_datetime(["2020-01-31", "2021-06-15", "2021-06-16", "2024-02-29"]).astype("datetime64[us]")


def _applications(seed: int, rows: int, *, nulls: float = 0.0, skew: bool = False) -> pd.DataFrame:
    """Owner a: key, small and large integers, exact and inexact floats, text, boolean, time stamp."""
    rng = np.random.default_rng(seed)
    small = np.zeros(rows, int) if skew else rng.integers(-5, 9, rows)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(np.arange(100, 100 + 2 * rows))[:rows],
            "i": small,
            "m": rng.integers(0, 4, rows).astype(float),
            "big": rng.choice([-70_000, 3, 3, 12_345, 1_000_000], rows),
            "x": np.full(rows, 2.5) if skew else rng.integers(-64, 65, rows) / 8,
            "y": rng.normal(0, 3, rows),
            "s": pd.Series(rng.choice(SEGMENTS, rows, p=[0.9, 0.1, 0.0] if skew else None), dtype="str"),
            "flag": rng.random(rows) < 0.5,
            "d": DAYS[rng.integers(0, len(DAYS), rows)],
        }
    )
    return _with_nulls(frame, ("m", "x", "y", "s", "d"), nulls, rng)


def _accounts(seed: int, rows: int, *, nulls: float = 0.0, first: int = 100) -> pd.DataFrame:
    """Owner b: the same key, and a column of the same name as one of a's."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(np.arange(first, first + 2 * rows))[:rows],
            "bal": rng.integers(-50, 51, rows),
            "n": rng.integers(1, 10, rows),
            "x": rng.integers(-40, 41, rows) / 4,
            "w": rng.uniform(-10, 10, rows),
            "t": pd.Series(rng.choice(["no", "yes"], rows), dtype="str"),
        }
    )
    return _with_nulls(frame, ("x", "w", "t"), nulls, rng)


def _with_nulls(frame: pd.DataFrame, names: Sequence[str], share: float, rng: np.random.Generator) -> pd.DataFrame:
    for name in names if share else ():
        frame[name] = frame[name].mask(pd.Series(rng.random(len(frame)) < share))
    return frame


TABLES: dict[str, pd.DataFrame] = {
    "a.plain": _applications(1, 11),
    "a.nulls": _applications(2, 11, nulls=0.4),
    "a.skew": _applications(3, 11, skew=True),
    "a.none": _applications(4, 0),
    "a.one": _applications(5, 1),
    "b.plain": _accounts(11, 11),
    "b.nulls": _accounts(12, 11, nulls=0.4),
    "b.far": _accounts(13, 7, first=900),
    "b.none": _accounts(14, 0),
    "c.plain": _accounts(21, 9)[["id", "bal", "t"]].rename(columns={"id": "person", "bal": "score", "t": "known"}),
}
"""Fixed tables of three owners, as pandas holds them."""


def tables() -> dict[str, dict[str, Any]]:
    """:data:`TABLES` as ``Session.local`` takes them."""
    held: dict[str, dict[str, Any]] = {}
    for name, frame in TABLES.items():
        owner, table = name.split(".")
        held.setdefault(owner, {})[table] = nullable_integers(frame)
    # Without rows there is no range, and what is divided by must have one.
    held["b"]["none"] = mpc.Source(held["b"]["none"], ranges={"n": (1, 9)})
    return held


def nullable_integers(frame: pd.DataFrame) -> pd.DataFrame:
    """``m`` as an integer column with missing values; pandas' own comparison value keeps it as float with NaN."""
    return frame.assign(m=frame["m"].astype("Int64")) if "m" in frame else frame


# --- columns and expressions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """What is known of a column: kind, whether values may be missing, largest magnitude, largest error."""

    kind: str
    nullable: bool = False
    size: float = 0.0
    error: float = 0.0

    @property
    def exact(self) -> bool:
        return self.error == 0

    @property
    def number(self) -> bool:
        return self.kind in ("int", "float")


def columns_of(frame: pd.DataFrame) -> dict[str, Column]:
    """The columns of a table."""
    found = {}
    for name, data in frame.items():
        kind = {"i": "int", "f": "float", "b": "bool", "M": "date"}.get(data.dtype.kind, "str")
        kind = "int" if name == "m" else kind
        present = data.dropna()
        size = float(present.abs().max()) if kind in ("int", "float") and len(present) else 0.0
        exact = kind != "float" or bool((present * 8 == (present * 8).round()).all())
        # ranges are public only after rounding outward, by at most an eighth of the width
        found[str(name)] = Column(kind, bool(data.isna().any()), 1.5 * size + 1, 0.0 if exact else UNIT)
    return found


_SYMBOLS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("+", operator.add), "sub": ("-", operator.sub), "mul": ("*", operator.mul), "div": ("/", operator.truediv),
    "eq": ("==", operator.eq), "ne": ("!=", operator.ne), "lt": ("<", operator.lt), "le": ("<=", operator.le),
    "gt": (">", operator.gt), "ge": (">=", operator.ge), "and": ("&", operator.and_), "or": ("|", operator.or_),
}  # fmt: skip


@dataclass(frozen=True)
class Expr:
    """A scalar expression: an operation over expressions and constants."""

    op: str
    args: tuple[Any, ...]
    type: Column

    def on(self, frame: Any) -> Any:
        """Evaluate on a pandas frame, or build on one of ours."""
        if self.op == "column":
            return frame[self.args[0]]
        args = [arg.on(frame) if isinstance(arg, Expr) else arg for arg in self.args]
        if self.op in _SYMBOLS:
            return _SYMBOLS[self.op][1](*args)
        if self.op == "not":
            return ~args[0]
        if self.op == "neg":
            return -args[0]
        return getattr(args[0], self.op)(*args[1:])

    def __str__(self) -> str:
        if self.op == "column":
            return f"t.{self.args[0]}"
        if self.op in _SYMBOLS:
            return f"({self.args[0]} {_SYMBOLS[self.op][0]} {_shown(self.args[1])})".replace("(" + repr(0), "(0")
        if self.op in ("not", "neg"):
            return f"{'~' if self.op == 'not' else '-'}{self.args[0]}"
        return f"{self.args[0]}.{self.op}({', '.join(map(_shown, self.args[1:]))})"

    def query(self) -> str | None:
        """The expression in the language of ``query``, if it can be said there."""
        if self.op == "column":
            return str(self.args[0])
        if self.op in ("and", "or"):
            sides = [arg.query() for arg in self.args]
            return None if None in sides else f"({sides[0]} {self.op} {sides[1]})"
        if self.op in _SYMBOLS and isinstance(self.args[0], Expr):
            left = self.args[0].query()
            right = self.args[1].query() if isinstance(self.args[1], Expr) else repr(self.args[1])
            return None if left is None or right is None else f"({left} {_SYMBOLS[self.op][0]} {right})"
        if self.op == "isin" and (inner := self.args[0].query()) is not None:
            return f"({inner} in {self.args[1]!r})"
        return None


def _shown(arg: Any) -> str:
    return str(arg) if isinstance(arg, Expr) else repr(arg)


def _column(name: str, columns: Mapping[str, Column]) -> Expr:
    return Expr("column", (name,), columns[name])


def _pick(draw: st.DrawFn, columns: Mapping[str, Column], want: Callable[[Column], bool]) -> Expr | None:
    names = [name for name, column in columns.items() if want(column)]
    return _column(draw(st.sampled_from(names)), columns) if names else None


_EIGHTHS = st.sampled_from([-3.5, -1.0, 0.0, 0.125, 0.5, 2.0, 4.25])
_WHOLES = st.sampled_from([-7, -2, 0, 1, 2, 3, 10])


def _constant(draw: st.DrawFn, column: Column) -> float | int:
    return draw(_WHOLES if column.kind == "int" else _EIGHTHS)


def numbers(draw: st.DrawFn, columns: Mapping[str, Column], depth: int, *, exact: bool = False) -> Expr | None:
    """A numeric expression, or None if there is no numeric column."""
    left = _pick(draw, columns, lambda c: c.number and (c.exact or not exact))
    for _ in range(draw(st.integers(0, depth)) if left is not None else 0):
        step = draw(st.sampled_from(_EXACT_STEPS if exact else _STEPS))
        made = step(draw, columns, left, exact)
        left = left if made is None or made.type.size > LARGEST else made
    return left


def _kind(a: Column, b: Column) -> str:
    return "float" if "float" in (a.kind, b.kind) else "int"


def _add(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    op = draw(st.sampled_from(["add", "sub"]))
    if draw(st.booleans()):
        value = _constant(draw, left.type)
        pair = (left, value) if op == "add" or draw(st.booleans()) else (value, left)
        return Expr(op, pair, replace(left.type, size=left.type.size + 10))
    right = _pick(draw, columns, lambda c: c.number and (c.exact or not exact))
    assert right is not None
    a, b = left.type, right.type
    made = Column(_kind(a, b), a.nullable or b.nullable, a.size + b.size, a.error + b.error)
    return Expr(op, (left, right), made)


def _scale(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    factor = draw(_WHOLES)
    a = left.type
    return Expr("mul", (left, factor), replace(a, size=a.size * abs(factor), error=a.error * abs(factor)))


def _multiply(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    right = _pick(draw, columns, lambda c: c.number)
    assert right is not None
    a, b = left.type, right.type
    kind = _kind(a, b)
    rounding = 2 * UNIT if kind == "float" else 0.0
    error = a.size * b.error + b.size * a.error + a.error * b.error + rounding
    return Expr("mul", (left, right), Column(kind, a.nullable or b.nullable, a.size * b.size, error))


def _divide(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    a = left.type
    if "n" in columns and columns["n"].kind == "int" and columns["n"].exact and draw(st.booleans()):
        made = Column("float", a.nullable, a.size, a.error + RATIO)
        return Expr("div", (left, _column("n", columns)), made)
    value = draw(st.sampled_from([-3, 0.5, 4, 7.0, 12]))
    made = Column("float", a.nullable, a.size / abs(value), a.size * UNIT + a.error / abs(value) + 2 * UNIT)
    return Expr("div", (left, value), made)


def _fraction(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    a, factor = left.type, draw(st.sampled_from([0.1, -1.75, 3.3]))
    made = Column("float", a.nullable, a.size * 4, a.size * UNIT + a.error * abs(factor) + 2 * UNIT)
    return Expr("mul", (left, factor), made)


def _magnitude(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    return Expr(draw(st.sampled_from(["neg", "abs"])), (left,), left.type)


def _clip(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    ends = sorted((_constant(draw, left.type), _constant(draw, left.type)))
    lower, upper = draw(st.sampled_from([(0, 1), (0, None), (None, 1)]))
    low, high = (None if at is None else ends[at] for at in (lower, upper))
    return Expr("clip", (left, low, high), replace(left.type, size=left.type.size + 10))


def _fill(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    made = replace(left.type, nullable=False, size=left.type.size + 10)
    return Expr("fillna", (left, _constant(draw, left.type)), made)


def _where(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    condition = booleans(draw, columns, 0)
    if condition is None:
        return None
    if draw(st.booleans()):
        return Expr("where", (left, condition), replace(left.type, nullable=True))
    made = replace(left.type, size=left.type.size + 10)
    return Expr(draw(st.sampled_from(["where", "mask"])), (left, condition, _constant(draw, left.type)), made)


def _cast(draw: st.DrawFn, columns: Mapping[str, Column], left: Expr, exact: bool) -> Expr | None:
    if left.type.exact and not left.type.nullable and draw(st.booleans()):
        return Expr("astype", (left, int), replace(left.type, kind="int"))
    return Expr("astype", (left, float), replace(left.type, kind="float"))


_EXACT_STEPS = (_add, _scale, _magnitude, _clip, _fill, _where, _cast)
_STEPS = (*_EXACT_STEPS, _multiply, _divide, _fraction)


def booleans(draw: st.DrawFn, columns: Mapping[str, Column], depth: int) -> Expr | None:
    """A boolean expression, or None if no column serves."""
    if depth and draw(st.integers(0, 2)):
        left, right = booleans(draw, columns, depth - 1), booleans(draw, columns, depth - 1)
        if left is None or right is None:
            return left
        op = draw(st.sampled_from(["and", "or", "not"]))
        return Expr("not", (left,), BOOL) if op == "not" else Expr(op, (left, right), BOOL)
    made = draw(st.sampled_from([_compare, _compare, _compare_columns, _text, _member, _missing, _date, _flag]))
    return made(draw, columns) or _compare(draw, columns)


BOOL = Column("bool")
_ORDERS = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])


def _compare(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = numbers(draw, columns, 1, exact=True)
    if left is None:
        return None
    if draw(st.integers(0, 3)):
        return Expr(draw(_ORDERS), (left, _constant(draw, left.type)), BOOL)
    ends = sorted((_constant(draw, left.type), _constant(draw, left.type)))
    return Expr("between", (left, *ends), BOOL)


def _compare_columns(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left, right = (numbers(draw, columns, 0, exact=True) for _ in "ab")
    return None if left is None or right is None else Expr(draw(_ORDERS), (left, right), BOOL)


def _text(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "str")
    word = draw(st.sampled_from([*SEGMENTS, "yes", "a", "zebra", "coral"]))
    return left and Expr(draw(_ORDERS), (left, word), BOOL)


def _member(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "str" or (c.kind == "int" and c.exact))
    if left is None:
        return None
    if left.type.kind == "str":
        return Expr("isin", (left, draw(st.sampled_from([["red"], ["blue", "nowhere", "yes"], []]))), BOOL)
    return Expr("isin", (left, draw(st.sampled_from([[3], [0, 1, 2, -5], [12_345, 99]]))), BOOL)


def _missing(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: True)
    return left and Expr(draw(st.sampled_from(["isna", "notna"])), (left,), BOOL)


def _date(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    left = _pick(draw, columns, lambda c: c.kind == "date")
    return left and Expr(draw(_ORDERS), (left, draw(st.sampled_from(["2021-06-15", "2020-05-05"]))), BOOL)


def _flag(draw: st.DrawFn, columns: Mapping[str, Column]) -> Expr | None:
    return _pick(draw, columns, lambda c: c.kind == "bool" and not c.nullable)


# --- plans -----------------------------------------------------------------------------------------------------------

Columns = dict[str, Column]


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

    def _merge(self, frame: Any, tables: Any, right: Plan, keys: dict[str, str]) -> Any:
        return frame.merge(right.on(tables), **keys)

    def _group(self, frame: Any, tables: Any, keys: list[str], aggs: dict[str, tuple[str, str]]) -> Any:
        return frame.groupby(keys).agg(**aggs).reset_index()

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
        return f".{self.name}({', '.join(map(_shown, self.args))})"


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
        return Column(kind, size=12 * max(column.size, 1), error=12 * column.error)
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
    return _then(plan, "group", keys, aggs, columns=columns)


_STEPS_OF_A_FRAME = (_do_filter, _do_filter, _do_query, _do_assign, _do_assign, _do_select, _do_sort, _do_head)


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
        right = _then(right, "group", ["id"], aggs, columns={"id": right.columns["id"]} | made)
    else:
        right = _kept(draw, right)
    plan = _joined(left, right, {"on": "id"})
    if how == "three":
        plan = _joined(plan, _table(draw, "c"), {"left_on": "id", "right_on": "person"})
    return plan


def _table(draw: st.DrawFn, owner: str) -> Plan:
    name = draw(st.sampled_from([name for name in TABLES if name.startswith(owner + ".")]))
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
    if list(frame.iloc[:, -1]) != sorted(frame.iloc[:, -1], reverse=True):
        return frame.iloc[:0]
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
