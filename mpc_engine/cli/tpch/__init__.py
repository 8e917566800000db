"""The 22 queries of TPC-H as SQL, their tables, and who holds what."""

from __future__ import annotations

from mpc_engine.cli.tpch.data import KEYS, PLACEMENTS, TABLES, Placement, generate, options_of, query_text, sources

__all__ = ["KEYS", "PLACEMENTS", "TABLES", "Placement", "generate", "options_of", "query_text", "sources"]
