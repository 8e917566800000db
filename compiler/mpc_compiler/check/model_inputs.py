"""What estimators ask of the columns that they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Apply, Field, Fit, Metric, Schema

__all__ = ["WEIGHT_MAX", "WIDE", "Estimator", "amount", "binary", "code_size", "features", "roles"]

WIDE = 1048576.0
"""Range of what models make."""
WEIGHT_MAX = 16
"""Largest sample weight."""
_OFFSET = 12


class Estimator(msgspec.Struct, frozen=True):
    """The relational shape of an estimator.

    Attributes
    ----------
    model : callable
        (Fit or Metric, input schema) -> columns of the model relation; raises SchemaError.
    apply : callable
        (Apply, input schema) -> columns that applying it makes.
    rows : callable
        Fit -> number of rows of the model relation.
    """

    model: Callable[[Fit | Metric, Schema], Sequence[Field]]
    apply: Callable[[Apply, Schema], Sequence[Field]]
    rows: Callable[[Fit], int]


def features(node: Fit | Apply, below: Schema) -> None:
    """Check the features of a model: numbers without missing values."""
    if not node.features:
        raise SchemaError("a model needs at least one feature", code="MPC-0110", node=node)
    kept = {name for block in node.blocks for name in block.features}  # checked before they were taken out of it
    for name in node.features:
        if name in kept:
            continue
        field = below.field(name)
        if field is None:
            raise SchemaError(f"no feature column {name!r}", code="MPC-0102", node=node)
        if not field.dtype.numeric:
            raise SchemaError(
                f"feature {name!r} is {field.dtype.kind}, not a number",
                code="MPC-0111",
                hint="one-hot it: df.assign(is_x=lambda t: (t.c == 'x').astype(int))",
                node=node,
            )
        if field.dtype.nullable:
            raise SchemaError(
                f"feature {name!r} has missing values",
                code="MPC-0112",
                hint="fillna(...) or filter with notna()",
                node=node,
            )
        _ = field.dtype.bounds


def binary(name: str, below: Schema, node: Fit | Metric) -> None:
    """Check a target of 0 and 1."""
    field = below.field(name)
    if field is None:
        raise SchemaError(f"no target column {name!r}", code="MPC-0102", node=node)
    if field.dtype.nullable:
        raise SchemaError(f"target {name!r} has missing values", code="MPC-0112", hint="filter with notna()", node=node)
    if not field.dtype.numeric or field.dtype.limits[0] < 0 or field.dtype.limits[1] > 1:
        raise SchemaError(
            f"target {name!r} must be 0 or 1", code="MPC-0113", hint="(df.c == 'bad').astype(int)", node=node
        )


def amount(
    name: str, below: Schema, node: Fit, *, least: float | None, most: float | None = None, what: str = "target"
) -> None:
    """Check a column of numbers between limits, without missing values."""
    field = below.field(name)
    if field is None:
        raise SchemaError(f"no {what} column {name!r}", code="MPC-0102", node=node)
    if field.dtype.nullable or not field.dtype.numeric:
        hint = "filter with notna()" if field.dtype.nullable else "a numeric column"
        raise SchemaError(
            f"{what} {name!r} must be a number without missing values", code="MPC-0112", hint=hint, node=node
        )
    lo, hi = field.dtype.limits
    if (least is not None and lo < least) or (most is not None and hi > most):
        limit = f"between {least:g} and {most:g}" if most is not None else f"at least {least:g}"
        raise SchemaError(
            f"{what} {name!r} may be {lo:g} to {hi:g}, and must be {limit}",
            code="MPC-0113",
            hint="declare a tighter range, or scale the column",
            node=node,
        )


def code_size(name: str, below: Schema, node: Fit | Apply | Metric) -> int:
    """How many values a column of codes may have."""
    field = below.field(name)
    if field is None:
        raise SchemaError(f"no feature column {name!r}", code="MPC-0102", node=node)
    if field.dtype.kind not in ("int", "bool") or field.dtype.nullable or field.dtype.bounds[0] < 0:
        raise SchemaError(f"{name!r} is no column of codes", code="MPC-0111", hint="whole numbers from 0", node=node)
    return int(field.dtype.bounds[1]) + 1


def roles(node: Fit, below: Schema) -> None:
    """Check weights and offset of a regression."""
    for role, name in node.roles:
        most = WEIGHT_MAX if role == "weight" else _OFFSET
        amount(name, below, node, least=0.0 if role == "weight" else -most, most=most, what=role)
