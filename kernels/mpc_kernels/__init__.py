"""Ring arithmetic kernels: stateless functions on arrays of shares.

Compiled code when it was built (`NATIVE` is true), the numpy reference beside it otherwise, which is announced
by a warning. `MPC_KERNELS_REQUIRE_NATIVE=1` turns that warning into an error; `MPC_KERNELS_ISA` forces one of the
instruction sets `portable`, `avx2`, `avx512`, `avx512dq`.
"""

from mpc_kernels._backend import NATIVE
from mpc_kernels.arith import (
    bincount_var,
    pair_up,
    prefix_sum,
    replicated_dot_local,
    segmented_prefix_sum,
    truncate_cross,
    truncate_join,
    truncate_split,
)
from mpc_kernels.bits import (
    and_local,
    majority_local,
    pick_pairs_var,
    pick_planes_var,
    plane_gates_local,
    plane_words,
    planes_to_rows,
    rows_to_planes,
)
from mpc_kernels.matmul import isa, matmul64, replicated_matmul_local
from mpc_kernels.permute import (
    compose_var,
    gather_rows_var,
    group_order_var,
    invert_var,
    random_permutation_var,
    scatter_rows_var,
)
from mpc_kernels.prg import Place, has_aes, prg_fill, prg_zero, replicated_dot_masked

__all__ = [
    "NATIVE",
    "Place",
    "and_local",
    "bincount_var",
    "compose_var",
    "gather_rows_var",
    "group_order_var",
    "has_aes",
    "invert_var",
    "isa",
    "majority_local",
    "matmul64",
    "pair_up",
    "pick_pairs_var",
    "pick_planes_var",
    "plane_gates_local",
    "plane_words",
    "planes_to_rows",
    "prefix_sum",
    "prg_fill",
    "prg_zero",
    "random_permutation_var",
    "replicated_dot_local",
    "replicated_dot_masked",
    "replicated_matmul_local",
    "rows_to_planes",
    "scatter_rows_var",
    "segmented_prefix_sum",
    "truncate_cross",
    "truncate_join",
    "truncate_split",
]
