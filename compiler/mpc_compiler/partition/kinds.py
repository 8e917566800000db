"""Which equations native kernels run, by kind: those of one kind run together, in the same messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jax import core
from numpy.typing import NDArray

from mpc_compiler.ops.define import FRACTION_BITS, RAW
from mpc_compiler.ops.owned import OWNED
from mpc_compiler.partition.atoms import dtype_of, shape_of, size_of
from mpc_compiler.partition.trace import COMPARISONS, EQUALITIES

__all__ = ["LOCAL", "NATIVE", "TOGETHER", "Call", "factor_of", "kind_of", "operation_of"]

NATIVE = frozenset(
    (
        *("ring_matmul", "sort_rows", "lookup", "compact", "segment_scan", "prefix_sum", "compare", "one_hot"),
        *("scaled_matmul", "logistic", "quick_sigmoid", "exp", "log", *OWNED, *COMPARISONS, *EQUALITIES),
    )
)
"""Primitives whose kernels are worth a change of engine: our own, and some of jax's on int64 and float64 arrays."""

TOGETHER = frozenset(("and", "select", "multiply", "fixed_multiply", "scale", "less", "equal"))
"""Kinds of which many run at once, element by element."""

_REARRANGED = frozenset(
    (
        *("slice", "concatenate", "reshape", "squeeze", "broadcast_in_dim", "rev", "transpose", "pad", "expand_dims"),
        *("gather", "dynamic_slice", "copy"),
    )
)
_SUMMED = frozenset(("add", "sub", "neg", "reduce_sum", "prefix_sum", "cumsum", "encode_fixed", "decode_fixed"))
LOCAL = frozenset(
    (
        *_REARRANGED,
        *_SUMMED,
        "mul",
        "div",
        "shift_left",
        "dot_general",
        "and",
        "or",
        "not",
        "xor",
        "select_n",
        "convert_element_type",
    )
)
"""Primitives that native kernels run without a message, at least on some operands."""

_TYPES = frozenset(("bool", "int64", "float64"))
_NUMBERS = frozenset(("int64", "float64"))
_LARGEST = 2.0 ** (62 - FRACTION_BITS)

Values = NDArray[Any]
Public = Callable[[Any], Values | None]
"""The array that a variable or literal holds if it depends on no secret, else None."""


class Call:
    """One equation as a kernel runs it.

    Parameters
    ----------
    eqn : JaxprEqn
    kind : str
        How, see :func:`kind_of`.
    operands : tuple of str or array
        Names of secret variables; arrays where an operand is public.
    outputs : tuple of str
        Names of variables.
    params : mapping
        What the kernel needs to know.
    """

    def __init__(
        self,
        eqn: core.JaxprEqn,
        kind: str,
        operands: tuple[str | Values, ...],
        outputs: tuple[str, ...],
        params: Mapping[str, Any],
    ) -> None:
        self.eqn, self.kind, self.operands, self.outputs, self.params = eqn, kind, operands, outputs, params
        self.shapes = tuple(shape_of(v) for v in eqn.invars)
        self.dtypes = tuple(dtype_of(v) for v in eqn.invars)
        self.shape = shape_of(eqn.outvars[0])
        self.dtype = dtype_of(eqn.outvars[0])
        self.size = math.prod(self.shape)
        self.primitive = str(eqn.primitive.name)


def kind_of(eqn: core.JaxprEqn, public: Public) -> str | None:
    """Say how native kernels run an equation that depends on a secret.

    Returns
    -------
    str or None
        ``"local"``; one of `TOGETHER`; the primitive's name for a kernel that runs alone; None if there is none.
    """
    name, ins = eqn.primitive.name, eqn.invars
    given = [public(v) for v in ins]
    if any(value is not None and not _encodable(value) for value in given):
        return None
    if name in ("gather", "dynamic_slice"):  # by public positions
        moved = dtype_of(ins[0]) in _TYPES and all(value is not None for value in given[1:])
        return "local" if moved and given[0] is None else None
    kinds = {dtype_of(v) for v in (*ins, *eqn.outvars)}
    if not kinds <= _TYPES or (name != "dot_general" and name in _REFUSED):
        return None
    if name in _REARRANGED or name in ("not", "xor"):
        return "local" if name in _REARRANGED or kinds == {"bool"} else None
    if name in _SUMMED:
        return "local" if kinds <= _NUMBERS else None
    found = _BY_NAME.get(name)
    if found is not None:
        return found(eqn, given)
    return name if name in NATIVE and all(map(size_of, ins)) else None


_REFUSED = frozenset(("while", "scan", "cond"))


def _encodable(value: Values) -> bool:
    return value.dtype != np.float64 or bool(np.all(np.abs(value) < _LARGEST))


Given = list[Values | None]


def _mul(eqn: core.JaxprEqn, given: Given) -> str | None:
    dtype = dtype_of(eqn.outvars[0])
    if dtype not in _NUMBERS:
        return None
    known = next((value for value in given if value is not None), None)
    if known is None:
        return "multiply" if dtype == "int64" else "fixed_multiply"
    return "local" if dtype == "int64" or not factor_of(known)[1] else "scale"


def _div(eqn: core.JaxprEqn, given: Given) -> str | None:
    """By a public number: a product with its reciprocal."""
    divisor = given[1]
    if given[0] is not None or divisor is None or dtype_of(eqn.outvars[0]) != "float64":
        return None
    if not np.all(divisor) or not _encodable(1 / divisor):
        return None
    return "scale" if factor_of(1 / divisor)[1] else "local"


def factor_of(value: Values) -> tuple[Values, int]:
    """Return a public float factor as a whole one, and how many bits the product is to lose.

    None for whole numbers, and as few as possible for a single number with a short binary fraction: fewer bits leave
    more room before the product overflows, and round less.

    Examples
    --------
    >>> factor_of(np.array([3.0, -2.0])), factor_of(np.array(0.75))
    ((array([ 3, -2]), 0), (array(3), 2))
    >>> factor_of(np.array(0.1))
    (array(26214), 18)
    """
    if np.all(value == np.rint(value)):
        return np.asarray(value).astype(np.int64), 0
    one = value.reshape(-1)[0]
    if np.all(value == one):
        numerator, denominator = float(one).as_integer_ratio()
        bits = denominator.bit_length() - 1
        if bits <= FRACTION_BITS or (bits <= 32 and abs(numerator) == 1):
            return np.broadcast_to(np.int64(numerator), value.shape), bits
    return np.asarray(np.rint(value * 2.0**FRACTION_BITS), np.int64), FRACTION_BITS


def _logic(eqn: core.JaxprEqn, given: Given) -> str | None:
    dtype = dtype_of(eqn.outvars[0])
    known = next((value for value in given if value is not None), None)
    if dtype == "bool":
        return "and" if known is None else "local"
    if dtype == "int64" and eqn.primitive.name == "and" and known is not None and known.size:
        mask = int(known.reshape(-1)[0])
        low = mask > 0 and mask & (mask + 1) == 0 and bool(np.all(known == mask))
        return "low_bits" if low else None
    return None


def _select(eqn: core.JaxprEqn, given: Given) -> str | None:
    which, *cases = given
    if dtype_of(eqn.invars[0]) != "bool" or len(cases) != 2:
        return None
    if which is not None:
        return "local"
    if dtype_of(eqn.outvars[0]) != "bool":
        return "select"
    return "local" if all(case is not None for case in cases) else "and"


def _convert(eqn: core.JaxprEqn, given: Given) -> str | None:
    source, target = dtype_of(eqn.invars[0]), dtype_of(eqn.outvars[0])
    if source == "bool":
        return "select" if target in _NUMBERS else "local"
    if target == "bool":
        return None
    return "shift" if (source, target) == ("float64", "int64") else "local"


def _compared(eqn: core.JaxprEqn, given: Given) -> str | None:
    if "bool" in {dtype_of(v) for v in eqn.invars}:
        return None
    return "equal" if operation_of(eqn) in EQUALITIES else "less"


def operation_of(eqn: core.JaxprEqn) -> str:
    """Which comparison an equation makes: lt, le, gt, ge, eq or ne."""
    return str(eqn.params["op"] if eqn.primitive.name == "compare" else eqn.primitive.name)


def _dot(eqn: core.JaxprEqn, given: Given) -> str | None:
    (_, batches) = eqn.params["dimension_numbers"]
    dtype = dtype_of(eqn.outvars[0])
    if any(batches) or any(dtype_of(v) != dtype for v in eqn.invars) or dtype not in _NUMBERS:
        return None
    known = next((value for value in given if value is not None), None)
    if known is None:
        return "multiply" if dtype == "int64" else "fixed_multiply"
    return "local" if dtype == "int64" or not factor_of(known)[1] else "scale"


def _matmul(eqn: core.JaxprEqn, given: Given) -> str | None:
    return "local" if any(value is not None for value in given) else "multiply"


def _scaled(eqn: core.JaxprEqn, given: Given) -> str | None:
    return "fixed_multiply" if all(value is None for value in given) else "scale"


def _shift(eqn: core.JaxprEqn, given: Given) -> str | None:
    """By a public number of bits, the same for all: to the left a product, to the right through the bits."""
    count = given[1]
    if given[0] is not None or count is None or dtype_of(eqn.outvars[0]) != "int64":
        return None
    if not np.all(count == count.reshape(-1)[0]) or not 0 <= int(count.reshape(-1)[0]) < RAW:
        return None
    return "local" if eqn.primitive.name == "shift_left" else "shift_right"


def _floor(eqn: core.JaxprEqn, given: Given) -> str | None:
    return "floor" if dtype_of(eqn.invars[0]) == "float64" else None


_BY_NAME: Mapping[str, Callable[[core.JaxprEqn, Given], str | None]] = {
    "mul": _mul,
    "div": _div,
    "and": _logic,
    "or": _logic,
    "select_n": _select,
    "convert_element_type": _convert,
    "dot_general": _dot,
    "ring_matmul": _matmul,
    "scaled_matmul": _scaled,
    "floor": _floor,
    **dict.fromkeys(("shift_left", "shift_right_arithmetic", "shift_right_logical"), _shift),
    **dict.fromkeys(("compare", *COMPARISONS, *EQUALITIES), _compared),
}
