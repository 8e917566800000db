"""Expressions of SQL as expressions of the plan."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from sqlglot import exp

from mpc_compiler.check import expr_type
from mpc_compiler.errors import MpcError, SchemaError
from mpc_compiler.ir import Call, DType, Expr, Literal, call, column, constant_of, literal
from mpc_compiler.sql import constant as constants
from mpc_compiler.sql import logic
from mpc_compiler.sql.functions import function, moved
from mpc_compiler.sql.logic import Test
from mpc_compiler.sql.scope import Scope
from mpc_compiler.sql.text import describe, place, plain, refused

__all__ = ["Reader"]

Known = Callable[[exp.Expr], "Expr | Test | None"]
"""Gives what a node is that is computed already (a group key, an aggregate, a subquery), or None."""

_COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt", exp.GTE: "ge",
}  # fmt: skip
_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul"}
_TEXTS: dict[type[exp.Expr], str] = {exp.StartsWith: "startswith", exp.EndsWith: "endswith", exp.Contains: "contains"}
_TESTS: tuple[type[exp.Expr], ...] = (
    exp.And, exp.Or, exp.Not, exp.Between, exp.In, exp.Is, exp.Like, exp.ILike, exp.Boolean, exp.NullSafeEQ,
    exp.NullSafeNEQ, *_COMPARE, *_TEXTS,
)  # fmt: skip
_HINTS: dict[type[exp.Expr], str] = {
    exp.Subquery: "JOIN the subquery, or put it in FROM",
    exp.Select: "JOIN the subquery, or put it in FROM",
    exp.Exists: "JOIN (SELECT DISTINCT ...) on the key",
    exp.Window: "GROUP BY in a subquery, and JOIN it",
    exp.TryCast: "CAST",
    exp.Order: "leave the order out",
    exp.Rollup: "one query for each set of keys",
    exp.Cube: "one query for each set of keys",
    exp.Interval: "a date plus or minus INTERVAL '3' MONTH",
}
_OTHERWISE = "arithmetic, comparisons, CASE, COALESCE, CAST, IN, BETWEEN, LIKE, EXTRACT, functions of text and dates"


class Reader:
    """Reads expressions over one scope.

    Parameters
    ----------
    scope : Scope
        The relation below, and what names mean in it.
    known : callable, optional
        Asked first for every node.
    positive : frozenset of Expr
        What is above 0 in every row, whatever its range says.
    limit : callable, optional
        Gives what the quotient of two expressions cannot exceed in size, or None.
    """

    def __init__(
        self,
        scope: Scope,
        known: Known | None = None,
        positive: frozenset[Expr] = frozenset(),
        limit: Callable[[Expr, Expr], Expr | None] = lambda over, under: None,
    ) -> None:
        self.scope = scope
        self._positive = positive
        self._limit = limit
        self._known: Known = known or (lambda node: None)
        self._schema = scope.schema

    def type(self, expr: Expr) -> DType:
        """The type of a plan's expression over the scope."""
        return expr_type(expr, self._schema)

    def value(self, node: exp.Expr) -> Expr:
        """The plan's expression of ``node``.

        Raises
        ------
        SchemaError, UnsupportedError
            For unknown names, wrong types and what the plan cannot hold; ``where`` is the place in the SQL.
        """
        node = _bare(node)
        try:
            found = self._known(node)
            made = self._value(node) if found is None else found.value if isinstance(found, Test) else found
            self.type(made)
        except MpcError as error:
            error.where = error.where or place(node)
            raise
        return made

    def test(self, node: exp.Expr) -> Test:
        """A condition in SQL's three-valued logic."""
        node = _bare(node)
        known = self._known(node)
        if isinstance(known, Test):
            return known
        if isinstance(node, _TESTS) and known is None:
            try:
                plain(node)
                made = self._test(node)
                self.type(made.true)
            except MpcError as error:
                error.where = error.where or place(node)
                raise
            return made
        made_value = self.value(node)
        if self.type(made_value).kind != "bool":
            raise SchemaError(
                f"a condition needs a boolean, not {self.type(made_value).kind}",
                code="MPC-0103",
                hint="compare with something",
                where=place(node),
            )
        if not self.type(made_value).nullable:
            return logic.whole(made_value)
        true, false = (call("eq", made_value, literal(answer)) for answer in (True, False))
        return Test(true, false, call("notna", made_value))

    # --- values --------------------------------------------------------------------------------------------------

    def _value(self, node: exp.Expr) -> Expr:
        if type(node) in _HINTS:
            raise refused(node, describe(node), _HINTS[type(node)])
        plain(node)
        constant = constants.number(node)
        if constant is not None:
            return constant
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            return column(self.scope.column(node))
        if isinstance(node, exp.Literal):
            return literal(str(node.this))
        if isinstance(node, _TESTS):
            return self._test(node).value
        if constants.moment(node) is not None:
            raise refused(node, "a date constant outside a comparison", "compare it with a column of dates")
        later = moved(node, self)
        if later is not None:
            return later
        if type(node) in _ARITHMETIC:
            return call(_ARITHMETIC[type(node)], self.value(node.args["this"]), self.value(node.args["expression"]))
        if isinstance(node, exp.Div):
            return self._divide(node)
        found = function(node, self)
        return self._other(node) if found is None else found

    def _other(self, node: exp.Expr) -> Expr:
        if isinstance(node, exp.IntDiv | exp.Mod):
            return self._whole_division(node)
        if isinstance(node, exp.Case):
            return self._case(node)
        if isinstance(node, exp.If):
            return self._choose(self.test(node.this).true, node.args["true"], self._branch(node.args.get("false")))
        if isinstance(node, exp.Coalesce):
            return self._coalesce(node)
        if isinstance(node, exp.Nullif):
            if constants.value_of(node.expression) == 0:
                return call("nonzero", self.value(node.this))
            return call("where", self.test(exp.EQ(this=node.this, expression=node.expression)).true, literal(None),
                        self.value(node.this))  # fmt: skip
        if isinstance(node, exp.Cast):
            return self._cast(node)
        if isinstance(node, exp.AggFunc):
            raise SchemaError(
                f"{describe(node)} stands where no aggregate may", code="MPC-0124", hint="HAVING, or a subquery in FROM"
            )
        raise refused(node, describe(node), _OTHERWISE)

    def _divide(self, node: exp.Div) -> Expr:
        """A quotient, NULL where the divisor is 0; a group's COUNT(*) is known to be above 0."""
        over, divisor = self.value(node.left), self.value(node.right)
        limit = self._limit(over, divisor)
        if divisor in self._positive and self._counts(divisor):
            divisor = call("clip", divisor, literal(1), literal(None))
        elif constant_of(divisor) is None:
            dtype = self.type(divisor)
            if dtype.lo is None or dtype.hi is None or dtype.lo <= 0 <= dtype.hi:
                divisor = call("nonzero", divisor)
        return call("div", over, divisor) if limit is None else call("div", over, divisor, limit)

    def _counts(self, expr: Expr) -> bool:
        dtype = self.type(expr)
        return dtype.kind == "int" and dtype.lo == 0

    def _whole_division(self, node: exp.Binary) -> Expr:
        """Towards zero, with the dividend's sign on the rest, as SQL has it."""
        left, right = self.value(node.left), self.value(node.right)
        divisor = right.value if isinstance(right, Literal) else None
        if self.type(left).kind != "int" or not isinstance(divisor, int) or isinstance(divisor, bool) or divisor == 0:
            raise refused(node, f"{'//' if isinstance(node, exp.IntDiv) else '%'} of other than a whole number by a "
                          "constant", "cast to BIGINT first, and divide by a constant other than 0")  # fmt: skip
        op, by = ("floordiv", divisor) if isinstance(node, exp.IntDiv) else ("mod", abs(divisor))
        if op == "floordiv" and by < 0:
            left, by = call("neg", left), -by
        low = self.type(left).lo
        up = call(op, left, literal(by))
        if low is not None and low >= 0:
            return up
        return call("where", call("ge", left, literal(0)), up, call("neg", call(op, call("neg", left), literal(by))))

    def _branch(self, node: exp.Expr | None) -> Expr:
        return literal(None) if node is None or isinstance(_bare(node), exp.Null) else self.value(node)

    def _choose(self, condition: Expr, then: exp.Expr, otherwise: Expr) -> Expr:
        return call("where", condition, self._branch(then), otherwise)

    def _case(self, node: exp.Case) -> Expr:
        result = self._branch(node.args.get("default"))
        for branch in reversed(node.args["ifs"]):
            condition = branch.this
            if node.this is not None:
                condition = exp.EQ(this=node.this, expression=condition)
            result = self._choose(self.test(condition).true, branch.args["true"], result)
        return result

    def _coalesce(self, node: exp.Coalesce) -> Expr:
        parts = [self.value(part) for part in (node.this, *node.expressions) if not isinstance(_bare(part), exp.Null)]
        if not parts:
            raise refused(node, "COALESCE of nothing but NULL", "name a column")
        result = parts[-1]
        for part in reversed(parts[:-1]):
            result = call("fillna", part, result)
        dtype = self.type(result)
        # A condition that may be NULL is held as a number; this makes it a truth value again.
        return call("eq", result, literal(True)) if dtype.kind == "bool" and not dtype.nullable else result

    def _cast(self, node: exp.Cast) -> Expr:
        target = node.to
        if target.is_type(*exp.DataType.INTEGER_TYPES):
            return self._whole(node)
        value = self.value(node.this)
        kind = self.type(value).kind
        if target.is_type(exp.DataType.Type.DECIMAL) and kind in ("int", "bool", "decimal"):
            return call("rescale", value, literal(_digits(target)))
        if target.is_type(exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT):
            return value if kind == "float" else call("float", value)
        if target.is_type(exp.DataType.Type.BOOLEAN) and kind in ("int", "bool"):
            return value if kind == "bool" else self._compared("ne", value, literal(0)).value
        if (kind == "date" and target.is_type(exp.DataType.Type.DATE)) or (
            kind == "string" and target.is_type(*exp.DataType.TEXT_TYPES)
        ):
            return value
        raise refused(node, f"CAST of {kind} AS {target.sql(dialect='duckdb')}", "BIGINT, DOUBLE or BOOLEAN")

    def _whole(self, node: exp.Cast) -> Expr:
        inner = _bare(node.this)
        if isinstance(inner, exp.Trunc):
            plain(inner)
            return call("int", self.value(inner.this))
        value = self.value(inner)
        dtype = self.type(value)
        if dtype.kind == "int":
            return value
        if dtype.kind == "float":
            hint = "CAST(TRUNC(x) AS BIGINT), which cuts the fraction off"
            raise refused(node, "rounding to a whole number", hint)
        if dtype.kind == "decimal":
            return call("int", call("rescale", value, literal(0)))
        if dtype.kind == "bool" and dtype.nullable:
            test = self.test(inner)
            return call("where", test.true, literal(1), call("where", test.false, literal(0), literal(None)))
        return call("int", value)

    # --- conditions ----------------------------------------------------------------------------------------------

    def _test(self, node: exp.Expr) -> Test:
        if isinstance(node, exp.Boolean):
            return logic.constant(value=bool(node.this))
        if isinstance(node, exp.Not):
            return logic.negated(self.test(node.this))
        if isinstance(node, exp.And):
            return logic.both(self.test(node.left), self.test(node.right))
        if isinstance(node, exp.Or):
            return logic.either(self.test(node.left), self.test(node.right))
        if type(node) in _COMPARE:
            return self._comparison(_COMPARE[type(node)], node.args["this"], node.args["expression"])
        if isinstance(node, exp.Between):
            low = self._comparison("ge", node.this, node.args["low"])
            return logic.both(low, self._comparison("le", node.this, node.args["high"]))
        if isinstance(node, exp.In):
            return self._in(node)
        if isinstance(node, exp.Is):
            return self._is(node)
        if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
            return self._distinct(node)
        if isinstance(node, exp.Like | exp.ILike):
            like = self._like(node)
            return logic.negated(like) if node.args.get("negate") else like
        text = constants.text(node.args["expression"])
        if text is None:
            raise refused(node, f"{describe(node)} with a text that is not constant", "a text in single quotes")
        return self._text(_TEXTS[type(node)], self.value(node.args["this"]), text)

    def _nullable(self, *operands: Expr) -> list[Expr]:
        return [operand for operand in operands if self.type(operand).nullable]

    def _compared(self, op: str, left: Expr, right: Expr) -> Test:
        return logic.compared(op, left, right, self._nullable(left, right))

    def _comparison(self, op: str, left: exp.Expr, right: exp.Expr) -> Test:
        for side in (left, right):
            if isinstance(_bare(side), exp.Null):
                raise SchemaError(
                    "nothing equals NULL", code="MPC-0105", hint="IS NULL or IS NOT NULL", where=place(left)
                )
        at = constants.moment(right)
        if at is not None:
            return self._compared(op, *self._dated(left, at))
        at = constants.moment(left)
        if at is not None:
            return self._compared(_SWAPPED[op], *self._dated(right, at))
        first, second = self.value(left), self.value(right)
        if isinstance(first, Literal) and not isinstance(second, Literal):
            return self._compared(_SWAPPED[op], second, first)
        return self._compared(op, first, second)

    def _dated(self, node: exp.Expr, at: str) -> tuple[Expr, Expr]:
        value = self.value(node)
        kind = self.type(value).kind
        if kind not in ("date", "timestamp") or (kind == "date" and len(at) > len("2026-01-31")):
            raise SchemaError(
                f"cannot compare a {kind} with the {'date' if len(at) == len('2026-01-31') else 'timestamp'} {at}",
                code="MPC-0103",
                hint="compare dates with DATE '...', timestamps with TIMESTAMP '...'",
            )
        return value, literal(at)

    def _in(self, node: exp.In) -> Test:
        if node.args.get("query") is not None or node.args.get("unnest") is not None or node.args.get("field"):
            raise refused(node, "IN (subquery)", "JOIN (SELECT DISTINCT ...) on the column")
        if any(isinstance(_bare(item), exp.Null) for item in node.expressions):
            raise refused(node, "NULL in an IN list", "leave it out; with IS NULL: x IN (...) OR x IS NULL")
        value = self.value(node.this)
        items = [self._item(item) for item in node.expressions]
        if all(item is not None for item in items):
            made = call("isin", value, *(item for item in items if item is not None))
            if not self.type(value).nullable:
                return logic.whole(made)
            known = call("notna", value)
            return Test(made, call("and", call("not", made), known), known)
        result = logic.constant(value=False)
        for item in node.expressions:
            result = logic.either(result, self._comparison("eq", node.this, item))
        return result

    def _item(self, node: exp.Expr) -> Literal | None:
        at = constants.moment(node)
        text: str | int | float | None = at if at is not None else constants.text(node)
        if text is None:
            found = constants.value_of(node)
            if found is None or isinstance(found, Decimal):
                return None
            text = found
        made = literal(text)
        assert isinstance(made, Literal)
        return made

    def _is(self, node: exp.Is) -> Test:
        other = _bare(node.expression)
        if isinstance(other, exp.Boolean):
            test = self.test(node.this)
            return logic.whole(test.true if other.this else test.false)
        if not isinstance(other, exp.Null):
            raise refused(node, f"IS {other.sql()}", "IS [NOT] NULL, IS [NOT] TRUE, IS [NOT] FALSE")
        if isinstance(_bare(node.this), _TESTS):
            known = self.test(node.this).known
            return logic.constant(value=False) if known is None else logic.whole(call("not", known))
        value = self.value(node.this)
        return Test(call("isna", value), call("notna", value))

    def _distinct(self, node: exp.Binary) -> Test:
        first, second = self.value(node.left), self.value(node.right)
        same = self._compared("eq", first, second).true
        if self._nullable(first) and self._nullable(second):
            same = call("or", same, call("and", call("isna", first), call("isna", second)))
        made = logic.whole(same)
        return made if isinstance(node, exp.NullSafeEQ) else logic.negated(made)

    def _like(self, node: exp.Like | exp.ILike) -> Test:
        pattern = constants.text(node.expression)
        if pattern is None or "\\" in pattern:
            raise refused(node, f"{describe(node)} with such a pattern", "a constant text with % and _, without \\")
        text = self.value(node.this)
        if isinstance(node, exp.ILike):
            text, pattern = call("lower", text), pattern.lower()
        inner = pattern.strip("%")
        if "%" in inner or "_" in inner:
            return self._text("like", text, pattern)
        if pattern == inner:
            return self._compared("eq", text, literal(inner))
        op = "contains" if pattern[:1] == pattern[-1:] == "%" else "endswith" if pattern[:1] == "%" else "startswith"
        return self._text(op, text, inner)

    def _text(self, op: str, value: Expr, text: str) -> Test:
        made: Call = call(op, value, literal(text))
        if not self.type(value).nullable:
            return logic.whole(made)
        known = call("notna", value)
        return Test(made, call("and", call("not", made), known), known)


def _digits(target: exp.DataType) -> int:
    """Digits behind the point of DECIMAL(p, s); DuckDB's default is DECIMAL(18, 3)."""
    params = [int(str(param.this.this)) for param in target.expressions]
    return 3 if not params else params[1] if len(params) > 1 else 0


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node
