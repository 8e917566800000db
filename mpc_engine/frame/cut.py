"""Intervals between public edges, as a chain of choices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import Expr, call, literal
from mpc_engine.frame.constants import constant, exact_constant, plain

__all__ = ["cut_expression"]


def cut_expression(
    expr: Expr,
    bins: Sequence[float],
    labels: Sequence[Any] | bool | None,
    *,
    right: bool,
    include_lowest: bool,
    exact: bool = False,
) -> Expr:
    """The label of the interval that ``expr`` lies in; see :meth:`mpc_engine.frame.series.Series.cut`.

    Raises
    ------
    UnsupportedError
        When ``bins`` is a number of bins: their edges would depend on private data.
    SchemaError
        When the edges do not ascend, or there are not as many labels as intervals.
    """
    edges, edge = _edges(bins), exact_constant if exact else constant
    result: Expr = literal(None)
    for upper, label in zip(reversed(edges[1:]), reversed(_labels(edges, labels, right=right)), strict=True):
        inside = call("le" if right else "lt", expr, edge(upper)) if upper < math.inf else call("notna", expr)
        result = call("where", inside, constant(label), result)
    if edges[0] == -math.inf:
        return result
    below = call("lt" if include_lowest or not right else "le", expr, edge(edges[0]))
    return call("where", below, literal(None), result)


def _edges(bins: Sequence[float]) -> list[float]:
    if isinstance(bins, int | float | str):
        raise UnsupportedError(
            "cut needs the edges of its bins",
            code="MPC-0301",
            hint="cut([0, 10, 20]); their number alone is not public",
        )
    edges = [plain(edge) for edge in bins]
    if len(edges) < 2 or any(isinstance(e, bool) or not isinstance(e, int | float) for e in edges):
        raise SchemaError("cut needs two or more numbers as edges", code="MPC-0105", hint="cut([0, 10, 20])")
    if not all(low < high for low, high in itertools.pairwise(edges)):
        raise SchemaError("the edges of cut must ascend", code="MPC-0105", hint="cut([0, 10, 20])")
    return edges


def _labels(edges: Sequence[float], labels: Sequence[Any] | bool | None, *, right: bool) -> list[Any]:
    count = len(edges) - 1
    if labels is None or labels is True:
        opening, closing = ("(", "]") if right else ("[", ")")
        return [f"{opening}{low}, {high}{closing}" for low, high in itertools.pairwise(edges)]
    if labels is False:
        return list(range(count))
    if len(labels) != count:
        raise SchemaError(f"{count} intervals need {count} labels, not {len(labels)}", code="MPC-0105")
    return list(labels)
