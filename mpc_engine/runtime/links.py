"""Links between parties as SPU and PSI use them: the handle, its timeouts, and what its failures mean.

Made by :func:`mpc_engine.runtime.spu_device.memory_link` and :func:`mpc_engine.runtime.spu_device.tcp_link`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mpc_engine.errors import MpcError, PeerError
from mpc_engine.runtime.faults import peer_error

__all__ = ["Link", "LinkTimeouts", "typed_errors"]


@dataclass(frozen=True, slots=True)
class LinkTimeouts:
    """Seconds that a link waits.

    Attributes
    ----------
    receive : float
        For the next message of a peer. Has to exceed the longest local computation between two messages. Over TCP
        at least 8, because setting up a link waits under the same limit; memory links wait 30 whatever it says.
    connect : float
        For all peers to come up.
    request : float
        For one chunk of a message to be taken by the peer.
    """

    receive: float = 30.0
    connect: float = 30.0
    request: float = 10.0


@dataclass(frozen=True, slots=True)
class Link:
    """A connection of this party with its peers, for SPU or PSI.

    Attributes
    ----------
    context : Any
        SPU's own link.
    rank : int
    parties : tuple[str, ...]
        Names, by rank.
    kind : {"memory", "tcp"}
    """

    context: Any
    rank: int
    parties: tuple[str, ...]
    kind: Literal["memory", "tcp"]

    def close(self) -> None:
        """End a link in good order: wait until what was sent is taken. Never after an error: just drop it then."""
        if self.kind == "tcp":
            self.context.stop_link()

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn what SPU raises inside the block into a typed error that blames the silent party."""
        with typed_errors(self.parties, self.rank, doing):
            yield


_LINK_ERROR = re.compile(r"yacl/link/|timeout", re.IGNORECASE)
_DUE_FROM = re.compile(r"P2P-\d+:(\d+)->\d+|failed to setup connection to rank=(\d+)")


@contextmanager
def typed_errors(parties: Sequence[str], rank: int, doing: str) -> Iterator[None]:
    """Turn what SPU raises inside the block into a typed error.

    Parameters
    ----------
    parties : Sequence[str]
        Names by rank, to blame one.
    rank : int
        Of this party.
    doing : str
        What is being done, for the message.

    Raises
    ------
    PeerError
        MPC-0620 if a message did not come. It blames the party whose message was due; that one may itself have
        waited for another: only what watches the processes knows which died first.
    MpcError
        MPC-0325 for anything else.
    """
    try:
        yield
    except (RuntimeError, IndexError, ValueError) as error:
        text = str(error).partition("tacktrace")[0]
        if not _LINK_ERROR.search(text):
            line = " ".join(text.replace("what:", "").split())[:200]
            raise MpcError(f"SPU failed while {doing}: {line}", code="MPC-0325") from None
        raise _silence(parties, rank, doing, text) from None


def _silence(parties: Sequence[str], rank: int, doing: str, text: str) -> PeerError:
    found = _DUE_FROM.search(text)
    due = int(found[1] or found[2]) if found else rank
    hint = "that party, or one that it waits for, is down, stopped or unreachable"
    if due == rank or due >= len(parties):
        return PeerError(f"a party did not answer while {doing}", code="MPC-0620", hint=hint)
    fault = peer_error(parties[due], f"party '{parties[due]}' did not answer while {doing}", code="MPC-0620")
    fault.hint = hint
    return fault
