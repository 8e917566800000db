"""Inner joins of which only the left side is read become semi joins: then nothing of the right side travels."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from mpc_compiler.check import owners_of, schema_of
from mpc_compiler.check.keys import is_unique
from mpc_compiler.ir import Aggregate, Join, Project, Rel, Union, Window, inputs_of, make, rebuild, walk
from mpc_compiler.rules.prune_columns import reads_of

__all__ = ["narrowed"]


def narrowed(root: Rel) -> Rel:
    """The same rows, with semi joins where that is all a join is.

    A join that may become an intersection stays: keys that are unique on both sides, of several owners.
    """
    needed: dict[Rel, set[str]] = defaultdict(set)
    needed[root] |= set(schema_of(root).names)
    for node in reversed(list(walk(root))):
        if isinstance(node, Project) and not needed[node]:
            needed[node].add(node.items[0].name)
        for child, names in zip(inputs_of(node), reads_of(node, needed[node]), strict=True):
            needed[child] |= set(schema_of(child).names) if isinstance(node, Union) else names
    done: dict[Rel, Rel] = {}
    for node in walk(root):
        made = rebuild(node, tuple(done[child] for child in inputs_of(node)))
        done[node] = _narrow(made, needed[node])
    return done[root]


def _narrow(node: Rel, needed: set[str]) -> Rel:
    """The node with what is read of it."""
    if isinstance(node, Join) and _only_left(node, needed):
        return make(msgspec.structs.replace(node, how="semi"))
    if isinstance(node, Project):
        return make(Project(node.input, tuple(item for item in node.items if item.name in needed)))
    if isinstance(node, Aggregate) and (node.keys or any(agg.name in needed for agg in node.aggs)):
        kept_aggs = tuple(agg for agg in node.aggs if agg.name in needed)
        return make(msgspec.structs.replace(node, aggs=kept_aggs))
    if isinstance(node, Window) and any(win.name in needed for win in node.wins):
        kept = tuple(win for win in node.wins if win.name in needed)
        return make(msgspec.structs.replace(node, wins=kept))
    return node


def _only_left(join: Join, needed: set[str]) -> bool:
    if join.how != "inner" or not needed <= set(schema_of(join.left).names):
        return False
    if not is_unique(join.right, join.right_on):
        return False
    return len(owners_of(join)) == 1 or not is_unique(join.left, join.left_on)
