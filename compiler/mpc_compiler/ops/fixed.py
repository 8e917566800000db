"""Fixed-point numbers as the integers that represent them in the ring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, core, lax
from jax.interpreters import mlir

from mpc_compiler.cost.model import ZERO
from mpc_compiler.ops.define import FRACTION_BITS, PrimitiveInfo, define

__all__ = ["FIXED", "decode_fixed", "encode_fixed"]

_SPU_PLATFORM = "interpreter"


def _same_shape(dtype: Any) -> Callable[[core.ShapedArray], list[core.ShapedArray]]:
    return lambda x: [core.ShapedArray(x.shape, jnp.dtype(dtype))]


def _reinterpret(dtype: Any) -> Any:
    return mlir.lower_fun(lambda x: [lax.bitcast_convert_type(x, dtype)], multiple_results=True)


_encode_fixed_p = define(
    "encode_fixed", lambda x: [jnp.floor(x * 2.0**FRACTION_BITS).astype(jnp.int64)], _same_shape(jnp.int64)
)
_decode_fixed_p = define(
    "decode_fixed", lambda x: [x.astype(jnp.float64) * 2.0**-FRACTION_BITS], _same_shape(jnp.float64)
)
mlir.register_lowering(_encode_fixed_p, _reinterpret(jnp.int64), platform=_SPU_PLATFORM)
mlir.register_lowering(_decode_fixed_p, _reinterpret(jnp.float64), platform=_SPU_PLATFORM)


def encode_fixed(x: Array) -> Array:
    """The integer that represents a fixed-point number in the ring: floor(x · 2**18).

    Parameters
    ----------
    x : Array
        float64, any shape, ``|x| < 2**44``.

    Returns
    -------
    Array
        int64. In SPU a change of type on the same shares: no cost, no error. There the input was rounded when it was
        shared, so that the result may differ by one from the clear run.

    Examples
    --------
    >>> import numpy as np
    >>> encode_fixed(np.array([0.5, -1.0])).tolist()
    [131072, -262144]
    """
    out: Array = _encode_fixed_p.bind(jnp.asarray(x))[0]
    return out


def decode_fixed(x: Array) -> Array:
    """The fixed-point number that an integer represents in the ring: x · 2**-18. The inverse of `encode_fixed`.

    Parameters
    ----------
    x : Array
        int64, any shape.

    Returns
    -------
    Array
        float64. No cost in SPU.

    Examples
    --------
    >>> import numpy as np
    >>> decode_fixed(np.array([131072])).tolist()
    [0.5]
    """
    out: Array = _decode_fixed_p.bind(jnp.asarray(x))[0]
    return out


FIXED = {
    "encode_fixed": PrimitiveInfo(_encode_fixed_p, lambda *_: ZERO, kernel=False),
    "decode_fixed": PrimitiveInfo(_decode_fixed_p, lambda *_: ZERO, kernel=False),
}
