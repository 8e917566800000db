"""K-means inside a program: from relations to the functions of ``ops`` and back."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Apply, Fit, Schema
from mpc_compiler.lower.glm import Ranges, feature_ranges, matrix_of
from mpc_compiler.ops import kmeans, numeric, scaler
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.table import Column, Table

__all__ = ["kmeans_columns", "kmeans_table", "middles"]

_MOST = 24
"""A squared distance is brought to magnitudes below ``2**_MOST`` before its square root."""


def middles(ranges: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The middle of each column's public range, in its unit.

    >>> middles([(0, 100), (-1, 1)])
    array([1.5625, 0.    ])
    """
    return np.array([(low + high) / 2 for low, high in ranges]) * scaler.units(ranges)


def _rows(table: Table, features: Sequence[str], schema: Schema, ranges: Ranges) -> kmeans.Rows:
    """Columns in their units, less the middles of their ranges."""
    units = scaler.units(ranges)
    x = scaler.prescale(matrix_of(table, features, schema), ranges) - middles(ranges)[:, None]
    reach = sum(((high - low) * units.min()) ** 2 for low, high in ranges)
    whole, part = encode_fixed(x), units.min() / units
    return kmeans.Rows(whole, part, kmeans.in_common(whole, part), table.valid, reach)


def kmeans_table(node: Fit, table: Table, schema: Schema, rows: int) -> Table:
    """The centres: one row a cluster."""
    params, ranges = dict(node.params), feature_ranges(node.features, schema)
    centres, inertia = kmeans.fit(
        _rows(table, node.features, schema, ranges),
        clusters=int(params["clusters"]),
        steps=int(params["steps"]),
        restarts=int(params["restarts"]),
        bound=rows,
        seed=int(params["seed"]),
        start=_start(str(params.get("start", "")), ranges),
    )
    found = decode_fixed(centres)
    columns = {f"c{at}": Column(found[:, at]) for at in range(len(node.features))}
    return Table(columns | {"inertia": Column(jnp.broadcast_to(inertia, found.shape[:1]))}, None, None)


def _start(text: str, ranges: Ranges) -> NDArray[np.int64] | None:
    """Public centres as whole numbers, from the text that a plan keeps them as: ``"1.0,2.0;3.0,4.0"``."""
    if not text:
        return None
    given = np.array([[float(value) for value in row.split(",")] for row in text.split(";")])
    whole = np.rint((given * scaler.units(ranges) - middles(ranges)) * 2.0**numeric.FRACTION)
    return np.asarray(whole, np.int64)


def kmeans_columns(node: Apply, table: Table, model: Table, schema: Schema) -> dict[str, Column]:
    """The number of the nearest centre, or the distance to each."""
    if table.rows == 0:
        kind = jnp.int64 if node.method == "predict" else jnp.float64
        return {name: Column(jnp.zeros(0, kind)) for name in node.outputs}
    assert isinstance(node.model, Fit)
    ranges = feature_ranges(node.model.features, schema_of(node.model.input))
    rows = _rows(table, node.features, schema, ranges)
    names = [f"c{at}" for at in range(len(node.features))]
    centres = encode_fixed(jnp.stack([model.columns[name].value for name in names], axis=1))
    if node.method == "predict":
        marks, _ = kmeans.nearest(rows._replace(valid=None), centres[None])
        label = jnp.sum(marks[:, 0].astype(jnp.int64) * np.arange(len(centres))[:, None], axis=0)
        return {node.outputs[0]: Column(label)}
    far = kmeans.to_centres(rows, centres) + kmeans.squares(rows.near)
    distance = _roots(far, rows.reach) * (1 / scaler.units(ranges).min())
    return {name: Column(distance[at]) for at, name in enumerate(node.outputs)}


def _roots(far: jax.Array, reach: float) -> jax.Array:
    """Square roots of whole numbers of ``2**-36`` that are at most `reach`."""
    gain = (_MOST - numeric.power_of_two_above(max(reach, 2.0**-12))) // 2
    gain = min(gain, numeric.FRACTION // 2)
    value = decode_fixed(far) * 2.0 ** (2 * gain - numeric.FRACTION)
    return numeric.sqrt(value) * 2.0**-gain
