"""A computing party's programs: built from the plan, cut, compiled, compared, and run in lockstep."""

from __future__ import annotations

import functools
import hashlib
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_compiler.cost import LINKS, Link
from mpc_compiler.lower.program import Program, Slot, build_program
from mpc_compiler.lower.stages import Compute
from mpc_compiler.options import Options
from mpc_compiler.partition import NATIVE, KernelRegion, Partitioned, partition
from mpc_engine.runtime.channel import Channel
from mpc_engine.runtime.device import Compiled, Device
from mpc_engine.runtime.kernels import Values, run_kernel
from mpc_engine.runtime.messages import OutputWire
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.replicated.owned import own
from mpc_engine.runtime.steps import Steps

__all__ = ["Programs", "Ready"]

Step = Compiled | KernelRegion


@dataclass(frozen=True)
class Ready:
    """A program that can run: its arrays' names at the device, and its steps.

    Attributes
    ----------
    slots : tuple of Slot
        Inputs, in order.
    digest : str
        SHA-256 over all compiled code and kernel calls.
    avals : dict of str to (shape, dtype)
        Shape and type of every variable.
    text : str
        How the program was cut.
    link : Link
        What native kernels choose by.
    """

    program: Program
    cut: Partitioned
    steps: tuple[Step, ...]
    avals: dict[str, tuple[tuple[int, ...], str]]
    digest: str
    text: str
    link: Link

    @functools.cached_property
    def last_reads(self) -> list[list[str]]:
        """Variables that nobody reads after each region."""
        return _last_reads(self.cut)

    @property
    def needs_device(self) -> bool:
        """Whether anything runs outside the native kernels."""
        return not all(isinstance(step, KernelRegion) for step in self.steps)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Inputs, in order."""
        return self.program.inputs


class Programs:
    """Builds, keeps and runs the programs of one computing party.

    Parameters
    ----------
    device : Device
        Runs the regions.
    computing : tuple of str
        Computing parties by rank.
    me : str
        This one.
    """

    _KEPT = 32

    def __init__(self, device: Device, computing: tuple[str, ...], me: str) -> None:
        self._device = device
        self._computing = computing
        self._me = me
        self._ready: dict[tuple[Any, ...], Ready] = {}
        self._kernels: Replicated | None = None
        self._values: Values | None = None
        self._replicated = device.parties == 3
        self._engine = "spu" if device.parties > 1 else "jax"

    def prepare(self, compute: Compute, rows: dict[str, int], options: Options) -> Ready:
        """The program for these row counts, compiled; kept for the next run of the same plan."""
        self._values = None  # of a run that failed
        key = (compute, tuple(sorted(rows.items())), options)
        if key not in self._ready:
            if len(self._ready) >= self._KEPT:
                self._ready.pop(next(iter(self._ready)))
            self._ready[key] = self._build(compute, rows, options)
        return self._ready[key]

    def _build(self, compute: Compute, rows: dict[str, int], options: Options) -> Ready:
        with _TRACING:
            program, cut = _traced(compute, tuple(rows.items()), options)
        steps: list[Step] = []
        digest = hashlib.sha256()
        for region in cut.regions:
            if isinstance(region, KernelRegion):
                steps.append(region)
                digest.update(region.digest())
            else:
                compiled = self._device.compile(region)
                steps.append(compiled)
                digest.update(compiled.digest.encode())
        link = LINKS[options.link].kernels
        return Ready(program, cut, tuple(steps), _avals(program, cut), digest.hexdigest(), str(cut), link)

    def connect(self, channel: Channel, ready: Ready | None = None) -> None:
        """Link the computing parties, once: agree on the seeds of the native kernels, and link SPU if it has a part.

        Parameters
        ----------
        channel : Channel
        ready : Ready, optional
            The program that is to run, once that is known.
        """
        if self._replicated and self._kernels is None:
            self._kernels = Replicated(self._device.rank, ChannelLinks(channel, self._computing))
            self._kernels.setup()
        if not self._replicated or (ready is not None and ready.needs_device):
            self._device.connect()

    def load(self, ready: Ready, slot: Slot, wire: bytes) -> None:
        """Take in this party's share of an input."""
        if self._values is None:
            self._values = Values(self._device, ready.avals)
        at = ready.slots.index(slot)
        name, shape = ready.cut.inputs[at], ready.program.specs[at].shape
        if self._replicated:
            self._values.arrived(name, wire)
        else:
            self._device.load(name, wire, dtype=slot.dtype.name, shape=shape)
            self._values.made_by_device([name])

    def load_kept(self, ready: Ready, slot: Slot, wire: bytes) -> None:
        """Take in this party's share of a result of an earlier run."""
        if self._values is None:
            self._values = Values(self._device, ready.avals)
        at = ready.slots.index(slot)
        name, shape = ready.cut.inputs[at], ready.program.specs[at].shape
        if self._replicated and self._values.kept(name, wire):
            return
        if self._replicated:
            self._device.connect()
        self._device.load(name, wire, dtype=slot.dtype.name, shape=shape)
        self._values.made_by_device([name])

    def own(self, ready: Ready, slot: Slot, values: NDArray[Any] | None) -> None:
        """Set up a matrix that one computing party knows; the others give None."""
        assert self._kernels is not None
        if self._values is None:
            self._values = Values(self._device, ready.avals)
        name = ready.cut.inputs[ready.slots.index(slot)]
        shape, _ = ready.avals[name]
        self._values.own(name, own(self._kernels, slot.known, values, (shape[0], shape[1])))

    def execute(self, ready: Ready, steps: Steps) -> tuple[OutputWire, ...]:
        """Run all regions; returns this party's shares of the outputs."""
        values, self._values = self._values or Values(self._device, ready.avals), None
        if self._kernels is not None:
            self._kernels.link = ready.link
        last = ready.last_reads
        for number, (region, step) in enumerate(zip(ready.cut.regions, ready.steps, strict=True), 1):
            if isinstance(region, KernelRegion):
                self._run_kernel(number, region, values, ready, steps)
            else:
                assert isinstance(step, Compiled)
                with steps.step(f"region {number}: {len(region.jaxpr.jaxpr.eqns)} equations", self._engine) as cost:
                    values.hand_over(region.inputs)
                    spent = self._device.run(step)
                    values.made_by_device(region.outputs)
                    cost.add((spent.rounds, spent.bytes_sent))
            values.drop(last[number - 1])
        wires = [self._output(ready, values, at) for at in range(len(ready.program.outputs))]
        values.forget()
        return tuple(wires)

    def _run_kernel(self, number: int, region: KernelRegion, values: Values, ready: Ready, steps: Steps) -> None:
        assert self._kernels is not None
        if region.local and all(map(values.here, region.inputs)):
            run_kernel(self._kernels, region, values, ready.avals)  # no step of its own in the report
            return
        with steps.step(f"region {number}: {region.title}", "native") as cost:
            before = self._device.spent  # inputs may have to be converted by SPU first
            run_kernel(self._kernels, region, values, ready.avals)
            after = self._device.spent
            cost.add((after.rounds - before.rounds, after.bytes_sent - before.bytes_sent))

    def _output(self, ready: Ready, values: Values, at: int) -> OutputWire:
        slot, name = ready.program.outputs[at], ready.cut.outputs[at]
        shape, dtype = ready.avals[name]
        return OutputWire(slot.relation, slot.column, slot.valid, dtype, shape, values.export(name), slot.word)


def _last_reads(cut: Partitioned) -> list[list[str]]:
    """Variables that nobody reads after each region."""
    kept = set(cut.outputs)
    found = []
    for region in reversed(cut.regions):
        names = [name for name in dict.fromkeys((*region.inputs, *region.outputs)) if name not in kept]
        kept.update(names)
        found.append(names)
    return found[::-1]


_TRACING = threading.Lock()


@functools.lru_cache(maxsize=64)
def _traced(compute: Compute, rows: tuple[tuple[str, int], ...], options: Options) -> tuple[Program, Partitioned]:
    """Trace and cut once a process, also where several parties are its threads."""
    program = build_program(compute, dict(rows), options)
    available = NATIVE if options.protocol == "aby3" else frozenset()
    cut = partition(
        program.jaxpr,
        program.specs,
        protocol=options.protocol,
        kernels=options.kernels,
        available=available,
        link=LINKS[options.link],
    )
    return program, cut


def _avals(program: Program, cut: Partitioned) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of every variable that a region reads or makes."""
    found = {
        name: (tuple(spec.shape), np.dtype(spec.dtype).name)
        for name, spec in zip(cut.inputs, program.specs, strict=True)
    }
    for region in cut.regions:
        for name, variable in zip(region.outputs, region.jaxpr.jaxpr.outvars, strict=True):
            found[name] = (tuple(variable.aval.shape), np.dtype(variable.aval.dtype).name)
    return found
