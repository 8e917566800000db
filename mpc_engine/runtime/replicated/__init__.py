"""The native three-party replicated protocol over columns of shares; :mod:`.core` is its base."""

from mpc_engine.runtime.replicated.core import Cost, Replicated, matmul_cost, setup_cost

__all__ = ["Cost", "Replicated", "matmul_cost", "setup_cost"]
