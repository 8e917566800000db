"""Cutting a program into SPU regions and native kernel calls; see :mod:`mpc_compiler.partition.cut`."""

from mpc_compiler.partition.choose import EITHER, NATIVE, Kernels
from mpc_compiler.partition.cut import KernelRegion, Partitioned, SpuRegion, partition
from mpc_compiler.partition.kinds import TOGETHER, Call

__all__ = ["EITHER", "NATIVE", "TOGETHER", "Call", "KernelRegion", "Kernels", "Partitioned", "SpuRegion", "partition"]
