"""The parties of a session as threads whose messages are recorded, for tests that look at what is sent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import mpc_engine as mpc
from mpc_compiler.options import Options
from mpc_compiler.serde import encode_plan
from mpc_engine.frame.base import Lazy
from mpc_engine.runtime.channel import Channel, MemoryHub, Record, RecordingChannel
from mpc_engine.runtime.connections import MemoryConnections
from mpc_engine.runtime.messages import PartySetup, Report, RunRequest
from mpc_engine.runtime.results import assemble
from mpc_engine.runtime.worker import Worker

__all__ = ["Parties"]


class _Recorded(MemoryConnections):
    def __init__(self, me: str, hub: MemoryHub, run: str, timeout: float) -> None:
        super().__init__(me, hub, run, timeout)
        self.recording = RecordingChannel(super().channel())

    def channel(self) -> Channel:
        return self.recording


class Parties:
    """One worker for each party of ``session``, linked in memory; each party's messages are kept."""

    def __init__(self, session: mpc.Session, *, timeout: float = 30.0, silent: tuple[str, ...] = ()) -> None:
        config = session._config
        self.session = session
        self.options: Options = config.options
        self.names = config.parties
        self.hub = MemoryHub(self.names, timeout=timeout)
        self._links: dict[str, _Recorded] = {}
        self.workers: dict[str, Worker] = {}
        self._runs = 0
        for name in self.names:
            if name not in silent:
                self._links[name] = _Recorded(name, self.hub, f"recorded{id(self)}", timeout)
                refs = session._refs.get(name, ())
                setup = PartySetup(config.parties, config.computing, self.options.protocol, refs, timeout)
                self.workers[name] = Worker(name, setup, self._links[name])

    def request(self, *frames: Lazy, **options: Any) -> RunRequest:
        """What the driver would send to a party."""
        import msgspec

        changed = msgspec.structs.replace(self.options, **options)
        return RunRequest("run", encode_plan(self.session._plan(frames, None)), changed)

    def run(self, requests: RunRequest | Mapping[str, RunRequest]) -> dict[str, Report | BaseException]:
        """Run all parties at once; what each reports or raises."""
        found: dict[str, Report | BaseException] = {}
        for link in self._links.values():
            link.recording.transcript.clear()

        def walk(name: str, worker: Worker) -> None:
            try:
                found[name] = worker.run(requests if isinstance(requests, RunRequest) else requests[name])
            except BaseException as error:
                found[name] = error

        threads = [
            threading.Thread(target=walk, args=(name, worker), name=name) for name, worker in self.workers.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def reports(self, requests: RunRequest | Mapping[str, RunRequest]) -> dict[str, Report]:
        """Run, and raise what any party raises."""
        found = self.run(requests)
        for result in found.values():
            if isinstance(result, BaseException):
                raise result
        return {name: result for name, result in found.items() if isinstance(result, Report)}

    def result(self, reports: dict[str, Report], *frames: Lazy) -> dict[str, Any]:
        """What the receiver sees."""
        return assemble(
            self.session._plan(frames, None), reports, self.session._config.computing, self.options.protocol
        )

    def transcript(self, name: str) -> list[Record]:
        """What crossed the links of one party in the last run, in order."""
        return list(self._links[name].recording.transcript)

    def traffic(self) -> dict[str, Counter[Record]]:
        """How often each kind of message of each size crossed, by party."""
        return {name: Counter(self.transcript(name)) for name in self._links}

    def tags(self) -> set[str]:
        """Tags of all messages that were sent."""
        return {record.tag for name in self._links for record in self.transcript(name) if record.direction == "send"}

    def close(self) -> None:
        """Let go of all parties."""
        for worker in self.workers.values():
            worker.close()
