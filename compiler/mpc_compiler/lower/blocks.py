"""Features that stay with their owners: which columns of a model need not be shared."""

from __future__ import annotations

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Apply, Block, Column, Filter, Fit, Plan, Project, Rel, Schema, make, transform_plan
from mpc_compiler.lower.gather import Gatherer
from mpc_compiler.options import Options
from mpc_compiler.rules.choose_joins import is_leaf
from mpc_compiler.rules.prune_columns import prune_above

__all__ = ["BLOCKED", "keep_features"]

BLOCKED = {
    "glm": ("standard", "units"),
    "select": ("standard", "units"),
    "collinear": ("standard", "units"),
    "pca": ("centred", "units"),
    "woe": ("onehot", "onehot"),
    "gbdt": ("onehot", "onehot"),
}
"""Estimators that take columns that owners keep, and in which form: to fit, and to apply."""


def keep_features(plan: Plan, gather: Gatherer, options: Options) -> Plan:
    """The plan with features that computing parties own as blocks of its models, and not among the columns to share.

    Only where native kernels run: they multiply shares with what one party knows. A feature qualifies if it is a column
    of one owner from the leaf up, and rows between the leaf and the model stay where they are.
    """
    if not options.native:
        return plan
    marked = transform_plan(plan, lambda rel: _marked(rel, gather, options))
    return plan if marked == plan else prune_above(marked, is_leaf)


def _marked(node: Rel, gather: Gatherer, options: Options) -> Rel:
    if not isinstance(node, Fit | Apply) or node.kind not in BLOCKED or _leveraged(node):
        return node
    leaf, names = _leaf_columns(node.input)
    if leaf is None:
        return node
    how = BLOCKED[node.kind][isinstance(node, Apply)]
    by_owner: dict[str, list[str]] = {}
    schema = schema_of(leaf)
    for feature in node.features:
        field = schema.field(names.get(feature, ""))
        if field is not None and len(field.owners) == 1 and field.owners[0] in options.computing:
            by_owner.setdefault(field.owners[0], []).append(feature)
    blocks = []
    for owner, features in by_owner.items():
        held = tuple(names[feature] for feature in features)
        rank = options.computing.index(owner)
        bounds = tuple(_bounds(schema, name) for name in held)
        blocks.append(Block(gather.owned(leaf, held, rank, how, _bins(node)), rank, tuple(features), bounds))
    return make(msgspec.structs.replace(node, blocks=tuple(blocks))) if blocks else node


def _leveraged(node: Fit | Apply) -> bool:
    """Whether a fit multiplies rows with themselves, so that all of its columns are shared."""
    return isinstance(node, Fit) and bool(dict(node.params).get("firth"))


def _bins(node: Fit | Apply) -> int:
    """Bins of every feature, where all have as many; 0: as many as its codes."""
    fit = node if isinstance(node, Fit) else node.model
    return int(dict(fit.params).get("bins", 0)) if isinstance(fit, Fit) and fit.kind == "gbdt" else 0


def _bounds(schema: Schema, name: str) -> tuple[float, float]:
    field = schema.field(name)
    assert field is not None
    lo, hi = field.dtype.limits
    return float(lo), float(hi)


def _leaf_columns(rel: Rel) -> tuple[Rel | None, dict[str, str]]:
    """The leaf whose rows those of ``rel`` are, in the same places, and its columns by their names in ``rel``."""
    if is_leaf(rel):
        return rel, {name: name for name in schema_of(rel).names}
    if isinstance(rel, Filter | Apply):
        leaf, names = _leaf_columns(rel.input)
        made = rel.outputs if isinstance(rel, Apply) else ()
        return leaf, {name: held for name, held in names.items() if name not in made}
    if isinstance(rel, Project):
        leaf, names = _leaf_columns(rel.input)
        plain = {item.name: item.expr.name for item in rel.items if isinstance(item.expr, Column)}
        return leaf, {name: names[source] for name, source in plain.items() if source in names}
    return None, {}
