"""Between an owner's typed columns and the arrays that are shared: codes, days, microseconds, validity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import DType, Field
from mpc_engine.errors import RangeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Encoded", "decode_column", "encode"]


@dataclass(frozen=True)
class Encoded:
    """Values as int64, float64 or bool [n]; validity bool [n] or None. A missing value is 0."""

    value: NDArray[Any]
    valid: NDArray[np.bool_] | None


def encode(data: pa.ChunkedArray, field: Field, owner: str) -> Encoded:
    """Encode a column and verify it against its public type.

    Raises
    ------
    RangeError
        When a value is missing, or outside the range or dictionary that the profile declares.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype, name = field.dtype, field.name.split("~")[0]
    valid = None
    if dtype.nullable:
        valid = pc.is_valid(data).to_numpy().astype(np.bool_)
    elif data.null_count:
        raise RangeError(
            f"column {name!r} of {owner} has missing values, but its profile says it has none",
            code="MPC-0205",
            hint="the data changed since the session was opened: open it again",
        )
    if dtype.kind == "string":
        codes = pc.index_in(data, value_set=pa.array(dtype.domain or (), type=data.type))
        if codes.null_count > data.null_count:
            raise RangeError(
                f"column {name!r} of {owner} has values that its public dictionary lacks",
                code="MPC-0206",
                hint="declare the dictionary: mpc.Source(data, dictionaries={...}), or open the session again",
            )
        return Encoded(_filled(codes, pa.int64()), valid)
    if dtype.kind == "date":
        data = data.cast(pa.date32()).cast(pa.int32())
    elif dtype.kind == "timestamp":
        data = data.cast(pa.timestamp("us")).cast(pa.int64())
    kinds = {"float": pa.float64(), "bool": pa.bool_()}
    value = _filled(data, kinds.get(dtype.kind, pa.int64()))
    _verify(value, valid, dtype, name, owner)
    return Encoded(value, valid)


def _filled(data: Any, kind: Any) -> NDArray[Any]:
    import pyarrow.compute as pc

    data = data.cast(kind)
    array: NDArray[Any] = pc.fill_null(data, False if str(kind) == "bool" else 0).to_numpy()
    return np.ascontiguousarray(array)


def _verify(value: NDArray[Any], valid: NDArray[np.bool_] | None, dtype: DType, name: str, owner: str) -> None:
    if dtype.kind == "bool" or dtype.lo is None or not len(value):
        return
    lo, hi = dtype.bounds
    slack = 1e-9 * max(abs(lo), abs(hi), 1) if dtype.kind == "float" else 0
    wrong = ~((value >= lo - slack) & (value <= hi + slack))
    if valid is not None:
        wrong &= valid
    if wrong.any():
        raise RangeError(
            f"column {name!r} of {owner} has values outside its range [{lo / dtype.unit:g}, {hi / dtype.unit:g}]",
            code="MPC-0204",
            hint="declare a wider range with mpc.Source(data, ranges={...}), or clip the column",
        )


_EXACT = 1 << 53


def _nearest(units: NDArray[Any], unit: int) -> NDArray[np.float64]:
    """The doubles that are nearest to decimals: the quotient of two exact doubles, or of Python's whole numbers."""
    large = np.abs(units) > _EXACT
    shown = units.astype(np.float64) / float(unit)
    shown[large] = [int(value) / unit for value in units[large]]
    return shown


def decode_column(value: NDArray[Any], valid: NDArray[np.bool_] | None, dtype: DType) -> pd.Series:
    """A released column as pandas shows it: NaN for missing numbers, None-like for missing text, NaT for dates."""
    import pandas as pd

    missing = None if valid is None or bool(valid.all()) else ~valid
    if dtype.kind == "string":
        domain = np.array([*(dtype.domain or ()), None], dtype=object)
        codes = (
            np.clip(value, 0, max(len(domain) - 2, 0)) if missing is None else np.where(missing, len(domain) - 1, value)
        )
        return pd.Series(domain[codes], dtype="str")
    if dtype.kind in ("date", "timestamp"):
        unit = "D" if dtype.kind == "date" else "us"
        stamps = value.astype(f"datetime64[{unit}]").astype("datetime64[us]")
        return pd.Series(stamps if missing is None else np.where(missing, np.datetime64("NaT"), stamps))
    if dtype.kind == "decimal":
        value = _nearest(value, dtype.unit)
    if missing is None:
        return pd.Series(value)
    if dtype.kind == "bool":
        shown = value.astype(object)
        shown[missing] = None
        return pd.Series(shown)
    return pd.Series(np.where(missing, np.nan, value.astype(np.float64)))
