"""Ring arithmetic kernels: stateless functions on arrays of shares.

Compiled code when it was built (`NATIVE` is true), the numpy reference beside it otherwise, which is announced
by a warning. `MPC_KERNELS_REQUIRE_NATIVE=1` turns that warning into an error; `MPC_KERNELS_ISA` forces one of the
instruction sets `portable`, `avx2`, `avx512`.
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
from mpc_kernels.matmul import isa, matmul64, replicated_matmul_local

__all__ = [
    "NATIVE",
    "bincount_var",
    "isa",
    "matmul64",
    "pair_up",
    "prefix_sum",
    "replicated_dot_local",
    "replicated_matmul_local",
    "segmented_prefix_sum",
    "truncate_cross",
    "truncate_join",
    "truncate_split",
]
