"""An owner's DuckDB: opens its tables with pandas' row order, and answers local queries."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpc_engine.errors import SchemaError, SourceError
from mpc_engine.io.encode import Encoded, encode
from mpc_engine.io.memory import give_back
from mpc_engine.io.source import TableRef

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mpc_compiler.ir import Field
    from mpc_compiler.lower.stages import LocalQuery

__all__ = ["LocalStore", "connect", "decimal_digits", "describe"]


_EXACT_DIGITS = 15
_MOST_DIGITS = 28


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _reader(ref: TableRef) -> str:
    if ref.kind == "sql":
        return f"({ref.location})"
    return f"read_parquet({_text(ref.location)})" if ref.kind == "parquet" else f"read_csv({_text(ref.location)})"


def describe(connection: duckdb.DuckDBPyConnection, ref: TableRef) -> list[tuple[str, str]]:
    """Column names and DuckDB types of a table.

    Raises
    ------
    SourceError
        When the source cannot be read.
    """
    import duckdb

    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {_reader(ref)}").fetchall()
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        raise SourceError(
            f"{ref.name} cannot be read: {first}", code="MPC-0504", hint="check the file with DuckDB or pandas"
        ) from error
    return [(str(row[0]), str(row[1])) for row in found]


_OPENING = threading.Lock()
_LARGE = 1 << 26
"""Bytes of results after which the next run has a new DuckDB."""


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """A DuckDB takes tens of milliseconds to open and to close, a connection to it none."""
    import duckdb

    return duckdb.connect(":memory:", config={"preserve_insertion_order": True, "threads": 2})


def connect(refs: Iterable[TableRef]) -> duckdb.DuckDBPyConnection:
    """A private connection to the in-memory DuckDB of this process, with a view for each table that no other one sees.

    The views add ``__row``, the position of each row, and turn NaN into NULL, whole numbers into BIGINT, and decimals
    with digits behind the point into whole numbers of units (see :class:`mpc_compiler.ir.DType`).
    """
    with _OPENING:
        connection = _database().cursor()
    for ref in refs:
        columns = [_viewed(_quoted(name), kind) for name, kind in describe(connection, ref)]
        select = f"SELECT {', '.join(columns)}, row_number() OVER () - 1 AS __row FROM {_reader(ref)}"
        connection.execute(f"CREATE TEMP VIEW {_quoted(ref.name)} AS {select}")
    return connection


def decimal_digits(kind: str) -> tuple[int, int] | None:
    """Digits of a decimal, in all and behind the point; None of any other type.

    Examples
    --------
    >>> decimal_digits("DECIMAL(15,2)"), decimal_digits("BIGINT")
    ((15, 2), None)
    """
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    return None if found is None else (int(found[1]), int(found[2]))


def _viewed(quoted: str, kind: str) -> str:
    """A column as its view shows it."""
    if kind in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN isnan({quoted}) THEN NULL ELSE {quoted} END AS {quoted}"
    if re.fullmatch(r"U?(TINY|SMALL)INT|U?INTEGER", kind):
        return f"{quoted}::BIGINT AS {quoted}"
    found = decimal_digits(kind)
    if found is None:
        return quoted
    digits, scale = found
    if digits <= _EXACT_DIGITS:  # such a number times 10**scale is within 1/4 of the whole one it stands for
        return f"({quoted}::DOUBLE * {10**scale})::BIGINT AS {quoted}"
    if scale == 0:
        return f"{quoted}::BIGINT AS {quoted}"
    if digits + scale <= _MOST_DIGITS:
        return f"({quoted}::DECIMAL({digits + scale},{scale}) * {10**scale})::BIGINT AS {quoted}"
    return f"replace({quoted}::VARCHAR, '.', '')::BIGINT AS {quoted}"


class LocalStore:
    """One owner's results of local queries during one run. Nothing in it leaves this process unshared.

    Parameters
    ----------
    refs : iterable of TableRef
        The owner's tables.
    """

    def __init__(self, refs: Iterable[TableRef]) -> None:
        self._connection = connect(refs)
        self._results: dict[str, pa.Table] = {}
        self._queries: dict[str, LocalQuery] = {}

    def run(self, query: LocalQuery) -> int:
        """Run a query and keep its result; returns the number of rows."""
        import duckdb

        try:
            self._results[query.id] = self._connection.sql(query.sql).to_arrow_table()
        except duckdb.Error as error:
            raise SourceError(
                f"the local query of {query.owner} failed: {str(error).strip().splitlines()[0]}", code="MPC-0505"
            ) from error
        self._queries[query.id] = query
        return int(self._results[query.id].num_rows)

    def rows(self, query: str) -> int:
        """Rows of a result."""
        return int(self._results[query].num_rows)

    def digests(self, query: str, names: tuple[str, ...]) -> NDArray[np.bytes_]:
        """A digest of each row's merge key: 32 hex characters, the same for equal keys at every owner.

        Raises
        ------
        SchemaError
            When a key is missing (MPC-0109) or repeated (MPC-0108).
        """
        table = self._results[query].select(list(names))
        owner = self._queries[query].owner
        label = ", ".join(name.split("~")[0] for name in names)
        if any(table.column(name).null_count for name in names):
            raise SchemaError(
                f"some rows of {owner} have no merge key {label!r}",
                code="MPC-0109",
                hint=f"drop them before the merge: df[df[{names[0].split('~')[0]!r}].notna()]",
            )
        parts = [f"length({_quoted(n)}::VARCHAR)::VARCHAR || ':' || {_quoted(n)}::VARCHAR" for n in names]
        self._connection.register("__keys", table)
        try:
            found = self._connection.execute(
                f"SELECT left(sha256({' || '.join(parts)}), 32) AS d FROM __keys"
            ).fetchnumpy()
        finally:
            self._connection.unregister("__keys")
        digests: NDArray[np.bytes_] = np.asarray(found["d"]).astype("S32")
        if len(np.unique(digests)) != len(digests):
            raise SchemaError(
                f"the merge key {label!r} of {owner} is not unique",
                code="MPC-0108",
                hint=f"group first: df.groupby({names[0].split('~')[0]!r}).agg(...), then merge",
            )
        return digests

    def column(self, query: str, field: Field, rows: NDArray[np.int64] | None) -> Encoded:
        """Values (and validity) of a column as arrays that can be shared, at the given rows.

        Raises
        ------
        RangeError
            When a value lies outside the declared range or dictionary.
        """
        data = self._results[query].column(field.name)
        if rows is not None:
            data = data.take(rows)
        return encode(data, field, self._queries[query].owner)

    def table(self, query: str, names: tuple[str, ...]) -> pa.Table:
        """Columns of a result in the clear, for a release by their owner."""
        return self._results[query].select(list(names))

    def disconnect(self) -> None:
        """Leave DuckDB: no query runs after this. It holds on to as much memory as results took, so not for long."""
        self._connection.close()
        if sum(table.nbytes for table in self._results.values()) > _LARGE:
            _database.cache_clear()

    def keep(self, queries: Container[str]) -> None:
        """Forget the results of all other queries, and give their memory back to the system."""
        self._results = {query: table for query, table in self._results.items() if query in queries}
        give_back()

    def close(self) -> None:
        """Forget everything."""
        self._results.clear()
        self._connection.close()
