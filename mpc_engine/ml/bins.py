"""Fine bins of features, made by the owners of the columns: codes that never show where the edges lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mpc_compiler.check import expr_field, owners_of, schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    Apply,
    Expr,
    Filter,
    Item,
    Join,
    Project,
    Rel,
    Sort,
    call,
    column,
    columns_of,
    literal,
    make,
    substitute,
)
from mpc_engine.frame.base import named_by
from mpc_engine.ml.released import number

__all__ = ["Bins", "attached", "bins_of", "edge_rows", "edges_of_each"]


@dataclass(frozen=True)
class Bins:
    """How one feature is cut.

    Attributes
    ----------
    name : str
    owner : str
        Who holds the column, and alone knows its edges.
    code : Expr
        The number of a row's bin, over the feature's frame with `edges` attached.
    ordered, size : int
        Bins in the order of their values, and bins in all: those of missing and of special values follow.
    labels : tuple of str
        What the bins are, where that is public: categories, "missing", special values; empty for intervals.
    missing : int or None
        The bin of missing values.
    side : Rel or None
        The owner's rows that edges are computed of; None where there are none, or they are public.
    value : Expr or None
        The feature over these rows.
    how : str
        ``"quantile"`` or ``"uniform"``.
    names : tuple of str
        The edges' columns, in ascending order.
    cuts : tuple of float
        Public edges.
    """

    name: str
    owner: str
    code: Expr
    ordered: int
    size: int
    labels: tuple[str, ...]
    side: Rel | None = None
    value: Expr | None = None
    how: str = ""
    names: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()
    missing: int | None = None


def bins_of(
    name: str, expr: Expr, base: Rel, *, how: str | Sequence[float], bins: int, special: Sequence[float]
) -> Bins:
    """The bins of a feature.

    Parameters
    ----------
    name : str
    expr : Expr
        Over `base`.
    base : Rel
    how : {"quantile", "uniform"} or sequence of float
        Where edges lie: at quantiles or at even distances of all the owner's rows, or at these. An edge belongs to the
        bin above it.
    bins : int
        How many, for the former two.
    special : sequence of float
        Values that get a bin of their own.

    Raises
    ------
    SchemaError, UnsupportedError
        For a column that cannot be cut, or that several owners made.
    """
    field = expr_field(expr, schema_of(base))
    if len(field.owners) != 1:
        raise UnsupportedError(
            f"feature {name!r} belongs to {' and '.join(field.owners) or 'nobody'}",
            code="MPC-0333",
            hint="cut columns of one owner each; joint columns: df.c.cut([...]) with public edges",
        )
    dtype, owner = field.dtype, field.owners[0]
    if dtype.kind == "string":
        return _categories(name, expr, owner, dtype.domain, nullable=dtype.nullable)
    if dtype.kind == "bool":
        code = call("int", call("fillna", expr, literal(False))) if dtype.nullable else call("int", expr)
        return _with_missing(Bins(name, owner, code, 2, 2, ("False", "True")), expr, nullable=dtype.nullable)
    if not dtype.numeric and dtype.kind != "decimal":
        raise SchemaError(f"feature {name!r} is {dtype.kind}, not a number or text", code="MPC-0111")
    plain = expr if not special else call("where", call("isin", expr, *map(literal, special)), literal(None), expr)
    made = _intervals(name, plain, base, owner, how=how, bins=bins)
    made = _with_missing(made, expr, nullable=dtype.nullable)
    for value in special:
        code = call("where", call("eq", expr, literal(value)), literal(made.size), made.code)
        labels = (*(made.labels or ("",) * made.size), number(value))
        made = replace(made, code=code, size=made.size + 1, labels=labels)
    return made


def _with_missing(made: Bins, expr: Expr, *, nullable: bool) -> Bins:
    if not nullable:
        return made
    code = call("where", call("isna", expr), literal(made.size), made.code)
    labels = (*(made.labels or ("",) * made.size), "missing")
    return replace(made, code=code, size=made.size + 1, labels=labels, missing=made.size)


def _categories(name: str, expr: Expr, owner: str, domain: tuple[str, ...] | None, *, nullable: bool) -> Bins:
    if not domain or len(domain) + nullable < 2:
        raise SchemaError(
            f"feature {name!r} has {'no public dictionary' if domain is None else 'one value only'}",
            code="MPC-0111",
            hint="map its texts to fewer categories at its owner, or drop it",
        )
    code: Expr = literal(len(domain)) if nullable else literal(0)
    for at, text in enumerate(domain):
        code = call("where", call("eq", expr, literal(text)), literal(at), code)
    labels = (*domain, "missing") if nullable else domain
    return Bins(name, owner, code, 0, len(labels), labels, missing=len(domain) if nullable else None)


def _intervals(name: str, expr: Expr, base: Rel, owner: str, *, how: str | Sequence[float], bins: int) -> Bins:
    if not isinstance(how, str):
        cuts = sorted(float(edge) for edge in how)
        if not cuts or len(set(cuts)) != len(cuts):
            raise SchemaError(f"the edges of {name!r} must be different numbers", code="MPC-0105")
        code = _count([call("ge", expr, literal(edge)) for edge in cuts])
        return Bins(name, owner, code, len(cuts) + 1, len(cuts) + 1, (), cuts=tuple(cuts))
    if how not in ("quantile", "uniform"):
        raise SchemaError(f"bins cannot be {how!r}", code="MPC-0120", hint="quantile, uniform, or a list of edges")
    if not isinstance(bins, int) or not 2 <= bins <= 64:
        raise SchemaError(f"max_bins must lie between 2 and 64, not {bins!r}", code="MPC-0120")
    side, there = _owners_rows(base, expr, owner, name)
    names = tuple(named_by(f"~edge:{name}:{k}", side, there, how, bins) for k in range(1, bins))
    code = _count([call("ge", call("float", expr), column(edge)) for edge in names])
    return Bins(name, owner, code, bins, bins, (), side, call("float", there), how, names)


def edge_rows(found: Sequence[Bins]) -> dict[Rel, Rel]:
    """For each owner's rows one row with the edges of all features that were cut by them."""
    sides: dict[Rel, list[Bins]] = {}
    for b in found:
        if b.side is not None:
            sides.setdefault(b.side, []).append(b)
    return {side: _edges(side, group) for side, group in sides.items()}


def _edges(side: Rel, group: Sequence[Bins]) -> Rel:
    held, aggs, items = [], [], []
    for b in group:
        assert b.value is not None
        value, count = f"~value:{b.name}", len(b.names) + 1
        held.append(Item(value, b.value))
        levels = [k / count for k in range(1, count)]
        if b.how == "quantile":
            aggs += [Agg(n, "quantile", value, level) for n, level in zip(b.names, levels, strict=True)]
            items += [Item(n, column(n)) for n in b.names]
            continue
        lo, hi = f"~lo:{b.name}", f"~hi:{b.name}"
        aggs += [Agg(lo, "min", value), Agg(hi, "max", value)]
        width = call("sub", column(hi), column(lo))
        steps = [call("add", column(lo), call("mul", width, literal(level))) for level in levels]
        items += [Item(n, step) for n, step in zip(b.names, steps, strict=True)]
    return make(Project(make(Aggregate(make(Project(side, tuple(held))), (), tuple(aggs))), tuple(items)))


def edges_of_each(found: Sequence[Bins]) -> list[Rel]:
    """One row with the edges of each feature that was cut by computed ones, in order."""
    rows = edge_rows(found)
    return [
        make(Project(rows[b.side], tuple(Item(name, column(name)) for name in b.names)))
        for b in found
        if b.side is not None
    ]


def _count(tests: Sequence[Expr]) -> Expr:
    """How many of the tests hold."""
    total: Expr = call("int", tests[0])
    for test in tests[1:]:
        total = call("add", total, call("int", test))
    return total


def _owners_rows(rel: Rel, expr: Expr, owner: str, name: str) -> tuple[Rel, Expr]:
    """The owner's own rows below ``rel``, and the expression over them."""
    if owners_of(rel) == (owner,):
        return rel, expr
    reads = columns_of(expr)
    if isinstance(rel, Filter | Sort | Apply) and reads <= set(schema_of(rel.input).names):
        return _owners_rows(rel.input, expr, owner, name)
    if isinstance(rel, Project):
        by_name: Mapping[str, Expr] = {item.name: item.expr for item in rel.items}
        return _owners_rows(rel.input, substitute(expr, by_name.__getitem__), owner, name)
    if isinstance(rel, Join):
        for side in (rel.left, rel.right):
            if reads <= set(schema_of(side).names):
                return _owners_rows(side, expr, owner, name)
    raise UnsupportedError(
        f"feature {name!r} is not a column of {owner}'s own rows any more",
        code="MPC-0333",
        hint="bin it before it is grouped, or give its edges",
    )


def attached(base: Rel, found: Sequence[Bins]) -> Rel:
    """``base`` with the edges of all bins, each at its owner; those that are there already are not attached again."""
    for edges in edge_rows(found).values():
        names = schema_of(edges).names
        if not set(names) <= set(schema_of(base).names):
            base = make(Join(base, edges, (), (), "cross"))
    return base
