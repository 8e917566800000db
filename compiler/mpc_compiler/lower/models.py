"""Models inside a program: from relations to the numeric functions of ``ops`` and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Apply, Fit, Metric, Schema
from mpc_compiler.lower.gbdt import trees_column, trees_table
from mpc_compiler.lower.glm import Held, feature_ranges, glm_column, glm_table, matrix_of, real, whole
from mpc_compiler.lower.kmeans import kmeans_columns, kmeans_table
from mpc_compiler.lower.pca import pca_columns, pca_table
from mpc_compiler.lower.selection import collinear_table, select_table
from mpc_compiler.lower.woe import looked_up, score_parts, woe_table
from mpc_compiler.ops import gap, losses, ranking, scaler
from mpc_compiler.ops.table import Column, Table

__all__ = ["apply_model", "feature_ranges", "fit_model", "measure"]


def fit_model(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> Table:
    """The fitted model as a table: one row a term."""
    _some_rows(table, node)
    if node.kind == "standard_scaler":
        matrix, ranges = matrix_of(table, node.features, schema), feature_ranges(node.features, schema)
        mean, scale, inverse = scaler.fit(matrix, ranges=ranges, rows=rows, valid=table.valid)
        return Table({"mean": Column(mean), "scale": Column(scale), "inverse": Column(inverse)}, None, None)
    if node.kind == "gbdt":
        return trees_table(node, table, schema, held)
    if node.kind == "woe":
        return woe_table(node, table, whole(table, node.target or "", schema), rows, held)
    if node.kind == "select":
        return select_table(node, table, schema, rows, held)
    if node.kind == "collinear":
        return collinear_table(node, table, schema, rows, held)
    if node.kind == "pca":
        return pca_table(node, table, schema, rows, held)
    if node.kind == "kmeans":
        return kmeans_table(node, table, schema, rows)
    return glm_table(node, table, schema, rows, held)


def apply_model(node: Apply, table: Table, model: Table, schema: Schema, held: Held) -> Table:
    """The table with the columns that the model makes."""
    if node.kind == "standard_scaler":
        matrix, ranges = matrix_of(table, node.features, schema), feature_ranges(node.features, schema)
        scaled = scaler.transform(matrix, model.columns["mean"].value, model.columns["inverse"].value, ranges=ranges)
        made = {name: Column(scaled[:, j]) for j, name in enumerate(node.outputs)}
    elif node.kind == "woe":
        made = looked_up(node, table, model, held)
    elif node.kind == "gbdt":
        made = {node.outputs[0]: Column(trees_column(node, table, model, held))}
    elif node.kind == "pca":
        made = pca_columns(node, table, model, schema, held)
    elif node.kind == "kmeans":
        made = kmeans_columns(node, table, model, schema)
    elif node.kind == "scorecard":
        made = {node.outputs[0]: score_parts(node, table, model)}
    else:
        made = {node.outputs[0]: Column(glm_column(node, table, model, schema, held))}
    return Table(table.columns | made, table.valid, table.order, order_bits=table.order_bits)


def _some_rows(table: Table, node: Fit | Metric) -> None:
    """Row counts are public, so a model of nothing can be refused."""
    if table.rows == 0:
        raise SchemaError(
            "there are no rows to fit or measure", code="MPC-0118", hint="the merge found no match", node=node
        )


def measure(node: Metric, table: Table, schema: Schema) -> Table:
    """One row with the metrics."""
    _some_rows(table, node)
    label = whole(table, node.label, schema)
    found = {name: value for kind in _MEASURES for name, value in kind(node, label, table, schema).items()}
    return Table({name: Column(jnp.reshape(found[name], (1,))) for name in node.metrics}, None, None)


def _ranked(node: Metric, label: jax.Array, table: Table, schema: Schema) -> dict[str, jax.Array]:
    wanted = set(node.metrics)
    if not wanted & {"roc_auc", "ks", "roc_auc_se"}:
        return {}
    score, bounds = real(table, node.score, schema), feature_ranges((node.score,), schema)[0]
    if "roc_auc_se" not in wanted:
        return dict(zip(("roc_auc", "ks"), ranking.roc(label, score, table.valid, bounds=bounds), strict=True))
    found = ranking.roc_error(label, score, table.valid, bounds=bounds)
    return dict(zip(("roc_auc", "ks", "roc_auc_se"), found, strict=True))


def _compared(node: Metric, label: jax.Array, table: Table, schema: Schema) -> dict[str, jax.Array]:
    if not node.other:
        return {}
    one, other = (real(table, name, schema) for name in (node.score, node.other))
    bounds = feature_ranges((node.score, node.other), schema)
    found = gap.roc_gap(label, one, other, table.valid, bounds=(bounds[0], bounds[1]))
    return dict(zip(("roc_auc_gap", "roc_auc_gap_se"), found, strict=True))


def _lost(node: Metric, label: jax.Array, table: Table, schema: Schema) -> dict[str, jax.Array]:
    if "log_loss" not in node.metrics:
        return {}
    return {"log_loss": losses.log_loss(label, real(table, node.score, schema), table.valid)}


def _moved(node: Metric, label: jax.Array, table: Table, schema: Schema) -> dict[str, jax.Array]:
    if not set(node.metrics) & {"psi", "psi_least"}:
        return {}
    field = schema.field(node.score)
    assert field is not None
    bands = int(field.dtype.bounds[1]) + 1
    psi, least = losses.stability(label, whole(table, node.score, schema), table.valid, bands=bands)
    return {"psi": psi, "psi_least": least}


_MEASURES = (_ranked, _compared, _lost, _moved)
