"""Names of result columns that the query does not name, as DuckDB writes them."""

from __future__ import annotations

from sqlglot import exp

from mpc_compiler.sql.constant import interval

__all__ = ["column_name", "distinct_names"]

_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.IntDiv: "//", exp.Mod: "%", exp.EQ: "=",
    exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.Or: "OR", exp.DPipe: "||",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
}  # fmt: skip
_CALLED: dict[type[exp.Expr], str] = {
    exp.Variance: "var_samp", exp.VariancePop: "var_pop", exp.PercentileCont: "quantile_cont", exp.First: '"first"',
    exp.Last: '"last"', exp.Year: '"year"', exp.Month: '"month"', exp.Day: '"day"', exp.Quarter: '"quarter"',
    exp.Nullif: '"nullif"', exp.Coalesce: "COALESCE", exp.Substring: '"substring"', exp.Trim: '"trim"',
    exp.Left: '"left"', exp.Replace: '"replace"', exp.If: '"if"', exp.StartsWith: "starts_with",
    exp.EndsWith: "ends_with",
}  # fmt: skip
_ARGUMENTS = ("this", "expression", "start", "length", "replacement", "decimals", "offset", "default", "true", "false")


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
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        sign = "+" if isinstance(node, exp.Add) else "-"
        return f"({_text(node.this)} {sign} {_interval(node.expression)})"
    if type(node) in _BINARY:
        return f"({_text(node.args['this'])} {_BINARY[type(node)]} {_text(node.args['expression'])})"
    if isinstance(node, exp.And):
        return f"({' AND '.join(map(_text, node.flatten()))})"
    if isinstance(node, exp.Like | exp.ILike):
        mark = ("!" if node.args.get("negate") else "") + ("~~" if isinstance(node, exp.Like) else "~~*")
        return f"({_text(node.this)} {mark} {_text(node.expression)})"
    if isinstance(node, exp.Neg):
        return f"(-({_text(node.this)}))"
    if isinstance(node, exp.Not):
        inner = node.this
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return f"({_text(inner.this)} IS NOT NULL)"
        return f"(NOT {_text(inner)})"
    if isinstance(node, exp.Is):
        return f"({_text(node.this)} IS {_text(node.expression)})"
    if isinstance(node, exp.Between):
        return f"({_text(node.this)} BETWEEN {_text(node.args['low'])} AND {_text(node.args['high'])})"
    if isinstance(node, exp.In) and node.args.get("query") is None:
        return f"({_text(node.this)} IN ({', '.join(map(_text, node.expressions))}))"
    if isinstance(node, exp.Window | exp.Filter):
        return _window(node) if isinstance(node, exp.Window) else _filter(node)
    return _called(node)


def _called(node: exp.Expr) -> str:
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
        return "count_star()"
    if isinstance(node, exp.Case):
        return _case(node)
    if isinstance(node, exp.Cast):
        return _cast(node)
    if isinstance(node, exp.Extract):
        return f"date_part('{node.this.this}', {_text(node.expression)})"
    if isinstance(node, exp.Distinct):
        return f"DISTINCT {', '.join(map(_text, node.expressions))}"
    if isinstance(node, exp.Func) and not isinstance(node, exp.Anonymous | exp.Exists):
        given = [node.args[name] for name in _ARGUMENTS if isinstance(node.args.get(name), exp.Expr)]
        arguments = [*given, *node.expressions]
        return f"{_CALLED.get(type(node), node.sql_name().lower())}({', '.join(map(_text, arguments))})"
    return node.sql(dialect="duckdb")


def _cast(node: exp.Cast) -> str:
    target = node.to.sql(dialect="duckdb")
    return f"CAST({_text(node.this)} AS {target.lower() if target in ('DATE', 'DOUBLE', 'TIMESTAMP') else target})"


def _case(node: exp.Case) -> str:
    found = "CASE "
    for branch in node.args["ifs"]:
        test = branch.this if node.this is None else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
        found += f" WHEN ({_text(test)}) THEN ({_text(branch.args['true'])})"
    default = node.args.get("default")
    return f"{found} ELSE {'NULL' if default is None else _text(default)} END"


def _interval(node: exp.Interval) -> str:
    months, days = interval(node)
    value = node.this.sql(dialect="duckdb")
    return (
        f"to_{'months' if months else 'days'}(CAST(trunc(CAST({value} AS DOUBLE)) AS INTEGER))"
        if months or days
        else ""
    )


def _filter(node: exp.Filter) -> str:
    return f"{_text(node.this)} FILTER (WHERE {_text(node.expression.this)})"


def _window(node: exp.Window) -> str:
    function = _text(node.this).replace("count_star()", "count()")
    parts = []
    if node.args.get("partition_by"):
        parts.append(f"PARTITION BY {', '.join(map(_text, node.args['partition_by']))}")
    if node.args.get("order") is not None:
        terms = [
            f"{_text(term.this)}{' DESC' if term.args.get('desc') else ''}" for term in node.args["order"].expressions
        ]
        parts.append(f"ORDER BY {', '.join(terms)}")
    if node.args.get("spec") is not None:
        parts.append(_frame(node.args["spec"]))
    return f"{function} OVER ({' '.join(parts)})"


def _frame(spec: exp.Expr) -> str:
    ends = []
    for name in ("start", "end"):
        value, side = spec.args.get(name) or "CURRENT ROW", spec.args.get(f"{name}_side") or ""
        ends.append(f"{value} {side}".strip().upper())
    return f"{str(spec.args['kind']).upper()} BETWEEN {ends[0]} AND {ends[1]}"


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
