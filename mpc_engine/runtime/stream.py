"""At a receiver: a result that comes in pieces, put together a piece at a time, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Field, Output
from mpc_compiler.lower.program import ORDER, PIECE, ROW_VALID
from mpc_engine.io.encode import decode_column
from mpc_engine.io.tables import from_ipc
from mpc_engine.runtime.executors import Executor
from mpc_engine.runtime.messages import Fetch, Report
from mpc_engine.runtime.results import from_arrow, reconstruct

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Stream"]

_MEMORY = "256MB"
_RANK = "rank"


class Stream:
    """The rows of one output, in order, so many at a time.

    Parameters
    ----------
    executor : Executor
        Who has run the plan.
    run : str
        Which run.
    output : Output
        With ``chunk``.
    reports : mapping of str to Report
        What the parties answered: they name the pieces.
    computing : tuple of str
        Computing parties by rank.
    protocol : str
    folder : Path
        Where pieces may lie that come in another order than the rows'.
    """

    def __init__(
        self,
        executor: Executor,
        run: str,
        output: Output,
        reports: Mapping[str, Report],
        computing: tuple[str, ...],
        protocol: str,
        folder: Path,
    ) -> None:
        self._executor = executor
        self._run = run
        self._output = output
        self._computing = computing
        self._protocol = protocol
        self._folder = folder
        self._fields: tuple[Field, ...] = tuple(schema_of(output.rel))
        told = [wire.relation for party in computing for wire in reports[party].wires]
        told += [table.output for report in reports.values() for table in report.tables]
        self._pieces = list(
            dict.fromkeys(name for name in told if name.split(PIECE)[0] == output.name and PIECE in name)
        )
        self._ordered = any(w.column == ORDER for party in computing for w in reports[party].wires)

    def __iter__(self) -> Generator[pd.DataFrame, None, None]:
        try:
            yield from self._sorted() if self._ordered else map(self._piece, self._pieces)
        finally:
            self._executor.fetch(Fetch(self._run, ""))

    def _fetched(self, name: str) -> dict[str, Report]:
        return self._executor.fetch(Fetch(self._run, name))

    def _piece(self, name: str) -> pd.DataFrame:
        import pandas as pd

        reports = self._fetched(name)
        tables = [table for report in reports.values() for table in report.tables]
        if tables:
            return from_arrow(from_ipc(tables[0].arrow), self._fields)
        arrays = self._arrays(name, reports)
        columns = {f.name: _column(arrays, f, arrays[f"{f.name} present"]) for f in self._fields}
        length = len(next(iter(arrays.values()))) if arrays else 0
        return pd.DataFrame(columns, index=pd.RangeIndex(length))

    def _arrays(self, name: str, reports: Mapping[str, Report]) -> dict[str, NDArray[Any]]:
        """Values, presence and rank of the rows of a piece that exist."""
        found = reconstruct([reports[party].wires for party in self._computing], self._protocol)
        marked = found.get((name, ROW_VALID, False, 0))
        some = next(iter(found.values()))
        chosen = np.ones(len(some), np.bool_) if marked is None else marked.astype(np.bool_)
        arrays: dict[str, NDArray[Any]] = {}
        for field in self._fields:
            valid = found.get((name, field.name, True, 0))
            for word in range(field.dtype.words):
                arrays[_word(field.name, word)] = found[name, field.name, False, word][chosen]
            arrays[f"{field.name} present"] = (np.ones(len(some), np.bool_) if valid is None else valid)[chosen]
        if self._ordered:
            arrays[_RANK] = found[name, ORDER, False, 0][chosen]
        return arrays

    def _sorted(self) -> Iterator[pd.DataFrame]:
        """Pieces lie on disk until all are there; DuckDB sorts them by rank, as little in memory as it can."""
        import duckdb
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            for at, name in enumerate(self._pieces):
                arrays = self._arrays(name, self._fetched(name))
                pq.write_table(
                    pa.table({f"c{k}": array for k, array in enumerate(arrays.values())}), f"{folder}/{at}.parquet"
                )
                names = list(arrays)
            settings: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": _MEMORY,
                "threads": 1,
                "temp_directory": f"{folder}/sort",
            }
            with duckdb.connect(":memory:", config=settings) as connection:
                rank = names.index(_RANK)
                query = f"SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY c{rank}"
                for batch in connection.sql(query).to_arrow_reader(self._output.chunk):
                    sorted_ = dict(zip(names, (c.to_numpy(zero_copy_only=False) for c in batch.columns), strict=True))
                    columns = {f.name: _column(sorted_, f, sorted_[f"{f.name} present"]) for f in self._fields}
                    yield pd.DataFrame(columns, index=pd.RangeIndex(batch.num_rows))


def _column(arrays: Mapping[str, NDArray[Any]], field: Field, present: NDArray[Any]) -> pd.Series:
    value, *rest = (arrays[_word(field.name, word)] for word in range(field.dtype.words))
    return decode_column(value, present, field.dtype, rest)


def _word(name: str, word: int) -> str:
    return f"{name} {word}"
