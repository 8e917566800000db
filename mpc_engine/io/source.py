"""Where a table of an owner lies, and what its owner declares about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from mpc_engine.errors import SourceError

__all__ = ["Source", "TableRef", "locate"]

SUFFIXES: dict[str, Literal["parquet", "csv"]] = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}


class TableRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference to a table that its owner's process can resolve; carries no data.

    Attributes
    ----------
    name : str
        ``owner.table``.
    kind : {"parquet", "csv", "sql"}
        How to read ``location``.
    location : str
        A path, or a query of the owner's own for ``sql``.
    ranges : dict of str to (lo, hi)
        Declared bounds; values outside are refused before anything is shared.
    dictionaries : dict of str to tuple of str
        Declared public dictionaries of text columns.
    keys : tuple of tuple of str
        Declared sets of columns whose values, together, no two rows share.
    disjoint : bool
        Whether no other owner's table of the same name has a value of these keys.
    """

    name: str
    kind: Literal["parquet", "csv", "sql"]
    location: str
    ranges: dict[str, tuple[float | int, float | int]] = msgspec.field(default_factory=dict)
    dictionaries: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    keys: tuple[tuple[str, ...], ...] = ()
    disjoint: bool = False


class Source:
    """A table with declarations about its columns.

    Parameters
    ----------
    data : pandas, polars or pyarrow table, path, or ``"duckdb:SELECT ..."``
        The rows.
    ranges : mapping of str to (lo, hi), optional
        Public bounds of numeric columns. Without one, the owner computes it (rounded outward), which
        discloses it: the plan lists that.
    dictionaries : mapping of str to sequence of str, optional
        Public values of text columns. Without one, the distinct values are listed as disclosed.
    keys : sequence of str or of sequences of str, optional
        Columns, or sets of columns, whose values no two rows share. Single columns and pairs of the first four are
        found without being declared. Joins need a key on one side.
    disjoint : bool
        For a table that several owners hold parts of: no other owner's table of this name has a value of the declared
        `keys`, so they are keys of all parts together, which joins then rely on. Every owner declares it, and nobody
        can check it: if it is not so, rows of the other tables find one of several partners, and results are wrong.

    Examples
    --------
    >>> Source("bureau.parquet", ranges={"age": (18, 100)}).ranges
    {'age': (18, 100)}
    """

    def __init__(
        self,
        data: Any,
        *,
        ranges: Mapping[str, tuple[float | int, float | int]] | None = None,
        dictionaries: Mapping[str, Sequence[str]] | None = None,
        keys: Sequence[str | Sequence[str]] = (),
        disjoint: bool = False,
    ) -> None:
        self.data = data
        self.ranges = dict(ranges or {})
        self.dictionaries = {name: tuple(sorted(values)) for name, values in (dictionaries or {}).items()}
        self.keys = tuple((key,) if isinstance(key, str) else tuple(key) for key in keys)
        self.disjoint = disjoint


def locate(name: str, data: Any, folder: Path) -> TableRef:
    """A reference to ``data``; tables in memory are written to ``folder`` as Parquet first.

    Raises
    ------
    SourceError
        When the file is missing or of an unknown kind, or the object is no table.
    """
    source = data if isinstance(data, Source) else Source(data)
    kind, location = _place(name, source.data, folder)
    return TableRef(name, kind, location, source.ranges, source.dictionaries, source.keys, source.disjoint)


def _place(name: str, data: Any, folder: Path) -> tuple[Literal["parquet", "csv", "sql"], str]:
    if isinstance(data, str) and data.startswith("duckdb:"):
        return "sql", data.removeprefix("duckdb:").strip().rstrip(";")
    if isinstance(data, str | Path):
        path = Path(data).expanduser().resolve()
        kind = SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise SourceError(
                f"{name}: cannot tell the format of {path.name!r}", code="MPC-0502", hint="use .parquet or .csv"
            )
        if not path.is_file():
            raise SourceError(f"{name}: there is no file {path}", code="MPC-0501", hint="check the path")
        return kind, str(path)
    return "parquet", str(_write(name, data, folder))


def _write(name: str, data: Any, folder: Path) -> Path:
    import narwhals as nw
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = data if isinstance(data, pa.Table) else nw.from_native(data, eager_only=True).to_arrow()
    except TypeError as error:
        raise SourceError(
            f"{name}: {type(data).__name__} is not a table",
            code="MPC-0503",
            hint="pass a pandas, polars or pyarrow table, a .parquet or .csv path, or 'duckdb:SELECT ...'",
        ) from error
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{name}: {error}", code="MPC-0503", hint="give every column one type") from error
    if len(set(table.column_names)) != len(table.column_names):
        raise SourceError(f"{name}: two columns have the same name", code="MPC-0503", hint="rename one")
    table = table.drop_columns([n for n in table.column_names if n.startswith("__index_level_")])
    path = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.parquet"
    pq.write_table(table, path)
    return path
