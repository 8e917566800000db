from typing import Annotated

import numpy
from numpy.typing import NDArray


def matmul64(a: Annotated[NDArray[numpy.uint64], dict(shape=(None, None), order='C', device='cpu', writable=False)], b: Annotated[NDArray[numpy.uint64], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 1) -> Annotated[NDArray[numpy.uint64], dict(shape=(None, None))]:
    """Matrix product mod 2^64."""

def replicated_matmul_local(a: Annotated[NDArray[numpy.uint64], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], b: Annotated[NDArray[numpy.uint64], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], threads: int = 1) -> Annotated[NDArray[numpy.uint64], dict(shape=(None, None))]:
    """One party's additive part of a replicated matrix product mod 2^64."""

def isa() -> str:
    """The instruction set in use."""
