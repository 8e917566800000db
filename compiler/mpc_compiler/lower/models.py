"""Models inside a program: from relations to the numeric functions of ``ops`` and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Apply, Fit, Metric, Schema, call, column
from mpc_compiler.ops import logistic, ranking, scaler
from mpc_compiler.ops.scalar import evaluate
from mpc_compiler.ops.table import Column, Table

__all__ = ["apply_model", "feature_ranges", "fit_model", "measure"]

Ranges = tuple[tuple[float, float], ...]


def feature_ranges(features: tuple[str, ...], schema: Schema) -> Ranges:
    """The public range of each feature."""
    ranges = []
    for name in features:
        field = schema.field(name)
        assert field is not None
        lo, hi = field.dtype.limits
        ranges.append((float(lo), float(hi)))
    return tuple(ranges)


def _matrix(table: Table, features: tuple[str, ...], schema: Schema) -> jax.Array:
    return jnp.stack([_float(table, name, schema) for name in features], axis=1)


def _float(table: Table, name: str, schema: Schema) -> jax.Array:
    return evaluate(call("float", column(name)), table, schema).value


def _label(table: Table, name: str, schema: Schema) -> jax.Array:
    return evaluate(call("int", column(name)), table, schema).value


def fit_model(node: Fit, table: Table, schema: Schema, rows: int) -> Table:
    """The fitted model as a table: one row a term."""
    _some_rows(table, node)
    matrix, ranges = _matrix(table, node.features, schema), feature_ranges(node.features, schema)
    if node.kind == "standard_scaler":
        mean, scale, inverse = scaler.fit(matrix, ranges=ranges, rows=rows, valid=table.valid)
        return Table({"mean": Column(mean), "scale": Column(scale), "inverse": Column(inverse)}, None, None)
    assert node.target is not None
    target = _label(table, node.target, schema)
    model = logistic.fit(matrix, target, table.valid, ranges=ranges, rows=rows)
    terms = len(node.features) + 1

    def repeated(value: jax.Array) -> Column:
        return Column(jnp.broadcast_to(value, (terms,)))

    columns = {name: Column(model[name]) for name in ("coef", "bse")}
    columns |= {name: repeated(model[name]) for name in ("loglik", "loglik_null", "nobs", "converged")}
    return Table(columns, None, None)


def apply_model(node: Apply, table: Table, model: Table, schema: Schema) -> Table:
    """The table with the columns that the model makes."""
    matrix, ranges = _matrix(table, node.features, schema), feature_ranges(node.features, schema)
    if node.kind == "standard_scaler":
        scaled = scaler.transform(matrix, model.columns["mean"].value, model.columns["inverse"].value, ranges=ranges)
        made = {name: Column(scaled[:, j]) for j, name in enumerate(node.outputs)}
    else:
        made = {node.outputs[0]: Column(logistic.predict(matrix, model.columns["coef"].value, ranges=ranges))}
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
    label = _label(table, node.label, schema)
    score = _float(table, node.score, schema)
    auc, ks = ranking.roc(label, score, table.valid, bounds=feature_ranges((node.score,), schema)[0])
    found = {"roc_auc": auc, "ks": ks}
    return Table({name: Column(jnp.reshape(found[name], (1,))) for name in node.metrics}, None, None)
