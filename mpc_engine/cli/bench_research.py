"""Three queries by which research engines are measured: credit score, market share, password reuse.

All inputs are secret-shared and everything is computed on shares. Rows are those of all owners together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

import mpc_engine as mpc
from mpc_engine.cli.bench import Figures, Settings
from mpc_engine.cli.bench_tpch import figures_of
from mpc_engine.cli.clear import Clear
from mpc_engine.cli.relational import Case, measure_cases

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_EXECUTOR", "QUERIES", "SIDES", "Query", "measure"]

SIDES = ("spu", "plaintext")
DEFAULT_EXECUTOR: Literal["ray", "threads"] | None = "ray"
SEED = 11


class Query(NamedTuple):
    """A query over one table, whose rows several owners hold.

    Attributes
    ----------
    table : str
    owners : tuple of str
    make : callable
        All rows, from a count and a generator.
    sql : str
    """

    table: str
    owners: tuple[str, ...]
    make: Callable[[int, np.random.Generator], pd.DataFrame]
    sql: str


def _scores(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Scores of users in one of four years, about six a user."""
    import pandas as pd

    users = rng.integers(0, max(1, rows // 6), rows)
    return pd.DataFrame({"uid": users, "score": rng.integers(300, 851, rows), "year": rng.integers(2020, 2024, rows)})


def _sales(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Revenue in thousands of a thousand companies in twelve months."""
    import pandas as pd

    return pd.DataFrame(
        {
            "month": rng.integers(1, 13, rows),
            "company": rng.integers(0, 1000, rows),
            "revenue": rng.integers(1, 1000, rows),
        }
    )


def _accounts(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Accounts at two sites with 60-bit password digests; a tenth of the users of both has one password."""
    import pandas as pd

    users = np.concatenate([rng.permutation(rows)[: rows // 2], rng.permutation(rows)[: rows - rows // 2]])
    digests = rng.integers(0, 1 << 60, rows)
    own = rng.integers(0, 1 << 60, rows)
    digests = np.where(rng.random(rows) < 0.3, own[users], digests)
    return pd.DataFrame({"uid": users, "digest": digests})


QUERIES = {
    "credit_score": Query(
        "scores",
        ("a", "b"),
        _scores,
        "SELECT uid, MIN(score) AS lowest, MAX(score) AS highest FROM scores WHERE year = 2023 "
        "GROUP BY uid HAVING MAX(score) - MIN(score) > 200",
    ),
    "market_share": Query(
        "sales",
        ("a", "b", "c"),
        _sales,
        "SELECT month, SUM(revenue) AS total, SUM(revenue * revenue) AS squares FROM "
        "(SELECT month, company, SUM(revenue) AS revenue FROM sales GROUP BY month, company) AS shares GROUP BY month",
    ),
    "password_reuse": Query(
        "accounts",
        ("a", "b"),
        _accounts,
        "SELECT uid FROM accounts GROUP BY uid, digest HAVING COUNT(*) > 1",
    ),
}
"""By workload."""


def measure(workload: str, settings: Settings) -> Figures:
    """Compare with DuckDB, then time."""
    query = QUERIES[workload]
    rows = query.make(settings.rows, np.random.default_rng([SEED, settings.rows]))
    kinds = {"ours": "auto"} | ({"spu": "spu"} if "spu" in settings.against else {})
    with tempfile.TemporaryDirectory(prefix="mpc-bench-") as folder, ExitStack() as stack:
        paths = _write(rows, query.owners, Path(folder))
        clear = Clear({query.table: list(paths.values())})
        stack.callback(clear.close)
        sessions = {
            name: stack.enter_context(
                mpc.Session.local(
                    {owner: {query.table: path} for owner, path in paths.items()},
                    protocol=settings.protocol,
                    executor=settings.executor or "ray",
                    kernels=kernels,  # type: ignore[arg-type]
                    pushdown=False,
                    hide_joins=True,
                    timeout=600,
                    tls=settings.tls,
                )
            ).start()
            for name, kernels in kinds.items()
        }
        found = measure_cases([Case(workload, query.sql)], sessions, clear, repeat=settings.repeat)
    figures = figures_of(found, settings)
    figures.more = {
        "bytes_per_row": round(figures.bytes_sent / settings.rows, 1),
        "answer_rows": found[0].answer_rows,
        "first_seconds": found[0].first_seconds,
        "difference": found[0].difference,
        "steps": found[0].steps,
    }
    return figures


def _write(rows: pd.DataFrame, owners: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Deal the rows out to the owners, as Parquet files. In blocks: a site has its own rows."""
    paths = {}
    for at, owner in enumerate(owners):
        start, stop = (len(rows) * k // len(owners) for k in (at, at + 1))
        paths[owner] = folder / f"{owner}.parquet"
        rows.iloc[start:stop].to_parquet(paths[owner], index=False)
    return paths
