"""Prefix sums and scans that are cheap on shares: logarithmic depth, static slices, no padding to powers of two.

``jnp.cumsum`` must not be used in programs: it lowers to ``reduce_window``, for which SPU allocates n × n elements.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

__all__ = ["inclusive_scan", "mixed_dot", "prefix_sum", "tree_reduce"]

Arrays = tuple[Array, ...]
Combine = Callable[[Arrays, Arrays], Arrays]

_BLOCK = 64


def mixed_dot(a: Array, b: Array) -> Array:
    """Matrix product of integers with integers or fixed-point numbers, without truncation.

    Parameters
    ----------
    a, b : Array
        [g, n] and [n, c]; int64 or float64, at most one of them float64. Both secret: SPU turns a public integer into a
        fixed-point number first, and then truncates.

    Returns
    -------
    Array
        [g, c]; float64 if either is. SPU multiplies an integer with a fixed-point number in the ring, so that the
        result carries no truncation error, and ``|result| < 2**44`` is the only limit.

    Notes
    -----
    Cost under ``aby3``: nothing if either side is public, else one round and 24 bytes an element of the result.
    """
    kind = jnp.result_type(a.dtype, b.dtype)
    return lax.dot_general(a, b, (((1,), (0,)), ((), ())), preferred_element_type=kind)


def prefix_sum(x: Array) -> Array:
    """Inclusive prefix sums, computed by each party alone.

    Parameters
    ----------
    x : Array
        [n], int64 or float64. n may be 0.

    Returns
    -------
    Array
        [n] of the same dtype. Integers wrap modulo 2**64, as shares do: differences of prefix sums stay exact.

    Notes
    -----
    Cost: no communication. Integers: rows of 64 are multiplied with a public triangle of ones, then the row totals
    are summed the same way; that is 64·n multiply-adds, which SPU does faster than log2 n shifted additions (0.7
    against 1.1 s at n = 1,000,000). Fixed-point numbers take the shifted additions: SPU would truncate their product
    with a public matrix.

    Examples
    --------
    >>> import numpy as np
    >>> prefix_sum(jnp.asarray(np.array([1, 2, 3], dtype=np.int64))).tolist()
    [1, 3, 6]
    """
    n = x.shape[0]
    if n < 2:
        return x
    if x.dtype == jnp.float64:
        return _shifted_sums(x)
    width = min(_BLOCK, n)
    rows = -(-n // width)
    triangle = jnp.asarray(np.triu(np.ones((width, width), np.int64)))
    padded = jnp.pad(x, (0, rows * width - n)).reshape(rows, width)
    sums = padded @ triangle
    if rows > 1:
        totals = prefix_sum(sums[:, -1])
        sums = sums + jnp.pad(totals[:-1], (1, 0))[:, None]
    return sums.reshape(-1)[:n]


def _shifted_sums(x: Array) -> Array:
    shift = 1
    while shift < x.shape[0]:
        x = jnp.concatenate([x[:shift], x[shift:] + x[:-shift]])
        shift *= 2
    return x


def inclusive_scan(combine: Combine, xs: Arrays) -> Arrays:
    """Inclusive scan with any associative function: about 2·log2 n levels and 2n applications in all.

    Parameters
    ----------
    combine : callable
        Takes two tuples of equally long arrays, the earlier elements first; associative.
    xs : tuple of Array
        Each [n], n ≥ 1.

    Returns
    -------
    tuple of Array
        Element i combines elements 0..i.

    Notes
    -----
    Pairs are formed by a reshape to [n/2, 2]: strided slices of shares are about twenty times slower in SPU.
    Brent and Kung, "A regular layout for parallel adders", 1982.
    """
    n = xs[0].shape[0]
    if n == 1:
        return xs
    half = n // 2
    pairs = [x[: 2 * half].reshape(half, 2).T for x in xs]
    first, second = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    odd = inclusive_scan(combine, combine(first, second))
    even = tuple(x[:1] for x in xs)
    if half > 1:
        later = combine(tuple(r[:-1] for r in odd), tuple(f[1:] for f in first))
        even = tuple(jnp.concatenate([e, m]) for e, m in zip(even, later, strict=True))
    woven = tuple(jnp.stack([e, o]).T.reshape(-1) for e, o in zip(even, odd, strict=True))
    if n % 2 == 0:
        return woven
    last = combine(tuple(o[-1:] for o in odd), tuple(x[-1:] for x in xs))
    return tuple(jnp.concatenate([w, t]) for w, t in zip(woven, last, strict=True))


def tree_reduce(combine: Callable[[Array, Array], Array], x: Array) -> Array:
    """Reduce the last axis by halving: ceil(log2 n) levels, n − 1 applications.

    Parameters
    ----------
    combine : callable
        Associative and commutative, on arrays of equal shape.
    x : Array
        [..., n], n ≥ 1.

    Returns
    -------
    Array
        [...].

    Examples
    --------
    >>> tree_reduce(jnp.minimum, jnp.arange(5) - 2).item()
    -2
    """
    while (n := x.shape[-1]) > 1:
        half = n // 2
        merged = combine(x[..., :half], x[..., half : 2 * half])
        x = merged if n % 2 == 0 else jnp.concatenate([merged, x[..., 2 * half :]], axis=-1)
    return jax.lax.squeeze(x, (x.ndim - 1,))
