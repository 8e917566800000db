"""What a compiled plan will cost, from upper bounds of the row counts."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mpc_compiler.cost import LINKS, LOOPBACK, Cost, LinkProfile, seconds
from mpc_compiler.cost.psi import PSI_ROUNDS, psi_bytes, psi_seconds
from mpc_compiler.lower.plan import Compiled
from mpc_compiler.lower.program import build_program, kept_of
from mpc_compiler.lower.stages import Compute
from mpc_compiler.options import COMPUTING
from mpc_compiler.partition import NATIVE, partition

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """Rounds, payload bytes of all parties, seconds on one machine, and how the program is cut."""

    rounds: int
    bytes: int
    seconds: float
    partition: str

    def seconds_on(self, link: LinkProfile) -> float:
        """Seconds where the parties are that far apart: the messages' delays and transfer on top of the computation."""
        messages = Cost(self.rounds, self.bytes)
        return max(self.seconds, self.seconds - seconds(messages, LOOPBACK) + seconds(messages, link))


@functools.lru_cache(maxsize=64)
def estimate(compiled: Compiled) -> Estimate:
    """Estimate a compiled plan; traces the program but runs nothing."""
    rounds, sent, text, took = 1, 0, "", 0.1
    most = {query.id: query.max_rows for query in compiled.queries}
    for align in compiled.aligns:
        left, right = (most.get(name, 0) for name in (align.left_local, align.right_local))
        both = min(left, right)
        rounds, took = rounds + PSI_ROUNDS, took + psi_seconds(left, right)
        sent += psi_bytes(0, left, right, both) + psi_bytes(1, right, left, both)
    compute = compiled.compute
    if compute is not None and compiled.options.protocol != "plaintext":
        parts = _compute(compute, compiled)
        return Estimate(rounds + parts.rounds, sent + parts.bytes, took + parts.seconds, parts.partition)
    if compute is not None:
        text = _compute(compute, compiled).partition
    return Estimate(rounds, sent, took, text)


def _shared(protocol: str, dtype: str, rows: int) -> int:
    """Bytes that an array takes to the computing parties; under ``aby3`` two of them get keys for most of it."""
    if protocol != "aby3":
        return 16 * rows * COMPUTING[protocol]
    return 16 * (-(-rows // 64) if dtype == "bool" else rows)


def _compute(compute: Compute, compiled: Compiled) -> Estimate:
    protocol = compiled.options.protocol
    rows = {source.id: source.rows for source in compute.inputs} | {k.name: k.rows for k in kept_of(compute)}
    program = build_program(compute, rows, compiled.options)
    cut = partition(
        program.jaxpr,
        program.specs,
        protocol=protocol,
        kernels=compiled.options.kernels,
        available=NATIVE if protocol == "aby3" else frozenset(),
        link=LINKS[compiled.options.link],
    )
    shared = 0
    for slot, spec in zip(program.inputs, program.specs, strict=True):
        # of what an owner keeps, one party gets the difference to what another makes itself
        shared += 8 * spec.size if slot.known >= 0 else _shared(protocol, slot.dtype.name, spec.size)
    cost = cut.cost
    return Estimate(cost.rounds + 2, cost.bytes + shared, seconds(cost, LOOPBACK) + shared / 1e9, str(cut))
