"""Generalised linear models inside a program: from relations to the numeric functions of ``ops`` and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Apply, Fit, Schema, call, column
from mpc_compiler.ops import glm, numeric, scaler
from mpc_compiler.ops.design import Design, Moments, secret_columns
from mpc_compiler.ops.families import Family, family_of
from mpc_compiler.ops.logistic import nothing
from mpc_compiler.ops.owned import owned_matmul
from mpc_compiler.ops.scalar import evaluate
from mpc_compiler.ops.sigmoid import sigmoid
from mpc_compiler.ops.table import Column, Table

__all__ = [
    "Held",
    "design_of",
    "design_units",
    "family_and_unit",
    "feature_ranges",
    "glm_column",
    "glm_table",
    "matrix_of",
    "real",
    "runs",
    "split_features",
    "target_unit",
    "whole",
]

Ranges = tuple[tuple[float, float], ...]
Held = Callable[[str, str], jax.Array]
"""(block id, ``"__matrix"``, ``"__mean"`` or ``"__inverse"``) -> what its owner keeps or shares of a block."""
_PER_TERM = ("coef", "bse")
_SCALARS = ("loglik", "loglik_null", "pearson", "saturated", "total", "weight", "nobs", "converged")


def feature_ranges(features: Sequence[str], schema: Schema) -> Ranges:
    """The public range of each feature."""
    ranges = []
    for name in features:
        field = schema.field(name)
        assert field is not None
        lo, hi = field.dtype.limits
        ranges.append((float(lo), float(hi)))
    return tuple(ranges)


def family_and_unit(node: Fit) -> tuple[Family, float]:
    """The family that a fit names, and the public power of two that scales its target."""
    params, schema = dict(node.params), schema_of(node.input)
    family = family_of(str(params["family"]), float(params.get("power", 1.5)))
    family = replace(family, newton=int(params.get("hessians", family.newton)))
    field = schema.field(node.target or "")
    assert field is not None
    lo, hi = field.dtype.limits
    return family, target_unit(family, (float(lo), float(hi)))


def target_unit(family: Family, bounds: tuple[float, float]) -> float:
    """Public power of two that scales a target to at most 4 in magnitude; 1 for a binary one.

    Examples
    --------
    >>> target_unit(family_of("poisson"), (0, 30)), target_unit(family_of("binomial"), (0, 1))
    (0.125, 1.0)
    """
    largest = max(abs(bounds[0]), abs(bounds[1]))
    if family.name == "binomial" or not largest:
        return 1.0
    return 2.0 ** (2 - numeric.power_of_two_above(largest))


def split_features(node: Fit | Apply) -> tuple[list[str], list[int]]:
    """Features that are shared, and where each feature of the node stands among owned and then shared ones."""
    owned = [name for block in node.blocks for name in block.features]
    shared = [name for name in node.features if name not in set(owned)]
    place = {name: at for at, name in enumerate([*owned, *shared])}
    return shared, [place[name] for name in node.features]


def matrix_of(table: Table, features: Sequence[str], schema: Schema) -> jax.Array:
    """Columns side by side, float64 [n, p]."""
    return jnp.stack([real(table, name, schema) for name in features], axis=1)


def real(table: Table, name: str, schema: Schema) -> jax.Array:
    """A column as float64, whatever its type holds."""
    return evaluate(call("float", column(name)), table, schema).value


def whole(table: Table, name: str, schema: Schema) -> jax.Array:
    """A column of whole numbers as int64."""
    return evaluate(call("int", column(name)), table, schema).value


def design_of(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> tuple[Design, list[int]]:
    """The columns of a model, owned ones first, and where each feature of the node stands among them."""
    shared, order = split_features(node)
    means = [held(block.id, "__mean") for block in node.blocks]
    inverses = [held(block.id, "__inverse") for block in node.blocks]
    owned = tuple(held(block.id, "__matrix") for block in node.blocks)
    secret, varies = None, None
    if shared:
        ranges = feature_ranges(shared, schema)
        secret, moments = secret_columns(matrix_of(table, shared, schema), ranges=ranges, rows=rows, valid=table.valid)
        means, inverses, varies = [*means, moments.mean], [*inverses, moments.inverse], moments.varies
    found = Moments(jnp.concatenate(means), jnp.concatenate(inverses), varies)
    return Design(owned, secret, found, table.rows), order


def glm_table(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> Table:
    """The fitted model: one row a term, the intercept first, then the node's features."""
    family, unit = family_and_unit(node)
    assert node.target is not None
    target = real(table, node.target, schema) * unit
    if table.rows == 0:
        return _as_table(nothing(len(node.features)), list(range(len(node.features))))
    design, order = design_of(node, table, schema, rows, held)
    roles = {role: real(table, name, schema) for role, name in node.roles}
    alpha = float(dict(node.params).get("alpha", 0.0))
    penalty = _penalty(node, schema, design, alpha) if alpha else None
    if dict(node.params).get("constant") == "zero":
        design, penalty = _constants_to_zero(design, penalty, rows)
    model = glm.fit(
        design,
        target,
        table.valid,
        family=family,
        rows=rows,
        weights=roles.get("weight"),
        offset=roles.get("offset"),
        penalty=penalty,
        unbiased=bool(dict(node.params).get("firth")),
    )
    return _as_table(model, order)


def _constants_to_zero(design: Design, penalty: jax.Array | None, rows: int) -> tuple[Design, jax.Array | None]:
    """A design whose shared columns all count as varying, and a penalty that keeps coefficients of others at 0.

    Such a column is 0 throughout once it is standardised: nothing but the penalty is on its diagonal of the Hessian.
    """
    varies = design.moments.varies
    if varies is None:
        return design, penalty
    held = jnp.where(varies, 0.0, 2.0 ** (scaler.even_bound(rows) - 2))
    held = jnp.concatenate([jnp.zeros(design.columns - held.shape[0]), held])
    moments = replace(design.moments, varies=None)
    return replace(design, moments=moments), held if penalty is None else penalty + held


def design_units(node: Fit, schema: Schema) -> NDArray[np.float64]:
    """The public unit of each column of :func:`design_of`."""
    shared, _ = split_features(node)
    owned = [bound for block in node.blocks for bound in block.bounds]
    return scaler.units([*owned, *feature_ranges(shared, schema)])


def _penalty(node: Fit, schema: Schema, design: Design, alpha: float) -> jax.Array:
    """What a ridge penalty of coefficients in the users' units is for standardised ones."""
    slope = design.moments.inverse * jnp.asarray(np.minimum(design_units(node, schema), 4.0))
    return slope * slope * alpha


def _as_table(model: dict[str, jax.Array], order: Sequence[int]) -> Table:
    columns = {}
    for name in _PER_TERM:
        value = model[name]
        columns[name] = Column(jnp.concatenate([value[:1], *runs(value[1:], order)]))
    terms = len(order) + 1
    for name in _SCALARS:
        columns[name] = Column(jnp.broadcast_to(model[name], (terms,)))
    return Table(columns, None, None)


def runs(value: jax.Array, order: Sequence[int]) -> list[jax.Array]:
    """``value[order]`` as slices: nothing indexes a secret by an array."""
    parts, start = [], 0
    for at in range(1, len(order) + 1):
        if at == len(order) or order[at] != order[at - 1] + 1:
            parts.append(value[order[start] : order[at - 1] + 1])
            start = at
    return parts


def glm_column(node: Apply, table: Table, model: Table, schema: Schema, held: Held) -> jax.Array:
    """The linear predictor of rows, or their mean."""
    coef = model.columns["coef"].value
    if table.rows == 0:
        return jnp.zeros(0)
    shared, _ = split_features(node)
    place = {name: at + 1 for at, name in enumerate(node.features)}
    total = coef[0]
    if node.blocks:
        beta = jnp.concatenate(runs(coef, [place[name] for block in node.blocks for name in block.features]))
        total = total + owned_matmul([held(block.id, "__matrix") for block in node.blocks], beta[:, None])[:, 0]
    if shared:
        beta = jnp.concatenate(runs(coef, [place[name] for name in shared]))
        x = scaler.prescale(matrix_of(table, shared, schema), feature_ranges(shared, schema))
        total = total + beta @ x
    assert isinstance(node.model, Fit)
    family, unit = family_and_unit(node.model)
    if family.name == "binomial":
        return total if node.method == "decision_function" else sigmoid(total)
    if family.log_link:
        return (
            total - math.log(unit)
            if node.method == "decision_function"
            else jnp.exp(jnp.clip(total, -12.0, 6.0)) * (1 / unit)
        )
    return total * (1 / unit)
