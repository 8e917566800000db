"""What the protocol decides: how owners split columns, and what computing parties run programs on."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc_engine._version import __version__
from mpc_engine.runtime.device import ClearDevice, Device
from mpc_engine.runtime.on_demand import OnDemand
from mpc_engine.runtime.shares import FRACTION_BITS, decode, decode_clear, encode_clear, has_pairs
from mpc_engine.runtime.sharing import ReplicatedSharer

if TYPE_CHECKING:
    from mpc_engine.runtime.connections import Connections

__all__ = ["Splitter", "device_for", "splitter_for", "versions"]


class Splitter(Protocol):
    """Splits arrays into shares and puts them together."""

    def share(self, array: ArrayLike) -> list[bytes]:
        """One wire for each computing party."""

    def reconstruct(self, wires: Sequence[bytes], *, dtype: Any, shape: Sequence[int]) -> NDArray[Any]:
        """The array; discloses it to the caller."""


class _Clear:
    def share(self, array: ArrayLike) -> list[bytes]:
        return [encode_clear(np.asarray(array))]

    def reconstruct(self, wires: Sequence[bytes], *, dtype: Any, shape: Sequence[int]) -> NDArray[Any]:
        return decode_clear(wires[0], dtype=dtype, shape=shape)


class _Replicated(ReplicatedSharer):
    """Results of SPU's regions may be public, or numbers shared bit by bit: SPU puts those together itself."""

    def reconstruct(self, wires: Sequence[bytes], *, dtype: Any, shape: Sequence[int]) -> NDArray[Any]:
        for wire in wires:
            decode(wire, dtype=dtype, shape=shape, protocol="aby3")
        if all(map(has_pairs, wires)):
            return super().reconstruct(wires, dtype=dtype, shape=shape)
        from mpc_engine.runtime.spu_device import Sharer, runtime_config

        return Sharer(runtime_config("aby3")).reconstruct(wires, dtype=dtype, shape=shape)


def splitter_for(protocol: str) -> Splitter:
    """How columns are shared under ``protocol``."""
    if protocol == "plaintext":
        return _Clear()
    if protocol == "aby3":
        return _Replicated()
    from mpc_engine.runtime.spu_device import Sharer, runtime_config

    return Sharer(runtime_config(protocol))


def device_for(protocol: str, computing: tuple[str, ...], me: str, links: Connections) -> Device:
    """The device of computing party ``me``; not connected, and under ``aby3`` not made before a program needs it."""
    if protocol == "plaintext":
        return ClearDevice()

    def spu() -> Device:
        from mpc_engine.runtime.spu_device import SpuDevice, runtime_config

        return SpuDevice(computing.index(me), lambda: links.spu_link(computing, me), runtime_config(protocol))

    if protocol != "aby3":
        return spu()  # it has a part in every program
    return OnDemand(computing.index(me), len(computing), f"{protocol} FM64 {FRACTION_BITS}".encode(), spu)


@functools.cache
def versions(protocol: str) -> str:
    """Versions that all parties must share: engine, Python and, on shares, SPU, JAX and the kernels."""
    import mpc_kernels

    names = ["jax", "jaxlib", "numpy"] + ([] if protocol == "plaintext" else ["spu"])
    found = [f"{name} {importlib.metadata.version(name)}" for name in names]
    kernels = "native" if mpc_kernels.NATIVE else "reference"
    return "; ".join([f"mpc-engine {__version__}", f"python {platform.python_version()}", f"kernels {kernels}", *found])
