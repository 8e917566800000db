"""Tables of TPC-H, made by `tpchgen-cli`, and the three ways in which owners hold them."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from mpc_engine.errors import ConfigError
from mpc_engine.io.source import Source

__all__ = ["KEYS", "PLACEMENTS", "TABLES", "Placement", "generate", "options_of", "query_text", "sources"]

Placement = Literal["owners", "rows", "secret"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

KEYS: dict[str, tuple[str, ...]] = {
    "customer": ("c_custkey",),
    "orders": ("o_orderkey",),
    "lineitem": ("l_orderkey", "l_linenumber"),
    "part": ("p_partkey",),
    "supplier": ("s_suppkey",),
    "partsupp": ("ps_partkey", "ps_suppkey"),
    "nation": ("n_nationkey",),
    "region": ("r_regionkey",),
}
"""Primary key of each table."""
TABLES = tuple(KEYS)
_PATIENCE = 3600
_AT_A = ("customer", "orders", "lineitem")


def query_text(number: int) -> str:
    """Return the SQL of a query.

    Examples
    --------
    >>> query_text(6).split()[0].lower()
    'select'
    """
    if not 1 <= number <= 22:
        raise ConfigError(f"TPC-H has no query {number}", code="MPC-0831", hint="1 to 22")
    return (importlib.resources.files("mpc_engine.cli.tpch") / f"q{number:02}.sql").read_text(encoding="utf-8")


def generate(scale: float, folder: Path | None = None) -> Path:
    """Make the tables as Parquet files, once.

    Parameters
    ----------
    scale : float
        Scale factor; 1 is six million line items.
    folder : Path, optional
        Where to; default: the user's cache.

    Returns
    -------
    Path
        A folder with ``customer.parquet`` and so on.

    Raises
    ------
    ConfigError
        MPC-0835 where `tpchgen-cli` is missing or fails.
    """
    made = (folder or _cache()) / f"tpch-{scale:g}"
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="tpch-", dir=made.parent))
    try:
        command = [_program(), "parquet", "-s", f"{scale:g}", f"--output-dir={scratch}", "--quiet"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"tpchgen-cli took longer than {_PATIENCE} s", code="MPC-0835") from error
        if done.returncode or not all((scratch / f"{name}.parquet").is_file() for name in TABLES):
            raise ConfigError(f"tpchgen-cli failed: {done.stderr.strip()[-200:]}", code="MPC-0835")
        try:
            scratch.rename(made)
        except OSError:
            if not made.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return made


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mpc-engine"


def _program() -> str:
    beside = Path(sys.executable).parent / "tpchgen-cli"
    found = str(beside) if beside.is_file() else shutil.which("tpchgen-cli")
    if found is None:
        raise ConfigError("tpchgen-cli is not installed", code="MPC-0835", hint="pip install 'tpchgen-cli>=4,<5'")
    return found


def sources(folder: Path, placement: Placement) -> dict[str, dict[str, Any]]:
    """Return the tables by owner, for :meth:`mpc_engine.Session.local`.

    ``owners`` and ``secret``: customers, orders and line items at ``a``, all else at ``b``. ``rows``: both have all
    tables, alternate rows of each.
    """
    if placement == "rows":
        return {owner: {name: _half(folder, name, at) for name in TABLES} for at, owner in enumerate("ab")}
    held: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
    for name in TABLES:
        held["a" if name in _AT_A else "b"][name] = Source(folder / f"{name}.parquet", keys=[KEYS[name]])
    return held


def _half(folder: Path, name: str, part: int) -> Source:
    """Every other row, in the order of the file; the keys of the table are keys of both halves together."""
    path = str(folder / f"{name}.parquet").replace("'", "''")
    query = f"SELECT * EXCLUDE (file_row_number) FROM read_parquet('{path}', file_row_number = true)"
    return Source(f"duckdb:{query} WHERE file_row_number % 2 = {part}", keys=[KEYS[name]], disjoint=True)


def options_of(placement: Placement) -> Mapping[str, bool]:
    """Return the session's options: ``secret`` shares whole columns and computes everything on shares."""
    return {"pushdown": False, "hide_joins": True} if placement == "secret" else {}
