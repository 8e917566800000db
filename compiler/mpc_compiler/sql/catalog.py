"""What FROM may name: tables of owners, tables that several owners hold parts of, and CTEs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Item, Project, Rel, Union, column, make
from mpc_compiler.sql.parts import Named
from mpc_compiler.sql.scope import nearest
from mpc_compiler.sql.text import place

__all__ = ["Catalog", "renamed"]


class Catalog:
    """Tables by ``owner.table``, and the CTEs that a query sees.

    Parameters
    ----------
    tables : mapping of str to Rel
    ctes : mapping of str to Rel
        By lower-case name.
    """

    def __init__(self, tables: Mapping[str, Rel], ctes: Mapping[str, Rel] | None = None) -> None:
        self._tables = tables
        self._ctes = dict(ctes or {})
        self._read: set[int] = set()

    def has_read(self, clause: exp.Expr) -> bool:
        """Whether the CTEs of a WITH are here."""
        return id(clause) in self._read

    def extended(self, clause: exp.Expr) -> Catalog:
        """The same with room for the CTEs of a WITH."""
        made = Catalog(self._tables, self._ctes)
        made._read = self._read | {id(clause)}
        return made

    def add(self, cte: exp.Expr, rel: Rel) -> None:
        """A CTE; one relation however often it is named."""
        self._ctes[cte.alias.lower()] = renamed(rel, cte)

    def find(self, node: exp.Table) -> Named:
        """What a name in FROM stands for.

        Raises
        ------
        SchemaError
            When there is no such table, or owners have different tables of that name.
        """
        if not node.db and node.name.lower() in self._ctes:
            return Named(renamed(self._ctes[node.name.lower()], node), node.alias or node.name)
        names = self._names(node)
        owner, _, short = names[0].partition(".")
        if len(names) == 1:
            return Named(renamed(self._tables[names[0]], node), node.alias or short, "" if node.alias else owner)
        return Named(renamed(self._union(names, node), node), node.alias or node.name)

    def _names(self, node: exp.Table) -> list[str]:
        wanted = f"{node.db}.{node.name}" if node.db else node.name
        if wanted in self._tables:
            return [wanted]
        found = [name for name in self._tables if wanted.lower() in (name.lower(), name.lower().partition(".")[2])]
        if found:
            return found
        hint = nearest(wanted, [*self._tables, *self._ctes], "tables")
        raise SchemaError(f"no table {wanted!r}", code="MPC-0101", hint=hint, where=place(node))

    def _union(self, names: Sequence[str], node: exp.Table) -> Rel:
        """The rows of all owners' tables of one name, in the order of the owners."""
        rels = [self._tables[name] for name in names]
        kinds = [{field.name: field.dtype.kind for field in schema_of(rel)} for rel in rels]
        if any(other != kinds[0] for other in kinds):
            raise SchemaError(
                f"several owners have a table {node.name!r}, with different columns: {', '.join(names)}",
                code="MPC-0123",
                hint="put the owner's name before it",
                where=place(node),
            )
        order = tuple(kinds[0])
        result = rels[0]
        for rel in rels[1:]:
            same = schema_of(rel).names == order
            other = rel if same else make(Project(rel, tuple(Item(name, column(name)) for name in order)))
            result = make(Union(result, other))
        schema_of(result)
        return result


def renamed(rel: Rel, node: exp.Expr) -> Rel:
    """``AS t (a, b)``: other names for the columns."""
    alias = node.args.get("alias")
    names = [found.name for found in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if not names:
        return rel
    old = schema_of(rel).names
    if len(names) > len(old):
        raise SchemaError(f"{len(names)} names for {len(old)} columns", code="MPC-0106", where=place(node))
    pairs = zip([*names, *old[len(names) :]], old, strict=True)
    return make(Project(rel, tuple(Item(new, column(name)) for new, name in pairs)))
