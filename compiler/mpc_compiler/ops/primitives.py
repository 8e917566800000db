"""The engine's own JAX primitives: what a native kernel may take over from SPU.

Each has an abstract evaluation rule, one plain lowering and a cost. The plain lowering is ordinary JAX: compiled for
the CPU on clear data it is the reference, compiled for SPU it is the fallback. `encode_fixed` and `decode_fixed`
differ between the two, because a fixed-point number is an integer in SPU already; `lookup` and `segment_scan` have a
lowering for the CPU that indexes, because theirs for SPU takes seconds to compile.

Row movers (`sort_rows`, `compact`) take all columns at once: nothing indexes by a secret in SPU.
"""

from __future__ import annotations

from typing import Any

from mpc_compiler.ops.define import FRACTION_BITS, Params, PrimitiveInfo
from mpc_compiler.ops.elementwise import ELEMENTWISE, compare, one_hot
from mpc_compiler.ops.fixed import FIXED, decode_fixed, encode_fixed
from mpc_compiler.ops.lookup import LOOKUPS, lookup
from mpc_compiler.ops.movers import MOVERS, compact, sort_rows
from mpc_compiler.ops.owned import OWNED
from mpc_compiler.ops.product import PRODUCTS, ring_matmul, scaled_matmul
from mpc_compiler.ops.rational import RATIONAL, fraction_of, rational_error, times_rational
from mpc_compiler.ops.running import RUNNING, prefix_sum, segment_scan
from mpc_compiler.ops.sigmoid import SIGMOIDS, quick_sigmoid
from mpc_compiler.ops.transcendental import TRANSCENDENTAL, bounded_exp, bounded_log
from mpc_compiler.ops.wide import WIDE, wide_multiply

__all__ = [
    "FRACTION_BITS",
    "PRIMITIVES",
    "REPRESENTATIONS",
    "PrimitiveInfo",
    "adapt",
    "bounded_exp",
    "bounded_log",
    "compact",
    "compare",
    "decode_fixed",
    "encode_fixed",
    "fraction_of",
    "lookup",
    "one_hot",
    "prefix_sum",
    "quick_sigmoid",
    "rational_error",
    "ring_matmul",
    "scaled_matmul",
    "segment_scan",
    "sort_rows",
    "times_rational",
    "wide_multiply",
]

PRIMITIVES: dict[str, PrimitiveInfo] = {
    **MOVERS,
    **LOOKUPS,
    **RUNNING,
    **ELEMENTWISE,
    **PRODUCTS,
    **OWNED,
    **FIXED,
    **RATIONAL,
    **SIGMOIDS,
    **TRANSCENDENTAL,
    **WIDE,
}
"""The primitives by name. The order is fixed; names are part of what parties compare before they start."""

REPRESENTATIONS = frozenset((*FIXED, *RATIONAL, *TRANSCENDENTAL, *WIDE))
"""Primitives that SPU gets as work on the integers behind fixed-point numbers; constants have none before they run."""


def adapt(name: str, params: Params, protocol: str) -> dict[str, Any]:
    """Parameters of a primitive for a protocol: without secret shuffles rows are moved by a sorting network.

    Examples
    --------
    >>> adapt("compact", {"method": "radix"}, "cheetah")
    {'method': 'network'}
    """
    changed = dict(params)
    if "method" in changed and name in PRIMITIVES:
        changed["method"] = "radix" if protocol in ("aby3", "plaintext") else "network"
    return changed
