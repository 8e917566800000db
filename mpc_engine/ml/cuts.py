"""Where bands of a score begin: at public edges, or at quantiles of the score, which stay secret."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Agg, Aggregate, Expr, Item, Project, Rel, call, column, literal, make
from mpc_engine.frame.base import beside, named_by
from mpc_engine.frame.constants import constant, exact_constant
from mpc_engine.frame.place import mark
from mpc_engine.frame.series import Series

__all__ = ["Cuts", "Edges", "cuts_of", "edges_of"]

Edges = Sequence[float] | int
_NEAR = 2.0**-17
"""A score so little below an edge is above it: where many rows have one score, an edge is that score, but for what is
lost in interpolating between it and itself."""
BINNINGS = ("uniform", "quantile")


@dataclass(frozen=True)
class Cuts:
    """Edges of bands; an edge belongs to the band above it.

    Attributes
    ----------
    names : tuple of str
        Of the bands, ascending; bands of missing scores are no part of them.
    edges : tuple of float
        Public ones; empty for quantiles.
    row : Rel or None
        One row with the quantiles.
    columns : tuple of str
        Where they are, ascending.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...] = ()
    row: Rel | None = None
    columns: tuple[str, ...] = ()

    def code(self, score: Series) -> tuple[Rel, Expr]:
        """The rows of a score, and the number of each one's band, from 0: how many edges are not above it.

        Missing scores get the number after the last.
        """
        base = score._base if self.row is None else beside(score._base, self.row)
        total: Expr = literal(0)
        for test in self._tests(score):
            total = call("add", total, call("int", test))
        if score.dtype.nullable:
            total = call("where", call("isna", score._expr), literal(len(self.names)), total)
        return base, total

    def _tests(self, score: Series) -> list[Expr]:
        if self.row is not None:
            raised = call("add", call("float", score._expr), literal(_NEAR))
            return [call("ge", raised, column(name)) for name in self.columns]
        edge = exact_constant if score.dtype.kind == "decimal" else constant
        return [call("ge", score._expr, edge(value)) for value in self.edges]

    def labels(self, *, missing: bool) -> list[str]:
        """Names of all bands in the order of :meth:`code`."""
        return [*self.names, "missing"] if missing else list(self.names)


def edges_of(score: Series, bins: Edges) -> tuple[float, ...]:
    """The inner edges of bands: public ones, or those that divide the score's public range evenly.

    Raises
    ------
    SchemaError
        When edges do not ascend, or are none.
    """
    if isinstance(bins, int):
        low, high = (float(end) for end in score.dtype.limits)
        return tuple(low + (high - low) * k / _bands(bins) for k in range(1, bins))
    inner = tuple(float(edge) for edge in bins if math.isfinite(edge))
    if not inner or any(low >= high for low, high in itertools.pairwise(inner)):
        raise SchemaError("the edges of bands must ascend", code="MPC-0105", hint="[400, 500, 600]")
    return inner


def _bands(bins: int) -> int:
    if not 2 <= bins <= 1000:
        raise SchemaError(f"there can be 2 to 1000 bands, not {bins}", code="MPC-0120")
    return bins


def cuts_of(score: Series, bins: Edges, binning: str) -> Cuts:
    """Bands of a score.

    Parameters
    ----------
    score : Series
    bins : sequence of number or int
        Public edges; or so many bands.
    binning : {"uniform", "quantile"}
        So many of equal width over the score's public range, or of equally many rows; rows of one score are all in one
        band.

    Raises
    ------
    SchemaError
        For edges that do not ascend, and numbers of bands that are too small or too large.
    """
    if binning not in BINNINGS:
        raise SchemaError(f"bands cannot be {binning!r}", code="MPC-0120", hint=", ".join(BINNINGS))
    if binning == "uniform" or not isinstance(bins, int):
        edges = edges_of(score, bins)
        ends = [-math.inf, *edges, math.inf]
        return Cuts(tuple(f"[{low:g}, {high:g})" for low, high in itertools.pairwise(ends)), edges)
    rows = make(Project(score._base, (Item("score", call("float", score._expr)),)))
    names = tuple(named_by("cut", score._base, score._expr, bins, k) for k in range(1, _bands(bins)))
    aggs = tuple(Agg(name, "quantile", "score", k / bins) for k, name in enumerate(names, 1))
    row = mark(make(Aggregate(rows, (), aggs)))
    return Cuts(tuple(f"{k} of {bins}" for k in range(1, bins + 1)), row=row, columns=names)
