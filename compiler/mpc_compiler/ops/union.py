"""Tables one below the other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.table import Column, Table

__all__ = ["below", "rank_of"]


def rank_of(table: Table) -> tuple[Array, int]:
    """The order of the rows as numbers below 2**bits, and bits."""
    if table.order is not None:
        return table.order, table.order_bits
    return jnp.arange(table.rows, dtype=jnp.int64), max((table.rows - 1).bit_length(), 1)


def below(first: Table, second: Table) -> Table:
    """The rows of `first`, then those of `second`.

    Parameters
    ----------
    first, second : Table
        n and m rows with the same columns of the same types.

    Returns
    -------
    Table
        n + m rows; local, discloses nothing.

    Examples
    --------
    >>> import numpy as np
    >>> parts = [Table({"x": Column(np.array(values))}) for values in ([1, 2], [3])]
    >>> below(*parts).columns["x"].value.tolist()
    [1, 2, 3]
    """
    n, m = first.rows, second.rows
    columns = {}
    for name, upper in first.columns.items():
        lower = second.columns[name]
        kind = jnp.result_type(upper.value.dtype, lower.value.dtype)
        value = jnp.concatenate([upper.value.astype(kind), lower.value.astype(kind)])
        rest = tuple(jnp.concatenate(pair) for pair in zip(upper.rest, lower.rest, strict=True))
        columns[name] = Column(value, _flags(upper.valid, lower.valid, n, m), rest)
    valid = _flags(first.valid, second.valid, n, m)
    if first.order is None and second.order is None:
        return Table(columns, valid)
    (upper_rank, upper_bits), (lower_rank, lower_bits) = rank_of(first), rank_of(second)
    order = jnp.concatenate([upper_rank, lower_rank + (1 << upper_bits)])
    return Table(columns, valid, order, order_bits=max(upper_bits, lower_bits) + 1)


def _flags(upper: Array | None, lower: Array | None, n: int, m: int) -> Array | None:
    if upper is None and lower is None:
        return None
    flags = [jnp.ones(size, jnp.bool_) if f is None else f for f, size in ((upper, n), (lower, m))]
    return jnp.concatenate(flags)
