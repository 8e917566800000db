"""Tables of TPC-H, sessions over them, and DuckDB over the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

import mpc_engine as mpc
from mpc_engine.cli.clear import Clear
from mpc_engine.cli.tpch import TABLES, Placement, generate, options_of, sources

Open = Callable[[float, Placement, str], mpc.Session]


@pytest.fixture(scope="module")
def open_session() -> Iterator[Open]:
    """Sessions by scale, placement and protocol, with parties as threads."""
    with ExitStack() as stack:

        @cache
        def make(scale: float, placement: Placement, protocol: str) -> mpc.Session:
            session = mpc.Session.local(
                sources(generate(scale), placement),
                protocol=protocol,  # type: ignore[arg-type]
                executor="threads",
                timeout=600,
                **options_of(placement),
            )
            return stack.enter_context(session)

        yield make


@pytest.fixture(scope="session")
def clear() -> Iterator[Callable[[float], Clear]]:
    """DuckDB over the tables of a scale."""
    with ExitStack() as stack:

        @cache
        def make(scale: float) -> Clear:
            folder = generate(scale)
            made = Clear({name: folder / f"{name}.parquet" for name in TABLES})
            stack.callback(made.close)
            return made

        yield make
