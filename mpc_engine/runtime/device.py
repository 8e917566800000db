"""What a computing party runs its regions on: one interface, with the clear-text device beside it.

:class:`Device` is all that the party loop knows. :class:`ClearDevice` serves ``protocol="plaintext"``: one party, the
program under ``jax.jit``, every primitive by its plain lowering. The device for secret shares is
:class:`mpc_engine.runtime.spu_device.SpuDevice`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mpc_engine.errors import MpcError, UnsupportedError
from mpc_engine.runtime.shares import decode_clear, encode_clear

if TYPE_CHECKING:
    from jax import ShapeDtypeStruct
    from jax.core import ClosedJaxpr

__all__ = [
    "LOWERING_LOCK",
    "ClearDevice",
    "Compiled",
    "Device",
    "Region",
    "RunCost",
    "check_region",
    "input_types",
    "region_digest",
]

LOWERING_LOCK = threading.RLock()
"""Held while a program is lowered: SPU's frontend replaces functions inside jax for that time."""


class RunCost(msgspec.Struct, frozen=True):
    """What running one region took at this party.

    Attributes
    ----------
    seconds : float
        Wall time.
    rounds : int
        Upper bound: the larger of messages sent and received by this party. The longest chain of dependent messages
        was 0.7 to 0.85 of it for sort, division, logistic function and matrix inverse under ``aby3``.
    messages : int
        Messages sent.
    bytes_sent : int
        Payload sent to all peers, as SPU counts it (TCP adds about 0.05 %).
    exact : bool
        False when another rank in the same process ended at the same time (``threads``): then the sum over the
        ranks is right, the attribution to one of them need not be.

    Examples
    --------
    >>> RunCost(0.5, 2, 2, 160) + RunCost(0.25, 1, 3, 40)
    RunCost(seconds=0.75, rounds=3, messages=5, bytes_sent=200, exact=True)
    """

    seconds: float = 0.0
    rounds: int = 0
    messages: int = 0
    bytes_sent: int = 0
    exact: bool = True

    def __add__(self, other: RunCost) -> RunCost:
        return RunCost(
            self.seconds + other.seconds,
            self.rounds + other.rounds,
            self.messages + other.messages,
            self.bytes_sent + other.bytes_sent,
            self.exact and other.exact,
        )


class Region(Protocol):
    """A piece of a program: names in, names out, and the equations between them."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the variables that it reads, in the order of ``jaxpr.jaxpr.invars``."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the variables that it makes, in the order of ``jaxpr.jaxpr.outvars``."""

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The equations; its constants are embedded in the compiled code."""


class Compiled(msgspec.Struct, frozen=True):
    """A region made ready to run.

    Attributes
    ----------
    inputs, outputs : tuple[str, ...]
        Variable names.
    digest : str
        SHA-256 (hex) of code, names, shapes and dtypes; equal at all parties or the run is refused.
    code : object
        What the device runs; only the device that made it knows the type.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    digest: str
    code: object


class Device(Protocol):
    """One computing party's engine: named secret arrays, and programs over them.

    All parties make the same calls in the same order. After an error the device must only be closed, and the
    process that holds it should end.
    """

    @property
    def rank(self) -> int:
        """Index of this party."""

    @property
    def parties(self) -> int:
        """Number of computing parties."""

    @property
    def config(self) -> bytes:
        """The whole configuration that results depend on, in canonical bytes, for digests."""

    @property
    def spent(self) -> RunCost:
        """All that this device has run so far, conversions by :meth:`arithmetic` included."""

    def connect(self) -> None:
        """Link up with the peers. Only :meth:`compile` may come before; nothing is sent until here."""

    def load(self, name: str, wire: bytes, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Take in a share that an owner sent; refuses one that is not of this type."""

    def compile(self, region: Region) -> Compiled:
        """Make a region ready to run."""

    def run(self, compiled: Compiled) -> RunCost:
        """Run a region on the variables it names."""

    def export(self, name: str) -> bytes:
        """Return this party's share of a variable in its wire form."""

    def arithmetic(self, name: str) -> NDArray[np.uint64]:
        """Return replicated pairs u64[n, 2] of a variable, converting it first if it is shared bit by bit."""

    def bits(self, name: str) -> NDArray[np.uint8] | None:
        """Return replicated pairs u8[n, 2] of a bool that is shared bit by bit; None if it is not."""

    def store(self, name: str, values: ArrayLike, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Make a variable of replicated pairs: u64, or u8 holding single bits for a bool."""

    def delete(self, *names: str) -> None:
        """Forget variables; unknown names are ignored."""

    def close(self) -> None:
        """Let go of links and variables; may be called twice."""


def check_region(region: Region) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a region's inputs and outputs after comparing them with its jaxpr."""
    inputs, outputs = tuple(region.inputs), tuple(region.outputs)
    body = region.jaxpr.jaxpr
    if len(inputs) != len(body.invars) or len(outputs) != len(body.outvars):
        raise ValueError("a region must name every input and output of its jaxpr")
    if len(set(inputs)) != len(inputs) or len(set(outputs)) != len(outputs):
        raise ValueError("a region must not name a variable twice")
    return inputs, outputs


def input_types(region: Region) -> list[ShapeDtypeStruct]:
    """Return shape and dtype of every input of a region, to lower it for."""
    import jax

    struct: Callable[..., ShapeDtypeStruct] = jax.ShapeDtypeStruct
    return [struct(variable.aval.shape, variable.aval.dtype) for variable in region.jaxpr.jaxpr.invars]


def region_digest(code: bytes, region: Region) -> str:
    """Return the SHA-256 of compiled code together with the names and types around it."""
    inputs, outputs = check_region(region)
    body = region.jaxpr.jaxpr
    types = [str(variable.aval) for variable in (*body.invars, *body.outvars)]
    return hashlib.sha256(msgspec.msgpack.encode([code, inputs, outputs, types])).hexdigest()


_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""The reference runs a program once: compiling it takes longer than running it, and three times as long optimised."""


class ClearDevice:
    """The reference device: one party that sees everything, never a deployment.

    Examples
    --------
    >>> device = ClearDevice()
    >>> device.load("x", encode_clear(np.arange(3)), dtype="int64", shape=(3,))
    >>> decode_clear(device.export("x"), dtype="int64", shape=(3,))
    array([0, 1, 2])
    """

    rank = 0
    parties = 1
    config = b"plaintext 1"

    def __init__(self) -> None:
        self._values: dict[str, NDArray[np.generic]] = {}
        self._spent = RunCost()

    @property
    def spent(self) -> RunCost:
        """All that this device has run so far."""
        return self._spent

    def connect(self) -> None:
        """Do nothing: there are no peers."""

    def load(self, name: str, wire: bytes, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Take in an array; refuses one that is not of this type."""
        self._values[name] = decode_clear(wire, dtype=dtype, shape=shape)

    def compile(self, region: Region) -> Compiled:
        """Make a region ready to run under ``jax.jit``."""
        import jax
        from jax.experimental import enable_x64

        inputs, outputs = check_region(region)
        body = jax.core.jaxpr_as_fun(region.jaxpr)
        shapes = input_types(region)
        with LOWERING_LOCK, enable_x64():
            lowered = jax.jit(lambda *values: body(*values), keep_unused=True).lower(*shapes)
        digest = region_digest(lowered.as_text().encode(), region)
        return Compiled(inputs, outputs, digest, lowered.compile(compiler_options=_QUICK))

    def run(self, compiled: Compiled) -> RunCost:
        """Run a region on the variables it names."""
        from jax.experimental import enable_x64

        code = compiled.code
        assert callable(code)
        started = time.perf_counter()
        with enable_x64():
            results = _call(code, [self._value(name) for name in compiled.inputs])
        self._values.update(zip(compiled.outputs, results, strict=True))
        cost = RunCost(time.perf_counter() - started)
        self._spent += cost
        return cost

    def export(self, name: str) -> bytes:
        """Return a variable in its wire form."""
        return encode_clear(self._value(name))

    def arithmetic(self, name: str) -> NDArray[np.uint64]:
        """Raise: clear arrays have no shares."""
        raise UnsupportedError(
            "the plaintext device has no shares", code="MPC-0323", hint='partition its programs with kernels="spu"'
        )

    def bits(self, name: str) -> NDArray[np.uint8] | None:
        """Raise: clear arrays have no shares."""
        self.arithmetic(name)
        return None

    def store(self, name: str, values: ArrayLike, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Raise: clear arrays have no shares."""
        self.arithmetic(name)

    def delete(self, *names: str) -> None:
        """Forget variables; unknown names are ignored."""
        for name in names:
            self._values.pop(name, None)

    def close(self) -> None:
        """Forget everything."""
        self._values.clear()

    def _value(self, name: str) -> NDArray[np.generic]:
        try:
            return self._values[name]
        except KeyError:
            raise MpcError(f"the device has no variable '{name}'", code="MPC-0001") from None


def _call(code: Callable[..., object], values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    results = code(*values)
    assert isinstance(results, list | tuple)
    return [np.asarray(value) for value in results]
