"""SPU's side of the operations that `mpc-engine bench` measures: the fastest way found in SPU 0.9.5 under aby3.

Where there are several, measured at 20,000 and 100,000 rows among three processes over loopback:

- ``sort``: the engine's own program, a stable radix sort by the key cut to its bits. Without the cut it takes twice as
  long. A quick sort by the key followed by the row number, so that it shows no ties, takes 1.1 to 1.5 times as long.
- ``shuffle``: SPU offers no such operation to programs. Its own ``spu.ops.groupby.shuffle_cols`` sorts by a secret
  random key, and so does this; the key is there already and costs nothing. Quick sort shows which keys tie, which says
  nothing about the columns where keys are random, and takes 0.8 of the time of a radix sort by 40 bits.
- ``compaction``: a radix sort by one bit; a quick sort takes 13 times as long.
- ``matmul``: one product; column by column takes eight times as long for matrices of this shape.
- ``sigmoid``: the engine's own program, a polynomial. ``jax.nn.sigmoid`` reaches SPU as 1 / (1 + exp(-x)), whatever
  mode of the sigmoid it is set to, and takes 1.5 to 2.5 times as long.
- ``groupby``: the engine's own program for SPU alone.
- ``join``: both sides in one sort by (key, side), the payload copied down from the row of the unique side, the foreign
  rows brought to the front. They stay in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import enable_x64
from numpy.typing import NDArray

from mpc_compiler.ops import primitives
from mpc_compiler.ops.group import Agg, Key, group_by
from mpc_compiler.ops.sigmoid import sigmoid
from mpc_compiler.ops.table import Column, Table
from mpc_compiler.partition import SpuRegion, partition
from mpc_engine.cli.kernel_table import VALUE_BITS, Size
from mpc_engine.runtime.device import RunCost
from mpc_engine.runtime.links import LinkTimeouts
from mpc_engine.runtime.spu_device import SpuDevice, runtime_config, tcp_link

if TYPE_CHECKING:
    from mpc_engine.runtime.replicated.core import Pairs

__all__ = ["SpuSide"]

Function = Callable[..., Sequence[Array]]


def _sort(size: Size) -> Function:
    return lambda key, payload: primitives.sort_rows((key,), (payload,), (size.bits,))


def _compact(size: Size) -> Function:
    return lambda flag, *payload: lax.sort((((1 - flag) ^ 2) & 3, *payload), num_keys=1, is_stable=True)[1:]


def _shuffle(size: Size) -> Function:
    return lambda *columns: lax.sort((columns[-1], *columns[:-1]), num_keys=1)[1:]


def _group_by(size: Size) -> Function:
    key = Key("key", 0, 2**size.bits - 1)
    aggs = [
        Agg(fn, fn, None if fn == "size" else "value", 0, 2**VALUE_BITS - 1) for fn in ("size", "sum", "min", "max")
    ]

    def program(keys: Array, values: Array) -> Sequence[Array]:
        found = group_by(Table({"key": Column(keys), "value": Column(values)}), [key], aggs)
        valid = jnp.ones(found.rows, bool) if found.valid is None else found.valid
        return [valid, *(found.columns[name].value for name in ("key", *(agg.out for agg in aggs)))]

    return program


def _join(size: Size) -> Function:
    left, right = size.groups, size.rows
    number = jnp.concatenate([jnp.zeros(left, jnp.int64), jnp.arange(right)])
    is_left = jnp.concatenate([jnp.ones(left, jnp.int64), jnp.zeros(right, jnp.int64)])

    def program(known: Array, foreign: Array, *payload: Array) -> Sequence[Array]:
        code = 2 * jnp.concatenate([known, foreign]) + 1 - is_left
        columns = [jnp.concatenate([column, jnp.zeros(right, jnp.int64)]) for column in payload]
        code, *moved = primitives.sort_rows((code,), (number, is_left, *columns), (size.bits + 1,))
        number_moved, left_moved, *rest = moved
        key = code - (1 - left_moved)
        start = key != jnp.concatenate([key[:1] - 1, key[:-1]])
        found = [primitives.segment_scan(start, column, "copy") for column in (left_moved, *rest)]
        packed = _compact(size)(1 - left_moved, number_moved, *found)
        return [column[:right] for column in packed]

    return program


_PROGRAMS: Mapping[str, Callable[[Size], Function]] = {
    "sort": _sort,
    "shuffle": _shuffle,
    "compaction": _compact,
    "groupby": _group_by,
    "join": _join,
    "compare": lambda _: lambda a, b: (a < b,),
    "equal": lambda _: lambda a, b: (a == b,),
    "multiply": lambda _: lambda a, b: (a * b,),
    "fixed_multiply": lambda _: lambda a, b: (a * b,),
    "a2b": lambda size: lambda x: (x & (2**size.bits - 1),),
    "matmul": lambda _: lambda a, b: (a @ b,),
    "fixed_matmul": lambda _: lambda a, b: (a @ b,),
    "sigmoid": lambda _: lambda x: (sigmoid(x),),
}
"""What SPU runs, by operation."""


class SpuSide:
    """One rank of SPU with an operation's shares in it.

    Parameters
    ----------
    operation : str
    size : Size
    rank : int
    addresses : sequence of str
        ``host:port`` of SPU's servers, by rank.
    run : str
        The same at all parties.
    timeout : float
        Seconds that SPU waits for a message.
    """

    def __init__(
        self, operation: str, size: Size, rank: int, *, addresses: Sequence[str], run: str, timeout: float
    ) -> None:
        self._function = _PROGRAMS[operation](size)
        config = runtime_config("aby3")
        if operation == "shuffle":
            config.sort_method = type(config).SORT_QUICK
        waits = LinkTimeouts(receive=timeout)
        self._device = SpuDevice(rank, lambda: tcp_link(addresses, rank, run, timeouts=waits), config)
        self._device.connect()

    def prepare(self, secrets: Sequence[NDArray[Any]], pairs: Sequence[Pairs]) -> None:
        """Load the shares and compile.

        Parameters
        ----------
        secrets : sequence of ndarray
            For their shapes and types.
        pairs : sequence of ndarray of uint64, shape [..., 2]
        """
        with enable_x64():
            specs = [jax.ShapeDtypeStruct(secret.shape, secret.dtype) for secret in secrets]
            program = partition(self._function, specs, protocol="aby3", kernels="spu")
            shapes = [tuple(spec.shape) for spec in jax.eval_shape(self._function, *specs)]
        for name, secret, own in zip(program.inputs, secrets, pairs, strict=True):
            self._device.store(name, own.reshape(-1, 2), dtype=secret.dtype.name, shape=secret.shape)
        self._outputs = list(zip(program.outputs, shapes, strict=True))
        self._regions = [self._device.compile(region) for region in program.regions if isinstance(region, SpuRegion)]

    def run(self) -> RunCost:
        """Run the operation once."""
        return sum((self._device.run(region) for region in self._regions), RunCost())

    def results(self) -> list[Pairs]:
        """Return the results of the last run as arithmetic shares."""
        return [self._device.arithmetic(name).reshape(*shape, 2) for name, shape in self._outputs]

    def close(self) -> None:
        """Let go of the link."""
        self._device.close()
