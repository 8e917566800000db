"""Notebook display: the schema and the owners, never data."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpc_engine.frame.base import Lazy

__all__ = ["schema_html"]


def schema_html(lazy: Lazy) -> str:
    """A table of columns, public types and owners."""
    from mpc_compiler.check import expr_field, schema_of

    schema = schema_of(lazy._base)
    rows = []
    for name, expr in lazy._items.items():
        field = expr_field(expr, schema)
        owners = ", ".join(field.owners) or "public"
        rows.append(f"<tr><td>{escape(name)}</td><td>{escape(repr(field.dtype))}</td><td>{escape(owners)}</td></tr>")
    head = "<tr><th>column</th><th>public type</th><th>owner</th></tr>"
    note = "<p><small>lazy: .explain() shows plan, cost and disclosures; .collect() runs it</small></p>"
    return f"<table>{head}{''.join(rows)}</table>{note}"
