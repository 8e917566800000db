"""What a selection of features, and the collinearity of columns, look like as relations."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.check.model_inputs import WIDE, Estimator, amount, binary, features, roles
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Apply, DType, Field, Fit, Metric, Schema

__all__ = ["SELECTION"]


def _select_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit) or node.target is None:
        raise SchemaError("a selection needs a target", code="MPC-0113", node=node)
    features(node, below)
    if dict(node.params).get("family") == "binomial":
        binary(node.target, below, node)
    else:
        amount(node.target, below, node, least=None)
    roles(node, below)
    wide, flag = DType("float", lo=-WIDE, hi=WIDE), DType("bool")
    return [
        *(Field(name, wide) for name in ("coef", "bse", "statistic", "spread")),
        Field("entered", DType("int", lo=0, hi=1 << 16)),
        Field("chosen", flag),
        Field("converged", flag),
    ]


def _collinear_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit):
        raise SchemaError("not columns", code="MPC-0301", node=node)
    features(node, below)
    wide, share = DType("float", lo=-WIDE, hi=WIDE), DType("float", lo=-2.0, hi=2.0)
    return [
        Field("vif", wide),
        Field("sound", DType("bool")),
        *(Field(f"r{at}", share) for at in range(len(node.features))),
    ]


def _nothing(node: Apply, below: Schema) -> Sequence[Field]:
    raise UnsupportedError(f"{node.kind} cannot be applied", code="MPC-0301", node=node)


SELECTION: dict[str, Estimator] = {
    "select": Estimator(_select_model, _nothing, lambda node: len(node.features) + 1),
    "collinear": Estimator(_collinear_model, _nothing, lambda node: len(node.features)),
}
"""Estimators by name."""
