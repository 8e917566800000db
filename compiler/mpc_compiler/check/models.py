"""What a fitted model, its application and a metric look like as relations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc_compiler.check.components import COMPONENTS
from mpc_compiler.check.model_inputs import WIDE, Estimator, amount, binary, code_size, features, roles
from mpc_compiler.check.selection import SELECTION
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Apply, DType, Field, Fit, Metric, Schema

__all__ = ["FAMILIES", "METRICS", "MODELS"]

METRICS: dict[str, DType] = {
    "roc_auc": DType("float", lo=0.0, hi=1.0),
    "ks": DType("float", lo=0.0, hi=1.0),
    "roc_auc_se": DType("float", lo=0.0, hi=1.0),
    "roc_auc_gap": DType("float", lo=-(2.0**11), hi=2.0**11),
    "roc_auc_gap_se": DType("float", lo=0.0, hi=2.0**12),
    "log_loss": DType("float", lo=0.0, hi=12.0),
    "psi": DType("float", lo=-1.0, hi=32.0),
    "psi_least": DType("int", lo=0, hi=1 << 20),
}
"""Metrics of a score against a 0/1 label, and their types.

``psi``: of codes of bands in sample 0 and sample 1. ``roc_auc_gap``: of two scores, times ``2**11``.
"""
_COMPARISONS = ("roc_auc_gap", "roc_auc_gap_se")


FAMILIES = ("binomial", "gaussian", "poisson", "gamma", "tweedie")
"""Families of the estimator ``glm``."""


def _glm_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit) or node.target is None:
        raise SchemaError("a regression needs a target", code="MPC-0113", node=node)
    features(node, below)
    family = dict(node.params).get("family")
    if family == "binomial":
        binary(node.target, below, node)
    elif family in FAMILIES:
        amount(node.target, below, node, least=None if family == "gaussian" else 0.0)
    else:
        raise UnsupportedError(f"no family {family!r}", code="MPC-0301", hint=", ".join(FAMILIES), node=node)
    _unbiased(node)
    _hessians(node)
    roles(node, below)
    wide = DType("float", lo=-WIDE, hi=WIDE)
    names = ("coef", "bse", "loglik", "loglik_null", "pearson", "saturated", "total", "weight")
    columns = dict.fromkeys(names, wide)
    columns["nobs"] = DType("int", lo=0, hi=1 << 40)
    return [*(Field(name, dtype) for name, dtype in columns.items()), Field("converged", DType("bool"))]


HESSIANS_MAX = 20
"""Most fresh Hessians of a fit."""


def _unbiased(node: Fit) -> None:
    params = dict(node.params)
    if params.get("firth") and (params.get("family") != "binomial" or params.get("alpha")):
        raise UnsupportedError(
            "Firth's penalty is of a logistic regression without a ridge", code="MPC-0301", hint="alpha=0", node=node
        )


def _hessians(node: Fit) -> None:
    params = dict(node.params)
    count = params.get("hessians")
    if count is None:
        return
    if params.get("family") != "binomial" or params.get("firth"):
        raise UnsupportedError(
            "max_iter is of a logistic regression without Firth's penalty", code="MPC-0301", node=node,
            hint="leave out max_iter",
        )  # fmt: skip
    if count not in range(1, HESSIANS_MAX + 1):
        raise SchemaError(f"max_iter must be from 1 to {HESSIANS_MAX}, not {count}", code="MPC-0120", node=node)


def _glm_applied(node: Apply, below: Schema) -> Sequence[Field]:
    features(node, below)
    binomial = isinstance(node.model, Fit) and dict(node.model.params).get("family") == "binomial"
    if node.method == "predict_proba" and binomial:
        return [Field(node.outputs[0], DType("float", lo=0.0, hi=1.0))]
    if node.method in ("predict", "decision_function"):
        return [Field(node.outputs[0], DType("float", lo=-WIDE, hi=WIDE))]
    raise UnsupportedError(f"this regression has no {node.method!r}", code="MPC-0301", node=node)


def _woe_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit) or node.target is None:
        raise SchemaError("weight of evidence needs a target", code="MPC-0113", node=node)
    binary(node.target, below, node)
    whole, most = DType("int", lo=0, hi=1 << 40), DType("float", lo=-32.0, hi=32.0)
    names = {"feature": DType("int", lo=0, hi=len(node.features)), "bin": DType("int", lo=0, hi=1 << 10)}
    columns = names | {"count": whole, "event": whole, "woe": most, "iv": most, "ends": DType("bool")}
    return [Field(name, dtype) for name, dtype in columns.items()]


def _looked_up(node: Apply, below: Schema) -> Sequence[Field]:
    """The value of each feature's bin, from the model's column that ``method`` names."""
    from mpc_compiler.check.infer import schema_of

    field = schema_of(node.model).field(node.method)
    if field is None or field.dtype.kind not in ("int", "float"):
        raise SchemaError(f"the model has no values {node.method!r}", code="MPC-0102", node=node)
    return [Field(name, field.dtype) for name in node.outputs]


def _woe_rows(node: Fit) -> int:
    """One row a bin; the bins of a feature are one more than its largest code."""
    sizes = dict(node.params).get("sizes", "")
    return sum(int(size) for size in str(sizes).split(",") if size)


def _trees_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit) or node.target is None:
        raise SchemaError("boosted trees need a target", code="MPC-0113", node=node)
    params = dict(node.params)
    kept = {name for block in node.blocks for name in block.features}
    for name in node.features:
        if name not in kept and code_size(name, below, node) > int(params["bins"]):
            raise SchemaError(f"{name!r} has more codes than {params['bins']} bins", code="MPC-0111", node=node)
    if params["logistic"]:
        binary(node.target, below, node)
    else:
        amount(node.target, below, node, least=None)
    return [Field("left", DType("int", lo=0, hi=1)), Field("value", DType("float", lo=-WIDE, hi=WIDE))]


def _trees_rows(node: Fit) -> int:
    """Flags of all bins at all nodes of all trees; leaves, gains and losses are fewer."""
    params = dict(node.params)
    trees, depth = int(params["trees"]), int(params["depth"])
    flags = trees * (2**depth - 1) * len(node.features) * int(params["bins"])
    return int(max(flags, trees * (2**depth + 1) + len(node.features) + 1))


def _trees_applied(node: Apply, below: Schema) -> Sequence[Field]:
    binary = isinstance(node.model, Fit) and bool(dict(node.model.params)["logistic"])
    if node.method == "predict_proba" and binary:
        return [Field(node.outputs[0], DType("float", lo=0.0, hi=1.0))]
    if node.method in ("predict", "decision_function"):
        return [Field(node.outputs[0], DType("float", lo=-WIDE, hi=WIDE))]
    raise UnsupportedError(f"these trees have no {node.method!r}", code="MPC-0301", node=node)


def _parts(node: Apply, below: Schema) -> Sequence[Field]:
    """What each bin adds to the linear predictor."""
    return [Field(node.outputs[0], DType("float", lo=-WIDE / 1024, hi=WIDE / 1024))]


def _scaler_model(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Fit):
        raise SchemaError("not a scaler", code="MPC-0301", node=node)
    features(node, below)
    wide = DType("float", lo=-WIDE, hi=WIDE)
    return [Field("mean", wide), Field("scale", wide), Field("inverse", wide)]


def _scaled(node: Apply, below: Schema) -> Sequence[Field]:
    """A standardised value of n rows lies within sqrt(n) of 0 (Samuelson 1968); new rows are held to twice that."""
    from mpc_compiler.check.infer import rows_of

    features(node, below)
    bound = 2.0 * math.ceil(math.sqrt(max(rows_of(node.input), 1)))
    return [Field(name, DType("float", lo=-bound, hi=bound)) for name in node.outputs]


def _metric(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    if not isinstance(node, Metric):
        raise SchemaError("not a metric", code="MPC-0301", node=node)
    for name in node.metrics:
        if name not in METRICS:
            raise UnsupportedError(f"unknown metric {name!r}", code="MPC-0301", hint=", ".join(METRICS), node=node)
    binary(node.label, below, node)
    if bool(node.other) != bool(set(node.metrics) & set(_COMPARISONS)):
        raise SchemaError("a comparison takes two scores, any other metric one", code="MPC-0301", node=node)
    score = _score(node.score, below, node)
    if node.other:
        _score(node.other, below, node)
    if "log_loss" in node.metrics and not 0 <= score.dtype.limits[0] <= score.dtype.limits[1] <= 1:
        lo, hi = score.dtype.limits
        raise SchemaError(
            f"log loss takes probabilities, and {node.score!r} may be {lo:g} to {hi:g}",
            code="MPC-0113",
            hint="predict_proba(X), or clip(0, 1)",
            node=node,
        )
    if "psi" in node.metrics:
        code_size(node.score, below, node)
    return [Field(name, METRICS[name]) for name in node.metrics]


def _score(name: str, below: Schema, node: Metric) -> Field:
    field = below.field(name)
    if field is None or not field.dtype.numeric or field.dtype.nullable:
        raise SchemaError(f"score {name!r} must be a number without missing values", code="MPC-0111", node=node)
    return field


def _nothing_to_fit(node: Fit | Metric, below: Schema) -> Sequence[Field]:
    raise UnsupportedError("a score card is made of two models", code="MPC-0301", node=node)


def _nothing(node: Apply, below: Schema) -> Sequence[Field]:
    raise UnsupportedError("a metric cannot be applied", code="MPC-0301", node=node)


MODELS: dict[str, Estimator] = {
    "glm": Estimator(_glm_model, _glm_applied, lambda node: len(node.features) + 1),
    "standard_scaler": Estimator(_scaler_model, _scaled, lambda node: len(node.features)),
    "woe": Estimator(_woe_model, _looked_up, _woe_rows),
    "gbdt": Estimator(_trees_model, _trees_applied, _trees_rows),
    "scorecard": Estimator(_nothing_to_fit, _parts, lambda node: 0),
    **SELECTION,
    **COMPONENTS,
    "metric": Estimator(_metric, _nothing, lambda node: 1),
}
"""Every estimator by name."""
