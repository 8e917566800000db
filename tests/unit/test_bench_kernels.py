"""Benches of operations on shares: right results, exactly the declared cost, and processes that do not outlive them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from mpc_engine.cli import kernel_procs
from mpc_engine.cli.bench import WORKLOADS, Settings, settings_of
from mpc_engine.cli.bench_kernels import _combine, measure
from mpc_engine.cli.kernel_party import Hello, Order, Run, Side
from mpc_engine.cli.kernel_procs import Processes
from mpc_engine.cli.kernel_table import KERNELS, Size, opened, shares
from mpc_engine.cli.main import app
from mpc_engine.errors import ConfigError, MpcError
from mpc_engine.runtime.replicated.approx import sigmoid_cost
from mpc_engine.runtime.replicated.bit_cost import (
    a2b_cost,
    compact_cost,
    is_zero_cost,
    negative_cost,
    shuffle_cost,
    sort_cost,
)
from mpc_engine.runtime.replicated.cost import PartyCost, fixed_multiply_cost, multiply_cost
from mpc_engine.runtime.replicated.group import group_by_cost
from mpc_engine.runtime.replicated.lookup import lookup_cost
from tests.parties import run

# Few enough rows that a sort compares all pairs at once: then its cost is exact, too.
OPTIONS: dict[str, dict[str, int]] = {
    "sort": {"rows": 100},
    "shuffle": {"rows": 1000},
    "compaction": {"rows": 1000, "columns": 2},
    "groupby": {"rows": 100, "groups": 8, "bits": 20},
    "join": {"rows": 60, "groups": 20, "columns": 2},
    "multiply": {"rows": 2000},
    "fixed_multiply": {"rows": 2000},
    "a2b": {"rows": 2000, "bits": 20},
    "compare": {"rows": 2000},
    "equal": {"rows": 2000, "bits": 64},
    "matmul": {"rows": 300, "groups": 20, "columns": 10},
    "fixed_matmul": {"rows": 300, "groups": 20, "columns": 10},
    "sigmoid": {"rows": 2000},
}

# The operations that a workload consists of.
COSTS: dict[str, list[PartyCost]] = {
    "sort": [a2b_cost(100, 32), sort_cost(100, 32, [None])],
    "shuffle": [shuffle_cost(1000, [None] * 4)],
    "compaction": [a2b_cost(1000, 1), compact_cost(1000, [None] * 2)],
    "groupby": [a2b_cost(100, 20), a2b_cost(100, 32), group_by_cost(100, 20, sums=1, extremes=[(32, 2)])],
    "join": [a2b_cost(20, 32), a2b_cost(60, 32), lookup_cost(20, 60, 32, [None] * 2)],
    "multiply": [multiply_cost(2000)],
    "fixed_multiply": [fixed_multiply_cost(2000)],
    "a2b": [a2b_cost(2000, 20)],
    "compare": [negative_cost(2000, 33)],
    "equal": [is_zero_cost(2000, 64)],
    "matmul": [multiply_cost(200)],
    "fixed_matmul": [fixed_multiply_cost(200)],
    "sigmoid": [sigmoid_cost(2000)],
}


def size_of(workload: str) -> Size:
    settings = settings_of(workload, **OPTIONS[workload])
    return Size(settings.rows, settings.bits, settings.columns, settings.groups)


def bench(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["bench", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return figures


def test_every_operation_is_a_workload() -> None:
    assert (
        set(KERNELS) == set(OPTIONS) == set(COSTS) == {n for n, spec in WORKLOADS.items() if spec.module == "kernels"}
    )


@pytest.mark.parametrize("workload", [*OPTIONS])
def test_three_processes_measure_what_is_declared(workload: str) -> None:
    options = [word for name, value in OPTIONS[workload].items() for word in (f"--{name}", str(value))]
    figures = bench(workload, "--repeat", "1", *options)
    parts = COSTS[workload]
    total, rounds = sum(part.total for part in parts), sum(part.rounds for part in parts)
    assert figures["correct"] is True
    assert figures["bytes_sent"] == total
    # The first message of an operation need not wait for the last one of the operation before.
    assert rounds - len(parts) < figures["rounds"] <= rounds
    assert figures["bytes_per_row"] == pytest.approx(total / KERNELS[workload].items(size_of(workload)))
    assert figures["seconds"] > 0
    assert figures["peak_rss_mb"] > 10
    wanted = {"workload": workload, "protocol": "aby3", "executor": "processes", "parties": 3, "transport": "tcp"}
    assert wanted | OPTIONS[workload] == {key: figures[key] for key in (*wanted, *OPTIONS[workload])}
    assert figures["against"] == figures["ratio"] == {}
    assert ("max_error" in figures) == (KERNELS[workload].bound > 0)


@pytest.mark.parametrize("workload", [*OPTIONS])
def test_wrong_results_are_noticed(workload: str) -> None:
    """The check passes what the protocol returns and fails it when one share of one result is off."""
    kernel, size = KERNELS[workload], size_of(workload)
    secrets = kernel.secrets(size)
    truth = kernel.plain(secrets, size)

    def body(party: Any) -> list[np.ndarray]:
        mine = [shares(values, party.rank) for values in secrets]
        return [opened(party, column) for column in kernel.ours(party, mine, size)]

    found = run(body).results[0]
    assert kernel.error(found, secrets, truth) <= kernel.bound
    found[-1].reshape(-1)[0] ^= 1 << 30
    assert kernel.error(found, secrets, truth) > kernel.bound


def test_against_spu_and_numpy_with_encrypted_links() -> None:
    figures = bench(
        "groupby", "--rows", "300", "--groups", "200", "--repeat", "1", "--tls", "--against", "spu,plaintext"
    )
    assert figures["correct"] is True
    assert figures["transport"] == "tls"
    spu = figures["against"]["spu"]
    assert spu["correct"] is True
    assert spu["transport"] == "tcp"
    assert min(spu["rounds"], spu["bytes_sent"], spu["seconds"], figures["against"]["plaintext"]["seconds"]) > 0
    assert figures["ratio"]["spu"] == pytest.approx(spu["seconds"] / figures["seconds"])


def test_a_run_is_as_slow_as_its_slowest_party() -> None:
    def side(*seconds: float) -> Side:
        return Side(0.0, [Run(each, 1.0, 2, 10, 5.0) for each in seconds])

    found = _combine([side(1, 5, 2), side(3, 1, 2), side(1, 1, 2)])
    assert (found["seconds"], found["rounds"], found["bytes_sent"], found["cpu_seconds"]) == (3, 2, 30, 3)


@pytest.mark.parametrize(
    ("workload", "options", "said"),
    [
        ("compare", {"bits": 64}, "compare takes 1 to 63 bits here, not 64"),
        ("sort", {"bits": 63, "against": ("spu",)}, "sort takes 1 to 62 bits here, not 63"),
        ("join", {"bits": 5, "groups": 20}, "join takes 6 to 61 bits here, not 5"),
        ("multiply", {"executor": "threads"}, "its parties are processes under aby3"),
        ("multiply", {"protocol": "cheetah"}, "its parties are processes under aby3"),
    ],
)
def test_settings_that_make_no_sense(workload: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        measure(workload, settings_of(workload, **options))
    assert caught.value.code == "MPC-0833"


def test_defaults_give_way_to_what_is_given() -> None:
    assert settings_of("matmul", rows=7, bits=None) == Settings(rows=7, groups=1000, columns=100)


def test_a_dead_party_is_an_error_and_the_others_are_ended() -> None:
    with Processes(3) as processes:
        assert len(processes.hear(60)) == 3
        processes._held[1].kill()
        with pytest.raises(MpcError, match="party 1 of the bench ended early") as caught:
            processes.hear(60)
    assert caught.value.code == "MPC-0834"
    assert all(process.returncode is not None for process in processes._held)


def test_last_words_and_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_procs, "_COMMAND", (sys.executable, "-c", "import sys; sys.exit('no memory')"))
    with pytest.raises(MpcError) as caught, Processes(1) as processes:
        processes.hear(60)
    assert caught.value.hint == "party 0: no memory"
    monkeypatch.setattr(kernel_procs, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(MpcError, match=r"party 0 of the bench said nothing for 0\.2 s"), Processes(1) as processes:
        processes.hear(0.2)
    assert processes._held[0].returncode is not None


def test_a_party_ends_with_its_parent() -> None:
    with subprocess.Popen(kernel_procs._COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        hello = msgspec.json.decode(process.stdout.readline(), type=Hello)
        absent = Hello(("127.0.0.1", 1), b"")
        order = Order(0, [hello, absent, absent], False, [], "00" * 32, "multiply", Size(1, 1, 1, 1), 1, ["ours"], 60.0)
        process.communicate(msgspec.json.encode(order) + b"\n", timeout=20)  # closes its standard input
        assert process.returncode == 1
