"""Between an owner's typed columns and the arrays that are shared: codes, days, microseconds, validity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import DType, Field
from mpc_compiler.ir.types import WORD_BYTES
from mpc_engine.errors import RangeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Encoded", "decode_column", "encode"]


@dataclass(frozen=True)
class Encoded:
    """Values as int64, float64 or bool [n]; validity bool [n] or None. A missing value is 0.

    A text without a dictionary takes several words, int64 [n] each: `value` and `rest`.
    """

    value: NDArray[Any]
    valid: NDArray[np.bool_] | None
    rest: tuple[NDArray[Any], ...] = ()


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
    if dtype.width is not None:
        first, *rest = _spelled(data, dtype.width, name, owner)
        return Encoded(first, valid, tuple(rest))
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


def _spelled(data: Any, width: int, name: str, owner: str) -> list[NDArray[np.int64]]:
    """Texts as words of seven bytes, big-endian, padded with zeros."""
    octets = [b"" if text is None else text.encode() for text in data.to_pylist()]
    if any(len(text) > width or b"\0" in text for text in octets):
        raise RangeError(
            f"column {name!r} of {owner} has texts of more than {width} bytes, or with a zero byte",
            code="MPC-0206",
            hint="the data changed since the session was opened: open it again",
        )
    table = np.array(octets, f"S{width}").view(np.uint8).reshape(len(octets), width // WORD_BYTES, WORD_BYTES)
    padded = np.zeros((*table.shape[:2], 8), np.uint8)
    padded[..., 1:] = table
    words = padded.view(">u8")[..., 0].astype(np.int64)
    return [np.ascontiguousarray(word) for word in words.T]


def _read(words: Sequence[NDArray[Any]]) -> NDArray[np.object_]:
    """What :func:`_spelled` took."""
    octets = np.stack(words, axis=1).astype(">u8").view(np.uint8).reshape(len(words[0]), len(words), 8)
    whole = np.ascontiguousarray(octets[..., 1:]).reshape(len(octets), WORD_BYTES * len(words))
    texts = [bytes(row).rstrip(b"\0").decode() for row in whole]
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


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


def decode_column(
    value: NDArray[Any], valid: NDArray[np.bool_] | None, dtype: DType, rest: Sequence[NDArray[Any]] = ()
) -> pd.Series:
    """A released column as pandas shows it: NaN for missing numbers, None-like for missing text, NaT for dates.

    `rest` are further words of a text; see :class:`Encoded`.
    """
    import pandas as pd

    missing = None if valid is None or bool(valid.all()) else ~valid
    if dtype.width is not None:
        texts = _read([value, *rest])
        if missing is not None:
            texts[missing] = None
        return pd.Series(texts, dtype="str")
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
