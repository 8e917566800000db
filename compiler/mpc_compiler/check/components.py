"""What principal components and clusters look like as relations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc_compiler.check.model_inputs import WIDE, Estimator, features
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Apply, DType, Field, Fit, Metric, Schema

__all__ = ["COMPONENTS"]


def _fit(node: Fit | Metric, below: Schema) -> Fit:
    """The node, if it is a fit of columns that are there and of the right kind."""
    if not isinstance(node, Fit):
        raise SchemaError("not columns", code="MPC-0301", node=node)
    features(node, below)
    return node


def _count(fit: Fit, what: str, given: str, most: int) -> int:
    """How many components or clusters are wanted, if the columns and rows that are given have so many."""
    count = int(dict(fit.params)[what])
    if not 1 <= count <= most:
        raise SchemaError(
            f"{count} {what} of {given}", code="MPC-0120", hint=f"n_{what} is between 1 and {most}", node=fit
        )
    return count


def _pca_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    """A row a feature: its mean, and its part of each component; what belongs to a component is in the first rows."""
    from mpc_compiler.check.infer import rows_of

    fit = _fit(node, below)
    columns, rows = len(fit.features), rows_of(fit.input)
    count = _count(fit, "components", f"{columns} columns and at most {rows} rows", min(columns, rows))
    wide = DType("float", lo=-WIDE, hi=WIDE)
    names = ("mean", "variance", "total", "root", *(f"v{at}" for at in range(count)))
    return [*(Field(name, wide) for name in names), Field("nobs", DType("int", lo=0, hi=1 << 40))]


def _components(node: Apply, below: Schema) -> Sequence[Field]:
    """Distances from the mean along unit vectors; whitened ones as far from 0 as standardised values may be."""
    from mpc_compiler.check.infer import rows_of

    features(node, below)
    if node.method == "whiten":
        bound = 2.0 * math.ceil(math.sqrt(max(rows_of(node.input), 1)))
    elif node.method == "transform":
        bound = _widest(node, below)
    else:
        raise UnsupportedError(f"components have no {node.method!r}", code="MPC-0301", node=node)
    return [Field(name, DType("float", lo=-bound, hi=bound)) for name in node.outputs]


def _widest(node: Apply, below: Schema) -> float:
    """The longest distance between two rows whose columns are within their public ranges."""
    kept = {name: bounds for block in node.blocks for name, bounds in zip(block.features, block.bounds, strict=True)}
    total = 0.0
    for name in node.features:
        field = below.field(name)
        lo, hi = kept[name] if name in kept or field is None else field.dtype.limits
        total += (float(hi) - float(lo)) ** 2
    return math.sqrt(total)


def _clusters_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    """A row a cluster: its centre, in public units."""
    from mpc_compiler.check.infer import rows_of

    fit = _fit(node, below)
    rows = rows_of(fit.input)
    _count(fit, "clusters", f"at most {rows} rows", rows)
    wide = DType("float", lo=-WIDE, hi=WIDE)
    return [
        *(Field(f"c{at}", wide) for at in range(len(fit.features))),
        Field("inertia", DType("float", lo=0.0, hi=2.0**40)),
    ]


def _clusters(node: Apply, below: Schema) -> Sequence[Field]:
    features(node, below)
    if node.method == "predict":
        assert isinstance(node.model, Fit)
        most = int(dict(node.model.params)["clusters"]) - 1
        return [Field(name, DType("int", lo=0, hi=most)) for name in node.outputs]
    if node.method == "transform":
        return [Field(name, DType("float", lo=0.0, hi=_widest(node, below))) for name in node.outputs]
    raise UnsupportedError(f"clusters have no {node.method!r}", code="MPC-0301", node=node)


COMPONENTS: dict[str, Estimator] = {
    "pca": Estimator(_pca_model, _components, lambda node: len(node.features)),
    "kmeans": Estimator(_clusters_model, _clusters, lambda node: int(dict(node.params)["clusters"])),
}
"""Estimators by name."""
