"""Plans as bytes: one form, a stable fingerprint, and nothing but a well-formed plan is ever read."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mpc_compiler.errors import MpcError, ProtocolMismatchError
from mpc_compiler.ir import Limit, Output, Plan, make
from mpc_compiler.lower.plan import compile_plan
from mpc_compiler.options import Options
from mpc_compiler.rules.examples import filtered, joined, loans, project
from mpc_compiler.serde import MAX_BYTES, decode_plan, encode_plan, fingerprint
from tests.conftest import SessionFor
from tests.strategies import Plan as Pipeline
from tests.strategies import plans

SMALL = Plan((Output("result", project(filtered(joined, "age > 3 & balance > age"), y="age * 2 + balance"), ("a",)),))
OPTIONS = Options(computing=("a", "b", "c"))


def test_the_form_and_fingerprint_of_a_plan_are_fixed() -> None:
    """A change here breaks approvals and caches that outlive a release: raise serde.FORMAT and say so in CHANGELOG."""
    assert fingerprint(SMALL) == "4e92d4b4be1b90eb126027e43630f275be4ae49f4506c846f14e6d936d8df9fa"
    plan = Plan((Output("result", make(Limit(loans, 2)), ("a",)),))
    document = json.loads(encode_plan(plan))
    assert document["nodes"][1] == {"count": 2, "input": 0, "type": "limit"}
    assert document["outputs"] == [{"chunk": 0, "name": "result", "receivers": ["a"], "rel": 1}]
    assert document["format"] == 3


@given(batch=st.lists(plans(), min_size=1, max_size=6))
@settings(max_examples=60, phases=[Phase.generate])
def test_round_trip(session_for: SessionFor, batch: list[Pipeline]) -> None:
    session = session_for("plaintext", "threads", pushdown=True)
    plan = session._plan([pipeline.on(session.table) for pipeline in batch], None)
    data = encode_plan(plan)
    again = decode_plan(data)
    assert again == plan
    assert all(a.rel is b.rel for a, b in zip(plan.outputs, again.outputs, strict=True))  # hash-consed
    assert encode_plan(again) == data
    compiled = compile_plan(plan, session._config.options)
    assert repr(compile_plan(again, session._config.options).stages) == repr(compiled.stages)


def _refused(data: bytes) -> None:
    try:
        plan = decode_plan(data)
    except ProtocolMismatchError:
        return
    # Well-formed and canonical: then it is a plan that someone else could have asked for. Checking it is typed too.
    with contextlib.suppress(MpcError):
        compile_plan(plan, OPTIONS)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 1 << 70), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from(["scan", "local", "shared", "filter", "call", "column", "__class__", "a.loans"]),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += _places(inner, (*path, key))
    return found


DOCUMENT = json.loads(encode_plan(SMALL))
PLACES = _places(DOCUMENT)[1:]


@given(place=st.sampled_from(PLACES), value=VALUES, how=st.sampled_from(["set", "delete", "add"]))
@settings(max_examples=600)
def test_a_changed_document_is_refused_or_checked(place: tuple[Any, ...], value: Any, how: str) -> None:
    document = json.loads(encode_plan(SMALL))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    if how == "delete":
        del holder[place[-1]]
    elif how == "add" and isinstance(holder, dict):
        holder["extra"] = value
    else:
        holder[place[-1]] = value
    _refused(msgspec.json.encode(document, order="sorted"))


@given(at=st.integers(0, len(encode_plan(SMALL)) - 1), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=400)
def test_changed_bytes_are_refused_or_checked(at: int, byte: int, cut: bool) -> None:
    data = encode_plan(SMALL)
    _refused(data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1 :])


@given(data=st.binary(max_size=64))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolMismatchError):
        decode_plan(data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"nodes": []},
        {"outputs": [{"name": "result", "receivers": ["a"], "rel": 99}]},
        {"outputs": [{"name": "result", "receivers": ["a"], "rel": -1}]},
        {"outputs": [{"name": "result", "receivers": ["a"], "rel": True}]},
        {"nodes": [{"type": "limit", "input": 0, "count": 1}]},
        {"nodes": [{"type": "exec", "code": "1"}]},
        {"extra": 1},
    ],
)
def test_documents_that_are_refused(change: dict[str, Any]) -> None:
    data = msgspec.json.encode(DOCUMENT | change, order="sorted")
    with pytest.raises(ProtocolMismatchError):
        decode_plan(data)


def test_other_forms_of_the_same_plan_are_refused() -> None:
    data = encode_plan(SMALL)
    for other in (b" " + data, json.dumps(DOCUMENT, indent=1).encode(), json.dumps(DOCUMENT).encode()):
        with pytest.raises(ProtocolMismatchError, match="not in canonical form"):
            decode_plan(other)


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(ProtocolMismatchError, match="over the limit"):
        decode_plan(b" " * (MAX_BYTES + 1))
    deep: Any = {"type": "column", "name": "age"}
    for _ in range(5000):
        deep = {"type": "call", "op": "neg", "args": [deep]}
    text = json.dumps(DOCUMENT["nodes"][0])
    nested = (
        "".join(['{"args":['] * 5000)
        + '{"name":"age","type":"column"}'
        + "".join(['],"op":"neg","type":"call"}'] * 5000)
    )
    node = '{"input":0,"predicate":' + nested + ',"type":"filter"}'
    document = f'{{"format":1,"nodes":[{text},{node}],"outputs":[{{"name":"r","receivers":["a"],"rel":1}}]}}'
    with pytest.raises(ProtocolMismatchError):
        decode_plan(document.encode())
    assert deep
