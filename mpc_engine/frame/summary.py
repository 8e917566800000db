"""Several aggregates of a whole frame, laid out as pandas does: ``agg`` of a dictionary, ``describe``, ``corr``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr
from mpc_engine.frame.base import Lazy
from mpc_engine.frame.constants import plain
from mpc_engine.frame.functions import Statistic, level, statistic
from mpc_engine.frame.moments import Moments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Summary", "aggregated", "correlations", "described", "quantiles", "totals"]

Cells = Mapping[str, Mapping[Any, Expr]]
"""By column, then by row."""


class Summary(Lazy):
    """One row of aggregates, which ``collect()`` turns into a small table."""

    def __init__(self, of: Lazy, moments: Moments, cells: Cells, *, flat: bool = False) -> None:
        self._cells = {column: {row: f"{column}~{row}" for row, expr in rows.items()} for column, rows in cells.items()}
        self._flat = flat
        items = {self._cells[column][row]: expr for column, rows in cells.items() for row, expr in rows.items()}
        super().__init__(of._session, moments.relation, items)

    def _shape(self, data: pd.DataFrame) -> Any:
        import pandas as pd

        rows = list(dict.fromkeys(row for cells in self._cells.values() for row in cells))
        made = {}
        for column, cells in self._cells.items():
            values = [plain(data[cells[row]].iloc[0]) if row in cells else None for row in rows]
            made[column] = pd.Series(values, index=rows, dtype=None if any(v is not None for v in values) else float)
        return next(iter(made.values())) if self._flat else pd.DataFrame(made, index=rows)

    def __repr__(self) -> str:
        return f"<lazy summary; .collect() computes it; owners: {', '.join(self._owners)}>"


def aggregated(frame: Lazy, columns: Mapping[str, Expr], spec: Any, *, flat: bool = False) -> Summary:
    """``df.agg({"a": ["sum", "mean"], "b": "max"})``, a list for all columns, or one function for all."""
    if not isinstance(spec, Mapping):
        spec = dict.fromkeys(columns, spec)
    single = all(isinstance(functions, str) or callable(functions) for functions in spec.values())
    moments = Moments(frame._base, {})
    cells: dict[str, dict[str, Expr]] = {}
    for name, functions in spec.items():
        for function in [functions] if isinstance(functions, str) or callable(functions) else _listed(name, functions):
            column, row = (_VALUE, name) if single else (name, _label(function))
            cells.setdefault(column, {})[row] = moments.statistic(columns[name], statistic(function))
    if not cells:
        raise SchemaError("agg needs at least one aggregate", code="MPC-0115", hint='agg({"amount": ["sum", "mean"]})')
    return Summary(frame, moments, cells, flat=flat or single)


def totals(frame: Lazy, columns: Mapping[str, Expr], how: Statistic) -> Summary:
    """One function of every column, as ``df.sum()``."""
    moments = Moments(frame._base, {})
    return Summary(
        frame, moments, {_VALUE: {name: moments.statistic(expr, how) for name, expr in columns.items()}}, flat=True
    )


def quantiles(of: Lazy, expr: Expr, levels: Sequence[float]) -> Summary:
    """Several quantiles of a column."""
    moments = Moments(of._base, {})
    cells = {q: moments.statistic(expr, Statistic("quantile", q)) for q in levels}
    return Summary(of, moments, {_VALUE: cells}, flat=True)


def _label(function: Any) -> str:
    return function if isinstance(function, str) else getattr(function, "__name__", str(function))


_VALUE = "value"


def _listed(name: str, functions: Any) -> Sequence[str]:
    if not isinstance(functions, list | tuple) or not all(isinstance(f, str) or callable(f) for f in functions):
        raise SchemaError(
            f"agg of {name!r} needs function names", code="MPC-0115", hint='agg({"amount": ["sum", "mean"]})'
        )
    return functions


def _numeric(frame: Lazy, columns: Mapping[str, Expr], what: str) -> dict[str, Expr]:
    schema = schema_of(frame._base)
    chosen = {
        name: expr for name, expr in columns.items() if expr_type(expr, schema).kind in ("int", "float", "decimal")
    }
    if not chosen:
        raise SchemaError(f"{what} needs a numeric column", code="MPC-0103", hint="astype(int) of booleans")
    return chosen


def described(
    frame: Lazy, columns: Mapping[str, Expr], percentiles: Sequence[float] | None = None, *, flat: bool = False
) -> Summary:
    """Count, mean, std, min, quantiles and max of the numeric columns."""
    levels = sorted(map(level, (0.25, 0.5, 0.75) if percentiles is None else percentiles))
    rows = {how: Statistic(how) for how in ("count", "mean")} | {"std": Statistic("std", 1), "min": Statistic("min")}
    rows |= {f"{100 * q:g}%": Statistic("quantile", q) for q in levels} | {"max": Statistic("max")}
    moments = Moments(frame._base, {})
    cells = {
        name: {row: moments.statistic(expr, how) for row, how in rows.items()}
        for name, expr in _numeric(frame, columns, "describe").items()
    }
    return Summary(frame, moments, cells, flat=flat)


def correlations(frame: Lazy, columns: Mapping[str, Expr]) -> Summary:
    """Pearson's correlation of every pair of numeric columns."""
    moments = Moments(frame._base, {})
    chosen = _numeric(frame, columns, "corr")
    cells: dict[str, dict[str, Expr]] = {name: {} for name in chosen}
    for at, (name, expr) in enumerate(chosen.items()):
        for other in list(chosen)[at:]:
            cells[name][other] = cells[other][name] = moments.correlation(expr, chosen[other])
    ordered = {name: {other: rows[other] for other in chosen} for name, rows in cells.items()}
    return Summary(frame, moments, ordered)
