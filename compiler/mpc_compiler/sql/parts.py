"""Rows of one or several tables of FROM while they are joined."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Aggregate, Column, Expr, Item, Join, Project, Rel, Sort, Window, column, make
from mpc_compiler.sql.scope import Bound, Scope

__all__ = ["Named", "Part", "one_row"]


@dataclass(frozen=True)
class Named:
    """Something to select from: a table, a CTE, or a subquery."""

    rel: Rel
    alias: str
    owner: str = ""


@dataclass
class Part:
    """A relation, the tables of FROM that it holds, and the node that brought them in."""

    rel: Rel
    tables: list[Bound]
    node: exp.Expr

    @property
    def scope(self) -> Scope:
        """What may be read of it."""
        return Scope(self.rel, self.tables)

    @property
    def name(self) -> str:
        """How errors call it."""
        return " with ".join(table.alias for table in self.tables)

    def holds(self, held: str) -> bool:
        """Whether a column of the relation is here."""
        return held in schema_of(self.rel).names

    def key(self, expr: Expr) -> str:
        """The column that holds ``expr``, which is added where there is none."""
        if isinstance(expr, Column):
            return expr.name
        names = schema_of(self.rel).names
        if isinstance(self.rel, Project):
            for item in self.rel.items:
                if item.name.rpartition(".")[2].startswith("~") and item.expr == expr:
                    return item.name
        label = self.tables[0].label if self.tables else ""
        start = f"{label}.~" if label else "~"
        name = next(made for k in range(1, len(names) + 2) if (made := f"{start}{k}") not in names)
        self.rel = make(Project(self.rel, (*(Item(n, column(n)) for n in names), Item(name, expr))))
        return name


def one_row(rel: Rel) -> bool:
    """Whether ``rel`` has exactly one row, whatever the data.

    Examples
    --------
    >>> from mpc_compiler.ir import Agg
    >>> from mpc_compiler.rules.examples import loans
    >>> one_row(make(Aggregate(loans, (), (Agg("n", "size"),)))), one_row(loans)
    (True, False)
    """
    if isinstance(rel, Aggregate):
        return not rel.keys
    if isinstance(rel, Join):
        return rel.how == "cross" and one_row(rel.left)
    return isinstance(rel, Project | Sort | Window) and one_row(rel.input)
