"""Private set intersection: the rows it finds, what it leaves behind, and that the table's order does not matter."""

import hashlib
import itertools
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_compiler.cost.psi import psi_bytes
from mpc_engine.errors import ProtocolMismatchError
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.psi import align, clear_align
from mpc_engine.runtime.spu_device import memory_link

RUN_IDS = itertools.count()


def digests(*keys: object) -> np.ndarray:
    return np.array([hashlib.sha256(str(key).encode()).hexdigest()[:32] for key in keys], "S32").reshape(-1)


def both(left: np.ndarray, right: np.ndarray) -> list[tuple[np.ndarray, Any]]:
    """Intersect in two threads."""
    run_id = f"psi-{next(RUN_IDS)}"
    tables, meeting = (left, right), Meeting()
    return in_threads(
        lambda rank: align(memory_link(("bank_a", "bank_b"), rank, run_id), tables[rank], meeting.of(rank))
    )


class Meeting:
    """Two threads that swap messages."""

    def __init__(self) -> None:
        self._boxes: list[SimpleQueue[bytes]] = [SimpleQueue(), SimpleQueue()]

    def of(self, rank: int) -> Callable[[bytes], bytes]:
        def exchange(payload: bytes) -> bytes:
            self._boxes[1 - rank].put(payload)
            return self._boxes[rank].get(timeout=60)

        return exchange


def in_threads(body: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None, None]
    errors: list[BaseException] = []

    def call(rank: int) -> None:
        try:
            results[rank] = body(rank)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(rank,), daemon=True) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    if errors:
        raise errors[0]
    return results


def wanted(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, second = np.intersect1d(left, right, return_indices=True)
    return first, second


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (range(10), range(4, 11)),
        (range(1), range(1)),
        (range(5), range(100, 105)),
        ((), range(5)),
        (range(5), ()),
        ((), ()),
        (range(3000), range(2999, 3003)),
    ],
)
def test_finds_the_common_rows(left: range, right: range) -> None:
    a, b = digests(*left), digests(*right)
    found = both(a, b)
    for (rows, cost), expected in zip(found, wanted(a, b), strict=True):
        assert rows.dtype == np.int64
        np.testing.assert_array_equal(rows, expected)
        assert cost.bytes_sent > 0


def test_order_of_tables_does_not_matter() -> None:
    keys = [digests(*range(40)), digests(*range(20, 50))]
    shuffled = [np.random.default_rng(seed).permutation(table) for seed, table in enumerate(keys)]
    (first, _), (second, _) = both(*keys)
    (third, _), (fourth, _) = both(*shuffled)
    np.testing.assert_array_equal(keys[0][first], keys[1][second])
    np.testing.assert_array_equal(keys[0][first], shuffled[0][third])
    np.testing.assert_array_equal(keys[0][first], shuffled[1][fourth])


def test_keys_that_look_like_numbers() -> None:
    a = np.array([b"0" * 32, b"1" + b"0" * 31, b"1" + b"0" * 15 + b"e" + b"0" * 15], "S32")
    for rows, _ in both(a, a[::-1].copy()):
        assert len(rows) == 3


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_equals_the_clear_one(data: st.DataObject) -> None:
    tables = [digests(*data.draw(st.lists(st.integers(0, 30), unique=True, max_size=20))) for _ in range(2)]
    for rank, (rows, _) in enumerate(both(*tables)):
        clear = clear_align(tables[rank], lambda _, rank=rank: tables[1 - rank].tobytes())
        np.testing.assert_array_equal(rows, clear)


def test_a_link_serves_several_times() -> None:
    run_id = f"psi-{next(RUN_IDS)}"
    tables, meeting = [digests(*range(10)), digests(*range(5, 15))], Meeting()

    def party(rank: int) -> list[int]:
        link = memory_link(("a", "b"), rank, run_id)
        swap = meeting.of(rank)
        return [len(align(link, tables[rank], swap)[0]), len(align(link, tables[rank][:7], swap)[0])]

    assert in_threads(party) == [[5, 2], [5, 2]]


def test_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/somewhere")
    traces = set(Path("/tmp").glob("psi_*.trace"))
    both(digests(1, 2), digests(2, 3))
    assert list(tmp_path.iterdir()) == []
    assert set(Path("/tmp").glob("psi_*.trace")) <= traces
    assert os.environ["TMPDIR"] == "/somewhere"
    print("heard")
    out, err = capfd.readouterr()
    assert (out, err) == ("heard\n", "")


def test_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[int] = []

    def look(source: Path, target: Path) -> Any:
        seen.extend(path.stat().st_mode & 0o777 for path in tmp_path.iterdir())
        raise RuntimeError("psi stops here")

    monkeypatch.setattr("mpc_engine.runtime.psi._config", look)
    with pytest.raises(Exception, match="psi stops here"):
        both(digests(1), digests(1))
    assert seen
    assert set(seen) == {0o700}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        np.array(["a" * 32]),
        np.array([b"a" * 31], "S31"),
        np.array([[b"a" * 32]]),
        np.array([b"A" * 32]),
        np.array([b"a" * 31 + b","]),
        np.array([b"a" * 31], "S32"),
    ],
)
def test_digests_must_be_digests(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="key digests must be"):
        clear_align(bad, lambda _: b"")
    link = in_threads(lambda rank: memory_link(("a", "b"), rank, f"bad-{id(bad)}"))[0]
    with pytest.raises(ValueError, match="key digests must be"):
        align(link, bad, lambda _: b"")


def test_clear_align_refuses_other_bytes() -> None:
    with pytest.raises(ProtocolMismatchError, match="sent no key digests"):
        clear_align(digests(1), lambda _: b"abc")


def test_clear_align_of_nothing() -> None:
    assert clear_align(digests(), lambda _: b"").shape == (0,)
    assert clear_align(digests(1), lambda _: b"").dtype == np.int64


TCP_OWNER = """
    import hashlib, sys
    import numpy as np
    from mpc_engine.runtime.psi import align
    from mpc_engine.runtime.spu_device import tcp_link

    rank, ports = int(sys.argv[1]), sys.argv[2].split(",")
    link = tcp_link([f"127.0.0.1:{port}" for port in ports], rank, "psi")
    keys = range(0, 3000) if rank == 0 else range(4999, 999, -1)
    digests = np.array([hashlib.sha256(str(key).encode()).hexdigest()[:32] for key in keys], "S32")
    rows, cost = align(link, digests, lambda said: said)
    common = hashlib.sha256(digests[rows].tobytes()).hexdigest()
    print(len(rows), common, cost.bytes_sent, flush=True)
    link.close()
"""


def test_two_processes_over_tcp(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(textwrap.dedent(TCP_OWNER))
    with PortReservation(2) as reserved:
        ports = ",".join(map(str, reserved.ports))
        owners = [
            subprocess.Popen([sys.executable, str(script), str(rank), ports], stdout=subprocess.PIPE, text=True)
            for rank in range(2)
        ]
        try:
            lines = [owner.communicate(timeout=60)[0].split() for owner in owners]
        finally:
            for owner in owners:
                owner.kill()
                owner.communicate()
    assert lines[0][:2] == lines[1][:2]
    assert lines[0][0] == "2000"
    for rank, sizes in enumerate([(3000, 4000), (4000, 3000)]):
        sent = int(lines[rank][2])
        assert sent == 0 or abs(sent / psi_bytes(rank, *sizes, 2000) - 1) < 0.1
