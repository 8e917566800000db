"""What an operation costs between the computing parties: rounds and bytes, and the seconds they take on a link.

A `Cost` counts messages, never values: it is a function of shapes, bit widths and the protocol only, so that
every party derives the same plan from the same public facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["FAR", "LAN", "LINKS", "LOOPBACK", "NEAR", "WAN", "ZERO", "Cost", "Link", "LinkProfile", "seconds"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Communication of one operation.

    Parameters
    ----------
    rounds : int
        Messages that must follow one another (the depth of the communication).
    bytes : int
        Payload of all computing parties together.
    work : int
        Ring operations that a party computes on its own (multiply-adds, or elements touched). A rough weight.
    exact : bool
        True if measured traffic must equal this; False for the estimates of what SPU sends.

    Examples
    --------
    >>> Cost(1, 24) + Cost(2, 8)
    Cost(rounds=3, bytes=32, work=0, exact=True)
    >>> Cost(1, 24) | Cost(2, 8)
    Cost(rounds=2, bytes=32, work=0, exact=True)
    >>> 3 * Cost(1, 24, exact=False)
    Cost(rounds=3, bytes=72, work=0, exact=False)
    """

    rounds: int = 0
    bytes: int = 0
    work: int = 0
    exact: bool = True

    def __add__(self, other: Cost) -> Cost:
        """One after the other: rounds and bytes add up."""
        return Cost(
            self.rounds + other.rounds, self.bytes + other.bytes, self.work + other.work, self.exact and other.exact
        )

    def __or__(self, other: Cost) -> Cost:
        """Side by side, in the same messages: the longer chain of rounds, all bytes."""
        rounds = max(self.rounds, other.rounds)
        return Cost(rounds, self.bytes + other.bytes, self.work + other.work, self.exact and other.exact)

    def __mul__(self, times: int) -> Cost:
        """Repeat `times` times, one after the other."""
        return Cost(self.rounds * times, self.bytes * times, self.work * times, self.exact)

    __rmul__ = __mul__

    def __str__(self) -> str:
        about = "" if self.exact else "~"
        return f"{about}{self.rounds} rounds, {about}{_size(self.bytes)}"


def _size(count: int) -> str:
    for limit, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


ZERO = Cost()


class Link(NamedTuple):
    """What a message of a native kernel costs: by it kernels choose between few rounds and few bytes.

    Attributes
    ----------
    round_trip : float
        Seconds of a round.
    byte : float
        Seconds of a byte that each party sends, its making included.
    """

    round_trip: float
    byte: float


NEAR = Link(round_trip=2e-4, byte=1.5e-9)
"""Parties on one machine or in one data centre."""
FAR = Link(round_trip=40e-3, byte=8e-8)
"""Parties at different sites."""


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """A link between computing parties.

    Parameters
    ----------
    rtt_seconds : float
        What one more round costs, in seconds: the network's latency and the runtime's own.
    bytes_per_second : float
        What all parties together can send in a second.
    seconds_per_work : float
        Seconds for one unit of `Cost.work`.
    kernels : Link
        The same for messages of native kernels, which have less to do for each.
    """

    rtt_seconds: float
    bytes_per_second: float
    seconds_per_work: float = 4e-9
    kernels: Link = NEAR


LOOPBACK = LinkProfile(rtt_seconds=0.8e-3, bytes_per_second=1.0e9)
"""Parties on one machine: an SPU round over its own sockets takes about 0.8 ms."""
LAN = LinkProfile(rtt_seconds=1.2e-3, bytes_per_second=3.0e8)
"""1 Gbit/s a party, 0.4 ms between hosts."""
WAN = LinkProfile(rtt_seconds=40e-3, bytes_per_second=3.75e7, kernels=FAR)
"""100 Mbit/s a party, 40 ms between sites."""
LINKS: Mapping[str, LinkProfile] = {"lan": LAN, "wan": WAN}
"""What :attr:`mpc_compiler.options.Options.link` names."""


def seconds(cost: Cost, profile: LinkProfile) -> float:
    """Estimate how long an operation takes on a link.

    Parameters
    ----------
    cost : Cost
    profile : LinkProfile

    Returns
    -------
    float
        Seconds: rounds × latency + bytes ÷ bandwidth + work × time for one unit. An estimate for choosing between
        plans.

    Examples
    --------
    >>> round(seconds(Cost(rounds=10, bytes=3_000_000), LAN), 4)
    0.022
    """
    transfer = cost.bytes / profile.bytes_per_second
    return cost.rounds * profile.rtt_seconds + transfer + cost.work * profile.seconds_per_work
