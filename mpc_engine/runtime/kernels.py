"""Native kernels inside programs: kernel regions run on the shares that owners sent or SPU's regions left.

A value is handed over to SPU when a region of it first reads it, and once: what one kernel leaves for the next never
passes through SPU. Numbers are handed over as replicated pairs mod 2^64, flags as replicated pairs of bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mpc_compiler.partition import Call, KernelRegion
from mpc_engine.runtime import shares
from mpc_engine.runtime.columns import Operand, as_bit, number, octets_of, packed, planes_of, shared
from mpc_engine.runtime.device import Device
from mpc_engine.runtime.local_kernels import LOCAL
from mpc_engine.runtime.operation import Operation
from mpc_engine.runtime.replicated.approx import sigmoid
from mpc_engine.runtime.replicated.bit_rows import head_rows, stack_rows, tail_rows, unstack_rows
from mpc_engine.runtime.replicated.bits import Bits, concat, constant, not_, xor
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.convert import a2b
from mpc_engine.runtime.replicated.core import Pairs, Replicated
from mpc_engine.runtime.replicated.elementary import log
from mpc_engine.runtime.replicated.exponential import exp
from mpc_engine.runtime.replicated.lookup import lookup
from mpc_engine.runtime.replicated.minmax_scan import segment_extreme
from mpc_engine.runtime.replicated.one_hot import one_hot
from mpc_engine.runtime.replicated.owned import OwnedMatrix, gram, times, transposed_times
from mpc_engine.runtime.replicated.radix import choose, radix_order
from mpc_engine.runtime.replicated.recompose import recompose
from mpc_engine.runtime.replicated.scan import segment_scan
from mpc_engine.runtime.replicated.shuffle import Column
from mpc_engine.runtime.replicated.sort import sort_rows
from mpc_engine.runtime.replicated.truncate import truncate
from mpc_engine.runtime.sharing import OwnerShare, expand, received
from mpc_engine.runtime.together import TOGETHER_KERNELS

__all__ = ["Values", "run_kernel"]

Types = Mapping[str, tuple[tuple[int, ...], str]]
Params = Mapping[str, Any]
"""Of the primitive, and ``shapes`` of the operands."""
Kernel = Callable[[Replicated, Sequence[Any], Params], Sequence[Column]]
"""Of columns, or matrices that one party knows."""
_RAW = 64
_LOG = (-13, 14)
"""Arguments of the logarithm lie between these powers of two."""


class Values:
    """The secret variables of one program run, wherever they lie: in the device, here, or in both.

    Parameters
    ----------
    device : Device
    types : mapping of str to (shape, dtype name)
        Of all variables.
    """

    def __init__(self, device: Device, types: Types) -> None:
        self._device = device
        self._types = types
        self._here: dict[str, Column] = {}
        self._arrived: dict[str, OwnerShare] = {}
        self._there: set[str] = set()
        self._owned: dict[str, OwnedMatrix] = {}

    def arrived(self, name: str, wire: bytes) -> None:
        """Take in a share as an owner sent it; it is read when somebody wants it.

        Raises
        ------
        ProtocolMismatchError
            MPC-0720 if it is not a share of this variable.
        """
        shape, dtype = self._types[name]
        self._arrived[name] = received(wire, dtype=dtype, shape=shape, rank=self._device.rank)

    def kept(self, name: str, wire: bytes) -> bool:
        """Take in a share of this party's own, of an earlier run; False where only the device can read it.

        Raises
        ------
        ProtocolMismatchError
            MPC-0720 if it is not a share of this variable.
        """
        shape, dtype = self._types[name]
        if shares.has_pairs(wire):
            self._here[name] = packed(shares.pairs_of(wire, dtype=dtype, shape=shape, protocol="aby3"))
            return True
        share = shares.decode(wire, dtype=dtype, shape=shape, protocol="aby3")
        meta = shares.parse_meta(share.meta)
        if meta.public:
            self._here[name] = shares.public_pairs(share, meta, rank=self._device.rank)
        return meta.public

    def made_by_device(self, names: Sequence[str]) -> None:
        """Say that the device holds these variables."""
        self._there.update(names)

    def here(self, name: str) -> bool:
        """Whether a kernel can have this variable without asking the device."""
        return name in self._here or name in self._arrived or name in self._owned

    def column(self, name: str) -> Column:
        """A variable as flat pairs, or as one plane of bits if it is a flag that is shared so.

        A flag that is shared as a number comes as pairs of 0 and 1. Numbers that SPU left as bits are converted first
        by SPU: that sends messages.
        """
        if name not in self._here:
            self._here[name] = expand(self._arrived.pop(name)) if name in self._arrived else self._fetched(name)
        return self._here[name]

    def _fetched(self, name: str) -> Column:
        found = self._device.bits(name) if self._types[name][1] == "bool" else None
        return self._device.arithmetic(name) if found is None else planes_of(found)

    def own(self, name: str, matrix: OwnedMatrix) -> None:
        """Take a matrix that one party knows: kernels read it by its name, the device never does."""
        self._owned[name] = matrix

    def operand(self, name: str) -> Column | OwnedMatrix:
        """A variable as kernels take it."""
        return self._owned[name] if name in self._owned else self.column(name)

    def keep(self, name: str, value: Column) -> None:
        """Take what a kernel made."""
        self._here[name] = value

    def hand_over(self, names: Sequence[str]) -> None:
        """See that the device holds these variables."""
        for name in names:
            if name in self._there:
                continue
            shape, dtype = self._types[name]
            value = self.column(name)
            pairs = octets_of(value) if isinstance(value, Bits) else value.reshape(-1, 2)
            self._device.store(name, pairs, dtype=dtype, shape=shape)
            self._there.add(name)

    def export(self, name: str) -> bytes:
        """Return this party's share of a variable in its wire form."""
        if not self.here(name):
            return self._device.export(name)
        shape, dtype = self._types[name]
        value = self.column(name)
        if isinstance(value, Bits):
            return shares.encode(shares.from_bit_pairs(octets_of(value), shape))
        return shares.encode(shares.from_pairs(value, dtype, shape))

    def drop(self, names: Sequence[str]) -> None:
        """Let go of variables that nobody reads any more."""
        for name in names:
            self._here.pop(name, None)
            self._arrived.pop(name, None)
            self._owned.pop(name, None)
        there = [name for name in names if name in self._there]
        if there:
            self._device.delete(*there)
            self._there.difference_update(there)

    def forget(self) -> None:
        """Let go of everything, in the device too."""
        if self._there:
            self._device.delete(*self._there)
        self._here.clear()
        self._arrived.clear()
        self._owned.clear()
        self._there.clear()


def run_kernel(party: Replicated, region: KernelRegion, values: Values, types: Types) -> None:
    """Run one kernel region; all parties alike."""
    kind = region.calls[0].kind
    if kind in TOGETHER_KERNELS:
        made = TOGETHER_KERNELS[kind](party, [_operation(call, values) for call in region.calls])
        for call, column in zip(region.calls, made, strict=True):
            values.keep(call.outputs[0], column)
        return
    (call,) = region.calls
    if kind == "local":
        results: Sequence[Column] = [LOCAL[call.primitive](party, _operation(call, values))]
    elif kind in _ALONE:
        results = [_ALONE[kind](party, _operation(call, values))]
    else:
        params = {**call.params, "shapes": list(call.shapes), "dtypes": call.dtypes}
        inputs = [
            values.operand(operand) if isinstance(operand, str) else shared(party, operand, shape)
            for operand, shape in zip(call.operands, call.shapes, strict=True)
        ]
        results = _KERNELS[kind](party, inputs, params)
    for name, result in zip(call.outputs, results, strict=True):
        values.keep(name, result)


def _operation(call: Call, values: Values) -> Operation:
    operands = [
        Operand(values.column(operand), None, shape) if isinstance(operand, str) else Operand(None, operand, shape)
        for operand, shape in zip(call.operands, call.shapes, strict=False)
    ]
    return Operation(call.primitive, operands, call.params, call.shape, call.dtype)


def _sort_rows(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    bits, keep = params["bits"], params["keep"]
    keys, payload = inputs[: len(bits)], list(inputs[len(bits) :])
    moved = [key for key, kept in zip(keys, keep, strict=True) if kept]
    rows = params["shapes"][0][0]
    if rows < 2 or not any(bits):
        return [*moved, *payload]
    wide = [(key, width) for key, width in zip(keys, bits, strict=True) if width]
    parts = [_ascending(party, planes) for planes in _planes_together(party, wide)]
    if sum(bits) == 1:
        return compact(party, not_(party, parts[0]), [*moved, *payload])[0]
    key = concat(parts[::-1])
    if choose(rows, key.bits, party.link) == "radix":
        return radix_order(party, key).apply(party, [*moved, *payload])
    return sort_rows(party, key, [*moved, *payload]).payload


def _planes_together(party: Replicated, words: Sequence[tuple[Column, int]]) -> list[Bits]:
    """The planes of words of so many bits each; numbers of as many bits are converted in one go."""
    found = {at: word for at, (word, _) in enumerate(words) if isinstance(word, Bits)}
    for width in sorted({width for at, (_, width) in enumerate(words) if at not in found}):
        numbers = {at: word for at, (word, bits) in enumerate(words) if at not in found and bits == width}
        planes = a2b(party, np.concatenate(list(numbers.values())), width)
        found.update(zip(numbers, unstack_rows(planes, len(numbers)) if len(numbers) > 1 else [planes], strict=True))
    return [found[at] for at in range(len(words))]


def _ascending(party: Replicated, planes: Bits) -> Bits:
    """A key in an order in which all bits count alike: the sign of a full word is turned over."""
    if planes.bits < _RAW:
        return planes
    sign = np.zeros(planes.rows, np.uint64)
    top = constant(party, sign + np.uint64(1), 1)
    low, high = planes.planes(slice(0, _RAW - 1)), planes.planes(slice(_RAW - 1, _RAW))
    return concat([low, xor(high, top)])


def _lookup(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    bits = params["bits"]
    words, payload = len(bits), inputs[2 * len(bits) :]
    left, right = params["shapes"][0][0], params["shapes"][words][0]
    sides = zip(inputs[:words], inputs[words : 2 * words], bits, strict=True)
    stacked = [(_stacked(party, a, b), width) for a, b, width in sides if width]
    parts = _planes_together(party, stacked)
    key = concat(parts[::-1]) if parts else constant(party, np.zeros(left + right, np.uint64), 1)
    found = lookup(party, head_rows(key, left), tail_rows(key, right), payload)
    return [found.match, *found.columns]


def _stacked(party: Replicated, left: Column, right: Column) -> Column:
    """A word of both sides, the right one below: bits if both are, else numbers."""
    if isinstance(left, Bits) and isinstance(right, Bits):
        return stack_rows([left, right])
    return np.concatenate([number(party, left), number(party, right)])


def _compact(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    flag, *payload = inputs
    if params["shapes"][0][0] < 2:
        return payload
    return compact(party, flag, payload)[0]


def _segment_scan(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    start, value = inputs[0], number(party, inputs[1])
    if params["op"] in ("min", "max"):
        return [segment_extreme(party, start, value, op=params["op"], bits=_RAW, low=-(1 << (_RAW - 1)))]
    return [segment_scan(party, number(party, start), value, op=params["op"])]


def _one_hot(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    code, *flags = inputs
    flag = as_bit(party, flags[0]) if flags else None
    return [one_hot(party, number(party, code), params["domain"], flag).reshape(-1, 2)]


def _owned(inputs: Sequence[Any]) -> list[OwnedMatrix]:
    assert all(isinstance(matrix, OwnedMatrix) for matrix in inputs)
    return list(inputs)


def _owned_product(multiply: Callable[..., Pairs]) -> Kernel:
    def kernel(party: Replicated, inputs: Sequence[Any], params: Params) -> list[Column]:
        matrices, y = _owned(inputs[1:]), number(party, inputs[0]).reshape(*params["shapes"][0], 2)
        bits = shares.FRACTION_BITS if set(params["dtypes"]) == {"float64"} else 0
        rows = {"step": params["step"]} if "step" in params else {}
        return [multiply(party, matrices, y, bits=bits, **rows).reshape(-1, 2)]

    return kernel


def _owned_gram(party: Replicated, inputs: Sequence[Any], params: Params) -> list[Column]:
    weights = number(party, inputs[0]) if params["weighted"] else None
    matrices = _owned(inputs[1:] if params["weighted"] else inputs)
    made = gram(party, matrices, weights, bits=shares.FRACTION_BITS, step=params["step"], limit=params["limit"])
    return [made.reshape(-1, 2)]


def _low_bits(party: Replicated, operation: Operation) -> Column:
    secret = next(operand for operand in operation.operands if operand.public is None)
    mask = next(operand.public for operand in operation.operands if operand.public is not None)
    width = int(mask.reshape(-1)[0]).bit_length()
    return recompose(party, a2b(party, number(party, secret.secret()), width))


def _floor(party: Replicated, operation: Operation) -> Column:
    pairs = number(party, operation.operands[0].secret())
    below: Pairs = pairs - recompose(party, a2b(party, pairs, shares.FRACTION_BITS))
    return below


def _shift_right(party: Replicated, operation: Operation) -> Column:
    """Bits moved down; above, copies of the sign or nothing."""
    secret, count = operation.operands
    assert count.public is not None
    by = int(count.public.reshape(-1)[0])
    planes = a2b(party, number(party, secret.secret()))
    kept = np.arange(by, _RAW)
    if operation.name == "shift_right_arithmetic":
        kept = np.concatenate([kept, np.full(by, _RAW - 1)])
    return recompose(party, planes.planes(kept))


def _shift(party: Replicated, operation: Operation) -> Column:
    """A float that is whole as an integer: exact."""
    return truncate(party, number(party, operation.operands[0].secret()), bits=shares.FRACTION_BITS)


def _sigmoid(party: Replicated, inputs: Sequence[Column], params: Params) -> list[Column]:
    return [sigmoid(party, number(party, inputs[0]))]


_ALONE: dict[str, Callable[[Replicated, Operation], Column]] = {
    "low_bits": _low_bits,
    "floor": _floor,
    "shift": _shift,
    "shift_right": _shift_right,
}
"""By the kind of :func:`mpc_compiler.partition.kinds.kind_of`."""
_KERNELS: dict[str, Kernel] = {
    "sort_rows": _sort_rows,
    "lookup": _lookup,
    "compact": _compact,
    "segment_scan": _segment_scan,
    "one_hot": _one_hot,
    "owned_matmul": _owned_product(times),
    "owned_rmatmul": _owned_product(transposed_times),
    "owned_gram": _owned_gram,
    "exp": lambda party, inputs, _: [exp(party, number(party, inputs[0]))],
    "log": lambda party, inputs, _: [log(party, number(party, inputs[0]), low=_LOG[0], high=_LOG[1])],
    "logistic": _sigmoid,
    "quick_sigmoid": _sigmoid,
}
