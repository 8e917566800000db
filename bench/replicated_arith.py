"""Times native replicated arithmetic against SPU's aby3: three processes, loopback TCP, interleaved.

    python bench/replicated_arith.py [--rows N] [--repeat N] [--only NAME ...] [--no-spu] [--json]

Both sides compute on shares of the same secrets in the same three processes, one thread a party, plain TCP. Every
result is compared with numpy first. Seconds are medians over the repeats of the slowest party's time; bytes count
payload of all parties. Processor seconds (all parties and threads) tell the sides apart on a busy machine too. With
``--json`` the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token

NAMES = ("a", "b", "c")
FRACTION = 18
SEED = 7
Array = NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """One operation: secrets, both sides and the truth."""

    name: str
    inputs: tuple[Array, ...]
    native: Callable[[Replicated, list[Array]], Array]
    jax: Callable[..., Any]
    truth: Array
    error: float
    rows: int


@dataclass(frozen=True)
class Row:
    """What was measured of one operation."""

    name: str
    rows: int
    seconds: float
    bytes_a_row: float
    rounds: int
    largest_error: float
    cpu_seconds: float
    spu_seconds: float | None = None
    ratio: float | None = None
    spu_cpu_seconds: float | None = None


def workloads(rows: int) -> list[Workload]:
    """Make the operations and their secrets, the same at every party."""
    from mpc_engine.runtime.replicated import arithmetic, truncate

    rng = np.random.default_rng(SEED)
    a, b = (rng.integers(-(2**31), 2**31, rows) for _ in range(2))
    x, y = (np.round(rng.normal(0, 100, rows) * 2**FRACTION) / 2**FRACTION for _ in range(2))
    z = np.round(rng.normal(0, 4, rows) * 2**FRACTION) / 2**FRACTION
    m, n = rng.integers(-1000, 1000, (1000, 1000)), rng.integers(-1000, 1000, (1000, 100))
    p, q = (np.round(v * 2**FRACTION / 100) / 2**FRACTION for v in (m, n))
    made = [
        Workload("multiply", (a, b), lambda p, s: arithmetic.multiply(p, *s), lambda u, v: u * v, a * b, 0.0, rows),
        Workload(
            "fixed_multiply",
            (x, y),
            lambda p, s: truncate.fixed_multiply(p, *s, bits=FRACTION),
            lambda u, v: u * v,
            x * y,
            2.0**-FRACTION,
            rows,
        ),
        Workload("matmul", (m, n), lambda p, s: p.matmul(*s), lambda u, v: u @ v, m @ n, 0.0, 100_000),
        Workload(
            "fixed_matmul",
            (p, q),
            lambda party, s: truncate.fixed_matmul(party, *s, bits=FRACTION),
            lambda u, v: u @ v,
            p @ q,
            2.0**-FRACTION,
            100_000,
        ),
    ]
    return [*made, sigmoid_workload(z)]


def sigmoid_workload(z: Array) -> Workload:
    """The logistic function, comparisons included."""
    import jax

    from mpc_engine.runtime.replicated import approx

    truth = 1 / (1 + np.exp(-z))
    return Workload("sigmoid", (z,), lambda p, s: approx.sigmoid(p, s[0]), jax.nn.sigmoid, truth, 1e-4, len(z))


def ring(values: Array) -> NDArray[np.uint64]:
    """Integers as they are, floats as fixed point."""
    whole = values if values.dtype.kind == "i" else np.round(values * 2**FRACTION)
    return whole.astype(np.int64).view(np.uint64)


def shares(values: Array, rank: int) -> Array:
    """Pairs of one party; every party draws the same parts."""
    rng = np.random.default_rng([SEED, values.size])
    secret = ring(values)
    parts = [rng.integers(0, 2**64, secret.shape, dtype=np.uint64) for _ in range(2)]
    parts.append(secret - parts[0] - parts[1])
    return np.ascontiguousarray(np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1))


@dataclass
class SpuSide:
    """SPU under the same process."""

    device: Any

    def prepare(self, work: Workload, pairs: list[Array]) -> Any:
        """Load the shares and compile."""
        import jax
        from jax.experimental import enable_x64

        from mpc_engine.runtime.spu_device import _OwnRegion

        names = tuple(f"in{index}" for index in range(len(pairs)))
        for name, values, own in zip(names, work.inputs, pairs, strict=True):
            self.device.store(name, own.reshape(-1, 2), dtype=values.dtype.name, shape=values.shape)
        with enable_x64():
            region = _OwnRegion(names, ("out",), jax.make_jaxpr(work.jax)(*work.inputs))
        return self.device.compile(region)


def connect_spu(rank: int, addresses: dict[str, str], run_id: str) -> SpuSide:
    """Link SPU's ranks over brpc."""
    from mpc_engine.runtime.spu_device import SpuDevice, runtime_config, tcp_link

    device = SpuDevice(rank, lambda: tcp_link(addresses, rank, run_id), runtime_config("aby3"))
    device.connect()
    return SpuSide(device)


def party(rank: int, pipe: Connection, rows: int, repeat: int, only: list[str], spu: bool) -> None:
    """Run in a process of its own: all operations, in lockstep with the peers."""
    listener = Listener()
    pipe.send(listener.address)
    addresses, token, spu_addresses = pipe.recv()
    with TcpChannel(NAMES[rank], listener, addresses=addresses, token=token, timeout=120) as channel:
        machine = Replicated(rank, ChannelLinks(channel, NAMES))
        machine.setup()
        other = connect_spu(rank, spu_addresses, "bench-replicated-arith") if spu else None
        for work in workloads(rows):
            if only and work.name not in only:
                continue
            pipe.send((work.name, *measure(work, machine, channel, other, rank, repeat)))
        if other:
            other.device.close()
    pipe.send(None)


def measure(
    work: Workload, machine: Replicated, channel: TcpChannel, other: SpuSide | None, rank: int, repeat: int
) -> tuple[list[float], list[float], int, int, float, list[float]]:
    """Return seconds of both sides, bytes sent, rounds, the largest error of what was opened, and processor seconds."""
    from mpc_engine.runtime.replicated import arithmetic

    pairs = [shares(values, rank) for values in work.inputs]
    before = channel.snapshot()
    result = work.native(machine, pairs)
    spent = channel.snapshot().since(before)
    opened = arithmetic.open_all(machine, result).view(np.int64)
    found = opened if work.truth.dtype.kind == "i" else opened / 2.0**FRACTION
    error = float(np.abs(found - work.truth).max())
    compiled = other.prepare(work, pairs) if other else None
    if other:
        other.device.run(compiled)
    ours, theirs, cpu = [], [], [0.0, 0.0]
    for number in range(repeat):
        channel.agree(f"start {work.name} {number}", b"")
        start, used = time.perf_counter(), time.process_time()
        work.native(machine, pairs)
        ours.append(time.perf_counter() - start)
        cpu[0] += (time.process_time() - used) / repeat
        if other:
            channel.agree(f"spu {work.name} {number}", b"")
            used = time.process_time()
            theirs.append(other.device.run(compiled).seconds)
            cpu[1] += (time.process_time() - used) / repeat
    return ours, theirs, spent.total_sent, spent.rounds, error, cpu


def run(rows: int, repeat: int, only: list[str], spu: bool) -> list[Row]:
    """Start the parties and put their figures together."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    with PortReservation(3) as reserved:
        for rank in range(3):
            here, there = context.Pipe()
            process = context.Process(target=party, args=(rank, there, rows, repeat, only, spu), daemon=True)
            process.start()
            pipes.append(here)
            processes.append(process)
        addresses = dict(zip(NAMES, (pipe.recv() for pipe in pipes), strict=True))
        spu_addresses = {name: f"127.0.0.1:{port}" for name, port in zip(NAMES, reserved.ports, strict=True)}
        token = new_token()
        for pipe in pipes:
            pipe.send((addresses, token, spu_addresses))
        found = []
        while (answers := [pipe.recv() for pipe in pipes])[0] is not None:
            found.append(combine(answers, {work.name: work for work in workloads(rows)}[answers[0][0]]))
        for process in processes:
            process.join(30)
    return found


def combine(answers: list[Any], work: Workload) -> Row:
    """Put three parties' figures together: the slowest of each repeat, all bytes."""
    name, error = answers[0][0], answers[0][5]
    rounds = max(answer[4] for answer in answers)
    if error > work.error:
        raise SystemExit(f"{name}: error {error:.3g} exceeds {work.error:.3g}")
    ours = median(max(times) for times in zip(*(answer[1] for answer in answers), strict=True))
    theirs = [max(times) for times in zip(*(answer[2] for answer in answers), strict=True)]
    total = sum(answer[3] for answer in answers)
    cpu, spu_cpu = (sum(answer[6][side] for answer in answers) for side in (0, 1))
    row = Row(name, work.rows, ours, total / work.rows, rounds, error, cpu)
    if not theirs:
        return row
    return replace(row, spu_seconds=median(theirs), ratio=median(theirs) / ours, spu_cpu_seconds=spu_cpu)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="names of operations")
    parser.add_argument("--no-spu", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    rows = run(options.rows, options.repeat, options.only, not options.no_spu)
    for row in rows:
        against = ""
        if row.ratio is not None and row.spu_cpu_seconds is not None:
            against = f"  SPU {row.spu_seconds:.4f} s = {row.ratio:.1f} x, processor {row.spu_cpu_seconds:.3f} s"
        print(
            f"{row.name:15} {row.rows:>9} {row.seconds:.4f} s  {row.bytes_a_row:.1f} B/row  {row.rounds} rounds  "
            f"error {row.largest_error:.2g}  processor {row.cpu_seconds:.3f} s{against}"
        )
    if options.json:
        facts = {"workload": "replicated_arith", "cpus": os.cpu_count(), "repeat": options.repeat, "threads": 1}
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
