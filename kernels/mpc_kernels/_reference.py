"""The numpy meaning of every kernel: the oracle of its tests and the fallback where nothing was compiled.

Unsigned numpy arithmetic wraps, so these are exact in the ring Z/2^64. `threads` is accepted and not used.
"""

import numpy as np
from numpy.typing import NDArray


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
