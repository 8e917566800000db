"""What DuckDB answers in the clear, and whether a result equals it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["BOUND", "Answer", "Clear", "difference", "order_of"]

BOUND = 2.0**-16
"""How far an average or quotient may be off, unless a plan says otherwise."""


@dataclass(frozen=True)
class Answer:
    """A result in the clear.

    Attributes
    ----------
    names : tuple of str
    rows : list of tuple
    inexact : tuple of bool
        By column: whether it is a floating-point number, so that the bound applies.
    order : tuple of str
        Columns by which the rows are ordered.
    """

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    inexact: tuple[bool, ...]
    order: tuple[str, ...] = ()


class Clear:
    """DuckDB over all tables in the clear.

    Parameters
    ----------
    tables : mapping of str to (path, or sequence of paths, or pandas frame)
    """

    def __init__(self, tables: Mapping[str, Path | Sequence[Path]]) -> None:
        import duckdb

        self._connection: duckdb.DuckDBPyConnection = duckdb.connect(config={"threads": 1})
        for name, found in tables.items():
            paths = [found] if isinstance(found, Path) else list(found)
            listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
            self._connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet([{listed}])')

    def answer(self, sql: str) -> Answer:
        """Run a query."""
        cursor = self._connection.execute(sql)
        described = cursor.description or []
        inexact = tuple(str(column[1]) in ("DOUBLE", "FLOAT") for column in described)
        return Answer(tuple(column[0] for column in described), cursor.fetchall(), inexact, order_of(sql))

    def close(self) -> None:
        """Forget the tables."""
        self._connection.close()


def order_of(sql: str) -> tuple[str, ...]:
    """Columns of the outermost ORDER BY that are plain names.

    Examples
    --------
    >>> order_of("SELECT a, b AS c FROM t ORDER BY c DESC, t.a")
    ('c', 'a')
    """
    import sqlglot

    ordered = sqlglot.parse_one(sql, dialect="duckdb").args.get("order")
    return tuple(part.this.name for part in ordered.expressions) if ordered is not None else ()


def difference(found: pd.DataFrame, answer: Answer, *, bound: float = BOUND) -> str:
    """Say how a result differs from the answer; empty if it does not.

    Columns and rows must be the same, in the order that the query asks for; rows that tie there may come in any order.
    Numbers are compared exactly, floating-point ones within `bound`.

    Examples
    --------
    >>> import pandas as pd
    >>> difference(pd.DataFrame({"n": [3]}), Answer(("n",), [(4,)], (False,)))
    'row 0, n: 3 is not 4'
    """
    if tuple(found.columns) != answer.names:
        return f"columns {tuple(found.columns)} are not {answer.names}"
    if len(found) != len(answer.rows):
        return f"{len(found)} rows are not {len(answer.rows)}"
    ours = [tuple(map(_plain, row)) for row in found.itertuples(index=False, name=None)]
    theirs = [tuple(map(_plain, row)) for row in answer.rows]
    at = [k for k, name in enumerate(answer.names) if name in answer.order]
    said = _compare(
        [tuple(r[k] for k in at) for r in ours], [tuple(r[k] for k in at) for r in theirs], answer, at, bound
    )
    if said:
        return f"in the order of the query, {said}"
    exact = [k for k, inexact in enumerate(answer.inexact) if not inexact]
    rest = [k for k, inexact in enumerate(answer.inexact) if inexact]

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple((row[k] is None, str(type(row[k])), 0 if row[k] is None else row[k]) for k in (*exact, *rest))

    columns = list(range(len(answer.names)))
    return _compare(sorted(ours, key=key), sorted(theirs, key=key), answer, columns, bound)


def _compare(
    ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]], answer: Answer, at: list[int], bound: float
) -> str:
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for k, a, b in zip(at, mine, other, strict=True):
            if not _same(a, b, bound if answer.inexact[k] else 0.0):
                return f"row {number}, {answer.names[k]}: {a} is not {b}"
    return ""


def _plain(value: Any) -> Any:
    """A cell as None, str, date, Decimal (whole numbers too) or float."""
    import pandas as pd

    if pd.isna(value):
        return None
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, datetime) and value.time() == value.time().min:
        return value.date()
    if isinstance(value, bool | str | date | float):
        return value
    return Decimal(value)


def _same(a: Any, b: Any, bound: float) -> bool:
    if a is None or b is None:
        return a is b
    if bound:
        return abs(float(a) - float(b)) <= bound + abs(float(b)) * 2.0**-44
    if isinstance(a, float) and isinstance(b, Decimal):  # as pandas holds decimals: the nearest double
        return a == float(b)
    return bool(a == b)
