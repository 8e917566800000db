"""The numpy meaning of every kernel: the oracle of its tests and the fallback where nothing was compiled.

Unsigned numpy arithmetic wraps, so these are exact in the ring Z/2^64. `threads` is accepted and not used.
"""

import numpy as np
from numpy.typing import NDArray

from mpc_kernels._reference_arith import (
    bincount_var,
    pair_up,
    prefix_sum,
    replicated_dot_local,
    segmented_prefix_sum,
    truncate_cross,
    truncate_join,
    truncate_split,
)
from mpc_kernels._reference_bits import (
    and_local,
    gather_index_var,
    gather_rows_var,
    group_order_var,
    invert_index_var,
    majority_local,
    pick_pairs_var,
    pick_planes_var,
    plane_gates_local,
    planes_to_rows,
    random_permutation_var,
    rows_to_planes,
    scatter_rows_var,
)
from mpc_kernels._reference_prg import has_aes, prg_fill, prg_zero, replicated_dot_masked
from mpc_kernels._reference_rank import (
    look_up_var,
    place_rest_var,
    place_samples_var,
    regroup_var,
    rest_rows_var,
    sample_pairs_var,
    step_down_var,
)

__all__ = [
    "and_local",
    "bincount_var",
    "gather_index_var",
    "gather_rows_var",
    "group_order_var",
    "has_aes",
    "invert_index_var",
    "isa",
    "look_up_var",
    "majority_local",
    "matmul64",
    "pair_up",
    "pick_pairs_var",
    "pick_planes_var",
    "place_rest_var",
    "place_samples_var",
    "plane_gates_local",
    "planes_to_rows",
    "prefix_sum",
    "prg_fill",
    "prg_zero",
    "random_permutation_var",
    "regroup_var",
    "replicated_dot_local",
    "replicated_dot_masked",
    "replicated_matmul_local",
    "rest_rows_var",
    "rows_to_planes",
    "sample_pairs_var",
    "scatter_rows_var",
    "segmented_prefix_sum",
    "step_down_var",
    "truncate_cross",
    "truncate_join",
    "truncate_split",
]


def matmul64(a: NDArray[np.uint64], b: NDArray[np.uint64], threads: int = 1) -> NDArray[np.uint64]:
    """Matrix product mod 2^64: `a[m,k] @ b[k,n]`."""
    product: NDArray[np.uint64] = np.matmul(a, b)
    return product


def replicated_matmul_local(a: NDArray[np.uint64], b: NDArray[np.uint64], threads: int = 1) -> NDArray[np.uint64]:
    """One party's additive part of a replicated matrix product, for share pairs `a[m,k,2]` and `b[k,n,2]`."""
    a0, a1 = a[..., 0], a[..., 1]
    b0, b1 = b[..., 0], b[..., 1]
    return matmul64(a0, b0 + b1) + matmul64(a1, b0)


def isa() -> str:
    """Name what runs: numpy."""
    return "numpy"
