"""Rule: columns that nobody reads are neither shared nor read from disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.ir import (
    Aggregate,
    Apply,
    Filter,
    Fit,
    Item,
    Join,
    Kept,
    Metric,
    Plan,
    Project,
    Rel,
    Scan,
    Sort,
    Union,
    Window,
    column,
    columns_of,
    inputs_of,
    make,
    rebuild,
)

__all__ = ["prune_above", "prune_columns", "reads_of"]


def prune_columns(plan: Plan) -> Plan:
    """Keep of every relation only the columns that some reader of it needs.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, joined, project
    >>> as_plan(project(joined, y="age + balance")).show(prune_columns)
    project y=(age + balance)
      project age, balance
        join on id = key
          scan a.loans [id, age] 5 rows of a
          scan b.accounts [key, balance] 4 rows of b
    """
    return _pruned(plan, lambda rel: False)


def prune_above(plan: Plan, leaf: Callable[[Rel], bool]) -> Plan:
    """Keep only the columns that some reader needs, without looking into leaves: what owners compute stays the same."""
    return _pruned(plan, leaf)


def _pruned(plan: Plan, leaf: Callable[[Rel], bool]) -> Plan:
    def below(rel: Rel) -> tuple[Rel, ...]:
        return () if leaf(rel) else inputs_of(rel)

    roots = [output.rel for output in plan.outputs]
    needed: dict[Rel, set[str]] = defaultdict(set)
    for root in roots:
        needed[root] |= set(schema_of(root).names)
    order = _inputs_first(roots, below)
    for node in reversed(order):
        for child, names in zip(below(node), reads_of(node, needed[node]) if below(node) else (), strict=True):
            needed[child] |= names
    done: dict[Rel, Rel] = {}
    for node in order:
        if leaf(node):
            done[node] = _only(node, needed[node])
        else:
            done[node] = _narrow(rebuild(node, tuple(done[child] for child in below(node))), needed[node])
    outputs = []
    for output in plan.outputs:
        rel = done[output.rel]
        expected = schema_of(output.rel).names
        if schema_of(rel).names != expected:
            rel = make(Project(rel, tuple(Item(name, column(name)) for name in expected)))
        outputs.append(msgspec.structs.replace(output, rel=rel))
    return Plan(tuple(outputs))


def _inputs_first(roots: list[Rel], below: Callable[[Rel], tuple[Rel, ...]]) -> list[Rel]:
    found: dict[Rel, None] = {}

    def visit(node: Rel) -> None:
        if node not in found:
            for child in below(node):
                visit(child)
            found[node] = None

    for root in roots:
        visit(root)
    return list(found)


def reads_of(node: Rel, needed: set[str]) -> tuple[set[str], ...]:
    """What ``node`` reads of each input to make the columns ``needed``."""
    if isinstance(node, Project):
        return ({name for item in node.items if item.name in needed for name in columns_of(item.expr)},)
    if isinstance(node, Filter):
        return (needed | columns_of(node.predicate),)
    if isinstance(node, Join):
        left, right = set(schema_of(node.left).names), set(schema_of(node.right).names)
        return (needed & left) | set(node.left_on), (needed & right) | set(node.right_on)
    if isinstance(node, Aggregate):
        return (set(node.keys) | {agg.column for agg in node.aggs if agg.name in needed and agg.column is not None},)
    if isinstance(node, Sort):
        return (needed | {by.column for by in node.by},)
    if isinstance(node, Window):
        wanted = [win for win in node.wins if win.name in needed]
        read = {*node.partition, *(by.column for by in node.order), *(w.column for w in wanted if w.column is not None)}
        return ((needed - {win.name for win in node.wins}) | read,)
    if isinstance(node, Fit):
        kept = {name for block in node.blocks for name in block.features}
        named = ({node.target} if node.target else set()) | {name for _, name in node.roles}
        return ((set(node.features) - kept) | named,)
    if isinstance(node, Apply):
        made = set(node.outputs)
        kept = {name for block in node.blocks for name in block.features}
        return (needed - made) | (set(node.features) - kept), set(schema_of(node.model).names)
    if isinstance(node, Metric):
        return ({node.label, node.score, node.other} - {""},)
    return tuple(set(needed) for _ in inputs_of(node))


def _narrow(node: Rel, needed: set[str]) -> Rel:
    if isinstance(node, Scan | Kept):
        fields = tuple(field for field in node.fields if field.name in needed)
        left = {field.name for field in fields}
        if isinstance(node, Kept):
            return make(msgspec.structs.replace(node, fields=fields))
        keys, disjoint = (tuple(key for key in some if left.issuperset(key)) for some in (node.keys, node.disjoint))
        return make(msgspec.structs.replace(node, fields=fields, keys=keys, disjoint=disjoint))
    if isinstance(node, Project):
        return make(Project(node.input, tuple(item for item in node.items if item.name in needed)))
    if isinstance(node, Aggregate):
        aggs = tuple(agg for agg in node.aggs if agg.name in needed)
        return make(msgspec.structs.replace(node, aggs=aggs))
    if isinstance(node, Window):
        kept = tuple(win for win in node.wins if win.name in needed)
        if not kept:
            return node.input
        node = make(msgspec.structs.replace(node, wins=kept))
    if isinstance(node, Union):
        sides = (_only(side, needed) for side in (node.left, node.right))
        return make(Union(*sides))
    names = schema_of(node).names
    if isinstance(node, Join | Filter | Sort | Window) and not set(names) <= needed:
        return make(Project(node, tuple(Item(name, column(name)) for name in names if name in needed)))
    return node


def _only(rel: Rel, needed: set[str]) -> Rel:
    """Exactly the needed columns, so that both sides of a union have the same."""
    names = schema_of(rel).names
    if set(names) <= needed:
        return rel
    return make(Project(rel, tuple(Item(name, column(name)) for name in names if name in needed)))
