"""Ports for servers that want to be told a number (the links of SPU) without a race for it.

Asking the system for a free port and closing the socket lets anyone take the port before its user binds it. Here
the sockets stay bound, not listening, until the reservation is closed: the system gives the port to nobody else,
while a server that sets ``SO_REUSEADDR`` (brpc does, under SPU) can still bind and listen on it.
"""

from __future__ import annotations

import socket
from types import TracebackType

__all__ = ["PortReservation"]


class PortReservation:
    """Hold `count` free TCP ports of `host` until closed.

    Parameters
    ----------
    count : int
    host : str

    Attributes
    ----------
    ports : tuple[int, ...]

    Examples
    --------
    >>> with PortReservation(2) as reserved:
    ...     len(set(reserved.ports))
    2
    """

    def __init__(self, count: int, *, host: str = "127.0.0.1") -> None:
        self._sockets = [_bound(host) for _ in range(count)]
        self.ports: tuple[int, ...] = tuple(held.getsockname()[1] for held in self._sockets)

    def close(self) -> None:
        """Give the ports back; what already listens on them keeps them."""
        for held in self._sockets:
            held.close()

    def __enter__(self) -> PortReservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bound(host: str) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Bound first without the option: with it, the system may hand out a port that another process already holds so.
    held.bind((host, 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held
