"""Every value that a compiled plan makes known to someone, listed before it runs."""

from __future__ import annotations

from collections import Counter

from mpc_compiler.ir import REQUESTER, Aggregate, Filter, Join, Limit, Local, Plan, Rel, Scan, Schema, Sort, walk
from mpc_compiler.lower.stages import Align, Compute, Disclosure, LocalQuery, Release, Stage
from mpc_compiler.options import Options

__all__ = ["EVERYONE", "disclosures_of"]

EVERYONE = ("all parties",)


def disclosures_of(placed: Plan, stages: tuple[Stage, ...], options: Options) -> tuple[Disclosure, ...]:
    """List the disclosures of a plan whose local parts are placed.

    Examples
    --------
    >>> from mpc_compiler.lower.plan import compile_plan
    >>> from mpc_compiler.rules.examples import as_plan, joined, project
    >>> plan = as_plan(project(joined, y="age + balance")).plan
    >>> for line in compile_plan(plan, Options(computing=("a", "b", "c"))).disclosures:
    ...     print(line)
    the number of rows of a.loans, and type and range of its columns id, age -> all parties (public profile)
    the number of rows of b.accounts, and type and range of its columns key, balance -> all parties (public profile)
    how many keys a.loans and b.accounts have in common -> all parties (the merge on id = key)
    which of its rows of a.loans are in the intersection -> a (the merge on id = key)
    which of its rows of b.accounts are in the intersection -> b (the merge on id = key)
    result: the rows of y, and how many there are -> a (the result)
    """
    found = [*_profiles(placed), *_local_sizes(placed, stages)]
    queries = {stage.id: stage for stage in stages if isinstance(stage, LocalQuery)}
    for stage in stages:
        if isinstance(stage, Align):
            found += _alignment(stage, queries)
    for node in walk(*(output.rel for output in placed.outputs)):
        if isinstance(node, Join) and node.most and node.method == "obliviously":
            to = tuple(dict.fromkeys(name for output in placed.outputs for name in output.receivers or (REQUESTER,)))
            on = " and ".join(f"{_plain(a)} = {_plain(b)}" for a, b in zip(node.left_on, node.right_on, strict=True))
            found.append(Disclosure(f"whether more than {node.most} pairs of rows match", to, f"the merge on {on}"))
    roots = {output.name: output.rel for output in placed.outputs}
    found += [_released(stage, roots[stage.output]) for stage in stages if isinstance(stage, Release)]
    return tuple(dict.fromkeys(found))


def _profiles(placed: Plan) -> list[Disclosure]:
    found = []
    for node in walk(*(output.rel for output in placed.outputs)):
        if not isinstance(node, Scan) or not node.fields:
            continue
        names = ", ".join(field.name for field in node.fields)
        what = f"the number of rows of {node.table}, and type and range of its columns {names}"
        found.append(Disclosure(what, EVERYONE, "public profile"))
        for key in node.keys:
            if {field.name for field in node.fields}.issuperset(key):
                what = f"that no two rows of {node.table} have the same {' and '.join(key)}"
                found.append(Disclosure(what, EVERYONE, "public profile"))
        for field in node.fields:
            if field.dtype.domain is not None:
                what = f"the {len(field.dtype.domain)} distinct values of {node.table}.{field.name}"
                found.append(Disclosure(what, EVERYONE, "public dictionary of a text column"))
            elif field.dtype.width is not None:
                what = f"the longest text of {node.table}.{field.name}, rounded up to a multiple of 7 bytes"
                found.append(Disclosure(what, EVERYONE, "public width of a text column"))
    return found


def _local_sizes(placed: Plan, stages: tuple[Stage, ...]) -> list[Disclosure]:
    """Sizes of owners' results that follow from their data, not from the profile alone."""
    computing = any(isinstance(stage, Compute | Align) for stage in stages)
    counts: Counter[str] = Counter()
    for node in walk(*(output.rel for output in placed.outputs)):
        if (
            isinstance(node, Local)
            and computing
            and any(isinstance(n, Filter | Aggregate | Join | Limit) for n in walk(node))
        ):
            table = ", ".join(sorted({n.table for n in walk(node) if isinstance(n, Scan)}))
            counts[f"how many rows {node.owner} keeps of {table} after its own filters, joins and groups"] += 1
    return [
        Disclosure(what if count == 1 else f"{what}, in each of {count} results", EVERYONE, "row counts are public")
        for what, count in counts.items()
    ]


def _alignment(stage: Align, queries: dict[str, LocalQuery]) -> list[Disclosure]:
    on = " and ".join(f"{_plain(a)} = {_plain(b)}" for a, b in zip(stage.left_on, stage.right_on, strict=True))
    pair = f"{queries[stage.left_local].about} and {queries[stage.right_local].about}"
    found = [Disclosure(f"how many keys {pair} have in common", EVERYONE, f"the merge on {on}")]
    for member in stage.members:
        query = queries[member]
        what = f"which of its rows of {query.about} are in the intersection"
        found.append(Disclosure(what, (query.owner,), f"the merge on {on}"))
    return found


def _plain(name: str) -> str:
    """A column name without the suffix that tells apart two of the same name."""
    return name.split("~")[0]


def _released(stage: Release, root: Rel) -> Disclosure:
    names = ", ".join(Schema(stage.fields).names)
    inner = root
    while isinstance(inner, Sort | Limit | Filter | Local):
        inner = inner.input
    size = "the groups" if isinstance(inner, Aggregate) and inner.keys else "the rows"
    return Disclosure(f"{stage.output}: {size} of {names}, and how many there are", stage.receivers, "the result")
