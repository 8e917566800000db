"""At a receiver: shares of all computing parties become a pandas table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.ir import DType, Field, Plan
from mpc_compiler.lower.program import CHECK, ORDER, ROW_VALID
from mpc_engine.errors import ProtocolMismatchError, RangeError
from mpc_engine.io.encode import decode_column
from mpc_engine.io.tables import from_ipc
from mpc_engine.runtime.backend import splitter_for
from mpc_engine.runtime.messages import OutputWire, Report

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["assemble", "complete", "from_arrow", "reconstruct"]

Key = tuple[str, str, bool, int]


def assemble(
    plan: Plan, reports: Mapping[str, Report], computing: tuple[str, ...], protocol: str
) -> dict[str, pd.DataFrame]:
    """Every output of a plan as the receiver sees it.

    Discloses the results to the caller; nothing else is in the shares that the parties released.

    Raises
    ------
    RangeError
        When more rows matched than the bound of a merge allows.
    """
    clear = {table.output: table.arrow for report in reports.values() for table in report.tables}
    arrays = reconstruct([reports[party].wires for party in computing], protocol)
    _complete(arrays)
    found = {}
    for output in plan.outputs:
        if output.chunk or not output.receivers:
            continue
        fields = tuple(schema_of(output.rel))
        if output.name in clear:
            found[output.name] = from_arrow(from_ipc(clear[output.name]), fields)
        else:
            found[output.name] = _from_arrays(output.name, fields, arrays)
    return found


def complete(reports: Mapping[str, Report], computing: tuple[str, ...], protocol: str) -> None:
    """Refuse a result that lacks rows.

    Raises
    ------
    RangeError
        When more rows matched than the bound of a merge allows.
    """
    checks = [tuple(w for w in reports[party].wires if w.relation == CHECK.relation) for party in computing]
    _complete(reconstruct(checks, protocol))


def _complete(arrays: Mapping[Key, NDArray[Any]]) -> None:
    fits = arrays.get((CHECK.relation, CHECK.column, CHECK.valid, CHECK.word))
    if fits is not None and not fits.all():
        raise RangeError(
            "more rows match than the bound of a merge allows",
            code="MPC-0209",
            hint="raise max_rows; the run disclosed that it is too small, and nothing else",
        )


def reconstruct(wires: list[tuple[OutputWire, ...]], protocol: str) -> dict[Key, NDArray[Any]]:
    """Every array of which all computing parties sent their shares; those without bytes come later, in pieces."""
    if len({len(party) for party in wires}) != 1:
        raise ProtocolMismatchError("the parties released different numbers of arrays", code="MPC-0708")
    splitter = splitter_for(protocol)
    arrays: dict[Key, NDArray[Any]] = {}
    for parts in zip(*wires, strict=True):
        first = parts[0]
        if len({(p.relation, p.column, p.valid, p.word, p.dtype, p.shape) for p in parts}) != 1:
            raise ProtocolMismatchError("the parties released different arrays", code="MPC-0708")
        if not first.wire:
            continue
        value = splitter.reconstruct([p.wire for p in parts], dtype=first.dtype, shape=first.shape)
        arrays[first.relation, first.column, first.valid, first.word] = value
    return arrays


def _from_arrays(name: str, fields: tuple[Field, ...], arrays: Mapping[Key, NDArray[Any]]) -> pd.DataFrame:
    import pandas as pd

    chosen = _rows(name, fields, arrays)
    columns = {}
    for field in fields:
        value, *rest = (arrays[name, field.name, False, word][chosen] for word in range(field.dtype.words))
        valid = arrays.get((name, field.name, True, 0))
        columns[field.name] = decode_column(value, None if valid is None else valid[chosen], field.dtype, rest)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(chosen)))


def _rows(name: str, fields: tuple[Field, ...], arrays: Mapping[Key, NDArray[Any]]) -> NDArray[np.int64]:
    """Positions of the rows that exist, in order."""
    length = len(arrays[name, fields[0].name, False, 0]) if fields else 0
    rows = np.arange(length)
    order, valid = arrays.get((name, ORDER, False, 0)), arrays.get((name, ROW_VALID, False, 0))
    if order is not None:
        rows = np.argsort(order, kind="stable")
    return rows if valid is None else rows[valid[rows].astype(bool)]


def from_arrow(table: pa.Table, fields: tuple[Field, ...]) -> pd.DataFrame:
    """Rows that an owner released in the clear."""
    import pandas as pd

    columns = {field.name: _clear_column(table.column(field.name), field.dtype) for field in fields}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _clear_column(data: pa.ChunkedArray, dtype: DType) -> pd.Series:
    """A column that its owner released in the clear, in the same pandas type as a shared one would have."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype.kind == "string":
        return pd.Series(data.to_pandas(), dtype="str")
    valid = pc.is_valid(data).to_numpy().astype(np.bool_) if data.null_count else None
    kinds = {"float": pa.float64(), "bool": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("us")}
    data = data.cast(kinds.get(dtype.kind, pa.int64()))
    if dtype.kind in ("date", "timestamp"):
        data = data.cast(pa.int32() if dtype.kind == "date" else pa.int64())
    filled = pc.fill_null(data, False if dtype.kind == "bool" else 0).to_numpy()
    return decode_column(filled, valid, dtype)
