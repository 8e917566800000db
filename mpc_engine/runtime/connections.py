"""How the parties of one runtime reach each other: in memory between threads, or by TCP between processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from mpc_engine.runtime.channel import Channel, MemoryHub
from mpc_engine.runtime.ports import PortReservation
from mpc_engine.runtime.tcp import Listener, TcpChannel

if TYPE_CHECKING:
    from mpc_engine.runtime.links import Link
    from mpc_engine.runtime.tls import TlsSettings

__all__ = ["Connections", "MemoryConnections", "TcpConnections", "pair_key"]


class Connections(Protocol):
    """Connections of one party."""

    def channel(self) -> Channel:
        """Typed messages to all parties of the runtime."""

    def spu_link(self, computing: tuple[str, ...], me: str) -> Link:
        """SPU's link between the computing parties."""

    def psi_link(self, pair: tuple[str, str], me: str, run: str) -> Link:
        """A link between two owners, who both name the pair in sorted order."""

    def close(self) -> None:
        """Let go of everything."""


def pair_key(pair: tuple[str, str]) -> str:
    """The name of a pair of owners, whichever comes first."""
    return "|".join(sorted(pair))


class MemoryConnections:
    """Connections between threads of one process; ``hub`` lives as long as the runtime."""

    def __init__(self, me: str, hub: MemoryHub, run: str, timeout: float) -> None:
        self._channel = hub.channel(me)
        self._run = run
        self._timeout = timeout

    def channel(self) -> Channel:
        """Typed messages to all parties of the runtime."""
        return self._channel

    def spu_link(self, computing: tuple[str, ...], me: str) -> Link:
        """SPU's link between the computing parties."""
        return self._link(computing, me, f"{self._run}-spu")

    def psi_link(self, pair: tuple[str, str], me: str, run: str) -> Link:
        """A link between two owners."""
        return self._link(pair, me, f"{self._run}-{run}-{pair_key(pair)}")

    def _link(self, parties: tuple[str, ...], me: str, name: str) -> Link:
        from mpc_engine.runtime.links import LinkTimeouts
        from mpc_engine.runtime.spu_device import memory_link

        return memory_link(parties, parties.index(me), name, timeouts=LinkTimeouts(receive=self._timeout))

    def close(self) -> None:
        """Let go of everything."""
        self._channel.close()


class TcpConnections:
    """Connections between processes on one machine.

    Parameters
    ----------
    me : str
    listener : Listener
        Of this party's channel.
    held : PortReservation
        Ports of this party for SPU's and PSI's own servers; kept from others until they are in use.
    channels : mapping of str to (host, port)
        Where each party's channel listens.
    ports : mapping of str to mapping of str to int
        By party: its port for ``"spu"`` and for each pair of owners.
    token : bytes
        Proves membership of this runtime to the others.
    timeout : float
        Seconds that any wait may take.
    tls : TlsSettings, optional
        Encrypts the channel. SPU's and the intersection's own links stay plain.
    """

    def __init__(
        self,
        me: str,
        listener: Listener,
        held: PortReservation,
        *,
        channels: Mapping[str, tuple[str, int]],
        ports: Mapping[str, Mapping[str, int]],
        token: bytes,
        timeout: float,
        tls: TlsSettings | None = None,
    ) -> None:
        self._ports = ports
        self._held = held
        self._listener = listener
        self._timeout = timeout
        self._run = token.hex()[:8]
        self._channel = TcpChannel(me, listener, addresses=channels, token=token, timeout=timeout, tls=tls)
        self._psi: dict[str, Link] = {}

    def channel(self) -> Channel:
        """Typed messages to all parties of the runtime."""
        return self._channel

    def spu_link(self, computing: tuple[str, ...], me: str) -> Link:
        """SPU's link between the computing parties."""
        return self._tcp(computing, me, "spu")

    def psi_link(self, pair: tuple[str, str], me: str, run: str) -> Link:
        """A link between two owners; made once, used by every intersection of the two."""
        key = pair_key(pair)
        if key not in self._psi:
            self._psi[key] = self._tcp(pair, me, key)
        return self._psi[key]

    def _tcp(self, parties: tuple[str, ...], me: str, key: str) -> Link:
        from mpc_engine.runtime.links import LinkTimeouts
        from mpc_engine.runtime.spu_device import tcp_link

        addresses = {party: f"127.0.0.1:{self._ports[party][key]}" for party in parties}
        waits = LinkTimeouts(receive=self._timeout)
        return tcp_link(addresses, parties.index(me), f"{self._run}-{key}", timeouts=waits)

    def close(self) -> None:
        """Let go of everything."""
        self._held.close()
        self._channel.close()
        self._listener.close()
