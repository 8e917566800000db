"""Settings of a local session, checked before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mpc_compiler.cost import LINKS
from mpc_compiler.options import COMPUTING, Options
from mpc_engine.errors import ConfigError

__all__ = ["EXECUTORS", "LocalConfig"]

EXECUTORS = ("ray", "threads")
_PROTOCOLS = tuple(COMPUTING)
_KERNELS = ("auto", "native", "spu")


@dataclass(frozen=True)
class LocalConfig:
    """Who computes, and how.

    Examples
    --------
    >>> LocalConfig.make(["a", "b"], protocol="aby3", executor="ray", kernels="auto", computing=None).computing
    ('a', 'b', 'neutral')
    """

    owners: tuple[str, ...]
    computing: tuple[str, ...]
    executor: str
    options: Options
    tls: bool = False

    @property
    def parties(self) -> tuple[str, ...]:
        """Everyone: owners, then computing parties that own nothing."""
        return (*self.owners, *(name for name in self.computing if name not in self.owners))

    @classmethod
    def make(
        cls,
        owners: Sequence[str],
        *,
        protocol: str,
        executor: str,
        kernels: str,
        computing: Sequence[str] | None,
        link: str = "lan",
        pushdown: bool = True,
        hide_joins: bool = False,
        timeout: float = 60.0,
        tls: bool = False,
    ) -> LocalConfig:
        """Check and complete the settings.

        Raises
        ------
        ConfigError
            For an unknown protocol, executor, kernel or link choice, or a wrong number of computing parties.
        """
        for what, value, known in (
            ("protocol", protocol, _PROTOCOLS),
            ("executor", executor, EXECUTORS),
            ("kernels", kernels, _KERNELS),
            ("link", link, tuple(LINKS)),
        ):
            if value not in known:
                near = difflib.get_close_matches(str(value), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
                raise ConfigError(f"unknown {what} {value!r}", code="MPC-0804", hint=hint)
        if not owners:
            raise ConfigError("a session needs at least one owner with a table", code="MPC-0805")
        if not 1 <= timeout <= 3600:
            raise ConfigError("timeout must lie between 1 and 3600 seconds", code="MPC-0806")
        chosen = tuple(computing) if computing is not None else _default(owners, COMPUTING[protocol], protocol)
        options = Options(
            protocol=protocol,  # type: ignore[arg-type]
            kernels=kernels,  # type: ignore[arg-type]
            link=link,  # type: ignore[arg-type]
            pushdown=pushdown,
            hide_joins=hide_joins,
            computing=chosen,
            timeout=timeout,
        ).check()
        return cls(tuple(owners), chosen, executor, options, tls)


def _default(owners: Sequence[str], need: int, protocol: str) -> tuple[str, ...]:
    """The first owners, topped up with neutral parties; in the clear, one neutral party."""
    if protocol == "plaintext":
        return ("neutral" if "neutral" not in owners else "neutral_2",)
    chosen = list(owners[:need])
    count = 1
    while len(chosen) < need:
        name = "neutral" if count == 1 else f"neutral_{count}"
        count += 1
        if name not in chosen and name not in owners:
            chosen.append(name)
    return tuple(chosen)
