"""Which implementation of the kernels this process uses: compiled, or numpy with a warning."""

import os
import warnings
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mpc_kernels import _reference
from mpc_kernels._backend_bits import BitKernels, RankKernels
from mpc_kernels._reference_arith import ArithKernels
from mpc_kernels._reference_prg import PrgKernels

_ADVICE = (
    "mpc_kernels: the compiled kernels were not built, so their numpy reference runs instead, many times slower. "
    "Run `make setup`, or install the package again where there is a C++20 compiler."
)


class Kernels(ArithKernels, BitKernels, PrgKernels, RankKernels, Protocol):
    """What an implementation provides. Arguments have been checked; see `mpc_kernels.matmul` for the contracts."""

    def matmul64(self, a: NDArray[np.uint64], b: NDArray[np.uint64], threads: int) -> NDArray[np.uint64]:
        """Matrix product mod 2^64."""

    def replicated_matmul_local(self, a: NDArray[np.uint64], b: NDArray[np.uint64], threads: int) -> NDArray[np.uint64]:
        """One party's additive part of a replicated matrix product mod 2^64."""

    def isa(self) -> str:
        """Name the instruction set in use."""


def _load() -> tuple[Kernels, bool]:
    try:
        import mpc_kernels._native as native
    except ModuleNotFoundError as error:
        # A compiled module that is there and does not load (a missing library, MPC_KERNELS_ISA on the wrong CPU)
        # is an error of its own and must not be passed over.
        if error.name != "mpc_kernels._native":
            raise
        if os.environ.get("MPC_KERNELS_REQUIRE_NATIVE") == "1":
            raise ModuleNotFoundError(_ADVICE, name=error.name) from None
        warnings.warn(_ADVICE, RuntimeWarning, stacklevel=2)
        return _reference, False
    return native, True


BACKEND, NATIVE = _load()
