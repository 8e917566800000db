"""Conditions as lists of conjuncts, with what all branches of an OR have in common taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlglot import exp

__all__ = ["bare", "conjuncts", "implied"]


def bare(node: exp.Expr) -> exp.Expr:
    """``node`` without brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def conjuncts(node: exp.Expr) -> list[exp.Expr]:
    """The parts of a conjunction.

    Examples
    --------
    >>> [part.sql() for part in conjuncts(exp.maybe_parse("a = 1 AND (b = 2 AND c = 3 OR b = 2 AND d = 4)"))]
    ['a = 1', 'b = 2', '(c = 3) OR (d = 4)']
    """
    return list(_parts(node))


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    node = bare(node)
    if isinstance(node, exp.And):
        yield from _parts(node.left)
        yield from _parts(node.right)
    elif isinstance(node, exp.Or):
        yield from _factored(node)
    else:
        yield node


def _factored(node: exp.Or) -> Iterator[exp.Expr]:
    """(a AND b) OR (a AND c) is a AND (b OR c)."""
    branches = [conjuncts(branch) for branch in _branches(node)]
    common = [part for part in branches[0] if all(part in other for other in branches[1:])]
    if not common:
        yield node
        return
    yield from common
    rest = [[part for part in branch if part not in common] for branch in branches]
    if all(rest):
        yield _any([_all(branch) for branch in rest])


def _branches(node: exp.Expr) -> list[exp.Expr]:
    node = bare(node)
    return [*_branches(node.left), *_branches(node.right)] if isinstance(node, exp.Or) else [node]


def _all(parts: Sequence[exp.Expr]) -> exp.Expr:
    return _joined(exp.And, parts)


def _any(parts: Sequence[exp.Expr]) -> exp.Expr:
    return _joined(exp.Or, parts)


def _joined(kind: type[exp.Connector], parts: Sequence[exp.Expr]) -> exp.Expr:
    result = parts[0]
    for part in parts[1:]:
        result = kind(this=exp.Paren(this=result), expression=exp.Paren(this=part))
    return result


def implied(node: exp.Expr, mine: Callable[[exp.Expr], bool]) -> exp.Expr | None:
    """What an OR demands of the columns of one table alone; None: nothing.

    Examples
    --------
    >>> query = exp.maybe_parse("(a = 1 AND x = 2) OR (a = 3 AND x = 4)")
    >>> implied(query, lambda part: part.find(exp.Column).name == "a").sql()
    '(a = 1) OR (a = 3)'
    """
    if not isinstance(node, exp.Or):
        return None
    kept = [[part.copy() for part in conjuncts(branch) if mine(part)] for branch in _branches(node)]
    return _any([_all(branch) for branch in kept]) if all(kept) else None
