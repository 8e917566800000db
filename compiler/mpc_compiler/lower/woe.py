"""Weight of evidence and score cards inside a program: from columns of codes to the functions of ``ops`` and back.

A model of bins has one row a bin: for each feature in order its ordered bins, then those that stand apart (missing and
special values).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ir import Apply, Block, Fit, walk
from mpc_compiler.lower.glm import Held
from mpc_compiler.ops import woe
from mpc_compiler.ops.owned import owned_matmul, owned_rmatmul
from mpc_compiler.ops.primitives import one_hot, ring_matmul
from mpc_compiler.ops.table import Column, Table

__all__ = ["looked_up", "score_parts", "woe_table"]


def _numbers(fit: Fit, name: str) -> list[int]:
    return [int(value) for value in str(dict(fit.params)[name]).split(",")]


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


def woe_table(node: Fit, table: Table, target: jax.Array, rows: int, held: Held) -> Table:
    """One row a bin: its counts, weight of evidence and part of the information value."""
    sizes, ordered = _numbers(node, "sizes"), _numbers(node, "ordered")
    counts, events = _totals(node, table, target, sizes, held)
    params = dict(node.params)
    least = {name: int(params.get(name, 0)) for name in ("min_count", "min_event", "min_nonevent")}
    rule = woe.Rule(str(params.get("trend", "none")), **least)
    everything = jnp.sum(events[: sizes[0]]), jnp.sum(counts[: sizes[0]])
    found = _merged(counts, events, sizes, ordered, everything, rule, rows=rows)
    where = [(feature, number) for feature, size in enumerate(sizes) for number in range(size)]
    features, bins = (jnp.asarray([pair[at] for pair in where], jnp.int64) for at in (0, 1))
    columns = {"feature": features, "bin": bins, "count": counts, "event": events, **found}
    return Table({name: Column(value) for name, value in columns.items()}, None, None)


def _totals(
    node: Fit, table: Table, target: jax.Array, sizes: Sequence[int], held: Held
) -> tuple[jax.Array, jax.Array]:
    """Rows, and rows with event, of each bin: int64 [bins] each."""
    valid = jnp.ones(table.rows, jnp.int64) if table.valid is None else table.valid.astype(jnp.int64)
    event = target if table.valid is None else jnp.where(table.valid, target, 0)
    sides = jnp.stack([valid, event], axis=1)
    parts: dict[str, jax.Array] = {}
    if node.blocks:
        whole = owned_rmatmul([held(block.id, "__matrix") for block in node.blocks], sides)
        names = [name for block in node.blocks for name in block.features]
        starts = _starts([sizes[node.features.index(name)] for name in names])
        parts = {name: whole[a:b] for name, a, b in zip(names, starts[:-1], starts[1:], strict=True)}
    for name, size in zip(node.features, sizes, strict=True):
        if name not in parts:
            code = table.columns[name].value.astype(jnp.int64)
            parts[name] = ring_matmul(one_hot(code, size, table.valid), sides)
    found = jnp.concatenate([parts[name] for name in node.features])
    return found[:, 0], found[:, 1]


def _merged(
    counts: jax.Array,
    events: jax.Array,
    sizes: Sequence[int],
    ordered: Sequence[int],
    totals: tuple[jax.Array, jax.Array],
    rule: woe.Rule,
    *,
    rows: int,
) -> dict[str, jax.Array]:
    starts = _starts(sizes)
    most = max(ordered)
    results: dict[str, list[jax.Array]] = {"woe": [], "iv": [], "ends": []}
    chosen = [j for j, count in enumerate(ordered) if count]
    if chosen:
        padded = [_padded(value, starts, ordered, chosen, most) for value in (events, counts)]
        lined = woe.fit(padded[0], padded[1], totals, rule, rows=rows)
    apart = [place for j, (a, b) in enumerate(itertools.pairwise(starts)) for place in range(a + ordered[j], b)]
    if apart:
        picked = [jnp.concatenate([value[at : at + 1] for at in apart])[:, None] for value in (events, counts)]
        alone = woe.fit(picked[0], picked[1], totals, woe.Rule(), rows=rows)
    for j, size in enumerate(sizes):
        if ordered[j]:
            row = chosen.index(j)
            results["woe"].append(lined.woe[row, : ordered[j]])
            results["iv"].append(lined.iv[row, : ordered[j]])
            ends = jnp.concatenate([lined.merged[row], jnp.ones(1, jnp.bool_)])[: ordered[j]]
            results["ends"].append(ends)
        for number in range(ordered[j], size):
            at = apart.index(starts[j] + number)
            results["woe"].append(alone.woe[at])
            results["iv"].append(alone.iv[at])
            results["ends"].append(jnp.ones(1, jnp.bool_))
    return {name: jnp.concatenate(parts) for name, parts in results.items()}


def _padded(
    value: jax.Array, starts: Sequence[int], ordered: Sequence[int], chosen: Sequence[int], most: int
) -> jax.Array:
    """Ordered bins of the chosen features as rows of one length; what is missing holds nothing."""
    rows = []
    for j in chosen:
        row = value[starts[j] : starts[j] + ordered[j]]
        rows.append(row if ordered[j] == most else jnp.concatenate([row, jnp.zeros(most - ordered[j], value.dtype)]))
    return jnp.stack(rows)


def looked_up(node: Apply, table: Table, model: Table, held: Held) -> dict[str, Column]:
    """The value of the bin of each row, one column a feature."""
    fit = _woe_fit(node)
    sizes, value = _numbers(fit, "sizes"), model.columns[node.method].value
    starts = _starts(sizes)
    by_feature = {name: value[starts[j] : starts[j + 1]] for j, name in enumerate(node.features)}
    outputs = dict(zip(node.features, node.outputs, strict=True))
    made: dict[str, jax.Array] = {}
    for block in node.blocks:
        found = owned_matmul([held(block.id, "__matrix")], _spread(block, by_feature))
        made |= {name: found[:, at] for at, name in enumerate(block.features)}
    for j, name in enumerate(node.features):
        if name not in made:
            hot = one_hot(table.columns[name].value.astype(jnp.int64), sizes[j], table.valid)
            made[name] = jnp.sum(hot.astype(value.dtype) * by_feature[name][:, None], axis=0)
    return {outputs[name]: Column(made[name]) for name in node.features}


def _spread(block: Block, values: dict[str, jax.Array]) -> jax.Array:
    """Values of the bins of each feature in a column of its own, 0 elsewhere: [bins, features]."""
    columns = []
    for name in block.features:
        parts = [values[other] if other == name else jnp.zeros_like(values[other]) for other in block.features]
        columns.append(jnp.concatenate(parts))
    return jnp.stack(columns, axis=1)


def score_parts(node: Apply, table: Table, model: Table) -> Column:
    """What each bin adds to the linear predictor: coefficient times WOE, and an even part of the intercept."""
    fit = _woe_fit(node)
    sizes, coef = _numbers(fit, "sizes"), model.columns["coef"].value
    starts = _starts(sizes)
    values = table.columns[node.features[0]].value
    units = _units(node)
    parts = [
        values[starts[j] : starts[j + 1]] * (coef[j + 1] * units[j]) + coef[0] * (1.0 / len(sizes))
        for j in range(len(sizes))
    ]
    return Column(jnp.concatenate(parts))


def _units(node: Apply) -> list[float]:
    """Public units of the regression's features, which its coefficients are for."""
    from mpc_compiler.check import schema_of
    from mpc_compiler.lower.glm import feature_ranges
    from mpc_compiler.ops.scaler import units

    assert isinstance(node.model, Fit)
    ranges = feature_ranges(node.model.features, schema_of(node.model.input))
    return [float(unit) for unit in units(ranges)]


def _woe_fit(node: Apply) -> Fit:
    for rel in walk(node.model, node.input):
        if isinstance(rel, Fit) and rel.kind == "woe":
            return rel
    raise TypeError("no fitted bins")
