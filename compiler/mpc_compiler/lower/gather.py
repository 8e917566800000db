"""Which columns of which owners enter a computation, each queried and aligned once however often it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from mpc_compiler.check import expr_field, rows_of, schema_of
from mpc_compiler.check.keys import keys_of, slices_of
from mpc_compiler.check.mass import mass_of
from mpc_compiler.ir import Column, Expr, Field, Item, Join, Local, Project, Rel, Scan, Shared, column, make, walk
from mpc_compiler.lower.sql_rel import to_sql
from mpc_compiler.lower.stages import Align, Input, LocalQuery, Owned, Wanted

__all__ = ["Gatherer"]


@dataclass
class _Query:
    """A LocalQuery under construction: one row set of one owner, with every column anybody wants of it."""

    id: str
    owner: str
    core: Rel
    columns: dict[Expr, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def want(self, expr: Expr, name: str) -> str:
        """The result column that holds ``expr``."""
        if expr not in self.columns:
            taken = set(self.columns.values())
            fresh, count = name, 1
            while fresh in taken:
                count += 1
                fresh = f"{name}~{count}"
            self.columns[expr] = fresh
        return self.columns[expr]

    def build(self) -> LocalQuery:
        schema = schema_of(self.core)
        items = [Item(name, expr) for expr, name in self.columns.items()]
        fields = []
        for item in items:
            inner = expr_field(item.expr, schema)
            fields.append(Field(item.name, inner.dtype, (self.owner,)))
        return LocalQuery(
            self.id,
            self.owner,
            to_sql(self.core, items),
            tuple(fields),
            tuple(self.keys),
            rows_of(self.core),
            _tables(self.core),
        )


@dataclass
class _Source:
    """Aligned (or single) rows: where each column of the relation comes from."""

    id: str
    columns: dict[str, tuple[_Query, Expr]]
    members: tuple[_Query, ...]
    rows: int

    @property
    def first(self) -> _Query:
        return self.members[0]


@dataclass
class _Entry:
    source: _Source
    columns: dict[str, Wanted] = field(default_factory=dict)
    ordered: bool = False


def _tables(core: Rel) -> str:
    """The tables that a local relation reads."""
    return " and ".join(sorted({node.table for node in walk(core) if isinstance(node, Scan)}))


class Gatherer:
    """Collects LocalQuery, Align and Input stages while leaves of the plan are replaced by shares."""

    def __init__(self) -> None:
        self._queries: dict[tuple[str, Rel], _Query] = {}
        self._aligns: dict[tuple[object, ...], Align] = {}
        self._entries: dict[str, _Entry] = {}
        self._blocks: dict[tuple[object, ...], Owned] = {}

    def query(self, rel: Local) -> str:
        """A LocalQuery for a whole local relation, whose rows will be released by its owner."""
        source = self._local(rel)
        for name in schema_of(rel).names:
            query, expr = source.columns[name]
            query.want(expr, name)
        return source.id

    def result_names(self, rel: Local) -> tuple[str, ...]:
        """The LocalQuery's columns that hold the columns of ``rel``, in order."""
        source = self._local(rel)
        return tuple(q.want(expr, name) for name, (q, expr) in ((n, source.columns[n]) for n in schema_of(rel).names))

    def shared(self, rel: Rel, *, ordered: bool) -> Shared:
        """Replace a leaf of the computation: owners share its columns."""
        source = self._source(rel)
        entry = self._entries.setdefault(source.id, _Entry(source))
        entry.ordered |= ordered and len(source.members) > 1
        names = []
        for name in schema_of(rel).names:
            query, expr = source.columns[name]
            held = query.want(expr, name)
            shared = f"{query.id}.{held}"
            dtype = expr_field(expr, schema_of(query.core)).dtype
            entry.columns[shared] = Wanted(shared, query.id, query.owner, Field(held, dtype, (query.owner,)))
            names.append(shared)
        keys = tuple(tuple(sorted(key)) for key in sorted(keys_of(rel), key=sorted))
        fields, slices = tuple(schema_of(rel)), tuple(sorted(slices_of(rel)))
        mass = tuple(mass_of(rel, field.name) for field in fields)
        made = make(Shared(source.id, fields, tuple(names), source.rows, keys, slices, mass))
        assert isinstance(made, Shared)
        return made

    def owned(self, rel: Rel, names: tuple[str, ...], rank: int, how: str, bins: int = 0) -> str:
        """A block of columns of a leaf that their owner, the computing party of that rank, keeps in the clear."""
        source = self._source(rel)
        columns = []
        for name in names:
            query, expr = source.columns[name]
            held = query.want(expr, name)
            dtype = expr_field(expr, schema_of(query.core)).dtype
            columns.append(Wanted(f"{query.id}.{held}", query.id, query.owner, Field(held, dtype, (query.owner,))))
        key = (source.id, rank, how, bins, tuple(columns))
        if key not in self._blocks:
            self._entries.setdefault(source.id, _Entry(source))  # its rows are announced even if no column is shared
            self._blocks[key] = Owned(
                f"block{len(self._blocks) + 1}", source.id, rank, tuple(columns), how, source.rows, bins
            )
        return self._blocks[key].id

    def blocks(self) -> tuple[Owned, ...]:
        """All blocks of columns that owners keep."""
        return tuple(self._blocks.values())

    def queries(self) -> tuple[LocalQuery, ...]:
        """All LocalQuery stages; call last."""
        return tuple(query.build() for query in self._queries.values())

    def aligns(self) -> tuple[Align, ...]:
        """All Align stages, in an order in which they can run."""
        return tuple(self._aligns.values())

    def inputs(self) -> tuple[Input, ...]:
        """All inputs of the computation."""
        return tuple(
            Input(key, key, tuple(e.columns.values()), e.ordered, e.source.first.id, e.source.rows)
            for key, e in self._entries.items()
        )

    def _source(self, rel: Rel) -> _Source:
        if isinstance(rel, Local):
            return self._local(rel)
        if isinstance(rel, Join):
            return self._join(rel)
        if isinstance(rel, Project) and all(isinstance(item.expr, Column) for item in rel.items):
            below = self._source(rel.input)
            columns = {i.name: below.columns[i.expr.name] for i in rel.items if isinstance(i.expr, Column)}
            return _Source(below.id, columns, below.members, below.rows)
        raise TypeError(f"{type(rel).__name__} is not what owners hold")

    def _local(self, rel: Local) -> _Source:
        core, items = _strip(rel.input)
        query = self._queries.get((rel.owner, core))
        if query is None:
            query = _Query(f"local{len(self._queries) + 1}", rel.owner, core)
            self._queries[rel.owner, core] = query
        return _Source(query.id, {name: (query, expr) for name, expr in items.items()}, (query,), rows_of(rel))

    def _join(self, rel: Join) -> _Source:
        left, right = self._source(rel.left), self._source(rel.right)
        left_query, left_exprs = self._keys(left, rel.left_on)
        right_query, right_exprs = self._keys(right, rel.right_on)
        key = (left.id, right.id, left_exprs, right_exprs)
        columns = left.columns | right.columns
        rows = rows_of(rel)
        members = left.members + right.members
        if key not in self._aligns:
            names = [
                tuple(query.want(expr, name) for expr, name in zip(exprs, on, strict=True))
                for query, exprs, on in (
                    (left_query, left_exprs, rel.left_on),
                    (right_query, right_exprs, rel.right_on),
                )
            ]
            for query, wanted in ((left_query, names[0]), (right_query, names[1])):
                query.keys += [name for name in wanted if name not in query.keys]
            self._aligns[key] = Align(
                f"align{len(self._aligns) + 1}", left.id, right.id, left_query.id, right_query.id,
                left_query.owner, right_query.owner, names[0], names[1],
                tuple(q.id for q in members), members[0].id,
            )  # fmt: skip
        return _Source(self._aligns[key].id, columns, members, rows)

    def _keys(self, source: _Source, on: tuple[str, ...]) -> tuple[_Query, tuple[Expr, ...]]:
        found = [source.columns[name] for name in on]
        assert len({query.id for query, _ in found}) == 1
        return found[0][0], tuple(expr for _, expr in found)


def _strip(rel: Rel) -> tuple[Rel, dict[str, Expr]]:
    """The rows of a local relation, and its columns as expressions over them."""
    if isinstance(rel, Project):
        return rel.input, {item.name: item.expr for item in rel.items}
    return rel, {name: column(name) for name in schema_of(rel).names}
