"""Boosted trees inside a program: from columns of codes to the functions of ``ops`` and back.

The model's relation has two columns: ``left``, a flag for each tree, node, feature and bin in this order, and
``value``, which holds leaves by tree, then gains by feature, losses by tree and the base score, then zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Apply, Fit, Schema
from mpc_compiler.lower.glm import Held, real, target_unit
from mpc_compiler.ops import gbdt
from mpc_compiler.ops.families import family_of
from mpc_compiler.ops.gbdt import Bins, Params
from mpc_compiler.ops.primitives import one_hot
from mpc_compiler.ops.sigmoid import sigmoid
from mpc_compiler.ops.table import Column, Table

__all__ = ["trees_column", "trees_table", "unit_of"]


def _params(fit: Fit) -> Params:
    given: dict[str, Any] = dict(fit.params)
    given.pop("bins")
    return Params(**given)


def _bins(node: Fit | Apply, table: Table, count: int, held: Held) -> tuple[Bins, list[str]]:
    """The bins of the features, owned ones first, and their names in that order."""
    owned = [name for block in node.blocks for name in block.features]
    shared = [name for name in node.features if name not in set(owned)]
    hot = [one_hot(table.columns[name].value.astype(jnp.int64), count, table.valid) for name in shared]
    secret = jnp.concatenate(hot) if hot else None
    matrices = tuple(held(block.id, "__matrix") for block in node.blocks)
    return Bins(matrices, secret, count, table.rows), [*owned, *shared]


def _reordered(value: jax.Array, old: Sequence[str], new: Sequence[str], axis: int) -> jax.Array:
    """Entries of an axis by name, in another order; slices, so that nothing indexes a secret by an array."""
    if list(old) == list(new):
        return value
    places = [list(old).index(name) for name in new]
    return jnp.concatenate([jax.lax.slice_in_dim(value, at, at + 1, axis=axis) for at in places], axis=axis)


def unit_of(fit: Fit) -> float:
    """Public power of two that scales a target that is no class."""
    if dict(fit.params)["logistic"]:
        return 1.0
    field = schema_of(fit.input).field(fit.target or "")
    assert field is not None
    lo, hi = field.dtype.limits
    return target_unit(family_of("gaussian"), (float(lo), float(hi)))


def trees_table(node: Fit, table: Table, schema: Schema, held: Held) -> Table:
    """The fitted trees as a relation."""
    params, count = _params(node), int(dict(node.params)["bins"])
    bins, names = _bins(node, table, count, held)
    target = real(table, node.target or "", schema) * unit_of(node)
    check = next((table.columns[name].value.astype(jnp.bool_) for role, name in node.roles if role == "check"), None)
    trees = gbdt.fit(bins, target, table.valid, params, check=check)
    left = _reordered(trees.left, names, node.features, 2).reshape(-1)
    gain = _reordered(trees.gain, names, node.features, 0)
    value = jnp.concatenate([trees.leaf.reshape(-1), gain, trees.loss, trees.base[None]])
    rows = max(left.shape[0], value.shape[0])
    columns = {"left": _padded(left, rows), "value": _padded(value, rows)}
    return Table({name: Column(array) for name, array in columns.items()}, None, None)


def _padded(value: jax.Array, rows: int) -> jax.Array:
    missing = rows - value.shape[0]
    return jnp.concatenate([value, jnp.zeros(missing, value.dtype)]) if missing else value


def trees_column(node: Apply, table: Table, model: Table, held: Held) -> jax.Array:
    """Scores of rows, or what they stand for."""
    fit = node.model
    assert isinstance(fit, Fit)
    params, count = _params(fit), int(dict(fit.params)["bins"])
    if table.rows == 0:
        return jnp.zeros(0)
    bins, names = _bins(node, table, count, held)
    nodes, leaves, features = 2**params.depth - 1, 2**params.depth, len(node.features)
    flags = model.columns["left"].value[: params.trees * nodes * features * count]
    left = flags.reshape(params.trees, nodes, features, count)
    value = model.columns["value"].value
    leaf = value[: params.trees * leaves].reshape(params.trees, leaves)
    base = value[params.trees * leaves + features + params.trees]
    score = gbdt.predict(bins, _reordered(left, node.features, names, 2), leaf, base=base)
    if node.method == "predict_proba":
        return sigmoid(score)
    return score * (1 / unit_of(fit))
