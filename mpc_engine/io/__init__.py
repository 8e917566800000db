"""An owner's local data: sources, their public profiles, and local queries in DuckDB."""
