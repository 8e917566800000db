"""Names of result columns that the query does not name, as DuckDB writes them."""

from __future__ import annotations

from sqlglot import exp

__all__ = ["column_name", "distinct_names"]

_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.IntDiv: "//", exp.Mod: "%", exp.EQ: "=",
    exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.And: "AND", exp.Or: "OR",
    exp.Like: "~~",
}  # fmt: skip


def column_name(node: exp.Expr) -> str:
    """How DuckDB calls the column of an expression without AS.

    Examples
    --------
    >>> column_name(exp.maybe_parse("a + 1")), column_name(exp.maybe_parse("COUNT(*)")), column_name(exp.column("x"))
    ('(a + 1)', 'count_star()', 'x')
    """
    if isinstance(node, exp.Column):
        return node.name
    return _text(node)


def _text(node: exp.Expr) -> str:
    if isinstance(node, exp.Paren):
        return _text(node.this)
    if type(node) in _BINARY:
        return f"({_text(node.args['this'])} {_BINARY[type(node)]} {_text(node.args['expression'])})"
    if isinstance(node, exp.Neg):
        return f"(-({_text(node.this)}))"
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
        return "count_star()"
    if isinstance(node, exp.Not):
        inner = node.this
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return f"({_text(inner.this)} IS NOT NULL)"
        return f"(NOT {_text(inner)})"
    if isinstance(node, exp.Is):
        return f"({_text(node.this)} IS {_text(node.expression)})"
    if isinstance(node, exp.Between):
        return f"({_text(node.this)} BETWEEN {_text(node.args['low'])} AND {_text(node.args['high'])})"
    if isinstance(node, exp.In):
        return f"({_text(node.this)} IN ({', '.join(map(_text, node.expressions))}))"
    if isinstance(node, exp.Coalesce):
        return f"COALESCE({', '.join(map(_text, [node.this, *node.expressions]))})"
    if isinstance(node, exp.Sum | exp.Avg | exp.Min | exp.Max | exp.Count | exp.Abs | exp.Ln | exp.Sqrt | exp.Exp):
        return f"{node.sql_name().lower()}({_text(node.this)})"
    return node.sql(dialect="duckdb")


def distinct_names(names: list[str]) -> list[str]:
    """Names made different: the second ``id`` becomes ``id_1``.

    Examples
    --------
    >>> distinct_names(["id", "x", "id", "id"])
    ['id', 'x', 'id_1', 'id_2']
    """
    made: list[str] = []
    for name in names:
        fresh, count = name, 0
        while fresh in made:
            count += 1
            fresh = f"{name}_{count}"
        made.append(fresh)
    return made
