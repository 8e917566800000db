"""A party's process: what the supervisor may call, with bytes in and out."""

from __future__ import annotations

import itertools
from typing import ClassVar

import msgspec

from mpc_engine.errors import ConfigError
from mpc_engine.runtime.connections import TcpConnections, pair_key
from mpc_engine.runtime.messages import Fetch, PartySetup, RunRequest, decode, encode
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.tcp import Listener
from mpc_engine.runtime.tls import Identity, TlsSettings
from mpc_engine.runtime.worker import Worker

__all__ = ["Address", "Party", "Roster"]


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a party listens: its channel, a port for SPU and for each pair of owners; its certificate if it has one."""

    channel: tuple[str, int]
    ports: dict[str, int]
    certificate: bytes = b""


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everyone's addresses, and the token that proves membership."""

    addresses: dict[str, Address]
    token: bytes


class Party:
    """Hosted by a party's process; see :mod:`mpc_engine.runtime.host`.

    Parameters
    ----------
    name : str
        This party.
    setup : bytes
        A :class:`PartySetup`.
    """

    REMOTE: ClassVar[frozenset[str]] = frozenset({"listen", "connect", "run", "fetch"})

    def __init__(self, name: str, setup: bytes) -> None:
        self._name = name
        self._setup = decode(setup, PartySetup)
        self._listener = Listener()
        keys = ["spu"] if name in self._setup.computing else []
        keys += [pair_key((a, b)) for a, b in itertools.combinations(self._setup.parties, 2) if name in (a, b)]
        self._held = PortReservation(len(keys))
        self._identity = Identity.create(name) if self._setup.tls else None
        certificate = b"" if self._identity is None else self._identity.certificate
        self._address = Address(self._listener.address, dict(zip(keys, self._held.ports, strict=True)), certificate)
        self._worker: Worker | None = None
        self._warm()

    def _warm(self) -> None:
        """Import what the first run needs, while nobody waits."""
        from mpc_engine.runtime.backend import splitter_for

        splitter_for(self._setup.protocol)

    def listen(self, payload: bytes) -> bytes:
        """Return where this party listens."""
        return encode(self._address)

    def connect(self, payload: bytes) -> bytes:
        """Connect to everyone on the roster."""
        roster = decode(payload, Roster)
        if set(roster.addresses) != set(self._setup.parties):
            raise ConfigError("the roster does not list the parties of this runtime", code="MPC-0803")
        links = TcpConnections(
            self._name,
            self._listener,
            self._held,
            channels={party: roster.addresses[party].channel for party in self._setup.parties},
            ports={party: address.ports for party, address in roster.addresses.items()},
            token=roster.token,
            timeout=self._setup.timeout,
            tls=self._tls(roster),
        )
        self._worker = Worker(self._name, self._setup, links)
        self._worker.connect()
        return b""

    def _tls(self, roster: Roster) -> TlsSettings | None:
        """Key of this party, and certificates of all, which came with the addresses."""
        if self._identity is None:
            return None
        return TlsSettings(self._identity, {party: a.certificate for party, a in roster.addresses.items()})

    def run(self, payload: bytes) -> bytes:
        """Walk through a plan."""
        if self._worker is None:
            raise ConfigError("this party is not connected", code="MPC-0803")
        return encode(self._worker.run(decode(payload, RunRequest)))

    def fetch(self, payload: bytes) -> bytes:
        """Hand out one piece of a result."""
        if self._worker is None:
            raise ConfigError("this party is not connected", code="MPC-0803")
        return encode(self._worker.fetch(decode(payload, Fetch)))
