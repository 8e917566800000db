"""Tiny plans for the doctests and fixtures of the rules."""

from __future__ import annotations

import ast
from collections.abc import Callable

import msgspec

from mpc_compiler.ir import (
    DType,
    Expr,
    Field,
    Filter,
    Item,
    Join,
    Output,
    Plan,
    Project,
    Rel,
    Scan,
    call,
    column,
    literal,
    make,
)
from mpc_compiler.ir.show import show

__all__ = [
    "Example",
    "accounts",
    "as_plan",
    "bureau",
    "expression",
    "filtered",
    "join",
    "joined",
    "keyed",
    "loans",
    "looked_up",
    "own_days",
    "project",
]

_OPS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Gt: "gt", ast.Lt: "lt", ast.Eq: "eq", ast.BitAnd: "and"}


def _scan(owner: str, table: str, rows: int, **columns: int) -> Rel:
    fields = tuple(Field(name, DType("int", lo=0, hi=hi), (owner,)) for name, hi in columns.items())
    return make(Scan(f"{owner}.{table}", owner, fields, rows))


loans = _scan("a", "loans", 5, id=99, age=120, bad=1)
accounts = _scan("b", "accounts", 4, key=99, balance=1000)
bureau = _scan("c", "bureau", 6, person=99, score=850)


def expression(text: str) -> Expr:
    """Parse ``a * 2 + b`` or ``a > 3 & b > a`` (conjuncts split at ``&``)."""
    parts = [_build(ast.parse(part.strip(), mode="eval").body) for part in text.split("&")]
    result = parts[0]
    for part in parts[1:]:
        result = call("and", result, part)
    return result


def _build(node: ast.expr) -> Expr:
    if isinstance(node, ast.Name):
        return column(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return literal(node.value)
    if isinstance(node, ast.BinOp):
        return call(_OPS[type(node.op)], _build(node.left), _build(node.right))
    if isinstance(node, ast.Compare):
        return call(_OPS[type(node.ops[0])], _build(node.left), _build(node.comparators[0]))
    raise ValueError(ast.dump(node))


def project(rel: Rel, **items: str) -> Rel:
    """A projection from texts."""
    return make(Project(rel, tuple(Item(name, expression(text)) for name, text in items.items())))


def filtered(rel: Rel, predicate: str) -> Rel:
    """A filter from a text."""
    return make(Filter(rel, expression(predicate)))


def join(left: Rel, right: Rel, left_on: str, right_on: str) -> Rel:
    """A join on one key."""
    return make(Join(left, right, (left_on,), (right_on,)))


joined = join(loans, accounts, "id", "key")


def _keyed(rel: Rel, key: str) -> Rel:
    assert isinstance(rel, Scan)
    return make(msgspec.structs.replace(rel, keys=((key,),)))


keyed = join(_keyed(loans, "id"), _keyed(accounts, "key"), "id", "key")
"""The same join where both keys are known to be unique."""
looked_up = join(loans, _keyed(accounts, "key"), "bad", "key")
"""A join where only the right key is."""
own_days = _keyed(_scan("a", "days", 9, day=120, month=11), "day")


class Example:
    """A plan with one output, shown before or after a rule."""

    def __init__(self, rel: Rel) -> None:
        self.plan = Plan((Output("result", rel, ("a",)),))

    def show(self, *rules: Callable[[Plan], Plan]) -> None:
        """Print the plan after the rules."""
        plan = self.plan
        for rule in rules:
            plan = rule(plan)
        print(show(plan.outputs[0].rel))  # noqa: T201 - doctests read it


def as_plan(rel: Rel) -> Example:
    """``rel`` as the only output of a plan."""
    return Example(rel)
