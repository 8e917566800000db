"""One party's walk through the stages of a plan, the same code under every executor.

Order of a run: compile, compare digests with everyone, local queries, alignment, sizes, compile the program,
compare the code's digests, share columns, run regions in lockstep, export the results' shares.
"""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Container, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mpc_compiler.ir import FRACTION_BITS, Kept
from mpc_compiler.lower.plan import Compiled, compile_plan
from mpc_compiler.lower.program import ORDER, PIECE, Slot, input_slots, kept_of
from mpc_compiler.lower.stages import Align, Compute, Input, Owned
from mpc_compiler.serde import decode_plan
from mpc_engine.errors import ConfigError, ProtocolMismatchError, SchemaError
from mpc_engine.io.local import LocalStore
from mpc_engine.io.memory import give_back
from mpc_engine.io.tables import in_pieces, to_ipc
from mpc_engine.runtime.backend import device_for, splitter_for, versions
from mpc_engine.runtime.blocks import block_arrays
from mpc_engine.runtime.channel import Channel
from mpc_engine.runtime.compute import Programs
from mpc_engine.runtime.connections import Connections
from mpc_engine.runtime.device import Device
from mpc_engine.runtime.messages import (
    Fetch,
    OutputWire,
    PartySetup,
    Pledge,
    Report,
    RunRequest,
    TableOut,
    decode,
    encode,
)
from mpc_engine.runtime.steps import Steps

__all__ = ["Worker"]

Rows = NDArray[np.int64]
_ONE = 2.0**FRACTION_BITS
_COMPILING = 540.0
"""Seconds that compiling a program may take, on a busy machine."""
_PSI_SECONDS_A_ROW = 2e-4
"""Longest that an intersection may take a row, so that whoever waits for its result waits long enough."""


def _name(run: str, slot: Slot) -> str:
    """What a message with a party's share of an array is called."""
    return f"{run}/{slot.relation}/{slot.column}/{slot.valid:d}/{slot.word}"


def _digest(*parts: bytes | str) -> str:
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()


class Worker:
    """A party: owner of tables, computing party, or both.

    Parameters
    ----------
    name : str
        This party.
    setup : PartySetup
        Who takes part, and this party's tables.
    links : Connections
        Connections to the others.
    """

    def __init__(self, name: str, setup: PartySetup, links: Connections) -> None:
        self.name = name
        self._setup = setup
        self._links = links
        self._device: Device | None = None
        self._programs: Programs | None = None
        self._kept: dict[str, tuple[OutputWire, ...]] = {}
        self._pieces: dict[tuple[str, str], tuple[tuple[OutputWire, ...], tuple[TableOut, ...]]] = {}
        if name in setup.computing:
            self._device = device_for(setup.protocol, setup.computing, name, links)
            self._programs = Programs(self._device, setup.computing, name)

    def connect(self) -> None:
        """Link the computing parties now rather than in the first run."""
        if self._programs is not None:
            self._programs.connect(self._links.channel())

    def run(self, request: RunRequest) -> Report:
        """Walk through the stages.

        Raises
        ------
        MpcError
            This party's own error; its peers are told that it gives up.
        """
        channel = self._links.channel()
        try:
            return _Walk(self, request, channel).run()
        except BaseException as error:
            channel.abort(error)
            raise

    def fetch(self, request: Fetch) -> Report:
        """Hand out a piece of a result that was released in pieces, and forget it.

        Raises
        ------
        ProtocolMismatchError
            When there is no such piece.
        """
        if not request.piece:
            self._pieces = {key: held for key, held in self._pieces.items() if key[0] != request.run}
            return Report((), (), (), "", 0)
        wires, tables = self._pieces.pop((request.run, request.piece), ((), ()))
        return Report(wires, tables, (), "", 0)

    def close(self) -> None:
        """Let go of device and links."""
        self._kept.clear()
        self._pieces.clear()
        if self._device is not None:
            self._device.close()
        self._links.close()


class _Walk:
    """The state of one run at one party."""

    def __init__(self, worker: Worker, request: RunRequest, channel: Channel) -> None:
        self.name = worker.name
        self._setup = worker._setup
        self._links = worker._links
        self._device = worker._device
        self._programs = worker._programs
        self._worker = worker
        self._request = request
        self._channel = channel
        self._steps = Steps(channel)
        self._store = LocalStore(self._setup.tables)
        self._members: dict[str, dict[str, Rows | None]] = {}
        self._partition = ""
        self._mine: dict[str, bytes] = {}
        self._owners: dict[str, str] = {}
        self._about: dict[str, str] = {}
        self._locals: dict[str, tuple[str, ...]] = {}
        self._blocks: dict[str, dict[str, NDArray[Any]]] = {}

    def run(self) -> Report:
        try:
            return self._run()
        finally:
            self._store.close()

    def _run(self) -> Report:
        with self._steps.step("compile the plan", "compiler"):
            compiled = compile_plan(decode_plan(self._request.plan), self._request.options)
        self._owners = {query.id: query.owner for query in compiled.queries}
        self._about = {query.id: query.about for query in compiled.queries}
        self._locals = {query.id: (query.id,) for query in compiled.queries}
        self._locals |= {stage.id: stage.members for stage in compiled.aligns}
        with self._steps.step("compare digests", "channel"):
            self._compare(compiled)
        self._query(compiled)
        for stage in compiled.aligns:
            with self._steps.step(
                f"intersect {self._about[stage.left_local]} with {self._about[stage.right_local]}", "psi"
            ) as cost:
                cost.add(self._align(stage))
        self._store.disconnect()
        wires: tuple[OutputWire, ...] = ()
        if compiled.compute is not None:
            wires = self._compute(compiled.compute, {stage.source for stage in compiled.releases})
        wires, tables = self._hold(compiled, wires, self._release(compiled))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return Report(wires, tables, tuple(self._steps.done), self._partition, peak)

    # --- before anything is sent ---------------------------------------------------------------------------------

    def _compare(self, compiled: Compiled) -> None:
        options = self._request.options
        if options.protocol != self._setup.protocol or options.computing != self._setup.computing:
            raise ProtocolMismatchError("the run's options differ from this runtime's", code="MPC-0704")
        config = self._device.config if self._device is not None else b""
        mine = Pledge(
            plan=_digest(self._request.plan),
            options=_digest(encode(options)),
            stages=_digest(repr(compiled.stages)),
            runtime=_digest(config) if config else "",
            versions=versions(options.protocol),
        )
        tag = f"{self._request.run}/pledge"
        for party, payload in self._channel.agree(tag, encode(mine)).items():
            theirs = decode(payload, Pledge)
            if not theirs.runtime or not mine.runtime:
                theirs = Pledge(theirs.plan, theirs.options, theirs.stages, mine.runtime, theirs.versions)
            if theirs != mine:
                raise ProtocolMismatchError(
                    f"{self.name} and {party} differ in {mine.difference(theirs)}",
                    code="MPC-0705",
                    hint="run the same release with the same options at every party",
                )

    # --- owners ------------------------------------------------------------------------------------------------------

    def _query(self, compiled: Compiled) -> None:
        for query in compiled.queries:
            if query.owner != self.name:
                continue
            with self._steps.step(f"query {query.about} in {self.name}'s DuckDB", "duckdb"):
                rows = self._store.run(query)
                if rows > query.max_rows:
                    raise SchemaError(
                        f"a merge inside {self.name} made more than {query.max_rows} rows: keys repeat on both sides",
                        code="MPC-0108",
                        hint="make one side's key unique: df.groupby(key).agg(...)",
                    )
                self._members[query.id] = {query.id: None}

    def _align(self, stage: Align) -> tuple[int, int]:
        """Find the common rows; returns (rounds, bytes) of the intersection protocol."""
        traffic = (0, 0)
        tag = f"{self._request.run}/{stage.id}"
        mine: dict[str, Rows | None] = {}
        own = self._match(stage) if self.name == stage.left_owner == stage.right_owner else {}
        sides = {stage.left: stage.left_owner, stage.right: stage.right_owner}
        found: dict[str, Rows] = {}
        for side, owner in sides.items():
            if self.name == owner:
                if own:
                    found[side] = own[side]
                else:
                    found[side], traffic = self._intersect(stage, left=side == stage.left)
                for other in self._others(side) - {owner}:
                    self._channel.send(other, tag, found[side].tobytes())
        # An owner of rows on both sides matches its keys before it waits for the other side's owner.
        for side, owner in sides.items():
            before = self._members.get(side, {})
            if before and self.name != owner:
                patience = self._setup.timeout + _PSI_SECONDS_A_ROW * self._most_rows(before)
                found[side] = np.frombuffer(self._channel.recv(owner, tag, patience), np.int64)
            mine |= {local: found[side] if old is None else old[found[side]] for local, old in before.items()}
        if mine:
            self._members[stage.id] = mine
        return traffic

    def _most_rows(self, members: Mapping[str, Rows | None]) -> int:
        return max(self._store.rows(local) for local in members)

    def _others(self, source: str) -> set[str]:
        """Owners of the rows of an aligned source."""
        return {self._owners[local] for local in self._locals[source]}

    def _digests(self, stage: Align, *, left: bool) -> NDArray[np.bytes_]:
        side, local = (stage.left, stage.left_local) if left else (stage.right, stage.right_local)
        digests = self._store.digests(local, stage.left_on if left else stage.right_on)
        rows = self._members[side][local]
        return digests if rows is None else digests[rows]

    def _match(self, stage: Align) -> dict[str, Rows]:
        """Both sides' keys are mine: matched here, without a protocol."""
        keys = self._digests(stage, left=True), self._digests(stage, left=False)
        _, left, right = np.intersect1d(*keys, assume_unique=True, return_indices=True)
        return {stage.left: left, stage.right: right}

    def _intersect(self, stage: Align, *, left: bool) -> tuple[Rows, tuple[int, int]]:
        digests = self._digests(stage, left=left)
        pair = (min(stage.left_owner, stage.right_owner), max(stage.left_owner, stage.right_owner))
        tag = f"{self._request.run}/{stage.id}/psi"
        peer = stage.right_owner if left else stage.left_owner

        def exchange(payload: bytes) -> bytes:
            return self._channel.exchange(peer, peer, tag, payload)

        if self._setup.protocol == "plaintext":
            from mpc_engine.runtime.psi import clear_align

            return clear_align(digests, exchange), (0, 0)
        from mpc_engine.runtime.psi import align

        # An owner that refuses its keys must stop its peer before the two enter the intersection.
        exchange(b"ready")
        link = self._links.psi_link(pair, self.name, f"{self._request.run}-{stage.id}")
        found, cost = align(link, digests, exchange)
        return found, (cost.rounds, cost.bytes_sent)

    # --- shares ------------------------------------------------------------------------------------------------------

    def _compute(self, compute: Compute, released: Container[str]) -> tuple[OutputWire, ...]:
        """Share and compute; of local queries only those whose rows are released are kept after that."""
        with self._steps.step("announce row counts", "channel"):
            rows = {source.id: self._announce(source) for source in compute.inputs}
        kept = {node.name: node for node in kept_of(compute)}
        if self._programs is not None:
            rows |= {name: self._kept_rows(node) for name, node in kept.items()}
        tag = self._request.run
        if self._programs is None:
            with self._steps.step("compare the code's digests", "channel"):
                self._channel.agree(f"{tag}/code", b"", self._patience)
            with self._steps.step("share columns", "channel"):
                self._share(compute, rows)
                self._store.keep(released)
            return ()
        with self._steps.step("compile the program", "compiler"):
            ready = self._programs.prepare(compute, rows, self._request.options)
            self._partition = ready.text
        with self._steps.step("compare the code's digests", "channel"):
            self._compare_code(ready.digest)
        with self._steps.step("link the computing parties", "channel"):
            self._programs.connect(self._channel, ready)
        with self._steps.step("share columns", "channel"):
            self._share(compute, rows)
            self._store.keep(released)
            for slot in ready.slots:
                if slot.relation in kept:
                    self._programs.load_kept(ready, slot, self._kept_wire(slot))
                    continue
                if slot.known >= 0:
                    self._programs.own(ready, slot, self._array(compute, slot) if self._knows(slot) else None)
                    continue
                for owner in self._slot_owners(compute, slot):
                    name = _name(tag, slot)
                    wire = self._mine.pop(name) if owner == self.name else self._channel.recv(owner, name)
                    self._programs.load(ready, slot, wire)
            give_back()
        return self._programs.execute(ready, self._steps)

    @property
    def _patience(self) -> float:
        """Seconds that others may take to compile; a party that died is noticed at once all the same."""
        return self._setup.timeout + _COMPILING

    def _compare_code(self, digest: str) -> None:
        told = self._channel.agree(f"{self._request.run}/code", digest.encode(), self._patience)
        for party, theirs in told.items():
            if party in self._setup.computing and theirs != digest.encode():
                raise ProtocolMismatchError(
                    f"{self.name} and {party} compiled different programs from the same plan",
                    code="MPC-0706",
                    hint="install the same versions of jax and spu everywhere",
                )

    def _announce(self, source: Input) -> int:
        """Tell everyone how many rows an input has, and check that all its owners say the same."""
        owners = sorted(self._others(source.source))
        tag = f"{self._request.run}/rows/{source.id}"
        if self.name in owners:
            rows = self._rows(source)
            for party in self._channel.peers:
                self._channel.send(party, tag, str(rows).encode())
        patience = self._setup.timeout + _PSI_SECONDS_A_ROW * source.rows
        told = {
            self._rows(source) if owner == self.name else _count(self._channel.recv(owner, tag, patience))
            for owner in owners
        }
        if len(told) != 1:
            raise ProtocolMismatchError(f"the owners of {source.id} announce different row counts", code="MPC-0707")
        count = told.pop()
        if count > source.rows:
            raise ProtocolMismatchError(
                f"{source.id} has {count} rows, more than the {source.rows} that the plan's ranges were checked for",
                code="MPC-0707",
                hint="the data changed since the session was opened: open it again",
            )
        return count

    def _rows(self, source: Input) -> int:
        members = self._members[source.source]
        local, positions = next(iter(members.items()))
        return self._store.rows(local) if positions is None else len(positions)

    def _slot_owners(self, compute: Compute, slot: Slot) -> list[str]:
        block = _block_of(compute, slot)
        if block is not None:
            return [block.columns[0].owner]
        source = next(s for s in compute.inputs if s.id == slot.relation)
        if slot.column == ORDER:
            return [self._owners[source.order_local]]
        return [wanted.owner for wanted in source.columns if wanted.name == slot.column]

    def _share(self, compute: Compute, rows: Mapping[str, int]) -> None:
        """Split every column of mine and send one message a computing party and array; make the matrices I keep."""
        splitter = splitter_for(self._setup.protocol)
        kept = {node.name for node in kept_of(compute)}
        for slot in input_slots(compute):
            if slot.known >= 0 and self._knows(slot):
                self._array(compute, slot)
            if slot.relation in kept or slot.known >= 0 or self.name not in self._slot_owners(compute, slot):
                continue
            array = self._array(compute, slot)
            if len(array) != (slot.width or rows[slot.relation]):
                raise ProtocolMismatchError("a column has another length than announced", code="MPC-0707")
            tag = _name(self._request.run, slot)
            for party, wire in zip(self._setup.computing, splitter.share(array), strict=True):
                self._deliver(party, tag, wire)

    def _deliver(self, party: str, tag: str, wire: bytes) -> None:
        if party == self.name:
            self._mine[tag] = wire
        else:
            self._channel.send(party, tag, wire)

    def _knows(self, slot: Slot) -> bool:
        """Whether this is the party that keeps a matrix in the clear."""
        return self.name in self._setup.computing and slot.known == self._setup.computing.index(self.name)

    def _block(self, block: Owned) -> dict[str, NDArray[Any]]:
        """What this owner of a block keeps and shares of it."""
        if block.id not in self._blocks:
            members = self._members[block.source]
            values = (self._store.column(w.local, w.field, members[w.local]).value for w in block.columns)
            self._blocks[block.id] = block_arrays(block, values, self._block_rows(block))
        return self._blocks[block.id]

    def _block_rows(self, block: Owned) -> int:
        local = block.columns[0].local
        positions = self._members[block.source][local]
        return self._store.rows(local) if positions is None else len(positions)

    def _array(self, compute: Compute, slot: Slot) -> NDArray[Any]:
        block = _block_of(compute, slot)
        if block is not None:
            return self._block(block)[slot.column]
        source = next(s for s in compute.inputs if s.id == slot.relation)
        members = self._members[source.source]
        if slot.column == ORDER:
            positions = members[source.order_local]
            assert positions is not None
            rank = np.empty(len(positions), np.int64)
            rank[np.argsort(positions, kind="stable")] = np.arange(len(positions))
            return rank
        wanted = next(w for w in source.columns if w.name == slot.column)
        encoded = self._store.column(wanted.local, wanted.field, members[wanted.local])
        if slot.valid:
            assert encoded.valid is not None
            return encoded.valid
        if slot.dtype == np.float64 and self._setup.protocol != "plaintext":
            nearest: NDArray[Any] = np.rint(encoded.value * _ONE) / _ONE  # SPU's own encoding cuts off: biased
            return nearest
        return encoded.rest[slot.word - 1] if slot.word else encoded.value

    # --- results -----------------------------------------------------------------------------------------------------

    def _kept_rows(self, node: Kept) -> int:
        """The length of the arrays of a result of an earlier run."""
        held = self._worker._kept.get(node.name, ())
        rows = {wire.shape[0] for wire in held}
        if len(rows) != 1 or max(rows) > node.rows:
            raise ConfigError(
                f"{self.name} does not hold the result that was kept as {node.name!r}",
                code="MPC-0813",
                hint="a party was started anew: persist() again",
            )
        return rows.pop()

    def _kept_wire(self, slot: Slot) -> bytes:
        for wire in self._worker._kept[slot.relation]:
            if (wire.column, wire.valid, wire.word) == (slot.column, slot.valid, slot.word):
                return wire.wire
        raise ProtocolMismatchError(
            f"what is kept as {slot.relation!r} has no column {slot.column!r} of this form", code="MPC-0708"
        )

    def _hold(
        self, compiled: Compiled, wires: tuple[OutputWire, ...], tables: tuple[TableOut, ...]
    ) -> tuple[tuple[OutputWire, ...], tuple[TableOut, ...]]:
        """Keep what nobody receives, and what is released in pieces; returns what goes out now."""
        outputs = {output.name: output for output in compiled.plan.outputs}
        sent: list[OutputWire] = []
        pieces: dict[str, list[OutputWire]] = {}
        for wire in wires:
            output = outputs.get(wire.relation.split(PIECE)[0])
            if output is None or (output.receivers and not output.chunk):
                sent.append(wire)
            elif output.chunk:
                pieces.setdefault(wire.relation, []).append(wire)
                sent.append(msgspec.structs.replace(wire, wire=b""))
        kept = {name: tuple(w for w in wires if w.relation == name) for name, o in outputs.items() if not o.receivers}
        self._worker._kept |= kept if wires else {}
        told: list[TableOut] = []
        for table in tables:
            if not outputs[table.output].chunk:
                told.append(table)
                continue
            for at, part in enumerate(in_pieces(table.arrow, outputs[table.output].chunk)):
                name = f"{table.output}{PIECE}{at}"
                self._worker._pieces[self._request.run, name] = (), (TableOut(table.output, part),)
                told.append(TableOut(name, b""))
        for name, held in pieces.items():
            self._worker._pieces[self._request.run, name] = tuple(held), ()
        return tuple(sent), tuple(told)

    def _release(self, compiled: Compiled) -> tuple[TableOut, ...]:
        """Rows that this owner computed alone and releases in the clear."""
        tables = []
        for stage in compiled.releases:
            if self._owners.get(stage.source) != self.name:
                continue
            table = self._store.table(stage.source, stage.held)
            table = table.rename_columns([field.name for field in stage.fields])
            tables.append(TableOut(stage.output, to_ipc(table)))
        return tuple(tables)


def _block_of(compute: Compute, slot: Slot) -> Owned | None:
    return next((block for block in compute.blocks if block.id == slot.relation), None)


def _count(payload: bytes) -> int:
    text = payload.decode("ascii", "replace")
    if not text.isdigit() or len(text) > 18:
        raise ProtocolMismatchError("a row count is malformed", code="MPC-0703")
    return int(text)
