"""Results that a receiver writes to a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from mpc_engine.frame.base import Lazy

__all__ = ["save"]


def save(frame: Lazy, target: str, chunk_rows: int) -> None:
    """See :meth:`mpc_engine.frame.base.Lazy.save`. The file appears once it is whole."""
    party, _, name = target.partition(":")
    path = Path(name).expanduser()
    if not name or path.suffix not in _WRITERS:
        raise ConfigError(
            f"cannot save to {target!r}", code="MPC-0814", hint="'party:path.parquet' or 'party:path.csv'"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", code="MPC-0814", hint="make it first")
    partial = path.with_name(path.name + ".partial")
    try:
        _WRITERS[path.suffix](partial, frame.iter_chunks(chunk_rows, to=party))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _flat(piece: Any) -> pd.DataFrame:
    """A piece as columns; an index of groups becomes columns."""
    import pandas as pd

    if not isinstance(piece, pd.DataFrame | pd.Series):
        return pd.DataFrame({"value": [piece]})
    named = piece.to_frame() if isinstance(piece, pd.Series) else piece
    return named.reset_index() if named.index.names != [None] else named


def _parquet(path: Path, pieces: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None
    try:
        for piece in pieces:
            table = pa.Table.from_pandas(_flat(piece), schema=writer.schema if writer else None, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer:
            writer.close()


def _csv(path: Path, pieces: Any) -> None:
    with path.open("w", newline="") as file:
        for at, piece in enumerate(pieces):
            _flat(piece).to_csv(file, index=False, header=at == 0)


_WRITERS = {".parquet": _parquet, ".csv": _csv}
