"""The public profile of a table: types, row count, ranges rounded outward, dictionaries of text columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec

from mpc_compiler.check.arithmetic import MAX_SCALE
from mpc_compiler.ir import DType, Field
from mpc_compiler.ir.types import Kind, width_of
from mpc_engine.errors import RangeError, SchemaError
from mpc_engine.io.local import connect, decimal_digits, describe
from mpc_engine.io.source import TableRef

if TYPE_CHECKING:
    import duckdb

__all__ = ["FEW", "MAX_DICTIONARY", "Profile", "profile", "rounded"]

FEW = 64
"""A text column of no more distinct values gets a public dictionary, however few rows there are."""
MAX_DICTIONARY = 1024
"""Text columns with more distinct values get no public dictionary; nor do those of which most rows have their own."""

_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"U?(TINY|SMALL|BIG)INT|U?INTEGER", "int"),
    (r"FLOAT|DOUBLE", "float"),
    (r"BOOLEAN", "bool"),
    (r"VARCHAR|ENUM.*", "string"),
    (r"DATE", "date"),
    (r"TIMESTAMP.*", "timestamp"),
)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What everyone may know of a table.

    Attributes
    ----------
    name, owner : str
        ``owner.table`` and its owner.
    rows : int
        Number of rows.
    fields : tuple of Field
        Columns with public types.
    keys : tuple of tuple of str
        Sets of columns whose values, together, no two rows share: declared, or found by :func:`profile`.
    disjoint : tuple of tuple of str
        Declared keys whose values no other owner's table of the same name has.
    unsupported : dict of str to str
        Columns of types that cannot be used, with the type.
    """

    name: str
    owner: str
    rows: int
    fields: tuple[Field, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    disjoint: tuple[tuple[str, ...], ...] = ()
    unsupported: dict[str, str] = msgspec.field(default_factory=dict)


def rounded(lo: float, hi: float, *, whole: bool) -> tuple[float, float] | tuple[int, int]:
    """A range rounded outward to an eighth of its width, a power of two, so that it tells little of the data.

    Examples
    --------
    >>> rounded(21, 79, whole=True)
    (16, 80)
    >>> rounded(0, 1, whole=True)
    (0, 1)
    """
    width = hi - lo
    if width == 0:
        return (int(lo), int(hi)) if whole else (float(lo), float(hi))
    grain = 2.0 ** (math.ceil(math.log2(width)) - 3)
    if whole:
        step = max(int(grain), 1)
        return int(lo) // step * step, -(-int(hi) // step) * step
    return math.floor(lo / grain) * grain, math.ceil(hi / grain) * grain


def profile(ref: TableRef) -> Profile:
    """Compute the profile of a table, at its owner.

    Raises
    ------
    SourceError, SchemaError, RangeError
        When the table cannot be read, a declaration names no column, or a value lies outside its declared range.
    """
    connection = connect([ref])
    try:
        return _profile(connection, ref)
    finally:
        connection.close()


def _kind(text: str) -> Kind | None:
    digits = decimal_digits(text)
    if digits is not None:
        return "decimal" if digits[1] <= MAX_SCALE else None
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, text)), None)


def _profile(connection: duckdb.DuckDBPyConnection, ref: TableRef) -> Profile:
    columns = describe(connection, ref)
    owner = ref.name.split(".")[0]
    unknown = sorted((set(ref.ranges) | set(ref.dictionaries)) - {name for name, _ in columns})
    if unknown:
        raise SchemaError(f"{ref.name} has no column {unknown[0]!r} to declare a range for", code="MPC-0102")
    table = '"' + ref.name.replace('"', '""') + '"'
    count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    rows = int(count[0]) if count else 0
    kinds = {name: _kind(text) for name, text in columns}
    scales = {name: (decimal_digits(text) or (0, 0))[1] for name, text in columns}
    fields = [
        Field(name, _dtype(connection, table, ref, name, kind, scales[name]), (owner,))
        for name, kind in kinds.items()
        if kind is not None
    ]
    unsupported = {name: text for name, text in columns if kinds[name] is None}
    keys = _keys(connection, table, ref, [field for field in fields if field.dtype.kind != "float"], rows)
    return Profile(ref.name, owner, rows, tuple(fields), keys, ref.keys if ref.disjoint else (), unsupported)


_LEADING = 4
"""Of so many first columns, pairs are tried as keys."""


def _keys(
    connection: duckdb.DuckDBPyConnection, table: str, ref: TableRef, fields: Sequence[Field], rows: int
) -> tuple[tuple[str, ...], ...]:
    """Keys of the table: those declared, every single column that is one, and pairs of leading columns.

    Columns with missing values are not looked at.
    """
    names = [field.name for field in fields]
    unknown = sorted({name for key in ref.keys for name in key} - set(names))
    if unknown:
        raise SchemaError(f"{ref.name} has no column {unknown[0]!r} to declare a key of", code="MPC-0102")
    for key in ref.keys:
        if not _distinct(connection, table, [key], rows)[0]:
            raise SchemaError(
                f"the declared key {', '.join(key)} of {ref.name} is not unique",
                code="MPC-0108",
                hint="declare more columns, or none",
            )
    present = [field.name for field in fields if not field.dtype.nullable]
    single: list[tuple[str, ...]] = [(name,) for name in present]
    found = [key for key, unique in zip(single, _distinct(connection, table, single, rows), strict=True) if unique]
    rest = [name for name in names[:_LEADING] if name in present and (name,) not in found]
    pairs: list[tuple[str, ...]] = [(a, b) for at, a in enumerate(rest) for b in rest[at + 1 :]]
    found += [key for key, unique in zip(pairs, _distinct(connection, table, pairs, rows), strict=True) if unique]
    return tuple(dict.fromkeys([*ref.keys, *found]))


def _distinct(
    connection: duckdb.DuckDBPyConnection, table: str, keys: Sequence[tuple[str, ...]], rows: int
) -> list[bool]:
    """Whether each set of columns tells all rows apart."""
    if not keys:
        return []
    quoted = [['"' + name.replace('"', '""') + '"' for name in key] for key in keys]
    counts = ", ".join(f"count(DISTINCT ({', '.join(names)}))" for names in quoted)
    found = connection.execute(f"SELECT {counts} FROM {table}").fetchone()
    return [count == rows for count in found or ()]


def _dtype(
    connection: duckdb.DuckDBPyConnection, table: str, ref: TableRef, name: str, kind: Kind, scale: int
) -> DType:
    quoted = '"' + name.replace('"', '""') + '"'
    shown = {"date": f"date_diff('day', DATE '1970-01-01', {quoted})", "timestamp": f"epoch_us({quoted}::TIMESTAMP)"}
    value = shown.get(kind, quoted)
    missing, lo, hi = _ends(
        connection, f"count(*) - count({quoted}), min({value}), max({value}) FROM {table}", ref, name
    )
    nullable = bool(missing)
    if kind == "bool":
        return DType("bool", nullable)
    if kind == "string":
        domain = _dictionary(connection, table, quoted, ref, name)
        return DType(
            "string", nullable, domain=domain, width=_width(connection, table, quoted) if domain is None else None
        )
    return _ranged(DType(kind, nullable, scale=scale), lo, hi, ref, name)


def _ends(connection: duckdb.DuckDBPyConnection, select: str, ref: TableRef, name: str) -> tuple[int, Any, Any]:
    """Missing values, smallest and largest value."""
    import duckdb

    try:
        found = connection.execute(f"SELECT {select}").fetchone()
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        raise RangeError(
            f"column {name!r} of {ref.name} has decimals of more than 18 digits",
            code="MPC-0202",
            hint="cast it in the source, to DECIMAL(18, s) or to DOUBLE: 'duckdb:SELECT ...'",
        ) from error
    return found or (0, None, None)


def _ranged(dtype: DType, lo: Any, hi: Any, ref: TableRef, name: str) -> DType:
    declared, kind = ref.ranges.get(name), dtype.kind
    if declared is not None:
        ends = _declared(declared, dtype)
        if lo is not None and (lo < ends[0] or hi > ends[1]):
            raise RangeError(
                f"column {name!r} of {ref.name} has values outside its declared range "
                f"[{declared[0]:g}, {declared[1]:g}]",
                code="MPC-0204",
                hint="declare a wider range, or clip the column",
            )
        return msgspec.structs.replace(dtype, lo=ends[0], hi=ends[1])
    if lo is None:
        return msgspec.structs.replace(dtype, lo=0.0 if kind == "float" else 0, hi=0.0 if kind == "float" else 0)
    if kind == "float" and not (math.isfinite(lo) and math.isfinite(hi)):
        raise RangeError(f"column {name!r} of {ref.name} holds infinity", code="MPC-0207", hint="clip or filter it")
    bounds = rounded(float(lo), float(hi), whole=False) if kind == "float" else rounded(int(lo), int(hi), whole=True)
    return msgspec.structs.replace(dtype, lo=bounds[0], hi=bounds[1])


def _declared(ends: tuple[float | int, float | int], dtype: DType) -> tuple[float | int, float | int]:
    """A declared range as the type holds it; of decimals rounded outward to units."""
    if dtype.kind == "float":
        return float(ends[0]), float(ends[1])
    if dtype.kind != "decimal":
        return int(ends[0]), int(ends[1])
    low, high = (Fraction(str(end)) * dtype.unit for end in ends)
    return math.floor(low), math.ceil(high)


def _width(connection: duckdb.DuckDBPyConnection, table: str, quoted: str) -> int | None:
    """Bytes of the longest text, rounded up; None if it is too long to be shared, or some text has a zero byte."""
    text = f"{quoted}::VARCHAR"
    found = connection.execute(f"SELECT max(strlen({text})), bool_or(contains({text}, chr(0))) FROM {table}").fetchone()
    longest, odd = found or (0, False)
    return None if odd else width_of(int(longest or 0))


def _dictionary(
    connection: duckdb.DuckDBPyConnection, table: str, quoted: str, ref: TableRef, name: str
) -> tuple[str, ...] | None:
    if name in ref.dictionaries:
        return ref.dictionaries[name]
    query = f"SELECT DISTINCT {quoted}::VARCHAR FROM {table} WHERE {quoted} IS NOT NULL LIMIT {MAX_DICTIONARY + 1}"
    values = [str(row[0]) for row in connection.execute(query).fetchall()]
    if len(values) > MAX_DICTIONARY:
        return None
    if len(values) > FEW and 2 * len(values) > _present(connection, table, quoted):
        return None  # names, addresses: rather the rows' than a vocabulary
    return tuple(sorted(values))


def _present(connection: duckdb.DuckDBPyConnection, table: str, quoted: str) -> int:
    found = connection.execute(f"SELECT count({quoted}) FROM {table}").fetchone()
    return int(found[0]) if found else 0
