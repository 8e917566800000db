"""Shares look like noise: those of a constant are uniform, fresh each time, and no one party's part tells more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

import mpc_engine as mpc
from mpc_engine.runtime import shares
from mpc_engine.runtime import worker as worker_module
from mpc_engine.runtime.spu_device import Sharer, runtime_config
from tests.workers import Parties

ROWS = 1 << 17  # 1 MiB of ring elements
FEW = 1 << 14
LOW, HIGH = 1e-6, 1 - 1e-6
CONSTANTS = [
    np.zeros(ROWS, np.int64), np.full(ROWS, -1, np.int64), np.full(ROWS, 1 << 40, np.int64), np.full(ROWS, 1.5),
    np.zeros(ROWS), np.zeros(ROWS, bool), np.ones(ROWS, bool),
]  # fmt: skip


def components(wire: bytes, dtype: Any, protocol: str, rows: int = ROWS) -> list[NDArray[np.uint8]]:
    """The bytes of each component that one party holds; single bits for booleans that are held as bits."""
    share = shares.decode(wire, dtype=np.dtype(dtype).name, shape=(rows,), protocol=protocol)
    meta = shares.parse_meta(share.meta)
    raw = np.frombuffer(bytes(shares.content(share, meta)), np.uint8)
    width = len(raw) // rows
    parts = 2 if protocol == "aby3" else 1
    return list(raw.reshape(rows, parts, width // parts).swapaxes(0, 1).reshape(parts, -1))


def uniform(data: NDArray[np.uint8]) -> float:
    """The chi-square p-value of all byte values; eight neighbours make one where only the lowest bit carries anything.

    (Of single bits, exactly half are set in one draw of 450: a p-value of 1 that says nothing.)
    """
    octets = np.packbits(data) if data.max() <= 1 else data
    return float(stats.chisquare(np.bincount(octets, minlength=256)).pvalue)


@pytest.mark.parametrize("protocol", ["aby3", "cheetah"])
@pytest.mark.parametrize("column", CONSTANTS, ids=lambda c: f"{c.dtype} {c[0]}")
def test_shares_of_a_constant_are_uniform(protocol: str, column: NDArray[Any]) -> None:
    sharer = Sharer(runtime_config(protocol))
    first, second = sharer.share(column), sharer.share(column)
    for wire, again in zip(first, second, strict=True):
        for part, other in zip(
            components(wire, column.dtype, protocol), components(again, column.dtype, protocol), strict=True
        ):
            assert LOW < uniform(part) < HIGH
            assert LOW < uniform(part ^ other) < HIGH  # fresh randomness, and none of it twice
    assert (sharer.reconstruct(first, dtype=column.dtype.name, shape=(ROWS,)) == column).all()


def test_the_two_components_of_a_party_are_independent() -> None:
    wires = Sharer(runtime_config("aby3")).share(np.zeros(ROWS, np.int64))
    for wire in wires:
        first, second = components(wire, np.int64, "aby3")
        assert LOW < uniform(first ^ second) < HIGH
        assert LOW < uniform(first + second) < HIGH


def test_the_test_sees_a_bad_generator() -> None:
    rng = np.random.default_rng(0)
    assert uniform(rng.integers(0, 255, 8 * ROWS, dtype=np.uint8)) < LOW
    assert uniform(np.zeros(8 * ROWS, np.uint8)) < LOW
    assert uniform((rng.random(ROWS) < 0.52).astype(np.uint8)) < LOW
    assert uniform(np.tile(np.array([0, 1], np.uint8), ROWS // 2)) < LOW  # as many of each, but in order


def test_one_partys_share_of_a_result_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent of constant columns, and each computing party's part of a constant result."""
    left = pd.DataFrame({"id": np.arange(FEW), "one": 1, "x": 2.5})
    right = pd.DataFrame({"id": np.arange(FEW), "two": 2})
    sent: list[bytes] = []
    deliver = worker_module._Walk._deliver
    monkeypatch.setattr(
        worker_module._Walk,
        "_deliver",
        lambda self, party, tag, wire: (sent.append(wire), deliver(self, party, tag, wire)),
    )
    tables = {"a": {"t": left}, "b": {"u": right}}
    with mpc.Session.local(tables, protocol="aby3", executor="threads", pushdown=False) as session:
        parties = Parties(session)
        both = session.table("a.t").merge(session.table("b.u"), on="id")
        frame = both.assign(sum=both.one + both.two, product=both.one * both.two, scaled=both.x * 0.3)
        reports = parties.reports(parties.request(frame[["sum", "product", "scaled"]]))
        results = [(w.wire, w.dtype) for report in reports.values() for w in report.wires if w.shape == (FEW,)]
        assert len(results) == 9
        for wire, dtype in results:
            for part in components(wire, dtype, "aby3", FEW):
                assert LOW < uniform(part) < HIGH
        parties.close()
    assert sent
    for wire in sent:
        raw = np.frombuffer(wire, np.uint8)[-8 * FEW :]
        assert LOW < uniform(raw) < HIGH
