"""Names: which column of the relation below a name in a query means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Rel, Schema
from mpc_compiler.sql.text import place

__all__ = ["Bound", "Scope", "nearest", "pin"]


@dataclass
class Bound:
    """A table of FROM: its alias, its owner (for ``owner.table.column``), and its columns.

    ``columns`` maps names in the query to names in the relation, which start with ``label`` where there are several
    tables; ``merged`` are those that USING made one with a column of an earlier table, and ``instead`` the columns that
    these names mean there when no table is named.
    """

    alias: str
    owner: str
    columns: dict[str, str]
    merged: set[str] = field(default_factory=set)
    instead: dict[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def shown(self) -> dict[str, str]:
        """What ``*`` and names without a table mean."""
        return self.columns | self.instead


@dataclass
class Scope:
    """What an expression may read: a relation, and the tables that its columns come from."""

    rel: Rel
    tables: list[Bound]

    @property
    def schema(self) -> Schema:
        """Columns of the relation."""
        return schema_of(self.rel)

    def has(self, name: str) -> bool:
        """Whether a table has a column of that name."""
        return any(_alike(name, known) for table in self.tables for known in table.columns)

    def means(self, node: exp.Column) -> bool:
        """Whether ``node`` is a column here; if not, an outer query has it, or nobody."""
        if node.meta.get("pin") is not None:
            return any(table is node.meta["pin"][0] for table in self.tables)
        if node.table:
            return bool(self._named(node))
        return self.has(node.name)

    def column(self, node: exp.Column) -> str:
        """The relation's column that ``node`` names.

        Raises
        ------
        SchemaError
            When there is none, or more than one.
        """
        if node.meta.get("pin") is not None:
            return str(node.meta["pin"][1])
        tables = self._of(node)
        for same in (str.__eq__, _alike):
            found = [
                (table, name)
                for table in tables
                for name in table.columns
                if same(name, node.name) and (node.table or name not in table.merged)
            ]
            if len(found) == 1:
                table, name = found[0]
                return table.columns[name] if node.table else table.shown[name]
            if found:
                of = " and ".join(f"{table.alias}.{name}" for table, name in found)
                raise SchemaError(
                    f"column {node.name!r} is ambiguous: {of}",
                    code="MPC-0123",
                    hint="put the table's name before it",
                    where=place(node),
                )
        names = [name for table in tables for name in table.columns]
        raise SchemaError(
            f"no column {node.sql()!r}", code="MPC-0102", hint=nearest(node.name, names, "columns"), where=place(node)
        )

    def _of(self, node: exp.Column) -> list[Bound]:
        if not node.table:
            return self.tables
        return [self.table(node)]

    def table(self, node: exp.Column) -> Bound:
        """The table of FROM before the dot of ``node``."""
        found = self._named(node)
        if len(found) == 1:
            return found[0]
        if found:
            raise SchemaError(
                f"FROM has two tables named {node.table!r}",
                code="MPC-0123",
                hint=f"put the owner's name before it: {found[0].owner}.{node.sql()}",
                where=place(node),
            )
        name = f"{node.db}.{node.table}" if node.db else node.table
        raise SchemaError(
            f"no table {name!r} in FROM",
            code="MPC-0101",
            hint=nearest(node.table, [table.alias for table in self.tables], "tables in FROM"),
            where=place(node),
        )

    def _named(self, node: exp.Column) -> list[Bound]:
        return [
            table
            for table in self.tables
            if _alike(table.alias, node.table) and (not node.db or _alike(table.owner, node.db))
        ]


def pin(node: exp.Column, table: Bound, held: str) -> None:
    """Say which column of the relation, of which table, ``node`` reads, whatever its name means elsewhere."""
    node.meta["pin"] = table, held


def _alike(first: str, second: str) -> bool:
    return first.lower() == second.lower()


def nearest(name: str, names: list[str], what: str) -> str:
    """A hint: the most similar name, or all of them."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{what}: {', '.join(names)}"
