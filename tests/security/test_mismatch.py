"""Parties that do not run the same thing refuse before anything of their tables is sent."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_compiler.serde import FORMAT
from mpc_engine.errors import MpcError, PeerError, ProtocolMismatchError
from mpc_engine.runtime import worker as worker_module
from mpc_engine.runtime.compute import Programs
from mpc_engine.runtime.messages import Pledge, RunRequest, encode
from tests.workers import Parties

APPLICATIONS = pd.DataFrame({"id": [1, 2, 3], "age": [30, 40, 50]})
ACCOUNTS = pd.DataFrame({"id": [3, 2, 9], "balance": [7, 8, 9]})
BEFORE_SHARES = {"run/pledge"}
ALSO_BEFORE_SHARES = {"run/align1/psi", "run/align1", "run/rows/align1", "run/code"}


@pytest.fixture
def session() -> Iterator[mpc.Session]:
    tables = {"bank_a": {"apps": APPLICATIONS}, "bank_b": {"acc": ACCOUNTS}}
    with mpc.Session.local(tables, protocol="aby3", executor="threads") as made:
        yield made


@pytest.fixture
def parties(session: mpc.Session) -> Iterator[Parties]:
    made = Parties(session, timeout=10)
    yield made
    made.close()


def total(session: mpc.Session) -> mpc.Scalar:
    both = session.table("bank_a.apps").merge(session.table("bank_b.acc"), on="id")
    return (both.age * 2 * both.balance).sum()


def refused(parties: Parties, requests: Any, what: str, *, code: str = "MPC-0705") -> None:
    """All parties stop, somebody says what differs, and no message carries a share or a key."""
    found = parties.run(requests)
    assert set(found) == set(parties.names)
    assert all(isinstance(error, ProtocolMismatchError | PeerError) for error in found.values()), found
    told = [error for error in found.values() if isinstance(error, ProtocolMismatchError)]
    assert told
    for error in told:
        assert error.code == code
        assert what in error.message
    assert parties.tags() <= BEFORE_SHARES


def test_the_same_request_everywhere_runs(session: mpc.Session, parties: Parties) -> None:
    scalar = total(session)
    reports = parties.reports(parties.request(scalar))
    assert parties.result(reports, scalar)["result"].iloc[0, 0] == 40 * 2 * 8 + 50 * 2 * 7
    shares = {tag for tag in parties.tags() if tag.endswith(("/0", "/1"))}
    assert shares
    assert parties.tags() - shares >= BEFORE_SHARES


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"timeout": 61.0}, "differ in options"),
        ({"kernels": "spu"}, "differ in options"),
        ({"pushdown": False}, "differ in options, stages"),
    ],
)
@pytest.mark.parametrize("odd", ["bank_a", "neutral"])
def test_other_options(session: mpc.Session, parties: Parties, odd: str, change: dict[str, Any], what: str) -> None:
    scalar = total(session)
    requests = dict.fromkeys(parties.names, parties.request(scalar))
    requests[odd] = parties.request(scalar, **change)
    refused(parties, requests, what)


def test_another_protocol_than_this_runtimes(session: mpc.Session, parties: Parties) -> None:
    other = parties.request(total(session), protocol="cheetah", computing=("bank_a", "bank_b"))
    refused(parties, other, "the run's options differ from this runtime's", code="MPC-0704")
    assert parties.tags() == set()


def test_another_order_of_computing_parties(session: mpc.Session, parties: Parties) -> None:
    other = parties.request(total(session), computing=("bank_b", "bank_a", "neutral"))
    refused(parties, other, "the run's options differ from this runtime's", code="MPC-0704")


def test_another_plan(session: mpc.Session, parties: Parties) -> None:
    requests = dict.fromkeys(parties.names, parties.request(total(session)))
    requests["bank_b"] = parties.request(session.table("bank_b.acc").balance.max(), total(session))
    refused(parties, requests, "differ in plan, stages")


def test_another_plan_with_the_same_stages(session: mpc.Session, parties: Parties) -> None:
    """The plan counts, not only what it compiles to: it is what was approved."""
    both = session.table("bank_a.apps").merge(session.table("bank_b.acc"), on="id")
    requests = dict.fromkeys(parties.names, parties.request(both[(both.age > 1) & (both.balance > 1)]))
    requests["bank_b"] = parties.request(both[both.age > 1][both[both.age > 1].balance > 1])
    refused(parties, requests, "differ in plan")


def test_other_versions(session: mpc.Session, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = worker_module.versions

    def odd(protocol: str) -> str:
        name = "spu 0.9.4" if threading.current_thread().name == "bank_b" else "spu 0.9.5"
        return versions(protocol).replace("spu 0.9.5", name)

    monkeypatch.setattr(worker_module, "versions", odd)
    refused(parties, parties.request(total(session)), "differ in versions")


def test_another_runtime_configuration(session: mpc.Session, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    device = parties.workers["bank_b"]._device
    assert device is not None

    class Odd:
        config = device.config + b"\x08\x01"

    monkeypatch.setattr(parties.workers["bank_b"], "_device", Odd())
    refused(parties, parties.request(total(session)), "differ in runtime")


def test_other_compiled_code(session: mpc.Session, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Programs.prepare

    def odd(self: Programs, *args: Any) -> Any:
        ready = prepare(self, *args)
        return dataclasses.replace(ready, digest="0" * 64) if self._me == "neutral" else ready

    monkeypatch.setattr(Programs, "prepare", odd)
    found = parties.run(parties.request(total(session)))
    told = [error for error in found.values() if isinstance(error, ProtocolMismatchError)]
    assert told
    assert all("compiled different programs from the same plan" in error.message for error in told)
    assert all(isinstance(error, MpcError) for error in found.values())
    assert parties.tags() <= BEFORE_SHARES | ALSO_BEFORE_SHARES


@pytest.mark.parametrize("pledge", [b"", b"\xff" * 40, b"\x81\xa4plan\xa1x", b"\xc1", None])
def test_a_malformed_pledge(session: mpc.Session, pledge: bytes | None) -> None:
    """A peer that sends anything but a pledge, or one with a field too many, is refused."""
    parties = Parties(session, timeout=5, silent=("neutral",))
    if pledge is None:
        fields = dict.fromkeys(Pledge.__struct_fields__, "x") | {"extra": "x"}
        pledge = msgspec.msgpack.encode(fields)
    rogue = parties.hub.channel("neutral")
    for name in parties.workers:
        rogue.send(name, "run/pledge", pledge)
    found = parties.run(parties.request(total(session)))
    assert {type(error) for error in found.values()} <= {ProtocolMismatchError, PeerError}
    assert any(
        "malformed Pledge" in error.message for error in found.values() if isinstance(error, ProtocolMismatchError)
    )
    assert parties.tags() <= BEFORE_SHARES
    parties.close()


def test_a_party_whose_pledge_is_late_is_named(session: mpc.Session) -> None:
    parties = Parties(session, timeout=1, silent=("neutral",))
    found = parties.run(parties.request(total(session)))
    assert all(isinstance(error, PeerError) and "neutral" in error.message for error in found.values())
    assert parties.tags() <= BEFORE_SHARES
    parties.close()


_FORMAT = f'"format":{FORMAT}'.encode()


def test_malformed_requests_and_plans(session: mpc.Session, parties: Parties) -> None:
    good = parties.request(total(session))
    for plan in (b"", b"{}", good.plan[:-1], good.plan.replace(_FORMAT, b'"format":99')):
        found = parties.run(RunRequest("run", plan, good.options))
        assert any(isinstance(error, ProtocolMismatchError) for error in found.values())
        assert parties.tags() == set()


def test_owners_that_announce_different_row_counts(
    session: mpc.Session, parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = worker_module._Walk._rows

    def odd(self: Any, source: Any) -> int:
        return rows(self, source) + (self.name == "bank_b")

    monkeypatch.setattr(worker_module._Walk, "_rows", odd)
    found = parties.run(parties.request(total(session)))
    told = [error for error in found.values() if isinstance(error, ProtocolMismatchError)]
    assert any("announce different row counts" in error.message for error in told)
    assert parties.tags() <= BEFORE_SHARES | ALSO_BEFORE_SHARES


def test_pledges_carry_no_data(session: mpc.Session, parties: Parties) -> None:
    """What the parties compare are digests and versions: nothing of a table, not even of the same size as one."""
    parties.reports(parties.request(total(session)))
    sizes = {record.size for name in parties.names for record in parties.transcript(name) if record.tag == "run/pledge"}
    assert len(sizes) == 1
    pledge = Pledge("x" * 64, "x" * 64, "x" * 64, "x" * 64, worker_module.versions("aby3"))
    assert sizes == {len(encode(pledge))}
