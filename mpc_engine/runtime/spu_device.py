"""SPU as a device: links, configuration, sharing, and the running of compiled regions.

The only module besides :mod:`mpc_engine.runtime.psi` that imports ``spu``. What was found by running SPU 0.9.5 and
is relied on here:

- link set-up, runs and barriers release the interpreter lock, so several ranks can be threads of one process;
- an aby3 share of an integer or fixed-point array is pairs of ring elements, except that comparisons, and integers
  and floats made of comparisons, stay boolean (``aby3.BShr<…>``) until arithmetic touches them;
- quick sort, which cheetah takes by default, compares in the clear after shuffling and so shows which keys tie. Radix
  sort does not and is stable; cheetah honours it too, but sends 25 times the bytes of a sorting network. A network
  is not stable: programs for cheetah make their sort keys distinct by adding the row number as the last key;
- the default exponential is 5 % off at 5: the better one is set here. So is a better sigmoid than a line in three
  pieces, though programs of jax never reach it: there 1 / (1 + exp(-x)) arrives;
- after a link error the process may be beyond help; :meth:`SpuDevice.close` then lets go without a farewell.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import jax
import jax._src.lax.lax as lax_internals
import numpy as np
import spu.api
import spu.utils.frontend as frontend
from jax.experimental import enable_x64
from numpy.typing import ArrayLike, DTypeLike, NDArray
from spu import libspu

from mpc_engine.errors import ConfigError, MpcError, RangeError, UnsupportedError
from mpc_engine.runtime import shares
from mpc_engine.runtime.device import LOWERING_LOCK, Compiled, Region, RunCost, check_region, input_types, region_digest
from mpc_engine.runtime.link_log import LinkLog
from mpc_engine.runtime.links import Link, LinkTimeouts, typed_errors
from mpc_engine.runtime.protobuf import refusal
from mpc_engine.runtime.shares import Meta, WireShare

__all__ = [
    "PARTIES",
    "Link",
    "LinkTimeouts",
    "Sharer",
    "SpuDevice",
    "memory_link",
    "runtime_config",
    "tcp_link",
]

PARTIES: Mapping[str, int] = MappingProxyType({"aby3": 3, "cheetah": 2, "semi2k": 3})
"""Number of computing parties of each protocol."""

_KINDS = {
    "aby3": libspu.ProtocolKind.ABY3,
    "cheetah": libspu.ProtocolKind.CHEETAH,
    "semi2k": libspu.ProtocolKind.SEMI2K,
}
_LARGEST = 2.0 ** (62 - shares.FRACTION_BITS)  # SPU clamps floats from here on, in silence
_SHAREABLE = ("bool", "int64", "float64")
_MAX_CODES = 256
_CONNECT_ATTEMPT = 0.7  # seconds: the interval, and three repetitions inside each attempt
_LEAST_TCP_WAIT = 8000  # milliseconds


# configuration


def runtime_config(protocol: str, *, threads: int = 1, insecure_for_tests: bool = False) -> libspu.RuntimeConfig:
    """Return SPU's configuration with every choice that results depend on made explicitly.

    Parameters
    ----------
    protocol : str
        ``aby3`` (3 parties) or ``cheetah`` (2).
    threads : int
        Worker threads of one party; must be the same at all parties.
    insecure_for_tests : bool
        Allow ``semi2k``, which as shipped lets rank 0 read everything.

    Returns
    -------
    libspu.RuntimeConfig
        ``.SerializeToString()`` gives the bytes that parties compare.

    Raises
    ------
    ConfigError
        MPC-0820 for another protocol or a bad thread count.

    Examples
    --------
    >>> runtime_config("aby3").fxp_fraction_bits
    18
    """
    if protocol not in _KINDS or (protocol == "semi2k" and not insecure_for_tests):
        raise ConfigError(f"protocol '{protocol}' is not offered", code="MPC-0820", hint="use 'aby3' or 'cheetah'")
    if not 1 <= threads <= 256:
        raise ConfigError(f"{threads} threads a party make no sense", code="MPC-0820")
    config = libspu.RuntimeConfig(
        protocol=_KINDS[protocol], field=libspu.FieldType.FM64, fxp_fraction_bits=shares.FRACTION_BITS
    )
    config.max_concurrency = threads
    methods = libspu.RuntimeConfig.SortMethod
    config.sort_method = methods.SORT_NETWORK if protocol == "cheetah" else methods.SORT_RADIX
    config.fxp_exp_mode = libspu.RuntimeConfig.ExpMode.EXP_PADE
    config.sigmoid_mode = libspu.RuntimeConfig.SigmoidMode.SIGMOID_REAL
    config.trunc_allow_msb_error = False
    config.share_max_chunk_size = 128 << 20
    config.enable_pphlo_profile = True  # its only visible effect is the log that LinkLog reads
    config.enable_hal_profile = False
    config.enable_pphlo_trace = False
    config.enable_action_trace = False
    return config


def _protocol(config: libspu.RuntimeConfig) -> str:
    return next(name for name, kind in _KINDS.items() if kind == config.protocol)


# links


def _description(parties: Sequence[str], hosts: Sequence[str], run_id: str, timeouts: LinkTimeouts) -> Any:
    if len(set(parties)) != len(parties) or len(hosts) != len(parties) or len(parties) < 2:
        raise ConfigError("a link needs at least two distinct parties, each with one address", code="MPC-0821")
    description = libspu.link.Desc()
    description.id = run_id
    for party, host in zip(parties, hosts, strict=True):
        description.add_party(party, host)
    description.recv_timeout_ms = int(timeouts.receive * 1000)
    return description


def memory_link(parties: Sequence[str], rank: int, run_id: str, *, timeouts: LinkTimeouts | None = None) -> Link:
    """Join ranks that are threads of this process.

    Parameters
    ----------
    parties : Sequence[str]
        Names, the same sequence at every rank.
    rank : int
    run_id : str
        Never used before in this process.
    timeouts : LinkTimeouts, optional
    """
    description = _description(parties, parties, run_id, timeouts or LinkTimeouts())
    return Link(libspu.link.create_mem(description, rank), rank, tuple(parties), "memory")


def tcp_link(
    addresses: Mapping[str, str] | Sequence[str],
    rank: int,
    run_id: str,
    *,
    brief: bool = False,
    timeouts: LinkTimeouts | None = None,
) -> Link:
    """Join ranks by TCP; returns when all of them are there.

    Parameters
    ----------
    addresses : Mapping[str, str] or Sequence[str]
        ``host:port`` of every party, by name in the order of ranks (or in the order of ranks, then the names are
        ``rank0``, …). This party listens on its own.
    rank : int
    run_id : str
        The same at all parties; messages of another run are not taken.
    brief : bool
        Open a new connection for every message. Right for a PSI, which sends few; SPU would run out of ports.
    timeouts : LinkTimeouts, optional

    Raises
    ------
    PeerError
        MPC-0620 if a peer does not come up in time.

    Notes
    -----
    Takes about 3 s when parties start together (0.4 s if `brief`): the first attempts find nobody listening, and brpc
    looks at a lasting connection that failed only every 3 s.
    """
    if not isinstance(addresses, Mapping):
        addresses = {f"rank{index}": address for index, address in enumerate(addresses)}
    wait = timeouts or LinkTimeouts()
    parties = tuple(addresses)
    description = _description(parties, list(addresses.values()), run_id, wait)
    description.recv_timeout_ms = max(description.recv_timeout_ms, _LEAST_TCP_WAIT)
    description.brpc_channel_connection_type = "short" if brief else "single"
    description.connect_retry_interval_ms = 100
    description.connect_retry_times = max(1, round(wait.connect / _CONNECT_ATTEMPT))
    description.http_timeout_ms = int(wait.request * 1000)
    description.http_max_payload_size = 1 << 20
    description.throttle_window_size = 10
    description.retry_opts.max_retry = 3
    description.retry_opts.retry_interval_ms = 100
    description.retry_opts.retry_interval_incr_ms = 100
    _link_log()  # or the link's warnings go to the console
    with typed_errors(parties, rank, "connecting"):
        return Link(libspu.link.create_brpc(description, rank), rank, parties, "tcp")


# sharing


class Sharer:
    """Splits arrays into shares and puts them together again; needs no link.

    Parameters
    ----------
    config : libspu.RuntimeConfig
        Of the computing parties, see :func:`runtime_config`.

    Examples
    --------
    >>> sharer = Sharer(runtime_config("aby3"))
    >>> wires = sharer.share(np.array([1.5, -2.0]))
    >>> sharer.reconstruct(wires, dtype="float64", shape=(2,))
    array([ 1.5, -2. ])
    """

    def __init__(self, config: libspu.RuntimeConfig) -> None:
        self.protocol = _protocol(config)
        self.parties = PARTIES[self.protocol]
        self._io = spu.api.Io(self.parties, config)

    def share(self, array: ArrayLike) -> list[bytes]:
        """Return the wire form for every computing party, by rank.

        Parameters
        ----------
        array : array of bool, int64 or float64, any shape

        Raises
        ------
        RangeError
            MPC-0220 for floats that fixed point cannot hold: not finite, or 2^44 and larger.
        """
        value = np.ascontiguousarray(array).reshape(np.shape(array))
        if value.dtype.name not in _SHAREABLE:
            raise UnsupportedError(f"arrays of {value.dtype} cannot be shared", code="MPC-0321")
        if value.dtype == np.float64 and not np.all(np.abs(value) < _LARGEST):
            raise RangeError("a value is not finite, or 2^44 or larger", code="MPC-0220")
        parts = self._io.make_shares(value, libspu.Visibility.VIS_SECRET)
        return [shares.encode(WireShare(part.meta, tuple(part.share_chunks))) for part in parts]

    def reconstruct(self, wires: Sequence[bytes], *, dtype: DTypeLike, shape: Sequence[int]) -> NDArray[np.generic]:
        """Put the shares of all computing parties together; also of an array that is public to them.

        Discloses the array to the caller.

        Raises
        ------
        ProtocolMismatchError
            MPC-0720 if the shares are not of this type or do not belong together.
        """
        if len(wires) != self.parties:
            raise ValueError(f"{self.parties} shares expected, not {len(wires)}")
        parts = [shares.decode(wire, dtype=dtype, shape=shape, protocol=self.protocol) for wire in wires]
        if len({part.meta for part in parts}) != 1:
            raise refusal("the parties sent different representations")
        with typed_errors((), -1, "putting shares together"):
            value = np.asarray(self._io.reconstruct([_to_spu(part) for part in parts]))
        return value.astype(dtype, copy=False).reshape(shape)


def _to_spu(share: WireShare) -> Any:
    out = libspu.Share()
    out.meta = share.meta
    out.share_chunks = list(share.chunks)
    return out


# compiling

_codes: dict[tuple[str, tuple[str, ...], tuple[str, ...]], bytes] = {}


def _compile(region: Region) -> bytes:
    """Return SPU code; ranks that share a process compile equal regions once."""
    inputs, outputs = check_region(region)
    body = jax.core.jaxpr_as_fun(region.jaxpr)
    types = input_types(region)

    def region_body(*values: Any) -> Any:
        return body(*values)

    with LOWERING_LOCK, enable_x64():
        text = jax.jit(region_body, keep_unused=True).lower(*types).as_text()
        key = (sha256(text.encode()).hexdigest(), inputs, outputs)
        if key not in _codes:
            if len(_codes) >= _MAX_CODES:
                _codes.pop(next(iter(_codes)))
            _codes[key] = _spu_code(region_body, types, inputs, outputs)
        return _codes[key]


def _spu_code(function: Callable[..., Any], types: list[Any], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    # The frontend replaces functions in jax while it lowers and forgets to put them back when lowering fails.
    names = [name for patch in frontend.lax_patches.values() for name in patch.possible_names]
    before = {name: getattr(lax_internals, name) for name in names if hasattr(lax_internals, name)}
    secret = [libspu.Visibility.VIS_SECRET] * len(inputs)
    try:
        made, _ = frontend.compile(
            frontend.Kind.JAX, function, types, {}, list(inputs), secret, lambda _: list(outputs)
        )
    except RuntimeError as error:
        line = " ".join(str(error).partition("Stacktrace")[0].replace("what:", "").split())[:300]
        raise UnsupportedError(f"SPU cannot compile this program: {line}", code="MPC-0320") from None
    finally:
        for name, original in before.items():
            setattr(lax_internals, name, original)
    return bytes(made.code)


# the device

_log_lock = threading.Lock()
_log: LinkLog | None = None
_run_numbers = itertools.count()


def _link_log() -> LinkLog:
    """Point SPU's process-wide log to where :class:`LinkLog` reads; once."""
    global _log
    with _log_lock:
        if _log is None:
            _log = LinkLog()
            options = libspu.logging.LogOptions()
            options.log_level = libspu.logging.LogLevel.INFO
            options.enable_console_logger = False
            options.system_log_path = _log.path
            options.max_log_file_size = 1 << 50  # LinkLog empties the file; it must not be renamed
            libspu.logging.setup_logging(options)  # no trace_log_path: that log would hold bytes of shares
        return _log


@dataclass(frozen=True)
class _OwnRegion:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: jax.core.ClosedJaxpr


class SpuDevice:
    """One rank of SPU; see :class:`mpc_engine.runtime.device.Device`.

    Parameters
    ----------
    rank : int
    link_factory : Callable[[], Link]
        Makes the link when :meth:`connect` is called, so that nothing is sent before digests were compared.
    config : libspu.RuntimeConfig
        From :func:`runtime_config`, equal at all parties.
    """

    def __init__(self, rank: int, link_factory: Callable[[], Link], config: libspu.RuntimeConfig) -> None:
        self.protocol = _protocol(config)
        self.parties = PARTIES[self.protocol]
        self.rank = rank
        self.config: bytes = config.SerializeToString()
        self._spu_config = config
        self._link_factory = link_factory
        self._link: Link | None = None
        self._vm: Any = None
        self._failed = False
        self._spent = RunCost()

    @property
    def spent(self) -> RunCost:
        """All that this device has run so far, conversions by :meth:`arithmetic` included."""
        return self._spent

    def connect(self) -> None:
        """Link up with the peers and agree on keys; all parties at about the same time. Idempotent."""
        if self._vm is not None:
            return
        _link_log()
        link = self._link_factory()
        if link.rank != self.rank or len(link.parties) != self.parties:
            raise ConfigError(f"{self.protocol} needs a link of {self.parties} parties", code="MPC-0821")
        self._link = link
        with self._guard("setting up"):
            self._vm = spu.api.Runtime(link.context, self._spu_config)

    def load(self, name: str, wire: bytes, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Take in a share that an owner sent; refuses one that is not of this type.

        Raises
        ------
        ProtocolMismatchError
            MPC-0720.
        """
        self._set(name, shares.decode(wire, dtype=dtype, shape=shape, protocol=self.protocol))

    def compile(self, region: Region) -> Compiled:
        """Compile a region for SPU; needs no link.

        Raises
        ------
        UnsupportedError
            MPC-0320 for an operation that SPU does not know.
        """
        inputs, outputs = check_region(region)
        code = _compile(region)
        return Compiled(inputs, outputs, region_digest(self.config + code, region), code)

    def run(self, compiled: Compiled) -> RunCost:
        """Run a region on the variables it names.

        Raises
        ------
        PeerError
            MPC-0620 if a party does not answer. The device, and best the process, must end then.
        """
        vm = self._need()
        name = f"run-{next(_run_numbers)}"
        executable = libspu.Executable(
            name=name,
            input_names=list(compiled.inputs),
            output_names=list(compiled.outputs),
            code=compiled.code,
        )
        log = _link_log()
        log.begin()
        started = time.perf_counter()
        try:
            with self._guard("running a program"):
                vm.run(executable)
        except BaseException:
            log.abandon()
            raise
        seconds = time.perf_counter() - started
        count = log.end(name)
        cost = RunCost(seconds, max(count.sends, count.receives), count.sends, count.bytes_sent, count.exact)
        self._spent += cost
        return cost

    def export(self, name: str) -> bytes:
        """Return this party's share of a variable in its wire form."""
        return shares.encode(self._get(name))

    def arithmetic(self, name: str) -> NDArray[np.uint64]:
        """Return the replicated pairs of a variable (``aby3``).

        A variable that is shared bit by bit (the result of a comparison, whatever its dtype) is converted first, by a
        program of its own that adds a secret zero; that sends messages, so all parties must call this alike.

        Returns
        -------
        ndarray of uint64, shape [n, 2], read-only
            Pairs (x_r, x_{r+1}) in row-major order. Booleans and integers come out as integers mod 2^64, floats as
            fixed point with 18 fraction bits.

        Raises
        ------
        UnsupportedError
            MPC-0322 under another protocol.
        """
        if self.protocol != "aby3":
            raise UnsupportedError(f"{self.protocol} has no replicated pairs", code="MPC-0322")
        share = self._get(name)
        meta = shares.parse_meta(share.meta)
        if meta.public and meta.dtype.name in _SHAREABLE:
            return shares.public_pairs(share, meta, rank=self.rank)
        if meta.arithmetic and meta.dtype.name in ("int64", "float64"):
            return shares.pairs(share, meta)
        return self._converted(name, meta)

    def bits(self, name: str) -> NDArray[np.uint8] | None:
        """Return the replicated pairs of a bool that is shared bit by bit (``aby3``), or None if it is not.

        Returns
        -------
        ndarray of uint8, shape [n, 2], or None
            Pairs (b_r, b_{r+1}) in row-major order, in the lowest bit.
        """
        share = self._get(name)
        meta = shares.parse_meta(share.meta)
        if meta.dtype != np.bool_ or not meta.boolean or self.protocol != "aby3":
            return None
        return shares.bit_pairs(share, meta)

    def store(self, name: str, values: ArrayLike, *, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Make a variable of replicated pairs (``aby3``).

        Parameters
        ----------
        name : str
        values : array, shape [n, 2]
            uint64 for int64 mod 2^64, for float64 in fixed point and for bool as 0 and 1; uint8 holding single bits for
            bool.
        dtype : DTypeLike
        shape : Sequence[int]
        """
        if self.protocol != "aby3":
            raise UnsupportedError(f"{self.protocol} has no replicated pairs", code="MPC-0322")
        if np.dtype(dtype) == np.bool_ and np.asarray(values).dtype == np.uint8:
            self._set(name, shares.from_bit_pairs(np.asarray(values), shape))
        else:
            self._set(name, shares.from_pairs(values, dtype, shape))

    def delete(self, *names: str) -> None:
        """Forget variables; unknown names are ignored."""
        vm = self._need()
        for name in names:
            vm.del_var(name)

    def close(self) -> None:
        """Let go of link and variables; may be called twice.

        Waits for messages under way only if nothing went wrong: after an error that wait can end the process.
        """
        link, self._link, self._vm = self._link, None, None
        if link is not None and not self._failed:
            link.close()

    def _converted(self, name: str, meta: Meta) -> NDArray[np.uint64]:
        dtype = "float64" if meta.dtype.kind == "f" else "int64"
        zero, out = f"{name}~zero", f"{name}~arithmetic"
        program = jax.make_jaxpr(lambda value, nought: value.astype(dtype) + nought)
        with enable_x64():
            jaxpr = program(np.zeros(meta.shape, meta.dtype), np.zeros(meta.shape, dtype))
        self.store(zero, np.zeros((meta.size, 2), np.uint64), dtype=dtype, shape=meta.shape)
        self.run(self.compile(_OwnRegion((name, zero), (out,), jaxpr)))
        share = self._get(out)
        self.delete(zero, out)
        return shares.pairs(share, shares.parse_meta(share.meta))

    def _get(self, name: str) -> WireShare:
        vm = self._need()
        with self._guard(f"reading variable '{name}'"):
            share = vm.get_var(name)
        return WireShare(share.meta, tuple(share.share_chunks))

    def _set(self, name: str, share: WireShare) -> None:
        vm = self._need()
        with self._guard(f"writing variable '{name}'"):
            vm.set_var(name, _to_spu(share))

    def _need(self) -> Any:
        if self._vm is None or self._failed:
            state = "failed before" if self._failed else "is not connected"
            raise MpcError(f"the SPU device of rank {self.rank} {state}", code="MPC-0327")
        return self._vm

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        assert self._link is not None
        try:
            with self._link.errors(doing):
                yield
        except BaseException:
            self._failed = True
            raise
