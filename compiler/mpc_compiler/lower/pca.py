"""Principal components inside a program: from relations to the functions of ``ops`` and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import rows_of
from mpc_compiler.ir import Apply, Fit, Schema
from mpc_compiler.lower.glm import Held, design_units, feature_ranges, matrix_of, runs, split_features
from mpc_compiler.ops import scaler
from mpc_compiler.ops.design import Design, Moments, centred_columns
from mpc_compiler.ops.linalg import GUARD
from mpc_compiler.ops.owned import owned_matmul
from mpc_compiler.ops.pca import principal, whitening
from mpc_compiler.ops.table import Column, Table

__all__ = ["pca_columns", "pca_table"]


def pca_table(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> Table:
    """The components: one row a feature of the node."""
    design, order = _centred(node, table, schema, rows, held)
    flags = None if table.valid is None else table.valid.astype(jnp.float64)
    nobs = jnp.full((), table.rows, jnp.int64) if table.valid is None else jnp.sum(table.valid.astype(jnp.int64))
    units = design_units(node, schema)
    found = principal(design.gram(flags), nobs, units.min() / units, rows=rows)
    count, size = int(dict(node.params)["components"]), len(order)
    mean = design.moments.mean + found.shift
    vectors = jnp.concatenate(runs(found.vectors, order))
    columns = {
        "mean": jnp.concatenate(runs(mean, order)),
        "variance": jnp.concatenate([found.values[:count], jnp.zeros(size - count)]),
        "total": jnp.broadcast_to(found.total, (size,)),
        "root": jnp.broadcast_to(found.root, (size,)),
        "nobs": jnp.broadcast_to(nobs, (size,)),
    }
    columns |= {f"v{at}": vectors[:, at] for at in range(count)}
    return Table({name: Column(value) for name, value in columns.items()}, None, None)


def _centred(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> tuple[Design, list[int]]:
    """The columns in their units less their means, owned ones first, and where each feature stands among them."""
    shared, order = split_features(node)
    owned = tuple(held(block.id, "__matrix") for block in node.blocks)
    means = [held(block.id, "__mean") for block in node.blocks]
    secret = None
    if shared:
        ranges = feature_ranges(shared, schema)
        secret, moments = centred_columns(matrix_of(table, shared, schema), ranges=ranges, rows=rows, valid=table.valid)
        means.append(moments.mean)
    mean = jnp.concatenate(means)
    return Design(owned, secret, Moments(mean, jnp.ones(mean.shape[0])), table.rows), order


def pca_columns(node: Apply, table: Table, model: Table, schema: Schema, held: Held) -> dict[str, Column]:
    """Rows along the components, in the users' units, or over their standard deviations."""
    if table.rows == 0:
        return {name: Column(jnp.zeros(0)) for name in node.outputs}
    fit = node.model
    assert isinstance(fit, Fit)
    held_columns = model.columns
    units = _units(node, schema)
    common = units.min()
    slopes = jnp.stack([held_columns[f"v{at}"].value for at in range(len(node.outputs))], axis=1)
    slopes = slopes * (common / units)[:, None]
    total = -(held_columns["mean"].value @ slopes)[:, None] + _product(node, table, slopes, schema, held)
    total = total * 2.0**-GUARD
    if node.method == "whiten":
        first = {name: held_columns[name].value[0] for name in ("root", "nobs")}
        variance = held_columns["variance"].value[: len(node.outputs)]
        total = total * whitening(variance, first["root"], first["nobs"], rows=max(rows_of(fit.input), 1))[:, None]
    else:
        total = total * (1 / common)
    return {name: Column(total[at]) for at, name in enumerate(node.outputs)}


def _units(node: Apply, schema: Schema) -> NDArray[np.float64]:
    """The public unit of each feature, in the order of the node."""
    known = {name: bounds for block in node.blocks for name, bounds in zip(block.features, block.bounds, strict=True)}
    return scaler.units([known.get(name) or feature_ranges((name,), schema)[0] for name in node.features])


def _product(node: Apply, table: Table, slopes: jax.Array, schema: Schema, held: Held) -> jax.Array:
    """Columns in their units times `slopes` float64 [p, k], feature-major: float64 [k, n]."""
    shared, _ = split_features(node)
    place = {name: at for at, name in enumerate(node.features)}
    parts = []
    for block in node.blocks:
        mine = jnp.concatenate(runs(slopes, [place[name] for name in block.features]))
        parts.append(owned_matmul([held(block.id, "__matrix")], mine).T)
    if shared:
        x = scaler.prescale(matrix_of(table, shared, schema), feature_ranges(shared, schema))
        parts.append(jnp.concatenate(runs(slopes, [place[name] for name in shared])).T @ x)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
