"""Canonical bytes of a plan, and its fingerprint.

A plan is written as a table of nodes in post-order with references by index, so shared subplans appear
once, and every node has one form: JSON with sorted keys. Reading accepts only the closed list of node
types, checks every reference, and bounds sizes before it builds anything. No code ever comes out of it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mpc_compiler.errors import ProtocolMismatchError
from mpc_compiler.ir import Output, Plan, Rel, make, walk
from mpc_compiler.ir import rel as rels

__all__ = ["FORMAT", "MAX_BYTES", "decode_plan", "encode_plan", "fingerprint"]

FORMAT = 3
"""Version of the canonical form."""
MAX_BYTES = 16 << 20
"""Largest plan that is read."""
MAX_NODES = 10_000

_TYPES: dict[str, type[Any]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        rels.Scan, rels.Kept, rels.Project, rels.Filter, rels.Join, rels.Union, rels.Aggregate, rels.Sort, rels.Window,
        rels.Limit, rels.Local, rels.Fit, rels.Apply, rels.Metric,
    )
}  # fmt: skip
_LINKS = ("input", "model", "left", "right")


class _Root(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rel: int
    receivers: tuple[str, ...]
    chunk: int


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    nodes: list[dict[str, Any]]
    outputs: list[_Root]


_HINTS = {kind: {field.name: field.type for field in msgspec.structs.fields(kind)} for kind in _TYPES.values()}
for _hint in [_Document, *(hint for hints in _HINTS.values() for hint in hints.values())]:
    # msgspec completes its types at first use, which must not happen in two threads at once (it crashes).
    msgspec.json.Decoder(_hint)


def encode_plan(plan: Plan) -> bytes:
    """Canonical bytes of ``plan``.

    Examples
    --------
    >>> from mpc_compiler.ir import Scan
    >>> plan = Plan((Output("result", make(Scan("a.t", "a", (), 3)), ("a",)),))
    >>> decode_plan(encode_plan(plan)) == plan
    True
    """
    index: dict[Rel, int] = {}
    nodes: list[dict[str, Any]] = []
    for node in walk(*(output.rel for output in plan.outputs)):
        index[node] = len(nodes)
        nodes.append(_flat(node, index))
    roots = [_Root(output.name, index[output.rel], output.receivers, output.chunk) for output in plan.outputs]
    return msgspec.json.encode(_Document(FORMAT, nodes, roots), order="sorted")


def _flat(node: Rel, index: dict[Rel, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": node.__struct_config__.tag}
    for name in node.__struct_fields__:
        value = getattr(node, name)
        fields[name] = index[value] if name in _LINKS else msgspec.to_builtins(value)
    return fields


def decode_plan(data: bytes) -> Plan:
    """The plan that ``data`` holds.

    Raises
    ------
    ProtocolMismatchError
        When the bytes are too many, malformed, of another version, or not in canonical form.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolMismatchError(f"a plan of {len(data)} bytes is over the limit of {MAX_BYTES}", code="MPC-0701")
    try:
        document = msgspec.json.decode(data, type=_Document)
        if document.format != FORMAT:
            raise ProtocolMismatchError(
                f"plan format {document.format} is not {FORMAT}",
                code="MPC-0702",
                hint="install the same version everywhere",
            )
        if len(document.nodes) > MAX_NODES:
            raise ProtocolMismatchError("the plan has too many nodes", code="MPC-0701")
        built: list[Rel] = []
        for fields in document.nodes:
            built.append(_node(fields, built))
        plan = Plan(tuple(Output(r.name, _link(r.rel, built), r.receivers, r.chunk) for r in document.outputs))
    except (msgspec.MsgspecError, TypeError, ValueError, KeyError, RecursionError) as error:
        raise ProtocolMismatchError(f"malformed plan: {error}", code="MPC-0701") from error
    if encode_plan(plan) != data:
        raise ProtocolMismatchError("the plan is not in canonical form", code="MPC-0701")
    return plan


def _node(fields: dict[str, Any], built: list[Rel]) -> Rel:
    kind = _TYPES.get(str(fields.get("type")))
    if kind is None or set(fields) != {"type", *kind.__struct_fields__}:
        raise ProtocolMismatchError(f"unknown plan node {fields.get('type')!r}", code="MPC-0701")
    hints = _HINTS[kind]
    values = {
        name: _link(fields[name], built) if name in _LINKS else msgspec.convert(fields[name], hints[name])
        for name in kind.__struct_fields__
    }
    node: Rel = make(kind(**values))
    return node


def _link(reference: object, built: list[Rel]) -> Rel:
    if not isinstance(reference, int) or isinstance(reference, bool) or not 0 <= reference < len(built):
        raise ProtocolMismatchError("a plan node refers to one that is not there", code="MPC-0701")
    return built[reference]


def fingerprint(plan: Plan) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(encode_plan(plan)).hexdigest()
