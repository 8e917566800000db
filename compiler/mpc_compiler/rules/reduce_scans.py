"""What the parties are sent of a plan: no column that nothing reads, one dictionary for the parts of a table."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from mpc_compiler.ir import Field, Plan, Rel, Scan, make, transform_plan, walk
from mpc_compiler.rules.prune_columns import prune_columns

__all__ = ["reduce_scans"]


def reduce_scans(plan: Plan) -> Plan:
    """Leave out of a plan what its profiles say of columns that it does not read, before a party sees it.

    Text columns of the same name, in tables of the same name of several owners, get the values of all of them as their
    dictionary, so that a union needs no translation on shares. Only tables that the plan reads count.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, loans, project
    >>> as_plan(project(loans, y="age + 1")).show(reduce_scans)
    project y=(age + 1)
      scan a.loans [age] 5 rows of a
    """
    return _with_common_dictionaries(prune_columns(plan))


def _with_common_dictionaries(plan: Plan) -> Plan:
    parts: dict[tuple[str, str], dict[str, Field]] = defaultdict(dict)
    for node in walk(*(output.rel for output in plan.outputs)):
        if isinstance(node, Scan):
            for field in node.fields:
                if field.dtype.kind == "string":
                    parts[_name(node), field.name][node.table] = field
    common = {
        key: tuple(sorted({text for field in fields.values() for text in field.dtype.domain or ()}))
        for key, fields in parts.items()
        if len(fields) > 1 and all(field.dtype.domain is not None for field in fields.values())
    }

    def widened(node: Scan, field: Field) -> Field:
        domain = common.get((_name(node), field.name), field.dtype.domain)
        return msgspec.structs.replace(field, dtype=msgspec.structs.replace(field.dtype, domain=domain))

    def step(rel: Rel) -> Rel:
        if not common or not isinstance(rel, Scan):
            return rel
        return make(msgspec.structs.replace(rel, fields=tuple(widened(rel, field) for field in rel.fields)))

    return transform_plan(plan, step)


def _name(scan: Scan) -> str:
    """The table's name without its owner's."""
    return scan.table.split(".", 1)[-1]
