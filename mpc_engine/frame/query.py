"""``df.query("age > 30 and purpose == 'car'")``: a closed grammar read by Python's parser, never evaluated."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_engine.frame.place import _HERE
from mpc_engine.frame.series import Series

if TYPE_CHECKING:
    from mpc_engine.frame.dataframe import DataFrame

__all__ = ["parse_query"]

_LOCAL = "_local_variable_"
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def parse_query(text: str, frame: DataFrame) -> Series:
    """The boolean column that ``text`` describes.

    Raises
    ------
    SchemaError
        When the text is malformed or names an unknown column or variable.
    UnsupportedError
        When it uses anything outside the grammar.
    """
    source = re.sub(r"@([A-Za-z_]\w*)", rf"{_LOCAL}\1", text)
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except SyntaxError as error:
        raise SchemaError(f"cannot read the query {text!r}: {error.msg}", code="MPC-0116") from error
    result = _Reader(frame).read(tree.body)
    if not isinstance(result, Series):
        raise SchemaError(f"the query {text!r} reads no column", code="MPC-0116")
    return result


def _variable(name: str) -> Any:
    """A variable of the user's function, as pandas' ``@name``."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    for scope in (frame.f_locals, frame.f_globals) if frame is not None else ():
        if name in scope:
            return scope[name]
    raise SchemaError(f"no variable {name!r} for '@{name}'", code="MPC-0116")


class _Reader:
    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame

    def read(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            if node.id.startswith(_LOCAL):
                return _variable(node.id.removeprefix(_LOCAL))
            return self._frame[node.id]
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
            return node.value
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return [self.read(item) for item in node.elts]
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._pair(_BINARY[type(node.op)], self.read(node.left), self.read(node.right))
        if isinstance(node, ast.BoolOp):
            return self._bool(node)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        raise UnsupportedError(
            f"{ast.unparse(node)!r} is not supported in a query", code="MPC-0315", hint="use df[...] with an expression"
        )

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.read(node.operand)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.Not | ast.Invert) and isinstance(value, Series):
            return ~value
        return value

    def _pair(self, op: str, left: Any, right: Any) -> Any:
        if isinstance(left, Series):
            return left._apply(op, right)
        if isinstance(right, Series):
            return right._apply(_SWAPPED[op], left) if op in _SWAPPED else right._apply(op, left, reverse=True)
        raise UnsupportedError("a query compares columns, not two constants", code="MPC-0315")

    def _bool(self, node: ast.BoolOp) -> Any:
        op = "and" if isinstance(node.op, ast.And) else "or"
        result = self.read(node.values[0])
        for value in node.values[1:]:
            result = self._pair(op, result, self.read(value))
        return result

    def _compare(self, node: ast.Compare) -> Any:
        result, left = None, self.read(node.left)
        for kind, operand in zip(node.ops, node.comparators, strict=True):
            right = self.read(operand)
            if isinstance(kind, ast.In | ast.NotIn):
                part = left.isin(right)
                part = ~part if isinstance(kind, ast.NotIn) else part
            elif type(kind) in _COMPARE:
                part = self._pair(_COMPARE[type(kind)], left, right)
            else:
                raise UnsupportedError("'is' is not supported in a query", code="MPC-0315", hint="use ==")
            result = part if result is None else result & part
            left = right
        return result
