"""Group-by over a small public key domain: a secret one-hot matrix times all columns at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.measures import Extreme, Measures, Totals
from mpc_compiler.ops.primitives import one_hot, ring_matmul
from mpc_compiler.ops.scan import tree_reduce

__all__ = ["domain_totals"]

_BLOCK_CELLS = 1 << 21
_MOST_BLOCKS = 16


def domain_totals(flag: Array | None, code: Array | None, domain: int, measures: Measures) -> Totals:
    """Totals of every possible key, in ascending order of its code.

    Parameters
    ----------
    flag : Array or None
        bool [n], rows that count.
    code : Array or None
        int64 [n]; None for one group of all rows.
    domain : int
        Number of groups D.
    measures : Measures
        Of n ≥ 1 rows.

    Returns
    -------
    Totals
        D rows; valid where the group has a row.

    Notes
    -----
    Rows are worked off in blocks, so that the one-hot matrix of a block takes at most 2**21 cells (32 MiB a party)
    while 16 blocks suffice.
    """
    rows = next((a.shape[0] for a in (flag, code) if a is not None), None)
    if rows is None:
        rows = next(iter(measures.columns.values())).value.shape[0] if measures.columns else 0
    blocks = min(_MOST_BLOCKS, max(1, -(-domain * rows // _BLOCK_CELLS)))
    step = -(-rows // blocks)
    summed, kinds = measures.summed(), [a.dtype for a in measures.summed()]
    size, sums = jnp.zeros(domain, jnp.int64), [jnp.zeros(domain, kind) for kind in kinds]
    parts: list[list[Array]] = [[] for _ in measures.extremes]
    for start in range(0, rows, step):
        cut = slice(start, min(start + step, rows))
        hot = _membership(None if flag is None else flag[cut], None if code is None else code[cut], domain)
        ones = jnp.ones(cut.stop - cut.start, jnp.int64)
        size = size + (ones.shape[0] if hot is None else hot @ ones)  # SPU reduces rows ten times slower
        sums = [s + t for s, t in zip(sums, _sums(hot, [a[cut] for a in summed]), strict=True)]
        for part, extreme in zip(parts, measures.extremes, strict=True):
            part.append(_extreme(hot, extreme, measures, cut))
    extremes = [tree_reduce(_pick(e), jnp.stack(p, axis=1)) for e, p in zip(measures.extremes, parts, strict=True)]
    totals = measures.totals(size, sums, extremes)
    totals.valid = size > 0
    return totals


def _membership(flag: Array | None, code: Array | None, domain: int) -> Array | None:
    """[D, n] of 0 and 1; None if every row belongs to the one group."""
    if code is None or domain == 1:
        return None if flag is None else (1 - (~flag).astype(jnp.int64))[None]
    return one_hot(code, domain, flag)


def _sums(hot: Array | None, summed: Sequence[Array]) -> list[Array]:
    """Sum every array by group: one product for the integers, one for the fixed-point numbers."""
    if hot is None:
        return [jnp.sum(a)[None] for a in summed]
    indices = [[i for i, a in enumerate(summed) if a.dtype == kind] for kind in (jnp.int64, jnp.float64)]
    operands = [jnp.stack([summed[i] for i in index], axis=1) if index else None for index in indices]
    # All operands before the first product: native kernels then follow one another, without SPU in between.
    products = [None if b is None else ring_matmul(hot, b) for b in operands]
    out = {i: p[:, j] for index, p in zip(indices, products, strict=True) if p is not None for j, i in enumerate(index)}
    return [out[i] for i in range(len(summed))]


def _pick(extreme: Extreme) -> Callable[[Array, Array], Array]:
    return jnp.minimum if extreme.op == "min" else jnp.maximum


def _extreme(hot: Array | None, extreme: Extreme, measures: Measures, cut: slice) -> Array:
    """MIN or MAX of a block of rows for all groups at once: [D]."""
    column = measures.columns[extreme.column]
    value = column.value[cut]
    if column.valid is not None:
        valid = 1 - (~column.valid[cut]).astype(jnp.int64)
        hot = valid[None] if hot is None else hot * valid
    # Not neutral + hot·(value − neutral): that would round in the clear.
    masked = value[None] if hot is None else hot * value + (1 - hot) * extreme.neutral
    return tree_reduce(_pick(extreme), masked)
