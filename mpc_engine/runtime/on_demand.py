"""A device that is made when a program first needs it: native kernels alone need no SPU, and no link of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mpc_engine.runtime.device import Compiled, Device, Region, RunCost

__all__ = ["OnDemand"]


class OnDemand:
    """A :class:`mpc_engine.runtime.device.Device` in waiting.

    Parameters
    ----------
    rank, parties : int
    config : bytes
        What results depend on before the device is made; what it adds is part of its compiled code's digests.
    make : callable
        Makes the device; called once, by the first call that needs it.
    """

    def __init__(self, rank: int, parties: int, config: bytes, make: Callable[[], Device]) -> None:
        self.rank = rank
        self.parties = parties
        self.config = config
        self._make = make
        self._device: Device | None = None

    @property
    def whole(self) -> Device:
        """The device itself."""
        if self._device is None:
            self._device = self._make()
        return self._device

    @property
    def spent(self) -> RunCost:
        """All that the device has run so far."""
        return self._device.spent if self._device is not None else RunCost()

    def connect(self) -> None:
        """Link up with the peers."""
        self.whole.connect()

    def load(self, name: str, wire: bytes, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Take in a share that an owner sent."""
        self.whole.load(name, wire, dtype=dtype, shape=shape)

    def compile(self, region: Region) -> Compiled:
        """Make a region ready to run."""
        return self.whole.compile(region)

    def run(self, compiled: Compiled) -> RunCost:
        """Run a region."""
        return self.whole.run(compiled)

    def export(self, name: str) -> bytes:
        """Return this party's share of a variable."""
        return self.whole.export(name)

    def arithmetic(self, name: str) -> NDArray[np.uint64]:
        """Return replicated pairs of a variable."""
        return self.whole.arithmetic(name)

    def bits(self, name: str) -> NDArray[np.uint8] | None:
        """Return replicated pairs of bits."""
        return self.whole.bits(name)

    def store(self, name: str, values: ArrayLike, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Make a variable of replicated pairs."""
        self.whole.store(name, values, dtype=dtype, shape=shape)

    def delete(self, *names: str) -> None:
        """Forget variables."""
        if self._device is not None:
            self._device.delete(*names)

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        if self._device is not None:
            self._device.close()
