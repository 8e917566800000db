"""Secret whole numbers by their size: between which powers of two they lie, and scaled by those."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mpc_compiler.ops.elementwise import compare
from mpc_compiler.ops.rational import cut

__all__ = ["Size", "chosen", "cut_far"]

_COARSE = 16
_CUTTABLE = 1 << 59


def cut_far(value: Array, bits: int, most: int = 0) -> Array:
    """``value >> bits`` for any number of bits, off by less than 2; ``|value| <= most`` if that may be 2**59 or more.

    Examples
    --------
    >>> bool(abs(cut_far(jnp.array([1 << 40]), 36) - 16)[0] < 2)
    True
    """
    if most >= _CUTTABLE and bits:
        return lax.shift_right_arithmetic(value, jnp.int64(min(bits, 63)))
    while bits:
        piece = min(bits, _COARSE)
        value, bits = cut(value, piece), bits - piece
    return value


def chosen(steps: Array, values: list[int]) -> Array:
    """``values[t]`` where the first t of the int64 steps [k, ...] are 1: local, since the increments are public.

    Examples
    --------
    >>> chosen(jnp.array([[0, 1, 1], [0, 0, 1]]), [5, 7, 4]).tolist()
    [5, 7, 4]
    """
    if not len(steps):
        return jnp.full(steps.shape[1:], values[0], jnp.int64)
    changes = np.diff(np.array(values, np.int64)).reshape((-1,) + (1,) * (steps.ndim - 1))
    return values[0] + jnp.sum(steps * changes, axis=0)


@dataclass(frozen=True)
class Size:
    """Between which powers of two a secret number lies, as secret numbers.

    Parameters
    ----------
    first : int
        The smallest exponent e with ``2**e <= den < 2**(e+1)`` that is possible.
    steps : Array
        int64 [k, n] of 0 and 1: whether ``den >= 2**(first + 1 + i)``.
    least : Array
        bool [n]: whether ``den >= 2**first``.
    """

    first: int
    steps: Array
    least: Array

    @staticmethod
    def of(den: Array, low: int, high: int) -> Size:
        """By one batch of comparisons."""
        first, last = low.bit_length() - 1, max(high, 1).bit_length() - 1
        powers = np.array([1 << e for e in range(first, last + 1)], np.int64).reshape((-1,) + (1,) * den.ndim)
        wide = jnp.broadcast_to(den[None], (len(powers), *den.shape))
        flags = compare(wide, jnp.broadcast_to(powers, wide.shape), "ge", bits=max(high, 1).bit_length() + 1)
        return Size(first, flags[1:].astype(jnp.int64), flags[0])

    def choose(self, values: list[int]) -> Array:
        """``values[e - first]``: local."""
        return chosen(self.steps, values)

    def below(self, bits: int) -> Array:
        """1 where ``den < 2**bits``, else 0."""
        at = bits - self.first - 1
        if at < 0:
            return jnp.zeros_like(self.least, jnp.int64)
        return 1 - self.steps[at] if at < len(self.steps) else jnp.ones_like(self.least, jnp.int64)

    def scaled(self, value: Array, target: int, most: int) -> Array:
        """``value * 2**(target - e)``, off by less than 2, for ``|value| <= most``.

        What may be too large is truncated first, coarsely. Then the result is below ``2**44`` in size, so that it fits
        the ring before its last truncation; if ``target >= e`` in any case, it is exact.
        """
        exponents = [e - target for e in range(self.first, self.first + len(self.steps) + 1)]
        if exponents[-1] <= 0:
            return value * self.choose([1 << -e for e in exponents])
        total = jnp.zeros_like(value)
        for level in range(exponents[-1] // _COARSE + 1):
            mine = [max(e, 0) // _COARSE == level for e in exponents]
            if any(mine):
                factors = [
                    1 << (_COARSE * (level + 1) - e) if own else 0 for e, own in zip(exponents, mine, strict=True)
                ]
                total = total + cut_far(value, _COARSE * level, most) * self.choose(factors)
        return cut(total, _COARSE)
