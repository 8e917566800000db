"""Reading SQL text: the syntax tree, where in the text a node stands, and the errors that say so."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from mpc_compiler.errors import SchemaError, UnsupportedError

__all__ = ["describe", "parse", "place", "plain", "refused"]

_NAMES: dict[type[exp.Expr], str] = {
    exp.Window: "a window function", exp.Subquery: "a subquery in an expression", exp.Exists: "EXISTS",
    exp.Select: "a subquery in an expression", exp.TryCast: "TRY_CAST", exp.Order: "ORDER BY inside an aggregate",
}  # fmt: skip
_PARTS = {"this", "expression", "expressions"}
_READ: dict[type[exp.Expr], set[str]] = {
    exp.Column: {"table", "db"}, exp.Literal: {"is_string"}, exp.Like: {"negate"}, exp.Between: {"low", "high"},
    exp.If: {"true", "false"}, exp.Case: {"ifs", "default"}, exp.Cast: {"to"}, exp.Count: {"big_int"},
    exp.In: {"query", "unnest", "field"}, exp.Interval: {"unit"}, exp.Subquery: {"alias"}, exp.CTE: {"alias"},
    exp.Table: {"db", "alias"}, exp.TableAlias: {"columns"}, exp.Alias: {"alias"}, exp.Distinct: {"on"},
    exp.Ordered: {"desc", "nulls_first"}, exp.Join: {"on", "using", "method", "side", "kind"},
    exp.With: {"recursive"}, exp.Group: {"all"}, exp.Substring: {"start", "length"}, exp.DPipe: {"safe"},
    exp.Window: {"partition_by", "order", "spec", "over", "alias"}, exp.Lag: {"offset", "default"},
    exp.Lead: {"offset", "default"}, exp.WindowSpec: {"kind", "start", "start_side", "end", "end_side"},
    exp.Extract: {"expression"}, exp.ILike: {"negate"}, exp.Round: {"decimals"}, exp.Replace: {"replacement"},
    exp.Greatest: {"ignore_nulls"}, exp.Least: {"ignore_nulls"},
}  # fmt: skip


def parse(text: str) -> exp.Query:
    """The one query that ``text`` is.

    Raises
    ------
    SchemaError
        When it is not SQL; names line and column.
    UnsupportedError
        When it is another statement than a query.

    Examples
    --------
    >>> parse("SELECT a FROM b.t").sql()
    'SELECT a FROM b.t'
    """
    try:
        statements = [found for found in sqlglot.parse(text, read="duckdb") if found is not None]
    except ParseError as error:
        raise _syntax(error) from None
    except SqlglotError as error:
        raise SchemaError("cannot read the SQL: a text or a bracket is not closed", code="MPC-0122") from error
    except RecursionError:
        raise SchemaError("the SQL is nested too deeply", code="MPC-0122", hint="CTEs instead of brackets") from None
    if len(statements) != 1:
        raise SchemaError(f"expected one SQL query, not {len(statements)}", code="MPC-0122", hint="SELECT ... FROM ...")
    (statement,) = statements
    for found in list(statement.find_all(exp.IgnoreNulls)):
        if isinstance(found.this, exp.AnyValue):  # the parser says of ANY_VALUE what it does anyway
            found.replace(found.this)
    if not isinstance(statement, exp.Query):
        raise refused(statement, describe(statement), "only queries can be run: SELECT ... FROM ...")
    return statement


def _syntax(error: ParseError) -> SchemaError:
    first = error.errors[0]
    found, line, end = first.get("highlight") or "", first.get("line"), first.get("col")
    # sqlglot counts the column where a token ends.
    where = "" if line is None or end is None else f"line {line}, column {max(end - len(found) + 1, 1)} of the SQL"
    beside = f" at {found!r}" if found else ""
    return SchemaError(
        f"cannot read the SQL{beside}" + (f" ({where.removesuffix(' of the SQL')})" if where else ""),
        code="MPC-0122",
        hint="DuckDB's syntax; names that are SQL words stand in double quotes",
        where=where,
    )


def place(node: exp.Expr) -> str:
    r"""Line and column of the first token of ``node`` that the parser remembers.

    Examples
    --------
    >>> place(parse("SELECT a,\n  b.c FROM t").selects[1])
    'line 2, column 3 of the SQL'
    """
    marks = [found.meta for found in node.walk() if "start" in found.meta]
    if not marks:
        return ""
    first = min(marks, key=lambda meta: int(meta["start"]))
    return f"line {first['line']}, column {first['col'] - (first['end'] - first['start'])} of the SQL"


def describe(node: exp.Expr) -> str:
    """What a construct is called in SQL.

    Examples
    --------
    >>> describe(parse("SELECT upper(a) FROM t").selects[0]), describe(exp.Intersect())
    ('the function UPPER', 'INTERSECT')
    """
    if type(node) in _NAMES:
        return _NAMES[type(node)]
    if isinstance(node, exp.Anonymous):
        return f"the function {str(node.this).upper()}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}"
    return node.key.upper()


def refused(node: exp.Expr, what: str, hint: str) -> UnsupportedError:
    """The error for a construct that is understood and not offered."""
    return UnsupportedError(f"SQL: {what} is not supported", code="MPC-0330", hint=hint, where=place(node))


def plain(node: exp.Expr) -> None:
    """Refuse what the parser hangs on a node beyond the parts that are read, so that nothing is passed over."""
    for name, value in node.args.items():
        if value and name not in _PARTS and name not in _READ.get(type(node), ()):
            what = f"{describe(node)} with {name.upper().replace('_', ' ').strip()}"
            raise refused(node, what, f"{describe(node)} without it")
