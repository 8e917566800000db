"""How a plan is to be compiled and run; part of what all parties compare before they start."""

from __future__ import annotations

from typing import Literal

import msgspec

from mpc_compiler.errors import ConfigError

__all__ = ["COMPUTING", "Options"]

COMPUTING = {"aby3": 3, "cheetah": 2, "plaintext": 1}
"""How many computing parties each protocol needs."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one run.

    Attributes
    ----------
    protocol : {"aby3", "cheetah", "plaintext"}
        The secret-sharing protocol.
    kernels : {"auto", "native", "spu"}
        Who runs what a native kernel could.
    pushdown : bool
        Whether owners compute what they can alone; False shares everything (how research engines are measured).
    link : {"lan", "wan"}
        How far apart the computing parties are, by which plans and kernels choose between few rounds and few bytes:
        on one machine or in one data centre, or at different sites. It changes no result.
    hide_joins : bool
        Whether no join may disclose which rows match: rows of several owners are matched on shares.
    computing : tuple of str
        Names of the computing parties, by rank.
    timeout : float
        Seconds that any party waits for another before it gives up.

    Examples
    --------
    >>> Options(protocol="aby3", computing=("a", "b", "c")).check().protocol
    'aby3'
    """

    protocol: Literal["aby3", "cheetah", "plaintext"] = "aby3"
    kernels: Literal["auto", "native", "spu"] = "auto"
    link: Literal["lan", "wan"] = "lan"
    pushdown: bool = True
    hide_joins: bool = False
    computing: tuple[str, ...] = ()
    timeout: float = 60.0

    @property
    def native(self) -> bool:
        """Whether native kernels may run what they can."""
        return self.protocol == "aby3" and self.kernels != "spu"

    def check(self) -> Options:
        """Self, or a ConfigError."""
        need = COMPUTING[self.protocol]
        if len(self.computing) != need or len(set(self.computing)) != need:
            raise ConfigError(
                f"{self.protocol} needs exactly {need} computing parties, not {', '.join(self.computing) or 'none'}",
                code="MPC-0801",
                hint=f"computing=[...] with {need} different names",
            )
        if self.kernels == "native" and self.protocol != "aby3":
            raise ConfigError(
                f"native kernels work on aby3 shares, not {self.protocol}", code="MPC-0802", hint="kernels='auto'"
            )
        return self
